//! What the relay counts, in Prometheus' conventions. `relay/README.md` documents each.

use std::cell::RefCell;

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, core::Collector,
};

/// Every counter of the relay, in one registry.
#[derive(Debug)]
pub struct Metrics {
    /// What `/metrics` gathers. Figures that are read off the spool at each scrape are added to it by the admin API.
    pub registry: Registry,
    /// Sessions open now.
    pub connections: IntGauge,
    /// Sessions by how they began: `accepted`, or the bound that refused them.
    pub connections_total: IntCounterVec,
    /// Messages made durable and answered 250, by tenant.
    pub taken: IntCounterVec,
    /// Refusals by reason.
    pub refused: IntCounterVec,
    /// Recipients that the destination took, by tenant (`report` for our own reports).
    pub delivered: IntCounterVec,
    /// Recipients that the destination answered 4xx, by tenant.
    pub deferred: IntCounterVec,
    /// Recipients that the destination answered 5xx, by tenant.
    pub rejected: IntCounterVec,
    /// Messages whose hold time ended, by tenant.
    pub expired: IntCounterVec,
    /// Messages reported to their senders, by tenant.
    pub bounced: IntCounterVec,
    /// Messages parked, by tenant.
    pub parked: IntCounterVec,
    /// Messages removed without delivery or report (parked and over time, or discarded by a person), by reason.
    pub removed: IntCounterVec,
    /// Seconds from arrival to delivery, by tenant.
    pub queue_seconds: HistogramVec,
    /// Probes of primaries, by tenant and result (`ok`, `failed`).
    pub probes: IntCounterVec,
    /// Seconds that one commit (write and sync) took.
    pub commit_seconds: Histogram,
    /// Records made durable by one commit.
    pub commit_records: Histogram,
    /// Commits that failed.
    pub commit_failures: IntCounter,
    /// Damaged parts of the spool that were set aside.
    pub quarantined: IntCounter,
    /// Clients' names and SPF results, looked up after their mail was taken, by result.
    pub observations: IntCounterVec,
    /// Configs refused.
    pub config_refused: IntCounter,
    names: Vec<String>,
}

impl Metrics {
    /// A new set of counters, all zero. Those with labels of which every value is known are there from now on: an alert on
    /// what grows sees the first one only where it has seen none before.
    ///
    /// # Errors
    /// Two counters of one name: a mistake in this file that every start shows.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Named::default();
        let counter = |name: &str, help: &str, labels: &[&str]| {
            register(&registry, IntCounterVec::new(Opts::new(format!("backupmx_{name}"), help), labels)?)
        };
        let latency = vec![0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0];
        let ages =
            vec![1.0, 5.0, 30.0, 60.0, 300.0, 1800.0, 3600.0, 21_600.0, 86_400.0, 259_200.0, 604_800.0, 1_209_600.0];
        let sizes = vec![1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0];
        let metrics = Self {
            connections: register(&registry, IntGauge::new("backupmx_connections", "Sessions open now.")?)?,
            connections_total: counter("connections_total", "Sessions, by result.", &["result"])?,
            taken: counter("messages_taken_total", "Messages made durable and answered 250.", &["tenant"])?,
            refused: counter("refused_total", "Refusals, by reason.", &["reason"])?,
            delivered: counter("recipients_delivered_total", "Recipients that the destination took.", &["tenant"])?,
            deferred: counter(
                "recipients_deferred_total",
                "Recipients that the destination answered 4xx.",
                &["tenant"],
            )?,
            rejected: counter(
                "recipients_rejected_total",
                "Recipients that the destination answered 5xx.",
                &["tenant"],
            )?,
            expired: counter("messages_expired_total", "Messages whose hold time ended.", &["tenant"])?,
            bounced: counter("messages_bounced_total", "Messages reported to their senders.", &["tenant"])?,
            parked: counter("messages_parked_total", "Messages parked.", &["tenant"])?,
            removed: counter("messages_removed_total", "Messages removed without delivery or report.", &["reason"])?,
            queue_seconds: register(
                &registry,
                HistogramVec::new(
                    HistogramOpts::new("backupmx_queue_seconds", "Seconds from arrival to delivery.").buckets(ages),
                    &["tenant"],
                )?,
            )?,
            probes: counter("probes_total", "Probes of primaries, by result.", &["tenant", "result"])?,
            commit_seconds: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("backupmx_commit_seconds", "Seconds that one commit took.").buckets(latency),
                )?,
            )?,
            commit_records: register(
                &registry,
                Histogram::with_opts(
                    HistogramOpts::new("backupmx_commit_records", "Records made durable by one commit.").buckets(sizes),
                )?,
            )?,
            commit_failures: register(
                &registry,
                IntCounter::new("backupmx_commit_failures_total", "Commits that failed.")?,
            )?,
            quarantined: register(
                &registry,
                IntCounter::new("backupmx_spool_quarantined_total", "Damaged parts of the spool that were set aside.")?,
            )?,
            observations: counter(
                "observations_total",
                "Look-ups of a client's name and SPF result, by result.",
                &["result"],
            )?,
            config_refused: register(&registry, IntCounter::new("backupmx_config_refused_total", "Configs refused.")?)?,
            names: registry.names.into_inner(),
            registry: registry.registry,
        };
        for result in ["accepted", "too_many", "too_many_from_address", "too_many_from_network"] {
            metrics.connections_total.with_label_values(&[result]).inc_by(0);
        }
        for reason in ["parked_expired", "parked_crowded", "discarded", "report_undeliverable"] {
            metrics.removed.with_label_values(&[reason]).inc_by(0);
        }
        for result in ["recorded", "unanswered", "late", "dropped"] {
            metrics.observations.with_label_values(&[result]).inc_by(0);
        }
        Ok(metrics)
    }

    /// Has what is counted for each of these tenants begin at zero, where it has not begun yet.
    pub fn begin<'a>(&self, tenants: impl IntoIterator<Item = &'a str>) {
        let Self { taken, delivered, deferred, rejected, expired, bounced, parked, .. } = self;
        for tenant in tenants {
            for counter in [taken, delivered, deferred, rejected, expired, bounced, parked] {
                counter.with_label_values(&[tenant]).inc_by(0);
            }
            for result in ["ok", "failed"] {
                self.probes.with_label_values(&[tenant, result]).inc_by(0);
            }
        }
    }

    /// The name of every counter, also of those that have counted nothing yet and so are not gathered.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }
}

