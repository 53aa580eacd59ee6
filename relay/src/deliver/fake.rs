//! A scripted server on loopback, and envelopes, for tests.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    task::JoinHandle,
};

use super::{ClientTls, Endpoint, Hurry, Settings, Timeouts};
use crate::{
    clock::Timestamp,
    message::{BodyType, Client, Envelope, Origin, Recipient},
};

/// An envelope from a client; its first recipients as given, no parameters.
pub(crate) fn envelope(sender: &str, recipients: &[&str]) -> Envelope {
    Envelope {
        arrived: Timestamp::from_millis(1_767_225_600_000),
        origin: Origin::Client(Client {
            address: "192.0.2.7".parse().unwrap(),
            helo: "client.example.net".to_owned(),
            esmtp: true,
            tls: None,
        }),
        sender: sender.parse().unwrap(),
        body: BodyType::SevenBit,
        smtputf8: false,
        ret: None,
        envid: None,
        recipients: recipients
            .iter()
            .map(|path| Recipient { path: path.parse().unwrap(), notify: None, orcpt: None })
            .collect(),
        size: 0,
    }
}

/// What the server does next.
#[derive(Clone, Debug)]
pub(crate) enum Do {
    /// Send this and a CRLF.
    Say(&'static str),
    /// Read a line; it must begin with this.
    Hear(&'static str),
    /// Read so many octets, whatever they are.
    Swallow(usize),
    /// Read up to and with the final dot.
    HearContent,
    /// Read a line that begins with this, and the octets that its first argument announces (BDAT).
    HearChunk(&'static str),
    /// Start TLS, with a self-signed certificate for `mx.example.org`.
    Tls,
    /// Close the connection.
    Close,
    /// Take the next connection.
    Accept,
    /// Wait until the client closes.
    Idle,
}

/// A scripted server.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    /// The certificate that it shows, DER.
    pub(crate) certificate: rustls::pki_types::CertificateDer<'static>,
    script: JoinHandle<String>,
}

impl Server {
    /// Starts a server that takes one connection and plays the script.
    pub(crate) async fn play(script: Vec<Do>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let made = rcgen::generate_simple_self_signed(vec!["mx.example.org".to_owned()]).unwrap();
        let certificate = made.cert.der().clone();
        let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let script = tokio::spawn(run(listener, script, Arc::new(config)));
        Self { address, certificate, script }
    }

    pub(crate) fn endpoint(&self) -> Endpoint {
        Endpoint { name: Some("mx.example.org".parse().unwrap()), address: self.address }
    }

    /// Waits for the end of the script; everything that the client sent.
    pub(crate) async fn heard(self) -> String {
        tokio::time::timeout(Duration::from_secs(10), self.script).await.expect("the script ends").expect("it held")
    }
}

/// Settings for tests: short times, so that a mistake shows at once.
pub(crate) fn settings() -> Settings {
    let short = Duration::from_secs(5);
    Settings {
        helo: "mx1.backup.example.net".parse().unwrap(),
        tls: backupmx_relay_config::PrimaryTlsMode::Opportunistic,
        timeouts: Timeouts {
            connect: short,
            greeting: short,
            ehlo: short,
            tls: short,
            mail: short,
            recipient: short,
            data: short,
            block: short,
            end_of_data: short,
            quit: short,
        },
        client_tls: Arc::new(ClientTls::new().unwrap()),
        quirks: Arc::default(),
        hurry: Hurry::default(),
    }
}

trait Pipe: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Pipe for T {}

async fn run(listener: TcpListener, script: Vec<Do>, tls: Arc<rustls::ServerConfig>) -> String {
    let mut heard = String::new();
    let accept = async || {
        let (stream, _) = listener.accept().await.unwrap();
        stream.set_nodelay(true).unwrap();
        Some(BufReader::new(Box::new(stream) as Box<dyn Pipe>))
    };
    let mut stream = accept().await;
    for step in script {
        if let Do::Accept = step {
            stream = accept().await;
            continue;
        }
        let Some(pipe) = stream.as_mut() else { panic!("{step:?}: the connection is closed; heard: {heard}") };
        match step {
            Do::Say(line) => pipe.write_all(format!("{line}\r\n").as_bytes()).await.unwrap(),
            Do::Hear(expected) => {
                let mut line = String::new();
                pipe.read_line(&mut line).await.unwrap();
                assert!(line.starts_with(expected), "expected {expected:?}; got {line:?}; before: {heard}");
                heard.push_str(&line);
            }
            Do::Swallow(count) => {
                let mut octets = vec![0; count];
                pipe.read_exact(&mut octets).await.unwrap();
            }
            Do::HearContent => loop {
                let mut line = Vec::new();
                assert!(pipe.read_until(b'\n', &mut line).await.unwrap() > 0, "no final dot; heard: {heard}");
                heard.push_str(&String::from_utf8_lossy(&line));
                if line == b".\r\n" {
                    break;
                }
            },
            Do::HearChunk(expected) => {
                let mut line = String::new();
                pipe.read_line(&mut line).await.unwrap();
                assert!(line.starts_with(expected), "expected {expected:?}; got {line:?}; before: {heard}");
                let length = line.split_whitespace().nth(1).unwrap().parse().unwrap();
                let mut octets = vec![0; length];
                pipe.read_exact(&mut octets).await.unwrap();
                heard.push_str(&line);
                heard.push_str(&String::from_utf8_lossy(&octets));
            }
            Do::Tls => {
                let plain = stream.take().unwrap();
                assert!(plain.buffer().is_empty(), "the client pipelined behind STARTTLS");
                let acceptor = tokio_rustls::TlsAcceptor::from(Arc::clone(&tls));
                if let Ok(encrypted) = acceptor.accept(plain.into_inner()).await {
                    stream = Some(BufReader::new(Box::new(encrypted)));
                }
            }
            Do::Close => stream = None,
            Do::Idle => {
                let mut rest = Vec::new();
                let _ = pipe.read_to_end(&mut rest).await;
                heard.push_str(&String::from_utf8_lossy(&rest));
            }
            Do::Accept => {}
        }
    }
    heard
}
