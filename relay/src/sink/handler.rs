//! What the stand-in primary answers.

use std::{collections::HashSet, io, net::IpAddr, sync::Arc};

use mailin_embedded::{Handler, Response, response};

use super::store::{Said, Store};

/// Octets of the largest message taken.
const LARGEST: usize = 256 << 20;

/// Takes messages: one for each session.
#[derive(Clone, Debug)]
pub(super) struct Taker {
    store: Store,
    /// Local parts that are refused, in lower case.
    refuse: Arc<HashSet<String>>,
    peer: Option<IpAddr>,
    said: Option<Said>,
    content: Vec<u8>,
}

impl Taker {
    pub(super) fn new(store: Store, refuse: &[String]) -> Self {
        let refuse = refuse.iter().map(|local| local.to_lowercase()).collect();
        Self { store, refuse: Arc::new(refuse), peer: None, said: None, content: Vec::new() }
    }
}

fn answer(code: u16, text: &str) -> Response {
    Response::custom(code, text.to_owned())
}

impl Handler for Taker {
    fn helo(&mut self, peer: IpAddr, _domain: &str) -> Response {
        self.peer = Some(peer);
        response::OK
    }

    fn rcpt(&mut self, to: &str) -> Response {
        let local = to.rsplit_once('@').map_or(to, |(local, _)| local).to_lowercase();
        if self.refuse.contains(&local) { answer(550, "5.1.1 No such user here") } else { response::OK }
    }

    fn data_start(&mut self, helo: &str, from: &str, _is8bit: bool, to: &[String]) -> Response {
        self.content.clear();
        self.said =
            Some(Said { from: from.to_owned(), to: to.to_vec(), helo: helo.to_owned(), peer: self.peer, size: 0 });
        response::START_DATA
    }

    /// Never an error: the library would answer each further line with it.
    fn data(&mut self, line: &[u8]) -> io::Result<()> {
        if self.content.len() <= LARGEST {
            self.content.extend_from_slice(line);
        }
        Ok(())
    }

    fn data_end(&mut self) -> Response {
        let content = std::mem::take(&mut self.content);
        let Some(mut said) = self.said.take() else { return answer(451, "4.3.0 No message was begun") };
        if content.len() > LARGEST {
            return answer(552, "5.3.4 The message is too large");
        }
        said.size = content.len();
        match self.store.write(&said, &content) {
            Ok(number) => {
                tracing::info!(number, from = said.from, to = ?said.to, size = said.size, "arrived");
                answer(250, &format!("2.0.0 Written as {number:016}"))
            }
            Err(error) => {
                tracing::error!(%error, "failed to write a message");
                answer(451, "4.3.0 The message could not be written")
            }
        }
    }
}
