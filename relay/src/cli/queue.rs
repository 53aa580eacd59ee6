//! `queue …`: held mail listed, shown, and decided on.

use serde::Serialize;

use super::{
    CliError,
    args::{MessageArgs, QueueCommand, ReadArgs, StateFilter, TargetArgs},
    client::{Client, encoded},
    output::{self, Mood, Style, Value, plain},
    surroundings::Surroundings,
    text::{age, ahead, count, printable, printable_lines, size},
};
use crate::{
    admin::{MessageVerb, MessageView, Page, RecipientView, TenantVerb},
    clock::{Clock, Timestamp},
    message::{MessageId, RecipientOutcome, Standing},
};

/// The most messages that one page of the API holds.
const PAGE: usize = 500;

pub(super) async fn run(command: QueueCommand) -> Result<(), CliError> {
    match command {
        QueueCommand::List { read, domain, state, limit } => {
            let mut filter = String::new();
            if let Some(domain) = domain {
                filter.push_str(&format!("&domain={domain}"));
            }
            if let Some(state) = state {
                filter.push_str(&format!("&state={}", name(state)));
            }
            list(&read, &filter, limit).await
        }
        QueueCommand::Show { read, id, headers: true } => {
            let header = client(&read)?.get_octets(&format!("/v1/queue/{id}/headers")).await?;
            output::print(&printable_lines(&header))
        }
        QueueCommand::Show { read, id, headers: false } => {
            let message: MessageView = client(&read)?.get(&format!("/v1/queue/{id}")).await?;
            if read.json {
                return output::json(&message);
            }
            output::print(&show(&message, Clock::start().now(), Style::of_stdout()))
        }
        QueueCommand::Flush { read, target } => for_tenant(&read, TenantVerb::Flush, &target).await,
        QueueCommand::Suspend { read, target } => for_tenant(&read, TenantVerb::Suspend, &target).await,
        QueueCommand::Resume { read, target } => for_tenant(&read, TenantVerb::Resume, &target).await,
        QueueCommand::Release(args) => for_messages(&args, MessageVerb::Release).await,
        QueueCommand::Bounce(args) => for_messages(&args, MessageVerb::Bounce).await,
        QueueCommand::Discard(args) => for_messages(&args, MessageVerb::Discard).await,
    }
}

fn client(read: &ReadArgs) -> Result<Client, CliError> {
    Ok(Client::new(&read.relay, &Surroundings::read())?)
}

const fn name(state: StateFilter) -> &'static str {
    match state {
        StateFilter::Queued => "queued",
        StateFilter::Held => "held",
        StateFilter::Parked => "parked",
    }
}

async fn list(read: &ReadArgs, filter: &str, limit: usize) -> Result<(), CliError> {
    let client = client(read)?;
    let mut all = Page { messages: Vec::new(), next: None };
    loop {
        let wanted = PAGE.min(limit - all.messages.len());
        if wanted == 0 {
            break;
        }
        let after = all.next.map(|id| format!("&after={id}")).unwrap_or_default();
        let page: Page = client.get(&format!("/v1/queue?limit={wanted}{filter}{after}")).await?;
        all.messages.extend(page.messages);
        all.next = page.next;
        if all.next.is_none() {
            break;
        }
    }
    if read.json {
        return output::json(&all);
    }
    output::print(&listing(&all, Clock::start().now(), Style::of_stdout()))
}

fn listing(page: &Page, now: Timestamp, style: Style) -> String {
    if page.messages.is_empty() {
        return match style {
            Style::Terminal(_) => "No mail is held.\n".to_owned(),
            Style::Plain => String::new(),
        };
    }
    let heads = ["ID", "AGE", "SIZE", "STATE", "TRIES", "NEXT TRY", "SENDER", "RECIPIENTS", "LAST ANSWER"];
    let mut text = output::table(style, &heads, page.messages.iter().map(|message| row(message, now)).collect());
    if page.next.is_some() && style != Style::Plain {
        text.push_str(&format!("These are the {} oldest; --limit shows more.\n", page.messages.len()));
    }
    text
}

fn row(message: &MessageView, now: Timestamp) -> Vec<Value> {
    let waiting: Vec<&RecipientView> =
        message.recipients.iter().filter(|recipient| recipient.outcome == RecipientOutcome::Pending).collect();
    let recipients = match waiting.as_slice() {
        [] => "-".to_owned(),
        [one] => printable(&one.address),
        [first, rest @ ..] => format!("{} +{}", printable(&first.address), rest.len()),
    };
    let answer = waiting.iter().rev().find_map(|recipient| recipient.answer.as_deref());
    let answer = message.damage.as_deref().or(answer);
    vec![
        plain(message.id.to_string()),
        plain(age(&message.arrived, now)),
        plain(size(message.size)),
        state(message),
        plain(message.attempts.to_string()),
        plain(next(message, now)),
        plain(sender(message)),
        plain(recipients),
        plain(answer.map_or_else(|| "-".to_owned(), printable)),
    ]
}

fn state(message: &MessageView) -> Value {
    let (word, mood) = match (message.busy, message.state) {
        _ if message.damage.is_some() => ("damaged", Mood::Bad),
        (true, _) => ("delivering", Mood::Good),
        (false, Standing::Queued) => ("queued", Mood::Plain),
        (false, Standing::Rejected) => ("rejected", Mood::Bad),
        (false, Standing::Withheld) => ("withheld", Mood::Odd),
        (false, Standing::Looping) => ("looping", Mood::Bad),
        (false, Standing::Parked) => ("parked", Mood::Odd),
    };
    (word.to_owned(), mood)
}

