//! `status`: the relay at a glance.

use backupmx_relay_config::status::{Accepting, PrimaryState, QueueStatus, RelayStatus, TenantStatus};

use super::{
    CliError,
    args::ReadArgs,
    client::Client,
    output::{self, Mood, Style, Value, plain},
    surroundings::Surroundings,
    text::{age, ahead, count, printable, size},
};
use crate::clock::{Clock, Timestamp};

pub(super) async fn run(args: &ReadArgs) -> Result<(), CliError> {
    let client = Client::new(&args.relay, &Surroundings::read())?;
    if args.json {
        // Passed on as it came: a newer relay may say more than this program knows.
        let value: serde_json::Value = client.get("/v1/status").await?;
        return output::json(&value);
    }
    let status: RelayStatus = client.get("/v1/status").await?;
    output::print(&page(&status, Clock::start().now(), Style::of_stdout()))
}

fn page(status: &RelayStatus, now: Timestamp, style: Style) -> String {
    let listeners: Vec<_> = status.listeners.iter().map(ToString::to_string).collect();
    let taking = match status.accepting {
        Accepting::Yes => format!("taking mail on {}", listeners.join(", ")),
        Accepting::StorageFull => "taking NO mail (452): the spool is full".to_owned(),
        Accepting::ShuttingDown => "taking NO mail (421): the relay is leaving".to_owned(),
    };
    let storage = &status.storage;
    let mut lines = vec![
        format!(
            "{}: backupmx-relay {}, up {}, config revision {}",
            printable(&status.hostname),
            printable(&status.version),
            age(&status.started, now),
            status.config_revision
        ),
        taking,
        format!(
            "spool: {} of {} used, {} left for new mail",
            size(storage.used),
            size(storage.size),
            size(storage.available)
        ),
        format!("held: {}", queue_line(&status.queue, now)),
    ];
    let coming = status.in_flight.unwrap_or(0);
    if coming > 0 {
        lines.push(format!("coming in: {}", count(coming, "message")));
    }
    if status.reports.messages > 0 {
        lines.push(format!("reports to senders waiting: {}", queue_line(&status.reports, now)));
    }
    lines.extend(warnings(status, now));
    let mut text: String = lines.into_iter().flat_map(|line| [line, "\n".to_owned()]).collect();
    if !status.tenants.is_empty() {
        text.push('\n');
        let heads =
            ["TENANT", "PRIMARY", "SINCE", "NEXT TRY", "MESSAGES", "SIZE", "HELD", "PARKED", "OLDEST", "LAST ERROR"];
        text.push_str(&output::table(style, &heads, status.tenants.iter().map(|tenant| row(tenant, now)).collect()));
    }
    text
}

fn queue_line(queue: &QueueStatus, now: Timestamp) -> String {
    let mut line = format!("{}, {}", count(queue.messages, "message"), size(queue.bytes));
    if let Some(oldest) = &queue.oldest_message_time {
        line.push_str(&format!(", the oldest for {}", age(oldest, now)));
    }
    line
}

/// What a person should do something about.
fn warnings(status: &RelayStatus, now: Timestamp) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(error) = &status.config_error {
        lines.push(format!("! the last config was refused, the old one is in force: {}", printable(error)));
    }
    if status.clock_jumped {
        lines.push(
            "! the wall clock jumped: nothing expires until it is confirmed (backupmx-relay queue resume --all)"
                .to_owned(),
        );
    }
    if status.storage.quarantined > 0 {
        let files = count(status.storage.quarantined, "damaged part");
        lines.push(format!("! {files} of the spool set aside (backupmx-relay quarantine list)"));
    }
    if status.orphaned.messages > 0 {
        let line = queue_line(&status.orphaned, now);
        lines.push(format!("! held for domains that are nobody's any more: {line} (release, bounce or discard)"));
    }
    for tenant in &status.tenants {
        let name = printable(&tenant.name);
        if tenant.primary.reject_storm {
            lines.push(format!(
                "! {name}: its primary refuses so much that deliveries stopped; nothing is bounced. When it is \
                 repaired: backupmx-relay queue resume {name}"
            ));
        }
        if tenant.primary.looping {
            lines.push(format!(
                "! {name}: its primary is this relay itself, so its mail would go in a circle and is held; name the mail \
                 server behind it in the config"
            ));
        }
    }
    lines
}

