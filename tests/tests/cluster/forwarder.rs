//! A name server between an operator and the zones' own: it passes questions on, or answers SERVFAIL.

use std::{
    net::{SocketAddr, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

/// How long the zones' server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// How often it is looked whether it is still wanted.
const TURN: Duration = Duration::from_millis(100);
/// The code of a server failure (RFC 1035 4.1.1), and the bits of the octet that are not the code.
const SERVFAIL: u8 = 2;
const NOT_THE_CODE: u8 = 0xf0;
/// The bit that makes an answer of a question.
const ANSWER: u8 = 0x80;

/// A running forwarder, on loopback and over UDP. It ends when this is dropped.
pub(crate) struct Forwarder {
    address: SocketAddr,
    fails: Arc<AtomicBool>,
    wanted: Arc<AtomicBool>,
}

impl Forwarder {
    /// Starts one that passes questions on.
    pub(crate) fn start(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(TURN)).unwrap();
        let address = socket.local_addr().unwrap();
        let (fails, wanted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(true)));
        let (failing, going) = (fails.clone(), wanted.clone());
        thread::spawn(move || {
            let mut question = [0; 4096];
            while going.load(Ordering::Relaxed) {
                let Ok((length, client)) = socket.recv_from(&mut question) else { continue };
                let question = &question[..length];
                let answer = if failing.load(Ordering::Relaxed) { failure(question) } else { ask(server, question) };
                if let Some(answer) = answer {
                    let _ = socket.send_to(&answer, client);
                }
            }
        });
        Self { address, fails, wanted }
    }

    /// Where it listens.
    pub(crate) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on everything is answered SERVFAIL.
    pub(crate) fn fail(&self) {
        self.fails.store(true, Ordering::Relaxed);
    }

    /// From now on questions are passed on again.
    pub(crate) fn pass_on(&self) {
        self.fails.store(false, Ordering::Relaxed);
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.wanted.store(false, Ordering::Relaxed);
    }
}

fn failure(question: &[u8]) -> Option<Vec<u8>> {
    let mut answer = question.to_vec();
    *answer.get_mut(2)? |= ANSWER;
    let codes = answer.get_mut(3)?;
    *codes = *codes & NOT_THE_CODE | SERVFAIL;
    Some(answer)
}

fn ask(server: SocketAddr, question: &[u8]) -> Option<Vec<u8>> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.set_read_timeout(Some(PATIENCE)).ok()?;
    socket.send_to(question, server).ok()?;
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).ok()?;
    Some(answer[..length].to_vec())
}
