//! A primary that does what a test tells it: for the faults that a real server cannot be made to show on demand.

mod session;

use std::{
    io::ErrorKind,
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use parking_lot::Mutex;

use crate::{Place, SHORT, wait_until};

/// Where a client is in a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step<'a> {
    /// It has connected; the greeting is due.
    Greeting,
    /// EHLO, with its argument.
    Ehlo(&'a str),
    /// HELO, with its argument.
    Helo(&'a str),
    /// MAIL, with what follows `FROM:`.
    Mail(&'a str),
    /// RCPT, with the address.
    Rcpt(&'a str),
    /// DATA.
    Data,
    /// A chunk (BDAT) that is not the last one.
    Chunk(&'a [u8]),
    /// The final dot, or the last chunk, with the whole content.
    Dot(&'a [u8]),
    /// Any other command.
    Other(&'a str),
}

/// What a primary does at a step.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// What a good server does.
    Normal,
    /// This reply instead, and nothing is taken; several lines joined by `\n`.
    Reply(String),
    /// What a good server does, then it closes the connection.
    ThenClose,
    /// It does its work (a message is recorded), and closes the connection without a reply.
    Cut,
    /// It says nothing more and keeps the connection.
    Hang,
}

impl Answer {
    /// That reply instead.
    #[must_use]
    pub fn reply(text: &str) -> Self {
        Self::Reply(text.to_owned())
    }
}

/// Which visit a step belongs to.
#[derive(Clone, Copy, Debug)]
pub struct Visit {
    /// The connection, counted from 0 since the primary was made.
    pub connection: usize,
    /// The transaction (MAIL) over all connections, counted from 0; of the steps before the first, 0.
    pub transaction: usize,
}

/// A message that the primary took.
#[derive(Clone, Debug)]
pub struct Received {
    /// The reverse-path, without brackets.
    pub from: String,
    /// What followed the reverse-path in MAIL.
    pub mail_parameters: String,
    /// The forward-paths, without brackets.
    pub to: Vec<String>,
    /// What followed each forward-path in RCPT.
    pub rcpt_parameters: Vec<String>,
    /// The content, dots unstuffed.
    pub content: Vec<u8>,
    /// In how many chunks (BDAT) it came; none: with DATA.
    pub chunks: Option<usize>,
    /// The connection that it came over.
    pub connection: usize,
    /// When its final dot came.
    pub at: Instant,
}

impl Received {
    /// Its Message-ID; empty where it has none.
    #[must_use]
    pub fn id(&self) -> String {
        crate::mail::message_id(&self.content).unwrap_or_default()
    }
}

type Script = dyn Fn(&Step<'_>, Visit) -> Answer + Send + Sync;

/// A primary that does what a test tells it.
pub struct ScriptedPrimary {
    address: SocketAddr,
    shared: Arc<Shared>,
    listener: Option<(Arc<AtomicBool>, JoinHandle<()>)>,
}

struct Shared {
    script: Mutex<Arc<Script>>,
    extensions: Mutex<Vec<String>>,
    received: Mutex<Vec<Received>>,
    /// Rises whenever the primary goes down, under the lock of `received`: a dead server takes nothing, even where the
    /// octets had reached its machine.
    lives: AtomicUsize,
    open: Mutex<Vec<TcpStream>>,
    connections: AtomicUsize,
    transactions: AtomicUsize,
    /// Connections that are open now, and the most there ever were.
    busy: Mutex<(usize, usize)>,
    /// When each connection came.
    visits: Mutex<Vec<Instant>>,
}

impl ScriptedPrimary {
    /// A primary at the place's primary address that behaves well and is up.
    #[must_use]
    pub fn up(place: &Place) -> Self {
        let mut primary = Self::down(place);
        primary.start();
        primary
    }

    /// One that is down: nobody listens.
    #[must_use]
    pub fn down(place: &Place) -> Self {
        Self::at(place.primary())
    }

    /// One that is down, at another address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        let extensions = ["PIPELINING", "SIZE 104857600", "8BITMIME", "ENHANCEDSTATUSCODES", "DSN", "SMTPUTF8"];
        let shared = Shared {
            script: Mutex::new(Arc::new(|_, _| Answer::Normal)),
            extensions: Mutex::new(extensions.map(str::to_owned).to_vec()),
            received: Mutex::default(),
            lives: AtomicUsize::new(0),
            open: Mutex::default(),
            connections: AtomicUsize::new(0),
            transactions: AtomicUsize::new(0),
            busy: Mutex::default(),
            visits: Mutex::default(),
        };
        Self { address, shared: Arc::new(shared), listener: None }
    }

    /// Says what it does at each step from now on.
    pub fn script(&self, script: impl Fn(&Step<'_>, Visit) -> Answer + Send + Sync + 'static) {
        *self.shared.script.lock() = Arc::new(script);
    }

    /// It behaves well from now on.
    pub fn behave(&self) {
        self.script(|_, _| Answer::Normal);
    }

    /// What it offers in its answer to EHLO.
    pub fn offer(&self, extensions: &[&str]) {
        *self.shared.extensions.lock() = extensions.iter().map(|name| (*name).to_owned()).collect();
    }

    /// Starts listening.
    ///
    /// # Panics
    /// The port is taken.
    #[track_caller]
    pub fn start(&mut self) {
        assert!(self.listener.is_none(), "the primary is up already");
        let listener = TcpListener::bind(self.address).unwrap();
        listener.set_nonblocking(true).unwrap();
        let ended = Arc::new(AtomicBool::new(false));
        let (shared, flag) = (self.shared.clone(), ended.clone());
        let thread = thread::spawn(move || accept(&listener, &shared, &flag));
        self.listener = Some((ended, thread));
    }

    /// Stops listening and cuts every connection.
    ///
    /// # Panics
    /// Its thread has panicked.
    pub fn stop(&mut self) {
        if let Some((ended, thread)) = self.listener.take() {
            ended.store(true, Ordering::Release);
            thread.join().unwrap();
            // A process that another test is just starting holds a copy of the listener until its exec.
            wait_until("the port is free", SHORT, || TcpListener::bind(self.address).is_ok());
        }
        {
            let _received = self.shared.received.lock();
            self.shared.lives.fetch_add(1, Ordering::Relaxed);
        }
        for stream in self.shared.open.lock().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }

    /// What it took so far, in order.
    #[must_use]
    pub fn received(&self) -> Vec<Received> {
        self.shared.received.lock().clone()
    }

    /// How many messages it took so far.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shared.received.lock().len()
    }

    /// Waits until it took that many messages, and returns them.
    ///
    /// # Panics
    /// It did not within `limit`, or it took more.
    #[track_caller]
    pub fn wait_count(&self, count: usize, limit: Duration) -> Vec<Received> {
        wait_until(&format!("the primary has {count} messages"), limit, || self.count() >= count);
        let received = self.received();
        assert_eq!(received.len(), count, "messages at the primary");
        received
    }

    /// How many connections came so far.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// How many transactions (MAIL) began so far.
    #[must_use]
    pub fn transactions(&self) -> usize {
        self.shared.transactions.load(Ordering::Relaxed)
    }

    /// The most connections that were ever open at once.
    #[must_use]
    pub fn most_connections(&self) -> usize {
        self.shared.busy.lock().1
    }

    /// When each connection came.
    #[must_use]
    pub fn visits(&self) -> Vec<Instant> {
        self.shared.visits.lock().clone()
    }
}

impl Drop for ScriptedPrimary {
    fn drop(&mut self) {
        self.stop();
    }
}

fn accept(listener: &TcpListener, shared: &Arc<Shared>, ended: &AtomicBool) {
    while !ended.load(Ordering::Acquire) {
        match listener.accept() {
            Ok((stream, _)) => {
                let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
                shared.visits.lock().push(Instant::now());
                stream.set_nonblocking(false).unwrap();
                if let Ok(copy) = stream.try_clone() {
                    shared.open.lock().push(copy);
                }
                let (shared, life) = (shared.clone(), shared.lives.load(Ordering::Relaxed));
                thread::spawn(move || {
                    shared.enter();
                    // A client that goes away in mid-session is an ordinary end here.
                    let _ = session::serve(stream, Visitor { connection, life }, &shared);
                    shared.leave();
                });
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(Duration::from_millis(2)),
            Err(_) => {}
        }
    }
}

/// One connection.
#[derive(Clone, Copy)]
struct Visitor {
    connection: usize,
    /// The primary's life that it belongs to.
    life: usize,
}

/// What came of the work at a step.
enum Worked {
    Done,
    /// The primary died before it.
    Dead,
}

impl Shared {
    /// Takes a message, unless the primary is dead by now; then it says nothing either.
    fn take(&self, message: Received, life: usize) -> Worked {
        let mut received = self.received.lock();
        if self.lives.load(Ordering::Relaxed) != life {
            return Worked::Dead;
        }
        received.push(Received { at: Instant::now(), ..message });
        Worked::Done
    }

    fn enter(&self) {
        let mut busy = self.busy.lock();
        busy.0 += 1;
        busy.1 = busy.1.max(busy.0);
    }

    fn leave(&self) {
        self.busy.lock().0 -= 1;
    }

    fn ask(&self, step: &Step<'_>, connection: usize) -> Answer {
        let script = self.script.lock().clone();
        let transaction = self.transactions.load(Ordering::Relaxed).saturating_sub(1);
        script(step, Visit { connection, transaction })
    }
}
