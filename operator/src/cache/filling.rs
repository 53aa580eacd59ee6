//! Whether the watches have listed what there is.
//!
//! A store's own `wait_until_ready` (kube 5.0) wakes only the one of several waiters that came last; the others would
//! wait for ever. So it is counted here, and any number may wait.

use std::sync::Arc;

use tokio::sync::watch;

/// How many watches have not listed yet.
#[derive(Clone, Debug)]
pub struct Filling(Arc<watch::Sender<usize>>);

/// One watch that has to list once.
#[derive(Debug)]
pub(super) struct Listing(Option<Filling>);

impl Filling {
    /// One more watch has to list.
    pub(super) fn expect(&self) -> Listing {
        self.0.send_modify(|left| *left += 1);
        Listing(Some(self.clone()))
    }

    /// Waits until every watch has listed once.
    pub async fn filled(&self) {
        // An error cannot be: the sender is here.
        let _ = self.0.subscribe().wait_for(|left| *left == 0).await;
    }
}

impl Default for Filling {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Listing {
    /// It has, once or again.
    pub(super) fn listed(&mut self) {
        if let Some(filling) = self.0.take() {
            filling.0.send_modify(|left| *left = left.saturating_sub(1));
        }
    }
}

#[cfg(test)]
mod tests {
    use futures::{FutureExt as _, future::join_all};

    use super::*;

    #[tokio::test]
    async fn everyone_who_waits_is_told() {
        let filling = Filling::default();
        let (mut one, mut other) = (filling.expect(), filling.expect());
        let waiting = |filling: Filling| tokio::spawn(async move { filling.filled().await });
        let waiters: Vec<_> = (0..3).map(|_| waiting(filling.clone())).collect();
        tokio::task::yield_now().await;
        one.listed();
        one.listed();
        assert_eq!(filling.filled().now_or_never(), None, "the other has not");
        other.listed();
        assert!(join_all(waiters).await.iter().all(Result::is_ok));
    }
}
