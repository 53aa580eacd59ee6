//! Whether what a relay says is worth a pass at once. Pure.

use backupmx_relay_config::status::{Accepting, PrimaryState, RelayStatus, TenantStatus};

use crate::status::level::{self, Level};

/// Whether a report says what the one before did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum News {
    /// It is worth a pass.
    Worth,
    /// Figures at most: the next pass will do.
    None,
}

/// What is new in a report. None: the relay does not answer.
#[must_use]
pub fn news(before: Option<&RelayStatus>, now: Option<&RelayStatus>) -> News {
    match (before.map(gist), now.map(gist)) {
        (before, now) if before == now => News::None,
        _ => News::Worth,
    }
}

/// What of a report a pass decides on. How much is held is none of it, but whether anything is.
#[derive(Debug, PartialEq, Eq)]
struct Gist<'a> {
    revision: (u64, Option<u64>),
    refused: Option<&'a str>,
    accepting: Accepting,
    full: bool,
    clock_jumped: bool,
    level: Level,
    holds: [bool; 6],
    tenants: Vec<Line<'a>>,
}

#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    name: &'a str,
    state: PrimaryState,
    storm: bool,
    looping: bool,
    holds: bool,
}

fn gist(report: &RelayStatus) -> Gist<'_> {
    let RelayStatus {
        version: _,
        generation: _,
        contract_version: _,
        config_revision,
        config_kept,
        config_error,
        hostname: _,
        started: _,
        listeners: _,
        accepting,
        queue,
        in_flight: _,
        storage,
        tenants,
        orphaned,
        reports,
        clock_jumped,
        discards_domains: _,
    } = report;
    let counts = [queue.messages, queue.held, queue.parked, orphaned.messages, reports.messages, storage.quarantined];
    Gist {
        revision: (*config_revision, *config_kept),
        refused: config_error.as_deref(),
        accepting: *accepting,
        full: level::is_full(report),
        clock_jumped: *clock_jumped,
        level: Level::of(storage),
        holds: counts.map(|count| count > 0),
        tenants: tenants.iter().map(line).collect(),
    }
}

fn line(tenant: &TenantStatus) -> Line<'_> {
    Line {
        name: &tenant.name,
        state: tenant.primary.state,
        storm: tenant.primary.reject_storm,
        looping: tenant.primary.looping,
        holds: tenant.queue.messages > 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::tests::Cluster;

    fn report() -> RelayStatus {
        Cluster::settled().facts.relays.into_values().next().unwrap().report.unwrap()
    }

    #[test]
    fn figures_are_no_news_and_their_beginning_is() {
        type Change = fn(&mut RelayStatus);
        let cases: [(&str, Change, News); 11] = [
            ("nothing", |_| {}, News::None),
            ("mail begins to be held", |report| report.queue.messages = 1, News::Worth),
            ("a primary is down", |report| report.tenants[0].primary.state = PrimaryState::Down, News::Worth),
            ("a circle", |report| report.tenants[0].primary.looping = true, News::Worth),
            ("a storm", |report| report.tenants[0].primary.reject_storm = true, News::Worth),
            ("a revision", |report| report.config_revision += 1, News::Worth),
            ("a config is refused", |report| report.config_error = Some("no".into()), News::Worth),
            ("mail is parked", |report| report.queue.parked = 1, News::Worth),
            ("three quarters are full", |report| (report.storage.used, report.storage.size) = (75, 100), News::Worth),
            (
                "it is full",
                |report| (report.storage.used, report.storage.available, report.storage.size) = (1000, 1000, 2000),
                News::Worth,
            ),
            ("another moment", |report| report.tenants[0].primary.next_probe = Some("later".into()), News::None),
        ];
        for (what, change, wanted) in cases {
            let mut now = report();
            change(&mut now);
            assert_eq!(news(Some(&report()), Some(&now)), wanted, "{what}");
        }
        let mut more = report();
        more.queue.messages = 5;
        let before = more.clone();
        more.queue.messages = 900;
        assert_eq!(news(Some(&before), Some(&more)), News::None, "more of it");
    }

    #[test]
    fn silence_and_its_end_are_news() {
        assert_eq!(news(None, Some(&report())), News::Worth);
        assert_eq!(news(Some(&report()), None), News::Worth);
        assert_eq!(news(None, None), News::None);
    }
}
