//! A primary that is a Service and became ready while no operator looked: the next one has held mail handed over, once,
//! and where a primary is up it does nothing.

use std::time::Duration;

use backupmx_crds::{BackupMX, PrimaryState};
use backupmx_tests::{LONG, Place, ScriptedPrimary, cluster::Operator, stays, wait_until};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use serde_json::{Value, json};

use crate::common::{Stage, resource};

/// Whether the Service has a pod that is ready. Its address is not the primary's: no slice may have one on loopback.
fn slice(ready: bool) -> Value {
    json!({
        "apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
        "metadata": {"name": "primary-1", "labels": {"kubernetes.io/service-name": "primary"}},
        "endpoints": [{"addresses": ["192.0.2.25"], "conditions": {"ready": ready}}],
    })
}

/// The next operator leads, and has asked the relay.
fn comes_back(operator: &mut Operator) {
    operator.start_again();
    operator.wait_leads();
    let answering = r#"backupmx_operator_relays{state="answering"}"#;
    wait_until("the relay was asked", LONG, || operator.metric(answering) == Some(1.0));
}

#[test]
fn the_next_operator_has_held_mail_handed_over() {
    let (stage, place) = (Stage::new(), Place::new());
    let mut operator = stage.operator();
    let mut primary = ScriptedPrimary::down(&place);
    stage.mail.apply(&slice(false).to_string());
    let service = format!(
        "{{serviceRef: {{name: primary, port: {}}}, mx: [{{host: mail.example.org}}]}}",
        place.primary().port()
    );
    // The relay's next try of itself is an hour away.
    let text = resource("example", "example.org", "  delivery: {retry: {min: 1h, max: 1h}}\n")
        .replace("{hosts: [{host: mail.example.org}]}", &service);
    let (_, pod) = stage.ready(&text);
    let _dns = pod.dns(&format!("primary.{}.svc.cluster.local. 60 IN A {}", stage.mail.name(), place.ip()));
    stage.hand_in_one(&pod, "example");
    let seen = |wanted: PrimaryState| {
        move |object: &BackupMX| {
            let primary = object.status.as_ref().and_then(|status| status.primary.as_ref());
            primary.is_some_and(|primary| primary.state == wanted)
        }
    };
    stage.mail.wait("example", "says that the primary is down", LONG + LONG, seen(PrimaryState::Down));

    operator.kill();
    primary.start();
    stage.mail.merge::<EndpointSlice>("primary-1", &slice(true));
    assert_eq!((primary.count(), pod.flushed()), (0, 0));
    comes_back(&mut operator);
    primary.wait_count(1, LONG);
    assert_eq!(pod.flushed(), 1);

    stage.mail.wait("example", "says that the primary is up", LONG + LONG, |object| {
        seen(PrimaryState::Up)(object) || seen(PrimaryState::Recovering)(object)
    });
    operator.kill();
    comes_back(&mut operator);
    stays("a primary that is up is left alone", Duration::from_secs(3), || pod.flushed() == 1);
}
