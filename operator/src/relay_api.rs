//! The operator's side of a relay's admin API. What a relay is told counts among the leader's open writes, so that it does
//! not come after what the next leader says.

use std::{
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use backupmx_relay_config::{
    DomainName, RelayConfig,
    status::{Discarded, RelayStatus},
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, body::Bytes, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, task::JoinHandle, time::timeout};

use crate::{
    desired::API_PORT,
    open_writes::{Ended, OpenWrites},
    token::Token,
};

/// How long a relay may take to answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// How long it may take to discard mail.
const DISCARDING: Duration = Duration::from_secs(10);
/// The most octets of an answer.
const LARGEST: usize = 1 << 20;

/// Why a relay could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// It does not answer.
    #[error("failed to reach the relay: {0}")]
    Unreachable(String),
    /// It answers that it will not.
    #[error("the relay answered {0}: {1}")]
    Refused(StatusCode, String),
    /// It answers what cannot be read.
    #[error("failed to read the relay's answer: {0}")]
    Unreadable(String),
}

/// Asks a relay for its status.
///
/// # Errors
/// It does not answer within [`PATIENCE`], or not as it should.
pub async fn status(pod: IpAddr, token: &Token) -> Result<RelayStatus, RelayError> {
    let body = ask((pod, API_PORT).into(), token, Method::GET, "/v1/status", Bytes::new()).await?;
    serde_json::from_slice(&body).map_err(|error| RelayError::Unreadable(error.to_string()))
}

/// Asks a relay for its status, to be answered as soon as its generation is no longer `since`, or after `wait`.
///
/// # Errors
/// It does not answer within [`PATIENCE`] after that, or not as it should.
pub async fn watch(pod: IpAddr, token: &Token, since: &str, wait: Duration) -> Result<RelayStatus, RelayError> {
    let path = format!("/v1/status?since={since}&wait={}s", wait.as_secs());
    let relay = (pod, API_PORT).into();
    let body = ask_within(wait + PATIENCE, relay, token, Method::GET, &path, Bytes::new(), None).await?;
    serde_json::from_slice(&body).map_err(|error| RelayError::Unreadable(error.to_string()))
}

/// Puts a document in force.
///
/// # Errors
/// It does not answer within [`PATIENCE`], or refuses the document: 409 where it has a newer one.
pub async fn configure(
    pod: IpAddr,
    token: &Token,
    document: &RelayConfig,
    writes: &OpenWrites,
) -> Result<(), RelayError> {
    let text = backupmx_relay_config::to_yaml(document).map_err(|error| RelayError::Unreadable(error.to_string()))?;
    let relay = (pod, API_PORT).into();
    ask_within(PATIENCE, relay, token, Method::PUT, "/v1/config", text.into(), Some(writes)).await.map(|_| ())
}

/// Has the relay try all held mail at once.
///
/// # Errors
/// It does not answer within [`PATIENCE`], or refuses.
pub async fn flush(pod: IpAddr, token: &Token, writes: &OpenWrites) -> Result<(), RelayError> {
    let relay = (pod, API_PORT).into();
    ask_within(PATIENCE, relay, token, Method::POST, "/v1/flush", Bytes::new(), Some(writes)).await.map(|_| ())
}

/// Has the relay discard what it holds for a domain whose mail it does not take any more. It goes on for two seconds at most:
/// the answer says what is left.
///
/// # Errors
/// It does not answer in time, or refuses.
pub async fn discard(
    pod: IpAddr,
    token: &Token,
    domain: &DomainName,
    writes: &OpenWrites,
) -> Result<Discarded, RelayError> {
    let path = format!("/v1/discard?domain={domain}");
    let relay = (pod, API_PORT).into();
    let body = ask_within(DISCARDING, relay, token, Method::POST, &path, Bytes::new(), Some(writes)).await?;
    serde_json::from_slice(&body).map_err(|error| RelayError::Unreadable(error.to_string()))
}

async fn ask(relay: SocketAddr, token: &Token, method: Method, path: &str, body: Bytes) -> Result<Bytes, RelayError> {
    ask_within(PATIENCE, relay, token, method, path, body, None).await
}

