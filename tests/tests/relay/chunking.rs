//! A primary that offers CHUNKING gets content in chunks: octet by octet what was taken, without a final line end of ours.

use backupmx_tests::{Answer, Config, LONG, Mail, Place, Relay, ScriptedPrimary, Step, same_content};

const OFFERS: [&str; 4] = ["PIPELINING", "8BITMIME", "DSN", "CHUNKING"];

fn contents() -> Vec<Vec<u8>> {
    let header = b"Subject: x\r\n\r\n";
    let large = b".a line that begins with a dot\r\n".repeat(80_000);
    let mut contents: Vec<Vec<u8>> =
        [&b"no final line end"[..], b".", b".\r\n", b"a\r\n.\r\nMAIL FROM:<eve@elsewhere.test>\r\n", b"", &large]
            .iter()
            .map(|body| [header, *body].concat())
            .collect();
    contents.push(b"no header, no line end".to_vec());
    contents
}

/// Octets of a chunk.
const CHUNK: usize = 256 << 10;

#[test]
fn it_arrives_as_it_was_taken() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    primary.offer(&OFFERS);
    let relay = Relay::start(&place, Config::new(&place).set("/tenants/0/delivery/maxConnections", 1));
    let contents = contents();
    let mut session = relay.session();
    for content in &contents {
        session.envelope("alice@sender.test", &["bob@example.org", "eve@example.org"]);
        let (first, second) = content.split_at(content.len() / 2);
        session.chunks(&[first, second, b""]).expect(250);
    }
    primary.start();
    let received = primary.wait_count(contents.len(), LONG);
    for (arrived, sent) in received.iter().zip(&contents) {
        same_content(&arrived.content, sent);
        assert_eq!(arrived.to, ["bob@example.org", "eve@example.org"]);
        assert_eq!(arrived.chunks, Some(arrived.content.len().div_ceil(CHUNK)), "{} octets", arrived.content.len());
    }
    relay.wait_empty(LONG);
}

#[test]
fn each_recipient_has_its_own_outcome() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    primary.offer(&OFFERS);
    primary.script(|step, _| match step {
        Step::Rcpt("later@example.org") => Answer::reply("450 4.2.1 later"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org").and_to("later@example.org").and_to("eve@example.org");
    relay.session().mail(&mail).expect(250);
    primary.start();
    let received = primary.wait_count(1, LONG);
    assert_eq!(
        (received[0].to.as_slice(), received[0].chunks),
        (&[mail.to[0].clone(), mail.to[2].clone()][..], Some(1))
    );
    relay.wait_held(1);
    primary.behave();
    assert!(relay.command(&["queue", "flush"]).ok);
    assert_eq!(primary.wait_count(2, LONG)[1].to, ["later@example.org"]);
    relay.wait_empty(LONG);
}

#[test]
fn a_primary_that_takes_nobody_is_sent_no_content() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    primary.offer(&OFFERS);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("450 4.2.1 later"),
        // Content that came unasked would be answered as commands.
        Step::Other(line) if !line.eq_ignore_ascii_case("RSET") => panic!("{line}"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    primary.start();
    backupmx_tests::wait_until("it was tried", LONG, || primary.transactions() > 0);
    primary.behave();
    assert!(relay.command(&["queue", "flush"]).ok);
    primary.wait_count(1, LONG);
    relay.wait_empty(LONG);
}

#[test]
fn a_primary_that_does_not_know_bdat_gets_data() {
    let place = Place::new();
    let mut primary = ScriptedPrimary::down(&place);
    primary.offer(&OFFERS);
    // As a proxy answers that hides commands from the server behind it.
    primary.script(|step, _| match step {
        Step::Chunk(_) => Answer::reply("500 5.5.1 what"),
        Step::Dot(content) if !content.ends_with(b"\r\n") => Answer::reply("500 5.5.1 what"),
        _ => Answer::Normal,
    });
    let relay = Relay::start(&place, Config::new(&place));
    let mut session = relay.session();
    session.envelope("alice@sender.test", &["bob@example.org"]);
    session.chunks(&[b"Subject: x\r\n\r\nno final line end"]).expect(250);
    primary.start();
    // With DATA there is no way to send the last line without its end.
    let received = primary.wait_count(1, LONG);
    assert_eq!(received[0].chunks, None);
    same_content(&received[0].content, b"Subject: x\r\n\r\nno final line end\r\n");
    relay.wait_empty(LONG);
}
