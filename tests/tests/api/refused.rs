//! An object that the API server does not take keeps nobody from knowing how the relays are, and a resource that serves
//! stays ready. What it is not in the way of is done and told all the same.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{
        PodRelay, StandIn, condition,
        proxy::{Call, Fault},
        reason,
    },
    wait_until,
};
use k8s_openapi::api::{apps::v1::Deployment, core::v1::Service, networking::v1::NetworkPolicy};

use crate::common::{Stage, queued, resource, resource_for};

const RECORDS: &str = "mx1.example.org. 60 IN A 192.0.2.10\n\
                       example.org. 60 IN MX 10 mail.example.org.\n\
                       example.org. 60 IN MX 20 mx1.example.org.\n";

/// What a webhook on Services makes of every write.
#[track_caller]
fn stays_ready(fault: Fault, told: [(&str, &str, &str); 2]) {
    let (stage, place) = (Stage::new(), Place::new());
    stage.dns.set_records(RECORDS);
    let _operator = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let (relay, pod) = stage.ready(&resource_for("example", "example.org", place.primary(), ""));
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    stage.mail.wait_condition("example", "Ready", "True", "Available", LONG);
    let of_services = |call: &Call| matches!(call.verb, "patch" | "create") && call.resource == "services";
    stage.proxy.inject_always(fault, of_services);
    stage.mail.delete::<Service>(&relay);
    for (kind, status, wanted) in told {
        stage.mail.wait_condition("example", kind, status, wanted, LONG);
    }
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    let seen = stage.mail.wait("example", "says what is held", 2 * LONG, |seen: &BackupMX| queued(seen) == Some(1));
    assert_eq!(reason(&seen, "Ready"), ("True".into(), "Available".into()));
    stage.proxy.heal();
    stage.look_at("example");
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    stage.mail.wait_condition("example", "Reconciling", "False", "UpToDate", LONG);
}

#[test]
fn for_good() {
    stays_ready(Fault::Status(403), [("Stalled", "True", "ApplyFailed"), ("Reconciling", "False", "ApplyFailed")]);
}

#[test]
fn time_after_time() {
    stays_ready(Fault::Status(500), [("Reconciling", "True", "ApplyFailed"), ("Stalled", "False", "UpToDate")]);
}

/// A write of that kind of object.
fn writes(call: &Call, plural: &str) -> bool {
    matches!(call.verb, "patch" | "create") && call.resource == plural
}

#[test]
fn what_changes_meanwhile_is_told() {
    let stage = Stage::new();
    stage.dns.set_records(RECORDS);
    let _operator = stage.operator();
    let one = resource("example", "example.org", "  dns: {mode: Manual}\n");
    let two = one.replace("relays: [", "relays: [{name: b, hostname: mx2.example.org, addresses: [192.0.2.20]}, ");
    stage.mail.apply(&two);
    let (a, b) = (stage.relay("example", "a"), stage.relay("example", "b"));
    let _a = PodRelay::start(&stage.mail, &a);
    let pod_of_b = PodRelay::start(&stage.mail, &b);
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    stage.proxy.inject_always(Fault::Status(403), |call| writes(call, "services"));
    stage.mail.delete::<Service>(&a);
    stage.mail.wait_condition("example", "Stalled", "True", "ApplyFailed", LONG);
    // The other relay falls.
    drop(pod_of_b);
    StandIn(&stage.mail).unavailable(&b);
    let seen = stage.mail.wait_condition("example", "RelaysReady", "False", "PodNotReady", LONG);
    assert_eq!(reason(&seen, "Stalled"), ("True".into(), "ApplyFailed".into()));
    // DNS changes.
    assert_ne!(reason(&seen, "DNSPublished").1, "WaitingForPerson");
    stage.dns.set_records("mx1.example.org. 60 IN A 192.0.2.10\n");
    stage.look_at("example");
    stage.mail.wait_condition("example", "DNSPublished", "False", "WaitingForPerson", 2 * LONG);
    // The other relay is taken out, and begins to leave.
    stage.mail.apply(&one);
    stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    stage.proxy.heal();
    stage.look_at("example");
    stage.mail.wait_condition("example", "Stalled", "False", "UpToDate", LONG);
    assert!(stage.mail.get::<Service>(&a).is_some());
}

/// What all relays share is refused: what runs gets its config, and nothing new is begun without it.
#[test]
fn of_what_all_share_keeps_no_running_relay_from_its_config() {
    let (stage, place) = (Stage::new(), Place::new());
    let _operator = stage.operator();
    let _primary = ScriptedPrimary::down(&place);
    let one = resource_for("example", "example.org", place.primary(), "");
    let (_, pod) = stage.ready(&one);
    stage.proxy.inject_always(Fault::Status(403), |call| writes(call, "networkpolicies"));
    for policy in stage.mail.names::<NetworkPolicy>() {
        stage.mail.delete::<NetworkPolicy>(&policy);
    }
    stage.mail.wait_condition("example", "Stalled", "True", "ApplyFailed", LONG);
    let two = one.replace("relays: [", "relays: [{name: b, hostname: mx2.example.org}, ");
    stage.mail.apply(&two.replace("[example.org]", "[example.org, example.net]"));
    wait_until("its relay takes mail for the new domain", LONG, || {
        Smtp::session(pod.smtp()).try_mail(&Mail::to("bob@example.net")).is_ok_and(|reply| reply.code == 250)
    });
    let seen = stage.mail.wait("example", "says what keeps b from being made", LONG, |seen: &BackupMX| {
        condition(seen, "RelaysReady")
            .is_some_and(|known| known.message.contains("relay b has no pod yet: failed to apply NetworkPolicy"))
    });
    assert_eq!(reason(&seen, "Stalled"), ("True".into(), "ApplyFailed".into()));
    assert!(stage.mail.names::<Deployment>().iter().all(|name| !name.starts_with("example-b-")));
    stage.proxy.heal();
    stage.look_at("example");
    stage.relay("example", "b");
}
