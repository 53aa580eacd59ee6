//! What was set aside of the spool, for a person to look at: a pod has no shell.

use std::{io, sync::Arc};

use axum::{
    Json, Router,
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
    routing::{delete, get},
};
use serde::{Deserialize, Serialize};

use super::{
    ApiError, Control,
    routes::{on_disk, wrong_query},
};
use crate::spool::SetAside;

/// The most of a file that one answer holds, in octets.
pub const PART: usize = 1 << 20;

/// A damaged part of the spool that was set aside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetAsideView {
    /// The name of its file.
    pub name: String,
    /// Its octets.
    pub size: u64,
    /// Since when, RFC 3339.
    pub since: String,
    /// Whether it is the end of a write that was cut off: nobody was told that it was taken, so nothing is lost with it.
    pub torn: bool,
}

impl From<SetAside> for SetAsideView {
    fn from(SetAside { name, size, since, torn }: SetAside) -> Self {
        Self { name, size, since: since.rfc3339(), torn }
    }
}

pub(super) fn routes<C: Control>() -> Router<Arc<C>> {
    Router::new().route("/v1/quarantine", get(list::<C>)).route("/v1/quarantine/{name}", delete(discard::<C>))
}

/// What is in it: for the owner of the spool, who could read the files too, and for no token.
pub(super) fn contents<C: Control>() -> Router<Arc<C>> {
    Router::new().route("/v1/quarantine/{name}", get(read::<C>))
}

async fn list<C: Control>(State(control): State<Arc<C>>) -> Result<Json<Vec<SetAsideView>>, ApiError> {
    on_disk(move || {
        let list = control.set_aside().map_err(|error| failed("list the quarantine", &error))?;
        Ok(Json(list.into_iter().map(SetAsideView::from).collect()))
    })
    .await
}

/// From where on.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Part {
    #[serde(default)]
    offset: u64,
}

async fn read<C: Control>(
    State(control): State<Arc<C>>,
    Path(name): Path<String>,
    query: Result<Query<Part>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Part { offset }) = query.map_err(wrong_query)?;
    let octets =
        on_disk(move || control.read_set_aside(&name, offset, PART).map_err(|error| of(&name, &error))).await?;
    // Never taken for a page by a browser: the octets are a stranger's.
    let kind = [(header::CONTENT_TYPE, "application/octet-stream"), (header::X_CONTENT_TYPE_OPTIONS, "nosniff")];
    Ok((kind, octets).into_response())
}

async fn discard<C: Control>(State(control): State<Arc<C>>, Path(name): Path<String>) -> Result<StatusCode, ApiError> {
    on_disk(move || control.discard_set_aside(&name).map_err(|error| of(&name, &error))).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn of(name: &str, error: &io::Error) -> ApiError {
    match error.kind() {
        io::ErrorKind::NotFound => {
            ApiError::new(StatusCode::NOT_FOUND, format!("nothing of the name {name} is set aside"))
        }
        _ => failed(&format!("read or remove {name} of the quarantine"), error),
    }
}

fn failed(what: &str, error: &io::Error) -> ApiError {
    ApiError::new(StatusCode::INTERNAL_SERVER_ERROR, format!("failed to {what}: {error}"))
}
