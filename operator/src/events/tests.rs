use backupmx_crds::{PrimaryStatus, RelayStatus, VolumeStatus};
use k8s_openapi::{apimachinery::pkg::apis::meta::v1::Time, jiff::Timestamp};

use super::*;

fn owner() -> Owner {
    Owner { namespace: "mail".into(), name: "example-org".into(), uid: "u".into() }
}

/// A resource as it goes on; what is told of each change.
#[derive(Default)]
struct Story(BackupMXStatus);

impl Story {
    fn told(&mut self, change: impl FnOnce(&mut BackupMXStatus)) -> Vec<&'static str> {
        let mut next = self.0.clone();
        change(&mut next);
        let events = told(&owner(), &self.0, &next, Less::Delivered);
        assert_eq!(told(&owner(), &next, &next, Less::Delivered), [], "what is still the case is not told again");
        self.0 = next;
        events.iter().map(|event| event.reason.as_str()).collect()
    }

    fn primary(&mut self, state: PrimaryState) -> Vec<&'static str> {
        self.told(|status| status.primary = Some(PrimaryStatus { state, since: None, last_error: None }))
    }

    fn queue(&mut self, messages: u64, held: u64, parked: u64) -> Vec<&'static str> {
        self.told(|status| status.queue = Some(QueueStatus { messages, held, parked, ..QueueStatus::default() }))
    }

    fn volume(&mut self, used_percent: u8) -> Vec<&'static str> {
        let volume = Some(VolumeStatus { size: "10Gi".into(), used_percent });
        self.told(|status| status.relays = vec![RelayStatus { name: "a".into(), volume, ..RelayStatus::default() }])
    }

    fn condition(&mut self, kind: ConditionType, status: &str, cause: Cause) -> Vec<&'static str> {
        let condition = Condition {
            type_: kind.as_str().into(),
            status: status.into(),
            reason: cause.as_str().into(),
            message: "what to do".into(),
            observed_generation: None,
            last_transition_time: Time(Timestamp::UNIX_EPOCH),
        };
        self.told(|status| status.conditions = vec![condition])
    }
}

const NOTHING: [&str; 0] = [];

#[test]
fn an_outage_from_its_beginning_to_its_end() {
    use PrimaryState::{Down, Recovering, Suspect, Up};
    let mut story = Story::default();
    assert_eq!(story.primary(Up), NOTHING, "a first look is no return");
    assert_eq!(story.primary(Suspect), NOTHING);
    assert_eq!(story.primary(Down), ["PrimaryDown"]);
    assert_eq!(story.queue(12, 0, 0), NOTHING);
    assert_eq!(story.primary(Recovering), ["PrimaryBack"]);
    assert_eq!(story.primary(Up), NOTHING);
    assert_eq!(story.queue(3, 0, 0), NOTHING);
    assert_eq!(story.queue(0, 0, 0), ["Drained"]);
}

#[test]
fn what_was_let_go_was_not_drained() {
    let held = |messages| BackupMXStatus {
        queue: Some(QueueStatus { messages, ..QueueStatus::default() }),
        ..BackupMXStatus::default()
    };
    let told = |less: Less| told(&owner(), &held(3), &held(0), less);
    assert_eq!(told(Less::Delivered), [Event::new(Reason::Drained, "no mail is held any more")]);
    assert_eq!(told(Less::Ordered), []);
}

#[test]
fn mail_that_waits_for_a_person_is_told_with_the_command_that_lists_it() {
    let relay = |name: &str, held| RelayStatus {
        name: name.into(),
        queue: Some(QueueStatus { messages: 3, held, ..QueueStatus::default() }),
        ..RelayStatus::default()
    };
    let after = BackupMXStatus {
        queue: Some(QueueStatus { messages: 6, held: 2, ..QueueStatus::default() }),
        relays: vec![relay("a", 2), relay("b", 0)],
        ..BackupMXStatus::default()
    };
    let events = told(&owner(), &BackupMXStatus::default(), &after, Less::Delivered);
    let note = &events.iter().find(|event| event.reason == Reason::MailNeedsDecision).unwrap().note;
    let list = commands::in_relay(&owner(), &"a".parse().unwrap(), "queue list --state held");
    assert!(note.ends_with(&list) && note.starts_with("2 messages are held for a person"), "{note}");
}

