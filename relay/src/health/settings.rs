//! What of a tenant's config matters here.

use backupmx_relay_config::{Delivery, RejectStorm};

use crate::schedule::{Backoff, BackoffError};

/// What of a tenant's config matters here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How a failing primary is tried.
    pub(super) backoff: Backoff,
    /// Deliveries at once, at most.
    pub(super) max_connections: u32,
    /// When rejects mean a broken primary.
    pub(super) storm: RejectStorm,
    /// The config says to deliver nothing.
    pub(super) suspended: bool,
}

impl Settings {
    /// What of these settings matters here.
    ///
    /// # Errors
    /// `retry` makes no back-off.
    pub fn new(delivery: &Delivery) -> Result<Self, BackoffError> {
        Ok(Self {
            backoff: Backoff::try_from(delivery.retry)?,
            max_connections: delivery.max_connections,
            storm: delivery.reject_storm,
            suspended: delivery.suspended,
        })
    }
}