fn row(tenant: &TenantStatus, now: Timestamp) -> Vec<Value> {
    let primary = &tenant.primary;
    let (word, mood) = match primary.state {
        PrimaryState::Unknown => ("unknown", Mood::Plain),
        PrimaryState::Up => ("up", Mood::Good),
        PrimaryState::Suspect => ("suspect", Mood::Odd),
        PrimaryState::Down => ("down", Mood::Bad),
        PrimaryState::Deferring => ("deferring", Mood::Bad),
        PrimaryState::Recovering => ("recovering", Mood::Odd),
    };
    let state = match (tenant.suspended, primary.reject_storm, primary.looping) {
        (true, ..) => (format!("{word}, suspended"), Mood::Odd),
        (_, true, _) => (format!("{word}, reject storm"), Mood::Bad),
        (_, _, true) => (format!("{word}, loop"), Mood::Bad),
        _ => (word.to_owned(), mood),
    };
    let queue = &tenant.queue;
    let some = |count: u64| (count.to_string(), if count > 0 { Mood::Odd } else { Mood::Plain });
    vec![
        plain(printable(&tenant.name)),
        state,
        plain(age(&primary.since, now)),
        plain(primary.next_probe.as_deref().map_or_else(|| "-".to_owned(), |probe| ahead(probe, now))),
        plain(queue.messages.to_string()),
        plain(size(queue.bytes)),
        some(queue.held),
        some(queue.parked),
        plain(queue.oldest_message_time.as_deref().map_or_else(|| "-".to_owned(), |oldest| age(oldest, now))),
        plain(primary.last_error.as_deref().map_or_else(|| "-".to_owned(), printable)),
    ]
}

#[cfg(test)]
mod tests {
    use backupmx_relay_config::status::{PrimaryStatus, StorageStatus};

    use super::*;

    fn status() -> RelayStatus {
        let queue = QueueStatus {
            messages: 12,
            bytes: 1 << 20,
            held: 1,
            parked: 0,
            oldest_message_time: Some("2026-01-01T00:00:00Z".to_owned()),
            oldest_waiting_time: None,
        };
        RelayStatus {
            version: "0.1.0".to_owned(),
            generation: None,
            contract_version: 1,
            config_revision: 3,
            config_kept: Some(3),
            config_error: None,
            hostname: "mx1.example".to_owned(),
            started: "2026-01-01T01:00:00Z".to_owned(),
            listeners: vec!["127.0.0.1:25".parse().unwrap()],
            accepting: Accepting::Yes,
            queue: queue.clone(),
            in_flight: Some(0),
            storage: StorageStatus { used: 1 << 20, available: 8 << 30, size: 10 << 30, quarantined: 0 },
            tenants: vec![TenantStatus {
                name: "example".to_owned(),
                domains: vec!["example.org".to_owned()],
                primary: PrimaryStatus {
                    state: PrimaryState::Down,
                    since: "2026-01-01T00:30:00Z".to_owned(),
                    next_probe: Some("2026-01-01T02:00:20Z".to_owned()),
                    last_error: Some("connection refused".to_owned()),
                    reject_storm: false,
                    looping: false,
                },
                queue,
                in_flight: Some(0),
                suspended: false,
            }],
            orphaned: QueueStatus::default(),
            reports: QueueStatus::default(),
            clock_jumped: false,
            discards_domains: true,
        }
    }

    fn shown(status: &RelayStatus) -> String {
        page(status, Timestamp::from_rfc3339("2026-01-01T02:00:00Z").unwrap(), Style::Plain)
    }

    #[test]
    fn a_relay_at_a_glance() {
        let expected = "\
mx1.example: backupmx-relay 0.1.0, up 1h, config revision 3
taking mail on 127.0.0.1:25
spool: 1 MiB of 10 GiB used, 8 GiB left for new mail
held: 12 messages, 1 MiB, the oldest for 2h

TENANT   PRIMARY  SINCE   NEXT TRY  MESSAGES  SIZE   HELD  PARKED  OLDEST  LAST ERROR
example  down     1h 30m  in 20s    12        1 MiB  1     0       2h      connection refused
";
        assert_eq!(shown(&status()), expected);
    }

    #[test]
    fn what_needs_a_person_is_said_with_what_to_do() {
        let plain = shown(&status());
        let some = QueueStatus { messages: 1, ..QueueStatus::default() };
        for (change, part) in [
            ((|status| status.accepting = Accepting::StorageFull) as fn(&mut RelayStatus), "NO mail (452)"),
            (|status| status.accepting = Accepting::ShuttingDown, "NO mail (421)"),
            (
                |status| status.config_error = Some("line 3: wrong".to_owned()),
                "refused, the old one is in force: line 3",
            ),
            (|status| status.clock_jumped = true, "queue resume --all"),
            (|status| status.storage.quarantined = 2, "2 damaged parts of the spool"),
            (|status| status.tenants[0].primary.reject_storm = true, "queue resume example"),
            (|status| status.tenants[0].primary.reject_storm = true, "down, reject storm"),
            (|status| status.tenants[0].primary.looping = true, "its primary is this relay itself"),
            (|status| status.tenants[0].primary.looping = true, "down, loop"),
            (|status| status.tenants[0].suspended = true, "down, suspended"),
        ] {
            let mut status = status();
            change(&mut status);
            assert!(shown(&status).contains(part), "{part} is not in:\n{}", shown(&status));
            assert!(!plain.contains(part), "{part} is always there");
        }
        assert!(shown(&RelayStatus { in_flight: Some(2), ..status() }).contains("coming in: 2 messages"));
        assert!(!plain.contains("coming in"));
        let orphans = RelayStatus { orphaned: some.clone(), reports: some, ..status() };
        assert!(shown(&orphans).contains("nobody's any more: 1 message"));
        assert!(shown(&orphans).contains("reports to senders waiting: 1 message"));
    }
}
