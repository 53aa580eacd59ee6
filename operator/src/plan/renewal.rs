//! A claim that a person deleted while its relay serves: it is kept until nothing is held, and replaced only then.
//! Pure; every pass judges anew by what there is.

use super::{Live, leaving};
use crate::{
    apply::{is_held, is_leaving},
    desired::document,
};

/// How far a relay's claim is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It stays, or it is deleted and holds mail: the relay goes on as it is.
    Serving,
    /// It is deleted and holds nothing: the relay is to answer 451, so that nothing comes in.
    Closing,
    /// It is deleted, holds nothing, and nothing can come in: it goes.
    Going,
}

/// Whether a pod that is taken away has no successor: none starts on a claim that is being deleted.
pub(super) fn is_irreplaceable(live: &Live) -> bool {
    live.deployment.is_some() && live.claim.as_ref().is_some_and(is_leaving)
}

pub(super) fn stage(live: &Live) -> Stage {
    let Some(claim) = live.claim.as_ref().filter(|claim| is_leaving(*claim)) else { return Stage::Serving };
    if !is_held(claim) || leaving::cut_short(live) {
        return Stage::Going;
    }
    let shut = live.document.as_ref().filter(|stored| document::is_closed(stored));
    match (&live.report, shut) {
        // What does not answer may hold any number: nothing changes for it.
        (None, Some(_)) => Stage::Closing,
        (None, None) => Stage::Serving,
        (Some(report), _) if leaving::held(report) > 0 => Stage::Serving,
        // What is still coming in is waited for behind the shut door: a busy relay always has some.
        (Some(report), Some(shut)) if live.runs_on(shut) && leaving::in_flight(report.in_flight) == 0 => Stage::Going,
        (Some(_), _) => Stage::Closing,
    }
}
