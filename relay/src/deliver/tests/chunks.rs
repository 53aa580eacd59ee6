//! Content goes out in chunks where CHUNKING is offered.

use super::{
    super::{Fault, Lost, Outcome, SessionEnd, Stage},
    *,
};

const CHUNKING: &str = "250 CHUNKING";

/// Greeting, EHLO, and what a transaction with three recipients says before its content.
fn up_to_content(codes: [&'static str; 4]) -> Vec<Do> {
    let [mail, first, second, third] = codes.map(Do::Say);
    use Do::*;
    vec![Hear("MAIL"), mail, Hear("RCPT"), first, Hear("RCPT"), second, Hear("RCPT"), third]
}

const TAKEN: [&str; 4] = ["250 ok"; 4];

#[tokio::test]
async fn one_chunk_follows_the_recipients_that_were_sent_in_one_flight() {
    use Do::*;
    let script = vec![
        Say("220 mx.example.org"),
        Hear("EHLO"),
        Say("250-mx.example.org"),
        Say("250-PIPELINING"),
        Say("250 CHUNKING"),
        Hear("MAIL"),
        Hear("RCPT"),
        Hear("RCPT"),
        Hear("RCPT"),
        Say("250 ok"),
        Say("250 ok"),
        Say("450 4.2.1 later"),
        Say("550 5.1.1 no such user"),
        HearChunk("BDAT 36 LAST\r\n"),
        Say("250 2.0.0 queued"),
        Hear("MAIL"),
        Say("421 4.3.2 going down"),
    ];
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    let transaction = send(&mut session).await;
    assert_eq!(short(&transaction), ["0 accepted 250", "1 later 450 at RCPT", "2 never 550 at RCPT"]);
    assert!(session.is_open());
    // Nothing is left to clear: the next transaction begins with MAIL.
    assert_eq!(short(&send(&mut session).await)[0], "0 later 421 at MAIL");
    let heard = server.heard().await;
    assert!(heard.contains("BDAT 36 LAST\r\nReceived: here\r\nSubject: x\r\n\r\n.dot\r\nMAIL"), "{heard}");
}

#[tokio::test]
async fn octets_go_out_as_they_are() {
    for content in [&b""[..], b"no line end", b".", b".\r\n", b"a\r\n.\r\nQUIT\r\n", b"\xff\xfe 8-bit\r\n.."] {
        let command: &'static str = String::leak(format!("BDAT {} LAST\r\n", content.len()));
        let mut script = welcome(CHUNKING);
        script.extend([Do::Hear("MAIL"), Do::Say("250 ok"), Do::Hear("RCPT"), Do::Say("250 ok")]);
        script.extend([Do::HearChunk(command), Do::Say("250 ok"), Do::Hear("QUIT"), Do::Say("221 bye")]);
        let server = Server::play(script).await;
        let mut session = open(&server, &plain()).await;
        let envelope = envelope("s@example.net", &["a@example.org"]);
        let transaction = session.send(&envelope, &[0], Content::Memory(Bytes::from_static(content)), b"").await;
        assert_eq!(short(&transaction), ["0 accepted 250"]);
        session.quit().await;
        let heard = server.heard().await;
        assert!(heard.ends_with(&format!("{command}{}QUIT\r\n", String::from_utf8_lossy(content))), "{heard:?}");
    }
}

#[tokio::test]
async fn no_chunk_goes_out_where_nobody_was_accepted() {
    for codes in
        [["550 5.7.1 no", "250 ok", "250 ok", "250 ok"], ["250 ok", "550 5.1.1 no", "550 5.1.1 no", "450 4.2.1 later"]]
    {
        let [mail, first, second, third] = codes.map(Do::Say);
        let mut script = vec![Do::Say("220 x"), Do::Hear("EHLO"), Do::Say("250-x"), Do::Say("250-PIPELINING")];
        script.extend([
            Do::Say("250 CHUNKING"),
            Do::Hear("MAIL"),
            Do::Hear("RCPT"),
            Do::Hear("RCPT"),
            Do::Hear("RCPT"),
        ]);
        script.extend([mail, first, second, third, Do::Hear("QUIT"), Do::Say("221 bye")]);
        let server = Server::play(script).await;
        let mut session = open(&server, &plain()).await;
        let transaction = send(&mut session).await;
        assert!(transaction.outcomes.iter().all(|(_, outcome)| !matches!(outcome, Outcome::Accepted(_))));
        assert_eq!(transaction.ended, SessionEnd::Open);
        session.quit().await;
        assert!(!server.heard().await.contains("BDAT"));
    }
}

#[tokio::test]
async fn a_refused_chunk_is_a_refusal_of_the_message_and_is_cleared_away() {
    for (reply, outcome) in [
        ("554 5.6.0 bad content", "0 never 554 at BDAT LAST"),
        ("451 4.3.0 disk trouble", "0 later 451 at BDAT LAST"),
        ("552 5.3.4 too large", "0 never 552 at BDAT LAST"),
    ] {
        let mut script = up_to_content(TAKEN);
        script.extend([Do::HearChunk("BDAT"), Do::Say(reply), Do::Hear("RSET"), Do::Say("421 bye")]);
        let server = Server::play([welcome(CHUNKING), script].concat()).await;
        let mut session = open(&server, &plain()).await;
        let transaction = send(&mut session).await;
        assert_eq!(short(&transaction)[0], outcome);
        assert!(matches!(send(&mut session).await.ended, SessionEnd::Closing(_)));
        server.heard().await;
    }
}

#[tokio::test]
async fn a_connection_lost_behind_the_last_chunk_leaves_a_doubt_and_earlier_none() {
    let talk = up_to_content(TAKEN);
    for count in 1..=talk.len() {
        let script = [&talk[..count], &[Do::Close]].concat();
        let (transaction, usable, _) = send_three(CHUNKING, script).await;
        assert!(!usable);
        let is_last = count == talk.len();
        for (_, outcome) in &transaction.outcomes {
            let Outcome::Lost(lost) = outcome else { panic!("{outcome:?} after {count} steps") };
            assert_eq!(lost.in_doubt(), is_last, "{lost} after {count} steps");
        }
    }
    let (transaction, _, _) = send_three(CHUNKING, [talk, vec![Do::HearChunk("BDAT"), Do::Close]].concat()).await;
    assert_eq!(short(&transaction)[0], "0 in doubt at BDAT LAST");
}

/// Content of three chunks, the last one short.
fn large() -> Bytes {
    Bytes::from(b".a line of a large message\r\n".repeat((5 << 17) / 28))
}

async fn send_large(session: &mut Session, content: Bytes) -> Transaction {
    let envelope = envelope("s@example.net", &["a@example.org"]);
    session.send(&envelope, &[0], Content::Memory(content), b"Received: here\r\n").await
}

fn up_to_large() -> Vec<Do> {
    let mut script = welcome(CHUNKING);
    script.extend([Do::Hear("MAIL"), Do::Say("250 ok"), Do::Hear("RCPT"), Do::Say("250 ok")]);
    script
}

#[tokio::test]
async fn a_large_message_goes_in_chunks_each_awaited() {
    let mut script = up_to_large();
    for _ in 0..2 {
        script.extend([Do::HearChunk("BDAT 26"), Do::Say("250 2.0.0 go on")]);
    }
    script.extend([Do::HearChunk("BDAT"), Do::Say("250 2.0.0 queued"), Do::Hear("QUIT"), Do::Say("221 bye")]);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    let transaction = send_large(&mut session, large()).await;
    assert_eq!(short(&transaction), ["0 accepted 250"]);
    session.quit().await;
    let heard = server.heard().await;
    let start = heard.find("BDAT").unwrap();
    let mut content = String::new();
    let mut rest = &heard[start..];
    while let Some(line) = rest.strip_prefix("BDAT ") {
        let (arguments, after) = line.split_once("\r\n").unwrap();
        let (octets, after) = after.split_at(arguments.trim_end_matches(" LAST").parse().unwrap());
        content.push_str(octets);
        rest = after;
    }
    assert_eq!(rest, "QUIT\r\n");
    assert!(content.strip_prefix("Received: here\r\n").is_some_and(|content| content.as_bytes() == large()));
}

#[tokio::test]
async fn nothing_follows_a_chunk_that_was_refused() {
    let mut script = up_to_large();
    script.extend([Do::HearChunk("BDAT"), Do::Say("552 5.3.4 too large"), Do::Hear("QUIT"), Do::Say("221 bye")]);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    let transaction = send_large(&mut session, large()).await;
    assert_eq!(short(&transaction), ["0 never 552 at BDAT"]);
    session.quit().await;
    server.heard().await;
}

#[tokio::test]
async fn a_connection_lost_between_chunks_leaves_no_doubt() {
    let mut script = up_to_large();
    script.extend([Do::HearChunk("BDAT"), Do::Close]);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    let transaction = send_large(&mut session, large()).await;
    assert_eq!(short(&transaction), ["0 lost at BDAT"]);
    server.heard().await;
}

#[tokio::test]
async fn a_file_that_is_shorter_than_it_was_is_never_ended() {
    use std::io::{Seek, Write};
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&large()[1..]).unwrap();
    file.rewind().unwrap();
    let mut script = up_to_large();
    for _ in 0..2 {
        script.extend([Do::HearChunk("BDAT"), Do::Say("250 2.0.0 go on")]);
    }
    script.push(Do::Idle);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    let envelope = envelope("s@example.net", &["a@example.org"]);
    let transaction = session.send(&envelope, &[0], Content::File(file, large().len() as u64), b"").await;
    assert!(matches!(&transaction.outcomes[0].1, Outcome::Lost(Lost { fault: Fault::Content(_), .. })));
    drop(session);
    assert!(!server.heard().await.contains("LAST"));
}

#[tokio::test]
async fn a_server_that_does_not_know_bdat_after_all_gets_data_next_time() {
    use Do::*;
    let mut script = [welcome(CHUNKING), up_to_content(TAKEN)].concat();
    script.extend([HearChunk("BDAT"), Say("502 5.5.2 what"), Accept]);
    script.extend(welcome(CHUNKING));
    script.extend(up_to_content(TAKEN));
    script.extend([Hear("DATA"), Say("354 go"), HearContent, Say("250 ok")]);
    let server = Server::play(script).await;
    let settings = plain();
    let mut session = open(&server, &settings).await;
    let transaction = send(&mut session).await;
    let Outcome::Lost(Lost { stage: Stage::LastChunk, fault: Fault::Unexpected(_) }) = &transaction.outcomes[0].1
    else {
        panic!("{transaction:?}")
    };
    assert!(!session.is_open(), "it may have read the content as commands");
    drop(session);
    let mut session = open(&server, &settings).await;
    assert_eq!(short(&send(&mut session).await)[0], "0 accepted 250");
    server.heard().await;
}
