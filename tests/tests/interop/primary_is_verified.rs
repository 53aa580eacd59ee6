//! `tls.mode: Verify`: a Postfix whose certificate no known authority signed gets no mail, and the state says why; one whose
//! certificate is good gets it.

use std::{path::PathBuf, process::Command};

use backupmx_tests::{Certificate, Config, LONG, Mail, Place, Postfix, Relay, Role, wait_until};

#[test]
fn by_a_known_authority() {
    let place = Place::new();
    let (postfix, certificate) = postfix(&place);
    let relay = relay_that_trusts(&place, &[certificate]);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    wait_until("Postfix has it", LONG, || postfix.count() == 1);
    relay.wait_empty(LONG);
}

#[test]
fn and_otherwise_its_mail_waits() {
    let stranger = Place::new();
    let other = Certificate::new("mail.example.org").write(stranger.path()).0;
    for (trusted, why) in [(vec![], "no certificate authorities found"), (vec![other], "certificate")] {
        let place = Place::new();
        let (postfix, _) = postfix(&place);
        let relay = relay_that_trusts(&place, &trusted);
        relay.session().mail(&Mail::to("bob@example.org")).expect(250);
        wait_until("it is said why", LONG, || relay.admin().get("/v1/status").unwrap().body.contains(why));
        relay.wait_held(1);
        assert_eq!(postfix.count(), 0);
    }
}

/// A primary, and the file of its certificate, which is its own authority.
fn postfix(place: &Place) -> (Postfix, PathBuf) {
    let mut postfix = Postfix::make(place, place.primary(), Role::Primary);
    let (certificate, key) = Certificate::new(&place.ip().to_string()).write(place.path());
    postfix.set("smtpd_tls_cert_file", certificate.to_str().unwrap());
    postfix.set("smtpd_tls_key_file", key.to_str().unwrap());
    postfix.start_again();
    (postfix, certificate)
}

fn relay_that_trusts(place: &Place, authorities: &[PathBuf]) -> Relay {
    let known: String = authorities.iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let file = place.file("authorities.pem");
    std::fs::write(&file, known).unwrap();
    let mut command = Command::new(Relay::program());
    command.env("SSL_CERT_FILE", &file).env_remove("SSL_CERT_DIR");
    Relay::start_by(place, Config::new(place).set("/tenants/0/primary/tls/mode", "Verify"), &mut command)
}
