//! The admin API: health and metrics for machines, and `/v1` for the operator and the command line.
//!
//! Three doors: a Unix socket that serves everything to its owner, one TCP listener for health and metrics without a
//! token, and one for `/v1` with a bearer token. What the API may ask of the relay is [`Control`].

mod auth;
mod control;
mod error;
mod listen;
mod listing;
mod quarantine;
mod routes;
mod scrape;
mod server;
mod view;
mod watch;

#[cfg(test)]
pub(crate) mod fake;
#[cfg(test)]
mod tests;

pub use control::{Control, MessageVerb, TenantVerb};
pub use error::{ApiError, ErrorBody};
pub use listen::{Listeners, bind, socket_path};
pub use listing::{Page, StateFilter};
pub use quarantine::{PART, SetAsideView};
pub use routes::{MAX_DOCUMENT, health_routes, token_routes, v1_routes};
#[cfg(test)]
pub(crate) use scrape::tests::names as scraped_names;
pub use server::serve;
pub use view::{ClientView, MessageView, OutcomeView, RecipientView, RevisionView};
