//! Sessions against a scripted server on loopback.

mod chunks;

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

#[tokio::test]
async fn a_long_list_of_extensions_is_read_whole_and_a_long_reply_is_cut() {
    let mut script = vec![Do::Say("220 mx.example.org"), Do::Hear("EHLO"), Do::Say("250-mx.example.org")];
    script.extend(std::iter::repeat_n(Do::Say("250-X-SOMETHING-WITH-A-NAME that is rather long, with parameters"), 60));
    script.extend([Do::Say("250 PIPELINING"), Do::Hear("MAIL"), Do::Hear("RCPT"), Do::Hear("DATA")]);
    let long: &'static str = String::leak(format!("550 {}", "x".repeat(3000)));
    script.extend([Do::Say(long), Do::Say("503 no"), Do::Say("503 no"), Do::Idle]);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    assert!(session.capabilities().pipelining);
    let envelope = envelope("s@example.net", &["a@example.org"]);
    let transaction = session.send(&envelope, &[0], Content::Memory(Bytes::from_static(CONTENT)), b"").await;
    let [(0, Outcome::Permanent(reply, Stage::Mail))] = transaction.outcomes.as_slice() else {
        panic!("{transaction:?}")
    };
    assert!(reply.text.len() <= 1000);
}

async fn open_error(script: Vec<Do>, settings: &Settings) -> OpenError {
    let server = Server::play(script).await;
    Session::open(&server.endpoint(), settings).await.expect_err("the session opened")
}

