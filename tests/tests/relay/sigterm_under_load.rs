//! SIGTERM ends the program within 10 s, with nothing half done and nothing lost.

use std::{thread, time::Duration};

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};

use crate::common::{Load, each_came_once, wait_all_delivered};

#[test]
fn nothing_is_lost_and_nothing_comes_twice() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let mut relay = Relay::start(&place, Config::new(&place));
    let load = Load::start(&place, 4, 50);
    for _ in 0..5 {
        thread::sleep(Duration::from_millis(400));
        let exit = relay.stop();
        assert!(exit.status.success(), "{exit:?}");
        assert!(exit.took < Duration::from_secs(10), "{exit:?}");
        relay.start_again();
    }
    let taken = load.finish();
    wait_all_delivered(&primary, &taken, LONG);
    relay.wait_empty(LONG);
    each_came_once(&primary);
}

#[test]
fn a_message_on_its_way_is_finished_and_idle_clients_are_told() {
    let place = Place::new();
    let mut relay = Relay::start(&place, Config::new(&place));
    let mut idle = relay.session();
    let mut sending = relay.session();
    sending.envelope("alice@sender.test", &["bob@example.org"]);
    sending.command("DATA").expect(354);
    sending.send(b"Subject: half\r\n\r\n");
    relay.signal(rustix::process::Signal::TERM);
    idle.reply().expect(421);
    sending.send(b"the rest\r\n.\r\n");
    sending.reply().expect(250);
    let exit = relay.stop();
    assert!(exit.status.success(), "{exit:?}");
    relay.start_again();
    relay.wait_held(1);
}

#[test]
fn a_client_that_does_not_finish_does_not_hold_it_up() {
    let place = Place::new();
    let mut relay = Relay::start(&place, Config::new(&place));
    let mut sending = relay.session();
    sending.envelope("alice@sender.test", &["bob@example.org"]);
    sending.command("DATA").expect(354);
    sending.send(b"Subject: half\r\n");
    let exit = relay.stop();
    assert!(exit.status.success() && exit.took < Duration::from_secs(10), "{exit:?}");
}

#[test]
fn a_primary_that_hangs_does_not_hold_it_up() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        backupmx_tests::Step::Dot(_) => backupmx_tests::Answer::Hang,
        _ => backupmx_tests::Answer::Normal,
    });
    let mut relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    backupmx_tests::wait_until("the primary hangs", LONG, || primary.transactions() > 0);
    let exit = relay.stop();
    assert!(exit.status.success() && exit.took < Duration::from_secs(10), "{exit:?}");
    primary.behave();
    relay.start_again();
    primary.wait_count(1, LONG);
}
