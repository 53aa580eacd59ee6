//! Where a tenant's deliveries go now, and what their answers lead to.

use std::sync::Arc;

use backupmx_relay_config::{DomainName, HoldTimes, OnReject, Tenant};

use super::{Context, Shared, settle::OnPermanent};
use crate::{
    deliver::{Hurry, Settings, Timeouts},
    health::{EndpointKey, Health, Listed},
    schedule::{ClockTrust, Handover},
};

/// What the config says of deliveries; it changes with the config alone.
pub(super) struct Plan {
    /// The tenant's domains.
    pub(super) lanes: Vec<DomainName>,
    /// How sessions are opened.
    pub(super) settings: Settings,
    /// How long mail is held.
    pub(super) hold: HoldTimes,
    /// So many Received fields are a circle.
    pub(super) received_lines: u32,
    /// What a 5xx of a primary that is well leads to.
    on_reject: OnReject,
}

impl Plan {
    /// The plan for a tenant by the config in force.
    pub(super) fn new(context: &Context, shared: &Shared, tenant: &Tenant) -> Self {
        let active = context.config.load();
        Self {
            lanes: tenant.domains.clone(),
            settings: Settings {
                helo: active.config.hostname.clone(),
                tls: tenant.primary.tls.mode,
                timeouts: Timeouts::from(&active.config.timeouts),
                client_tls: Arc::clone(&shared.client_tls),
                quirks: Arc::clone(&shared.quirks),
                hurry: Hurry::default(),
            },
            hold: tenant.hold,
            received_lines: active.config.limits.received_lines,
            on_reject: tenant.delivery.on_reject,
        }
    }
}

/// Where deliveries go now.
pub(super) struct Route {
    /// What the config says.
    pub(super) plan: Arc<Plan>,
    /// Usable endpoints, lowest preference first.
    pub(super) endpoints: Vec<Listed>,
    /// What a 5xx leads to now.
    pub(super) on_permanent: OnPermanent,
    /// Whether a message whose time is over may be given up after a failed try.
    pub(super) may_expire: bool,
}

impl Route {
    /// The route as things stand.
    pub(super) fn new(plan: &Arc<Plan>, health: &Health, clock: ClockTrust) -> Self {
        Self {
            plan: Arc::clone(plan),
            endpoints: health.usable_endpoints().cloned().collect(),
            on_permanent: on_permanent(plan, health),
            may_expire: may_expire(health, clock),
        }
    }

    /// Whether [`Self::new`] would make the same.
    pub(super) fn still_holds(&self, plan: &Arc<Plan>, health: &Health, clock: ClockTrust) -> bool {
        Arc::ptr_eq(&self.plan, plan)
            && self.on_permanent == on_permanent(plan, health)
            && self.may_expire == may_expire(health, clock)
            && self.endpoints.iter().eq(health.usable_endpoints())
    }

    /// Whether no usable endpoint has a lower preference: a probe that went well does not make a fallback the first
    /// choice.
    pub(super) fn prefers(&self, endpoint: &EndpointKey) -> bool {
        let preference = |listed: &Listed| listed.preference;
        let best = self.endpoints.iter().map(preference).min();
        self.endpoints.iter().find(|listed| listed.key == *endpoint).map(preference) == best
    }
}

fn on_permanent(plan: &Plan, health: &Health) -> OnPermanent {
    match (health.reject_is_final(), plan.on_reject) {
        (false, _) => OnPermanent::Withhold,
        (true, OnReject::Bounce) => OnPermanent::Report,
        (true, OnReject::Hold) => OnPermanent::Hold,
    }
}

fn may_expire(health: &Health, clock: ClockTrust) -> bool {
    health.handover() == Handover::Running && clock == ClockTrust::Believed
}
