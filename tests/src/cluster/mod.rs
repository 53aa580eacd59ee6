//! A real Kubernetes API server, the operator as a process beside it, and a proxy between them that injects faults.
//!
//! All calls block, as in the rest of the kit: a test waits for conditions on objects as it does for those on sockets.

mod chart;
mod client;
mod history;
mod namespace;
mod operator;
mod pod_relay;
pub mod proxy;
mod resource;
mod scripts;
mod stand_in;
mod text;
mod zones;

pub use chart::{examples, helm, rendered_in, repository};
pub use client::{Kind, Kube, condition, reason};
pub use history::{Change, History};
pub use namespace::{Namespace, POD_SECURITY};
pub use operator::{Operator, OperatorOptions};
pub use pod_relay::PodRelay;
pub use proxy::Proxy;
pub use resource::resource;
pub use scripts::{Cluster, Disturbed};
pub use stand_in::StandIn;
pub use text::{documents, merge, shown};
pub use zones::Zones;
