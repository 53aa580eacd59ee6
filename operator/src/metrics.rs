//! What the operator counts of itself. How much mail is held, the relays count.

use prometheus::{
    Encoder as _, Histogram, HistogramOpts, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry,
    TextEncoder, core::Collector,
};

use crate::relay_api::RelayError;

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
    /// All at zero.
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
            polls: counter("polls_total", "Relays asked for their status, by result.", "result")?,
            relays: gauge("relays", "Relays with a pod, by whether they answer.", "state")?,
            resources: gauge("resources", "Resources, by what is the case with them.", "state")?,
        };
        for collector in metrics.collectors() {
            metrics.registry.register(collector)?;
        }
        Ok(metrics)
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
            Box::new(polls.clone()),
            Box::new(relays.clone()),
            Box::new(resources.clone()),
        ]
    }

    /// Counts a relay that was asked.
    pub fn asked(&self, error: Option<&RelayError>) {
        let result = match error {
            None => "ok",
            Some(RelayError::Unreachable(_)) => "unreachable",
            Some(RelayError::Refused(..)) => "refused",
            Some(RelayError::Unreadable(_)) => "unreadable",
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