async fn ask_within(
    patience: Duration,
    relay: SocketAddr,
    token: &Token,
    method: Method,
    path: &str,
    body: Bytes,
    writes: Option<&OpenWrites>,
) -> Result<Bytes, RelayError> {
    match timeout(patience, exchange(relay, token, method, path, body, writes)).await {
        Ok(answer) => answer,
        Err(_) => Err(RelayError::Unreachable(format!("no answer within {} s", patience.as_secs()))),
    }
}

/// A connection that ends with the request, however that ends.
struct Ends(JoinHandle<()>);

impl Drop for Ends {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn exchange(
    relay: SocketAddr,
    token: &Token,
    method: Method,
    path: &str,
    body: Bytes,
    writes: Option<&OpenWrites>,
) -> Result<Bytes, RelayError> {
    let unreachable = |error: &dyn std::fmt::Display| RelayError::Unreachable(error.to_string());
    // A relay that cannot be reached is told from one that has nothing new to say.
    let connected = timeout(PATIENCE, TcpStream::connect(relay)).await;
    let stream = connected.map_err(|error| unreachable(&error))?.map_err(|error| unreachable(&error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(|error| unreachable(&error))?;
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "relay")
        .header(header::AUTHORIZATION, format!("Bearer {}", token.reveal()))
        .body(Full::new(body))
        .map_err(|error| unreachable(&error))?;
    // How the connection ended shows in the answer.
    let _connection = Ends(tokio::spawn(async { drop(connection.await) }));
    // Not before: what never left is in no doubt.
    let mut open = match writes {
        Some(writes) => Some(writes.begun().await),
        None => None,
    };
    let answer = sender.send_request(request).await.map_err(|error| unreachable(&error))?;
    // A relay answers when it is done.
    if let Some(open) = &mut open {
        open.end = Ended::Answered;
    }
    drop(open);
    let status = answer.status();
    let body = Limited::new(answer.into_body(), LARGEST).collect().await;
    let body = body.map_err(|error| RelayError::Unreadable(error.to_string()))?.to_bytes();
    if status.is_success() {
        Ok(body)
    } else {
        let text = String::from_utf8_lossy(&body).chars().take(500).collect();
        Err(RelayError::Refused(status, text))
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::HeaderMap, routing::put};
    use tokio::net::TcpListener;

    use super::*;
    use crate::{token::MasterKey, validated::Owner};

    fn token() -> Token {
        let owner = Owner { namespace: "mail".into(), name: "x".into(), uid: "u".into() };
        MasterKey::new(&[b'k'; 32]).unwrap().token(&owner, &"a".parse().unwrap())
    }

    /// A relay that answers 409 to what is not authorised and gives the body back to what is.
    async fn relay() -> SocketAddr {
        let door = async |headers: HeaderMap, body: String| {
            let wanted = format!("Bearer {}", token().reveal());
            let known = headers.get(header::AUTHORIZATION).is_some_and(|given| given.as_bytes() == wanted.as_bytes());
            if known { (StatusCode::OK, body) } else { (StatusCode::CONFLICT, "no".repeat(2000)) }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = Router::new().route("/v1/config", put(door));
        tokio::spawn(async move { axum::serve(listener, router).await });
        address
    }

    #[tokio::test]
    async fn speaks_with_the_token_and_hands_the_body_over() {
        let answer = ask(relay().await, &token(), Method::PUT, "/v1/config", Bytes::from_static(b"hello")).await;
        assert_eq!(answer.unwrap(), "hello");
    }

    #[tokio::test]
    async fn a_refusal_comes_with_its_words_cut_short() {
        let other = MasterKey::new(&[b'x'; 32]).unwrap();
        let owner = Owner { namespace: "mail".into(), name: "x".into(), uid: "u".into() };
        let wrong = other.token(&owner, &"a".parse().unwrap());
        match ask(relay().await, &wrong, Method::PUT, "/v1/config", Bytes::new()).await {
            Err(RelayError::Refused(StatusCode::CONFLICT, text)) => assert_eq!(text.len(), 500),
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn nobody_there_is_an_answer_too() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        drop(listener);
        let answer = ask(address, &token(), Method::GET, "/v1/status", Bytes::new()).await;
        assert!(matches!(answer, Err(RelayError::Unreachable(_))), "{answer:?}");
    }
}
