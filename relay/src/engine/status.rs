//! What the relay says of itself, put together from the spool and the board.

use std::{collections::BTreeSet, sync::atomic::Ordering, time::Instant};

use backupmx_relay_config::{
    CONTRACT_VERSION, DomainName, Tenant,
    status::{Accepting, PrimaryState, PrimaryStatus, QueueStatus, RelayStatus, StorageStatus, TenantStatus},
};

use super::{Engine, outline};
use crate::{
    board::Withheld,
    clock::Timestamp,
    spool::{LaneStatus, Usage},
};

pub(super) fn status(engine: &Engine) -> RelayStatus {
    // The order counts: a message is in flight before it is held, so what is held is read last (see `in_flight`).
    let active = engine.config.load();
    let config = &active.config;
    let in_flight = engine.in_flight.tally(config.tenants.len(), |domain| active.directory.tenant_of(domain));
    let usage = engine.spool.usage();
    let mut all = Sum::default();
    let mut orphaned = Sum::default();
    let mut reports = Sum::default();
    let mut tenants = vec![Sum::default(); config.tenants.len()];
    // Each message once, and once with each tenant that it waits for.
    for (domains, part) in engine.spool.parts() {
        let owners: BTreeSet<Option<usize>> = domains.iter().map(|domain| active.directory.tenant_of(domain)).collect();
        let mut held = false;
        for owner in owners {
            let for_a_person =
                withheld(engine, owner.map(|position| &config.tenants[position])) == Withheld::ForAPerson;
            held |= for_a_person;
            let part = part.counted(for_a_person);
            match owner {
                Some(position) => tenants[position].add(&part),
                None if part.reports == part.messages => reports.add(&part),
                None => orphaned.add(&part),
            }
        }
        all.add(&part.counted(held));
    }
    let mut status = RelayStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        generation: None,
        contract_version: CONTRACT_VERSION,
        config_revision: config.revision,
        config_kept: engine.keeper.revision(config),
        config_error: engine.offers.lock().refusal(Instant::now()).map(str::to_owned),
        hostname: config.hostname.to_string(),
        started: engine.started.rfc3339(),
        listeners: engine.listeners.clone(),
        accepting: accepting(engine, &usage),
        queue: all.status(),
        in_flight: Some(in_flight.all),
        storage: StorageStatus {
            used: usage.used,
            available: usage.available,
            size: usage.size,
            quarantined: usage.quarantined,
        },
        tenants: config
            .tenants
            .iter()
            .zip(tenants.iter().zip(in_flight.tenants))
            .map(|(tenant, (sum, in_flight))| tenant_status(engine, tenant, sum, in_flight))
            .collect(),
        orphaned: orphaned.status(),
        reports: reports.status(),
        clock_jumped: engine.queue.clock_jumped(),
        discards_domains: true,
    };
    status.generation = Some(outline::generation(&status, config, engine.clock.now()));
    status
}

fn accepting(engine: &Engine, usage: &Usage) -> Accepting {
    if engine.leaving.load(Ordering::Relaxed) {
        Accepting::ShuttingDown
    } else if usage.available == 0 {
        Accepting::StorageFull
    } else {
        Accepting::Yes
    }
}

impl LaneStatus {
    /// As it counts where the withheld mail waits for a person, or does not.
    fn counted(&self, withheld_is_held: bool) -> Self {
        let held = self.held + if withheld_is_held { self.withheld } else { 0 };
        Self { held, ..self.clone() }
    }
}

/// What the withheld mail of a lane waits for. Mail that is nobody's is not tried.
fn withheld(engine: &Engine, tenant: Option<&Tenant>) -> Withheld {
    let Some(tenant) = tenant else { return Withheld::ForAPerson };
    engine.board.view(&tenant.name).map(|view| view.withheld).unwrap_or_default()
}

fn tenant_status(engine: &Engine, tenant: &Tenant, sum: &Sum, in_flight: u64) -> TenantStatus {
    let view = engine.board.view(&tenant.name);
    let suspended = view.as_ref().is_some_and(|view| view.suspended);
    TenantStatus {
        name: tenant.name.clone(),
        domains: tenant.domains.iter().map(DomainName::to_string).collect(),
        primary: view.map_or_else(
            || PrimaryStatus {
                state: PrimaryState::Unknown,
                since: engine.started.rfc3339(),
                next_probe: None,
                last_error: None,
                reject_storm: false,
                looping: false,
            },
            |view| view.status,
        ),
        queue: sum.status(),
        in_flight: Some(in_flight),
        suspended,
    }
}

fn earliest(one: Option<Timestamp>, other: Option<Timestamp>) -> Option<Timestamp> {
    [one, other].into_iter().flatten().min()
}

/// Several lanes together.
#[derive(Clone, Default)]
struct Sum {
    lane: LaneStatus,
}

impl Sum {
    fn add(&mut self, lane: &LaneStatus) {
        self.lane.messages += lane.messages;
        self.lane.bytes += lane.bytes;
        self.lane.held += lane.held;
        self.lane.parked += lane.parked;
        self.lane.oldest = earliest(self.lane.oldest, lane.oldest);
        self.lane.oldest_waiting = earliest(self.lane.oldest_waiting, lane.oldest_waiting);
    }

    fn status(&self) -> QueueStatus {
        QueueStatus {
            messages: self.lane.messages,
            bytes: self.lane.bytes,
            held: self.lane.held,
            parked: self.lane.parked,
            oldest_message_time: self.lane.oldest.map(Timestamp::rfc3339),
            oldest_waiting_time: self.lane.oldest_waiting.map(Timestamp::rfc3339),
        }
    }
}
