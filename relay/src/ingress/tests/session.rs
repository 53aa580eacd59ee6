//! The course of a session.

use std::time::Duration;

use super::kit::{Server, TENANTS, config};
use crate::{
    message::{BodyType, Notify, Origin, ReportContent},
    smtp::ReversePath,
};

#[tokio::test]
async fn ehlo_offers_exactly_what_works() {
    let server = Server::start("messageSize: 1Mi, recipients: 150");
    let mut client = server.connect().await;
    let reply = client.ask("EHLO client.example", "250 ").await;
    assert_eq!(
        reply.text.split('\n').collect::<Vec<_>>(),
        [
            "mx1.example.net",
            "PIPELINING",
            "SIZE 1048576",
            "8BITMIME",
            "STARTTLS",
            "ENHANCEDSTATUSCODES",
            "CHUNKING",
            "DSN",
            "ETRN",
            "SMTPUTF8",
            "LIMITS RCPTMAX=150 RCPTDOMAINMAX=1",
        ]
    );
    server.reload(config("", &TENANTS[..TENANTS.find("{name: b").unwrap()]));
    let reply = client.ask("EHLO client.example", "250 ").await;
    assert!(reply.text.ends_with("\nLIMITS RCPTMAX=200"), "{}", reply.text);
}

#[tokio::test]
async fn a_message_is_stored_with_all_that_was_said_of_it() {
    let server = Server::start("");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<\"a b\"@example.test> SIZE=20 BODY=8BITMIME RET=HDRS ENVID=x+2By", "250 2.1.0").await;
    client.ask("RCPT TO:<User@Example.ORG> NOTIFY=FAILURE,DELAY ORCPT=rfc822;other@example.test", "250 2.1.5").await;
    client.ask("RCPT TO:<@a.test:second@example.org>", "250 2.1.5").await;
    client.ask("DATA", "354").await;
    client.send("Subject: é\r\n\r\n..dot\r\n.\r\n").await;
    let reply = client.expect("250 2.0.0 Ok: queued as ").await;
    assert!(reply.text.ends_with("00000000001"));
    client.ask("QUIT", "221 2.0.0").await;
    client.expect_close().await;

    let (envelope, content, large) = server.taken().remove(0);
    assert_eq!(content, "Subject: é\r\n\r\n.dot\r\n".as_bytes());
    assert!(!large);
    assert_eq!(envelope.sender.as_str(), "\"a b\"@example.test");
    assert_eq!((envelope.body, envelope.ret), (BodyType::EightBitMime, Some(ReportContent::Headers)));
    assert_eq!(envelope.envid.unwrap().as_str(), "x+2By");
    assert_eq!(envelope.size, content.len() as u64);
    assert!(envelope.arrived.as_millis() > 0);
    assert_eq!(envelope.recipients[0].path.as_str(), "User@Example.ORG");
    assert_eq!(envelope.recipients[0].notify, Some(Notify { success: false, failure: true, delay: true }));
    assert_eq!(envelope.recipients[0].orcpt.as_ref().unwrap().as_str(), "rfc822;other@example.test");
    assert_eq!(envelope.recipients[1].path.as_str(), "second@example.org");
    let Origin::Client(client) = envelope.origin else { panic!("no client") };
    assert_eq!((client.address.to_string().as_str(), client.helo.as_str()), ("127.0.0.1", "client.example"));
    assert!(client.esmtp && client.tls.is_none());
    assert_eq!(server.context.metrics.taken.with_label_values(&["a"]).get(), 1);
    assert_eq!(server.context.budget.used(), 0);
}

#[tokio::test]
async fn the_null_sender_and_helo_are_taken() {
    let server = Server::start("");
    let mut client = server.connect().await;
    client.ask("HELO [192.0.2.1]", "250 mx1.example.net").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<user@example.org>", "250").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    client.expect("250").await;
    let (envelope, content, _) = server.taken().remove(0);
    assert_eq!(envelope.sender, ReversePath::null());
    assert!(content.is_empty());
    assert!(matches!(envelope.origin, Origin::Client(client) if !client.esmtp && client.helo == "[192.0.2.1]"));
}

