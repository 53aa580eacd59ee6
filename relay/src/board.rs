//! What is known of each primary now: written by the queue, read by ingress and by the status.

use std::collections::HashMap;

use backupmx_relay_config::status::{PrimaryState, PrimaryStatus};
use parking_lot::RwLock;

use crate::{clock::Moment, deliver::Capabilities};

/// What is known of one primary.
#[derive(Clone, Debug, PartialEq)]
pub struct PrimaryView {
    /// Its state, as the status shows it.
    pub status: PrimaryStatus,
    /// What it offered when it last answered EHLO; none before that.
    pub capabilities: Option<Capabilities>,
    /// A person or the config has switched deliveries off.
    pub suspended: bool,
    /// What its withheld mail waits for.
    pub withheld: Withheld,
    /// Until when clients may be told to go to the primary (`whenPrimaryUp: Defer`): its last answer is no proof for
    /// long. None where they may not.
    pub defer_until: Option<Moment>,
}

/// What mail waits for that a primary refused while no refusal was final.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Withheld {
    /// For the end of the primary's trial, or of a storm of rejects: it is tried again then.
    #[default]
    ForItsTrial,
    /// For a person: the primary has refused all that it was asked to take in a whole trial, and goes on doing so.
    ForAPerson,
}

/// What is known of every primary, by tenant name.
#[derive(Debug, Default)]
pub struct Board(RwLock<HashMap<String, PrimaryView>>);

impl Board {
    /// What is known of a tenant's primary; none before its queue has started.
    #[must_use]
    pub fn view(&self, tenant: &str) -> Option<PrimaryView> {
        self.0.read().get(tenant).cloned()
    }

    /// The state of a tenant's primary.
    #[must_use]
    pub fn state(&self, tenant: &str) -> PrimaryState {
        self.0.read().get(tenant).map_or(PrimaryState::Unknown, |view| view.status.state)
    }

    /// Puts up a tenant's new view.
    pub fn post(&self, tenant: &str, view: PrimaryView) {
        self.0.write().insert(tenant.to_owned(), view);
    }

    /// Takes down the tenants that are not in `names`.
    pub fn retain<'a>(&self, names: impl IntoIterator<Item = &'a str>) {
        let names: Vec<&str> = names.into_iter().collect();
        self.0.write().retain(|name, _| names.contains(&name.as_str()));
    }
}
