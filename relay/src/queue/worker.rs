//! A worker: one session with the primary, and one message after another through it.

use std::sync::{Arc, atomic::Ordering};

use backupmx_relay_config::Host;
use rand::seq::SliceRandom as _;
use tokio::{
    sync::mpsc::Sender,
    time::{Duration, sleep, timeout},
};
use tracing::{debug, error, warn};

use super::{
    Context, Shared,
    answers::{answer, log_answers, outcome, with_wishes},
    circle::circle,
    lot::{Lot, Note},
    probe::{open_failure, to_endpoint},
    route::Route,
    settle::{self, Answer, Circumstances},
    verdicts,
};
use crate::{
    deliver::{self, Capabilities, Fault, Lost, Session, SessionEnd},
    health::{self, EndpointKey, Event, Purpose},
    message::{Envelope, MessageState, Standing},
    schedule::{self, ClockTrust},
    spool::{Claim, Held, ReadError},
};

/// How long a session is kept open when there is no mail.
const LINGER: Duration = Duration::from_secs(5);

/// Where no message is due, the one for a trial is chosen among so many of a lane.
const TRIED_AMONG: usize = 1000;

/// Messages that a trial looks at, at most, until one goes to the primary.
const LOOKED_AT: usize = 10;

/// How long a message is left alone that the disk does not give.
const UNREADABLE_REST: Duration = Duration::from_secs(60);

/// Everything that a worker needs.
#[derive(Clone)]
pub(super) struct Tools {
    pub(super) context: Arc<Context>,
    pub(super) shared: Arc<Shared>,
    pub(super) lot: Arc<Lot>,
    pub(super) notes: Sender<Note>,
}

/// Delivers mail in its turn, as long as the worker of that rank may run and there is mail.
pub(super) async fn work(tools: Tools, rank: u32) {
    let mut line = Line::new(tools.clone(), Purpose::Ordinary);
    while tools.lot.may_work(rank) {
        if !tools.context.spool.can_record() {
            tools.note(Note::CannotRecord).await;
            break;
        }
        let Some(claim) = next_claim(&tools, rank).await else { break };
        if line.deliver(claim).await == Went::Wrong {
            break;
        }
    }
    line.hang_up().await;
}

/// Delivers one message, to find out whether the primary takes mail. Not while its delivery could not be recorded. Where
/// it is not for the primary, or can't be read, the next one takes its place.
pub(super) async fn try_one(tools: Tools, claim: Claim) {
    if !tools.context.spool.can_record() {
        drop(claim);
        tools.note(Note::CannotRecord).await;
        tools.event(Event::TrialPutOff).await;
        return;
    }
    let mut line = Line::new(tools.clone(), Purpose::Trial);
    let mut went = line.deliver(claim).await;
    for _ in 1..LOOKED_AT {
        let (Went::Untried, Some(next)) = (went, to_try(&tools)) else { break };
        went = line.deliver(next).await;
    }
    if went == Went::Untried {
        tools.event(Event::TrialPutOff).await;
    }
    line.hang_up().await;
}

/// The oldest message that is due, else the one that is due soonest: were it always the oldest, one bad message could
/// stand for a bad primary for ever.
pub(super) fn to_try(tools: &Tools) -> Option<Claim> {
    let (spool, route) = (&tools.context.spool, tools.lot.route());
    due_claim(tools).or_else(|| {
        let queued = route.plan.lanes.iter().flat_map(|lane| spool.list(Some(lane), None, TRIED_AMONG));
        let queued = queued.filter(|summary| summary.standing == Standing::Queued && !summary.busy);
        queued.min_by_key(|summary| (summary.due, summary.id)).and_then(|summary| spool.claim_one(summary.id))
    })
}

/// The oldest message that is due.
fn due_claim(tools: &Tools) -> Option<Claim> {
    tools.context.spool.claim(&tools.lot.route().plan.lanes, tools.context.clock.now())
}

/// The next message, waiting a while for one; none where the session should be closed.
async fn next_claim(tools: &Tools, rank: u32) -> Option<Claim> {
    let claim = || due_claim(tools);
    if let Some(claim) = claim() {
        return Some(claim);
    }
    let news = tools.lot.news.notified();
    tokio::pin!(news);
    // Listening before looking: mail that comes in between is not slept through.
    news.as_mut().enable();
    if let Some(claim) = claim() {
        return Some(claim);
    }
    tools.lot.idle.fetch_add(1, Ordering::Relaxed);
    let woken = timeout(LINGER, news).await;
    tools.lot.idle.fetch_sub(1, Ordering::Relaxed);
    if woken.is_err() || !tools.lot.may_work(rank) {
        return None;
    }
    claim()
}

impl Tools {
    async fn note(&self, note: Note) {
        // The task is gone only when the program leaves.
        let _ = self.notes.send(note).await;
    }

