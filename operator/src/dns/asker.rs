//! Asks beside the passes. A pass never waits for DNS: it takes the newest answer that is known, and is called again
//! when there is another.

use std::{
    collections::{BTreeSet, HashMap},
    sync::Arc,
    time::Duration,
};

use backupmx_relay_config::DomainName;
use futures::{Stream, stream};
use k8s_openapi::jiff::Timestamp;
use parking_lot::Mutex;
use tokio::{
    sync::{
        Notify,
        broadcast::{self, error::RecvError},
    },
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{
    lookup::{BalancerSeen, HostSeen, Lookup, MxSeen},
    pace::{self, Pace},
    survey::{Survey, View},
};
use crate::validated::Owner;

/// How many names are asked for at once.
const AT_ONCE: usize = 16;
/// How long all questions about one name may take.
const LIMIT: Duration = Duration::from_secs(60);
/// How long a name is asked for after the last pass that wanted it.
const WANTED: Duration = Duration::from_secs(900);
/// How often in a row a question must fail before the last good answer is no longer told.
const FAILURES: u32 = 2;
/// How many resources may be called again at once; more are called by their next pass.
const CALLS: usize = 1024;

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Topic {
    Mx(DomainName),
    Host(DomainName),
    Balancer(String),
}

/// What was answered.
#[derive(Clone, Debug)]
enum Finding {
    Mx(MxSeen),
    Host(HostSeen),
    Balancer(BalancerSeen),
}

/// What is known of a topic.
#[derive(Debug)]
struct Entry {
    /// The newest answer that is told.
    told: Option<Finding>,
    /// Who wants to know.
    waiters: BTreeSet<Owner>,
    pace: Pace,
    /// When to ask next. None: it is being asked.
    due: Option<Instant>,
    wanted: Instant,
    /// Failures in a row.
    failures: u32,
    /// How often in a row the answer was the same.
    same: u32,
}

/// Asks beside the passes. Clones are one.
#[derive(Clone, Debug)]
pub struct Asker {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    lookup: Lookup,
    table: Mutex<HashMap<Topic, Entry>>,
    wake: Notify,
    news: broadcast::Sender<Owner>,
}

impl Asker {
    /// Asks nothing yet.
    #[must_use]
    pub fn new(lookup: Lookup) -> Self {
        let (news, _) = broadcast::channel(CALLS);
        Self { shared: Arc::new(Shared { lookup, table: Mutex::default(), wake: Notify::new(), news }) }
    }

    /// What DNS says of a domain's MX records. None: no answer is there yet.
    #[must_use]
    pub fn mx(&self, domain: &DomainName, waiter: &Owner) -> Option<MxSeen> {
        match self.know(Topic::Mx(domain.clone()), waiter) {
            Some(Finding::Mx(seen)) => Some(seen),
            Some(Finding::Host(_) | Finding::Balancer(_)) | None => None,
        }
    }

    /// What DNS says of a host name. None: no answer is there yet.
    #[must_use]
    pub fn host(&self, host: &DomainName, waiter: &Owner) -> Option<HostSeen> {
        match self.know(Topic::Host(host.clone()), waiter) {
            Some(Finding::Host(seen)) => Some(seen),
            Some(Finding::Mx(_) | Finding::Balancer(_)) | None => None,
        }
    }

    /// What DNS says of a load balancer's name. None: no answer is there yet.
    #[must_use]
    pub fn balancer(&self, name: &str, waiter: &Owner) -> Option<BalancerSeen> {
        match self.know(Topic::Balancer(name.to_owned()), waiter) {
            Some(Finding::Balancer(seen)) => Some(seen),
            Some(Finding::Mx(_) | Finding::Host(_)) | None => None,
        }
    }

    /// Says what is expected of the next answers that a resource waits for.
    pub fn expect(&self, waiter: &Owner, pace: Pace) {
        let mut wake = false;
        for entry in self.shared.table.lock().values_mut().filter(|entry| entry.waiters.contains(waiter)) {
            // Another resource may wait for it still; asking a little more often does no harm.
            if entry.pace != pace {
                entry.pace = pace;
                entry.same = 0;
                let soon = Instant::now() + pace::wait(pace, 0, None);
                entry.due = entry.due.map(|due| due.min(soon));
                wake = true;
            }
        }
        if wake {
            self.shared.wake.notify_one();
        }
    }

    /// The resources for which there is news, from now on.
    pub fn news(&self) -> impl Stream<Item = Owner> + Send + 'static {
        stream::unfold(self.shared.news.subscribe(), |mut news| async move {
            loop {
                match news.recv().await {
                    Ok(owner) => return Some((owner, news)),
                    // Those that were missed are looked at by their next pass.
                    Err(RecvError::Lagged(_)) => {}
                    Err(RecvError::Closed) => return None,
                }
            }
        })
    }

    /// Asks until it is dropped.
    pub async fn run(&self) {
        let mut asking = JoinSet::new();
        loop {
            while asking.len() < AT_ONCE {
                let Some(topic) = self.next() else { break };
                let shared = self.shared.clone();
                asking.spawn(async move {
                    let found = timeout(LIMIT, shared.lookup.find(&topic)).await;
                    shared.note(&topic, found.unwrap_or_else(|_| Finding::nothing(&topic)));
                });
            }
            let due = self.shared.soonest();
            tokio::select! {
                _ = asking.join_next(), if !asking.is_empty() => {}
                () = sleep_until(due), if asking.len() < AT_ONCE => {}
                () = self.shared.wake.notified() => {}
            }
        }
    }

    fn know(&self, topic: Topic, waiter: &Owner) -> Option<Finding> {
        let now = Instant::now();
        let mut table = self.shared.table.lock();
        let entry = table.entry(topic).or_insert_with(|| {
            self.shared.wake.notify_one();
            Entry {
                told: None,
                waiters: BTreeSet::new(),
                pace: Pace::default(),
                due: Some(now),
                wanted: now,
                failures: 0,
                same: 0,
            }
        });
        entry.wanted = now;
        if !entry.waiters.contains(waiter) {
            entry.waiters.insert(waiter.clone());
        }
        entry.told.clone()
    }

    /// The topic that is most overdue; it counts as being asked from now on.
    fn next(&self) -> Option<Topic> {
        let now = Instant::now();
        let mut table = self.shared.table.lock();
        table.retain(|_, entry| entry.due.is_none() || now.duration_since(entry.wanted) < WANTED);
        let due = table.iter_mut().filter(|(_, entry)| entry.due.is_some_and(|due| due <= now));
        let (topic, entry) = due.min_by_key(|(_, entry)| entry.due)?;
        entry.due = None;
        Some(topic.clone())
    }
}

