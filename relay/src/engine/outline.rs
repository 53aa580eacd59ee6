//! What a person sees of a status at a glance, as one short text that changes when that changes. Pure.

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    time::Duration,
};

use backupmx_relay_config::{
    AcceptMode, RelayConfig,
    status::{Accepting, PrimaryState, QueueStatus, RelayStatus, StorageStatus, TenantStatus},
};

use crate::clock::Timestamp;

/// Mail that is there for so long waits; what goes through in less is no news.
const WAITS: Duration = Duration::from_secs(2);

/// What a person sees at a glance. Of figures only whether they are none, and of the volume each tenth.
#[derive(Hash)]
struct Outline<'a> {
    started: &'a str,
    version: &'a str,
    revision: (u64, Option<u64>),
    refused: Option<&'a str>,
    accepting: Accepting,
    clock_jumped: bool,
    queue: Holding,
    orphaned: Holding,
    reports: Holding,
    damaged: bool,
    tenths: u64,
    door: Door,
    tenants: Vec<Line<'a>>,
}

/// Whether mail waits, and for what.
#[derive(Hash)]
struct Holding {
    any: bool,
    held: bool,
    parked: bool,
}

/// Whether new mail can come in. What comes in all the time counts only once the door is shut.
#[derive(Hash)]
enum Door {
    Open,
    Shut { coming_in: bool },
}

#[derive(Hash)]
struct Line<'a> {
    name: &'a str,
    state: PrimaryState,
    storm: bool,
    looping: bool,
    suspended: bool,
    door: Door,
    queue: Holding,
}

/// The generation of a status: the same text for the same outline, in one run of the program.
pub(super) fn generation(status: &RelayStatus, config: &RelayConfig, now: Timestamp) -> String {
    let mut hasher = DefaultHasher::new();
    outline(status, config, now).hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn outline<'a>(status: &'a RelayStatus, config: &RelayConfig, now: Timestamp) -> Outline<'a> {
    let RelayStatus {
        version,
        generation: _,
        contract_version: _,
        config_revision,
        config_kept,
        config_error,
        hostname: _,
        started,
        listeners: _,
        accepting,
        queue,
        in_flight,
        storage,
        tenants,
        orphaned,
        reports,
        clock_jumped,
        discards_domains: _,
    } = status;
    let shut = config.tenants.iter().all(|tenant| tenant.accept == AcceptMode::Defer);
    Outline {
        started,
        version,
        revision: (*config_revision, *config_kept),
        refused: config_error.as_deref(),
        accepting: *accepting,
        clock_jumped: *clock_jumped,
        queue: holding(queue, now),
        orphaned: holding(orphaned, now),
        reports: holding(reports, now),
        damaged: storage.quarantined > 0,
        tenths: tenths(storage),
        door: door(shut, *in_flight),
        tenants: tenants.iter().map(|tenant| line(tenant, config, now)).collect(),
    }
}

/// Who shuts a door waits for what is coming in.
fn door(shut: bool, in_flight: Option<u64>) -> Door {
    if shut { Door::Shut { coming_in: in_flight.unwrap_or(0) > 0 } } else { Door::Open }
}

fn line<'a>(tenant: &'a TenantStatus, config: &RelayConfig, now: Timestamp) -> Line<'a> {
    let known = config.tenants.iter().find(|known| known.name == tenant.name);
    let shut = known.is_some_and(|known| known.accept == AcceptMode::Defer);
    Line {
        door: door(shut, tenant.in_flight),
        name: &tenant.name,
        state: tenant.primary.state,
        storm: tenant.primary.reject_storm,
        looping: tenant.primary.looping,
        suspended: tenant.suspended,
        queue: holding(&tenant.queue, now),
    }
}

fn holding(queue: &QueueStatus, now: Timestamp) -> Holding {
    let oldest = queue.oldest_message_time.as_deref().and_then(Timestamp::from_rfc3339);
    Holding {
        any: queue.messages > 0 && oldest.is_none_or(|oldest| now.since(oldest) >= WAITS),
        held: queue.held > 0,
        parked: queue.parked > 0,
    }
}

fn tenths(storage: &StorageStatus) -> u64 {
    storage.used.saturating_mul(10).checked_div(storage.size).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use backupmx_relay_config::{examples, from_yaml};

    use super::*;
    use crate::admin::fake::status;

    fn config() -> RelayConfig {
        from_yaml(examples::HOLD_7_DAYS).unwrap()
    }

    /// A moment at which what the status holds has waited for long.
    fn later() -> Timestamp {
        Timestamp::from_rfc3339("2026-01-02T00:00:00Z").unwrap()
    }

    fn empty() -> RelayStatus {
        let mut status = status();
        (status.queue, status.reports) = (QueueStatus::default(), QueueStatus::default());
        status.tenants[0].queue = QueueStatus::default();
        status
    }

    fn differs(change: impl FnOnce(&mut RelayStatus)) -> bool {
        let mut changed = empty();
        change(&mut changed);
        generation(&changed, &config(), later()) != generation(&empty(), &config(), later())
    }

    #[test]
    fn what_a_person_would_see_is_another_generation() {
        let waiting = || QueueStatus {
            messages: 1,
            oldest_message_time: Some("2026-01-01T00:00:00Z".to_owned()),
            ..QueueStatus::default()
        };
        assert!(differs(|status| status.queue = waiting()));
        assert!(differs(|status| status.tenants[0].queue = waiting()));
        assert!(differs(|status| status.queue.parked = 1));
        assert!(differs(|status| status.config_revision += 1));
        assert!(differs(|status| status.config_error = Some("no".to_owned())));
        assert!(differs(|status| status.tenants[0].primary.state = PrimaryState::Up));
        assert!(differs(|status| status.tenants[0].primary.reject_storm = false));
        assert!(differs(|status| status.tenants[0].suspended = true));
        assert!(differs(|status| status.accepting = Accepting::ShuttingDown));
        assert!(differs(|status| status.storage.used = status.storage.size));
        assert!(differs(|status| status.started = "2026-01-03T00:00:00Z".to_owned()));
    }

    #[test]
    fn figures_and_mail_that_goes_through_are_not() {
        assert!(!differs(|_| {}));
        assert!(!differs(|status| status.queue.bytes = 1));
        assert!(!differs(|status| status.storage.available -= 1));
        assert!(!differs(|status| status.in_flight = Some(3)));
        let going_through =
            |messages| QueueStatus { messages, oldest_message_time: Some(later().rfc3339()), ..QueueStatus::default() };
        assert!(!differs(|status| status.queue = going_through(9)));
        assert!(!differs(|status| status.tenants[0].primary.next_probe = Some(later().rfc3339())));
    }

    #[test]
    fn what_comes_in_behind_a_shut_door_is_waited_for() {
        let mut config = config();
        config.tenants.iter_mut().for_each(|tenant| tenant.accept = AcceptMode::Defer);
        let with = |coming| {
            let status = RelayStatus { in_flight: Some(coming), ..empty() };
            generation(&status, &config, later())
        };
        assert_ne!(with(1), with(0));
        assert_eq!(with(1), with(2));
    }
}
