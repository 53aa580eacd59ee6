//! Which recipients are taken.

use backupmx_relay_config::status::PrimaryState;

use super::kit::{Server, TENANTS, config};
use crate::deliver::Capabilities;

#[tokio::test]
async fn strangers_can_not_relay() {
    let server = Server::start("refusedRecipients: 100, errors: 100");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<a@example.org>", "250").await;
    for (recipient, reply) in [
        ("user@stranger.test", "550 5.7.1"),
        ("user@sub.example.org", "550 5.7.1"),
        ("user%stranger.test@example.org", "550 5.7.1"),
        ("stranger.test!user@example.org", "550 5.7.1"),
        ("user@stranger.test@example.org", "550 5.7.1"),
        ("\"user@stranger.test\"@example.org", "550 5.7.1"),
        ("\"victim@other X\"@example.org", "550 5.7.1"),
        ("@example.org:user@stranger.test", "550 5.7.1"),
        ("user@example.com", "451 4.3.2"),
        ("", "501 5.1.3"),
        ("user", "501 5.1.3"),
        ("user@[127.0.0.1]", "501 5.1.3"),
        ("a b@example.org", "501 5.1.3"),
        ("\"a>b c\"@example.org", "250 2.1.5"),
        ("üser@example.org", "553 5.6.7"),
        ("user@example.net", "452 4.5.3"),
        ("user@bücher.example", "553 5.6.7"),
        ("user@xn--bcher-kva.example", "250 2.1.5"),
    ] {
        client.ask(&format!("RCPT TO:<{recipient}>"), reply).await;
    }
    client.ask("RCPT TO:<\"a\r\nRSET\"@example.org>", "501").await;
    client.expect("500").await;
    client.ask("RCPT TO:<a@example.org> ORCPT=rfc822;a+0D+0ARSET", "501 5.5.4").await;
    assert_eq!(server.refused("relay_denied"), 3);
    assert_eq!(server.refused("routed_address"), 5);
}

#[tokio::test]
async fn ten_refused_recipients_end_the_session() {
    let server = Server::start("");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.send("RCPT TO:<user@stranger.test>\r\n".repeat(30)).await;
    for _ in 0..10 {
        client.expect("550 5.7.1").await;
    }
    client.expect("421 4.7.0").await;
    client.expect_close().await;
}

#[tokio::test]
async fn deferred_recipients_do_not_end_the_session() {
    let server = Server::start("");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<>", "250").await;
    for _ in 0..20 {
        client.ask("RCPT TO:<user@example.com>", "451").await;
    }
    client.ask("RCPT TO:<user@example.org>", "250").await;
}

#[tokio::test]
async fn the_bare_postmaster_goes_to_the_first_domain_or_where_the_config_says() {
    let server = Server::start("");
    let mut client = server.hello().await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<PostMaster>", "250").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    client.expect("250").await;
    let mut other = config("", TENANTS);
    other.postmaster = Some("boss@example.net".parse().unwrap());
    server.reload(other);
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<postmaster>", "250").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    client.expect("250").await;
    let recipients: Vec<String> =
        server.taken().iter().map(|(envelope, ..)| envelope.recipients[0].path.as_str().to_owned()).collect();
    assert_eq!(recipients, ["postmaster@example.org", "boss@example.net"]);
    server.reload(config("", ""));
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<postmaster>", "451").await;
}

#[tokio::test]
async fn what_the_primary_is_known_to_lack_is_refused() {
    let server = Server::start("");
    let mut client = server.hello().await;
    let capabilities = Capabilities { size: Some(1000), smtputf8: false, ..Capabilities::default() };
    server.post("a", PrimaryState::Down, Some(capabilities));
    client.ask("MAIL FROM:<a@example.test> SIZE=1001", "250").await;
    client.ask("RCPT TO:<user@example.org>", "552 5.3.4").await;
    client.ask("RSET", "250").await;
    client.ask("MAIL FROM:<ä@example.test> SMTPUTF8", "250").await;
    client.ask("RCPT TO:<user@example.org>", "550 5.6.7").await;
    client.ask("RCPT TO:<üser@example.net>", "250").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    client.expect("250").await;
    let (envelope, ..) = server.taken().remove(0);
    assert!(envelope.smtputf8);
    assert_eq!(envelope.recipients[0].path.as_str(), "üser@example.net");
}

#[tokio::test]
async fn mail_is_deferred_while_the_primary_is_up_where_that_is_wanted() {
    let tenant = "{name: a, domains: [example.org], primary: {hosts: [{host: h.test}]},
                   acceptance: {whenPrimaryUp: Defer}, quota: {messages: 1}}";
    let server = Server::with(config("", tenant));
    let mut client = server.hello().await;
    server.post("a", PrimaryState::Up, None);
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<user@example.org>", "451 4.3.2").await;
    server.post("a", PrimaryState::Down, None);
    client.ask("RCPT TO:<user@example.org>", "250").await;
    client.ask("DATA", "354").await;
    client.send(".\r\n").await;
    client.expect("250").await;
    client.ask("MAIL FROM:<>", "250").await;
    client.ask("RCPT TO:<user@example.org>", "452 4.2.2").await;
}