impl Shared {
    fn soonest(&self) -> Instant {
        let soonest = self.table.lock().values().filter_map(|entry| entry.due).min();
        soonest.unwrap_or_else(|| Instant::now() + WANTED)
    }

    fn note(&self, topic: &Topic, found: Finding) {
        let mut table = self.table.lock();
        let Some(entry) = table.get_mut(topic) else { return };
        let failed = found.failed();
        entry.failures = if failed { entry.failures.saturating_add(1) } else { 0 };
        let hidden = failed && entry.told.is_some() && entry.failures < FAILURES;
        let news = !hidden && !entry.told.as_ref().is_some_and(|told| told.says_the_same(&found));
        entry.same = if news { 0 } else { entry.same.saturating_add(1) };
        let pace = if failed { Pace::Awaited } else { entry.pace };
        let wait = pace::wait(pace, entry.same, found.ttl()).mul_f64(rand::random_range(0.9..1.1));
        entry.due = Some(Instant::now() + wait);
        tracing::debug!(?topic, ?found, news, "DNS says");
        if !hidden {
            entry.told = Some(found);
        }
        let waiters = if news { entry.waiters.clone() } else { BTreeSet::new() };
        drop(table);
        for waiter in waiters {
            // Nobody listens on a standby, and a pass comes anyway.
            let _ = self.news.send(waiter);
        }
    }
}

impl Lookup {
    async fn find(&self, topic: &Topic) -> Finding {
        match topic {
            Topic::Mx(domain) => Finding::Mx(self.mx(domain).await),
            Topic::Host(host) => Finding::Host(self.host(host).await),
            Topic::Balancer(name) => Finding::Balancer(self.balancer(name).await),
        }
    }
}

impl Finding {
    /// What is known when the questions took too long.
    fn nothing(topic: &Topic) -> Self {
        match topic {
            Topic::Mx(_) => Self::Mx(MxSeen::nothing(Timestamp::now())),
            Topic::Host(_) => Self::Host(HostSeen { v4: Survey::nothing(), v6: Survey::nothing() }),
            Topic::Balancer(_) => Self::Balancer(BalancerSeen { addresses: None, ttl: 0 }),
        }
    }

    fn failed(&self) -> bool {
        match self {
            Self::Mx(seen) => seen.survey.view() == View::Failed,
            Self::Host(seen) => seen.host() == super::lookup::Host::Unknown,
            Self::Balancer(seen) => seen.addresses.is_none(),
        }
    }

    fn ttl(&self) -> Option<u32> {
        match self {
            Self::Mx(seen) => seen.survey.ttl,
            Self::Host(seen) => seen.v4.ttl.max(seen.v6.ttl),
            Self::Balancer(seen) => Some(seen.ttl),
        }
    }

    fn says_the_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Mx(one), Self::Mx(other)) => one.says_the_same(other),
            (Self::Host(one), Self::Host(other)) => one.says_the_same(other),
            (Self::Balancer(one), Self::Balancer(other)) => one.addresses == other.addresses,
            (Self::Mx(_) | Self::Host(_) | Self::Balancer(_), _) => false,
        }
    }
}
