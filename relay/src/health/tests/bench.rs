//! A primary, a clock and shorthands.

use std::time::Duration;

use backupmx_relay_config::{Delivery, RejectStorm, Retry, Span, status::PrimaryState};

use super::super::*;
use crate::{
    clock::{Moment, Timestamp},
    schedule::Jitter,
};

/// A primary with its clock.
pub(super) struct Bench {
    pub(super) health: Health,
    /// Seconds since the start.
    pub(super) second: u64,
}

pub(super) const WALL: u64 = 1_767_225_600;

pub(super) fn key(number: u8) -> EndpointKey {
    EndpointKey {
        host: Some(format!("mail{number}.example.org").parse().unwrap()),
        address: ([192, 0, 2, number], 25).into(),
    }
}

pub(super) fn listed(number: u8) -> Listed {
    Listed { key: key(number), preference: u16::from(number) * 10 }
}

pub(super) fn delivery() -> Delivery {
    Delivery {
        retry: Retry { min: Span::seconds(30), max: Span::minutes(5) },
        max_connections: 10,
        reject_storm: RejectStorm { min_messages: 5, percent: 50 },
        ..Delivery::default()
    }
}

pub(super) fn settings() -> Settings {
    Settings::new(&delivery()).unwrap()
}

pub(super) fn parties(names: &[&str]) -> Vec<Party> {
    names.iter().copied().map(Party::of).collect()
}

fn outcome(purpose: Purpose) -> Outcome {
    Outcome {
        endpoint: key(1),
        purpose,
        sender: Party::of("sender@example.net"),
        accepted: Vec::new(),
        refused: Vec::new(),
        refused_content: Vec::new(),
        transient: None,
        said: None,
    }
}

pub(super) fn accepted() -> Event {
    Event::Outcome(Outcome { accepted: parties(&["known@example.org"]), ..outcome(Purpose::Ordinary) })
}

pub(super) fn trial_accepted() -> Event {
    Event::Outcome(Outcome { accepted: parties(&["known@example.org"]), ..outcome(Purpose::Trial) })
}

pub(super) fn refused(recipients: &[&str]) -> Event {
    Event::Outcome(Outcome { refused: parties(recipients), ..outcome(Purpose::Ordinary) })
}

pub(super) fn content_refused(recipients: &[&str]) -> Event {
    Event::Outcome(Outcome { refused_content: parties(recipients), ..outcome(Purpose::Ordinary) })
}

pub(super) fn trial_content_refused(recipients: &[&str]) -> Event {
    Event::Outcome(Outcome { refused_content: parties(recipients), ..outcome(Purpose::Trial) })
}

pub(super) fn trial_refused(recipients: &[&str]) -> Event {
    Event::Outcome(Outcome { refused: parties(recipients), ..outcome(Purpose::Trial) })
}

pub(super) fn transient(sender: &str, class: Transient, purpose: Purpose) -> Event {
    Event::Outcome(Outcome { sender: Party::of(sender), transient: Some(class), ..outcome(purpose) })
}

pub(super) fn failed() -> OpenFailure {
    OpenFailure::Failed("connection refused".to_owned())
}

pub(super) fn closing() -> OpenFailure {
    OpenFailure::ServiceClosing("421 4.3.2 too many connections".to_owned())
}

pub(super) fn open_failed(number: u8) -> Event {
    Event::OpenFailed { endpoint: key(number), failure: failed(), others: 0 }
}

pub(super) fn lost(purpose: Purpose) -> Event {
    Event::SessionLost { endpoint: key(1), detail: "connection reset".to_owned(), purpose }
}

impl Bench {
    /// Nothing known yet.
    pub(super) fn new(backlog: Backlog) -> Self {
        Self::with(settings(), backlog)
    }

    pub(super) fn with(settings: Settings, backlog: Backlog) -> Self {
        Self { health: Health::new(settings, backlog, now_at(0)), second: 0 }
    }

