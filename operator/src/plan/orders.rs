//! Mail that goes because somebody said so: by `deletionPolicy: Discard`, or by an annotation on its claim.

use super::{Facts, Live, Remains, Resources, leaving};
use crate::{apply::is_held, lifecycle::Phase, validated::RelayName};

/// The relays whose claims are let go now with mail in them, and how many messages; none where nobody can say.
#[must_use]
pub fn let_go(planned: &Resources, facts: &Facts) -> Vec<(RelayName, Option<u64>)> {
    let gone = |name: &RelayName, by_order: fn(&Live) -> bool| {
        let live = facts.relays.get(name).filter(|live| live.claim.as_ref().is_some_and(is_held) && by_order(live))?;
        let messages = live.report.as_ref().map(leaving::held).or(live.known_held);
        (messages != Some(0)).then(|| (name.clone(), messages))
    };
    let left = planned
        .leaving
        .iter()
        .filter(|relay| (relay.retirement.phase, relay.remains) == (Phase::Gone, Remains::Nothing))
        // One that drained has said that it holds nothing.
        .filter_map(|relay| gone(&relay.name, |_| true));
    let renewed = planned.renewing.iter().filter_map(|relay| gone(&relay.name, leaving::cut_short));
    left.chain(renewed).collect()
}
