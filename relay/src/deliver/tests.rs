//! Sessions against a scripted server on loopback.

mod chunks;
mod opening;

use std::{sync::Arc, time::Duration};

use backupmx_relay_config::PrimaryTlsMode;
use bytes::Bytes;
use rustls::RootCertStore;

use super::{
    ClientTls, Endpoint, Fault, Lost, OpenError, Outcome, Session, SessionEnd, Settings, Stage, Transaction,
    fake::{Do, Server, envelope, settings},
};
use crate::spool::Content;

const CONTENT: &[u8] = b"Subject: x\r\n\r\n.dot\r\n";

fn plain() -> Settings {
    Settings { tls: PrimaryTlsMode::None, ..settings() }
}

/// Greeting and EHLO of a server that offers these.
fn welcome(offers: &'static str) -> Vec<Do> {
    let mut script = vec![Do::Say("220 mx.example.org ESMTP"), Do::Hear("EHLO mx1.backup.example.net\r\n")];
    match offers {
        "" => script.push(Do::Say("250 mx.example.org")),
        offers => script.extend([Do::Say("250-mx.example.org"), Do::Say(offers)]),
    }
    script
}

const PIPELINING: &str = "250 PIPELINING";

async fn open(server: &Server, settings: &Settings) -> Session {
    Session::open(&server.endpoint(), settings).await.unwrap()
}

/// Plays a script, and sends one message for recipients a, b and c in it.
async fn send_three(offers: &'static str, script: Vec<Do>) -> (Transaction, bool, String) {
    let server = Server::play([welcome(offers), script].concat()).await;
    let mut session = open(&server, &plain()).await;
    let transaction = send(&mut session).await;
    let usable = session.state != super::session::State::Closed;
    drop(session);
    (transaction, usable, server.heard().await)
}

async fn send(session: &mut Session) -> Transaction {
    let envelope = envelope("s@example.net", &["a@example.org", "b@example.org", "c@example.org"]);
    session.send(&envelope, &[0, 1, 2], Content::Memory(Bytes::from_static(CONTENT)), b"Received: here\r\n").await
}

/// The outcomes, in short.
fn short(transaction: &Transaction) -> Vec<String> {
    let outcomes = transaction.outcomes.iter().map(|(position, outcome)| match outcome {
        Outcome::Accepted(reply) => format!("{position} accepted {}", reply.code),
        Outcome::Transient(reply, stage) => format!("{position} later {} at {stage}", reply.code),
        Outcome::Permanent(reply, stage) => format!("{position} never {} at {stage}", reply.code),
        Outcome::Lost(lost) if lost.in_doubt() => format!("{position} in doubt at {}", lost.stage),
        Outcome::Lost(lost) => format!("{position} lost at {}", lost.stage),
        Outcome::NeedsSmtpUtf8 => format!("{position} needs SMTPUTF8"),
    });
    outcomes.collect()
}

#[tokio::test]
async fn a_message_goes_out_in_two_flights_where_pipelining_is_offered() {
    use Do::*;
    let script = vec![
        Hear("MAIL FROM:<s@example.net>\r\n"),
        Hear("RCPT TO:<a@example.org>\r\n"),
        Hear("RCPT TO:<b@example.org>\r\n"),
        Hear("RCPT TO:<c@example.org>\r\n"),
        Hear("DATA\r\n"),
        Say("250 2.1.0 ok"),
        Say("250 2.1.5 ok"),
        Say("450 4.2.1 later"),
        Say("550 5.1.1 no such user"),
        Say("354 go"),
        HearContent,
        Say("250 2.0.0 queued"),
    ];
    let (transaction, usable, heard) = send_three(PIPELINING, script).await;
    assert_eq!(short(&transaction), ["0 accepted 250", "1 later 450 at RCPT", "2 never 550 at RCPT"]);
    assert!(usable);
    assert!(heard.ends_with("DATA\r\nReceived: here\r\nSubject: x\r\n\r\n..dot\r\n.\r\n"), "{heard}");
}