    async fn event(&self, event: Event) {
        self.note(Note::Event(event)).await;
    }
}

/// Whether a worker goes on after a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Went {
    /// The next one may follow.
    On,
    /// The next one may follow: this one was not for the primary, or can't be read.
    Untried,
    /// The primary could not be reached or the session was lost: the task decides.
    Wrong,
}

/// An open session for the next message.
struct Connection {
    endpoint: EndpointKey,
    session: Session,
    age: Age,
}

/// Whether a session may have been closed while it was idle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Age {
    New,
    Kept,
}

/// A worker's line to the primary: a session, or none yet.
struct Line {
    tools: Tools,
    purpose: Purpose,
    session: Option<(EndpointKey, Session)>,
}

impl Line {
    const fn new(tools: Tools, purpose: Purpose) -> Self {
        Self { tools, purpose, session: None }
    }

    async fn hang_up(&mut self) {
        if let Some((_, session)) = self.session.take() {
            session.quit().await;
        }
    }

    /// Delivers one message. The claim goes on to whoever records the outcome; dropped, the message is as before.
    async fn deliver(&mut self, claim: Claim) -> Went {
        let id = claim.id();
        let Held { envelope, state, content } = match self.tools.context.spool.fetch(id).await {
            Ok(held) => held,
            Err(problem) => return unread(claim, &problem),
        };
        let route = self.tools.lot.route();
        let ours = |position: &usize| {
            envelope
                .recipients
                .get(*position)
                .is_some_and(|recipient| route.plan.lanes.contains(recipient.path.domain()))
        };
        let recipients: Vec<usize> = state.pending().filter(ours).collect();
        if recipients.is_empty() {
            // Nobody is left to deliver to: what is left to decide is what its sender is told.
            verdicts::conclude(&self.tools, claim, envelope, state, Vec::new()).await;
            return Went::Untried;
        }
        if let Some(why) = circle(&self.tools.context, &route.plan, id, &envelope, &content) {
            warn!(id = %id, tenant = %self.tools.lot.tenant, why = %why, "loop: it is held");
            let answers: Vec<_> = recipients.iter().map(|position| (*position, Answer::Circle(why.clone()))).collect();
            self.settle(claim, envelope, state, &answers, None).await;
            return Went::Untried;
        }
        let mut content = Some(content);
        loop {
            let Some(Connection { endpoint, mut session, age }) = self.connect(&route).await else {
                return Went::Wrong;
            };
            let trace = deliver::trace(&envelope, &state.observed, id, &route.plan.settings.helo);
            // A second session after a stale one needs the content from its start.
            let content = match content.take() {
                Some(content) => content,
                None => match self.tools.context.spool.fetch(id).await {
                    Ok(held) => held.content,
                    Err(problem) => return unread(claim, &problem),
                },
            };
            let transaction = session.send(&envelope, &recipients, content, &trace).await;
            if age == Age::Kept && transaction.ended_idle() {
                // The server closed the idle connection: no news of the primary, and nothing was handed over.
                debug!(endpoint = %endpoint, "an idle session had been closed; another is opened");
                continue;
            }
            if let SessionEnd::Lost(Lost { fault: Fault::Content(problem), .. }) = transaction.ended {
                // Our own disk, and no news of the primary.
                return unread(claim, &ReadError::Unreadable { id, problem });
            }
            self.tools.report(&endpoint, self.purpose, &envelope, &transaction).await;
            let open = transaction.ended == SessionEnd::Open;
            self.record(claim, envelope, state, &endpoint, transaction, session.capabilities()).await;
            if !open {
                return Went::Wrong;
            }
            self.session = Some((endpoint, session));
            return Went::On;
        }
    }

    /// An open session: the one in hand, one that a probe left, or a new one. None where no endpoint lets us in.
    async fn connect(&mut self, route: &Route) -> Option<Connection> {
        if let Some((endpoint, session)) = self.session.take().or_else(|| self.tools.lot.take_session())
            && session.is_open()
        {
            if route.prefers(&endpoint) {
                return Some(Connection { endpoint, session, age: Age::Kept });
            }
            // A better one answers by now.
            session.quit().await;
        }
        for listed in shuffled(&route.endpoints) {
            match Session::open(&to_endpoint(&listed.key), &route.plan.settings).await {
                Ok(session) => {
                    self.tools.note(Note::Offers(session.capabilities().clone())).await;
                    self.tools.event(Event::Opened(listed.key.clone())).await;
                    return Some(Connection { endpoint: listed.key, session, age: Age::New });
                }
                Err(problem) => {
                    let event = Event::OpenFailed {
                        endpoint: listed.key,
                        failure: open_failure(&problem),
                        others: self.tools.lot.others(),
                    };
                    self.tools.event(event).await;
                }
            }
        }
        None
    }

