//! An operator that starts anew finds all as it was, and says nothing new of it.

use std::time::Duration;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{PodRelay, StandIn, reason},
    wait_until,
};

use crate::common::{Stage, queued, resource_for};

const RECORDS: &str = "mx1.example.org. 60 IN A 192.0.2.10\n\
                       example.org. 60 IN MX 10 mail.example.org.\n\
                       example.org. 60 IN MX 20 mx1.example.org.\n";

#[test]
fn nothing_is_written_while_all_is_as_it_was() {
    let stage = Stage::new();
    stage.dns.set_records(RECORDS);
    let mut operator = stage.operator();
    let place = Place::new();
    let primary = ScriptedPrimary::down(&place);
    stage.mail.apply(&resource_for("example", "example.org", place.primary(), ""));
    let relay = stage.relay("example", "a");
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    let pod = PodRelay::start(&stage.mail, &relay);
    stage.mail.wait_condition("example", "DNSPublished", "True", "Published", LONG);
    Smtp::session(pod.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    let held = |object: &BackupMX| {
        queued(object) == Some(1)
            && reason(object, "PrimaryReachable") == ("False".into(), "Down".into())
            && reason(object, "Ready") == ("True".into(), "Available".into())
    };
    stage.mail.wait("example", "holds a message for a primary that is down", LONG + LONG, held);
    stage.proxy.wait_quiet(Duration::from_secs(5), LONG);
    operator.stop();
    stage.proxy.forget();
    let (asked, answering) = (stage.dns.questions(), r#"backupmx_operator_relays{state="answering"}"#);
    operator.start_again();
    operator.wait_leads();
    wait_until("the relay was asked", LONG, || operator.metric(answering) == Some(1.0));
    wait_until("DNS was asked", LONG, || stage.dns.questions() > asked);
    // What a first pass wrote and a second took back would be seen too.
    stage.proxy.stays_quiet(Duration::from_secs(5));
    assert_eq!(stage.proxy.writes().len(), 0, "{:?}", stage.proxy.writes());
    assert!(held(&stage.mail.get("example").unwrap()));
    assert_eq!(primary.count(), 0);
}
