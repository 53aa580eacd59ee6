//! Which messages are looked into after they were stored, and that nobody waits for it.

use backupmx_relay_config::RelayConfig;

use super::kit::{Server, TENANTS, config};

const MESSAGE: &[u8] = b"Subject: x\r\n\r\nhello\r\n.\r\n";

fn looked_up() -> RelayConfig {
    let mut config = config("", TENANTS);
    config.resolver.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
    config
}

#[tokio::test]
async fn a_public_client_is_noticed_with_its_message() {
    let mut server = Server::with(looked_up());
    let mut client = server.hello().await;
    client.mail(MESSAGE, "250 2.0.0").await;
    let (id, subject) = server.inbox.next().expect("it was noticed before the 250");
    assert_eq!(id.as_u64(), 1);
    assert_eq!(format!("{subject:?}").matches("127.0.0.1").count(), 1);
}

#[tokio::test]
async fn a_private_client_is_not() {
    let mut server = Server::with(config("", TENANTS));
    server.hello().await.mail(MESSAGE, "250 2.0.0").await;
    assert!(server.inbox.next().is_none());
}

#[tokio::test]
async fn what_was_refused_is_not() {
    let mut server = Server::with(looked_up());
    server.hello().await.mail(b"bare\nline end\r\n.\r\n", "554").await;
    assert!(server.inbox.next().is_none());
}

#[tokio::test]
async fn a_full_queue_delays_nobody_and_is_counted() {
    let server = Server::with(looked_up());
    let mut client = server.hello().await;
    let dropped = || server.context.metrics.observations.with_label_values(&["dropped"]).get();
    // Nobody works the queue off.
    let mut taken = 0;
    while dropped() < 5 {
        client.mail(MESSAGE, "250 2.0.0").await;
        taken += 1;
        assert!(taken < 2000, "the queue has no bound");
        if taken % 900 == 0 {
            client = server.hello().await;
        }
    }
    assert_eq!(server.taken().len(), taken);
}
