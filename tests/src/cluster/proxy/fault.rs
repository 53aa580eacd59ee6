//! What the proxy does instead of asking the API server, or before or after it asks.

use std::{convert::Infallible, fmt, time::Duration};

use http_body_util::{BodyExt as _, Full};
use hyper::{Response, StatusCode, body::Bytes, header};
use serde_json::json;

use super::{Body, Call};

/// What the proxy does instead of asking the API server, or before or after it asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Answers with this status code, as the API server would word it.
    Status(u16),
    /// Answers 429, and names the seconds to wait.
    TooManyRequests {
        /// For `Retry-After`.
        retry_after: u16,
    },
    /// Answers a watch with 200 and then one event that says 410: the version asked for is too old.
    Expired,
    /// Never answers.
    Hang,
    /// Ends the connection without an answer.
    Disconnect,
    /// Asks the API server, and never hands its answer on: it is not known whether a write was done.
    LoseAnswer,
    /// Asks the API server so much later, whether who asked has gone away meanwhile or not.
    Late(Duration),
    /// The same, not before the test says [`super::Proxy::let_go`].
    Hold,
    /// Asks the API server at once, and hands its answer on when the test says [`super::Proxy::let_go`].
    HoldAnswer,
}

/// A fault, and the requests that it meets.
pub(super) struct Trap {
    pub(super) fault: Fault,
    pub(super) meets: Box<dyn Fn(&Call) -> bool + Send>,
    pub(super) left: usize,
}

impl fmt::Debug for Trap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} ({} left)", self.fault, self.left)
    }
}

/// Longer than any test.
pub(super) const FOR_EVER: Duration = Duration::from_secs(3600);

impl Fault {
    /// Whether there is nothing but the fault: the API server is not asked.
    pub(super) const fn is_all(self) -> bool {
        match self {
            Self::Status(_) | Self::TooManyRequests { .. } | Self::Expired | Self::Hang | Self::Disconnect => true,
            Self::LoseAnswer | Self::Late(_) | Self::Hold | Self::HoldAnswer => false,
        }
    }

    /// The answer; none where there never is one, or where the API server is asked first.
    pub(super) fn answer(self) -> Option<Response<Body>> {
        match self {
            Self::Status(code) => Some(refusal(code, None)),
            Self::TooManyRequests { retry_after } => Some(refusal(429, Some(retry_after))),
            Self::Expired => {
                let event = json!({"type": "ERROR", "object": status(410)});
                Some(answer(StatusCode::OK, None, format!("{event}\n")))
            }
            Self::Hang | Self::Disconnect | Self::LoseAnswer => None,
            Self::Late(_) | Self::Hold | Self::HoldAnswer => None,
        }
    }
}

fn refusal(code: u16, retry_after: Option<u16>) -> Response<Body> {
    let words = StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    answer(words, retry_after, status(code).to_string())
}

fn status(code: u16) -> serde_json::Value {
    let reason = match code {
        404 => "NotFound",
        409 => "Conflict",
        410 => "Expired",
        429 => "TooManyRequests",
        503 => "ServiceUnavailable",
        _ => "InternalError",
    };
    json!({
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "code": code, "reason": reason, "message": format!("{code}, injected by a test"),
    })
}

fn answer(status: StatusCode, retry_after: Option<u16>, body: String) -> Response<Body> {
    let body = Full::new(Bytes::from(body)).map_err(|never: Infallible| match never {}).boxed_unsync();
    let mut answer = Response::new(body);
    *answer.status_mut() = status;
    answer.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    if let Some(seconds) = retry_after {
        answer.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    answer
}
