//! When the hold time of a message is over, and when its sender is told that it is late.
//!
//! Nothing expires on the clock's word alone: after its deadline its delivery must have been tried once more.

use backupmx_relay_config::{HoldTimes, status::PrimaryState};

use super::ClockTrust;
use crate::clock::Timestamp;

/// Whether held mail is on its way at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Handover {
    /// As soon as the primary takes it.
    Running,
    /// A person or the config has switched it off.
    Suspended,
    /// A storm of rejects stopped it.
    Storm,
}

/// What was tried for a message since the program started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Evidence {
    /// The last attempt to deliver this very message that did not succeed.
    pub attempt: Option<Timestamp>,
    /// The last failed probe of a primary that has not answered since.
    pub failed_probe: Option<Timestamp>,
}

/// What the decision to give a message up, or to warn its sender, depends on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExpiryInput {
    /// The wall clock.
    pub now: Timestamp,
    /// Whether it is believed.
    pub clock: ClockTrust,
    /// When the program started, by the wall clock.
    pub started: Timestamp,
    /// The primary's state.
    pub primary: PrimaryState,
    /// Whether mail is handed over.
    pub handover: Handover,
    /// What was tried.
    pub evidence: Evidence,
}

/// When the hold time of a message that arrived then is over: after `maxAge`, but not before `extendUntil`.
#[must_use]
pub fn deadline(arrived: Timestamp, hold: &HoldTimes) -> Timestamp {
    let aged = arrived + hold.max_age.as_duration();
    hold.extend_until.map_or(aged, |extended| aged.max(extended.into()))
}

/// Whether a message with that deadline may be given up now.
///
/// Its deadline has passed, the wall clock is believed, mail is being handed over (neither suspended nor in a storm),
/// and after the deadline and since the program started an attempt to deliver it failed. Where the primary is down or
/// takes no message at all, one failed probe is an attempt for all of them.
#[must_use]
pub fn may_expire(deadline: Timestamp, input: &ExpiryInput) -> bool {
    input.now >= deadline
        && input.clock == ClockTrust::Believed
        && input.handover == Handover::Running
        && tried_after(deadline, input)
}

/// When the sender of a message that arrived then is to be told that it is late; none: never.
#[must_use]
pub fn warn_at(arrived: Timestamp, hold: &HoldTimes) -> Option<Timestamp> {
    hold.warn_sender_after.map(|after| arrived + after.as_duration())
}

/// Whether the sender of a message is to be told now that it is late, where [`warn_at`] names that moment and it was
/// not told yet.
///
/// As with [`may_expire`] delivery must have failed since then, or be held back: a relay that was switched off for a
/// day tells nobody of mail that it hands over a second later.
#[must_use]
pub fn warn_due(warn_at: Timestamp, input: &ExpiryInput) -> bool {
    input.now >= warn_at
        && input.clock == ClockTrust::Believed
        && (input.handover != Handover::Running || tried_after(warn_at, input))
}

