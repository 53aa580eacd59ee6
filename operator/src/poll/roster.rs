//! Which relays are to be asked when, and what they said last. Pure: time is a parameter.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use backupmx_relay_config::status::RelayStatus;
use hyper::StatusCode;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::news::{News, news};
use crate::{
    relay_api::RelayError,
    validated::{Owner, RelayName},
};

/// How often a relay is asked that holds mail, and one that holds none.
const BUSY: Duration = Duration::from_secs(10);
const IDLE: Duration = Duration::from_secs(60);
/// A relay that can wait for a change is asked that much after its last answer, and to wait for the rest of that time: one
/// whose queue comes and goes is asked no oftener.
const REST: Duration = Duration::from_secs(3);
/// How soon one is asked again that did not answer; twice as long at each failure, up to [`BUSY`].
const AGAIN: Duration = Duration::from_secs(2);
/// So many failures in a row, and what it said last is not believed any more.
const SILENT: u32 = 2;

/// How long it is known when a relay was heard that has no pod.
const KNOWN: Duration = Duration::from_secs(30 * 24 * 3600);

/// A relay, whatever pod it has now: its resource, and its name.
pub type Key = (Owner, RelayName);

/// A relay's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// Its resource.
    pub owner: Owner,
    /// Its name.
    pub relay: RelayName,
    /// The pod's UID.
    pub pod: String,
    /// The pod's address.
    pub address: IpAddr,
    /// Whether the pod says that it is ready.
    pub ready: bool,
    /// When it was made, or taken up by its node, whichever is later. None: it was not taken up.
    pub since: Option<Timestamp>,
}

impl Target {
    /// Whose pod it is.
    #[must_use]
    pub fn key(&self) -> Key {
        (self.owner.clone(), self.relay.clone())
    }
}

/// Why it is not known what a relay holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Silence {
    /// It cannot be reached, or has no pod.
    #[default]
    Unreachable,
    /// It refuses the token: it was given one of another master key.
    Unauthorized,
    /// It answers, but not with its status: what it answers.
    Unusable(String),
}

impl From<RelayError> for Silence {
    fn from(error: RelayError) -> Self {
        match error {
            RelayError::Unreachable(_) => Self::Unreachable,
            RelayError::Refused(StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN, _) => Self::Unauthorized,
            RelayError::Refused(..) | RelayError::Unreadable(_) => Self::Unusable(error.to_string()),
        }
    }
}

/// A question to a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Asked {
    /// To whom.
    pub target: Target,
    /// Tells the questions to one relay apart: only the last one counts.
    pub number: u64,
    /// What is waited for; none: it is to be answered at once.
    pub watch: Option<Watch>,
}

/// A change that is waited for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// The generation that is known.
    pub since: String,
    /// For how long.
    pub wait: Duration,
}

/// What there is room for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Room {
    /// Questions that wait for a change too.
    ForWatches,
    /// Only such as are answered at once.
    ForQuickOnes,
}

/// The relays, and what they said.
#[derive(Debug, Default)]
pub struct Roster {
    relays: HashMap<Key, Entry>,
    /// When each relay was heard last, whatever pod it had.
    heard: HashMap<Key, Heard>,
    /// Questions so far.
    asked: u64,
}

#[derive(Clone, Copy, Debug)]
struct Heard {
    /// To measure how long ago it was.
    at: Instant,
    /// To say when.
    clock: Timestamp,
}