#[test]
fn a_return_is_told_though_the_relays_were_silent_between() {
    use PrimaryState::{Down, Recovering, Unknown};
    let mut story = Story::default();
    story.primary(Down);
    assert_eq!(story.primary(Unknown), NOTHING);
    assert_eq!(story.primary(Recovering), ["PrimaryBack"]);
}

#[test]
fn a_primary_that_is_back_and_not_well() {
    use PrimaryState::{Deferring, Recovering, Rejecting, Up};
    let mut story = Story::default();
    assert_eq!(story.primary(Deferring), ["PrimaryDeferring"]);
    assert_eq!(story.primary(Rejecting), ["RejectStorm"]);
    assert_eq!(story.primary(Recovering), ["PrimaryBack"]);
    assert_eq!(story.primary(Up), NOTHING);
}

#[test]
fn the_note_of_a_return_says_what_goes_out() {
    let mut story = Story::default();
    story.primary(PrimaryState::Down);
    story.queue(12, 0, 0);
    let mut next = story.0.clone();
    next.primary.as_mut().unwrap().state = PrimaryState::Recovering;
    assert_eq!(
        told(&owner(), &story.0, &next, Less::Delivered)[0].note,
        "the primary takes mail again, and gets what is held: 12 messages are on the way"
    );
}

#[test]
fn a_primary_that_is_one_of_the_relays_is_not_told_as_an_outage_too() {
    let mut story = Story::default();
    story.condition(ConditionType::PrimaryReachable, "False", Cause::Down);
    assert_eq!(story.primary(PrimaryState::Down), ["PrimaryDown"]);
    assert_eq!(story.condition(ConditionType::PrimaryReachable, "False", Cause::Looping), ["PrimaryLooping"]);
    assert_eq!(story.primary(PrimaryState::Suspect), NOTHING);
    assert_eq!(story.primary(PrimaryState::Down), NOTHING);
}

#[test]
fn a_volume_that_fills() {
    let mut story = Story::default();
    assert_eq!(story.volume(49), NOTHING);
    assert_eq!(story.volume(50), ["VolumePast50"]);
    assert_eq!(story.volume(60), NOTHING);
    assert_eq!(story.volume(95), ["VolumePast90"], "of two steps at once the higher");
    assert_eq!(story.volume(80), NOTHING, "it empties");
    assert_eq!(story.volume(91), ["VolumePast90"]);
}

#[test]
fn mail_that_needs_a_person() {
    let mut story = Story::default();
    assert_eq!(story.queue(5, 1, 0), ["MailNeedsDecision"]);
    assert_eq!(story.queue(5, 1, 2), ["MailParked"]);
    assert_eq!(story.queue(5, 2, 3), ["MailNeedsDecision", "MailParked"]);
    assert_eq!(story.queue(3, 1, 2), NOTHING, "some of it was decided on");
}

#[test]
fn dns_that_is_wrong_and_dns_that_takes_time() {
    let kind = ConditionType::DNSPublished;
    let mut story = Story::default();
    for (status, cause, wanted) in [
        ("Unknown", Cause::Pending, &[][..]),
        ("False", Cause::WaitingForRelays, &[]),
        ("False", Cause::HostWithoutAddress, &[]),
        ("False", Cause::WaitingForExternalDNS, &[]),
        ("False", Cause::ForeignRecordSet, &["DNSWrong"]),
        ("False", Cause::WrongRecords, &["DNSWrong"]),
        ("True", Cause::Published, &["DNSPublished"]),
        ("Unknown", Cause::LookupFailed, &[]),
        ("True", Cause::Published, &["DNSPublished"]),
        ("False", Cause::NotDelegated, &["DNSWrong"]),
        ("True", Cause::Published, &["DNSPublished"]),
        ("False", Cause::HostWithoutAddress, &["DNSWrong"]),
    ] {
        assert_eq!(story.condition(kind, status, cause), wanted, "{cause}");
    }
}

