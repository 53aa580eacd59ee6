//! Which relays are to be asked when, and what they said last. Pure: time is a parameter.

use std::{collections::HashMap, net::IpAddr, time::Duration};

use backupmx_relay_config::status::RelayStatus;
use k8s_openapi::jiff::Timestamp;
use tokio::time::Instant;

use super::news::{News, news};
use crate::validated::{Owner, RelayName};

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

/// A relay, whatever pod it has now: the UID of its resource, and its name.
pub type Key = (String, RelayName);

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
        (self.owner.uid.clone(), self.relay.clone())
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
    /// Questions so far.
    asked: u64,
}

#[derive(Debug)]
struct Entry {
    target: Target,
    report: Option<RelayStatus>,
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
        let mut before = std::mem::take(&mut self.relays);
        for target in targets {
            let entry = match before.remove(&target.key()) {
                Some(known) if known.target == target => known,
                Some(known) if known.target.pod == target.pod => Entry { target, due: known.due.hurried(now), ..known },
                // Another pod: what the one before said is not its own.
                Some(_) | None => Entry { target, report: None, failures: 0, due: Due::At(now), number: 0 },
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

    /// Takes what was answered; none where nothing was. `jitter` is 0 to 1.
    pub fn answered(&mut self, asked: &Asked, answer: Option<RelayStatus>, now: Instant, jitter: f64) -> News {
        let last = |entry: &&mut Entry| entry.target.pod == asked.target.pod && entry.number == asked.number;
        let Some(entry) = self.relays.get_mut(&asked.target.key()).filter(last) else { return News::None };
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
        if answer.is_none() && entry.failures < SILENT {
            return News::None;
        }
        // Of a relay that was never heard it is news too that it is silent: its first word is awaited no more.
        let told = if entry.failures == SILENT { News::Worth } else { news(entry.report.as_ref(), answer.as_ref()) };
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
mod tests {
    use super::*;
    use crate::plan::tests::Cluster;

    struct Story {
        roster: Roster,
        start: Instant,
    }

    impl Story {
        fn new() -> Self {
            let mut story = Self { roster: Roster::default(), start: Instant::now() };
            story.pods(0, &[pod("one", true)]);
            story
        }

        fn at(&self, second: u64) -> Instant {
            self.start + Duration::from_secs(second)
        }

        fn pods(&mut self, second: u64, pods: &[Target]) {
            let now = self.at(second);
            self.roster.sync(pods.to_vec(), now);
        }

        fn asked(&mut self, second: u64) -> Option<Asked> {
            let now = self.at(second);
            self.roster.next(now, Room::ForWatches)
        }

        /// The relay is asked, and answers.
        fn answers(&mut self, second: u64, answer: Option<RelayStatus>) -> News {
            let asked = self.asked(second).expect("its turn");
            let now = self.at(second);
            self.roster.answered(&asked, answer, now, 0.5)
        }

        fn holds(&self) -> Option<u64> {
            let key = ("u".to_owned(), "a".parse().unwrap());
            self.roster.report(&key).map(|report| report.queue.messages)
        }
    }

    fn pod(uid: &str, ready: bool) -> Target {
        let owner = Owner { namespace: "mail".into(), name: "x".into(), uid: "u".into() };
        Target {
            owner,
            relay: "a".parse().unwrap(),
            pod: uid.into(),
            address: [192, 0, 2, 1].into(),
            ready,
            since: None,
        }
    }

    fn holding(messages: u64) -> Option<RelayStatus> {
        let mut report = Cluster::settled().facts.relays.into_values().next().unwrap().report.unwrap();
        report.queue.messages = messages;
        Some(report)
    }

    #[test]
    fn asks_every_ten_seconds_while_mail_is_held_and_every_minute_otherwise() {
        let mut story = Story::new();
        assert_eq!(story.answers(0, holding(0)), News::Worth, "the first word of it");
        assert_eq!(story.asked(59), None);
        assert_eq!(story.answers(60, holding(3)), News::Worth);
        assert_eq!(story.asked(69), None);
        assert_eq!(story.answers(70, holding(9)), News::None, "figures");
        assert_eq!(story.answers(80, holding(0)), News::Worth);
        assert_eq!(story.asked(139), None);
    }

    #[test]
    fn a_first_word_is_awaited_until_it_comes_or_the_relay_is_silent() {
        let key = ("u".to_owned(), "a".parse().unwrap());
        let mut story = Story::new();
        assert!(story.roster.awaits(&key));
        story.answers(0, holding(3));
        assert!(!story.roster.awaits(&key));
        let mut story = Story::new();
        assert_eq!(story.answers(0, None), News::None);
        assert!(story.roster.awaits(&key), "it may be a moment");
        assert_eq!(story.answers(2, None), News::Worth, "now it is said");
        assert!(!story.roster.awaits(&key));
        assert!(Roster::default().awaits(&key), "nobody is listed yet");
    }

    #[test]
    fn one_answer_that_fails_is_not_silence() {
        let mut story = Story::new();
        story.answers(0, holding(3));
        assert_eq!(story.answers(10, None), News::None);
        assert_eq!(story.holds(), Some(3));
        assert_eq!(story.answers(12, None), News::Worth);
        assert_eq!(story.holds(), None, "it does not answer");
        assert_eq!(story.answers(16, None), News::None);
        assert_eq!(story.answers(24, None), News::None);
        assert_eq!(story.answers(34, holding(3)), News::Worth);
    }

    #[test]
    fn a_pod_that_becomes_ready_is_asked_at_once() {
        let mut story = Story::new();
        story.pods(0, &[pod("one", false)]);
        story.answers(0, None);
        story.answers(2, None);
        assert_eq!(story.asked(3), None);
        story.pods(3, &[pod("one", true)]);
        assert_eq!(story.answers(3, holding(0)), News::Worth);
    }

    #[test]
    fn another_pod_speaks_for_itself() {
        let mut story = Story::new();
        story.answers(0, holding(3));
        story.pods(5, &[pod("two", true)]);
        assert_eq!(story.holds(), None);
        assert_eq!(story.answers(5, holding(3)), News::Worth);
        story.pods(6, &[]);
        assert_eq!(story.holds(), None);
    }

    #[test]
    fn an_answer_of_a_pod_that_was_replaced_is_dropped() {
        let mut story = Story::new();
        let old = story.asked(0).unwrap();
        story.pods(1, &[pod("two", true)]);
        let now = story.at(1);
        assert_eq!(story.roster.answered(&old, holding(3), now, 0.5), News::None);
        assert_eq!(story.holds(), None);
    }

    #[test]
    fn what_was_done_to_a_relay_is_seen_at_once_while_it_is_being_asked_too() {
        let mut story = Story::new();
        let key = ("u".to_owned(), "a".parse().unwrap());
        story.answers(0, holding(0));
        story.roster.hurry(&key, story.start);
        let asked = story.asked(0).expect("it was hurried");
        story.roster.hurry(&key, story.start);
        assert_eq!(story.asked(0), None, "once at a time");
        let now = story.at(1);
        story.roster.answered(&asked, holding(0), now, 0.5);
        assert!(story.asked(1).is_some(), "that answer may be from before");
    }

    /// A relay that can be asked to wait.
    fn waiting(messages: u64, generation: &str) -> Option<RelayStatus> {
        Some(RelayStatus { generation: Some(generation.to_owned()), ..holding(messages).unwrap() })
    }

    #[test]
    fn a_relay_that_can_is_asked_to_wait_for_a_change() {
        let mut story = Story::new();
        let first = story.asked(0).unwrap();
        assert_eq!(first.watch, None, "nothing is known yet");
        let now = story.at(0);
        story.roster.answered(&first, waiting(0, "g"), now, 0.5);
        assert_eq!(story.asked(2), None, "a little rest");
        let watch = |since: &str, seconds| Some(Watch { since: since.into(), wait: Duration::from_secs(seconds) });
        let asked = story.asked(3).unwrap();
        assert_eq!(asked.watch, watch("g", 57));
        assert_eq!(story.asked(59), None, "it waits");
        let now = story.at(5);
        assert_eq!(story.roster.answered(&asked, waiting(3, "h"), now, 0.5), News::Worth, "mail begins to be held");
        assert_eq!(story.asked(8).unwrap().watch, watch("h", 7), "figures are to follow");
    }

    #[test]
    fn one_that_waits_is_asked_beside_that_when_something_was_done_to_it() {
        let mut story = Story::new();
        let key = ("u".to_owned(), "a".parse().unwrap());
        story.answers(0, waiting(0, "g"));
        let watched = story.asked(3).unwrap();
        story.roster.hurry(&key, story.start);
        let quick = story.asked(4).expect("at once");
        assert_eq!(quick.watch, None);
        let now = story.at(4);
        assert_eq!(story.roster.answered(&quick, waiting(2, "h"), now, 0.5), News::Worth);
        assert_eq!(story.roster.answered(&watched, waiting(0, "g"), now, 0.5), News::None, "an older word");
        assert_eq!(story.holds(), Some(2));
        assert!(story.asked(7).is_some());
    }

    #[test]
    fn where_there_is_no_room_for_waiting_it_is_asked_now_and_then() {
        let mut story = Story::new();
        story.answers(0, waiting(0, "g"));
        let (soon, later) = (story.at(59), story.at(60));
        assert_eq!(story.roster.next(soon, Room::ForQuickOnes), None);
        assert_eq!(story.roster.next(later, Room::ForQuickOnes).unwrap().watch, None);
    }

    #[test]
    fn jitter_spreads_them_by_a_tenth() {
        for (jitter, wanted) in [(0.0, 54), (0.5, 60), (1.0, 66)] {
            let mut story = Story::new();
            let target = story.asked(0).unwrap();
            let now = story.at(0);
            story.roster.answered(&target, holding(0), now, jitter);
            assert_eq!(story.asked(wanted - 1), None);
            assert!(story.asked(wanted + 1).is_some(), "{jitter}");
        }
    }
}