#[tokio::test]
async fn commands_out_of_order_are_503() {
    let server = Server::start("errors: 100");
    let mut client = server.connect().await;
    client.ask("MAIL FROM:<>", "503 5.5.1").await;
    client.ask("ETRN example.org", "503 5.5.1").await;
    client.ask("EHLO client.example", "250").await;
    client.ask("RCPT TO:<user@example.org>", "503 5.5.1").await;
    client.ask("DATA", "503 5.5.1").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("MAIL FROM:<>", "503 5.5.1").await;
    client.ask("DATA", "554 5.5.1").await;
    client.ask("RSET", "250 2.0.0").await;
    client.ask("DATA", "503 5.5.1").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("EHLO again.example", "250").await;
    client.ask("RCPT TO:<user@example.org>", "503 5.5.1").await;
    client.ask("NOOP x", "250 2.0.0").await;
    client.ask("VRFY user", "252").await;
    client.ask("EXPN list", "502 5.5.1").await;
    client.ask("HELP", "214").await;
}

#[tokio::test]
async fn pipelined_commands_are_answered_in_order() {
    let server = Server::start("");
    let mut client = server.connect().await;
    let message = "MAIL FROM:<a@example.test>\r\nRCPT TO:<no@stranger.test>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n\
                   one\r\n.\r\n";
    client.send(format!("EHLO client.example\r\n{}QUIT\r\n", message.repeat(3))).await;
    client.expect("250 mx1").await;
    for _ in 0..3 {
        for code in ["250 2.1.0", "550 5.7.1", "250 2.1.5", "354", "250 2.0.0 Ok: queued"] {
            client.expect(code).await;
        }
    }
    client.expect("221").await;
    client.expect_close().await;
    assert_eq!(server.taken().len(), 3);
}

#[tokio::test]
async fn a_line_ends_at_crlf_only() {
    let server = Server::start("commandLine: 512");
    let mut client = server.connect().await;
    client.send("EHLO client.example\nMAIL FROM:<>\r\n").await;
    client.expect("500 5.5.2").await;
    client.send("EHLO client.example\rMAIL FROM:<>\r\n").await;
    client.expect("500 5.5.2").await;
    client.send(format!("EHLO {}\r\nNOOP\r\n", "x".repeat(5000))).await;
    client.expect("500 5.5.2").await;
    client.expect("250 2.0.0").await;
    client.send("EHLO a\r\n\u{0}\r\n").await;
    client.expect("250").await;
    client.expect("500 5.5.2").await;
}

#[tokio::test]
async fn etrn_calls_the_hook_and_tells_nothing() {
    let server = Server::start("");
    let mut client = server.hello().await;
    let known = client.ask("ETRN example.net", "250").await;
    let unknown = client.ask("ETRN stranger.test", "250").await;
    assert_eq!(known, unknown);
    client.ask("ETRN @BÜCHER.example", "250").await;
    assert_eq!(*server.flushed.lock(), ["b", "a"]);
}

#[tokio::test]
async fn a_new_config_takes_effect_within_a_session() {
    let server = Server::start("");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<user@new.example>", "550 5.7.1").await;
    server.reload(config("", "{name: n, domains: [new.example], primary: {hosts: [{host: h.test}]}}"));
    client.ask("RCPT TO:<user@new.example>", "250").await;
    client.ask("DATA", "354").await;
    server.reload(config("", ""));
    client.send(".\r\n").await;
    client.expect("250 2.0.0").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<user@new.example>", "451").await;
    assert_eq!(server.taken().len(), 1);
}

#[tokio::test]
async fn shutdown_lets_a_message_end_and_sends_others_away() {
    let server = Server::start("");
    let mut idle = server.hello().await;
    let mut busy = server.hello().await;
    busy.begin().await;
    busy.send("half a mess").await;
    server.shutdown.cancel();
    idle.expect("421 4.3.2").await;
    idle.expect_close().await;
    busy.send("age\r\n.\r\n").await;
    busy.expect("250 2.0.0 Ok: queued").await;
    busy.expect("421 4.3.2").await;
    busy.expect_close().await;
    drop((idle, busy));
    server.task.await.unwrap();
    assert_eq!(server.store.taken.lock().len(), 1);
    assert_eq!(server.context.metrics.connections.get(), 0);
}

#[tokio::test]
async fn shutdown_is_bounded() {
    let server = Server::start("shutdownTimeout: 1s");
    let mut busy = server.hello().await;
    busy.begin().await;
    server.shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(10), server.task).await.expect("still serving").unwrap();
    busy.expect_close().await;
}