    /// Up, with one endpoint.
    pub(super) fn up() -> Self {
        let mut bench = Self::new(Backlog::Empty);
        bench.round(&[1], &[1]);
        assert_eq!(bench.state(), PrimaryState::Up);
        bench
    }

    /// Down since second 0, with one endpoint; the first probe is due at second 30.
    pub(super) fn down() -> Self {
        let mut bench = Self::new(Backlog::Empty);
        bench.round(&[1], &[]);
        assert_eq!(bench.state(), PrimaryState::Down);
        bench
    }

    /// Back at second 30 after having been down.
    pub(super) fn recovering() -> Self {
        let mut bench = Self::down();
        bench.second = 30;
        bench.round(&[1], &[1]);
        assert_eq!(bench.state(), PrimaryState::Recovering);
        bench
    }

    /// Deferring, one trial not yet begun.
    pub(super) fn deferring() -> Self {
        let mut bench = Self::up();
        for number in 0..10 {
            let _ = bench.send(transient(&format!("{number}@example.net"), Transient::System, Purpose::Ordinary));
        }
        assert_eq!(bench.state(), PrimaryState::Deferring);
        bench
    }

    /// In a storm that began at second 30: `a` to `e` were refused.
    pub(super) fn storm() -> Self {
        let mut bench = Self::recovering();
        let effects = bench.send(refused(&["a", "b", "c", "d", "e"]));
        assert!(effects.contains(&Effect::StormBegan { refused: 5, verdicts: 5 }), "{effects:?}");
        bench
    }

    pub(super) fn now(&self) -> Now {
        now_at(self.second)
    }

    pub(super) fn state(&self) -> PrimaryState {
        self.health.state()
    }

    pub(super) fn send(&mut self, event: Event) -> Vec<Effect> {
        let effects = self.health.step(event.clone(), self.now());
        let wake = self.health.next_wake();
        assert!(
            wake.is_some_and(|wake| wake > self.now().moment),
            "no wake-up after {event:?} at {}: {wake:?}",
            self.second
        );
        effects
    }

    pub(super) fn tick(&mut self) -> Vec<Effect> {
        self.send(Event::Tick)
    }

    /// The second of the next wake-up, rounded up.
    pub(super) fn wake(&self) -> u64 {
        let wake = self.health.next_wake().unwrap().since(Moment::default());
        wake.as_secs() + u64::from(wake.subsec_nanos() > 0)
    }

    /// A look-up is due: it finds `there`, of which `well` answer their probes. Returns what was probed.
    pub(super) fn round(&mut self, there: &[u8], well: &[u8]) -> Vec<EndpointKey> {
        assert_eq!(self.tick(), [Effect::Resolve], "at second {}", self.second);
        self.answer(there, well)
    }

    /// A look-up under way finds `there`, of which `well` answer their probes. Returns what was probed.
    pub(super) fn answer(&mut self, there: &[u8], well: &[u8]) -> Vec<EndpointKey> {
        let effects = self.send(Event::Resolved(Ok(there.iter().copied().map(listed).collect())));
        let mut probed = Vec::new();
        for effect in effects {
            let Effect::Probe(probe) = effect else { panic!("{effect:?}") };
            let result = if well.iter().any(|number| key(*number) == probe) { Ok(()) } else { Err(failed()) };
            let _ = self.send(Event::Probed(probe.clone(), result));
            probed.push(probe);
        }
        probed
    }

    /// So many messages are accepted.
    pub(super) fn accept(&mut self, count: u32) -> Vec<Effect> {
        (0..count).flat_map(|_| self.send(accepted())).collect()
    }
}

fn now_at(second: u64) -> Now {
    Now {
        moment: Moment::after_start(Duration::from_secs(second)),
        wall: Timestamp::from_millis((WALL + second) * 1000),
        jitter: Jitter::NONE,
    }
}

/// Whether the state changed so.
pub(super) fn changed(effects: &[Effect], between: (PrimaryState, PrimaryState)) -> bool {
    effects.iter().any(|effect| matches!(effect, Effect::StateChanged { from, to, .. } if (*from, *to) == between))
}
