//! Writes Events. One that cannot be written is logged; nothing waits for it longer than some seconds.

use std::time::Duration;

use futures::future::join_all;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{self, Recorder, Reporter},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep, timeout},
};

use super::{Event, pace::Pace};
use crate::metrics::Metrics;

/// The controller that Events come from.
const CONTROLLER: &str = "backupmx-operator";
/// What is said to have been done: the operator tells, it is not asked.
const ACTION: &str = "Tell";
/// Octets of a note that the API server takes.
const NOTE: usize = 1024;
/// How many wait where nobody waits for them: more than may be written at once.
const CROWD: usize = super::pace::BURST as usize;
/// How long somebody waits for those that are written before something else.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many may wait to be written.
const WAITING: usize = 1000;

/// Takes Events, which are written one after the other, no faster than [`pace`](super::pace) says: nothing waits for them.
/// The same one within six minutes is counted in the first, and not written as another.
#[derive(Clone)]
pub struct Publisher {
    waiting: mpsc::Sender<Waiting>,
    metrics: Metrics,
}

/// An Event that waits to be written.
struct Waiting {
    about: ObjectReference,
    event: Event,
    /// Dropped when it was tried.
    tried: oneshot::Sender<()>,
}

impl Publisher {
    /// Takes Events, and what writes them until it is dropped. `identity` is the operator's pod.
    pub fn new(client: Client, identity: &str, metrics: Metrics) -> (Self, impl Future<Output = ()>) {
        let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(identity.to_owned()) };
        let (waiting, taken) = mpsc::channel(WAITING);
        let writing = write(taken, Recorder::new(client, reporter), metrics.clone());
        (Self { waiting, metrics }, writing)
    }

    /// Has Events about one object written. Those that too many wait before are dropped and counted: what lasts stands
    /// in the conditions.
    pub fn publish(&self, about: &ObjectReference, events: Vec<Event>) {
        for event in events {
            drop(self.queue(about, event));
        }
    }

    /// The same, and waits until they were written, or could not be: what is written after this never stands there without
    /// them. Where so many wait that they come by and by, or the API server takes long, it is not waited for: what is
    /// written next matters more.
    pub async fn publish_first(&self, about: &ObjectReference, events: Vec<Event>) {
        let crowded = self.waiting.max_capacity() - self.waiting.capacity() >= CROWD;
        let tried: Vec<_> = events.into_iter().map(|event| self.queue(about, event)).collect();
        if !crowded && !tried.is_empty() {
            // The error is the answer: it was tried.
            let _ = timeout(PATIENCE, join_all(tried)).await;
        }
    }

    /// Puts one in the queue; what ends when it was tried.
    fn queue(&self, about: &ObjectReference, event: Event) -> oneshot::Receiver<()> {
        let (kind, namespace, name) = (&about.kind, &about.namespace, about.name.as_deref().unwrap_or_default());
        tracing::info!(kind, namespace, name, reason = event.reason.as_str(), note = event.note, "event");
        let (tried, done) = oneshot::channel();
        if self.waiting.try_send(Waiting { about: about.clone(), event, tried }).is_err() {
            self.metrics.events_dropped.inc();
        }
        done
    }
}

async fn write(mut taken: mpsc::Receiver<Waiting>, recorder: Recorder, metrics: Metrics) {
    let mut pace = Pace::new(Instant::now());
    while let Some(Waiting { about, event: Event { reason, note }, tried }) = taken.recv().await {
        sleep(pace.take(Instant::now())).await;
        let event = events::Event {
            type_: reason.severity(),
            reason: reason.as_str().to_owned(),
            note: Some(cut(note)),
            action: ACTION.to_owned(),
            secondary: None,
        };
        match recorder.publish(&event, &about).await {
            Ok(()) => metrics.events.with_label_values(&[reason.as_str()]).inc(),
            Err(error) => {
                let name = about.name.as_deref().unwrap_or_default();
                tracing::warn!(name, reason = reason.as_str(), %error, "failed to write an event");
            }
        }
        drop(tried);
    }
}

/// A note that the API server takes, cut between characters.
fn cut(mut note: String) -> String {
    if note.len() > NOTE {
        let end = (0..=NOTE).rev().find(|place| note.is_char_boundary(*place)).unwrap_or(0);
        note.truncate(end);
    }
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_note_is_cut_between_characters() {
        assert_eq!(cut("ü".repeat(513)).len(), 1024);
        assert_eq!(cut(format!("a{}", "ü".repeat(600))).len(), 1023);
        assert_eq!(cut("short".into()), "short");
    }
}
