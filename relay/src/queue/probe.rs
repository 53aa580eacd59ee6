//! Look-ups and probes: short tasks whose results go back to the tenant's task.

use std::sync::Arc;

use backupmx_relay_config::PrimaryHost;
use tokio::sync::mpsc::Sender;

use super::{Context, lot::Note};
use crate::{
    deliver::{Endpoint, OpenError, Session, Settings},
    health::{EndpointKey, Event, Listed, OpenFailure},
};

/// Looks all hosts up. A host that can't be looked up is left out; where none can, the reasons are told.
pub(super) async fn resolve(context: Arc<Context>, mut hosts: Vec<PrimaryHost>, generation: u64, notes: Sender<Note>) {
    hosts.sort_by_key(|host| host.preference);
    let resolver = context.resolver.current();
    let mut listed = Vec::new();
    let mut problems = Vec::new();
    let mut unanswered = false;
    for host in hosts {
        match resolver.addresses(&host.host).await {
            Ok(addresses) => listed.extend(addresses.into_iter().map(|address| Listed {
                key: EndpointKey {
                    host: match &host.host {
                        backupmx_relay_config::Host::Name(name) => Some(name.clone()),
                        backupmx_relay_config::Host::Address(_) => None,
                    },
                    address: (address, host.port).into(),
                },
                preference: host.preference,
            })),
            Err(problem) => {
                unanswered |= !problem.is_permanent();
                problems.push(problem.to_string());
            }
        }
    }
    let event = match listed.is_empty() {
        false => Event::Resolved(Ok(listed)),
        true if unanswered => Event::NoAnswer(problems.join("; ")),
        true => Event::Resolved(Err(problems.join("; "))),
    };
    let _ = notes.send(Note::Looked(generation, event)).await;
}

/// Opens a session up to EHLO and TLS.
pub(super) async fn probe(endpoint: EndpointKey, mut settings: Settings, notes: Sender<Note>) {
    settings.timeouts = settings.timeouts.for_probe();
    let outcome = Session::open(&to_endpoint(&endpoint), &settings).await;
    let note = match outcome {
        Ok(session) => Note::Probed(endpoint, Box::new(session)),
        Err(error) => Note::Event(Event::Probed(endpoint, Err(open_failure(&error)))),
    };
    let _ = notes.send(note).await;
}

/// The endpoint as the client takes it.
pub(super) fn to_endpoint(key: &EndpointKey) -> Endpoint {
    Endpoint { name: key.host.clone(), address: key.address }
}

/// The failure as the state machine takes it.
pub(super) fn open_failure(error: &OpenError) -> OpenFailure {
    match error.reply() {
        Some(reply) if reply.code == 421 => OpenFailure::ServiceClosing(error.to_string()),
        _ if matches!(error, OpenError::Ourselves { .. }) => OpenFailure::Ourselves(error.to_string()),
        _ => OpenFailure::Failed(error.to_string()),
    }
}