#[tokio::test]
async fn without_pipelining_each_command_waits_for_its_answer() {
    use Do::*;
    let script = vec![
        Hear("MAIL"),
        Say("250 ok"),
        Hear("RCPT TO:<a"),
        Say("550 5.1.1 no"),
        Hear("RCPT TO:<b"),
        Say("250 ok"),
        Hear("RCPT TO:<c"),
        Say("250 ok"),
        Hear("DATA"),
        Say("354 go"),
        HearContent,
        Say("451 4.3.0 disk trouble"),
    ];
    let (transaction, usable, _) = send_three("", script).await;
    assert_eq!(
        short(&transaction),
        ["0 never 550 at RCPT", "1 later 451 at the final dot", "2 later 451 at the final dot"]
    );
    assert!(usable);
}

#[tokio::test]
async fn a_refused_sender_or_no_recipient_ends_it_before_data() {
    use Do::*;
    let (transaction, usable, _) = send_three("", vec![Hear("MAIL"), Say("550 5.7.1 no"), Idle]).await;
    assert_eq!(short(&transaction), ["0 never 550 at MAIL", "1 never 550 at MAIL", "2 never 550 at MAIL"]);
    assert!(usable);

    let mut script = vec![Hear("MAIL"), Say("250 ok")];
    for _ in 0..3 {
        script.extend([Hear("RCPT"), Say("451 4.7.1 greylisted")]);
    }
    script.push(Idle);
    let (transaction, _, heard) = send_three("", script).await;
    assert_eq!(short(&transaction), ["0 later 451 at RCPT", "1 later 451 at RCPT", "2 later 451 at RCPT"]);
    assert!(heard.ends_with("RCPT TO:<c@example.org>\r\n"), "{heard}");
}

#[tokio::test]
async fn a_server_that_wants_content_without_recipients_gets_a_lone_dot() {
    use Do::*;
    let mut script = vec![Hear("MAIL"), Hear("RCPT"), Hear("RCPT"), Hear("RCPT"), Hear("DATA"), Say("250 ok")];
    script.extend([
        Say("550 no"),
        Say("550 no"),
        Say("550 no"),
        Say("354 go"),
        Hear(".\r\n"),
        Say("554 no recipients"),
    ]);
    script.extend([Hear("RSET"), Hear("MAIL")]);
    let server = Server::play([welcome(PIPELINING), script].concat()).await;
    let mut session = open(&server, &plain()).await;
    let transaction = send(&mut session).await;
    assert_eq!(short(&transaction), ["0 never 550 at RCPT", "1 never 550 at RCPT", "2 never 550 at RCPT"]);
    let _ = send(&mut session).await;
    server.heard().await;
}

#[tokio::test]
async fn no_empty_message_is_made_where_only_the_sender_was_refused() {
    use Do::*;
    let mut script = vec![Hear("MAIL"), Hear("RCPT"), Hear("RCPT"), Hear("RCPT"), Hear("DATA"), Say("450 no")];
    script.extend([Say("250 ok"), Say("250 ok"), Say("250 ok"), Say("354 go"), Idle]);
    let (transaction, usable, heard) = send_three(PIPELINING, script).await;
    assert_eq!(short(&transaction), ["0 later 450 at MAIL", "1 later 450 at MAIL", "2 later 450 at MAIL"]);
    assert!(!usable);
    assert!(heard.ends_with("DATA\r\n"), "{heard}");
}

