//! What a changed config means for a tenant's task.

use std::sync::Arc;

use backupmx_relay_config::Tenant;
use tokio::time::Instant;
use tracing::error;

use super::{Task, now};
use crate::{
    health::{Backlog, Event, Health, Settings},
    queue::route::Plan,
};

impl Task {
    pub(super) async fn reconfigure(&mut self) {
        let Some(tenant) = self.tools.context.tenant(&self.tenant.name) else { return };
        let suspended = self.tools.shared.suspended.holds(&tenant.domains);
        match Settings::new(&tenant.delivery) {
            Ok(settings) if tenant.primary != self.tenant.primary || self.gains_mail(&tenant) => {
                // Another server, another way to it, or mail that it has never been asked about: nothing that is known
                // holds, and its first words are weighed.
                self.generation += 1;
                self.health = Health::new(settings, Backlog::Held, now(&self.tools.context));
                self.tools.lot.take_session();
                self.take_up(tenant);
                self.step(Event::Tick).await;
            }
            Ok(settings) => {
                self.take_up(tenant);
                self.step(Event::Configured(settings)).await;
            }
            Err(problem) => error!(tenant = %tenant.name, "its new delivery settings can't be used: {problem}"),
        }
        if suspended {
            self.step(Event::Suspend).await;
        }
        self.next_sweep = Instant::now();
    }

    fn take_up(&mut self, tenant: Tenant) {
        self.plan = Arc::new(Plan::new(&self.tools.context, &self.tools.shared, &tenant));
        self.tenant = tenant;
    }

    /// Whether a new config gives this tenant domains for which mail is held.
    fn gains_mail(&self, new: &Tenant) -> bool {
        let mut gained = new.domains.iter().filter(|lane| !self.tenant.domains.contains(lane));
        gained.any(|lane| self.tools.context.spool.lane(lane).messages > 0)
    }
}
