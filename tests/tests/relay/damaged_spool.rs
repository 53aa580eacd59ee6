//! Damage on the volume is set aside and reported; all other mail is delivered.

use std::{
    fs,
    path::{Path, PathBuf},
};

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary};
use serde_json::Value;

fn logs(spool: &Path, extension: &str) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(spool.join("log"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .collect();
    paths.sort();
    paths
}

/// The segment that holds a text, and where.
fn find(spool: &Path, text: &str) -> (PathBuf, usize) {
    for path in logs(spool, "seg") {
        let octets = fs::read(&path).unwrap();
        if let Some(at) = octets.windows(text.len()).position(|window| window == text.as_bytes()) {
            return (path, at);
        }
    }
    panic!("no segment holds {text}");
}

fn hold(messages: usize) -> (Place, Relay, Vec<Mail>) {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    let mails: Vec<_> = (0..messages).map(|number| Mail::to(&format!("user{number}@example.org"))).collect();
    for mail in &mails {
        session.mail(mail).expect(250);
    }
    (place, relay, mails)
}

#[test]
fn a_flipped_bit_costs_one_message_and_is_reported() {
    let (place, mut relay, mails) = hold(20);
    relay.stop();
    let (segment, at) = find(&place.file("spool"), &mails[7].id());
    let mut octets = fs::read(&segment).unwrap();
    octets[at + 3] ^= 1;
    fs::write(&segment, octets).unwrap();
    // A start that reads the sidecar alone does not see it; the delivery must.
    let primary = ScriptedPrimary::up(&place);
    relay.start_again();
    backupmx_tests::wait_until("the others are delivered", LONG, || primary.count() >= 19);
    relay.wait_empty(LONG);
    let arrived: Vec<_> = primary.received().iter().map(backupmx_tests::Received::id).collect();
    for (number, mail) in mails.iter().enumerate() {
        assert_eq!(arrived.contains(&mail.id()), number != 7, "message {number}");
    }
    assert!(relay.status().storage.quarantined >= 1, "{:?}", relay.status().storage);
    assert!(relay.metric("backupmx_spool_quarantined_total").is_some_and(|count| count >= 1.0));
    assert_by_hand(&relay, &place.file("spool").join("quarantine"), &mails[7].id());
}

/// A person sees what was set aside, saves it, and removes it, with no other tool than the relay's own.
#[track_caller]
fn assert_by_hand(relay: &Relay, folder: &Path, marker: &str) {
    let list = relay.command(&["quarantine", "list", "--json"]);
    assert!(list.ok, "{}", list.text);
    let parts: Vec<Value> = serde_json::from_str(&list.out).unwrap();
    let names: Vec<&str> = parts.iter().map(|part| part["name"].as_str().unwrap()).collect();
    assert_eq!(names.len(), fs::read_dir(folder).unwrap().count());
    let table = relay.command(&["quarantine", "list"]);
    assert!(names.iter().all(|name| table.out.contains(name)), "{}", table.text);
    assert!(relay.command(&["status"]).out.contains("quarantine list"), "the status names it");
    // But for the bit that was flipped.
    let marker = &marker[..3];
    let shown = names.iter().filter(|name| relay.command(&["quarantine", "show", name]).out.contains(marker));
    assert!(shown.count() >= 1, "the message is in none of {names:?}");
    let stranger = relay.command(&["quarantine", "discard", "../lock"]);
    assert!(!stranger.ok && stranger.text.contains("nothing of the name ../lock is set aside"), "{}", stranger.text);
    let discarded = relay.command(&[&["quarantine", "discard"], names.as_slice()].concat());
    assert!(discarded.ok, "{}", discarded.text);
    assert_eq!(fs::read_dir(folder).unwrap().count(), 0);
    assert_eq!(relay.status().storage.quarantined, 0);
}

#[test]
fn a_torn_end_is_cut() {
    let (place, mut relay, mails) = hold(5);
    relay.kill();
    let newest = logs(&place.file("spool"), "seg").pop().unwrap();
    let mut octets = fs::read(&newest).unwrap();
    // What a crash in the middle of a write leaves: half of a batch that nobody was told of.
    let half = octets[octets.len() / 3..octets.len() / 2].to_vec();
    octets.extend_from_slice(&half);
    fs::write(&newest, octets).unwrap();
    let primary = ScriptedPrimary::up(&place);
    relay.start_again();
    primary.wait_count(mails.len(), LONG);
    relay.wait_empty(LONG);
}

#[test]
fn without_its_sidecars_it_starts_all_the_same() {
    let (place, mut relay, mails) = hold(5);
    relay.stop();
    for path in logs(&place.file("spool"), "idx") {
        fs::remove_file(path).unwrap();
    }
    let primary = ScriptedPrimary::up(&place);
    relay.start_again();
    primary.wait_count(mails.len(), LONG);
    relay.wait_empty(LONG);
}

#[test]
fn a_large_message_whose_file_is_gone_is_reported() {
    let place = Place::new();
    let mut relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    let large = Mail::to("bob@example.org").with_body(&b"a line of a large message\r\n".repeat(40_000));
    session.mail(&large).expect(250);
    session.mail(&Mail::to("eve@example.org")).expect(250);
    relay.stop();
    for entry in fs::read_dir(place.file("spool").join("large")).unwrap() {
        fs::remove_file(entry.unwrap().path()).unwrap();
    }
    let primary = ScriptedPrimary::up(&place);
    relay.start_again();
    assert_eq!(primary.wait_count(1, LONG)[0].to, ["eve@example.org"]);
    relay.wait_empty(LONG);
    assert!(relay.status().storage.quarantined >= 1);
    assert!(relay.log().contains("damaged"), "the log says so");
}
