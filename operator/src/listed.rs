//! Whether the caches are filled: every watch has listed once.
//!
//! A kube store can be waited for by one task at a time: a second one that waits takes the first one's place, which then
//! sleeps for ever. Passes wait side by side, and so does the controller itself, so this is counted here.

use futures::{Stream, TryStreamExt as _};
use kube::runtime::watcher::{Error, Event};
use tokio::sync::watch;

/// Is told of every watch, before it begins.
#[derive(Debug)]
pub struct Listing(watch::Sender<usize>);

/// How many watches have not listed yet.
#[derive(Clone, Debug)]
pub struct Listed(watch::Receiver<usize>);

/// The watches ended before all had listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("failed to fill the caches: the watches have ended")]
pub struct Ended;

impl Default for Listing {
    fn default() -> Self {
        Self(watch::Sender::new(0))
    }
}

impl Listing {
    /// The same events; all is filled only when they have said that they listed once. To be put behind what fills the
    /// store: before it, those who wait would find the store empty still.
    pub fn after<K, S>(&self, events: S) -> impl Stream<Item = Result<Event<K>, Error>> + use<K, S>
    where
        S: Stream<Item = Result<Event<K>, Error>>,
    {
        self.0.send_modify(|left| *left += 1);
        let mut waiting = Some(self.0.clone());
        events.inspect_ok(move |event| match event {
            // Listed again, after a watch was lost, is nothing new.
            Event::InitDone => {
                if let Some(left) = waiting.take() {
                    left.send_modify(|left| *left -= 1);
                }
            }
            Event::Init | Event::InitApply(_) | Event::Apply(_) | Event::Delete(_) => {}
        })
    }

    /// When there are no more watches to tell of.
    #[must_use]
    pub fn all(self) -> Listed {
        Listed(self.0.subscribe())
    }
}

impl Listed {
    /// Waits until all have listed.
    ///
    /// # Errors
    /// They never will.
    pub async fn wait(&self) -> Result<(), Ended> {
        self.0.clone().wait_for(|left| *left == 0).await.map(|_| ()).map_err(|_| Ended)
    }
}

#[cfg(test)]
mod tests {
    use std::{pin::pin, task::Poll};

    use futures::{StreamExt as _, poll, stream};

    use super::*;

    fn events() -> impl Stream<Item = Result<Event<()>, Error>> {
        stream::iter([Event::Init, Event::InitApply(()), Event::InitDone, Event::InitDone].map(Ok))
    }

    #[tokio::test]
    async fn all_who_wait_are_woken_when_every_watch_has_listed() {
        let listing = Listing::default();
        let (mut one, mut other) = (pin!(listing.after(events())), pin!(listing.after(events())));
        let listed = listing.all();
        let waiting = [(); 3].map(|()| {
            let listed = listed.clone();
            tokio::spawn(async move { listed.wait().await })
        });
        tokio::task::yield_now().await;
        while one.next().await.is_some() {}
        assert_eq!(poll!(pin!(listed.wait())), Poll::Pending, "one of two");
        while other.next().await.is_some() {}
        for one in waiting {
            assert_eq!(one.await.unwrap(), Ok(()));
        }
    }

    #[tokio::test]
    async fn watches_that_end_before_are_waited_for_no_longer() {
        let listing = Listing::default();
        drop(listing.after(events()));
        assert_eq!(listing.all().wait().await, Err(Ended));
    }
}