#[tokio::test]
async fn opening_fails_by_name() {
    use Do::*;
    let refused = |stage, code| move |error: &OpenError| error.stage() == stage && error.reply().unwrap().code == code;
    type Check = Box<dyn Fn(&OpenError) -> bool>;
    let cases: Vec<(Vec<Do>, Check)> = vec![
        (vec![Close], Box::new(|error| error.stage() == Stage::Greeting && error.reply().is_none())),
        (vec![Say("554 no")], Box::new(refused(Stage::Greeting, 554))),
        (vec![Say("421 busy")], Box::new(refused(Stage::Greeting, 421))),
        (vec![Say("250 hm")], Box::new(refused(Stage::Greeting, 250))),
        (vec![Say("SSH-2.0")], Box::new(|error| error.to_string().contains("does not speak SMTP"))),
        (vec![Say("220 x"), Hear("EHLO"), Say("421 no")], Box::new(refused(Stage::Ehlo, 421))),
        (
            vec![Say("220 x"), Hear("EHLO"), Say("502 what"), Hear("HELO"), Say("550 no")],
            Box::new(refused(Stage::Ehlo, 550)),
        ),
        (
            vec![Say("220 x"), Hear("EHLO"), Say("250 MX1.backup.example.net. hi")],
            Box::new(|error| matches!(error, OpenError::Ourselves { .. })),
        ),
        (vec![Say("220 mx1.backup.example.net ESMTP")], Box::new(|error| matches!(error, OpenError::Ourselves { .. }))),
    ];
    for (script, expected) in cases {
        let error = open_error(script, &plain()).await;
        assert!(expected(&error), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Session::open(&Endpoint { name: None, address }, &plain()).await.expect_err("opened");
    assert_eq!(error.stage(), Stage::Connect);
}

#[tokio::test]
async fn helo_is_said_where_ehlo_is_not_known() {
    use Do::*;
    let script = vec![Say("220 x"), Hear("EHLO"), Say("500 what"), Hear("HELO mx1"), Say("250 old.example.org"), Idle];
    let server = Server::play(script).await;
    let session = open(&server, &plain()).await;
    assert_eq!(session.server(), "old.example.org");
    assert_eq!(*session.capabilities(), super::Capabilities::default());
}

fn starttls(then: Vec<Do>) -> Vec<Do> {
    [welcome("250 STARTTLS"), vec![Do::Hear("STARTTLS")], then].concat()
}

fn with_tls(mode: PrimaryTlsMode, client_tls: ClientTls) -> Settings {
    Settings { tls: mode, client_tls: Arc::new(client_tls), ..settings() }
}

#[tokio::test]
async fn tls_is_used_where_it_is_offered() {
    use Do::*;
    for mode in [PrimaryTlsMode::Opportunistic, PrimaryTlsMode::Require] {
        let script = starttls(vec![Say("220 go"), Tls, Hear("EHLO"), Say("250-mx"), Say("250 DSN")]);
        let script = [script, vec![Hear("QUIT"), Say("221 bye")]].concat();
        let server = Server::play(script).await;
        let session = open(&server, &with_tls(mode, ClientTls::new().unwrap())).await;
        assert_eq!(session.tls().unwrap().version, "TLSv1.3");
        assert!(session.capabilities().dsn && !session.capabilities().starttls);
        assert!(session.is_open());
        session.quit().await;
        assert!(server.heard().await.ends_with("QUIT\r\n"));
    }
}

#[tokio::test]
async fn verify_believes_only_an_authority_and_the_name() {
    use Do::*;
    let script = || starttls(vec![Say("220 go"), Tls, Hear("EHLO"), Say("250 mx"), Idle]);
    let server = Server::play(script()).await;
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let trusting = with_tls(PrimaryTlsMode::Verify, ClientTls::with_roots(roots.clone()).unwrap());
    drop(open(&server, &trusting).await);
    server.heard().await;

    let script = || starttls(vec![Say("220 go"), Tls]);
    let unknown = Server::play(script()).await;
    let error = Session::open(&unknown.endpoint(), &trusting).await.expect_err("another's certificate was believed");
    assert_eq!(error.stage(), Stage::Tls);

    let server = Server::play(script()).await;
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let trusting = with_tls(PrimaryTlsMode::Verify, ClientTls::with_roots(roots).unwrap());
    let other = Endpoint { name: Some("other.example.org".parse().unwrap()), ..server.endpoint() };
    let error = Session::open(&other, &trusting).await.expect_err("another name was believed");
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[tokio::test]
async fn required_tls_is_not_done_without() {
    use Do::*;
    let require = with_tls(PrimaryTlsMode::Require, ClientTls::new().unwrap());
    assert_eq!(open_error(welcome(PIPELINING), &require).await, OpenError::NoTls);
    let error = open_error(starttls(vec![Say("454 4.7.0 not now")]), &require).await;
    assert!(matches!(error, OpenError::Refused { stage: Stage::StartTls, .. }), "{error:?}");
    let error = open_error(starttls(vec![Say("220 go"), Close]), &require).await;
    assert_eq!(error.stage(), Stage::Tls);
}

#[tokio::test]
async fn opportunistic_tls_falls_back_to_the_clear() {
    use Do::*;
    let refused = starttls(vec![Say("454 4.7.0 not now"), Hear("QUIT"), Say("221 bye")]);
    let garbled = [
        starttls(vec![Say("220 go"), Swallow(10), Say("oops"), Close, Accept]),
        welcome("250 STARTTLS"),
        vec![Hear("QUIT"), Say("221 bye")],
    ]
    .concat();
    let silent_after = [
        starttls(vec![Say("220 go"), Tls, Hear("EHLO"), Close, Accept]),
        welcome("250 STARTTLS"),
        vec![Hear("QUIT"), Say("221 bye")],
    ]
    .concat();
    for script in [refused, garbled, silent_after] {
        let server = Server::play(script).await;
        let session = open(&server, &settings()).await;
        assert_eq!(session.tls(), None);
        session.quit().await;
        server.heard().await;
    }
}

#[tokio::test]
async fn what_is_pipelined_behind_the_starttls_reply_is_not_believed() {
    use Do::*;
    let require = with_tls(PrimaryTlsMode::Require, ClientTls::new().unwrap());
    let error = open_error(starttls(vec![Say("220 go\r\n250 injected"), Tls]), &require).await;
    assert_eq!(error.stage(), Stage::Tls);
    assert!(error.to_string().contains("plain text"), "{error}");
}

#[tokio::test]
async fn an_idle_session_that_the_server_ended_is_not_open() {
    for script in [vec![Do::Close], vec![Do::Say("421 4.4.2 idle too long"), Do::Idle]] {
        let server = Server::play([welcome(PIPELINING), script].concat()).await;
        let session = open(&server, &plain()).await;
        for _ in 0..500 {
            if !session.is_open() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!session.is_open());
    }
}
