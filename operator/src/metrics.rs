//! What the operator counts of itself.

use prometheus::{Encoder as _, Histogram, HistogramOpts, IntCounterVec, IntGauge, Opts, Registry, TextEncoder};

/// What the operator counts of itself.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Registry,
    /// Passes over a resource, by `result`: `ok` or the category of the error.
    pub passes: IntCounterVec,
    /// Seconds that a pass took.
    pub seconds: Histogram,
    /// 1 while this operator has the lease.
    pub leader: IntGauge,
}

impl Metrics {
    /// All at zero.
    ///
    /// # Errors
    /// Two metrics have one name.
    pub fn new() -> Result<Self, prometheus::Error> {
        let registry = Registry::new();
        let passes = IntCounterVec::new(
            Opts::new("backupmx_operator_passes_total", "Passes over a resource, by result."),
            &["result"],
        )?;
        let seconds = Histogram::with_opts(
            HistogramOpts::new("backupmx_operator_pass_seconds", "Seconds that a pass over a resource took.")
                .buckets(vec![0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0]),
        )?;
        let leader = IntGauge::new("backupmx_operator_leader", "1 while this operator has the lease.")?;
        registry.register(Box::new(passes.clone()))?;
        registry.register(Box::new(seconds.clone()))?;
        registry.register(Box::new(leader.clone()))?;
        Ok(Self { registry, passes, seconds, leader })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_shown() {
        let metrics = Metrics::new().unwrap();
        metrics.passes.with_label_values(&["ok"]).inc();
        metrics.leader.set(1);
        let text = metrics.text().unwrap();
        assert!(text.contains("backupmx_operator_passes_total{result=\"ok\"} 1"), "{text}");
        assert!(text.contains("backupmx_operator_leader 1"), "{text}");
    }
}
