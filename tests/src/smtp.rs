//! An SMTP client that can also be rude: raw bytes, splits, pipelines, early ends.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::{IpAddr, Shutdown, SocketAddr, TcpStream},
    sync::Arc,
    time::Duration,
};

use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, SignatureScheme, StreamOwned,
    client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    crypto::{CryptoProvider, aws_lc_rs},
    pki_types::{CertificateDer, ServerName, UnixTime},
};

use tokio::net::TcpSocket;

use crate::Mail;

/// How long a server may take for a reply.
const PATIENCE: Duration = Duration::from_secs(30);

/// A session with an SMTP server.
#[derive(Debug)]
pub struct Smtp {
    stream: Stream,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Stream {
    Plain(TcpStream),
    Tls(Box<Tls>),
}

/// A session in TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// A reply of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its code.
    pub code: u16,
    /// All its lines, codes taken off, joined by `\n`.
    pub text: String,
}

impl Reply {
    /// Checks its code.
    ///
    /// # Panics
    /// It is another one.
    #[track_caller]
    pub fn expect(self, code: u16) -> Self {
        assert_eq!(self.code, code, "expected {code}, got {} {}", self.code, self.text);
        self
    }

    /// Checks its code and that its text begins so, such as `5.7.1`.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn expect_text(self, code: u16, start: &str) -> Self {
        assert!(
            self.code == code && self.text.starts_with(start),
            "expected {code} {start}, got {} {}",
            self.code,
            self.text
        );
        self
    }
}

impl Smtp {
    /// Connects and reads the greeting.
    ///
    /// # Panics
    /// There is none, or it is no 220.
    #[must_use]
    #[track_caller]
    pub fn connect(server: SocketAddr) -> Self {
        let mut session = Self::open(server);
        session.reply().expect(220);
        session
    }

    /// Connects and reads nothing.
    ///
    /// # Panics
    /// Nobody listens.
    #[must_use]
    #[track_caller]
    pub fn open(server: SocketAddr) -> Self {
        Self::try_open(server).unwrap_or_else(|error| panic!("failed to connect to {server}: {error}"))
    }