#[tokio::test]
async fn a_session_is_used_again_and_cleared_after_a_failure() {
    use Do::*;
    let accepted = |script: &mut Vec<Do>| {
        script.extend([Hear("MAIL"), Hear("RCPT"), Hear("RCPT"), Hear("RCPT"), Hear("DATA")]);
        script.extend([Say("250 ok"), Say("250 ok"), Say("250 ok"), Say("250 ok"), Say("354 go")]);
        script.push(HearContent);
    };
    let mut script = Vec::new();
    accepted(&mut script);
    script.push(Say("250 ok"));
    accepted(&mut script);
    script.push(Say("554 5.6.0 bad content"));
    script.extend([Hear("RSET"), Hear("MAIL"), Hear("RCPT"), Hear("RCPT"), Hear("RCPT"), Hear("DATA")]);
    script.extend([Say("250 reset"), Say("250 ok"), Say("250 ok"), Say("250 ok"), Say("250 ok"), Say("354 go")]);
    script.extend([HearContent, Say("250 ok"), Hear("QUIT"), Say("221 bye"), Close]);
    let server = Server::play([welcome(PIPELINING), script].concat()).await;
    let mut session = open(&server, &plain()).await;
    for code in [250, 554, 250] {
        assert!(session.is_open());
        let transaction = send(&mut session).await;
        let codes: Vec<u16> = transaction
            .outcomes
            .iter()
            .map(|(_, outcome)| match outcome {
                Outcome::Accepted(reply) | Outcome::Transient(reply, _) | Outcome::Permanent(reply, _) => reply.code,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(codes, [code; 3]);
    }
    assert_eq!(session.transactions(), 3);
    session.quit().await;
    server.heard().await;
}

#[tokio::test]
async fn a_connection_lost_at_any_step_says_where() {
    use Do::*;
    let talk = [
        (Hear("MAIL"), "MAIL"),
        (Say("250 ok"), "RCPT"),
        (Hear("RCPT"), "RCPT"),
        (Say("250 ok"), "RCPT"),
        (Hear("RCPT"), "RCPT"),
        (Say("250 ok"), "RCPT"),
        (Hear("RCPT"), "RCPT"),
        (Say("250 ok"), "DATA"),
        (Hear("DATA"), "DATA"),
    ];
    for count in 1..=talk.len() {
        let mut script: Vec<Do> = talk[..count].iter().map(|(step, _)| step.clone()).collect();
        script.push(Close);
        let stage = talk[count - 1].1;
        let (transaction, usable, _) = send_three("", script).await;
        let all: Vec<String> = (0..3).map(|position| format!("{position} lost at {stage}")).collect();
        assert_eq!(short(&transaction), all, "after {count} steps");
        assert!(!usable);
    }
    let mut script: Vec<Do> = talk.iter().map(|(step, _)| step.clone()).collect();
    script.extend([Say("354 go"), HearContent, Close]);
    let (transaction, _, _) = send_three("", script).await;
    assert_eq!(short(&transaction)[0], "0 in doubt at the final dot");
    assert_eq!(transaction.ended, SessionEnd::Lost(Lost { stage: Stage::EndOfData, fault: Fault::Closed }));
}

#[tokio::test]
async fn what_was_settled_before_the_loss_stays_settled() {
    use Do::*;
    let script = vec![
        Hear("MAIL"),
        Say("250 ok"),
        Hear("RCPT"),
        Say("550 5.1.1 no"),
        Hear("RCPT"),
        Say("250 ok"),
        Hear("RCPT"),
        Say("421 4.3.2 going down"),
        Close,
    ];
    let (transaction, usable, _) = send_three("", script).await;
    assert_eq!(short(&transaction), ["0 never 550 at RCPT", "1 later 421 at RCPT", "2 later 421 at RCPT"]);
    assert!(matches!(transaction.ended, SessionEnd::Closing(_)));
    assert!(!usable);
}

#[tokio::test]
async fn silence_ends_a_session_in_time() {
    let server = Server::play([welcome(""), vec![Do::Hear("MAIL"), Do::Idle]].concat()).await;
    let mut settings = plain();
    settings.timeouts.mail = Duration::from_millis(50);
    let mut session = open(&server, &settings).await;
    let transaction = send(&mut session).await;
    let fault = Fault::TimedOut(Duration::from_millis(50));
    assert_eq!(transaction.ended, SessionEnd::Lost(Lost { stage: Stage::Mail, fault }));
    drop(session);
    server.heard().await;
}

#[tokio::test]
async fn a_server_may_refuse_in_the_middle_of_the_content() {
    use Do::*;
    let mut script = vec![Hear("MAIL"), Say("250 ok")];
    for _ in 0..3 {
        script.extend([Hear("RCPT"), Say("250 ok")]);
    }
    script.extend([Hear("DATA"), Say("354 go"), Hear("Received"), Say("552 5.3.4 too large"), Close]);
    let server = Server::play([welcome(""), script].concat()).await;
    let mut session = open(&server, &plain()).await;
    let envelope = envelope("s@example.net", &["a@example.org", "b@example.org", "c@example.org"]);
    let large = Content::Memory(Bytes::from(b"x\r\n".repeat(20 << 20)));
    let transaction = session.send(&envelope, &[0, 1, 2], large, b"Received: here\r\n").await;
    // A reset may overtake the reply in the kernel: then the connection is merely lost, never in doubt.
    for (_, outcome) in &transaction.outcomes {
        match outcome {
            Outcome::Permanent(reply, Stage::EndOfData) => assert_eq!(reply.code, 552),
            Outcome::Lost(lost) => assert!(!lost.in_doubt(), "{lost}"),
            other => panic!("{other:?}"),
        }
    }
    server.heard().await;
}

#[tokio::test]
async fn many_recipients_go_in_several_flights() {
    let paths: Vec<String> = (0..1000).map(|n| format!("recipient-number-{n}@example.org")).collect();
    let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
    let mut script = welcome(PIPELINING);
    script.extend([Do::Hear("MAIL"), Do::Say("250 ok")]);
    for _ in &paths {
        script.extend([Do::Hear("RCPT"), Do::Say("250 ok")]);
    }
    script.extend([Do::Hear("DATA"), Do::Say("354 go"), Do::HearContent, Do::Say("250 ok")]);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    let positions: Vec<usize> = (0..paths.len()).collect();
    let envelope = envelope("s@example.net", &paths);
    let transaction = session.send(&envelope, &positions, Content::Memory(Bytes::from_static(CONTENT)), b"").await;
    assert!(transaction.outcomes.iter().all(|(_, outcome)| matches!(outcome, Outcome::Accepted(_))));
    assert_eq!(transaction.outcomes.len(), 1000);
    server.heard().await;
}

#[tokio::test]
async fn content_in_a_file_goes_out_whole_or_not_at_all() {
    use std::io::{Seek, Write};
    let body = b"From: a\r\n\r\n.line\r\n".repeat(20_000);
    for missing in [0, 1] {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&body[..body.len() - missing]).unwrap();
        file.rewind().unwrap();
        let mut script = welcome("");
        script.extend([Do::Hear("MAIL"), Do::Say("250 ok"), Do::Hear("RCPT"), Do::Say("250 ok"), Do::Hear("DATA")]);
        script.push(Do::Say("354 go"));
        script.extend(if missing == 0 { vec![Do::HearContent, Do::Say("250 ok")] } else { vec![Do::Idle] });
        let server = Server::play(script).await;
        let mut session = open(&server, &plain()).await;
        let envelope = envelope("s@example.net", &["a@example.org"]);
        let content = Content::File(file, body.len() as u64);
        let transaction = session.send(&envelope, &[0], content, b"").await;
        drop(session);
        let heard = server.heard().await;
        if missing == 0 {
            assert_eq!(short(&transaction), ["0 accepted 250"]);
            let sent = heard.split_once("DATA\r\n").unwrap().1;
            assert_eq!(sent, format!("{}.\r\n", String::from_utf8(body.clone()).unwrap().replace("\n.", "\n..")));
        } else {
            assert!(matches!(&transaction.outcomes[0].1, Outcome::Lost(Lost { fault: Fault::Content(_), .. })));
            assert!(!heard.ends_with(".\r\n") || heard.ends_with("DATA\r\n"), "a broken message was ended");
        }
    }
}

#[tokio::test]
async fn mail_that_needs_smtputf8_is_not_sent_without_it() {
    let server = Server::play([welcome(PIPELINING), vec![Do::Idle]].concat()).await;
    let mut session = open(&server, &plain()).await;
    let mut envelope = envelope("s@example.net", &["a@example.org"]);
    envelope.smtputf8 = true;
    let transaction = session.send(&envelope, &[0], Content::Memory(Bytes::new()), b"").await;
    assert_eq!(transaction.outcomes, [(0, Outcome::NeedsSmtpUtf8)]);
    assert!(session.is_open());
    drop(session);
    assert_eq!(server.heard().await, "EHLO mx1.backup.example.net\r\n");
}

#[tokio::test]
async fn nothing_is_said_for_nobody() {
    let server = Server::play([welcome(PIPELINING), vec![Do::Hear("QUIT"), Do::Say("221 bye")]].concat()).await;
    let mut session = open(&server, &plain()).await;
    let envelope = envelope("s@example.net", &["a@example.org"]);
    let transaction = session.send(&envelope, &[], Content::Memory(Bytes::from_static(CONTENT)), b"").await;
    assert_eq!(transaction, Transaction { outcomes: Vec::new(), ended: SessionEnd::Open });
    session.quit().await;
    server.heard().await;
}
