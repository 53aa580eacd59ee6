//! Writes Events. One that cannot be written is logged; nothing waits for it.

use k8s_openapi::api::core::v1::ObjectReference;
use kube::{
    Client,
    runtime::events::{self, Recorder, Reporter},
};

use super::Event;
use crate::metrics::Metrics;

/// The controller that Events come from.
const CONTROLLER: &str = "backupmx-operator";
/// What is said to have been done: the operator tells, it is not asked.
const ACTION: &str = "Tell";
/// Octets of a note that the API server takes.
const NOTE: usize = 1024;

/// Writes Events. The same one within six minutes is counted in the first, and not written as another.
#[derive(Clone)]
pub struct Publisher {
    recorder: Recorder,
    metrics: Metrics,
}

impl Publisher {
    /// `identity` is the operator's pod.
    #[must_use]
    pub fn new(client: Client, identity: &str, metrics: Metrics) -> Self {
        let reporter = Reporter { controller: CONTROLLER.to_owned(), instance: Some(identity.to_owned()) };
        Self { recorder: Recorder::new(client, reporter), metrics }
    }

    /// Writes Events about one object.
    pub async fn publish(&self, about: &ObjectReference, events: Vec<Event>) {
        for Event { reason, note } in events {
            let event = events::Event {
                type_: reason.severity(),
                reason: reason.as_str().to_owned(),
                note: Some(cut(note)),
                action: ACTION.to_owned(),
                secondary: None,
            };
            let name = about.name.as_deref().unwrap_or_default();
            tracing::info!(
                kind = about.kind,
                namespace = about.namespace,
                name,
                reason = reason.as_str(),
                note = event.note,
                "event"
            );
            match self.recorder.publish(&event, about).await {
                Ok(()) => self.metrics.events.with_label_values(&[reason.as_str()]).inc(),
                Err(error) => tracing::warn!(name, reason = reason.as_str(), %error, "failed to write an event"),
            }
        }
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
