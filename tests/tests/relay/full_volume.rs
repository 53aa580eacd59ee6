//! A full volume refuses new mail with a 4xx, loses nothing, and still records what is delivered; what it could not
//! record it does not deliver.

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, Volume, stays, wait_until};

/// A volume of 24 MiB, a primary that is down, and a relay whose spool is on the volume.
fn on_a_volume(place: &Place) -> (Volume, ScriptedPrimary, Relay) {
    let volume = Volume::new(place, 24 << 20);
    let primary = ScriptedPrimary::down(place);
    let config = Config::new(place).set("/spool/path", volume.path().join("spool").to_str().unwrap());
    let relay = Relay::start(place, config);
    (volume, primary, relay)
}

#[test]
fn it_says_452_until_there_is_room_again() {
    let place = Place::new();
    let (_volume, mut primary, mut relay) = on_a_volume(&place);
    let body = [&[b'x'; 62][..], b"\r\n"].concat().repeat(3 * 1024);
    let mut session = relay.session();
    let mut taken = Vec::new();
    loop {
        let mail = Mail::to("bob@example.org").with_body(&body);
        let reply = session.try_mail(&mail).unwrap();
        if reply.code == 250 {
            taken.push(mail.id());
            assert!(taken.len() < 200, "38 MiB were taken onto 24 MiB");
            continue;
        }
        reply.expect_text(452, "4.3.1");
        break;
    }
    assert!(taken.len() > 30, "only {} messages of 192 KiB fit in 24 MiB", taken.len());
    relay.wait_held(taken.len() as u64);

    // A restart changes nothing.
    relay.kill();
    relay.start_again();
    relay.wait_held(taken.len() as u64);
    let refused = relay.session().try_mail(&Mail::to("bob@example.org").with_body(&body)).unwrap();
    assert_eq!(refused.code, 452, "{refused:?}");

    primary.start();
    let mut received: Vec<_> = primary.wait_count(taken.len(), LONG).iter().map(backupmx_tests::Received::id).collect();
    received.sort();
    taken.sort();
    assert_eq!(received, taken, "each message once");
    relay.wait_empty(LONG);
    wait_until("there is room again", LONG, || {
        relay.session().try_mail(&Mail::to("bob@example.org").with_body(&body)).unwrap().code == 250
    });

    // What was delivered is on record: it does not come again.
    relay.wait_empty(LONG);
    let count = primary.count();
    relay.kill();
    relay.start_again();
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(count + 1, LONG);
}

#[test]
fn with_only_the_reserve_left_deliveries_are_recorded() {
    let place = Place::new();
    let (volume, mut primary, mut relay) = on_a_volume(&place);
    let mut session = relay.session();
    for number in 0..100 {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    // Others fill the volume until the relay takes no more mail for lack of room: what is left is its reserve.
    let mut foreign = std::fs::File::create(volume.path().join("foreign")).unwrap();
    while relay.status().storage.available > 0 {
        std::io::Write::write_all(&mut foreign, &[0; 64 << 10]).expect("the reserve is larger than one write");
        // The relay looks at the volume now and then.
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let refused = relay.session().try_mail(&Mail::to("bob@example.org")).unwrap();
    refused.expect_text(452, "4.3.1");
    assert!(volume.free() > 0, "not even the reserve is left");

    primary.start();
    primary.wait_count(100, LONG);
    relay.wait_empty(LONG);
    // Killed as soon as the last is on record, and started again on the same full volume: none comes twice.
    relay.kill();
    relay.start_again();
    relay.wait_primary(PrimaryState::Up);
    stays("nothing is delivered twice", std::time::Duration::from_secs(2), || {
        primary.count() == 100 && relay.held() == 0
    });
}

#[test]
fn not_even_a_trial_is_made_where_its_delivery_could_not_be_recorded() {
    let place = Place::new();
    let volume = Volume::new(&place, 24 << 20);
    let primary = ScriptedPrimary::up(&place);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("451 4.3.0 mail store is not available"),
        _ => Answer::Normal,
    });
    let config = Config::new(&place).set("/spool/path", volume.path().join("spool").to_str().unwrap());
    let relay = Relay::start(&place, config);
    let mut session = relay.session();
    for number in 0..12 {
        session.mail(&Mail::to("bob@example.org").from(&format!("sender{number}@sender.test"))).expect(250);
    }
    relay.wait_primary(PrimaryState::Deferring);
    let foreign = volume.path().join("foreign");
    assert!(std::fs::write(&foreign, vec![0; 32 << 20]).is_err(), "the volume is not full");
    wait_until("deliveries pause", LONG, || relay.log().contains("no room to record"));

    primary.behave();
    stays("nothing is delivered", std::time::Duration::from_secs(3), || primary.count() == 0);
    assert_eq!(relay.primary_state(), PrimaryState::Deferring);

    std::fs::remove_file(&foreign).unwrap();
    primary.wait_count(12, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn a_volume_that_others_fill_costs_nothing_either() {
    let place = Place::new();
    let (volume, mut primary, mut relay) = on_a_volume(&place);
    let mut session = relay.session();
    let mut taken: Vec<_> = (0..100)
        .map(|number| {
            let mail = Mail::to(&format!("user{number}@example.org"));
            session.mail(&mail).expect(250);
            mail.id()
        })
        .collect();

    let foreign = volume.path().join("foreign");
    // Up to the last page: not even the reserve is left.
    let filled = std::fs::write(&foreign, vec![0; 32 << 20]);
    assert!(filled.is_err(), "the volume is not full");
    wait_until("mail is put off", LONG, || {
        let reply = relay.session().try_mail(&Mail::to("bob@example.org").with_body(&[b'x'; 900])).unwrap();
        assert!(matches!(reply.code, 250 | 451 | 452), "{reply:?}");
        if reply.code == 250 {
            taken.push(String::new());
        }
        reply.code != 250
    });
    primary.start();
    stays("the relay lives", std::time::Duration::from_secs(2), || relay.runs());

    std::fs::remove_file(&foreign).unwrap();
    wait_until("there is room again", LONG, || {
        relay.session().try_mail(&Mail::to("bob@example.org")).unwrap().code == 250
    });
    wait_until("everything is delivered", LONG, || primary.count() > taken.len());
    relay.wait_empty(LONG);
    let arrived: Vec<_> = primary.received().iter().map(backupmx_tests::Received::id).collect();
    for id in taken.iter().filter(|id| !id.is_empty()) {
        assert_eq!(arrived.iter().filter(|arrived| *arrived == id).count(), 1, "arrivals of {id}");
    }
}
