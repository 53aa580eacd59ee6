//! A primary that is back gets its mail oldest first, on a ramp, over no more sessions than allowed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, stays, wait_until};

fn drain(connections: u32, messages: usize) -> (ScriptedPrimary, Vec<String>) {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/delivery/maxConnections", connections));
    let mut session = relay.session();
    let sent: Vec<_> = (0..messages)
        .map(|number| {
            let mail = Mail::to(&format!("user{number}@example.org"));
            session.mail(&mail).expect(250);
            mail.id()
        })
        .collect();
    primary.start();
    primary.wait_count(messages, LONG);
    relay.wait_empty(LONG);
    (primary, sent)
}

#[test]
fn oldest_first_over_one_session() {
    let (primary, sent) = drain(1, 50);
    let arrived: Vec<_> = primary.received().iter().map(backupmx_tests::Received::id).collect();
    assert_eq!(arrived, sent);
    assert_eq!(primary.most_connections(), 1);
    assert!(primary.connections() <= 3, "{} connections for 50 messages: sessions are reused", primary.connections());
}

#[test]
fn the_first_message_goes_alone() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    let open = Arc::new(AtomicBool::new(false));
    let door = open.clone();
    primary.script(move |step, _| {
        if matches!(step, Step::Dot(_)) {
            wait_until("the first message may be taken", LONG, || door.load(Ordering::Relaxed));
        }
        Answer::Normal
    });
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/delivery/maxConnections", 10));
    let mut session = relay.session();
    for number in 0..40 {
        session.mail(&Mail::to(&format!("user{number}@example.org"))).expect(250);
    }
    primary.start();
    wait_until("a message is on its way", LONG, || primary.transactions() > 0);
    stays("no other one is", Duration::from_secs(2), || primary.transactions() == 1);
    open.store(true, Ordering::Relaxed);
    primary.wait_count(40, LONG);
    assert!(primary.most_connections() > 1, "the ramp goes up");
}

#[test]
fn no_more_sessions_than_allowed() {
    let (primary, sent) = drain(3, 200);
    assert!(primary.most_connections() <= 3, "{} sessions at once", primary.most_connections());
    // The first is alone: a primary that has just come back is not run over.
    let received = primary.received();
    assert_eq!(received[0].id(), sent[0]);
}
