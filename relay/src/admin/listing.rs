//! Pages of held mail.

use std::sync::Arc;

use backupmx_relay_config::DomainName;
use serde::{Deserialize, Serialize};

use super::{Control, MessageView};
use crate::{
    active::Active,
    message::{MessageId, Standing},
    spool::{ReadError, Summary},
};

/// The messages on a page where the request does not say.
const DEFAULT_LIMIT: usize = 100;

/// The most messages on a page.
pub(super) const MAX_LIMIT: usize = 500;

/// The most messages that one request looks at: a rare state in a long queue is found over several pages.
const MAX_SCAN: usize = 20_000;

/// What a listing is narrowed to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StateFilter {
    /// Waits for its destination.
    Queued,
    /// Waits for a person, or for the end of its destination's trial.
    Held,
    /// Waits for its end.
    Parked,
}

impl StateFilter {
    /// Whether a message of that standing is shown.
    #[must_use]
    pub const fn shows(self, standing: Standing) -> bool {
        matches!(
            (self, standing),
            (Self::Queued, Standing::Queued)
                | (Self::Held, Standing::Rejected | Standing::Withheld | Standing::Looping)
                | (Self::Parked, Standing::Parked)
        )
    }
}

/// A page of held mail.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Page {
    /// The messages, oldest first.
    pub messages: Vec<MessageView>,
    /// What `after` is on the next page; none on the last one. A page may be short, or empty, and not the last.
    pub next: Option<MessageId>,
}

/// What page is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Query {
    pub(super) domain: Option<DomainName>,
    pub(super) state: Option<StateFilter>,
    pub(super) after: Option<MessageId>,
    pub(super) limit: Option<usize>,
}

/// Reads a page. Blocks on the disk.
pub(super) fn page<C: Control>(control: &C, query: &Query) -> Page {
    let limit = query.limit.unwrap_or(DEFAULT_LIMIT).clamp(1, MAX_LIMIT);
    let active = control.active();
    let looping = Looping::now(control);
    let mut messages = Vec::new();
    let mut after = query.after;
    let mut scanned = 0;
    while scanned < MAX_SCAN {
        let found = control.list(query.domain.as_ref(), after, MAX_LIMIT);
        let last = found.len() < MAX_LIMIT;
        for summary in found {
            if messages.len() == limit {
                return Page { messages, next: after };
            }
            after = Some(summary.id);
            scanned += 1;
            if query.state.is_none_or(|state| state.shows(summary.standing)) {
                messages.extend(view(control, &summary, &active, &looping));
            }
        }
        if last {
            return Page { messages, next: None };
        }
    }
    Page { messages, next: after }
}

/// One message; none where it is not held.
pub(super) fn one<C: Control>(control: &C, id: MessageId) -> Option<MessageView> {
    let before = id.as_u64().checked_sub(1).map(MessageId::from_u64);
    let summary = control.list(None, before, 1).into_iter().find(|summary| summary.id == id)?;
    view(control, &summary, &control.active(), &Looping::now(control))
}

/// The tenants whose primary is this relay itself.
struct Looping(Vec<String>);

impl Looping {
    fn now<C: Control>(control: &C) -> Self {
        let tenants = control.status().tenants.into_iter().filter(|tenant| tenant.primary.looping);
        Self(tenants.map(|tenant| tenant.name).collect())
    }

    fn mark(&self, view: MessageView) -> MessageView {
        let looping_primary = view.tenant.as_ref().is_some_and(|tenant| self.0.contains(tenant));
        MessageView { looping_primary, ..view }
    }
}

fn view<C: Control>(control: &C, summary: &Summary, active: &Arc<Active>, looping: &Looping) -> Option<MessageView> {
    let view = match control.peek(summary.id) {
        Ok((envelope, state)) => Some(MessageView::new(summary, &envelope, &state, active)),
        // It was delivered between the two calls.
        Err(ReadError::Unknown(_)) => None,
        Err(error @ (ReadError::Unreadable { .. } | ReadError::Damaged { .. })) => {
            Some(MessageView::damaged(summary, error.to_string(), active))
        }
    };
    view.map(|view| looping.mark(view))
}
