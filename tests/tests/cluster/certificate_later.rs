//! A relay does not wait for its certificate: it takes mail without, and shows it once the Secret is there.

use backupmx_tests::{Certificate, Smtp, wait_until};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

#[test]
fn mail_is_taken_before_the_secret_is_there() {
    let stage = Stage::new("secret");
    stage.publish(&json!({"tls": {"secretName": "mx-tls"}}));
    let (relay, pod) = (stage.smtp("a"), stage.pod("a").expect("the relay runs"));
    let mut sent = stage.send("a", 1);
    let certificate = Certificate::new(&stage.hostname("a"));
    stage.mail.create::<Secret>(&json!({
        "metadata": {"name": "mx-tls"}, "type": "kubernetes.io/tls",
        "stringData": {"tls.crt": certificate.certificate, "tls.key": certificate.key},
    }));
    let shown = || {
        let mut session = Smtp::session(relay);
        let offers = session.command("EHLO client.sender.test").text.lines().any(|line| line == "STARTTLS");
        offers.then(|| session.start_tls().server_certificate()).flatten()
    };
    wait_until("the relay shows the certificate", PATIENCE, || shown().as_ref() == Some(&certificate.der));
    assert_eq!(stage.pod("a").expect("the relay runs").uid(), pod.uid(), "by the pod that ran before");
    let mut session = Smtp::session(relay).start_tls();
    session.command("EHLO client.sender.test").expect(250);
    let mail = backupmx_tests::Mail::to(&stage.recipient());
    session.mail(&mail).expect(250);
    sent.push(mail);
    stage.wait_queued(2);
}
