//! Whatever comes in whatever order, the machine stays sound.

use std::time::Duration;

use backupmx_relay_config::{Delivery, RejectStorm, Retry, Span, status::PrimaryState};
use proptest::prelude::*;

use super::{
    super::*,
    bench::{changed, key, listed},
};
use crate::{
    clock::{Moment, Timestamp},
    schedule::{Handover, Jitter},
};

fn any_key() -> impl Strategy<Value = EndpointKey> {
    (0_u8..4).prop_map(key)
}

fn any_purpose() -> impl Strategy<Value = Purpose> {
    prop::sample::select(&[Purpose::Ordinary, Purpose::Trial][..])
}

fn any_failure() -> impl Strategy<Value = OpenFailure> {
    prop::sample::select(vec![
        OpenFailure::ServiceClosing("421".to_owned()),
        OpenFailure::Ourselves("us".to_owned()),
        OpenFailure::Failed("no".to_owned()),
    ])
}

fn any_parties() -> impl Strategy<Value = Vec<Party>> {
    prop::collection::vec(0_u8..30, 0..4)
        .prop_map(|names| names.into_iter().map(|name| Party::of(&name.to_string())).collect())
}

fn any_settings() -> impl Strategy<Value = Settings> {
    (1_u64..60, 0_u64..300, 0_u32..30, 0_u32..10, 0_u8..=100, any::<bool>()).prop_map(
        |(min, more, max_connections, min_messages, percent, suspended)| {
            let retry = Retry { min: Span::seconds(min), max: Span::seconds(min + more) };
            let reject_storm = RejectStorm { min_messages, percent };
            let delivery = Delivery { retry, max_connections, suspended, reject_storm, ..Delivery::default() };
            Settings::new(&delivery).unwrap()
        },
    )
}

fn any_outcome() -> impl Strategy<Value = Event> {
    let transient = prop::option::of(prop::sample::select(&[Transient::System, Transient::Message][..]));
    (any_key(), any_purpose(), 0_u8..30, any_parties(), any_parties(), any_parties(), transient).prop_map(
        |(endpoint, purpose, sender, accepted, refused, refused_content, transient)| {
            let sender = Party::of(&sender.to_string());
            let said = None;
            Event::Outcome(Outcome { endpoint, purpose, sender, accepted, refused, refused_content, transient, said })
        },
    )
}

fn any_event() -> impl Strategy<Value = Event> {
    let simple = vec![
        Event::NothingToTry,
        Event::TrialPutOff,
        Event::ClientCame,
        Event::Stalled,
        Event::NoAnswer("timed out".to_owned()),
        Event::Flush,
        Event::Etrn,
        Event::EndpointsReady,
        Event::Suspend,
        Event::Resume,
        Event::Resolved(Err("SERVFAIL".to_owned())),
    ];
    prop_oneof![
        8 => Just(Event::Tick),
        4 => prop::sample::select(simple),
        4 => prop::collection::vec((0_u8..4).prop_map(listed), 0..4).prop_map(|list| Event::Resolved(Ok(list))),
        4 => any_key().prop_map(|key| Event::Probed(key, Ok(()))),
        4 => (any_key(), any_failure()).prop_map(|(key, failure)| Event::Probed(key, Err(failure))),
        1 => any_key().prop_map(Event::Opened),
        2 => (any_key(), any_failure(), 0_u32..3)
            .prop_map(|(endpoint, failure, others)| Event::OpenFailed { endpoint, failure, others }),
        1 => (any_key(), any_purpose())
            .prop_map(|(endpoint, purpose)| Event::SessionLost { endpoint, detail: String::new(), purpose }),
        1 => (any_key(), any_purpose(), 0_u32..3).prop_map(|(endpoint, purpose, others)| {
            Event::ServiceClosing { endpoint, detail: String::new(), others, purpose }
        }),
        12 => any_outcome(),
        1 => any_settings().prop_map(Event::Configured),
    ]
}

/// What must hold after each step.
fn check(health: &Health, before: PrimaryState, effects: &[Effect], now: Now) -> Result<(), TestCaseError> {
    prop_assert!(health.next_wake().is_some_and(|wake| wake > now.moment), "no wake-up: {:?}", health);
    let mut state = before;
    for effect in effects {
        if let Effect::StateChanged { from, to, .. } = effect {
            prop_assert_eq!(*from, state);
            prop_assert!(from != to);
            state = *to;
        }
    }
    prop_assert_eq!(state, health.state(), "every change is told");
    let delivers = matches!(state, PrimaryState::Up | PrimaryState::Recovering | PrimaryState::Deferring);
    prop_assert!(delivers || health.concurrency() == 0);
    prop_assert!(health.handover() == Handover::Running || health.concurrency() == 0);
    prop_assert!(!delivers || health.usable_endpoints().next().is_some());
    prop_assert!(!health.reject_is_final() || state == PrimaryState::Up);
    prop_assert!(!health.in_storm() || !matches!(state, PrimaryState::Up | PrimaryState::Deferring));
    let trials = effects.iter().filter(|effect| matches!(effect, Effect::TryOldest | Effect::RetryRefused { .. }));
    prop_assert!(trials.clone().count() <= usize::from(delivers && !health.is_suspended()));
    prop_assert!(effects.iter().filter(|effect| **effect == Effect::Resolve).count() <= 1);
    if effects.contains(&Effect::FinaliseWithheld) {
        prop_assert!(changed(effects, (PrimaryState::Recovering, PrimaryState::Up)), "{:?}", effects);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn it_stays_sound(
        settings in any_settings(),
        held in any::<bool>(),
        steps in prop::collection::vec((any_event(), 0_u64..40_000, any::<u32>()), 1..300),
    ) {
        let mut milli = 0;
        let now = |milli, chance| Now {
            moment: Moment::after_start(Duration::from_millis(milli)),
            wall: Timestamp::from_millis(1_767_225_600_000 + milli),
            jitter: Jitter::from_random(chance),
        };
        let mut health = Health::new(settings, if held { Backlog::Held } else { Backlog::Empty }, now(0, 0));
        for (event, passed, chance) in steps {
            milli += passed;
            let now = now(milli, chance);
            let before = health.state();
            let effects = health.step(event, now);
            check(&health, before, &effects, now)?;
        }
    }
}
