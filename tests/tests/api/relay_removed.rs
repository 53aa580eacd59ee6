//! A relay or a domain that is taken out of the spec leaves in order, and the others go on.

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    LONG, Smtp,
    cluster::{PodRelay, reason},
    wait_until,
};
use k8s_openapi::api::{apps::v1::Deployment, policy::v1::PodDisruptionBudget};

use crate::common::{Stage, let_time_pass, resource, retiring};

fn addresses(stage: &Stage) -> Vec<String> {
    stage.home.names::<DNSEndpoint>()
}

#[test]
fn a_relay_drains_and_goes() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let one = resource("example", "example.org", "");
    let two = one.replace("relays: [", "relays: [{name: b, hostname: mx2.example.org, addresses: [192.0.2.20]}, ");
    stage.mail.apply(&two);
    let (a, b) = (stage.relay("example", "a"), stage.relay("example", "b"));
    let _pods = (PodRelay::start(&stage.mail, &a), PodRelay::start(&stage.mail, &b));
    stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    wait_until("both are kept apart", LONG, || stage.mail.names::<PodDisruptionBudget>().len() == 1);
    wait_until("its address is published", LONG, || addresses(&stage) == ["address-mx2.example.org"]);
    stage.mail.apply(&one);
    stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    assert_eq!(addresses(&stage), ["address-mx2.example.org"], "senders may have its name still");
    wait_until("one relay needs no budget", LONG, || stage.mail.names::<PodDisruptionBudget>().is_empty());
    assert_eq!(stage.mail.names::<Deployment>(), [a.clone(), b.clone()], "it drains still");
    stage.wait_phase_and_let_time_pass(&b, "Waiting");
    stage.wait_let_go(&b);
    stage.assert_nothing_left(&b);
    assert_eq!(addresses(&stage), Vec::<String>::new());
    let seen = stage.mail.wait_condition("example", "Draining", "False", "NotDraining", LONG);
    assert_eq!(reason(&seen, "RelaysReady"), ("True".into(), "AllReady".into()));
    stage.mail.wait("example", "speaks of one relay", LONG, |object: &BackupMX| {
        object.status.as_ref().is_some_and(|status| status.relays.len() == 1)
    });
    assert_eq!(stage.mail.names::<Deployment>(), [a]);
}

#[test]
fn a_domain_is_answered_451_and_then_forgotten() {
    let stage = Stage::new();
    let _operator = stage.operator();
    let one = resource("example", "example.org", "");
    let (relay, pod) = stage.ready(&one.replace("[example.org]", "[example.org, example.net]"));
    let answer = |domain: &str| {
        let mut session = Smtp::session(pod.smtp());
        session.command("MAIL FROM:<a@example.com>").expect(250);
        session.command(&format!("RCPT TO:<bob@{domain}>")).code
    };
    assert_eq!((answer("example.org"), answer("example.net")), (250, 250));
    stage.mail.apply(&one);
    stage.mail.wait("example", "serves one domain", LONG, |object: &BackupMX| {
        object.status.as_ref().is_some_and(|status| status.domains == ["example.org"])
    });
    stage.wait_phase_and_let_time_pass(&relay, "Waiting");
    wait_until("its mail is answered 451", LONG, || answer("example.net") == 451);
    assert_eq!(answer("example.org"), 250);
    stage.wait_phase_and_let_time_pass(&relay, "Fading");
    wait_until("it is a stranger's domain", LONG, || answer("example.net") == 550);
    assert_eq!(answer("example.org"), 250);
}

#[test]
fn one_that_comes_back_under_another_name_leaves_no_addresses_behind() {
    let stage = Stage::new();
    stage.dns.set_records("mx2.example.org. 60 IN A 192.0.2.20\n");
    let _operator = stage.operator();
    let one = resource("example", "example.org", "");
    let with = |host: &str, address: &str| {
        let relay = format!("relays: [{{name: b, hostname: {host}.example.org, addresses: [{address}]}}, ");
        one.replace("relays: [", &relay)
    };
    stage.mail.apply(&with("mx2", "192.0.2.20"));
    let b = stage.relay("example", "b");
    let _pod = PodRelay::start(&stage.mail, &b);
    let targets = || stage.home.get::<DNSEndpoint>("mx-example.org").map(|set| set.spec.endpoints[0].targets.clone());
    let published = ["10 mail.example.org", "20 mx2.example.org"].map(str::to_owned);
    wait_until("it is published", 2 * LONG, || targets().is_some_and(|targets| targets == published));

    stage.mail.apply(&one);
    stage.mail.wait_condition("example", "Draining", "True", "WaitingForCaches", LONG);
    stage.dns.set_records("mx3.example.org. 60 IN A 192.0.2.30\n");
    stage.mail.apply(&with("mx3", "192.0.2.30"));
    stage.mail.wait_condition("example", "Draining", "False", "NotDraining", LONG);
    let both = ["address-mx2.example.org", "address-mx3.example.org"];
    wait_until("its new address is published", LONG, || addresses(&stage) == [&both[..], &["mx-example.org"]].concat());

    // Senders may have the records that name it as it was.
    let waits = |set: &DNSEndpoint| retiring(set).iter().any(|one| one["phase"] == "Waiting");
    stage.look_at("example");
    let old: DNSEndpoint = stage.home.wait(both[0], "waits for the caches", LONG, waits);
    assert_eq!(old.spec.endpoints[0].targets, ["192.0.2.20"]);
    let_time_pass::<DNSEndpoint>(&stage.home, both[0], "Waiting");
    stage.home.wait_gone::<DNSEndpoint>(both[0], LONG);
    assert!(addresses(&stage).contains(&both[1].to_owned()));
}
