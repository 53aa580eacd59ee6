//! What the operator counts of itself. How much mail is held, the relays count.

mod conditions;

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use self::conditions::Conditions;
use crate::{error::Category, events::Reason, relay_api::RelayError};

/// `result` of a pass that went well, and of one over a resource that cannot be read; the others are those of
/// [`Category`].
pub const PASSED: &str = "ok";
/// See [`PASSED`].
pub const MALFORMED: &str = "malformed";
/// `result` of a relay that was asked.
const ANSWERED: &str = "ok";
const UNREACHABLE: &str = "unreachable";
const REFUSED: &str = "refused";
const UNREADABLE: &str = "unreadable";

/// What the operator counts of itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Passes over a resource, by `result`: `ok`, `malformed`, or the category of the error.
    pub passes: IntCounterVec,
    /// Seconds that a pass took.
    pub seconds: Histogram,
    /// 1 while this operator has the lease.
    pub leader: IntGauge,
    /// Events that were written, by `reason`.
    pub events: IntCounterVec,
    /// Events that were not written, as too many waited.
    pub events_dropped: IntCounter,
    /// Claims that are kept though their BackupMX is gone.
    pub claims_left: IntGauge,
    /// The conditions of all resources.
    pub conditions: Conditions,
    polls: IntCounterVec,
    relays: IntGaugeVec,
    resources: IntGaugeVec,
}

/// The resources that there are, each counted once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// `Ready` is True.
    pub ready: usize,
    /// It is not, and nothing waits for a person.
    pub not_ready: usize,
    /// `Stalled` is True: a person has to act.
    pub stalled: usize,
    /// They cannot be read.
    pub malformed: usize,
}

impl Metrics {
    /// All at zero, each label value too: an alert on what grows sees the first one only where it has seen none before.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let seconds = HistogramOpts::new("backupmx_operator_pass_seconds", "Seconds that a pass over a resource took.")
            .buckets(vec![0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0]);
        let metrics = Self {
            registry: Registry::new(),
            passes: counter("passes_total", "Passes over a resource, by result.", "result")?,
            seconds: Histogram::with_opts(seconds)?,
            leader: IntGauge::new("backupmx_operator_leader", "1 while this operator has the lease.")?,
            events: counter("events_total", "Events that were written, by reason.", "reason")?,
            events_dropped: IntCounter::new(
                "backupmx_operator_events_dropped_total",
                "Events that were not written, as too many waited.",
            )?,
            claims_left: IntGauge::new(
                "backupmx_operator_claims_left",
                "Claims that are kept, as they may hold mail, though their BackupMX is gone.",
            )?,
            conditions: Conditions::new()?,
            polls: counter("polls_total", "Relays asked for their status, by result.", "result")?,
            relays: gauge("relays", "Relays with a pod, by whether they answer.", "state")?,
            resources: gauge("resources", "Resources, by what is the case with them.", "state")?,
        };
        for collector in metrics.collectors() {
            metrics.registry.register(collector)?;
        }
        metrics.begin();
        Ok(metrics)
    }

    fn begin(&self) {
        let categories = Category::ALL.iter().map(|category| category.as_str());
        for result in categories.chain([PASSED, MALFORMED]) {
            self.passes.with_label_values(&[result]).inc_by(0);
        }
        for reason in Reason::ALL {
            self.events.with_label_values(&[reason.as_str()]).inc_by(0);
        }
        for result in [ANSWERED, UNREACHABLE, REFUSED, UNREADABLE] {
            self.polls.with_label_values(&[result]).inc_by(0);
        }
        self.relays(0, 0);
        self.resources(Resources::default());
    }

    fn collectors(&self) -> Vec<Box<dyn Collector>> {
        // Without `..`: a metric that is added and not registered does not compile.
        let Self {
            registry: _,
            passes,
            seconds,
            leader,
            events,
            events_dropped,
            claims_left,
            conditions,
            polls,
            relays,
            resources,
        } = self;
        vec![
            Box::new(passes.clone()),
            Box::new(seconds.clone()),
            Box::new(leader.clone()),
            Box::new(events.clone()),
            Box::new(events_dropped.clone()),
            Box::new(claims_left.clone()),
            Box::new(conditions.clone()),
            Box::new(polls.clone()),
            Box::new(relays.clone()),
            Box::new(resources.clone()),
        ]
    }

    /// Counts a relay that was asked.
    pub fn asked(&self, error: Option<&RelayError>) {
        let result = match error {
            None => ANSWERED,
            Some(RelayError::Unreachable(_)) => UNREACHABLE,
            Some(RelayError::Refused(..)) => REFUSED,
            Some(RelayError::Unreadable(_)) => UNREADABLE,
        };
        self.polls.with_label_values(&[result]).inc();
    }

    /// Notes how many relays there are, and how many of them do not answer.
    pub fn relays(&self, all: usize, silent: usize) {
        set(&self.relays, "answering", all.saturating_sub(silent));
        set(&self.relays, "silent", silent);
    }

    /// Notes how the resources are.
    pub fn resources(&self, resources: Resources) {
        let Resources { ready, not_ready, stalled, malformed } = resources;
        for (state, count) in
            [("ready", ready), ("not_ready", not_ready), ("stalled", stalled), ("malformed", malformed)]
        {
            set(&self.resources, state, count);
        }
    }

    /// All of them in Prometheus' text format.
    ///
    /// # Errors
    /// They cannot be written as text.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        Ok(String::from_utf8_lossy(&text).into_owned())
    }
}

