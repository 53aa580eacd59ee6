//! 500 resources: they are all reconciled, and then nothing more is written. What that took is printed.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::documents, wait_until};
use futures::{StreamExt as _, stream};
use kube::api::PostParams;

use crate::common::{Stage, resource};

const RESOURCES: usize = 500;

/// The most memory that a process had, in MiB.
fn peak(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.split_whitespace().next().unwrap().parse::<u64>().unwrap() / 1024
}

fn observed(stage: &Stage) -> usize {
    let done = |object: &&BackupMX| object.status.as_ref().is_some_and(|status| status.observed_generation.is_some());
    stage.mail.list::<BackupMX>().iter().filter(done).count()
}

#[test]
fn are_reconciled_and_then_left_alone() {
    let stage = Stage::new();
    let operator = stage.operator();
    let start = Instant::now();
    let api = stage.mail.api::<BackupMX>();
    let made = (0..RESOURCES).map(|number| {
        let text = resource(&format!("number-{number}"), &format!("d{number}.example.org"), "");
        let object: BackupMX = serde_json::from_value(documents(&text).remove(0)).unwrap();
        let api = api.clone();
        async move { api.create(&PostParams::default(), &object).await.map(|_| ()) }
    });
    let made: Vec<_> = stage.mail.kube().run(stream::iter(made).buffer_unordered(8).collect());
    made.into_iter().for_each(|made| made.unwrap());
    wait_until("all were observed", 6 * LONG, || observed(&stage) == RESOURCES);
    let took = start.elapsed();
    stage.proxy.wait_quiet(Duration::from_secs(3), 2 * LONG);
    let requests = stage.proxy.calls().iter().filter(|call| !call.is_election()).count();
    let writes = stage.proxy.writes().len();
    let passes = |result: &str| {
        operator.metric(&format!(r#"backupmx_operator_passes_total{{result="{result}"}}"#)).unwrap_or(0.0)
    };
    for result in ["refused", "internal", "malformed"] {
        assert_eq!(passes(result), 0.0, "passes that ended {result}");
    }
    // Each is looked at by itself within eleven seconds while its relay is silent.
    stage.proxy.stays_quiet(Duration::from_secs(12));
    // Not by a macro: those of a test that passes are not shown.
    let line = format!(
        "{RESOURCES} resources: {:.1} s, {requests} requests ({writes} writes), {} passes begun again as the API server \
         was busy, {} MiB at most\n",
        took.as_secs_f32(),
        passes("passing"),
        peak(operator.id())
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
