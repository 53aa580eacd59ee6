//! Which lanes are worked on now, and when the next one is due. Pure: time is a parameter.

use std::{collections::HashMap, time::Duration};

use backupmx_relay_config::DomainName;

use super::rest::Rate;
use crate::{
    clock::{Moment, Timestamp},
    spool::LaneStatus,
};

/// What a pass over a lane leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pause {
    /// Look again as soon as there is something ready.
    None,
    /// Leave it alone that long.
    For(Duration),
}

/// The lanes that something is known of.
#[derive(Debug, Default)]
pub(super) struct Lanes(HashMap<DomainName, Lane>);

#[derive(Debug)]
enum Lane {
    /// A pass is under way.
    Busy,
    /// Nothing happens before that.
    Idle { until: Moment, rate: Rate },
}

impl Lanes {
    /// The lanes to work on now, those with the oldest mail first, at most `room`; each is busy from now on.
    pub(super) fn pick(
        &mut self,
        lanes: &[(DomainName, LaneStatus)],
        now: Moment,
        room: usize,
    ) -> Vec<(DomainName, Rate)> {
        self.0.retain(|_, lane| match lane {
            Lane::Busy => true,
            Lane::Idle { until, rate } => *until > now || !rate.is_over(now),
        });
        let mut ready: Vec<(&DomainName, &LaneStatus)> = lanes
            .iter()
            .filter(|(domain, status)| status.ready > 0 && self.rests_until(domain).is_some_and(|until| until <= now))
            .map(|(domain, status)| (domain, status))
            .collect();
        ready.sort_by_key(|(_, status)| status.oldest);
        let picked = ready.into_iter().take(room).map(|(domain, _)| {
            let rate = match self.0.insert(domain.clone(), Lane::Busy) {
                Some(Lane::Idle { rate, .. }) => rate,
                Some(Lane::Busy) | None => Rate::default(),
            };
            (domain.clone(), rate)
        });
        picked.collect()
    }

    /// How long until a lane that is not worked on must be looked at; none where only a wake-up can change anything.
    pub(super) fn next(&self, lanes: &[(DomainName, LaneStatus)], wall: Timestamp, now: Moment) -> Option<Duration> {
        let waits = lanes.iter().filter_map(|(domain, status)| {
            let rest = self.rests_until(domain)?.since(now);
            let due = if status.ready > 0 { Duration::ZERO } else { status.next_due?.since(wall) };
            let wait = rest.max(due);
            // What is ready and does not rest waits for room: the end of a pass brings it.
            (!wait.is_zero()).then_some(wait)
        });
        waits.min()
    }

    /// A pass has ended.
    pub(super) fn ended(&mut self, domain: &DomainName, pause: Pause, rate: Rate, now: Moment) {
        let until = match pause {
            Pause::None => now,
            Pause::For(time) => now + time,
        };
        self.0.insert(domain.clone(), Lane::Idle { until, rate });
    }

    /// When a lane may be worked on; none while a pass is under way.
    fn rests_until(&self, domain: &DomainName) -> Option<Moment> {
        match self.0.get(domain) {
            Some(Lane::Busy) => None,
            Some(Lane::Idle { until, .. }) => Some(*until),
            None => Some(Moment::default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::after_start(Duration::from_secs(seconds))
    }

    fn lane(name: &str, oldest: u64, ready: u64, due: Option<u64>) -> (DomainName, LaneStatus) {
        let status = LaneStatus {
            messages: 1,
            oldest: Some(Timestamp::from_millis(oldest)),
            ready,
            next_due: due.map(Timestamp::from_millis),
            ..LaneStatus::default()
        };
        (name.parse().unwrap(), status)
    }

    fn names(picked: Vec<(DomainName, Rate)>) -> Vec<String> {
        picked.into_iter().map(|(domain, _)| domain.to_string()).collect()
    }

    #[test]
    fn the_oldest_ready_lanes_come_first_each_once() {
        let mut lanes = Lanes::default();
        let seen = [lane("b.example", 2, 1, None), lane("a.example", 1, 9, None), lane("c.example", 0, 0, None)];
        assert_eq!(names(lanes.pick(&seen, at(10), 1)), ["a.example"]);
        assert_eq!(names(lanes.pick(&seen, at(10), 5)), ["b.example"]);
        assert_eq!(names(lanes.pick(&seen, at(10), 5)), [""; 0]);
        lanes.ended(&seen[1].0, Pause::None, Rate::default(), at(11));
        assert_eq!(names(lanes.pick(&seen, at(11), 5)), ["a.example"]);
    }

    #[test]
    fn a_lane_rests_and_is_looked_at_in_time() {
        let mut lanes = Lanes::default();
        let seen = [lane("a.example", 1, 1, None)];
        assert_eq!(lanes.next(&seen, Timestamp::from_millis(0), at(10)), None);
        let [(domain, rate)] = lanes.pick(&seen, at(10), 5).try_into().unwrap();
        assert_eq!(lanes.next(&seen, Timestamp::from_millis(0), at(10)), None, "the end of the pass brings it");
        lanes.ended(&domain, Pause::For(Duration::from_secs(60)), rate, at(10));
        assert_eq!(names(lanes.pick(&seen, at(69), 5)), [""; 0]);
        assert_eq!(lanes.next(&seen, Timestamp::from_millis(0), at(69)), Some(Duration::from_secs(1)));
        assert_eq!(names(lanes.pick(&seen, at(70), 5)), ["a.example"]);
    }

    #[test]
    fn a_due_time_is_waited_for() {
        let lanes = Lanes::default();
        let seen = [lane("a.example", 1, 0, Some(90_000)), lane("b.example", 1, 0, None)];
        assert_eq!(lanes.next(&seen, Timestamp::from_millis(60_000), at(1)), Some(Duration::from_secs(30)));
    }

    #[test]
    fn the_rate_outlives_a_pass() {
        let mut lanes = Lanes::default();
        let seen = [lane("a.example", 1, 1, None)];
        let [(domain, mut rate)] = lanes.pick(&seen, at(100), 5).try_into().unwrap();
        assert_eq!(rate.take(1, at(100)), Ok(()));
        lanes.ended(&domain, Pause::None, rate, at(100));
        let [(domain, mut rate)] = lanes.pick(&seen, at(101), 5).try_into().unwrap();
        assert_eq!(rate.take(1, at(101)), Err(Duration::from_secs(59)));
        lanes.ended(&domain, Pause::None, rate, at(101));
        let [(_, mut rate)] = lanes.pick(&seen, at(170), 5).try_into().unwrap();
        assert_eq!(rate.take(1, at(170)), Ok(()));
    }
}
