//! A connection to a server, plain or encrypted: octets out, replies in, everything within a time.

use std::{
    future::Future,
    io,
    mem::MaybeUninit,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, BytesMut};
use rustls::{ClientConfig, pki_types::ServerName};
use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::{Fault, Hurry};
use crate::{
    message::TlsUsed,
    smtp::{Reply, ReplyParser},
};

/// Octets read at once.
const READ: usize = 4096;
/// Octets kept of the answer to EHLO: it is a list.
const LIST: usize = 8192;
/// How soon a server is found dead that lost its power or its network, and so never closed the connection.
const VIGIL: Vigil = Vigil {
    idle: Duration::from_secs(15),
    interval: Duration::from_secs(5),
    probes: 3,
    unanswered: Duration::from_secs(30),
};

/// How the kernel watches a connection on which nothing comes (RFC 9293 3.8.4, RFC 5482).
#[derive(Clone, Copy, Debug)]
struct Vigil {
    /// Silence before the first probe.
    idle: Duration,
    /// From one probe to the next.
    interval: Duration,
    /// Probes without an answer that end the connection.
    probes: u32,
    /// How long what we sent may be unacknowledged.
    unanswered: Duration,
}

impl Vigil {
    fn over(self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream);
        let keepalive = TcpKeepalive::new().with_time(self.idle).with_interval(self.interval).with_retries(self.probes);
        socket.set_tcp_keepalive(&keepalive)?;
        socket.set_tcp_user_timeout(Some(self.unanswered))
    }
}

/// A connection to a server.
#[derive(Debug)]
pub(super) struct Wire {
    stream: Stream,
    /// What has come and was not read yet.
    input: BytesMut,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Wire {
    pub(super) async fn connect(address: SocketAddr, hurry: &Hurry, limit: Duration) -> Result<Self, Fault> {
        let stream = within(limit, hurry.connect(address)).await?;
        stream.set_nodelay(true)?;
        VIGIL.over(&stream)?;
        Ok(Self { stream: Stream::Plain(stream), input: BytesMut::new() })
    }

    /// The next reply.
    pub(super) async fn reply(&mut self, limit: Duration) -> Result<Reply, Fault> {
        self.read(ReplyParser::new(), limit).await
    }

    /// The next reply, with more of its text kept.
    pub(super) async fn list(&mut self, limit: Duration) -> Result<Reply, Fault> {
        self.read(ReplyParser::keeping(LIST), limit).await
    }

    async fn read(&mut self, mut parser: ReplyParser, limit: Duration) -> Result<Reply, Fault> {
        let reading = async {
            loop {
                if !self.input.is_empty() {
                    let (used, reply) = parser.push(&self.input)?;
                    self.input.advance(used);
                    if let Some(reply) = reply {
                        return Ok(reply);
                    }
                }
                self.input.reserve(READ);
                if self.stream.read_buf(&mut self.input).await? == 0 {
                    return Err(Fault::Closed);
                }
            }
        };
        timeout(limit, reading).await.unwrap_or(Err(Fault::TimedOut(limit)))
    }

    /// Sends octets.
    pub(super) async fn send(&mut self, octets: &[u8], limit: Duration) -> Result<(), Fault> {
        within(limit, async {
            self.stream.write_all(octets).await?;
            self.stream.flush().await
        })
        .await
    }

    /// The TLS handshake. What had come in plain text before it is an injection: nothing of it may be believed later.
    pub(super) async fn encrypt(
        self,
        config: Arc<ClientConfig>,
        name: ServerName<'static>,
        limit: Duration,
    ) -> Result<Self, Fault> {
        let Stream::Plain(stream) = self.stream else {
            return Err(Fault::Tls("the connection is encrypted already".to_owned()));
        };
        if !self.input.is_empty() {
            return Err(Fault::Tls("the server sent plain text behind its answer to STARTTLS".to_owned()));
        }
        let handshake = TlsConnector::from(config).connect(name, stream);
        match timeout(limit, handshake).await {
            Ok(Ok(stream)) => Ok(Self { stream: Stream::Tls(Box::new(stream)), input: self.input }),
            Ok(Err(error)) => Err(Fault::Tls(error.to_string())),
            Err(_) => Err(Fault::TimedOut(limit)),
        }
    }

    /// The encryption in use.
    pub(super) fn tls(&self) -> Option<TlsUsed> {
        let Stream::Tls(stream) = &self.stream else { return None };
        let (_, connection) = stream.get_ref();
        let version = match connection.protocol_version() {
            Some(rustls::ProtocolVersion::TLSv1_2) => "TLSv1.2".to_owned(),
            Some(rustls::ProtocolVersion::TLSv1_3) => "TLSv1.3".to_owned(),
            other => format!("{other:?}"),
        };
        let cipher = connection
            .negotiated_cipher_suite()
            .and_then(|suite| suite.suite().as_str())
            .unwrap_or("unknown")
            .replace("TLS13_", "TLS_");
        Some(TlsUsed { version, cipher })
    }

    /// Whether an idle connection still stands: the server has neither closed it nor said anything unasked (which is a
    /// 421). Looks at what the kernel has, and waits for nothing.
    pub(super) fn is_quiet(&self) -> bool {
        let (stream, encrypted) = match &self.stream {
            Stream::Plain(stream) => (stream, false),
            Stream::Tls(stream) => (stream.get_ref().0, true),
        };
        let mut octet = [MaybeUninit::uninit()];
        match SockRef::from(stream).peek(&mut octet) {
            // With TLS there may be a session ticket on its way.
            Ok(read) => read > 0 && encrypted && self.input.is_empty(),
            Err(error) => error.kind() == io::ErrorKind::WouldBlock && self.input.is_empty(),
        }
    }
}

async fn within<T>(limit: Duration, work: impl Future<Output = io::Result<T>>) -> Result<T, Fault> {
    match timeout(limit, work).await {
        Ok(result) => Ok(result?),
        Err(_) => Err(Fault::TimedOut(limit)),
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use socket2::SockFilter;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn every_connection_is_watched() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire =
            Wire::connect(listener.local_addr().unwrap(), &Hurry::default(), Duration::from_secs(5)).await.unwrap();
        let Stream::Plain(stream) = &wire.stream else { panic!("encrypted") };
        let socket = SockRef::from(stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(15));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(5));
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), 3);
        assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(30)));
    }

    /// The server's socket drops every packet unseen, as a machine without power does.
    #[tokio::test]
    async fn a_server_that_falls_silent_is_found_dead_whether_we_wait_or_have_sent() {
        let vigil = Vigil {
            idle: Duration::from_secs(1),
            interval: Duration::from_secs(1),
            probes: 2,
            unanswered: Duration::from_secs(2),
        };
        for sent in [&b""[..], b"NOOP\r\n"] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let mut wire =
                Wire::connect(listener.local_addr().unwrap(), &Hurry::default(), Duration::from_secs(5)).await.unwrap();
            let (server, _) = listener.accept().await.unwrap();
            let Stream::Plain(stream) = &wire.stream else { panic!("encrypted") };
            vigil.over(stream).unwrap();
            // BPF_RET with 0: no octet of any packet is let through.
            SockRef::from(&server).attach_filter(&[SockFilter::new(0x06, 0, 0, 0)]).unwrap();
            wire.send(sent, Duration::from_secs(5)).await.unwrap();
            match wire.reply(Duration::from_secs(60)).await {
                Err(Fault::Network(problem)) => assert!(problem.contains("timed out"), "{problem}"),
                other => panic!("{other:?}"),
            }
        }
    }
}