#[derive(Debug)]
struct Entry {
    target: Target,
    report: Option<RelayStatus>,
    /// Why there is no report, by the last question; it says nothing where there is one.
    silence: Silence,
    failures: u32,
    due: Due,
    /// The last question.
    number: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Due {
    At(Instant),
    /// From then on it may be asked to wait for a change.
    Watch(Instant),
    /// It was asked to wait for a change.
    Watched,
    /// It is being asked. What came up meanwhile has it asked again at once.
    Asked {
        again: Again,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Again {
    AtOnce,
    InTime,
}

impl Roster {
    /// Brings the list to the pods that there are. One that is new, or has become ready, is due at once.
    pub fn sync(&mut self, targets: Vec<Target>, now: Instant) {
        self.heard.retain(|_, heard| now.saturating_duration_since(heard.at) < KNOWN);
        let mut before = std::mem::take(&mut self.relays);
        for target in targets {
            let entry = match before.remove(&target.key()) {
                Some(known) if known.target == target => known,
                Some(known) if known.target.pod == target.pod => Entry { target, due: known.due.hurried(now), ..known },
                // Another pod: what the one before said is not its own.
                Some(_) | None => {
                    let silence = Silence::default();
                    Entry { target, report: None, silence, failures: 0, due: Due::At(now), number: 0 }
                }
            };
            self.relays.insert(entry.target.key(), entry);
        }
    }

    /// A question to a relay whose turn it is; from now on it counts as being asked.
    pub fn next(&mut self, now: Instant, room: Room) -> Option<Asked> {
        let turn = |entry: &&mut Entry| match (entry.due, room) {
            (Due::At(due), _) | (Due::Watch(due), Room::ForWatches) => due <= now,
            // As if it could not wait.
            (Due::Watch(due), Room::ForQuickOnes) => due + wait(entry.report.as_ref(), 0).saturating_sub(REST) <= now,
            (Due::Watched | Due::Asked { .. }, _) => false,
        };
        let entry = self.relays.values_mut().find(turn)?;
        self.asked += 1;
        entry.number = self.asked;
        let watch = match (entry.due, room) {
            (Due::Watch(_), Room::ForWatches) => entry.report.as_ref().and_then(watch),
            (Due::Watch(_), Room::ForQuickOnes) | (Due::At(_) | Due::Watched | Due::Asked { .. }, _) => None,
        };
        entry.due = if watch.is_some() { Due::Watched } else { Due::Asked { again: Again::InTime } };
        Some(Asked { target: entry.target.clone(), number: entry.number, watch })
    }

    /// Takes what was answered, or why nothing was that helps. `now` and `clock` are one instant; `jitter` is 0 to 1.
    pub fn answered(
        &mut self,
        asked: &Asked,
        answer: Result<RelayStatus, Silence>,
        (now, clock): (Instant, Timestamp),
        jitter: f64,
    ) -> News {
        let last = |entry: &&mut Entry| entry.target.pod == asked.target.pod && entry.number == asked.number;
        let Some(entry) = self.relays.get_mut(&asked.target.key()).filter(last) else { return News::None };
        let (answer, silence) = match answer {
            Ok(answer) => (Some(answer), None),
            Err(silence) => (None, Some(silence)),
        };
        if answer.is_some() {
            self.heard.insert(asked.target.key(), Heard { at: now, clock });
        }
        entry.failures = if answer.is_some() { 0 } else { entry.failures.saturating_add(1) };
        let spread = |wait: Duration| now + wait.mul_f64(0.9 + jitter.clamp(0.0, 1.0) / 5.0);
        entry.due = match entry.due {
            Due::Asked { again: Again::AtOnce } => Due::At(now),
            Due::Asked { again: Again::InTime } | Due::Watched | Due::At(_) | Due::Watch(_) => {
                match answer.as_ref().and_then(watch) {
                    Some(_) => Due::Watch(spread(REST)),
                    None => Due::At(spread(wait(answer.as_ref(), entry.failures))),
                }
            }
        };
        let otherwise =
            silence.is_some_and(|silence| std::mem::replace(&mut entry.silence, silence.clone()) != silence);
        if answer.is_none() && entry.failures < SILENT {
            return News::None;
        }
        // Of a relay that was never heard it is news too that it is silent: its first word is awaited no more. And so it is
        // that it is silent for another reason.
        let told = if entry.failures == SILENT || otherwise {
            News::Worth
        } else {
            news(entry.report.as_ref(), answer.as_ref())
        };
        entry.report = answer;
        told
    }

    /// Has a relay asked at once: something was done to it.
    pub fn hurry(&mut self, key: &Key, now: Instant) {
        if let Some(entry) = self.relays.get_mut(key) {
            entry.due = entry.due.hurried(now);
        }
    }

    /// What a relay said last. None: it does not answer.
    #[must_use]
    pub fn report(&self, key: &Key) -> Option<&RelayStatus> {
        self.relays.get(key)?.report.as_ref()
    }

    /// Why it is not known what a relay holds, where it does not say it.
    #[must_use]
    pub fn silence(&self, key: &Key) -> Silence {
        self.relays.get(key).map(|entry| entry.silence.clone()).unwrap_or_default()
    }

    /// When a relay was heard last. None: never.
    #[must_use]
    pub fn heard(&self, key: &Key) -> Option<Timestamp> {
        self.heard.get(key).map(|heard| heard.clock)
    }

    /// Whether the first word of a relay's pod is still awaited: it was not asked yet, or is not silent for sure.
    #[must_use]
    pub fn awaits(&self, key: &Key) -> bool {
        self.relays.get(key).is_none_or(|entry| entry.report.is_none() && entry.failures < SILENT)
    }

    /// How many relays there are, and how many of them do not answer.
    #[must_use]
    pub fn count(&self) -> (usize, usize) {
        (self.relays.len(), self.relays.values().filter(|entry| entry.report.is_none()).count())
    }
}

impl Due {
    const fn hurried(self, now: Instant) -> Self {
        match self {
            // One that waits for a change is asked beside that: nothing that it counts as one may come of it.
            Self::At(_) | Self::Watch(_) | Self::Watched => Self::At(now),
            Self::Asked { .. } => Self::Asked { again: Again::AtOnce },
        }
    }
}

/// What a relay is asked to wait for after that answer; none where it cannot wait.
fn watch(answer: &RelayStatus) -> Option<Watch> {
    let since = answer.generation.clone()?;
    Some(Watch { since, wait: wait(Some(answer), 0).saturating_sub(REST) })
}

fn wait(answer: Option<&RelayStatus>, failures: u32) -> Duration {
    match answer {
        Some(report) if report.queue.messages + report.orphaned.messages + report.reports.messages > 0 => BUSY,
        Some(_) => IDLE,
        None => AGAIN.saturating_mul(1 << failures.saturating_sub(1).min(8)).min(BUSY),
    }
}

#[cfg(test)]
mod tests;
