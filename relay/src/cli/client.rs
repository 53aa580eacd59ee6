//! The admin API's client: HTTP over the relay's Unix socket, or over TCP with a token.

use std::{
    fs, io,
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
    time::timeout,
};

use super::{args::RelayArgs, config, surroundings::Surroundings};
use crate::admin::{ErrorBody, socket_path};

/// How long the relay may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(40);

/// The largest answer that is read, in octets.
const MAX_ANSWER: usize = 64 << 20;

/// Why the relay gave no answer, or not the one that was wanted.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// What says how to reach the relay is wrong.
    #[error("{0}")]
    Usage(String),
    /// Nobody answers.
    #[error("no relay answers at {place}: {problem}")]
    Absent {
        /// Where.
        place: String,
        /// Why, and what to do.
        problem: String,
    },
    /// The answer broke off or is none of ours.
    #[error("the relay at {place} gave no proper answer: {problem}")]
    Broken {
        /// Where.
        place: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The relay said no.
    #[error("{message}")]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// Why.
        message: String,
    },
}

/// A way to a running relay.
#[derive(Debug)]
pub struct Client {
    door: Door,
}

#[derive(Debug, PartialEq, Eq)]
enum Door {
    Socket(PathBuf),
    Tcp { authority: String, token: String },
}

impl Client {
    /// The way to the relay that the flags and the machine name.
    ///
    /// # Errors
    /// The URL, the token file or the config file is wrong.
    pub fn new(args: &RelayArgs, here: &Surroundings) -> Result<Self, ClientError> {
        let door = match (&args.url, &args.token_file) {
            (Some(url), Some(file)) => Door::Tcp { authority: authority(url)?, token: token(file)? },
            (Some(_), None) => return Err(ClientError::Usage("expected --token-file with --url".to_owned())),
            (None, _) => Door::Socket(socket(args, here)?),
        };
        Ok(Self { door })
    }

    /// Asks for JSON.
    ///
    /// # Errors
    /// There is no answer, or it is not the one that was wanted.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.request(Method::GET, path).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| ClientError::Broken { place: self.place(), problem: error.to_string() })
    }

    /// Asks for octets.
    ///
    /// # Errors
    /// There is no answer, or it is an error.
    pub async fn get_octets(&self, path: &str) -> Result<Bytes, ClientError> {
        self.request(Method::GET, path).await
    }

    /// Asks for something to be done.
    ///
    /// # Errors
    /// There is no answer, or it was not done.
    pub async fn post(&self, path: &str) -> Result<(), ClientError> {
        self.request(Method::POST, path).await.map(drop)
    }

    /// Asks for something to be removed.
    ///
    /// # Errors
    /// There is no answer, or it was not removed.
    pub async fn delete(&self, path: &str) -> Result<(), ClientError> {
        self.request(Method::DELETE, path).await.map(drop)
    }

    /// Asks for something to be done, and what came of it.
    ///
    /// # Errors
    /// There is no answer, or it was not done.
    pub async fn post_for<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        let answer = self.request(Method::POST, path).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| ClientError::Broken { place: self.place(), problem: error.to_string() })
    }

    fn place(&self) -> String {
        match &self.door {
            Door::Socket(path) => path.display().to_string(),
            Door::Tcp { authority, .. } => format!("http://{authority}"),
        }
    }

    async fn request(&self, method: Method, path: &str) -> Result<Bytes, ClientError> {
        let late = || ClientError::Absent { place: self.place(), problem: "it took too long".to_owned() };
        timeout(TIMEOUT, self.talk(method, path)).await.map_err(|_| late())?
    }

    async fn talk(&self, method: Method, path: &str) -> Result<Bytes, ClientError> {
        let absent = |error: &io::Error| ClientError::Absent { place: self.place(), problem: self.advice(error) };
        match &self.door {
            Door::Socket(socket) => {
                let stream = UnixStream::connect(socket).await.map_err(|error| absent(&error))?;
                self.exchange(stream, method, path, "localhost", None).await
            }
            Door::Tcp { authority, token } => {
                let stream = TcpStream::connect(authority).await.map_err(|error| absent(&error))?;
                self.exchange(stream, method, path, authority, Some(token)).await
            }
        }
    }

    fn advice(&self, error: &io::Error) -> String {
        match (error.kind(), &self.door) {
            (io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused, Door::Socket(_)) => {
                "is it running? (--spool DIR or --config FILE name another)".to_owned()
            }
            (io::ErrorKind::NotADirectory, Door::Socket(path)) => {
                let folder = path.parent().unwrap_or(path).display();
                format!("expected a relay's spool folder, such as /var/lib/backupmx; {folder} is no folder")
            }
            (io::ErrorKind::PermissionDenied, Door::Socket(_)) => {
                "only the relay's own user may ask it; try as that user, or with sudo".to_owned()
            }
            (io::ErrorKind::ConnectionRefused, Door::Tcp { .. }) => "is it running?".to_owned(),
            _ => error.to_string(),
        }
    }

    async fn exchange<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
        &self,
        stream: S,
        method: Method,
        path: &str,
        host: &str,
        token: Option<&str>,
    ) -> Result<Bytes, ClientError> {
        let broken = |problem: String| ClientError::Broken { place: self.place(), problem };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(token) = token {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        let request = request.body(Full::<Bytes>::default()).map_err(|error| ClientError::Usage(error.to_string()))?;
        let (mut sender, connection) =
            http1::handshake(TokioIo::new(stream)).await.map_err(|error| broken(error.to_string()))?;
        let driver = tokio::spawn(connection);
        let answer = async {
            let response = sender.send_request(request).await.map_err(|error| broken(error.to_string()))?;
            let status = response.status();
            let body = Limited::new(response.into_body(), MAX_ANSWER).collect().await;
            Ok((status, body.map_err(|error| broken(error.to_string()))?.to_bytes()))
        }
        .await;
        driver.abort();
        let (status, body) = answer?;
        if status.is_success() { Ok(body) } else { Err(refusal(status, &body)) }
    }
}

