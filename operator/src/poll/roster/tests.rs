use super::*;
use crate::plan::tests::Cluster;

struct Story {
    roster: Roster,
    start: Instant,
}

/// The wall clock.
fn clock() -> Timestamp {
    "2027-01-15T08:00:00Z".parse().unwrap()
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
        self.roster.answered(&asked, answer.ok_or(Silence::Unreachable), (now, clock()), 0.5)
    }

    fn holds(&self) -> Option<u64> {
        let key = pod("one", true).key();
        self.roster.report(&key).map(|report| report.queue.messages)
    }
}

fn pod(uid: &str, ready: bool) -> Target {
    let owner = Owner { namespace: "mail".into(), name: "x".into(), uid: "u".into() };
    Target { owner, relay: "a".parse().unwrap(), pod: uid.into(), address: [192, 0, 2, 1].into(), ready, since: None }
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
    let key = pod("one", true).key();
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
    assert_eq!(story.roster.answered(&old, holding(3).ok_or(Silence::Unreachable), (now, clock()), 0.5), News::None);
    assert_eq!(story.holds(), None);
}

#[test]
fn what_was_done_to_a_relay_is_seen_at_once_while_it_is_being_asked_too() {
    let mut story = Story::new();
    let key = pod("one", true).key();
    story.answers(0, holding(0));
    story.roster.hurry(&key, story.start);
    let asked = story.asked(0).expect("it was hurried");
    story.roster.hurry(&key, story.start);
    assert_eq!(story.asked(0), None, "once at a time");
    let now = story.at(1);
    story.roster.answered(&asked, holding(0).ok_or(Silence::Unreachable), (now, clock()), 0.5);
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
    story.roster.answered(&first, waiting(0, "g").ok_or(Silence::Unreachable), (now, clock()), 0.5);
    assert_eq!(story.asked(2), None, "a little rest");
    let watch = |since: &str, seconds| Some(Watch { since: since.into(), wait: Duration::from_secs(seconds) });
    let asked = story.asked(3).unwrap();
    assert_eq!(asked.watch, watch("g", 57));
    assert_eq!(story.asked(59), None, "it waits");
    let now = story.at(5);
    assert_eq!(
        story.roster.answered(&asked, waiting(3, "h").ok_or(Silence::Unreachable), (now, clock()), 0.5),
        News::Worth,
        "mail begins to be held"
    );
    assert_eq!(story.asked(8).unwrap().watch, watch("h", 7), "figures are to follow");
}

#[test]
fn one_that_waits_is_asked_beside_that_when_something_was_done_to_it() {
    let mut story = Story::new();
    let key = pod("one", true).key();
    story.answers(0, waiting(0, "g"));
    let watched = story.asked(3).unwrap();
    story.roster.hurry(&key, story.start);
    let quick = story.asked(4).expect("at once");
    assert_eq!(quick.watch, None);
    let now = story.at(4);
    assert_eq!(
        story.roster.answered(&quick, waiting(2, "h").ok_or(Silence::Unreachable), (now, clock()), 0.5),
        News::Worth
    );
    assert_eq!(
        story.roster.answered(&watched, waiting(0, "g").ok_or(Silence::Unreachable), (now, clock()), 0.5),
        News::None,
        "an older word"
    );
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
        story.roster.answered(&target, holding(0).ok_or(Silence::Unreachable), (now, clock()), jitter);
        assert_eq!(story.asked(wanted - 1), None);
        assert!(story.asked(wanted + 1).is_some(), "{jitter}");
    }
}

#[test]
fn it_is_known_when_a_relay_was_heard_though_it_has_another_pod_or_none() {
    let mut story = Story::new();
    let owner = Owner { namespace: "mail".into(), name: "x".into(), uid: "u".into() };
    let key = (owner, "a".parse().unwrap());
    assert_eq!(story.roster.heard(&key), None);
    story.answers(0, holding(3));
    assert_eq!(story.roster.heard(&key), Some(clock()));
    story.pods(1, &[pod("two", true)]);
    story.answers(1, None);
    assert_eq!(story.roster.heard(&key), Some(clock()), "the one before said it");
    story.pods(2, &[]);
    assert_eq!(story.roster.heard(&key), Some(clock()));
    story.pods(31 * 24 * 3600, &[]);
    assert_eq!(story.roster.heard(&key), None, "nobody asks for it any more");
}

#[test]
fn why_one_is_silent_is_known_and_told_when_it_changes() {
    let mut story = Story::new();
    let mut fails = |second: u64, silence: &Silence| {
        let asked = story.asked(second).expect("its turn");
        let now = story.at(second);
        let told = story.roster.answered(&asked, Err(silence.clone()), (now, clock()), 0.5);
        assert_eq!(story.roster.silence(&asked.target.key()), *silence);
        told
    };
    assert_eq!(fails(0, &Silence::Unreachable), News::None, "once is nothing");
    assert_eq!(fails(10, &Silence::Unreachable), News::Worth);
    assert_eq!(fails(30, &Silence::Unreachable), News::None);
    assert_eq!(fails(50, &Silence::Unauthorized), News::Worth);
    assert_eq!(fails(70, &Silence::Unauthorized), News::None);
}

#[test]
fn a_refused_token_is_told_from_a_network_that_is_shut() {
    let refused = |code| Silence::from(RelayError::Refused(code, "no".to_owned()));
    assert_eq!(refused(StatusCode::UNAUTHORIZED), Silence::Unauthorized);
    assert_eq!(refused(StatusCode::FORBIDDEN), Silence::Unauthorized);
    assert_eq!(
        refused(StatusCode::BAD_GATEWAY),
        Silence::Unusable("the relay answered 502 Bad Gateway: no".to_owned())
    );
    assert_eq!(Silence::from(RelayError::Unreachable("no route".to_owned())), Silence::Unreachable);
}
