//! What waits for a resource by kstatus, as Flux does, sees it as it is: judged by the library itself.

use std::io::{Seek as _, Write as _};

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::StandIn, go, run_on, wait_until};

use crate::common::{Stage, resource};

/// A duration is compared with another only by the operator.
const WRONG: &str = "  hold: {maxAge: 1d, warnSenderAfter: 2d}\n";

/// What kstatus says of the resource as the API server has it.
#[track_caller]
fn verdict(stage: &Stage) -> String {
    let object = serde_json::to_string(&stage.mail.get::<BackupMX>("example").unwrap()).unwrap();
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(object.as_bytes()).unwrap();
    file.rewind().unwrap();
    let output = run_on(&mut go("kstatus"), file);
    assert!(output.ok, "{}", output.text);
    output.out.trim().to_owned()
}

#[test]
fn is_in_progress_then_current_and_failed_or_terminating_where_it_is() {
    let stage = Stage::new();
    stage.dns.set_records(
        "mx1.example.org. 60 IN A 192.0.2.10\n\
         example.org. 60 IN MX 10 mail.example.org.\n\
         example.org. 60 IN MX 20 mx1.example.org.\n",
    );
    stage.mail.apply(&resource("example", "example.org", ""));
    assert_eq!(verdict(&stage), "InProgress", "no operator has looked at it");

    let _operator = stage.operator();
    let (relay, _pod) = stage.ready(&resource("example", "example.org", ""));
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    StandIn(&stage.mail).bind(&relay);
    stage.mail.wait_condition("example", "Ready", "True", "Available", LONG);
    wait_until("it is current", LONG, || verdict(&stage) == "Current");

    stage.mail.apply(&resource("example", "example.org", WRONG));
    stage.mail.wait_condition("example", "Stalled", "True", "InvalidSpec", LONG);
    assert_eq!(verdict(&stage), "Failed");
    stage.mail.apply(&resource("example", "example.org", ""));
    wait_until("it is current again", LONG, || verdict(&stage) == "Current");

    stage.mail.delete::<BackupMX>("example");
    stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    assert_eq!(verdict(&stage), "Terminating");
}
