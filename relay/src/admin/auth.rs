//! The bearer token (RFC 6750) of `/v1` over TCP.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::Next,
    response::Response,
};
use backupmx_relay_config::TokenHash;
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::{ApiError, Control};

/// Lets a request through whose token has the hash in the config in force: a new config rotates the token at once.
pub(super) async fn require_token<C: Control>(
    State(control): State<Arc<C>>,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let hash = control.active().config.admin.api.as_ref().map(|api| api.token_sha256);
    check(request.headers(), hash)?;
    Ok(next.run(request).await)
}

fn check(headers: &HeaderMap, hash: Option<TokenHash>) -> Result<(), ApiError> {
    let refused = |message: &str| Err(ApiError::new(StatusCode::UNAUTHORIZED, message));
    let Some(hash) = hash else {
        return refused("the config in force has no admin.api any more; use the Unix socket");
    };
    let Some(token) = bearer(headers) else {
        return refused("expected the header `Authorization: Bearer TOKEN`");
    };
    if bool::from(Sha256::digest(token).as_slice().ct_eq(hash.as_bytes())) {
        Ok(())
    } else {
        refused("the token is not the one whose SHA-256 is admin.api.tokenSha256")
    }
}

fn bearer(headers: &HeaderMap) -> Option<&[u8]> {
    let value = headers.get(header::AUTHORIZATION)?.as_bytes();
    let (scheme, token) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| token.trim_ascii()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_of_the_hash_passes() {
        let hash: [u8; 32] = Sha256::digest(b"secret").into();
        for (value, hash, passes) in [
            (Some("Bearer secret"), Some(hash), true),
            (Some("bearer  secret "), Some(hash), true),
            (Some("Bearer Secret"), Some(hash), false),
            (Some("Bearer "), Some(Sha256::digest(b"").into()), false),
            (Some("Bearer"), Some(hash), false),
            (Some("Basic secret"), Some(hash), false),
            (Some("secret"), Some(hash), false),
            (None, Some(hash), false),
            (Some("Bearer secret"), None, false),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(value) = value {
                headers.insert(header::AUTHORIZATION, value.parse().unwrap());
            }
            let result = check(&headers, hash.map(TokenHash::from));
            assert_eq!(result.is_ok(), passes, "{value:?}");
            assert!(result.is_ok() || result.is_err_and(|error| error.status() == 401));
        }
    }
}
