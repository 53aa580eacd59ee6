//! A set of conditions as Kubernetes keeps them: the time of a condition is when its status last changed.

use backupmx_crds::conditions::{ConditionType, Reason};
use k8s_openapi::{
    apimachinery::pkg::apis::meta::v1::{Condition, Time},
    jiff::Timestamp,
};

/// Octets of a message that are kept: the API server takes 32768.
const MESSAGE: usize = 2048;

/// What holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Truth {
    /// It is so.
    True,
    /// It is not so.
    False,
    /// It is not known.
    Unknown,
}

impl Truth {
    const fn as_str(self) -> &'static str {
        match self {
            Self::True => "True",
            Self::False => "False",
            Self::Unknown => "Unknown",
        }
    }
}

impl From<bool> for Truth {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// Which spec the conditions of a pass are made from.
#[derive(Clone, Copy, Debug)]
pub struct Generations {
    /// The newest. How the work on it goes is told of it.
    pub newest: Option<i64>,
    /// That by which the objects are made, which all else is told of: an older one where the newest cannot be used.
    pub used: Option<i64>,
}

impl Generations {
    /// The newest is in use.
    #[must_use]
    pub const fn newest(generation: Option<i64>) -> Self {
        Self { newest: generation, used: generation }
    }

    const fn of(self, kind: ConditionType) -> Option<i64> {
        match kind {
            ConditionType::Reconciling | ConditionType::Stalled => self.newest,
            ConditionType::Ready
            | ConditionType::RelaysReady
            | ConditionType::PrimaryReachable
            | ConditionType::DNSPublished
            | ConditionType::QueueHealthy
            | ConditionType::StorageHealthy
            | ConditionType::DomainConflict
            | ConditionType::HostnameConflict
            | ConditionType::Draining => self.used,
        }
    }
}

/// The conditions of one pass.
#[derive(Debug)]
pub struct Conditions<'a> {
    before: &'a [Condition],
    generations: Generations,
    now: Timestamp,
    list: Vec<Condition>,
}

impl<'a> Conditions<'a> {
    /// `before` are the last pass's conditions.
    #[must_use]
    pub const fn new(before: &'a [Condition], generations: Generations, now: Timestamp) -> Self {
        Self { before, generations, now, list: Vec::new() }
    }

    /// The wall clock of this pass.
    #[must_use]
    pub const fn now(&self) -> Timestamp {
        self.now
    }

    /// Notes a condition.
    pub fn set(&mut self, kind: ConditionType, truth: impl Into<Truth>, reason: Reason, message: impl Into<String>) {
        debug_assert!(is_listed(kind, reason), "{reason} is not in the list of {kind}'s reasons");
        let status = truth.into().as_str();
        let same = self.before.iter().find(|known| known.type_ == kind.as_str() && known.status == status);
        let mut message: String = message.into();
        if let Some((end, _)) = message.char_indices().find(|(place, _)| *place >= MESSAGE) {
            message.truncate(end);
        }
        self.list.push(Condition {
            type_: kind.as_str().to_owned(),
            status: status.to_owned(),
            reason: reason.as_str().to_owned(),
            message,
            observed_generation: self.generations.of(kind),
            last_transition_time: same.map_or(Time(self.now), |known| known.last_transition_time.clone()),
        });
    }

    /// Notes a condition as it was at the last pass. False: there was none of this generation.
    pub fn keep(&mut self, kind: ConditionType) -> bool {
        let known = self.known(kind).cloned();
        self.list.extend(known.clone());
        known.is_some()
    }

    /// A condition as the last pass noted it. None: there was none of this generation.
    #[must_use]
    pub fn known(&self, kind: ConditionType) -> Option<&'a Condition> {
        let generation = self.generations.of(kind);
        self.before.iter().find(|known| known.type_ == kind.as_str() && known.observed_generation == generation)
    }

    /// A condition that this pass has noted.
    #[must_use]
    pub fn noted(&self, kind: ConditionType) -> Option<&Condition> {
        self.list.iter().find(|noted| noted.type_ == kind.as_str())
    }

    /// Notes a condition that the spec has no part in as it was at the last pass. False: there was none.
    pub fn carry(&mut self, kind: ConditionType) -> bool {
        let known = self.before.iter().find(|known| known.type_ == kind.as_str()).cloned();
        let generation = self.generations.of(kind);
        self.list.extend(known.clone().map(|known| Condition { observed_generation: generation, ..known }));
        known.is_some()
    }

    /// All of them, in the order of the documentation. A condition that this pass says nothing of is left out.
    #[must_use]
    pub fn finish(mut self) -> Vec<Condition> {
        let place = |one: &Condition| ConditionType::ALL.iter().position(|kind| kind.as_str() == one.type_);
        self.list.sort_by_key(place);
        self.list
    }
}

/// Whether the list of reasons, in `operator/README.md` too, has that reason for that condition.
fn is_listed(kind: ConditionType, reason: Reason) -> bool {
    let kinds = reason.meaning().split(". ").filter_map(|sentence| sentence.split_once(':')).map(|(kinds, _)| kinds);
    kinds.flat_map(|kinds| kinds.split(", ")).any(|known| known == kind.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    fn pass(before: &[Condition], now: i64, truth: Truth, message: &str) -> Vec<Condition> {
        let mut conditions = Conditions::new(before, Generations::newest(Some(1)), at(now));
        conditions.set(ConditionType::Ready, truth, Reason::Available, message);
        conditions.finish()
    }

    #[test]
    fn the_time_is_that_of_the_last_change() {
        let first = pass(&[], 1, Truth::True, "a");
        let second = pass(&first, 2, Truth::True, "b");
        let third = pass(&second, 3, Truth::False, "b");
        let times: Vec<Timestamp> =
            [&first, &second, &third].iter().map(|list| list[0].last_transition_time.0).collect();
        assert_eq!(times, [at(1), at(1), at(3)]);
    }

    #[test]
    fn a_pass_that_finds_the_same_gives_the_same() {
        let first = pass(&[], 1, Truth::Unknown, "a");
        assert_eq!(pass(&first, 900, Truth::Unknown, "a"), first);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let long = "ü".repeat(3000);
        assert!(pass(&[], 1, Truth::True, &long)[0].message.len() <= MESSAGE + 1);
    }
}
