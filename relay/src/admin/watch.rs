//! `GET /v1/status`, at once or as soon as it says something else: `?since=GENERATION&wait=55s`.

use std::{sync::Arc, time::Duration};

use axum::{
    Json, Router,
    extract::{Query, State, rejection::QueryRejection},
    routing::get,
};
use backupmx_relay_config::{Span, status::RelayStatus};
use serde::Deserialize;
use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until},
};

use super::{ApiError, Control, routes};

/// The longest that a change is waited for.
const LONGEST: Duration = Duration::from_secs(60);

/// How often it is looked for a change. Looking costs some microseconds, and nothing has to know who waits.
const LOOK: Duration = Duration::from_millis(500);

/// So many may wait at one door; who comes beside them is answered at once.
const WAITING: usize = 4;

/// What is waited for.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Watch {
    /// The generation that is known.
    since: Option<String>,
    /// How long to wait for another.
    wait: Option<Span>,
}

/// The status, at one door. Waiting is bounded here, and not by the time that other requests may take.
pub(super) fn routes<C: Control>() -> Router<Arc<C>> {
    let seats = Arc::new(Semaphore::new(WAITING));
    let handler = async move |State(control): State<Arc<C>>, query: Result<Query<Watch>, QueryRejection>| {
        let Query(watch) = query.map_err(routes::wrong_query)?;
        Ok::<_, ApiError>(Json(look(&*control, &watch, &seats).await))
    };
    Router::new().route("/v1/status", get(handler))
}

async fn look<C: Control>(control: &C, watch: &Watch, seats: &Semaphore) -> RelayStatus {
    let wait = watch.wait.map_or(Duration::ZERO, Span::as_duration).min(LONGEST);
    let until = Instant::now() + wait;
    let seat = seats.try_acquire();
    loop {
        let status = control.status();
        let now = Instant::now();
        if seat.is_err() || now >= until || watch.since.is_none() || watch.since != status.generation {
            return status;
        }
        sleep_until((now + LOOK).min(until)).await;
    }
}