    /// Works out what the answers make of the message, and has it recorded while the next one is on its way.
    async fn record(
        &self,
        claim: Claim,
        envelope: Envelope,
        state: MessageState,
        endpoint: &EndpointKey,
        transaction: deliver::Transaction,
        offered: &Capabilities,
    ) {
        let ours = self.tools.lot.route().plan.settings.helo.clone();
        let outcomes = transaction.outcomes.into_iter();
        let answers = outcomes.map(|(position, outcome)| (position, answer(outcome, &ours))).collect::<Vec<_>>();
        let answers = with_wishes(answers, &envelope, offered);
        log_answers(&self.tools, claim.id(), &envelope, endpoint, &answers);
        let remote = match &endpoint.host {
            Some(name) => Host::Name(name.clone()),
            None => Host::Address(endpoint.address.ip()),
        };
        self.settle(claim, envelope, state, &answers, Some(remote)).await;
    }

    async fn settle(
        &self,
        claim: Claim,
        envelope: Envelope,
        state: MessageState,
        answers: &[(usize, Answer)],
        remote: Option<Host>,
    ) {
        // As things stand now: the primary's state may have changed while it was answering.
        let route = self.tools.lot.route();
        // The moment first: a clock that jumps between the two is found out, and nothing expires by it.
        let now = self.tools.context.clock.now();
        let believed = self.tools.shared.clock.trust() == ClockTrust::Believed;
        let circumstances = Circumstances {
            now,
            deadline: schedule::deadline(envelope.arrived, &route.plan.hold),
            on_permanent: route.on_permanent,
            may_expire: route.may_expire && believed,
        };
        let settled = settle::settle(state, answers, circumstances);
        verdicts::record(&self.tools, claim, envelope, settled, remote).await;
    }
}

/// A message that could not be read. One that the disk does not give now is left alone for a while, claimed: the oldest
/// message is always the next, and others are to have their turn.
fn unread(claim: Claim, problem: &ReadError) -> Went {
    let id = claim.id();
    match problem {
        ReadError::Unknown(_) => {}
        ReadError::Damaged { .. } => error!(id = %id, "a held message was set aside: {problem}"),
        ReadError::Unreadable { .. } => {
            error!(id = %id, "a held message is tried again in a minute: {problem}");
            tokio::spawn(async move {
                sleep(UNREADABLE_REST).await;
                drop(claim);
            });
        }
    }
    Went::Untried
}

impl Tools {
    /// Tells the state machine what a transaction says of the primary.
    async fn report(
        &self,
        endpoint: &EndpointKey,
        purpose: Purpose,
        envelope: &Envelope,
        transaction: &deliver::Transaction,
    ) {
        let event = match &transaction.ended {
            SessionEnd::Lost(lost) => {
                Event::SessionLost { endpoint: endpoint.clone(), detail: lost.to_string(), purpose }
            }
            SessionEnd::Closing(reply) => Event::ServiceClosing {
                endpoint: endpoint.clone(),
                detail: reply.to_string(),
                others: self.lot.others(),
                purpose,
            },
            SessionEnd::Open => Event::Outcome(outcome(endpoint, purpose, envelope, transaction)),
        };
        // What was accepted or refused counts even where the session ended badly afterwards.
        let ended = transaction.ended != SessionEnd::Open;
        let verdicts = outcome(endpoint, purpose, envelope, transaction);
        let judged =
            [&verdicts.accepted, &verdicts.refused, &verdicts.refused_content].iter().any(|list| !list.is_empty());
        if ended && judged {
            self.event(Event::Outcome(health::Outcome { transient: None, ..verdicts })).await;
        }
        self.event(event).await;
    }
}

/// Endpoints, lowest preference first and at random within one (RFC 5321 5.1).
fn shuffled(endpoints: &[health::Listed]) -> Vec<health::Listed> {
    let mut endpoints = endpoints.to_vec();
    endpoints.shuffle(&mut rand::rng());
    endpoints.sort_by_key(|listed| listed.preference);
    endpoints
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn hosts_are_tried_by_preference_and_at_random_within_one() {
        let listed = |number: u8, preference| health::Listed {
            key: EndpointKey { host: None, address: ([192, 0, 2, number], 25).into() },
            preference,
        };
        let endpoints = [listed(1, 20), listed(2, 10), listed(3, 10), listed(4, 30)];
        let orders: HashSet<Vec<u8>> = (0..200)
            .map(|_| {
                let order = shuffled(&endpoints);
                order.iter().map(|listed| endpoints.iter().position(|one| one == listed).unwrap() as u8 + 1).collect()
            })
            .collect();
        assert_eq!(orders, HashSet::from([vec![2, 3, 1, 4], vec![3, 2, 1, 4]]));
    }
}
