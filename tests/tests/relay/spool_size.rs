//! A spool that may take more of its volume, or less, does so at once: no session is dropped, no other change waits for
//! it, and what is held goes out.

use backupmx_tests::{Config, LONG, Mail, Place, Relay, SHORT, ScriptedPrimary, wait_until};

#[test]
fn a_larger_size_is_taken_up_by_a_running_relay() {
    let place = Place::new();
    let config = || Config::new(&place).set("/spool/segmentSize", "1Mi");
    let mut relay = Relay::start(&place, config().set("/spool/size", "16Mi"));
    let body = [&[b'x'; 62][..], b"\r\n"].concat().repeat(3 * 1024);
    let mut session = relay.session();
    let mut send = || session.try_mail(&Mail::to("bob@example.org").with_body(&body)).unwrap();
    let taken = (1..400).find(|_| send().code == 452).expect("75 MiB were taken into 16 MiB");
    assert!(taken > 30, "only {taken} messages of 192 KiB fit in 16 MiB");

    relay.write_config(config().set("/spool/size", "48Mi").set("/revision", 1).and_tenant("second", "new.test"));
    wait_until("there is room", LONG, || send().code == 250);
    assert_eq!((relay.status().config_revision, relay.status().config_error), (1, None));
    assert_eq!(relay.status().storage.size, 48 << 20);
    let mut other = relay.session();
    wait_until("the other change is in force", SHORT, || other.try_mail(&Mail::to("x@new.test")).unwrap().code == 250);
}

#[test]
fn a_size_that_is_passed_already_stops_new_mail_alone() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let config = || Config::new(&place).set("/spool/segmentSize", "1Mi");
    let mut relay = Relay::start(&place, config().set("/spool/size", "64Mi"));
    let body = [&[b'x'; 62][..], b"\r\n"].concat().repeat(3 * 1024);
    let mail = || Mail::to("bob@example.org").with_body(&body);
    let mut session = relay.session();
    for _ in 0..100 {
        session.mail(&mail()).expect(250);
    }
    let mut held = 100;
    relay.write_config(config().set("/spool/size", "8Mi").set("/revision", 1));
    wait_until("new mail is refused", LONG, || {
        let code = session.try_mail(&mail()).unwrap().code;
        // Until the file was read.
        held += usize::from(code == 250);
        code == 452
    });
    primary.start();
    primary.wait_count(held, LONG);
    relay.wait_empty(LONG);
    wait_until("new mail is taken again", LONG, || relay.session().try_mail(&mail()).unwrap().code == 250);
}
