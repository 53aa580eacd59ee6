//! STARTTLS and the certificate.

use std::{fs, path::Path, time::Duration};

use backupmx_relay_config::{PrimaryTlsMode, TlsConfig};
use rustls::pki_types::{CertificateDer, ServerName};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::kit::{Client, Server, TENANTS, config};
use crate::{deliver::ClientTls, message::Origin};

/// Says EHLO and a STARTTLS line, and takes up TLS. Returns the certificate too.
async fn secure(server: &Server, starttls: &str) -> (Client<TlsStream<TcpStream>>, CertificateDer<'static>) {
    let mut client = server.hello().await;
    client.ask(starttls, "220 2.0.0").await;
    // The tests look at the certificate themselves.
    let config = ClientTls::new().unwrap().config(PrimaryTlsMode::Opportunistic).unwrap();
    let name = ServerName::try_from("mx1.example.net").unwrap();
    let stream = TlsConnector::from(config).connect(name, client.stream).await.unwrap();
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    (Client::new(stream), certificate)
}

#[tokio::test]
async fn mail_over_tls_says_so() {
    let server = Server::start("");
    let (mut client, _) = secure(&server, "STARTTLS").await;
    client.ask("MAIL FROM:<>", "503").await;
    let reply = client.ask("EHLO client.example", "250").await;
    assert!(!reply.text.contains("STARTTLS"));
    client.ask("STARTTLS", "503").await;
    client.mail("a\r\n.\r\n", "250 2.0.0").await;
    let (envelope, ..) = server.taken().remove(0);
    let Origin::Client(sender) = envelope.origin else { panic!("no client") };
    let tls = sender.tls.unwrap();
    assert_eq!(tls.version, "TLSv1.3");
    assert!(tls.cipher.starts_with("TLS_"), "{}", tls.cipher);
}

#[tokio::test]
async fn what_was_pipelined_before_tls_is_dropped() {
    let server = Server::start("");
    let injected = "STARTTLS\r\nEHLO evil.example\r\nMAIL FROM:<evil@example.test>";
    let (mut client, _) = secure(&server, injected).await;
    client.ask("NOOP", "250 2.0.0").await;
    client.ask("RCPT TO:<user@example.org>", "503").await;
    client.ask("EHLO client.example", "250").await;
    client.ask("RCPT TO:<user@example.org>", "503").await;
}

fn write_certificate(folder: &Path) -> Vec<u8> {
    let made = rcgen::generate_simple_self_signed(["mx1.example.net".to_owned()]).unwrap();
    fs::write(folder.join("tls.crt"), made.cert.pem()).unwrap();
    fs::write(folder.join("tls.key"), made.signing_key.serialize_pem()).unwrap();
    made.cert.der().to_vec()
}

#[tokio::test]
async fn a_changed_certificate_is_used_and_a_bad_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsConfig { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
    let mut config = config("", TENANTS);
    config.tls = Some(files.clone());
    let server = Server::with(config);
    let refresh = || server.context.tls.refresh(Some(&files));
    let (mut held, self_signed) = secure(&server, "STARTTLS").await;

    let first = write_certificate(folder.path());
    refresh();
    assert_eq!(secure(&server, "STARTTLS").await.1.as_ref(), first);
    assert_ne!(self_signed.as_ref(), first);

    for bad in ["", "no certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"] {
        fs::write(&files.certificate, bad).unwrap();
        refresh();
        assert_eq!(secure(&server, "STARTTLS").await.1.as_ref(), first, "{bad:?}");
    }

    let second = write_certificate(folder.path());
    refresh();
    assert_eq!(secure(&server, "STARTTLS").await.1.as_ref(), second);

    // A key that is not the certificate's.
    let other = tempfile::tempdir().unwrap();
    write_certificate(other.path());
    fs::copy(other.path().join("tls.key"), &files.key).unwrap();
    refresh();
    assert_eq!(secure(&server, "STARTTLS").await.1.as_ref(), second);

    server.context.tls.refresh(None);
    assert_eq!(secure(&server, "STARTTLS").await.1, self_signed);
    held.ask("EHLO client.example", "250").await;
}

#[tokio::test]
async fn changed_files_are_noticed_without_a_word() {
    let folder = tempfile::tempdir().unwrap();
    let files = TlsConfig { certificate: folder.path().join("tls.crt"), key: folder.path().join("tls.key") };
    let server = Server::start("");
    let mut named = config("", TENANTS);
    named.tls = Some(files);
    server.reload(named);
    for _ in 0..2 {
        let changed = write_certificate(folder.path());
        tokio::time::timeout(Duration::from_secs(20), async {
            while secure(&server, "STARTTLS").await.1.as_ref() != changed {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        })
        .await
        .expect("the changed certificate is not used");
    }
}
