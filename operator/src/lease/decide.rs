//! What to do about the Lease now. Pure.
//!
//! The clocks of two operators need not agree: whether a lease has run out is judged by how long its record has not
//! changed here, never by the time that the other wrote in it.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::LeaseSpec;

/// How long a lease holds without being renewed.
pub const HOLDS: Duration = Duration::from_secs(15);
/// How long the leader may fail to renew before it gives up: before another may take over.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// How often the leader renews, and a standby looks.
pub const EVERY: Duration = Duration::from_secs(2);
/// How long one request may take: what was begun by an old leader ends before a new one writes.
pub const WRITE_TIMEOUT: Duration = Duration::from_secs(4);

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Write it, with ourselves as the holder for the first time.
    Take {
        /// How often the lease has changed hands, with this time.
        transitions: i32,
    },
    /// Write it again.
    Renew,
    /// Another has it; look again later.
    Wait,
}

/// Says what to do about a lease whose record has not changed for `unchanged`, as measured here.
#[must_use]
pub fn decide(live: Option<&LeaseSpec>, identity: &str, unchanged: Duration) -> Act {
    let Some(live) = live else { return Act::Take { transitions: 0 } };
    let transitions = live.lease_transitions.unwrap_or(0);
    match live.holder_identity.as_deref() {
        Some(holder) if holder == identity => Act::Renew,
        // An empty holder is one that handed over.
        None | Some("") => Act::Take { transitions: transitions.saturating_add(1) },
        Some(_) => {
            let seconds = live.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
            let holds = seconds.map_or(HOLDS, Duration::from_secs);
            if unchanged >= holds { Act::Take { transitions: transitions.saturating_add(1) } } else { Act::Wait }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: Option<&str>, seconds: i32) -> LeaseSpec {
        LeaseSpec {
            holder_identity: by.map(str::to_owned),
            lease_duration_seconds: Some(seconds),
            lease_transitions: Some(3),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn one_leader_at_a_time() {
        let second = Duration::from_secs;
        for (what, live, unchanged, wanted) in [
            ("there is none", None, second(0), Act::Take { transitions: 0 }),
            ("it is ours", Some(held(Some("us"), 15)), second(60), Act::Renew),
            ("another's, fresh", Some(held(Some("them"), 15)), second(14), Act::Wait),
            ("another's, run out", Some(held(Some("them"), 15)), second(15), Act::Take { transitions: 4 }),
            ("another's, longer than ours", Some(held(Some("them"), 60)), second(15), Act::Wait),
            ("handed over", Some(held(Some(""), 15)), second(0), Act::Take { transitions: 4 }),
            ("handed over, by a tool", Some(held(None, 15)), second(0), Act::Take { transitions: 4 }),
            ("nonsense in it", Some(held(Some("them"), -1)), second(14), Act::Wait),
        ] {
            assert_eq!(decide(live.as_ref(), "us", unchanged), wanted, "{what}");
        }
    }

    #[test]
    fn an_old_leader_has_ended_before_a_new_one_begins() {
        assert!(RENEW_DEADLINE + WRITE_TIMEOUT < HOLDS);
    }
}