fn counter(name: &str, help: &str, label: &str) -> Result<IntCounterVec, prometheus::Error> {
    IntCounterVec::new(Opts::new(format!("backupmx_operator_{name}"), help), &[label])
}

fn gauge(name: &str, help: &str, label: &str) -> Result<IntGaugeVec, prometheus::Error> {
    IntGaugeVec::new(Opts::new(format!("backupmx_operator_{name}"), help), &[label])
}

fn set(gauge: &IntGaugeVec, label: &str, count: usize) {
    gauge.with_label_values(&[label]).set(i64::try_from(count).unwrap_or(i64::MAX));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown() {
        let metrics = Metrics::new().unwrap();
        metrics.passes.with_label_values(&["ok"]).inc();
        metrics.leader.set(1);
        metrics.relays(3, 1);
        metrics.asked(Some(&RelayError::Unreachable(String::new())));
        metrics.resources(Resources { ready: 2, ..Resources::default() });
        let text = metrics.text().unwrap();
        for line in [
            "backupmx_operator_passes_total{result=\"ok\"} 1",
            "backupmx_operator_leader 1",
            "backupmx_operator_relays{state=\"answering\"} 2",
            "backupmx_operator_relays{state=\"silent\"} 1",
            "backupmx_operator_polls_total{result=\"unreachable\"} 1",
            "backupmx_operator_resources{state=\"ready\"} 2",
            "backupmx_operator_resources{state=\"stalled\"} 0",
        ] {
            assert!(text.contains(line), "{line} in {text}");
        }
    }

    #[test]
    fn every_label_value_that_the_readme_names_is_there_from_the_beginning() {
        let text = Metrics::new().unwrap().text().unwrap();
        let mut found = 0;
        for row in include_str!("../README.md").lines().filter(|line| line.starts_with("| `backupmx_operator_")) {
            let cells: Vec<&str> = row.split('|').map(str::trim).collect();
            let [_, name, _, label, meaning, _] = cells[..] else { panic!("five cells: {row}") };
            let (name, label) = (name.trim_matches('`'), label.trim_matches('`'));
            // The values of a reason are the Events' own table.
            let values: Vec<&str> = match label {
                "" => continue,
                // There are none before there is a resource.
                _ if label.contains(',') => continue,
                "reason" => Reason::ALL.iter().map(|reason| reason.as_str()).collect(),
                _ => meaning.split('`').skip(1).step_by(2).collect(),
            };
            for value in &values {
                let line = format!("{name}{{{label}=\"{value}\"}} 0");
                assert!(text.lines().any(|shown| shown == line), "{line} is not in {text}");
            }
            let shown = text.lines().filter(|line| line.starts_with(&format!("{name}{{"))).count();
            assert_eq!(values.len(), shown, "{row}");
            found += 1;
        }
        assert_eq!(found, 5);
    }

    #[test]
    fn every_metric_is_described() {
        let readme = include_str!("../README.md");
        for collector in Metrics::new().unwrap().collectors() {
            for desc in collector.desc() {
                let labels = desc.variable_labels.iter().map(|label| format!("`{label}`")).collect::<Vec<_>>();
                let row = readme.lines().find(|line| line.starts_with(&format!("| `{}` |", desc.fq_name)));
                let row = row.unwrap_or_else(|| panic!("{} is not in the README", desc.fq_name));
                assert!(labels.iter().all(|label| row.contains(label)), "{row} names {labels:?}");
            }
        }
    }
}
