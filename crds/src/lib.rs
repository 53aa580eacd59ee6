//! The API types of BackupMX: the custom resources that people write, and those of others that the operator writes.
//!
//! The doc comment of a field is what `kubectl explain` prints, so it is written for whoever writes the resource.
//! `crds/backupmxes.yaml` is generated from these types (`backupmx-operator crd`); a test fails when they differ.

mod acceptance;
mod backupmx;
pub mod conditions;
mod definition;
mod delivery;
mod dns;
pub mod dnsendpoint;
mod primary;
mod relay;
mod resources;
mod schema;
mod status;

pub use acceptance::{Acceptance, Activation, ConfigMapRef, RecipientMode, Recipients, WhenPrimaryUp};
pub use backupmx::{BackupMX, BackupMXSpec, DeletionPolicy, RelayTls};
pub use definition::{DefinitionError, definition, to_yaml};
pub use delivery::{Bounce, BouncePolicy, Delivery, Hold, OnReject, RejectStorm, Retry};
pub use dns::{AddressRecords, Dns, DnsMode, OnRelease};
pub use primary::{MxHost, Primary, PrimaryHost, PrimaryTls, PrimaryTlsMode, ServiceRef};
pub use relay::{Relay, Scheduling, Service, ServiceOverrides, ServiceType, Storage};
pub use resources::Resources;
pub use status::{BackupMXStatus, PrimaryState, PrimaryStatus, QueueStatus, RelayStatus, VolumeStatus};

/// The API group of [`BackupMX`]; also the prefix of our annotations, labels and finalizers.
pub const GROUP: &str = "backupmx.io";
