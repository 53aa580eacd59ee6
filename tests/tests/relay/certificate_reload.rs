//! A new certificate takes effect without a restart; a broken one changes nothing.

use backupmx_tests::{Certificate, Config, LONG, Place, Relay, SHORT, wait_until};

fn shown(relay: &Relay) -> Option<Vec<u8>> {
    relay.session().start_tls().server_certificate()
}

#[test]
fn new_sessions_see_the_new_one() {
    let place = Place::new();
    let first = Certificate::new("mx1.backup.test");
    let (certificate, key) = first.write(place.path());
    let config = Config::new(&place)
        .set("/tls/certificate", certificate.to_str().unwrap())
        .set("/tls/key", key.to_str().unwrap());
    let relay = Relay::start(&place, config);
    let mut before = relay.session().start_tls();
    assert_eq!(before.server_certificate(), Some(first.der));

    let second = Certificate::new("mx1.backup.test");
    second.write(place.path());
    wait_until("new sessions see the new certificate", LONG, || shown(&relay).as_ref() == Some(&second.der));
    before.command("EHLO client.sender.test").expect(250);

    std::fs::write(&certificate, "no certificate").unwrap();
    wait_until("the relay complains", SHORT, || relay.log().contains("certificate not read"));
    assert_eq!(shown(&relay), Some(second.der.clone()), "the old one stays");
}

#[test]
fn without_one_there_is_a_self_signed_one() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    assert!(shown(&relay).is_some());
}
