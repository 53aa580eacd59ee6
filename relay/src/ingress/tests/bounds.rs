//! The bounds on clients.

use std::time::Duration;

use super::kit::Server;

#[tokio::test]
async fn connections_are_bounded() {
    for (limits, reason) in [
        ("connections: 2", "too_many"),
        ("connectionsPerAddress: 2", "too_many_from_address"),
        ("connectionsPerNetwork: 2", "too_many_from_network"),
    ] {
        let server = Server::start(limits);
        let first = server.connect().await;
        let _second = server.connect().await;
        let mut third = server.connect_raw().await;
        third.expect("421 4.7.0").await;
        third.expect_close().await;
        assert_eq!(server.context.metrics.connections_total.with_label_values(&[reason]).get(), 1);
        drop(first);
        // The place comes back when the server has seen the close.
        tokio::time::timeout(Duration::from_secs(10), async {
            while server.connect_raw().await.reply().await.is_none_or(|reply| reply.code != 220) {}
        })
        .await
        .expect("the place did not come back");
    }
}

#[tokio::test]
async fn a_session_has_so_many_commands_errors_and_messages() {
    let server = Server::start("commands: 10");
    let mut client = server.hello().await;
    for _ in 0..9 {
        client.ask("NOOP", "250").await;
    }
    client.ask("NOOP", "421 4.7.0").await;
    client.expect_close().await;
    let mut client = server.hello().await;
    for _ in 0..10 {
        client.mail(".\r\n", "250").await;
    }

    let server = Server::start("errors: 3");
    let mut client = server.hello().await;
    client.ask("FOO", "500").await;
    client.ask("DATA", "503").await;
    client.ask("RCPT TO:<>", "501").await;
    client.expect("421 4.7.0").await;
    client.expect_close().await;

    let server = Server::start("messagesPerSession: 2");
    let mut client = server.hello().await;
    client.mail(".\r\n", "250").await;
    client.mail(".\r\n", "250").await;
    client.ask("MAIL FROM:<>", "421 4.7.0").await;
    client.expect_close().await;
}

#[tokio::test]
async fn a_message_has_so_many_recipients() {
    let server = Server::start("recipients: 100");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<>", "250").await;
    for _ in 0..100 {
        client.ask("RCPT TO:<user@example.org>", "250").await;
    }
    client.ask("RCPT TO:<user@example.org>", "452 4.5.3").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    client.expect("250").await;
    assert_eq!(server.taken()[0].0.recipients.len(), 100);
}

/// A command must be complete in time: an octet now and then does not help.
#[tokio::test]
async fn a_command_must_come_in_time() {
    let server = Server::start("commandTimeout: 1s");
    let mut client = server.hello().await;
    let dribble = async {
        loop {
            client.send("N").await;
            tokio::select! {
                reply = client.reply() => break reply,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    };
    let reply = tokio::time::timeout(Duration::from_secs(10), dribble).await.expect("no timeout").unwrap();
    assert!(reply.to_string().starts_with("421 4.4.2"), "{reply}");
}

#[tokio::test]
async fn content_must_keep_coming() {
    let server = Server::start("dataTimeout: 1s");
    let mut client = server.hello().await;
    client.begin().await;
    client.send("a\r\n").await;
    client.expect("421 4.4.2").await;
    client.expect_close().await;
    assert_eq!(server.context.budget.used(), 0);
}

#[tokio::test]
async fn a_session_ends_in_time() {
    let server = Server::start("sessionTimeout: 1s");
    let mut client = server.hello().await;
    let busy = async {
        loop {
            client.send("NOOP\r\n").await;
            let reply = client.reply().await.unwrap();
            if reply.code != 250 {
                break reply;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let reply = tokio::time::timeout(Duration::from_secs(10), busy).await.expect("no timeout");
    assert!(reply.to_string().starts_with("421 4.4.2"), "{reply}");
}

/// Clients that say next to nothing cost next to nothing: others are served meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn mail_goes_on_between_clients_that_dribble() {
    let server = Server::start("connectionsPerAddress: 1000, connectionsPerNetwork: 1000");
    let mut slow = Vec::new();
    for _ in 0..300 {
        let mut client = server.connect().await;
        client.send("EHLO slow.example\r\nMAIL FROM:<>\r\nRCPT TO:<user@example.org>\r\nDATA\r\nab").await;
        slow.push(client);
    }
    let dribble = tokio::spawn(async move {
        loop {
            for client in &mut slow {
                client.send("c").await;
            }
        }
    });
    let mut client = server.hello().await;
    for _ in 0..50 {
        client.mail("a\r\n.\r\n", "250").await;
    }
    assert_eq!(server.taken().len(), 50);
    assert!(server.context.budget.used() <= 300 * (32 << 10), "{}", server.context.budget.used());
    dribble.abort();
}