fn refusal(status: StatusCode, body: &[u8]) -> ClientError {
    let message = match serde_json::from_slice::<ErrorBody>(body) {
        Ok(body) => super::text::printable(&body.error),
        Err(_) => format!("the relay answered {status}"),
    };
    ClientError::Refused { status, message }
}

/// A text as one part of a query (RFC 3986 2).
pub(super) fn encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::new(), |mut out, octet| {
        match octet {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => out.push(char::from(octet)),
            _ => {
                let _ = write!(out, "%{octet:02X}");
            }
        }
        out
    })
}

fn authority(url: &str) -> Result<String, ClientError> {
    let wrong = |problem: &str| Err(ClientError::Usage(format!("--url: {problem}; got {url:?}")));
    let Some(rest) = url.strip_prefix("http://") else {
        return wrong("expected http:// and an address; for a far relay use ssh or kubectl port-forward");
    };
    let authority = rest.strip_suffix('/').unwrap_or(rest);
    if authority.is_empty() || authority.contains(['/', '@', '?', '#', ' ']) {
        return wrong("expected a host and a port, such as http://127.0.0.1:8081");
    }
    let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
    Ok(if has_port { authority.to_owned() } else { format!("{authority}:80") })
}

fn token(file: &Path) -> Result<String, ClientError> {
    let text = fs::read_to_string(file)
        .map_err(|error| ClientError::Usage(format!("failed to read the token file {}: {error}", file.display())))?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|octet| octet.is_ascii_graphic()) {
        let problem = format!("{}: expected one line with the bearer token", file.display());
        return Err(ClientError::Usage(problem));
    }
    Ok(token.to_owned())
}

fn socket(args: &RelayArgs, here: &Surroundings) -> Result<PathBuf, ClientError> {
    if let Some(socket) = &args.socket {
        return Ok(socket.clone());
    }
    if let Some(file) = &args.config {
        let config = config::load(file).map_err(|error| ClientError::Usage(error.to_string()))?;
        return Ok(socket_path(&config.admin, &config.spool.path));
    }
    let admin = backupmx_relay_config::AdminConfig::default();
    Ok(match (&args.spool, &here.socket) {
        (Some(spool), _) => socket_path(&admin, spool),
        (None, Some(socket)) => socket.clone(),
        (None, None) => socket_path(&admin, &here.spool()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_names_the_socket() {
        let here = Surroundings { home: Some("/h".into()), ..Surroundings::default() };
        let told = Surroundings { socket: Some("/env.sock".into()), ..here.clone() };
        let spool = RelayArgs { spool: Some("/s".into()), ..RelayArgs::default() };
        let socket_flag = RelayArgs { socket: Some("/flag.sock".into()), ..RelayArgs::default() };
        for (args, here, path) in [
            (&RelayArgs::default(), &here, "/h/.local/state/backupmx/control.sock"),
            (&RelayArgs::default(), &told, "/env.sock"),
            (&spool, &told, "/s/control.sock"),
            (&socket_flag, &told, "/flag.sock"),
        ] {
            assert_eq!(socket(args, here).unwrap(), Path::new(path));
        }
    }

    #[test]
    fn a_url_is_http_host_and_port() {
        for (url, expected) in [
            ("http://127.0.0.1:8081", Some("127.0.0.1:8081")),
            ("http://[::1]:8081/", Some("[::1]:8081")),
            ("http://relay.example", Some("relay.example:80")),
            ("https://relay.example", None),
            ("relay.example:80", None),
            ("http://", None),
            ("http://a.example/v1", None),
            ("http://user@a.example", None),
        ] {
            assert_eq!(authority(url).ok().as_deref(), expected, "{url}");
        }
    }

    #[test]
    fn queries_are_encoded() {
        assert_eq!(encoded("example.org"), "example.org");
        assert_eq!(encoded("a b&c=ü"), "a%20b%26c%3D%C3%BC");
    }

    #[tokio::test]
    async fn an_absent_relay_is_said_so() {
        let args = RelayArgs { spool: Some("/nonexistent".into()), ..RelayArgs::default() };
        let client = Client::new(&args, &Surroundings::default()).unwrap();
        let error = client.get_octets("/v1/status").await.unwrap_err().to_string();
        assert!(error.starts_with("no relay answers at /nonexistent/control.sock: is it running?"), "{error}");
        let args = RelayArgs { spool: Some("/etc/passwd".into()), ..RelayArgs::default() };
        let client = Client::new(&args, &Surroundings::default()).unwrap();
        let error = client.get_octets("/v1/status").await.unwrap_err().to_string();
        assert!(error.ends_with("such as /var/lib/backupmx; /etc/passwd is no folder"), "{error}");
    }
}
