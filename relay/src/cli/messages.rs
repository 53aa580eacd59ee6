//! Held messages as a person reads them. Pure.

use super::{
    output::{self, Mood, Style, Value, plain},
    text::{age, ahead, printable, size},
};
use crate::{
    admin::{MessageView, OutcomeView, Page, RecipientView},
    clock::Timestamp,
    message::Standing,
};

/// A page as a table; nothing into a pipe where no mail is held.
pub(super) fn listing(page: &Page, now: Timestamp, style: Style) -> String {
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
    // Those that it is kept for.
    let matters = match message.state {
        Standing::Parked => OutcomeView::Unreported,
        Standing::Queued | Standing::Rejected | Standing::Withheld | Standing::Looping => OutcomeView::Pending,
    };
    let waiting: Vec<&RecipientView> =
        message.recipients.iter().filter(|recipient| recipient.outcome == matters).collect();
    let recipients = match waiting.as_slice() {
        [] => "-".to_owned(),
        [one] => printable(&one.address),
        [first, rest @ ..] => format!("{} +{}", printable(&first.address), rest.len()),
    };
    let answer = waiting.iter().rev().find_map(|recipient| recipient.answer.as_deref());
    let answer = message.damage.as_deref().or(answer).or(message.untold.as_deref());
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
        (false, Standing::Queued) if message.looping_primary => ("queued, loop", Mood::Bad),
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
        _ if message.damage.is_some() => "-".to_owned(),
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

/// One message, with a table of its recipients.
pub(super) fn show(message: &MessageView, now: Timestamp, style: Style) -> String {
    let mut lines =
        vec![("message", message.id.to_string()), ("state", format!("{}{}", state(message).0, waits_for(message)))];
    if let Some(untold) = &message.untold {
        lines.push(("not told", format!("the sender: {}", printable(untold))));
    }
    lines.extend([
        ("arrived", format!("{} ({} ago)", printable(&message.arrived), age(&message.arrived, now))),
        ("size", size(message.size)),
        ("sender", sender(message)),
        ("tenant", message.tenant.as_deref().map_or_else(|| "none".to_owned(), printable)),
        ("tries", message.attempts.to_string()),
        ("next try", next(message, now)),
    ]);
    if let Some(expires) = &message.expires {
        let left = Timestamp::from_rfc3339(expires).filter(|end| *end > now).map(|_| ahead(expires, now));
        let left = left.unwrap_or_else(|| "over".to_owned());
        lines.push(("held until", format!("{} ({left})", printable(expires))));
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
        Standing::Queued if message.looping_primary => {
            "; its primary is this relay itself: waits until that is put right"
        }
        Standing::Queued => ", waits for its destination",
        Standing::Rejected => ", waits for a person: release, bounce or discard it",
        Standing::Withheld => ", rejected by a destination on trial: waits until the trial ends",
        Standing::Looping => ", it goes in a circle and waits for a person: release, bounce or discard it",
        Standing::Parked => ", undeliverable, and no report goes out: release, bounce or discard it",
    }
}

fn recipient_row(recipient: &RecipientView) -> Vec<Value> {
    let outcome = match recipient.outcome {
        OutcomeView::Pending => ("pending", Mood::Plain),
        OutcomeView::Delivered => ("delivered", Mood::Good),
        OutcomeView::Failed => ("failed", Mood::Bad),
        OutcomeView::Unreported => ("failed, sender not told", Mood::Bad),
    };
    vec![
        plain(printable(&recipient.address)),
        (outcome.0.to_owned(), outcome.1),
        plain(recipient.answer.as_deref().map_or_else(|| "-".to_owned(), printable)),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{admin::ClientView, cli::output::Colours, message::MessageId};

    fn now() -> Timestamp {
        Timestamp::from_rfc3339("2026-01-01T02:00:00Z").unwrap()
    }

    fn message() -> MessageView {
        let recipient = |address: &str, outcome, answer: Option<&str>| RecipientView {
            address: address.to_owned(),
            outcome,
            answer: answer.map(ToOwned::to_owned),
        };
        MessageView {
            id: MessageId::from_u64(33),
            arrived: "2026-01-01T00:00:00Z".to_owned(),
            size: 1536,
            domain: "example.org".to_owned(),
            tenant: Some("example".to_owned()),
            state: Standing::Queued,
            busy: false,
            looping_primary: false,
            attempts: 2,
            due: Some("2026-01-01T02:05:00Z".to_owned()),
            expires: Some("2026-01-08T00:00:00Z".to_owned()),
            untold: None,
            sender: "ann@sender.example".to_owned(),
            recipients: vec![
                recipient("bob@example.org", OutcomeView::Delivered, Some("250 2.0.0 ok")),
                recipient("eve@example.org", OutcomeView::Pending, Some("451 4.7.1 later\u{1b}[2J")),
                recipient("joe@example.org", OutcomeView::Pending, None),
            ],
            client: Some(ClientView {
                address: [192, 0, 2, 7].into(),
                name: None,
                helo: "mail.sender.example".to_owned(),
                tls: Some("TLSv1.3".to_owned()),
                spf: None,
            }),
            report_on: None,
            damage: None,
        }
    }

    #[test]
    fn a_listing_has_a_line_for_each_message() {
        let parked = MessageView {
            state: Standing::Parked,
            sender: String::new(),
            recipients: vec![RecipientView {
                address: "joe@example.org".to_owned(),
                outcome: OutcomeView::Unreported,
                answer: None,
            }],
            due: None,
            untold: Some("it has the null sender".to_owned()),
            ..message()
        };
        let damaged = MessageView {
            damage: Some("bad checksum".to_owned()),
            state: Standing::Queued,
            recipients: Vec::new(),
            ..parked.clone()
        };
        let up = MessageView { due: None, busy: true, ..message() };
        let page = Page { messages: vec![message(), parked, damaged, up], next: Some(MessageId::from_u64(9)) };
        let expected = "\
ID           AGE  SIZE     STATE       TRIES  NEXT TRY  SENDER              RECIPIENTS          LAST ANSWER
00000000011  2h   1.5 KiB  queued      2      in 5m     ann@sender.example  eve@example.org +1  451 4.7.1 later?[2J
00000000011  2h   1.5 KiB  parked      2      -         <>                  joe@example.org     it has the null sender
00000000011  2h   1.5 KiB  damaged     2      -         ?                   -                   bad checksum
00000000011  2h   1.5 KiB  delivering  2      when up   ann@sender.example  eve@example.org +1  451 4.7.1 later?[2J
";
        assert_eq!(listing(&page, now(), Style::Plain), expected);
        let drawn = listing(&page, now(), Style::Terminal(Colours::Off));
        assert!(drawn.ends_with("These are the 4 oldest; --limit shows more.\n"), "{drawn}");
        assert!(!drawn.contains('\u{1b}'), "no colours were wanted");
    }

    #[test]
    fn an_empty_queue_is_told_to_a_person_only() {
        let empty = Page { messages: Vec::new(), next: None };
        assert_eq!(listing(&empty, now(), Style::Plain), "");
        assert_eq!(listing(&empty, now(), Style::Terminal(Colours::On)), "No mail is held.\n");
    }

    #[test]
    fn a_message_is_shown_with_each_recipient() {
        let expected = "\
message     00000000011
state       queued, waits for its destination
arrived     2026-01-01T00:00:00Z (2h ago)
size        1.5 KiB
sender      ann@sender.example
tenant      example
tries       2
next try    in 5m
held until  2026-01-08T00:00:00Z (in 6d 22h)
client      192.0.2.7 (no name), said mail.sender.example, TLSv1.3

RECIPIENT        OUTCOME    LAST ANSWER
bob@example.org  delivered  250 2.0.0 ok
eve@example.org  pending    451 4.7.1 later?[2J
joe@example.org  pending    -
";
        assert_eq!(show(&message(), now(), Style::Plain), expected);
        let late = MessageView { expires: Some("2026-01-01T01:00:00Z".to_owned()), ..message() };
        assert!(show(&late, now(), Style::Plain).contains("2026-01-01T01:00:00Z (over)"));
        let untold = Some("it has the null sender".to_owned());
        let parked = show(&MessageView { state: Standing::Parked, untold, ..message() }, now(), Style::Plain);
        assert!(parked.contains("not told    the sender: it has the null sender\n"), "{parked}");
    }
}
