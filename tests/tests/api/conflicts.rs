//! A domain has one owner in the cluster, and so has a relay host name: the oldest keeps it, ties go by UID, and one
//! that is being deleted yields at once.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG, Smtp,
    cluster::{PodRelay, condition, reason},
    wait_until,
};
use kube::ResourceExt;

use crate::common::{Stage, resource};

/// What a relay answers to a recipient of a domain.
fn answer(pod: &PodRelay, domain: &str) -> u16 {
    let mut session = Smtp::session(pod.smtp());
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command(&format!("RCPT TO:<bob@{domain}>")).code
}

#[track_caller]
fn wait_answer(pod: &PodRelay, domain: &str, code: u16) {
    wait_until(&format!("mail for {domain} is answered {code}"), LONG, || answer(pod, domain) == code);
}

/// Makes two resources of one second, and says which has the lower UID: that one, and the other.
fn of_one_second(stage: &Stage, make: impl Fn(&str) -> String) -> (String, String) {
    for _ in 0..20 {
        stage.mail.apply(&make("one"));
        stage.mail.apply(&make("two"));
        let (one, two) = (stage.mail.get::<BackupMX>("one").unwrap(), stage.mail.get::<BackupMX>("two").unwrap());
        if one.metadata.creation_timestamp == two.metadata.creation_timestamp {
            let names = if one.uid() < two.uid() { ("one", "two") } else { ("two", "one") };
            return (names.0.to_owned(), names.1.to_owned());
        }
        for name in ["one", "two"] {
            stage.mail.delete::<BackupMX>(name);
            stage.mail.wait_gone::<BackupMX>(name, LONG);
        }
    }
    panic!("in twenty attempts no two resources were of one second");
}

#[test]
fn the_older_keeps_a_domain_and_the_younger_says_so() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let (_, older) = stage.ready(&resource("older", "example.org", ""));
    stage.wait_until_older("older");
    let both = resource("younger", "example.org", "").replace("[example.org]", "[example.org, example.net]");
    let (_, younger) = stage.ready(&both.replace("mx1.", "mx2."));
    let told = stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
    let message = condition(&told, "DomainConflict").unwrap().message;
    assert!(message.starts_with(&format!("example.org is {}/older's: take it out", stage.mail.name())), "{message}");
    assert_eq!(stage.mail.wait_event("younger", "Warning", "DomainConflict", LONG), message);
    assert_eq!(reason(&told, "Stalled").0, "False", "the other domain is served");
    assert_eq!(told.status.unwrap().domains, ["example.net"]);
    let quiet: BackupMX = stage.mail.get("older").unwrap();
    assert_eq!(reason(&quiet, "DomainConflict"), ("False".into(), "NoConflict".into()));
    assert_eq!(answer(&older, "example.org"), 250);
    assert_eq!(answer(&younger, "example.org"), 451, "never a 550");
    assert_eq!(answer(&younger, "example.net"), 250);

    // Deleted, it yields before it has drained.
    stage.mail.delete::<BackupMX>("older");
    let told = stage.mail.wait_condition("younger", "DomainConflict", "False", "NoConflict", LONG);
    assert_eq!(told.status.unwrap().domains, ["example.org", "example.net"]);
    wait_answer(&younger, "example.org", 250);
    assert_eq!(answer(&younger, "example.net"), 250);
}

#[test]
fn of_two_of_one_second_the_lower_uid_keeps_it() {
    let stage = Stage::new();
    let host = |name: &str| format!("mx.{name}.example.net");
    let make = |name: &str| resource(name, "example.org", "").replace("mx1.example.org", &host(name));
    let (winner, loser) = of_one_second(&stage, make);
    let _operator = stage.operator();
    stage.mail.wait_condition(&loser, "DomainConflict", "True", "OwnedByAnother", LONG);
    stage.mail.wait_condition(&winner, "DomainConflict", "False", "NoConflict", LONG);
}

#[test]
fn a_domain_in_its_other_form_is_the_same() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.mail.apply(&resource("older", "xn--bcher-kva.example", ""));
    stage.wait_observed("older");
    stage.wait_until_older("older");
    let younger =
        resource("younger", "xn--bcher-kva.example", "").replace("[xn--bcher-kva.example]", "[bücher.example]");
    stage.mail.apply(&younger.replace("mx1.", "mx2."));
    stage.mail.wait_condition("younger", "DomainConflict", "True", "OwnedByAnother", LONG);
}

#[test]
fn the_older_keeps_a_host_name() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let text = resource("older", "example.org", "");
    let listed = "hostname: mx1.example.org, addresses: [192.0.2.10]";
    let (_, older) = stage.ready(&text.replace("hostname: mx1.example.org", listed));
    stage.wait_until_older("older");
    let (_, younger) =
        stage.ready(&resource("younger", "example.net", "").replace("mx1.example.net", "mx1.example.org"));
    let told = stage.mail.wait_condition("younger", "HostnameConflict", "True", "OwnedByAnother", LONG);
    let message = condition(&told, "HostnameConflict").unwrap().message;
    assert!(
        message.starts_with(&format!("mx1.example.org is {}/older's: take it out", stage.mail.name())),
        "{message}"
    );
    assert_eq!(stage.mail.wait_event("younger", "Warning", "HostnameConflict", LONG), message);
    assert_eq!(reason(&told, "DomainConflict").1, "NoConflict");
    assert_eq!(answer(&younger, "example.net"), 451, "its name leads elsewhere");
    // The name leads to the older's relay, and so may the younger's mail.
    wait_answer(&older, "example.net", 451);
    assert_eq!(answer(&older, "example.org"), 250);

    // One that goes takes nothing of the older's with it.
    let set = || stage.home.get::<DNSEndpoint>("address-mx1.example.org");
    wait_until("the older's address is published", LONG, || set().is_some());
    let before = set().unwrap().uid();
    let third = resource("third", "example.com", "  deletionPolicy: Discard\n");
    stage.mail.apply(&third.replace("mx1.example.com", "mx1.example.org"));
    stage.mail.wait_condition("third", "HostnameConflict", "True", "OwnedByAnother", LONG);
    let relay = stage.relay("third", "a");
    stage.mail.delete::<BackupMX>("third");
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    stage.wait_let_go(&relay);
    stage.mail.wait_gone::<BackupMX>("third", LONG);
    assert_eq!(set().unwrap().uid(), before);

    stage.mail.delete::<BackupMX>("older");
    stage.mail.wait_condition("younger", "HostnameConflict", "False", "NoConflict", LONG);
    wait_answer(&younger, "example.net", 250);
}
