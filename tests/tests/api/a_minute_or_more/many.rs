//! 500 resources: they are all reconciled, and then nothing more is written. What that took is printed.

use std::{
    io::Write as _,
    time::{Duration, Instant},
};

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::documents, wait_until};
use futures::{StreamExt as _, stream};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::json;

use crate::common::{Stage, resource};

const RESOURCES: usize = 500;
/// So many of them change in a way that is told.
const MOMENTS: usize = 150;

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
    let mut operator = stage.operator();
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
    // The API server tells of its own repairs, as of an address that it had not yet noted for a Service just made.
    let ours = |event: &Event| event.regarding.as_ref().is_some_and(|of| of.kind.as_deref() == Some("BackupMX"));
    let told = |stage: &Stage| stage.mail.list::<Event>().iter().filter(|event| ours(event)).count();
    assert_eq!(told(&stage), 0, "nothing has happened that a person should look at");
    // Each is looked at by itself once a minute.
    stage.proxy.forget();
    let looked = passes("ok");
    wait_until("each was looked at again", 3 * LONG, || passes("ok") >= looked + RESOURCES as f64);
    let written: Vec<String> = stage.proxy.writes().iter().map(ToString::to_string).collect();
    assert!(written.is_empty(), "something was written that was right already: {written:#?}");
    let (memory, busy) = (peak(operator.id()), passes("passing"));

    // So many moments at once do not become so many writes at once.
    stage.proxy.forget();
    let wrong = Patch::Merge(json!({"spec": {"hold": {"maxAge": "1d", "warnSenderAfter": "2d"}}}));
    let changed = (0..MOMENTS).map(|number| {
        let (api, wrong) = (api.clone(), wrong.clone());
        async move { api.patch(&format!("number-{number}"), &PatchParams::default(), &wrong).await.map(|_| ()) }
    });
    let changed: Vec<_> = stage.mail.kube().run(stream::iter(changed).buffer_unordered(8).collect());
    changed.into_iter().for_each(|changed| changed.unwrap());
    wait_until("each is told", 3 * LONG, || told(&stage) == MOMENTS);
    let calls = stage.proxy.calls();
    let told_at: Vec<Instant> = calls.iter().filter(|call| call.resource == "events").map(|call| call.at).collect();
    let span = *told_at.last().unwrap() - told_at[0];
    assert!(span >= Duration::from_secs(15), "50 at once and five a second: {span:?}");

    // What stands in the status is not told again.
    operator.stop();
    operator.start_again();
    operator.wait_leads();
    stage.proxy.wait_quiet(Duration::from_secs(3), 2 * LONG);
    assert_eq!(told(&stage), MOMENTS);
    // Not by a macro: those of a test that passes are not shown.
    let line = format!(
        "{RESOURCES} resources: {:.1} s, {requests} requests ({writes} writes), {} passes begun again as the API server \
         was busy, {} MiB at most; {MOMENTS} Events in {:.1} s\n",
        took.as_secs_f32(),
        busy,
        memory,
        span.as_secs_f32()
    );
    std::io::stderr().write_all(line.as_bytes()).unwrap();
}
