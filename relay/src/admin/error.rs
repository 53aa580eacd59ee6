//! Errors of the API: a status for machines, `{"error": "…"}` for people.

use axum::{
    Json,
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};

use crate::{engine::EngineError, spool::ReadError};

/// Why a request failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    status: StatusCode,
    message: String,
}

/// What a failed request is answered with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// What is wrong, for people.
    pub error: String,
}

impl ApiError {
    /// An error of that status.
    #[must_use]
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into() }
    }

    /// Its status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }
}

impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let status = match error {
            EngineError::NoTenant(_) | EngineError::NoMessage(_) => StatusCode::NOT_FOUND,
            EngineError::Busy(_) | EngineError::OldRevision { .. } => StatusCode::CONFLICT,
            EngineError::Refused(_) => StatusCode::UNPROCESSABLE_ENTITY,
            EngineError::Spool(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.to_string())
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let status = match error {
            ReadError::Unknown(_) => StatusCode::NOT_FOUND,
            ReadError::Unreadable { .. } | ReadError::Damaged { .. } => StatusCode::INTERNAL_SERVER_ERROR,
        };
        Self::new(status, error.to_string())
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(ErrorBody { error: self.message })).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, header::HeaderValue::from_static("Bearer"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::MessageId;

    #[test]
    fn who_is_to_blame_decides_the_status() {
        let id = MessageId::from_u64(1);
        for (error, status) in [
            (ApiError::from(EngineError::NoTenant("x".to_owned())), 404),
            (EngineError::NoMessage(id).into(), 404),
            (EngineError::Busy(id).into(), 409),
            (EngineError::OldRevision { offered: 1, in_force: 2 }.into(), 409),
            (EngineError::Refused("line 3: wrong".to_owned()).into(), 422),
            (EngineError::Spool("full".to_owned()).into(), 503),
            (ReadError::Unknown(id).into(), 404),
            (ReadError::Damaged { id, problem: "bad checksum".to_owned() }.into(), 500),
        ] {
            assert_eq!(error.status().as_u16(), status, "{error}");
        }
    }
}