fn next(message: &MessageView, now: Timestamp) -> String {
    match (message.state, &message.due) {
        (Standing::Queued, Some(due)) => ahead(due, now),
        (Standing::Queued, None) => "when up".to_owned(),
        (Standing::Rejected | Standing::Withheld | Standing::Looping | Standing::Parked, _) => "-".to_owned(),
    }
}

fn sender(message: &MessageView) -> String {
    match (message.damage.is_some(), message.sender.is_empty()) {
        (true, _) => "?".to_owned(),
        (false, true) => "<>".to_owned(),
        (false, false) => printable(&message.sender),
    }
}

fn show(message: &MessageView, now: Timestamp, style: Style) -> String {
    let mut lines = vec![
        ("message", message.id.to_string()),
        ("state", format!("{}{}", state(message).0, waits_for(message))),
        ("arrived", format!("{} ({} ago)", printable(&message.arrived), age(&message.arrived, now))),
        ("size", size(message.size)),
        ("sender", sender(message)),
        ("tenant", message.tenant.as_deref().map_or_else(|| "none".to_owned(), printable)),
        ("tries", message.attempts.to_string()),
        ("next try", next(message, now)),
    ];
    if let Some(expires) = &message.expires {
        lines.push(("held until", format!("{} ({})", printable(expires), ahead(expires, now))));
    }
    if let Some(client) = &message.client {
        let name = client.name.as_deref().unwrap_or("no name");
        let tls = client.tls.as_deref().unwrap_or("no TLS");
        let spf = client.spf.map(|spf| format!(", SPF {spf:?}")).unwrap_or_default();
        lines.push(("client", printable(&format!("{} ({name}), said {}, {tls}{spf}", client.address, client.helo))));
    }
    if let Some(parent) = message.report_on {
        lines.push(("report on", parent.to_string()));
    }
    if let Some(damage) = &message.damage {
        lines.push(("damage", printable(damage)));
    }
    let mut text: String = lines.into_iter().map(|(name, value)| format!("{name:<11} {value}\n")).collect();
    if !message.recipients.is_empty() {
        text.push('\n');
        let rows = message.recipients.iter().map(recipient_row).collect();
        text.push_str(&output::table(style, &["RECIPIENT", "OUTCOME", "LAST ANSWER"], rows));
    }
    text
}

fn waits_for(message: &MessageView) -> &'static str {
    match message.state {
        _ if message.busy => "",
        Standing::Queued => ", waits for its destination",
        Standing::Rejected => ", waits for a person: release, bounce or discard it",
        Standing::Withheld => ", rejected by a destination on trial: waits until the trial ends",
        Standing::Looping => ", it goes in a circle and waits for a person: release, bounce or discard it",
        Standing::Parked => ", undeliverable, and its sender may be forged: no report goes out",
    }
}

fn recipient_row(recipient: &RecipientView) -> Vec<Value> {
    let outcome = match recipient.outcome {
        RecipientOutcome::Pending => ("pending", Mood::Plain),
        RecipientOutcome::Delivered => ("delivered", Mood::Good),
        RecipientOutcome::Failed => ("failed", Mood::Bad),
        RecipientOutcome::Unreported { .. } => ("failed, sender not told", Mood::Bad),
    };
    vec![
        plain(printable(&recipient.address)),
        (outcome.0.to_owned(), outcome.1),
        plain(recipient.answer.as_deref().map_or_else(|| "-".to_owned(), printable)),
    ]
}

async fn for_tenant(read: &ReadArgs, verb: TenantVerb, target: &TargetArgs) -> Result<(), CliError> {
    // A flush does no harm; stopping or starting everybody's mail is said out loud.
    if target.tenant.is_none() && !target.all && verb != TenantVerb::Flush {
        return Err(CliError::Usage("expected a tenant, one of its domains, or --all".to_owned()));
    }
    let query = target.tenant.as_deref().map(|tenant| format!("?tenant={}", encoded(tenant))).unwrap_or_default();
    client(read)?.post(&format!("/v1/{}{query}", verb.name())).await?;
    if read.json {
        return output::json(&serde_json::json!({ "done": verb.name(), "tenant": target.tenant }));
    }
    let who = target.tenant.as_deref().unwrap_or("all tenants");
    let done = match verb {
        TenantVerb::Flush => format!("The primary of {who} is tried now.\n"),
        TenantVerb::Suspend => format!("Deliveries to {who} are stopped until `queue resume`; mail is still taken.\n"),
        TenantVerb::Resume => format!("Deliveries to {who} go on.\n"),
    };
    output::print(&done)
}

/// What became of one message, for scripts.
#[derive(Debug, Serialize)]
struct Verdict {
    id: MessageId,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn for_messages(args: &MessageArgs, verb: MessageVerb) -> Result<(), CliError> {
    let client = client(&args.read)?;
    let mut results = Vec::new();
    for id in &args.ids {
        let result = client.post(&format!("/v1/queue/{id}/{}", verb.name())).await;
        let error = match result {
            Ok(()) => None,
            Err(error @ super::ClientError::Refused { .. }) => Some(error.to_string()),
            Err(error) => return Err(error.into()),
        };
        results.push(Verdict { id: *id, error });
    }
    let failed = results.iter().filter(|result| result.error.is_some()).count();
    if args.read.json {
        output::json(&results)?;
    } else {
        for error in results.iter().filter_map(|result| result.error.as_ref()) {
            output::complain(error);
        }
        let done = count((results.len() - failed) as u64, "message");
        output::print(&match verb {
            MessageVerb::Release => format!("{done} queued for delivery again.\n"),
            MessageVerb::Bounce => format!("{done} given up; the sender is told.\n"),
            MessageVerb::Discard => format!("{done} removed.\n"),
        })?;
    }
    if failed == 0 { Ok(()) } else { Err(CliError::Said) }
}