    /// Connects and reads nothing.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn try_open(server: SocketAddr) -> io::Result<Self> {
        Self::try_open_within(server, PATIENCE)
    }

    /// Connects and reads nothing.
    ///
    /// # Errors
    /// Nobody listens, or nobody says so within the time.
    pub fn try_open_within(server: SocketAddr, patience: Duration) -> io::Result<Self> {
        Self::over(TcpStream::connect_timeout(&server, patience)?)
    }

    fn over(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        Ok(Self { stream: Stream::Plain(stream), buffer: Vec::new() })
    }

    /// As [`Self::session`], from another address of this machine.
    ///
    /// # Panics
    /// The address is not this machine's, or the server does not agree.
    #[must_use]
    #[track_caller]
    pub fn session_from(source: IpAddr, server: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let stream = runtime.block_on(async {
            let socket = if source.is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }.unwrap();
            socket.bind(SocketAddr::new(source, 0)).unwrap_or_else(|error| panic!("failed to use {source}: {error}"));
            socket.connect(server).await.unwrap_or_else(|error| panic!("failed to connect to {server}: {error}"))
        });
        let stream = stream.into_std().unwrap();
        stream.set_nonblocking(false).unwrap();
        let mut session = Self::over(stream).unwrap();
        session.reply().expect(220);
        session.command("EHLO client.sender.test").expect(250);
        session
    }

    /// Connects, reads the greeting and says EHLO.
    ///
    /// # Panics
    /// The server does not agree.
    #[must_use]
    #[track_caller]
    pub fn session(server: SocketAddr) -> Self {
        let mut session = Self::connect(server);
        session.command("EHLO client.sender.test").expect(250);
        session
    }

    /// Sends octets as they are.
    ///
    /// # Panics
    /// The connection is gone.
    #[track_caller]
    pub fn send(&mut self, octets: &[u8]) {
        self.try_send(octets).unwrap_or_else(|error| panic!("failed to send: {error}"));
    }

    /// Sends octets as they are.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn try_send(&mut self, octets: &[u8]) -> io::Result<()> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.write_all(octets),
            Stream::Tls(stream) => stream.write_all(octets).and_then(|()| stream.flush()),
        }
    }

    /// Sends each part in a packet of its own.
    ///
    /// # Panics
    /// The connection is gone.
    #[track_caller]
    pub fn send_split(&mut self, parts: &[&[u8]]) {
        for part in parts {
            self.send(part);
            // With no delay on the socket each write is a packet; a pause makes the server read them one by one.
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Sends a line, its CRLF added, and reads the reply.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn command(&mut self, line: &str) -> Reply {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }

    /// Reads a reply.
    ///
    /// # Panics
    /// There is none in 30 s, or what comes is no reply.
    #[track_caller]
    pub fn reply(&mut self) -> Reply {
        self.try_reply().unwrap_or_else(|error| panic!("no reply: {error}"))
    }

    /// Reads a reply.
    ///
    /// # Errors
    /// There is none in 30 s, the connection was closed, or what comes is no reply.
    pub fn try_reply(&mut self) -> io::Result<Reply> {
        let mut text = String::new();
        loop {
            let line = self.line()?;
            let line = String::from_utf8_lossy(&line).into_owned();
            let code = line.get(..3).and_then(|code| code.parse().ok()).ok_or(ErrorKind::InvalidData)?;
            text.push_str(line.get(4..).unwrap_or_default());
            if line.as_bytes().get(3) != Some(&b'-') {
                return Ok(Reply { code, text });
            }
            text.push('\n');
        }
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.buffer[..end].to_vec();
                self.buffer.drain(..end + 2);
                return Ok(line);
            }
            let mut chunk = [0; 4096];
            let count = self.read(&mut chunk)?;
            if count == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.buffer.extend_from_slice(&chunk[..count]);
        }
    }

    fn read(&mut self, chunk: &mut [u8]) -> io::Result<usize> {
        match &mut self.stream {
            Stream::Plain(stream) => stream.read(chunk),
            Stream::Tls(stream) => stream.read(chunk),
        }
    }

    /// Whether the server closes the connection, with nothing more said, within the time.
    pub fn is_closed(&mut self, within: Duration) -> bool {
        let mut chunk = [0; 512];
        self.set_patience(within);
        let closed = self.buffer.is_empty()
            && match self.read(&mut chunk) {
                Ok(count) => count == 0,
                Err(error) => !matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut),
            };
        self.set_patience(PATIENCE);
        closed
    }

    /// How long to wait for each reply.
    ///
    /// # Panics
    /// The connection is gone.
    pub fn set_patience(&mut self, patience: Duration) {
        let stream = match &self.stream {
            Stream::Plain(stream) => stream,
            Stream::Tls(stream) => &stream.sock,
        };
        // A connection that is already gone shows itself at the next read.
        let _ = stream.set_read_timeout(Some(patience));
    }

    /// Sends MAIL and RCPTs, each answered 250.
    ///
    /// # Panics
    /// One is not.
    #[track_caller]
    pub fn envelope(&mut self, from: &str, to: &[&str]) {
        self.command(&format!("MAIL FROM:<{from}>")).expect(250);
        for recipient in to {
            self.command(&format!("RCPT TO:<{recipient}>")).expect(250);
        }
    }

    /// Sends DATA and the content as it is on the wire (dots stuffed, final dot there), and returns the last reply.
    ///
    /// # Panics
    /// DATA is not answered 354.
    #[track_caller]
    pub fn data(&mut self, wire: &[u8]) -> Reply {
        self.command("DATA").expect(354);
        self.send(wire);
        self.reply()
    }

    /// Sends content in those chunks (BDAT, RFC 3030), the last of them as the last; returns the reply to that one.
    ///
    /// # Panics
    /// Another chunk is refused, or the connection is lost.
    #[track_caller]
    pub fn chunks(&mut self, chunks: &[&[u8]]) -> Reply {
        let (last, others) = chunks.split_last().expect("there is a last chunk");
        for chunk in others {
            self.send(format!("BDAT {}\r\n", chunk.len()).as_bytes());
            self.send(chunk);
            self.reply().expect(250);
        }
        self.send(format!("BDAT {} LAST\r\n", last.len()).as_bytes());
        self.send(last);
        self.reply()
    }

    /// Sends a message and returns the reply to its final dot.
    ///
    /// # Panics
    /// Its envelope is refused.
    #[track_caller]
    pub fn mail(&mut self, mail: &Mail) -> Reply {
        let to: Vec<_> = mail.to.iter().map(String::as_str).collect();
        self.envelope(&mail.from, &to);
        self.data(&mail.wire())
    }

    /// Sends a message and returns the first reply that is no 2xx or 3xx, else the last.
    ///
    /// # Errors
    /// The connection is lost on the way.
    pub fn try_mail(&mut self, mail: &Mail) -> io::Result<Reply> {
        let commands = [format!("MAIL FROM:<{}>\r\n", mail.from)]
            .into_iter()
            .chain(mail.to.iter().map(|recipient| format!("RCPT TO:<{recipient}>\r\n")))
            .chain(["DATA\r\n".to_owned()]);
        for command in commands {
            self.try_send(command.as_bytes())?;
            let reply = self.try_reply()?;
            if reply.code >= 400 {
                return Ok(reply);
            }
        }
        self.try_send(&mail.wire())?;
        self.try_reply()
    }

    /// Says STARTTLS and goes on in TLS, with any certificate. EHLO is to be said again.
    ///
    /// # Panics
    /// The server does not agree.
    #[must_use]
    #[track_caller]
    pub fn start_tls(mut self) -> Self {
        self.command("STARTTLS").expect(220);
        self.tls()
    }

    /// Goes on in TLS, with any certificate, the handshake done.
    ///
    /// # Panics
    /// It fails.
    #[must_use]
    #[track_caller]
    pub fn tls(self) -> Self {
        let Stream::Plain(mut socket) = self.stream else { panic!("the session is in TLS already") };
        let mut connection =
            ClientConnection::new(client_config(), ServerName::try_from("mx1.backup.test").unwrap()).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket).unwrap_or_else(|error| panic!("TLS handshake: {error}"));
        }
        Self { stream: Stream::Tls(Box::new(StreamOwned::new(connection, socket))), buffer: self.buffer }
    }

    /// The certificate that the server showed, as DER; none in the clear.
    #[must_use]
    pub fn server_certificate(&self) -> Option<Vec<u8>> {
        match &self.stream {
            Stream::Plain(_) => None,
            Stream::Tls(tls) => tls.conn.peer_certificates()?.first().map(|certificate| certificate.to_vec()),
        }
    }

    /// Closes the connection without a word.
    pub fn drop_connection(self) {
        if let Stream::Plain(stream) = &self.stream {
            let _ = stream.shutdown(Shutdown::Both);
        }
    }
}

fn client_config() -> Arc<ClientConfig> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(AnyCertificate(provider)))
        .with_no_client_auth();
    Arc::new(config)
}

/// Takes any certificate: tests compare it themselves.
#[derive(Debug)]
struct AnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyCertificate {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        rustls::crypto::verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
