//! A system without any certificate of an authority, as an image made from scratch, can take mail and hand it over.

use std::process::Command;

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

#[test]
fn mail_is_taken_and_handed_over() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let empty = place.file("no-authorities");
    std::fs::create_dir(&empty).unwrap();
    let mut command = Command::new(Relay::program());
    command.env("SSL_CERT_FILE", empty.join("none.pem")).env("SSL_CERT_DIR", &empty);
    let relay = Relay::start_by(&place, Config::new(&place), &mut command);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
}
