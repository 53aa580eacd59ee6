//! Figures that are read at each scrape, and the text that `/metrics` answers with.

use backupmx_relay_config::{
    HoldTimes, RelayConfig,
    status::{PrimaryState, QueueStatus, RelayStatus},
};
use prometheus::{Encoder as _, IntGaugeVec, Opts, Registry, TextEncoder, proto::MetricFamily};

use crate::{clock::Timestamp, schedule};

/// The label of mail whose domain is no tenant's any more.
const ORPHANED: &str = "orphaned";

/// The label of our own reports.
const REPORT: &str = "report";

/// The counters and the figures of the status, in Prometheus' text format (0.0.4).
///
/// # Errors
/// Two metrics have one name: a mistake in this crate.
pub(super) fn text(
    counters: &Registry,
    status: &RelayStatus,
    config: &RelayConfig,
    now: Timestamp,
) -> Result<String, prometheus::Error> {
    let mut families = counters.gather();
    families.extend(figures(status, config, now)?);
    let mut text = Vec::new();
    TextEncoder::new().encode(&families, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

/// The figures of the status. What the config says of a tenant is found by its name: it may be newer by a moment.
fn figures(status: &RelayStatus, config: &RelayConfig, now: Timestamp) -> Result<Vec<MetricFamily>, prometheus::Error> {
    let registry = Registry::new();
    let gauge = |name: &str, help: &str, labels: &[&str]| -> Result<IntGaugeVec, prometheus::Error> {
        let gauge = IntGaugeVec::new(Opts::new(format!("backupmx_{name}"), help), labels)?;
        registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    };
    let messages = gauge("held_messages", "Messages held now, by what they wait for.", &["tenant", "standing"])?;
    let bytes = gauge("held_bytes", "Bytes of the messages held now.", &["tenant"])?;
    let oldest = gauge("oldest_message_age_seconds", "Age of the oldest message; 0 where none is held.", &["tenant"])?;
    let queues = status.tenants.iter().map(|tenant| (tenant.name.as_str(), &tenant.queue));
    for (name, queue) in queues.chain([(ORPHANED, &status.orphaned), (REPORT, &status.reports)]) {
        let waiting = queue.messages.saturating_sub(queue.held).saturating_sub(queue.parked);
        // Added, not set: a tenant may have one of our own labels as its name.
        for (standing, count) in [("queued", waiting), ("held", queue.held), ("parked", queue.parked)] {
            messages.with_label_values(&[name, standing]).add(signed(count));
        }
        bytes.with_label_values(&[name]).add(signed(queue.bytes));
        let age = oldest.with_label_values(&[name]);
        age.set(age.get().max(oldest_age(queue, now)));
    }
    let hold = gauge("hold_seconds", "How long mail is held.", &["tenant"])?;
    let left = gauge(
        "hold_remaining_seconds",
        "Until the hold time of the oldest message ends that is not parked.",
        &["tenant"],
    )?;
    for tenant in &status.tenants {
        let Some(terms) = config.tenants.iter().find(|known| known.name == tenant.name).map(|known| &known.hold) else {
            continue;
        };
        hold.with_label_values(&[&tenant.name]).set(signed(terms.max_age.as_duration().as_secs()));
        left.with_label_values(&[&tenant.name]).set(remaining(&tenant.queue, terms, now));
    }
    let states = gauge("primary_state", "1 for the state that a primary is in.", &["tenant", "state"])?;
    let storms = gauge("reject_storm", "1 while a storm of rejects stops deliveries.", &["tenant"])?;
    let loops = gauge("primary_loop", "1 while the primary is this relay itself.", &["tenant"])?;
    let suspended = gauge("suspended", "1 while deliveries are switched off.", &["tenant"])?;
    for tenant in &status.tenants {
        for state in PrimaryState::ALL {
            let here = i64::from(tenant.primary.state == state);
            states.with_label_values(&[tenant.name.as_str(), &format!("{state:?}")]).set(here);
        }
        storms.with_label_values(&[&tenant.name]).set(i64::from(tenant.primary.reject_storm));
        loops.with_label_values(&[&tenant.name]).set(i64::from(tenant.primary.looping));
        suspended.with_label_values(&[&tenant.name]).set(i64::from(tenant.suspended));
    }
    let spool = gauge("spool_bytes", "The spool: used, available to new mail, and its size.", &["kind"])?;
    let storage = &status.storage;
    for (kind, count) in [("used", storage.used), ("available", storage.available), ("size", storage.size)] {
        spool.with_label_values(&[kind]).set(signed(count));
    }
    let plain = |name: &str, help: &str, value: i64| -> Result<(), prometheus::Error> {
        let gauge = prometheus::IntGauge::new(format!("backupmx_{name}"), help)?;
        gauge.set(value);
        registry.register(Box::new(gauge))
    };
    plain("quarantined_files", "Files in the spool's quarantine.", signed(storage.quarantined))?;
    plain("config_revision", "The revision of the config in force.", signed(status.config_revision))?;
    plain("config_error", "1 while the last config offered was refused.", i64::from(status.config_error.is_some()))?;
    plain("clock_jumped", "1 while the wall clock is not believed.", i64::from(status.clock_jumped))?;
    gauge("build_info", "Always 1.", &["version"])?.with_label_values(&[&status.version]).set(1);
    Ok(registry.gather())
}

/// Seconds until the hold time of the oldest message ends that is not parked; below 0 once it has. Where none is held: of
/// one that came now.
fn remaining(queue: &QueueStatus, hold: &HoldTimes, now: Timestamp) -> i64 {
    let oldest = queue.oldest_waiting_time.as_deref().and_then(Timestamp::from_rfc3339);
    let ends = schedule::deadline(oldest.unwrap_or(now), hold);
    signed(ends.since(now).as_secs()) - signed(now.since(ends).as_secs())
}

fn oldest_age(queue: &QueueStatus, now: Timestamp) -> i64 {
    let oldest = queue.oldest_message_time.as_deref().and_then(Timestamp::from_rfc3339);
    oldest.map_or(0, |oldest| signed(now.since(oldest).as_secs()))
}

fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
pub(crate) mod tests {
    use backupmx_relay_config::status::{Accepting, PrimaryStatus, StorageStatus, TenantStatus};

    use super::*;

    /// A relay that holds 12 messages of one tenant.
    pub(crate) fn status() -> RelayStatus {
        let queue = QueueStatus {
            messages: 12,
            bytes: 4096,
            held: 2,
            parked: 1,
            oldest_message_time: Some("2026-01-01T00:00:00Z".to_owned()),
            oldest_waiting_time: Some("2026-01-01T00:00:00Z".to_owned()),
        };
        RelayStatus {
            version: "1.2.3".to_owned(),
            generation: None,
            contract_version: 1,
            config_revision: 7,
            config_kept: Some(7),
            config_error: None,
            hostname: "mx.example".to_owned(),
            started: "2026-01-01T00:00:00Z".to_owned(),
            listeners: vec![],
            accepting: Accepting::Yes,
            queue: queue.clone(),
            in_flight: Some(0),
            storage: StorageStatus { used: 10, available: 20, size: 30, quarantined: 1 },
            tenants: vec![TenantStatus {
                name: "report".to_owned(),
                domains: vec!["example.org".to_owned()],
                primary: PrimaryStatus {
                    state: PrimaryState::Down,
                    since: "2026-01-01T00:00:00Z".to_owned(),
                    next_probe: None,
                    last_error: None,
                    reject_storm: true,
                    looping: true,
                },
                queue: queue.clone(),
                in_flight: Some(0),
                suspended: false,
            }],
            orphaned: QueueStatus::default(),
            reports: queue,
            clock_jumped: false,
            discards_domains: true,
        }
    }

    /// The config with that tenant, whose hold is given as the inside of a YAML flow mapping.
    fn config(hold: &str) -> RelayConfig {
        backupmx_relay_config::from_yaml(&format!(
            "{{contractVersion: 1, hostname: mx.example, listeners: [{{address: '127.0.0.1:25'}}], spool: {{path: /x}},
              tenants: [{{name: report, domains: [example.org], primary: {{hosts: [{{host: h.test}}]}}, hold: {hold}}}]}}"
        ))
        .expect("a config")
    }

    /// The name of every figure.
    pub(crate) fn names() -> Vec<String> {
        let families = figures(&status(), &config("{}"), Timestamp::default()).expect("no name is taken twice");
        families.iter().map(|family| family.name().to_owned()).collect()
    }

    #[test]
    fn the_time_that_is_left_is_that_of_the_oldest_message() {
        let now = Timestamp::from_rfc3339("2026-01-01T01:00:00Z").expect("a moment");
        let held = |since: Option<&str>| QueueStatus {
            oldest_message_time: Some("2025-11-11T00:00:00Z".to_owned()),
            oldest_waiting_time: since.map(str::to_owned),
            ..QueueStatus::default()
        };
        for (since, hold, left) in [
            (Some("2026-01-01T00:00:00Z"), "{maxAge: 2h}", 3600),
            (Some("2025-12-31T22:00:00Z"), "{maxAge: 2h}", -3600),
            (Some("2025-12-31T22:00:00Z"), "{maxAge: 2h, extendUntil: '2026-01-01T01:01:00Z'}", 60),
            (None, "{maxAge: 2h}", 7200),
        ] {
            assert_eq!(remaining(&held(since), &config(hold).tenants[0].hold, now), left, "{since:?} {hold}");
        }
    }

    #[test]
    fn the_status_becomes_figures() {
        let now = Timestamp::from_rfc3339("2026-01-01T01:00:00Z").expect("a moment");
        let text = text(&Registry::new(), &status(), &config("{maxAge: 2h}"), now).expect("no name is taken twice");
        for line in [
            // A tenant named as our own label is counted with it rather than lost.
            "backupmx_held_messages{standing=\"queued\",tenant=\"report\"} 18",
            "backupmx_held_messages{standing=\"held\",tenant=\"report\"} 4",
            "backupmx_held_messages{standing=\"parked\",tenant=\"orphaned\"} 0",
            "backupmx_held_bytes{tenant=\"report\"} 8192",
            "backupmx_oldest_message_age_seconds{tenant=\"report\"} 3600",
            "backupmx_hold_seconds{tenant=\"report\"} 7200",
            "backupmx_hold_remaining_seconds{tenant=\"report\"} 3600",
            "backupmx_primary_state{state=\"Down\",tenant=\"report\"} 1",
            "backupmx_primary_state{state=\"Up\",tenant=\"report\"} 0",
            "backupmx_reject_storm{tenant=\"report\"} 1",
            "backupmx_primary_loop{tenant=\"report\"} 1",
            "backupmx_spool_bytes{kind=\"available\"} 20",
            "backupmx_config_revision 7",
            "backupmx_build_info{version=\"1.2.3\"} 1",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
