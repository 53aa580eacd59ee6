//! A primary that comes and goes, and a small queue that does what it is told.

use std::{collections::BTreeMap, time::Duration};

use backupmx_relay_config::{Delivery, Retry, status::PrimaryState};

use super::{super::*, bench::key, bench::listed};
use crate::{
    clock::{Moment, Timestamp},
    schedule::{Jitter, message_due},
};

/// How the primary behaves for a while.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// It takes everything.
    Well,
    /// Nothing listens.
    Refuses,
    /// Nothing listens at its first address.
    HalfDead,
    /// Its name has no address.
    NoName,
    /// 421 at the greeting.
    Busy,
    /// 451 4.3.0 to every message.
    StoreDead,
    /// 550 to every recipient.
    RejectsAll,
    /// 554 after every content.
    RejectsContent,
    /// Every transaction is cut off.
    Drops,
}

pub(super) const MOODS: [Mood; 9] = [
    Mood::Well,
    Mood::Refuses,
    Mood::HalfDead,
    Mood::NoName,
    Mood::Busy,
    Mood::StoreDead,
    Mood::RejectsAll,
    Mood::RejectsContent,
    Mood::Drops,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lot {
    Queued { due: u64 },
    Busy,
    Withheld,
    Delivered,
    Bounced,
}

#[derive(Clone, Debug)]
enum Coming {
    Arrival(usize),
    LookedUp,
    Probed(EndpointKey),
    /// A session was refused at the start.
    NotOpened(usize, EndpointKey),
    Answered(usize, EndpointKey, Purpose),
}

/// All times in milliseconds.
pub(super) struct World {
    pub(super) health: Health,
    now: u64,
    /// Moods and the times at which they end; the last one never does.
    moods: Vec<(Mood, u64)>,
    coming: BTreeMap<(u64, u64), Coming>,
    sequence: u64,
    pub(super) mail: Vec<Lot>,
    attempts: Vec<u32>,
    /// When the primary was last tried in any way.
    last_try: u64,
    /// The longest time without a try while it was down.
    pub(super) longest_rest: u64,
    pub(super) steps: u64,
}

pub(super) const SECOND: u64 = 1000;

/// How long a probe takes.
pub(super) const PROBE: u64 = 300;

impl World {
    pub(super) fn new(retry: Retry, moods: Vec<(Mood, u64)>, arrivals: &[u64], held: usize) -> Self {
        let delivery = Delivery { retry, ..Delivery::default() };
        let backlog = if held > 0 { Backlog::Held } else { Backlog::Empty };
        let mut world = Self {
            health: Health::new(Settings::new(&delivery).unwrap(), backlog, now_at(0)),
            now: 0,
            moods,
            coming: BTreeMap::new(),
            sequence: 0,
            mail: vec![Lot::Queued { due: 0 }; held],
            attempts: vec![0; held + arrivals.len()],
            last_try: 0,
            longest_rest: 0,
            steps: 0,
        };
        for (number, arrival) in arrivals.iter().enumerate() {
            world.mail.push(Lot::Delivered);
            world.plan(*arrival, Coming::Arrival(held + number));
        }
        world
    }

    fn mood(&self) -> Mood {
        self.moods.iter().find(|(_, end)| self.now < *end).or(self.moods.last()).unwrap().0
    }

    fn plan(&mut self, after: u64, coming: Coming) {
        self.sequence += 1;
        self.coming.insert((self.now + after, self.sequence), coming);
    }

    pub(super) fn run(&mut self, until: u64) {
        self.send(Event::Tick);
        loop {
            let wake = self.health.next_wake().unwrap().since(Moment::default());
            let wake = u64::try_from(wake.as_nanos().div_ceil(1_000_000)).unwrap();
            let next = self.coming.first_key_value().map_or(u64::MAX, |((at, _), _)| *at);
            let due = self.next_due().unwrap_or(u64::MAX);
            let at = wake.min(next).min(due);
            if at > until {
                self.now = until;
                return;
            }
            self.now = at;
            self.steps += 1;
            assert!(
                self.steps < 5000 + self.now / 50,
                "it never rests: {:?} at {} s",
                self.health.state(),
                self.now / SECOND
            );
            match self.coming.first_entry().filter(|entry| entry.key().0 <= at) {
                Some(entry) => {
                    let coming = entry.remove();
                    self.happen(coming);
                }
                None => self.send(Event::Tick),
            }
            self.deliver();
        }
    }

    /// When a message that may be delivered gets due; only while there is a place for one.
    fn next_due(&self) -> Option<u64> {
        let dues = self.mail.iter().filter_map(|lot| match lot {
            Lot::Queued { due } => Some(*due),
            _ => None,
        });
        if self.health.concurrency() > self.busy() { dues.min().map(|due| due.max(self.now)) } else { None }
    }

    fn busy(&self) -> u32 {
        u32::try_from(self.mail.iter().filter(|lot| **lot == Lot::Busy).count()).unwrap()
    }

    fn send(&mut self, event: Event) {
        let was_down = self.health.state() == PrimaryState::Down;
        if was_down {
            self.longest_rest = self.longest_rest.max(self.now - self.last_try);
        }
        let now = now_at(self.now);
        let effects = self.health.step(event, now);
        assert!(self.health.next_wake().is_some_and(|wake| wake > now.moment), "{:?}", self.health);
        if self.health.state() == PrimaryState::Down && !was_down {
            self.last_try = self.now;
        }
        match self.health.state() {
            PrimaryState::Unknown | PrimaryState::Down | PrimaryState::Suspect => {
                assert_eq!(self.health.concurrency(), 0);
            }
            PrimaryState::Deferring => assert!(self.health.concurrency() <= 1),
            PrimaryState::Up | PrimaryState::Recovering => {
                assert!((1..=10).contains(&self.health.concurrency()) || self.health.in_storm());
                assert!(self.health.usable_endpoints().next().is_some());
            }
        }
        for effect in effects {
            self.execute(effect);
        }
    }

    fn execute(&mut self, effect: Effect) {
        match effect {
            Effect::Resolve => {
                self.last_try = self.now;
                self.plan(200, Coming::LookedUp);
            }
            Effect::Probe(key) => {
                self.last_try = self.now;
                self.plan(PROBE, Coming::Probed(key));
            }
            Effect::MakeDue(_) => {
                for lot in &mut self.mail {
                    if let Lot::Queued { due } = lot {
                        *due = self.now;
                    }
                }
            }
            Effect::RequeueWithheld => self.withheld_become(Lot::Queued { due: self.now }),
            Effect::FinaliseWithheld => self.withheld_become(Lot::Bounced),
            Effect::TryOldest => self.try_oldest(),
            Effect::RetryRefused { turn } => {
                let withheld: Vec<usize> =
                    (0..self.mail.len()).filter(|number| self.mail[*number] == Lot::Withheld).collect();
                if withheld.is_empty() {
                    self.try_oldest();
                } else {
                    self.begin(withheld[turn as usize % withheld.len()], Purpose::Trial);
                }
            }
            Effect::StateChanged { .. }
            | Effect::LoopFound
            | Effect::LoopGone
            | Effect::StormBegan { .. }
            | Effect::StormEnded(_)
            | Effect::ReviewExpiry => {}
        }
    }

    fn withheld_become(&mut self, then: Lot) {
        for lot in &mut self.mail {
            if *lot == Lot::Withheld {
                *lot = then;
            }
        }
    }

    fn try_oldest(&mut self) {
        if self.busy() > 0 && self.health.state() == PrimaryState::Deferring {
            return;
        }
        let due = |number: &usize| match self.mail[*number] {
            Lot::Queued { due } => Some(due.max(self.now)),
            _ => None,
        };
        match (0..self.mail.len()).filter(|number| due(number).is_some()).min_by_key(due) {
            Some(number) => self.begin(number, Purpose::Trial),
            None => self.send(Event::NothingToTry),
        }
    }

    fn deliver(&mut self) {
        while self.health.concurrency() > self.busy() {
            let now = self.now;
            let ready = |lot: &Lot| matches!(lot, Lot::Queued { due } if *due <= now);
            let Some(number) = self.mail.iter().position(ready) else { return };
            let purpose = match self.health.state() {
                PrimaryState::Deferring => Purpose::Trial,
                _ => Purpose::Ordinary,
            };
            self.begin(number, purpose);
        }
    }

    fn begin(&mut self, number: usize, purpose: Purpose) {
        let state = self.health.state();
        assert!(
            matches!(state, PrimaryState::Up | PrimaryState::Recovering | PrimaryState::Deferring),
            "delivered while {state:?}"
        );
        let endpoint = self.health.usable_endpoints().next().unwrap().key.clone();
        self.mail[number] = Lot::Busy;
        if self.listens(&endpoint) {
            self.plan(1000, Coming::Answered(number, endpoint, purpose));
        } else {
            self.plan(100, Coming::NotOpened(number, endpoint));
        }
    }

    fn listens(&self, endpoint: &EndpointKey) -> bool {
        match self.mood() {
            Mood::Refuses | Mood::NoName | Mood::Busy => false,
            Mood::HalfDead => *endpoint != key(1),
            Mood::Well | Mood::StoreDead | Mood::RejectsAll | Mood::RejectsContent | Mood::Drops => true,
        }
    }

    fn failure(&self) -> OpenFailure {
        if self.mood() == Mood::Busy {
            OpenFailure::ServiceClosing("421 4.3.2 busy".to_owned())
        } else {
            OpenFailure::Failed("connection refused".to_owned())
        }
    }

    fn happen(&mut self, coming: Coming) {
        match coming {
            Coming::Arrival(number) => self.mail[number] = Lot::Queued { due: self.now },
            Coming::LookedUp if self.mood() == Mood::NoName => {
                self.send(Event::Resolved(Err("no such name".to_owned())));
            }
            Coming::LookedUp => self.send(Event::Resolved(Ok(vec![listed(1), listed(2)]))),
            Coming::Probed(key) => {
                let result = if self.listens(&key) { Ok(()) } else { Err(self.failure()) };
                self.send(Event::Probed(key, result));
            }
            Coming::NotOpened(number, endpoint) => {
                self.mail[number] = Lot::Queued { due: self.now };
                let (failure, others) = (self.failure(), self.busy());
                self.send(Event::OpenFailed { endpoint, failure, others });
            }
            Coming::Answered(number, endpoint, purpose) => self.answer(number, endpoint, purpose),
        }
    }

    fn answer(&mut self, number: usize, endpoint: EndpointKey, purpose: Purpose) {
        let mut outcome = Outcome {
            endpoint: endpoint.clone(),
            purpose,
            sender: Party::of(&format!("sender{number}@example.net")),
            accepted: Vec::new(),
            refused: Vec::new(),
            refused_content: Vec::new(),
            transient: None,
            said: None,
        };
        let recipient = Party::of(&format!("recipient{}@example.org", number % 30));
        self.attempts[number] += 1;
        let due = message_due(self.attempts[number], Timestamp::from_millis(self.now)).as_millis();
        match self.mood() {
            Mood::Well | Mood::HalfDead => {
                self.mail[number] = Lot::Delivered;
                outcome.accepted.push(recipient);
            }
            Mood::StoreDead => {
                self.mail[number] = Lot::Queued { due };
                outcome.transient = Some(Transient::System);
            }
            Mood::RejectsAll => {
                self.mail[number] = if self.health.reject_is_final() { Lot::Bounced } else { Lot::Withheld };
                outcome.refused.push(recipient);
            }
            Mood::RejectsContent => {
                self.mail[number] = if self.health.reject_is_final() { Lot::Bounced } else { Lot::Withheld };
                outcome.refused_content.push(recipient);
            }
            Mood::Drops | Mood::Refuses | Mood::NoName | Mood::Busy => {
                self.mail[number] = Lot::Queued { due };
                self.send(Event::SessionLost { endpoint, detail: "connection reset".to_owned(), purpose });
                return;
            }
        }
        self.send(Event::Outcome(outcome));
    }

    pub(super) fn waiting(&self) -> usize {
        let waits = |lot: &&Lot| matches!(lot, Lot::Queued { .. } | Lot::Busy | Lot::Withheld);
        self.mail.iter().filter(waits).count()
    }
}

fn now_at(milli: u64) -> Now {
    Now {
        moment: Moment::after_start(Duration::from_millis(milli)),
        wall: Timestamp::from_millis(1_767_225_600_000 + milli),
        jitter: Jitter::from_random(u32::try_from(milli % 7919).unwrap()),
    }
}
