//! What DNS says of a client, looked up after its message was taken: its name in reverse DNS and its SPF result.
//!
//! Nobody waits for any of this. A session that has stored a message leaves a [`Subject`] in a bounded queue and answers
//! its 250; where the queue is full the subject is dropped and counted. A bounded number of look-ups, each within a
//! time, work the queue off; what they bring is kept with the message by [`Spool::observe`], and written to the disk
//! with whatever is written next. A DNS server that does not answer brings nothing, and nothing is recorded: SPF is
//! asked again when a report is due.

mod lookup;
#[cfg(test)]
mod tests;

use std::{net::IpAddr, sync::Arc, time::Duration};

use tokio::{
    sync::mpsc,
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    active::SharedConfig,
    clock::Clock,
    message::{Envelope, MessageId, Observed, Origin, SpfIdentity},
    metrics::Metrics,
    resolve::{SharedResolver, may_reach},
    smtp::ReversePath,
    spool::Spool,
};

use lookup::{Answers, Silence};

/// Subjects that wait for their look-up, at most; one more is dropped.
const WAITING: usize = 1000;

/// Look-ups at once.
const AT_ONCE: usize = 32;

/// How often what was found out is written to the disk.
const WRITE: Duration = Duration::from_millis(500);

/// Whom to ask about: what the look-ups need of an envelope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    client: IpAddr,
    helo: String,
    sender: ReversePath,
    recipients: usize,
}

/// The sessions' end: takes subjects and never waits.
#[derive(Debug)]
pub struct Observer {
    config: SharedConfig,
    metrics: Arc<Metrics>,
    queue: mpsc::Sender<(MessageId, Subject)>,
}

/// The other end of an [`Observer`].
#[derive(Debug)]
pub struct Inbox(mpsc::Receiver<(MessageId, Subject)>);

/// What the look-ups work with.
#[derive(Debug)]
pub struct Context {
    /// The config in force.
    pub config: SharedConfig,
    /// Where what is found out is kept.
    pub spool: Arc<Spool>,
    /// Who is asked: a resolver of its own, so that strangers' names do not push the primaries' out of its cache.
    pub resolver: Arc<SharedResolver>,
    /// The counters.
    pub metrics: Arc<Metrics>,
    /// The clocks.
    pub clock: Clock,
}

/// What became of a subject, for the counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// Something was found out, and is kept.
    Recorded,
    /// DNS did not answer any of it.
    Unanswered,
    /// The message had left before.
    Late,
    /// There was no room in the queue, or for what was found out.
    Dropped,
}

impl Fate {
    const fn word(self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Unanswered => "unanswered",
            Self::Late => "late",
            Self::Dropped => "dropped",
        }
    }

    fn count(self, metrics: &Metrics) {
        metrics.observations.with_label_values(&[self.word()]).inc();
    }
}

/// Both ends of a queue.
#[must_use]
pub fn observer(config: SharedConfig, metrics: Arc<Metrics>) -> (Observer, Inbox) {
    let (queue, inbox) = mpsc::channel(WAITING);
    (Observer { config, metrics, queue }, Inbox(inbox))
}

impl Inbox {
    /// What came first, if anything has.
    #[cfg(test)]
    pub(crate) fn next(&mut self) -> Option<(MessageId, Subject)> {
        self.0.try_recv().ok()
    }
}

impl Observer {
    /// What is to be asked about a message; none for our own reports, and for clients at loopback, private and other
    /// addresses that are not of the public Internet: public DNS knows nothing of them, and their names would be told to
    /// strangers' servers. Networks in `resolver.allowPrivate` are taken for public ones.
    #[must_use]
    pub fn subject(&self, envelope: &Envelope) -> Option<Subject> {
        let Origin::Client(client) = &envelope.origin else { return None };
        let address = client.address.to_canonical();
        if !may_reach(address, &self.config.load().config.resolver.allow_private) {
            return None;
        }
        Some(Subject {
            client: address,
            helo: client.helo.clone(),
            sender: envelope.sender.clone(),
            recipients: envelope.recipients.len(),
        })
    }

    /// Has a stored message looked into, some time.
    pub fn notice(&self, id: MessageId, subject: Subject) {
        if self.queue.try_send((id, subject)).is_err() {
            Fate::Dropped.count(&self.metrics);
        }
    }
}

/// Looks into what comes, until `leaving`; what was found out by then is written.
pub async fn run(mut inbox: Inbox, context: Context, leaving: CancellationToken) {
    let context = Arc::new(context);
    let silence = Arc::new(Silence::default());
    let mut at_work = JoinSet::new();
    let mut write = interval(WRITE);
    write.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = leaving.cancelled() => break,
            Some(ended) = at_work.join_next() => {
                if let Err(error) = ended {
                    tracing::error!(%error, "a look-up failed");
                }
            }
            next = inbox.0.recv(), if at_work.len() < AT_ONCE => match next {
                Some((id, subject)) => {
                    let (context, silence) = (Arc::clone(&context), Arc::clone(&silence));
                    at_work.spawn(async move { look_into(&context, &silence, id, &subject).await.count(&context.metrics) });
                }
                None => break,
            },
            _ = write.tick() => context.spool.record_observed().await,
        }
    }
    at_work.shutdown().await;
    context.spool.record_observed().await;
}

async fn look_into(context: &Context, silence: &Silence, id: MessageId, subject: &Subject) -> Fate {
    // A primary that is up has mostly taken it by now.
    if !context.spool.is_held(id) {
        return Fate::Late;
    }
    let answers = Answers {
        resolver: context.resolver.current(),
        silence,
        hostname: context.config.load().config.hostname.clone(),
        clock: context.clock,
    };
    let identity = SpfIdentity::of(&subject.sender, &subject.helo);
    let (reverse, spf) = tokio::join!(answers.reverse(subject.client), async {
        match identity {
            Some(identity) => answers.spf(subject.client, &identity, &subject.helo, &subject.sender).await,
            None => None,
        }
    });
    let observed = Observed { reverse, spf };
    if observed.is_empty() {
        return Fate::Unanswered;
    }
    tracing::debug!(%id, client = %subject.client, ?observed, "client looked up");
    match context.spool.observe(id, subject.recipients, observed) {
        Ok(()) => Fate::Recorded,
        Err(crate::spool::NotObserved::Gone) => Fate::Late,
        Err(crate::spool::NotObserved::Crowded) => Fate::Dropped,
    }
}
