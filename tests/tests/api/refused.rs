//! An object that the API server does not take keeps nobody from knowing how the relays are, and a resource that serves
//! stays ready.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{
        StandIn,
        proxy::{Call, Fault},
        reason,
    },
};
use k8s_openapi::api::core::v1::Service;

use crate::common::{Stage, queued, resource_for};

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