/// A registry, and the names of what is in it: Prometheus' own does not tell.
#[derive(Default)]
struct Named {
    registry: Registry,
    names: RefCell<Vec<String>>,
}

fn register<C: Collector + Clone + 'static>(named: &Named, collector: C) -> Result<C, prometheus::Error> {
    named.registry.register(Box::new(collector.clone()))?;
    named.names.borrow_mut().extend(collector.desc().iter().map(|desc| desc.fq_name.clone()));
    Ok(collector)
}

#[cfg(test)]
mod tests {
    use super::Metrics;

    /// The names in a text that look like ours.
    fn named(text: &str) -> Vec<&str> {
        let word = |c: char| !c.is_ascii_alphanumeric() && c != '_';
        text.split(word).filter(|name| name.starts_with("backupmx_") && !name.starts_with("backupmx_relay")).collect()
    }

    #[test]
    fn the_label_values_of_the_manual_are_there_from_the_beginning() {
        let metrics = Metrics::new().unwrap();
        metrics.begin(["example"]);
        let text = prometheus::TextEncoder::new().encode_to_string(&metrics.registry.gather()).unwrap();
        let mut found = 0;
        for row in include_str!("../README.md").lines().filter(|line| line.starts_with("| `backupmx_")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, "counter", labels, meaning, _] = cells[..] else { continue };
            let values: Vec<&str> = meaning.split('`').skip(1).step_by(2).collect();
            let wanted: Vec<String> = match labels {
                "`tenant`" => vec!["tenant=\"example\"".to_owned()],
                "`result`" => values.iter().map(|value| format!("result=\"{value}\"")).collect(),
                "`tenant`, `result`" => {
                    values.iter().map(|value| format!("result=\"{value}\",tenant=\"example\"")).collect()
                }
                // Of the reasons for a refusal the manual names some.
                "`reason`" if !meaning.contains("such as") => {
                    values.iter().map(|value| format!("reason=\"{value}\"")).collect()
                }
                _ => continue,
            };
            for labels in wanted {
                let line = format!("{}{{{labels}}} 0", name.trim_matches('`'));
                assert!(text.lines().any(|shown| shown == line), "{line} is not in {text}");
                found += 1;
            }
        }
        assert_eq!(found, 7 + 4 + 4 + 4 + 2);
    }

    #[test]
    fn the_manual_documents_every_metric_and_no_other() {
        let manual = include_str!("../README.md");
        let mut known = Metrics::new().unwrap().names().to_vec();
        known.extend(crate::admin::scraped_names());
        for name in &known {
            assert!(manual.contains(&format!("| `{name}` |")), "{name} has no line in relay/README.md");
        }
        for name in named(manual) {
            assert!(known.iter().any(|known| known == name), "relay/README.md documents {name}, which does not exist");
        }
    }

    /// <https://prometheus.io/docs/practices/naming/>: counters end with `_total`, and nothing else does; times are in
    /// seconds and sizes in bytes.
    #[test]
    fn names_keep_the_conventions() {
        let manual = include_str!("../README.md");
        let rows = manual.lines().filter_map(|line| line.strip_prefix("| `backupmx_"));
        let rows: Vec<Vec<&str>> = rows.map(|row| row.split('|').map(str::trim).collect()).collect();
        assert!(rows.len() > 20, "{rows:?}");
        let metrics = Metrics::new().unwrap();
        metrics.commit_seconds.observe(1.0);
        for family in metrics.registry.gather() {
            let name = family.name().trim_start_matches("backupmx_");
            let row = rows.iter().find(|row| row[0].trim_end_matches('`') == name).unwrap();
            assert_eq!(format!("{:?}", family.get_field_type()).to_lowercase(), row[1], "{name}");
        }
        for row in rows {
            let name = row[0].trim_end_matches('`');
            assert_eq!(name.ends_with("_total"), row[1] == "counter", "{name}");
            for unit in ["_ms", "_milliseconds", "_minutes", "_kb", "_mb", "_octets"] {
                assert!(!name.contains(unit), "{name}");
            }
        }
    }
}
