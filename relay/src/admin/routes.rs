//! What is served where, and the handlers: each reads its request, asks [`Control`], and words the answer.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{
        DefaultBodyLimit, Path, Query, Request, State,
        rejection::{QueryRejection, StringRejection},
    },
    http::{Method, StatusCode, Uri, header},
    middleware::{Next, from_fn, from_fn_with_state},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use backupmx_relay_config::{DomainName, status::Discarded, to_yaml};
use serde::Deserialize;

use super::{
    ApiError, Control, MessageVerb, MessageView, Page, RevisionView, TenantVerb, auth::require_token, listing,
    quarantine, scrape, watch,
};
use crate::{
    clock::Timestamp,
    message::MessageId,
    spool::{Content, Held},
};

/// The largest config document that `PUT /v1/config` takes, in octets: what a ConfigMap can hold.
pub const MAX_DOCUMENT: usize = 1 << 20;

/// The most of a message's header that is shown, in octets.
const MAX_HEADER: usize = 256 << 10;

/// How long a request may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// `/healthz`, `/readyz` and `/metrics`, without a token.
pub fn health_routes<C: Control>(control: &Arc<C>) -> Router {
    finish(health(), Router::new(), control)
}

/// `/v1` without a token: for the Unix socket, whose file is the owner's alone.
pub fn v1_routes<C: Control>(control: &Arc<C>) -> Router {
    finish(v1().merge(quarantine::contents()), watch::routes(), control)
}

/// `/v1` with a bearer token.
pub fn token_routes<C: Control>(control: &Arc<C>) -> Router {
    let guard = from_fn_with_state(Arc::clone(control), require_token::<C>);
    // Around the answers to unknown paths too: a stranger learns nothing.
    finish(v1(), watch::routes(), control).layer(guard)
}

/// All of it without a token.
pub(super) fn everything<C: Control>(control: &Arc<C>) -> Router {
    finish(health().merge(v1()).merge(quarantine::contents()), watch::routes(), control)
}

/// `quick` answers within [`REQUEST_TIMEOUT`]; `slow` bounds its time itself.
fn finish<C: Control>(quick: Router<Arc<C>>, slow: Router<Arc<C>>, control: &Arc<C>) -> Router {
    quick
        .fallback(unknown)
        .layer(from_fn(in_time))
        .merge(slow)
        .method_not_allowed_fallback(wrong_method)
        .layer(DefaultBodyLimit::max(MAX_DOCUMENT))
        .with_state(Arc::clone(control))
}

fn health<C: Control>() -> Router<Arc<C>> {
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(readyz::<C>))
        .route("/metrics", get(metrics::<C>))
}

fn v1<C: Control>() -> Router<Arc<C>> {
    let mut routes = Router::new()
        .route("/v1/config", get(config::<C>).put(put_config::<C>))
        .route("/v1/queue", get(queue::<C>))
        .route("/v1/queue/{id}", get(message::<C>).delete(discard::<C>))
        .route("/v1/queue/{id}/headers", get(headers::<C>))
        .route("/v1/discard", post(discard_domain::<C>))
        .merge(quarantine::routes());
    for verb in TenantVerb::ALL {
        let handler = async move |State(control): State<Arc<C>>, query: Result<Query<Target>, QueryRejection>| {
            let Query(target) = query.map_err(wrong_query)?;
            control.for_tenant(verb, target.tenant.as_deref()).await?;
            Ok::<_, ApiError>(StatusCode::NO_CONTENT)
        };
        routes = routes.route(&format!("/v1/{}", verb.name()), post(handler));
    }
    for verb in MessageVerb::ALL {
        let handler = async move |State(control): State<Arc<C>>, Path(id): Path<String>| {
            control.for_message(verb, message_id(&id)?).await?;
            Ok::<_, ApiError>(StatusCode::NO_CONTENT)
        };
        routes = routes.route(&format!("/v1/queue/{{id}}/{}", verb.name()), post(handler));
    }
    routes
}

async fn readyz<C: Control>(State(control): State<Arc<C>>) -> Response {
    if control.is_ready() {
        "ready\n".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the spool is not open\n").into_response()
    }
}

async fn metrics<C: Control>(State(control): State<Arc<C>>) -> Result<Response, ApiError> {
    let now = Timestamp::from(std::time::SystemTime::now());
    let text = scrape::text(control.registry(), &control.status(), &control.active().config, now)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}

