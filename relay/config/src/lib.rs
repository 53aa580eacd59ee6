//! The contract between the BackupMX operator and its relays.
//!
//! The operator (or a person) writes a [`RelayConfig`]; the relay reads it from a file or is handed it by
//! `PUT /v1/config`. What the relay says of itself in return is a [`status::RelayStatus`]. Both sides use these
//! types, so a field exists for both or for neither.
//!
//! The document carries [`CONTRACT_VERSION`]: a relay refuses one that it was not built for rather than guess.

mod document;
mod domain;
pub mod examples;
pub mod limits;
mod load;
mod locate;
mod quantity;
mod range;
mod report;
mod span;
pub mod status;
mod syntax;
mod tenant;
pub mod timeouts;
mod validate;
mod wording;

pub use document::{
    AdminConfig, ApiListener, Listener, RelayConfig, ResolverConfig, SpoolConfig, TlsConfig, TokenHash,
};
pub use domain::{DomainName, DomainNameError, Host, MailAddress, MailAddressError};
pub use limits::Limits;
pub use load::{LoadError, check, from_yaml, to_yaml};
pub use quantity::ByteSize;
pub use report::ReportConfig;
pub use span::Span;
pub use tenant::{
    AcceptMode, Acceptance, Bounce, BouncePolicy, Delivery, HoldTimes, HostPort, OnReject, Primary, PrimaryHost,
    PrimaryTls, PrimaryTlsMode, Quota, RecipientMode, Recipients, RejectStorm, Retry, Tenant, WhenPrimaryUp,
};
pub use timeouts::Timeouts;

/// The version of the document that this build reads and writes. It rises when a document of the older form would
/// be misread, not when an optional field is added.
pub const CONTRACT_VERSION: u32 = 1;
