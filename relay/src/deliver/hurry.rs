//! A word to those who are connecting: try again now.
//!
//! The kernel sends the first packet of a connection again after one second, then after two more, then four. So one that
//! was sent a moment before a server came up, and that nobody refused, costs seconds. Nobody refuses it where packets are
//! lost, and where a node has no rules for a Service yet and refuses only so many a second.

use std::{future::Future, io, net::SocketAddr, pin::pin, sync::Arc};

use tokio::{net::TcpStream, sync::watch, task::JoinSet};

/// Attempts at one connection that may be under way at once, beside the first.
const MOST: usize = 16;

/// A word to those who are connecting: try again now. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Hurry(Arc<watch::Sender<u64>>);

impl Hurry {
    /// Has each connection that is being made tried once more, beside the attempts that are under way.
    pub fn now(&self) {
        self.0.send_modify(|words| *words = words.wrapping_add(1));
    }

    /// Connects.
    ///
    /// # Errors
    /// The first attempt to end failed.
    pub(super) async fn connect(&self, address: SocketAddr) -> io::Result<TcpStream> {
        self.first(|| TcpStream::connect(address)).await
    }

    /// The first attempt to end.
    async fn first<T, A>(&self, attempt: impl Fn() -> A) -> io::Result<T>
    where
        T: Send + 'static,
        A: Future<Output = io::Result<T>> + Send + 'static,
    {
        let mut words = self.0.subscribe();
        let mut first = pin!(attempt());
        let mut more = JoinSet::new();
        loop {
            tokio::select! {
                result = &mut first => return result,
                Some(result) = more.join_next() => return result.unwrap_or_else(|error| Err(io::Error::other(error))),
                Ok(()) = words.changed(), if more.len() < MOST => {
                    more.spawn(attempt());
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::pending,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use super::*;

    /// The first attempts, so many, never end.
    async fn connected(lost: usize, words: usize) -> (Option<usize>, usize) {
        let (hurry, begun) = (Hurry::default(), AtomicUsize::new(0));
        let attempt = || {
            let number = begun.fetch_add(1, Ordering::Relaxed);
            async move { if number < lost { pending().await } else { Ok(number) } }
        };
        let mut connecting = pin!(hurry.first(attempt));
        let mut result = None;
        for _ in 0..=words {
            // A task has to be scheduled, and to end.
            for _ in 0..10 {
                tokio::select! {
                    biased;
                    ended = &mut connecting, if result.is_none() => result = Some(ended.unwrap()),
                    () = tokio::task::yield_now() => {}
                }
            }
            hurry.now();
        }
        (result, begun.load(Ordering::Relaxed))
    }

    #[tokio::test]
    async fn each_word_is_one_more_attempt_beside_those_that_are_lost() {
        assert_eq!(connected(0, 3).await, (Some(0), 1), "who is connected needs no more");
        assert_eq!(connected(1, 0).await, (None, 1));
        assert_eq!(connected(1, 1).await, (Some(1), 2));
        assert_eq!(connected(3, 2).await, (None, 3));
        assert_eq!(connected(3, 3).await, (Some(3), 4));
    }

    #[tokio::test]
    async fn there_is_an_end_to_it() {
        assert_eq!(connected(usize::MAX, 100).await, (None, MOST + 1));
    }
}