#[test]
fn conditions_that_have_become_so() {
    use ConditionType::{
        DomainConflict, Draining, HostnameConflict, PrimaryReachable, QueueHealthy, RelaysReady, Stalled,
        StorageHealthy,
    };
    for (kind, status, cause, wanted) in [
        (Stalled, "True", Cause::InvalidSpec, "Stalled"),
        (Stalled, "True", Cause::ReferenceNotFound, "Stalled"),
        (Stalled, "True", Cause::ApplyFailed, "Stalled"),
        (PrimaryReachable, "False", Cause::Looping, "PrimaryLooping"),
        (QueueHealthy, "False", Cause::ExpiringSoon, "MailNearExpiry"),
        (QueueHealthy, "False", Cause::Full, "VolumeFull"),
        (QueueHealthy, "False", Cause::Quarantined, "MailQuarantined"),
        (QueueHealthy, "False", Cause::ClockJumped, "ClockJumped"),
        (StorageHealthy, "False", Cause::CannotGrow, "VolumeCannotGrow"),
        (StorageHealthy, "False", Cause::ResizeFailed, "VolumeResizeFailed"),
        (StorageHealthy, "False", Cause::DeletedWhileHolding, "ClaimDeleted"),
        (StorageHealthy, "False", Cause::DeletedWhileStopped, "ClaimStranded"),
        (StorageHealthy, "False", Cause::ClaimLost, "ClaimLost"),
        (DomainConflict, "True", Cause::OwnedByAnother, "DomainConflict"),
        (DomainConflict, "True", Cause::NotAllowed, "DomainNotAllowed"),
        (HostnameConflict, "True", Cause::OwnedByAnother, "HostnameConflict"),
        (HostnameConflict, "True", Cause::NotAllowed, "HostnameNotAllowed"),
        (RelaysReady, "False", Cause::ConfigRefused, "ConfigRefused"),
        (Draining, "True", Cause::Stuck, "DrainStuck"),
    ] {
        assert_eq!(Story::default().condition(kind, status, cause), [wanted], "{cause}");
    }
    for (kind, status, cause) in [
        (Stalled, "False", Cause::UpToDate),
        // The condition that they are of tells of them.
        (Stalled, "True", Cause::ConfigRefused),
        (Stalled, "True", Cause::Stuck),
        (Stalled, "True", Cause::OwnedByAnother),
        (Stalled, "True", Cause::NotAllowed),
        (PrimaryReachable, "False", Cause::Down),
        (QueueHealthy, "True", Cause::Holding),
        (QueueHealthy, "False", Cause::AlmostFull),
        (StorageHealthy, "True", Cause::Growing),
        (DomainConflict, "False", Cause::NoConflict),
        (RelaysReady, "False", Cause::PodNotReady),
        (Draining, "True", Cause::Delivering),
    ] {
        assert_eq!(Story::default().condition(kind, status, cause), NOTHING, "{cause}");
    }
}

#[test]
fn a_claim_that_was_deleted_and_what_came_in_its_place() {
    let kind = ConditionType::StorageHealthy;
    let mut story = Story::default();
    assert_eq!(story.condition(kind, "True", Cause::Bound), NOTHING);
    assert_eq!(story.condition(kind, "False", Cause::DeletedWhileHolding), ["ClaimDeleted"]);
    assert_eq!(story.condition(kind, "False", Cause::DeletedWhileStopped), ["ClaimStranded"]);
    assert_eq!(story.condition(kind, "False", Cause::DeletedWhileHolding), NOTHING);
    assert_eq!(story.condition(kind, "Unknown", Cause::Provisioning), ["ClaimReplaced"]);
    assert_eq!(story.condition(kind, "True", Cause::Bound), NOTHING);
}
