//! One pass over a lane: its reports are sent one after the other, over one session where they go the same way.

use std::{slice, sync::Arc, time::Duration};

use backupmx_relay_config::{DomainName, PrimaryTlsMode};
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    lanes::Pause,
    rest::{Failed, Rate, Routes},
    route::Route,
    settle::{Step, Time, settle},
    targets::{Nowhere, targets},
};
use crate::{
    active::Active,
    clock::{Moment, Timestamp},
    deliver::{ClientTls, Hurry, OpenError, Quirks, Session, SessionEnd, Settings, Timeouts, Transaction},
    message::{Envelope, MessageId, MessageState, Origin, Standing},
    schedule::ClockTrust,
    spool::{Change, Claim, Held, Maker, Then},
};

/// Reports sent in one pass; then other lanes have their turn.
const REPORTS: usize = 50;
/// Messages that are looked at in one step where reports are searched for among other mail.
const PAGE: usize = 256;
/// Messages that a pass sets aside before it gives up looking for one that it can send.
const ASIDE: usize = 1000;
/// How long a lane is left alone that holds nothing but mail of tenants that are gone.
const ORPHANS: Duration = Duration::from_secs(60);
/// How long a lane is left alone when the spool cannot record what would be delivered.
const FULL: Duration = Duration::from_secs(10);

/// What every pass works with.
#[derive(Debug)]
pub(super) struct Runner {
    pub(super) context: Context,
    pub(super) client_tls: Arc<ClientTls>,
    pub(super) quirks: Arc<Quirks>,
    pub(super) routes: Routes,
    pub(super) leaving: CancellationToken,
}

/// A report that is to be sent.
struct Report {
    id: MessageId,
    /// The message that it reports on.
    parent: MessageId,
    /// Whose mail that was.
    tenant: String,
    envelope: Envelope,
    state: MessageState,
    route: Route,
    give_up_at: Timestamp,
}

/// How a pass finds the next report.
#[derive(Clone, Copy, Debug)]
enum Search {
    /// The lane holds nothing but reports: the first one that is ready.
    First,
    /// There is mail of tenants that are gone, however much: the first report that is ready after this message.
    After(Option<MessageId>),
}

/// What one pass has at hand.
struct Pass<'a> {
    runner: &'a Runner,
    domain: &'a DomainName,
    search: Search,
    session: Option<(Route, Session)>,
    /// Claims that are kept so that the same message does not come up again in this pass.
    aside: Vec<Claim>,
    /// When the first of those may be tried.
    until: Option<Moment>,
}

impl Runner {
    /// Sends what is ready in a lane. Returns how long to leave it alone.
    pub(super) async fn pass(&self, domain: &DomainName, mut rate: Rate) -> (Pause, Rate) {
        let lane = self.context.spool.lane(domain);
        let search = if lane.reports < lane.messages { Search::After(None) } else { Search::First };
        let mut pass = Pass { runner: self, domain, search, session: None, aside: Vec::new(), until: None };
        let mut sent = 0;
        while sent < REPORTS && pass.aside.len() < ASIDE && !self.leaving.is_cancelled() {
            let now = self.context.clock.moment();
            if !self.context.spool.can_record() {
                pass.rest(now + FULL);
                break;
            }
            let Some(claim) = pass.next().await else {
                break;
            };
            let active = self.context.config.load_full();
            let Some(report) = pass.look(&active, claim.id()) else {
                pass.set_aside(claim, now + ORPHANS);
                continue;
            };
            if let Some(failed) = self.routes.resting(&report.route, now) {
                pass.wait(claim, &report, failed).await;
                continue;
            }
            if let Err(wait) = rate.take(active.config.reports.per_domain_per_minute, now) {
                pass.rest(now + wait);
                break;
            }
            sent += 1;
            pass.deliver(claim, report, &active).await;
        }
        if let Some((_, session)) = pass.session.take() {
            session.quit().await;
        }
        let now = self.context.clock.moment();
        (pass.until.map_or(Pause::None, |until| Pause::For(until.since(now))), rate)
    }
}

