//! Every state that the objects of a kind had, as the API server tells them one after the other.

use std::sync::Arc;

use futures::{StreamExt as _, pin_mut};
use kube::{
    Api,
    api::{ListParams, WatchEvent, WatchParams},
};
use parking_lot::Mutex;
use tokio::task::JoinHandle;

use super::{
    Kind,
    client::{Kube, runtime},
};

/// Every state that the objects of a kind had since a moment, in order: none between two looks is missed.
pub struct History<K> {
    /// Those that there were at first.
    first: Vec<K>,
    told: Arc<Mutex<Told<K>>>,
    watching: JoinHandle<()>,
}

/// What a watch has told.
#[derive(Debug)]
struct Told<K> {
    changes: Vec<Change<K>>,
    /// Why it has ended.
    ended: Option<String>,
}

/// What became of an object.
#[derive(Clone, Debug)]
pub enum Change<K> {
    /// It came, or has changed to this.
    Is(K),
    /// It is gone; it was this last.
    Gone(K),
}

impl<K: Kind + Send + Sync + 'static> History<K> {
    /// Begins to watch.
    pub(super) fn begin(kube: &Kube, api: Api<K>) -> Self {
        let listed = kube.run(api.list(&ListParams::default())).expect("the API server lists what is there");
        let version = listed.metadata.resource_version.expect("a list has a version");
        let told = Arc::new(Mutex::new(Told { changes: Vec::new(), ended: None }));
        let kept = told.clone();
        let watching = runtime().spawn(async move {
            let ended = |why: String| kept.lock().ended = Some(why);
            let events = match api.watch(&WatchParams::default(), &version).await {
                Ok(events) => events,
                Err(error) => return ended(error.to_string()),
            };
            pin_mut!(events);
            while let Some(event) = events.next().await {
                let change = match event {
                    Ok(WatchEvent::Added(object) | WatchEvent::Modified(object)) => Change::Is(object),
                    Ok(WatchEvent::Deleted(object)) => Change::Gone(object),
                    Ok(WatchEvent::Bookmark(_)) => continue,
                    Ok(WatchEvent::Error(status)) => return ended(status.message.clone()),
                    Err(error) => return ended(error.to_string()),
                };
                kept.lock().changes.push(change);
            }
            ended("the watch came to its end".to_owned());
        });
        Self { first: listed.items, told, watching }
    }

    /// What there was at first.
    #[must_use]
    pub fn first(&self) -> &[K] {
        &self.first
    }

    /// What became of it, and of what came later, in order.
    ///
    /// # Panics
    /// The watch has ended: something may be missing.
    #[must_use]
    #[track_caller]
    pub fn changes(&self) -> Vec<Change<K>> {
        let told = self.told.lock();
        assert!(told.ended.is_none(), "the watch has ended: {:?}", told.ended);
        told.changes.clone()
    }
}

impl<K> Drop for History<K> {
    fn drop(&mut self) {
        self.watching.abort();
    }
}
