//! The content of messages: framing, sizes, loops, and a store that fails.

use std::sync::atomic::Ordering;

use super::kit::Server;
use crate::spool::StoreError;

const SMUGGLED: [&str; 8] = ["\n.\n", "\n.\r\n", "\r.\r", "\r.\r\n", "\n.\r", "\r\n.\n", "\r\n.\r", "\r\n.\r\r\n"];

#[tokio::test]
async fn only_crlf_dot_crlf_ends_a_message_and_others_spoil_it() {
    let server = Server::start("errors: 100");
    let mut client = server.hello().await;
    for end in SMUGGLED {
        let content = format!("a{end}MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nDATA\r\nb\r\n.\r\n");
        client.mail(&content, "554 5.6.0").await;
        client.begin().await;
        for octet in content.as_bytes() {
            client.send([*octet]).await;
        }
        client.expect("554 5.6.0").await;
    }
    client.ask("NOOP", "250").await;
    assert!(server.taken().is_empty());
    assert_eq!(server.refused("bare_line_end"), 16);
}

#[tokio::test]
async fn a_message_may_be_as_large_as_its_tenant_allows() {
    let server = Server::start("messageSize: 128Ki");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<> SIZE=131073", "552 5.3.4").await;
    client.ask("MAIL FROM:<> SIZE=65537", "250").await;
    client.ask("RCPT TO:<user@example.net>", "552 5.3.4").await;
    client.ask("RCPT TO:<user@example.org>", "250").await;
    client.ask("RSET", "250").await;
    for (octets, reply) in [(64 << 10, "250 2.0.0"), ((64 << 10) + 2, "552 5.3.4"), (1 << 20, "552 5.3.4")] {
        client.ask("MAIL FROM:<>", "250").await;
        client.ask("RCPT TO:<user@example.net>", "250").await;
        client.ask("DATA", "354").await;
        client.send(lines(octets) + ".\r\n").await;
        client.expect(reply).await;
    }
    client.mail(lines(128 << 10) + ".\r\n", "250 2.0.0").await;
    assert_eq!(server.taken().iter().map(|(_, content, _)| content.len()).collect::<Vec<_>>(), [64 << 10, 128 << 10]);
    assert_eq!(server.context.budget.used(), 0);
}

#[tokio::test]
async fn a_large_message_is_streamed() {
    let server = Server::start("streamAbove: 8Ki");
    let mut client = server.hello().await;
    let content = lines(1 << 20);
    client.mail(format!("{content}.\r\n"), "250 2.0.0").await;
    client.mail(format!("{}.\r\n", lines(4096)), "250 2.0.0").await;
    let taken = server.taken();
    assert!(taken[0].1 == content.as_bytes(), "the content was changed");
    assert_eq!((taken[0].0.size, taken[0].2, taken[1].2), (1 << 20, true, false));
}

/// What was streamed of a refused message must not come up in the next one.
#[tokio::test]
async fn a_message_refused_half_way_leaves_nothing_behind() {
    let server = Server::start("streamAbove: 8Ki, messageSize: 128Ki");
    let mut client = server.hello().await;
    let begin = "MAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nDATA\r\n";
    for bad in [lines(32 << 10) + "\n\r\n.\r\n", lines(256 << 10) + ".\r\n"] {
        client.begin().await;
        client.send(format!("{bad}{begin}small\r\n.\r\n{begin}{}.\r\n", lines(64 << 10))).await;
        for code in ["55", "250", "250", "354", "250", "250", "250", "354", "250"] {
            client.expect(code).await;
        }
    }
    let taken = server.taken();
    assert_eq!(taken.len(), 4);
    for pair in taken.chunks(2) {
        assert_eq!((pair[0].1.as_slice(), pair[0].2), (&b"small\r\n"[..], false));
        assert!(pair[1].1 == lines(64 << 10).as_bytes() && pair[1].2);
    }
}

#[tokio::test]
async fn a_long_line_is_refused_beyond_the_bound_only() {
    let server = Server::start("textLine: 2000");
    let mut client = server.hello().await;
    client.mail(format!("{}\r\n.\r\n", "x".repeat(1998)), "250").await;
    client.mail(format!("{}\r\n.\r\n", "x".repeat(1999)), "554 5.6.0").await;
}

#[tokio::test]
async fn a_loop_is_refused() {
    let server = Server::start("");
    let mut client = server.hello().await;
    let ours = "Received: from a by mx1.example.net with ESMTP for <user@example.org>; x\r\n";
    let other = "Received: from a by mx1.example.net with ESMTP for <user@example.com>; x\r\n";
    client.mail(format!("{}{}\r\n.\r\n", ours.repeat(2), other.repeat(3)), "250").await;
    client.mail(format!("{}\r\n.\r\n", ours.repeat(3)), "554 5.4.6").await;
    let others = "Received: from a by b.test; x\r\n";
    client.mail(format!("{}\r\n.\r\n", others.repeat(99)), "250").await;
    client.mail(format!("{}\r\n.\r\n", others.repeat(100)), "554 5.4.6").await;
    assert_eq!(server.refused("loop"), 2);
}

#[tokio::test]
async fn a_store_that_fails_never_refuses_for_good() {
    let server = Server::start("streamAbove: 8Ki");
    let mut client = server.hello().await;
    for (error, reply) in [
        (StoreError::Full, "452 4.3.1"),
        (StoreError::Io("broken".to_owned()), "451 4.3.0"),
        (StoreError::Closed, "451 4.3.2"),
    ] {
        *server.store.error.lock() = Some(error);
        client.mail("a\r\n.\r\n", reply).await;
        client.mail(lines(1 << 18) + ".\r\n", reply).await;
    }
    *server.store.error.lock() = None;
    server.store.full.store(true, Ordering::Relaxed);
    client.ask("MAIL FROM:<>", "452 4.3.1").await;
    server.store.full.store(false, Ordering::Relaxed);
    client.mail("a\r\n.\r\n", "250 2.0.0").await;
    assert_eq!(server.context.budget.used(), 0);
}

#[tokio::test]
async fn memory_in_flight_is_bounded() {
    let server = Server::start("memory: 32Ki, streamAbove: 8Ki");
    let (mut first, mut second, mut third) = (server.hello().await, server.hello().await, server.hello().await);
    first.begin().await;
    second.begin().await;
    third.ask("MAIL FROM:<>", "250").await;
    third.ask("RCPT TO:<user@example.org>", "250").await;
    third.ask("DATA", "452 4.3.1").await;
    first.send(".\r\n").await;
    first.expect("250").await;
    third.ask("DATA", "354").await;
    second.send(".\r\n").await;
    second.expect("250").await;
    third.send(".\r\n").await;
    third.expect("250").await;
}

#[tokio::test]
async fn no_250_before_the_store_has_answered() {
    let server = Server::start("");
    let mut client = server.hello().await;
    let permits = server.store.gate.acquire_many(1000).await.unwrap();
    client.begin().await;
    client.send("a\r\n.\r\nNOOP\r\n").await;
    let early = tokio::time::timeout(std::time::Duration::from_millis(200), client.reply()).await;
    assert!(early.is_err(), "answered before the message was durable: {early:?}");
    drop(permits);
    client.expect("250 2.0.0 Ok: queued").await;
    client.expect("250 2.0.0 Ok").await;
}

/// So many octets in lines.
fn lines(octets: usize) -> String {
    let mut text = format!("{}\r\n", "x".repeat(62)).repeat(octets / 64 + 1);
    text.truncate(octets - 2);
    text.replace_range(octets - 4.., "ab\r\n");
    text
}