fn tried_after(moment: Timestamp, input: &ExpiryInput) -> bool {
    let after = |tried: Option<Timestamp>| tried.is_some_and(|tried| tried >= moment && tried >= input.started);
    let probed = match input.primary {
        PrimaryState::Down | PrimaryState::Deferring => after(input.evidence.failed_probe),
        PrimaryState::Unknown | PrimaryState::Up | PrimaryState::Suspect | PrimaryState::Recovering => false,
    };
    probed || after(input.evidence.attempt)
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use backupmx_relay_config::Span;
    use proptest::prelude::*;

    use super::*;

    fn at(second: u64) -> Timestamp {
        Timestamp::from_millis(second * 1000)
    }

    fn hold(max_age: u64, extend_until: Option<u64>, warn: Option<u64>) -> HoldTimes {
        HoldTimes {
            max_age: Span::seconds(max_age),
            extend_until: extend_until.map(|second| UNIX_EPOCH + Duration::from_secs(second)),
            warn_sender_after: warn.map(Span::seconds),
        }
    }

    /// Tried in vain at second 1000, twice over; the program started at 0.
    fn tried() -> ExpiryInput {
        ExpiryInput {
            now: at(1000),
            clock: ClockTrust::Believed,
            started: at(0),
            primary: PrimaryState::Down,
            handover: Handover::Running,
            evidence: Evidence { attempt: Some(at(1000)), failed_probe: Some(at(1000)) },
        }
    }

    #[test]
    fn the_deadline_is_an_age_or_a_date_whichever_is_later() {
        for (extend, expected) in [(None, 150), (Some(0), 150), (Some(149), 150), (Some(151), 151), (Some(9999), 9999)]
        {
            assert_eq!(deadline(at(50), &hold(100, extend, None)), at(expected), "extended until {extend:?}");
        }
    }

    #[test]
    fn expires_after_its_deadline_when_tried_in_vain() {
        assert!(may_expire(at(1000), &tried()));
        assert!(!may_expire(at(1001), &tried()));
    }

    #[test]
    fn each_guard_alone_keeps_it() {
        let probe = Evidence { attempt: None, failed_probe: Some(at(1000)) };
        for (keeps, input) in [
            ("a doubted clock", ExpiryInput { clock: ClockTrust::Doubted, ..tried() }),
            ("suspension", ExpiryInput { handover: Handover::Suspended, ..tried() }),
            ("a storm", ExpiryInput { handover: Handover::Storm, ..tried() }),
            ("nothing tried", ExpiryInput { evidence: Evidence::default(), ..tried() }),
            ("a later start", ExpiryInput { started: at(1001), now: at(1002), ..tried() }),
            ("a probe of one that is up", ExpiryInput { primary: PrimaryState::Up, evidence: probe, ..tried() }),
            ("a probe of a suspect", ExpiryInput { primary: PrimaryState::Suspect, evidence: probe, ..tried() }),
            ("a probe of one on trial", ExpiryInput { primary: PrimaryState::Recovering, evidence: probe, ..tried() }),
            (
                "attempts before the deadline",
                ExpiryInput { evidence: Evidence { attempt: Some(at(899)), failed_probe: Some(at(899)) }, ..tried() },
            ),
        ] {
            assert!(!may_expire(at(900), &input), "{keeps}");
        }
    }

    #[test]
    fn its_own_attempt_or_a_failed_probe_is_enough() {
        for state in PrimaryState::ALL {
            let own = Evidence { attempt: Some(at(1000)), failed_probe: None };
            assert!(may_expire(at(900), &ExpiryInput { primary: state, evidence: own, ..tried() }), "{state:?}");
        }
        for state in [PrimaryState::Down, PrimaryState::Deferring] {
            let probe = Evidence { attempt: None, failed_probe: Some(at(1000)) };
            assert!(may_expire(at(900), &ExpiryInput { primary: state, evidence: probe, ..tried() }), "{state:?}");
        }
    }

    #[test]
    fn warns_when_late_and_tried_in_vain_or_held_back() {
        assert_eq!(warn_at(at(50), &hold(100, None, None)), None);
        assert_eq!(warn_at(at(50), &hold(100, None, Some(40))), Some(at(90)));
        let idle = ExpiryInput { evidence: Evidence::default(), ..tried() };
        for (due, input) in [
            (true, tried()),
            (false, idle),
            (true, ExpiryInput { handover: Handover::Suspended, ..idle }),
            (true, ExpiryInput { handover: Handover::Storm, ..idle }),
            (false, ExpiryInput { clock: ClockTrust::Doubted, ..tried() }),
            (false, ExpiryInput { now: at(899), ..tried() }),
            (false, ExpiryInput { started: at(1001), now: at(1002), ..tried() }),
        ] {
            assert_eq!(warn_due(at(900), &input), due, "{input:?}");
        }
    }

    proptest! {
        #[test]
        fn a_longer_hold_never_expires_sooner(
            arrived in 0_u64..1000, age in 1_u64..1000, more in 0_u64..1000, extend in prop::option::of(0_u64..3000)
        ) {
            let base = deadline(at(arrived), &hold(age, None, None));
            let longer = deadline(at(arrived), &hold(age + more, extend, None));
            prop_assert!(longer >= base);
        }

        #[test]
        fn nothing_expires_untried(
            due in 0_u64..100, now in 0_u64..100, started in 0_u64..100, state in 0_usize..6,
            attempt in prop::option::of(0_u64..100), probe in prop::option::of(0_u64..100),
        ) {
            let evidence = Evidence { attempt: attempt.map(at), failed_probe: probe.map(at) };
            let primary = PrimaryState::ALL[state];
            let input = ExpiryInput { now: at(now), started: at(started), primary, evidence, ..tried() };
            if may_expire(at(due), &input) {
                let last = attempt.max(probe);
                prop_assert!(last.is_some_and(|last| last >= due && last >= started), "{:?}", input);
            }
        }
    }
}
