//! A running relay that refuses its config goes on with the one before, and the resource says so until it has a right one.

use backupmx_tests::{
    LONG, Smtp,
    cluster::{condition, reason},
};

use crate::common::{Stage, resource};

#[test]
fn it_is_told_until_the_config_is_right() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (relay, pod) = stage.ready(&resource("example", "example.org", ""));
    let right = pod.mounted();
    // Somebody has changed the ConfigMap by hand.
    pod.mount(&right.replacen("hostname: mx1.example.org\n", "hostname: not a name\n", 1));
    let refused = stage.mail.wait_condition("example", "RelaysReady", "False", "ConfigRefused", LONG + LONG);
    let message = condition(&refused, "RelaysReady").unwrap().message;
    assert!(message.contains("relay a refused its config") && message.contains("hostname"), "{message}");
    let command = format!("kubectl exec -n {} deploy/{relay} -- /usr/bin/backupmx-relay status", stage.mail.name());
    assert!(message.contains(&command), "{message}");
    assert_eq!(reason(&refused, "Stalled"), ("True".into(), "ConfigRefused".into()), "no time mends it");
    assert_eq!(reason(&refused, "Reconciling").0, "False");
    assert_eq!(condition(&refused, "Stalled").unwrap().message, message);
    stage.mail.wait_event("example", "Warning", "ConfigRefused", LONG);
    // It runs on the one before.
    let mut session = Smtp::session(pod.smtp());
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("RCPT TO:<bob@example.org>").expect(250);

    pod.mount(&right);
    let right = stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG + LONG);
    assert_eq!(reason(&right, "Stalled"), ("False".into(), "UpToDate".into()));
}