impl Pass<'_> {
    /// Claims the next message: the next report, as far as the spool can tell.
    async fn next(&mut self) -> Option<Claim> {
        let Context { spool, clock, .. } = &self.runner.context;
        let Search::After(mut after) = self.search else {
            return spool.claim(slice::from_ref(self.domain), clock.now());
        };
        loop {
            let page = spool.list(Some(self.domain), after, PAGE);
            let now = clock.now();
            for message in &page {
                if message.maker == Maker::Ourselves
                    && message.standing == Standing::Queued
                    && message.due.is_none_or(|due| due <= now)
                    && let Some(claim) = spool.claim_one(message.id)
                {
                    self.search = Search::After(Some(message.id));
                    return Some(claim);
                }
            }
            let Some(last) = page.last() else { break };
            after = Some(last.id);
            tokio::task::yield_now().await;
        }
        // The lane counts as ready for ever: the other mail in it is.
        self.search = Search::After(after);
        let until = clock.moment() + ORPHANS;
        self.rest(until);
        None
    }

    /// Reads what is needed to decide; none where the message is not a report, or cannot be read.
    fn look(&self, active: &Active, id: MessageId) -> Option<Report> {
        let (envelope, state) = match self.runner.context.spool.peek(id) {
            Ok(found) => found,
            Err(problem) => {
                tracing::error!(%id, %problem, "a report cannot be read");
                return None;
            }
        };
        let Origin::Report { parent, tenant } = envelope.origin.clone() else { return None };
        let route = Route::choose(&active.config, &tenant, self.domain);
        let give_up_at = envelope.arrived + active.config.reports.give_up_after.as_duration();
        Some(Report { id, parent, tenant, envelope, state, route, give_up_at })
    }

    fn rest(&mut self, until: Moment) {
        self.until = Some(self.until.map_or(until, |earlier| earlier.min(until)));
    }

    fn set_aside(&mut self, claim: Claim, until: Moment) {
        self.rest(until);
        self.aside.push(claim);
    }

    /// The report's destination rests: a try that failed after its time was over was its last one.
    async fn wait(&mut self, claim: Claim, report: &Report, failed: Failed) {
        if self.time_of(report, failed.at) == Time::Over {
            self.give_up(claim, report, &format!("its time is over; {}", failed.problem)).await;
        } else {
            self.set_aside(claim, failed.until);
        }
    }

    async fn deliver(&mut self, claim: Claim, report: Report, active: &Active) {
        let transaction = match self.attempt(&report, active).await {
            Ok(transaction) => transaction,
            Err(Nowhere::Ever(why)) => return self.give_up(claim, &report, &why).await,
            Err(Nowhere::Now(problem)) => {
                let failed = self.failed(&report.route, problem);
                return self.wait(claim, &report, failed).await;
            }
        };
        let now = self.runner.context.clock.now();
        let settled = settle(&report.state, &transaction.outcomes, now, self.time_of(&report, now));
        let metrics = &self.runner.context.metrics;
        for (counter, count) in [
            (&metrics.delivered, settled.delivered),
            (&metrics.rejected, settled.refused),
            (&metrics.deferred, settled.deferred),
        ] {
            counter.with_label_values(&["report"]).inc_by(count);
        }
        match settled.broken {
            Some(problem) => {
                self.failed(&report.route, problem);
            }
            None => self.runner.routes.works(&report.route),
        }
        match settled.then {
            Step::Delivered => {
                let waited = now.since(report.envelope.arrived).as_secs_f64();
                if self.record(claim, &report, Then::Done).await {
                    metrics.queue_seconds.with_label_values(&["report"]).observe(waited);
                    tracing::info!(id = %report.id, domain = %self.domain, route = %report.route, "report delivered");
                }
            }
            Step::GivenUp(why) => self.give_up(claim, &report, &why).await,
            Step::Again(state) => {
                let due = state.due.map(Timestamp::rfc3339);
                if self.record(claim, &report, Then::Keep(state)).await {
                    tracing::info!(id = %report.id, domain = %self.domain, due, "report deferred");
                }
            }
            Step::Nothing => {
                let until = self.runner.context.clock.moment() + ORPHANS;
                self.set_aside(claim, until);
            }
        }
    }

    /// Whether a report's time was over at that moment. By a clock that is not believed nothing ends.
    fn time_of(&self, report: &Report, moment: Timestamp) -> Time {
        let believed = self.runner.context.trust.trust() == ClockTrust::Believed;
        if believed && moment >= report.give_up_at { Time::Over } else { Time::Left }
    }

    fn failed(&self, route: &Route, problem: String) -> Failed {
        let clock = self.runner.context.clock;
        tracing::info!(%route, problem, "reports cannot be handed over");
        self.runner.routes.failed(route, problem, clock.now(), clock.moment())
    }

    /// Sends a report, over the open session where there is one for its route. A session that turns out to have ended
    /// while it was idle is replaced once.
    async fn attempt(&mut self, report: &Report, active: &Active) -> Result<Transaction, Nowhere> {
        let recipients: Vec<usize> = report
            .state
            .pending()
            .filter(|position| {
                report
                    .envelope
                    .recipients
                    .get(*position)
                    .is_some_and(|recipient| recipient.path.domain() == self.domain)
            })
            .collect();
        loop {
            let reused = self.session.as_ref().filter(|(route, session)| *route == report.route && session.is_open());
            let was_used = reused.is_some();
            let mut session = match self.session.take() {
                Some((_, session)) if was_used => session,
                other => {
                    if let Some((_, session)) = other {
                        session.quit().await;
                    }
                    self.open(&report.route, active).await?
                }
            };
            let Held { content, .. } = self
                .runner
                .context
                .spool
                .read(report.id)
                .map_err(|problem| Nowhere::Now(format!("failed to read the report: {problem}")))?;
            let transaction = session.send(&report.envelope, &recipients, content, b"").await;
            if was_used && transaction.ended_idle() {
                continue;
            }
            if transaction.ended == SessionEnd::Open {
                self.session = Some((report.route.clone(), session));
            }
            return Ok(transaction);
        }
    }

    /// Opens a session with the first server of a route that takes us.
    async fn open(&self, route: &Route, active: &Active) -> Result<Session, Nowhere> {
        let resolver = self.runner.context.resolver.current();
        let settings = Settings {
            helo: active.config.hostname.clone(),
            tls: PrimaryTlsMode::Opportunistic,
            timeouts: Timeouts::from(&active.config.timeouts).for_probe(),
            client_tls: Arc::clone(&self.runner.client_tls),
            quirks: Arc::clone(&self.runner.quirks),
            hurry: Hurry::default(),
        };
        let mut ourselves = None;
        let mut failed = None;
        for endpoint in targets(&resolver, &active.config, route).await? {
            match Session::open(&endpoint, &settings).await {
                Ok(session) => return Ok(session),
                Err(error @ OpenError::Ourselves { .. }) => ourselves = Some(format!("{endpoint}: {error}")),
                Err(error) => failed = Some(format!("{endpoint}: {error}")),
            }
        }
        // A smarthost that is ourselves is a mistake in the config, and is going to be mended.
        match (failed, ourselves) {
            (None, Some(loops)) if matches!(route, Route::Exchangers(_)) => Err(Nowhere::Ever(loops)),
            (Some(problem), _) | (None, Some(problem)) => Err(Nowhere::Now(problem)),
            (None, None) => Err(Nowhere::Now(format!("{route} has no address"))),
        }
    }

    /// Removes a report that nobody will ever have.
    async fn give_up(&mut self, claim: Claim, report: &Report, why: &str) {
        if self.record(claim, report, Then::Done).await {
            let reader = report.envelope.recipients.first().map(|recipient| recipient.path.as_str());
            tracing::warn!(
                id = %report.id, parent = %report.parent, tenant = report.tenant, reader, domain = %self.domain,
                route = %report.route, why, "report given up; its reader is not told"
            );
            self.runner.context.metrics.removed.with_label_values(&["report_undeliverable"]).inc();
        }
    }

    /// Makes a step durable. Where that fails the report is still there, and is tried again after a while.
    async fn record(&mut self, claim: Claim, report: &Report, then: Then) -> bool {
        let change = Change { id: report.id, then, reports: Vec::new() };
        match self.runner.context.spool.commit(change).await {
            Ok(_) => true,
            Err(problem) => {
                tracing::error!(id = %report.id, %problem, "what became of a report cannot be recorded");
                let until = self.runner.context.clock.moment() + FULL;
                self.set_aside(claim, until);
                false
            }
        }
    }
}