async fn config<C: Control>(State(control): State<Arc<C>>) -> Result<Response, ApiError> {
    let text = to_yaml(&control.active().config)
        .map_err(|error| ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, "application/yaml")], text).into_response())
}

async fn put_config<C: Control>(
    State(control): State<Arc<C>>,
    document: Result<String, StringRejection>,
) -> Result<Json<RevisionView>, ApiError> {
    let document = document.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("expected a document of at most {MAX_DOCUMENT} octets"),
        ),
        status => ApiError::new(status, format!("expected a document in UTF-8: {}", rejection.body_text())),
    })?;
    Ok(Json(RevisionView { revision: control.apply(&document).await? }))
}

async fn queue<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<listing::Query>, QueryRejection>,
) -> Result<Json<Page>, ApiError> {
    let Query(query) = query.map_err(wrong_query)?;
    on_disk(move || Ok(Json(listing::page(&*control, &query)))).await
}

async fn message<C: Control>(
    State(control): State<Arc<C>>,
    Path(id): Path<String>,
) -> Result<Json<MessageView>, ApiError> {
    let id = message_id(&id)?;
    on_disk(move || listing::one(&*control, id).map(Json).ok_or_else(|| not_held(id))).await
}

async fn discard<C: Control>(State(control): State<Arc<C>>, Path(id): Path<String>) -> Result<StatusCode, ApiError> {
    control.for_message(MessageVerb::Discard, message_id(&id)?).await?;
    Ok(StatusCode::NO_CONTENT)
}

async fn discard_domain<C: Control>(
    State(control): State<Arc<C>>,
    query: Result<Query<Domain>, QueryRejection>,
) -> Result<Json<Discarded>, ApiError> {
    let Query(Domain { domain }) = query.map_err(wrong_query)?;
    Ok(Json(control.discard_domain(&domain).await?))
}

async fn headers<C: Control>(State(control): State<Arc<C>>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let id = message_id(&id)?;
    let header = on_disk(move || {
        let held = control.read(id)?;
        header_of(held).map_err(|error| {
            ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to read message {id}: {error}"))
        })
    })
    .await?;
    // Never taken for a page by a browser: the octets are a stranger's.
    let kind = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((kind, header).into_response())
}

/// The octets up to the empty line (RFC 5322 2.1), at most [`MAX_HEADER`].
fn header_of(held: Held) -> std::io::Result<Vec<u8>> {
    use std::io::Read as _;
    let mut header = Vec::new();
    match held.content {
        Content::Memory(octets) => header.extend_from_slice(octets.get(..MAX_HEADER).unwrap_or(&octets)),
        Content::File(file, _) => {
            file.take(MAX_HEADER as u64).read_to_end(&mut header)?;
        }
    }
    if header.starts_with(b"\r\n") {
        header.clear();
    } else if let Some(end) = memchr::memmem::find(&header, b"\r\n\r\n") {
        header.truncate(end + 2);
    }
    Ok(header)
}

/// For whom a verb is.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Target {
    tenant: Option<String>,
}

/// Of which domain.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Domain {
    domain: DomainName,
}

fn message_id(text: &str) -> Result<MessageId, ApiError> {
    text.parse()
        .map_err(|error: crate::message::ParseIdError| ApiError::new(StatusCode::BAD_REQUEST, error.to_string()))
}

fn not_held(id: MessageId) -> ApiError {
    crate::spool::ReadError::Unknown(id).into()
}

pub(super) fn wrong_query(rejection: QueryRejection) -> ApiError {
    ApiError::new(rejection.status(), rejection.body_text())
}

/// Runs what blocks on the disk where it holds up nobody.
pub(super) async fn on_disk<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ApiError> + Send + 'static,
) -> Result<T, ApiError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to read the spool: {error}")))
        }
    }
}

async fn unknown(uri: Uri) -> ApiError {
    ApiError::new(StatusCode::NOT_FOUND, format!("nothing is served at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> ApiError {
    ApiError::new(StatusCode::METHOD_NOT_ALLOWED, format!("{method} is not for {}", uri.path()))
}

async fn in_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(REQUEST_TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::new(StatusCode::GATEWAY_TIMEOUT, "the request took too long").into_response(),
    }
}
