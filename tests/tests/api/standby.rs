//! An operator that does not lead keeps its caches warm and does nothing else: it writes nothing, and neither asks a relay
//! nor tells it anything. All of it is made up for when it leads.

use std::time::{Duration, Instant};

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Place, ScriptedPrimary,
    cluster::{Cluster, Operator, Proxy},
    stays, wait_until,
};
use k8s_openapi::{api::coordination::v1::Lease, jiff::Timestamp};
use serde_json::{Value, json};

use crate::common::{Stage, resource_for};

/// Longer than a relay that holds mail is left alone by who leads.
const A_WHILE: Duration = Duration::from_secs(12);

/// Says in the lease who leads, and that it is there now.
fn lead(stage: &Stage, holder: &Value) {
    let now = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string();
    let held = json!({"spec": {"holderIdentity": holder, "renewTime": now, "leaseDurationSeconds": 15}});
    stage.home.merge::<Lease>("backupmx-operator", &held);
}

#[test]
fn asks_and_tells_nobody_anything() {
    let (stage, place) = (Stage::new(), Place::new());
    let mut leader = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let (_, pod) = stage.holding(&resource_for("example", "example.org", place.primary(), ""));
    assert!(leader.stop().0.success());
    lead(&stage, &json!("somebody else"));
    let (asked, questions) = (pod.asked(), stage.dns.questions());
    assert!(asked.contains(&"GET /v1/status".to_owned()) && questions > 0, "who leads asks: {asked:?}");

    let proxy = Proxy::start(Cluster::control_plane());
    let mut options = stage.options();
    (options.identity, options.kubeconfig) = ("standby".into(), proxy.kubeconfig());
    let mut standby = Operator::start(options);
    // There is work: a config to hand over, mail to flush, and a new resource.
    let flush = json!({"metadata": {"annotations": {"backupmx.io/flush": "now"}}});
    stage.mail.merge::<BackupMX>("example", &flush);
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"hold": {"maxAge": "3d"}}}));
    stage.mail.apply(&resource_for("other", "example.net", place.primary(), "").replace("mx1.", "mx2."));
    let mut renewed = Instant::now();
    stays("the standby is silent", A_WHILE, || {
        if renewed.elapsed() > Duration::from_secs(1) {
            lead(&stage, &json!("somebody else"));
            renewed = Instant::now();
        }
        assert_eq!(proxy.writes(), [], "it writes nothing");
        pod.asked().len() == asked.len()
    });
    assert!(!standby.leads());
    assert_eq!(standby.get("/readyz").map(|(status, _)| status), Some(200), "its caches are filled");
    assert_eq!(stage.dns.questions(), questions, "nor does it ask DNS");
    assert!(!proxy.calls().iter().any(|call| call.is_election() && call.writes()), "it leaves the lease alone");

    lead(&stage, &Value::Null);
    standby.wait_leads();
    stage.wait_observed("example");
    stage.wait_observed("other");
    let told = |what: &str| pod.asked()[asked.len()..].iter().any(|one| one.starts_with(what));
    wait_until("the relay is asked, and told", LONG, || told("GET /v1/status") && told("PUT /v1/config"));
    stage.mail.wait("example", "was flushed", LONG, |object: &BackupMX| {
        object.status.as_ref().is_some_and(|status| status.last_handled_flush.as_deref() == Some("now"))
    });
}
