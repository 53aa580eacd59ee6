//! A claim that a person deleted, or that is gone, while its relay serves: it is replaced only when the pod on it holds
//! nothing. Pure; every pass judges anew by what there is.

use std::collections::BTreeMap;

use backupmx_relay_config::RelayConfig;

use super::{Live, Renewing, leaving, readiness};
use crate::{
    apply::{is_discarded, is_held, is_leaving},
    desired::{
        config_map::{self, Claim},
        document,
    },
    gate::Readiness,
    validated::{Owner, RelayName},
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

/// Whether mail is lost with a pod that is taken away: none starts on a claim that is being deleted, and none gets the
/// volume of one that is gone.
pub(super) fn is_irreplaceable(live: &Live) -> bool {
    let deleted = live.claim.as_ref().is_some_and(is_leaving);
    live.deployment.is_some() && (deleted || (is_on_lost_claim(live) && live.report.is_some()))
}

/// Whether the pod runs on the volume of a claim that is gone: it was there before the one that bears the name now.
#[must_use]
pub fn is_on_lost_claim(live: &Live) -> bool {
    let Some(since) = live.pod_since else { return false };
    let made = live.claim.as_ref().map(|claim| claim.metadata.creation_timestamp.as_ref());
    match made {
        None => true,
        Some(made) => made.is_some_and(|made| made.0 > since),
    }
}

/// How far each relay's claim is. One relay at a time takes no mail for it, and only while all others do: a person who
/// deletes the claims of all must not be without any.
pub(super) fn stages<'a>(lives: impl Iterator<Item = (&'a RelayName, &'a Live)>) -> BTreeMap<RelayName, Stage> {
    let found: Vec<(&RelayName, &Live, Stage)> = lives.map(|(name, live)| (name, live, stage(live))).collect();
    let ready = |live: &Live| live.deployment.as_ref().is_some_and(|one| readiness(one) == Readiness::Ready);
    let mut turn = found.iter().find(|(_, live, stage)| is_begun(live, *stage)).map(|(name, _, _)| *name);
    let mut stages = BTreeMap::new();
    for (name, live, stage) in &found {
        let others_serve = || found.iter().all(|(other, live, _)| other == name || ready(live));
        let stage = match stage {
            Stage::Closing if is_begun(live, *stage) => Stage::Closing,
            Stage::Closing if turn.is_none() && others_serve() => {
                turn = Some(name);
                Stage::Closing
            }
            Stage::Closing => Stage::Serving,
            Stage::Serving | Stage::Going => *stage,
        };
        stages.insert((*name).clone(), stage);
    }
    stages
}

/// Whether a relay takes no mail already, for its claim.
fn is_begun(live: &Live, stage: Stage) -> bool {
    match stage {
        Stage::Serving => false,
        Stage::Closing => live.document.as_ref().is_some_and(document::is_closed),
        Stage::Going => true,
    }
}

/// Has a claim replaced.
pub(super) fn renew(owner: &Owner, name: &RelayName, live: &Live) -> Result<Renewing, serde_yaml::Error> {
    // Where a person took the finalizer off, nobody has let it go.
    let goes = live.claim.as_ref().is_some_and(|claim| is_leaving(claim) && (is_held(claim) || is_discarded(claim)));
    let untold = |stored: &&RelayConfig| {
        let open = leaving::cut_short(live) && !document::is_closed(stored);
        open || (goes && live.noted != Some(Claim::LetGo))
    };
    let shut = live.document.as_ref().filter(untold).map(|stored| {
        let closed = document::closed(stored.clone());
        let reported = live.report.as_ref().map(|report| report.config_revision);
        let revision = document::revision(Some(stored), reported, &closed);
        let claim = if goes { Claim::LetGo } else { live.noted.unwrap_or(Claim::Held) };
        config_map::build(owner, name, &RelayConfig { revision, ..closed }, claim)
    });
    Ok(Renewing { name: name.clone(), config_map: shut.transpose()? })
}

fn stage(live: &Live) -> Stage {
    let Some(claim) = &live.claim else { return Stage::Serving };
    // One that was let go lingers until its pod is gone. Where a person took the finalizer off, the pod still keeps it.
    let let_go = is_leaving(claim) && !is_held(claim) && live.deployment.is_none();
    match is_leaving(claim) || is_on_lost_claim(live) {
        false => return Stage::Serving,
        true if let_go || leaving::cut_short(live) => return Stage::Going,
        true => {}
    }
    let shut = live.document.as_ref().filter(|stored| document::is_closed(stored));
    match (&live.report, shut) {
        // What does not answer may hold any number: nothing changes for it.
        (None, Some(_)) => Stage::Closing,
        (None, None) => Stage::Serving,
        (Some(report), _) if leaving::held(report) > 0 => Stage::Serving,
        // What is still coming in is waited for behind the shut door: a busy relay always has some.
        (Some(report), Some(shut)) if live.keeps(shut) && leaving::in_flight(report.in_flight) == 0 => Stage::Going,
        (Some(_), _) => Stage::Closing,
    }
}
