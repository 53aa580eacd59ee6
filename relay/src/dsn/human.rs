//! The part for people: what happened, to whom, what the server said, and what can be done, in plain words.

use std::time::Duration;

use super::{Cause, Incident, Occasion, ReportRequest, header, status, text};
use crate::{
    message::Speaker,
    smtp::{EnhancedCode, Reply},
};

/// Recipients that are named here; the part for programs names all of them.
const NAMED: usize = 50;

/// The subject of a report.
pub(super) const fn subject(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Failure => "Your message could not be delivered",
        Occasion::Delay { .. } => "Your message is late; delivery is still being tried",
        Occasion::Relayed => "Your message was handed to the recipient's mail server",
    }
}

/// The text, with CRLF line ends; ASCII unless an address or a reply is not.
pub(super) fn part(request: &ReportRequest<'_>, incidents: &[&Incident], header: &[u8]) -> String {
    let mut part = String::new();
    let mut say = |words: &str| {
        part.push_str(&text::paragraph(words, ""));
        part.push_str("\r\n");
    };
    say(&format!("This is the mail system {}, a backup mail server of the people you wrote to.", request.hostname));
    match request.occasion {
        Occasion::Failure => say("Your message could not be delivered to:"),
        Occasion::Delay { .. } => {
            say("This is only a warning. You do not need to send your message again.");
            say("Your message has not been delivered yet to:");
        }
        Occasion::Relayed => {
            say("You asked to be told when your message is delivered. It was handed to the mail server of:");
        }
    }
    for incident in incidents.iter().take(NAMED) {
        let Some(recipient) = request.envelope.recipients.get(incident.recipient) else { continue };
        part.push_str(&text::paragraph(recipient.path.as_str(), "    "));
        part.push_str(&text::paragraph(&explanation(request, incident), "        "));
        if let Some(reply) = incident.cause.reply() {
            part.push_str(&text::paragraph(&quoted(reply), "        "));
        }
        part.push_str("\r\n");
    }
    let mut say = |words: &str| {
        part.push_str(&text::paragraph(words, ""));
        part.push_str("\r\n");
    };
    if let Some(more) = incidents.len().checked_sub(NAMED).filter(|more| *more > 0) {
        say(&format!("and to {more} more, listed in the second part of this report."));
    }
    match request.occasion {
        Occasion::Failure => {
            say("What you can do:");
            for advice in advices(incidents) {
                say(advice);
            }
        }
        Occasion::Delay { retry_until } => say(&format!(
            "It is kept safe and delivery goes on being tried until {}. If it can't be delivered by then, you will be \
             told.",
            retry_until.rfc5322()
        )),
        Occasion::Relayed => say("You need not do anything."),
    }
    let named = header::subject(header).map(|subject| format!(" \"{subject}\"")).unwrap_or_default();
    say(&format!(
        "We received your message{named} on {}. Its header is at the end of this report; its text is not sent back.",
        request.envelope.arrived.rfc5322()
    ));
    part
}

fn explanation(request: &ReportRequest<'_>, incident: &Incident) -> String {
    let waited = || span(request.now.since(request.envelope.arrived));
    if incident.speaker == Speaker::Us && incident.cause.reply().is_some() {
        return format!("It was not handed to the recipient's mail server in {}, and this is why:", waited());
    }
    match &incident.cause {
        Cause::Rejected(_) => "The recipient's mail server refused it. It said:".to_owned(),
        Cause::Expired(None) => {
            format!("The recipient's mail server could not be reached. We tried for {}.", waited())
        }
        Cause::Expired(Some(_)) => {
            format!("The recipient's mail server did not take it. We tried for {}. It last said:", waited())
        }
        Cause::GivenUp(None) => "The people who run this mail system have stopped trying to deliver it.".to_owned(),
        Cause::GivenUp(Some(_)) => "The people who run this mail system have stopped trying to deliver it. The \
                                    recipient's mail server last said:"
            .to_owned(),
        Cause::Relayed(None) => "That server took it, and sends no reports of deliveries.".to_owned(),
        Cause::Relayed(Some(_)) => "That server took it, and sends no reports of deliveries. It said:".to_owned(),
        Cause::Delayed(None) => {
            format!("The recipient's mail server can't be reached. We have tried for {}.", waited())
        }
        Cause::Delayed(Some(_)) => {
            format!("The recipient's mail server does not take it yet. We have tried for {}. It last said:", waited())
        }
    }
}

fn quoted(reply: &Reply) -> String {
    text::one_line(&reply.to_string())
}

/// One advice for each kind of failure, in the order of the recipients.
fn advices(incidents: &[&Incident]) -> Vec<&'static str> {
    let mut advices = Vec::new();
    for incident in incidents {
        let advice = advice(&incident.cause);
        if !advices.contains(&advice) {
            advices.push(advice);
        }
    }
    advices
}

fn advice(cause: &Cause) -> &'static str {
    match (cause, status::code(cause)) {
        (Cause::Expired(_), _) => {
            "- Where the server could not be reached or did not take the message in time: send it again later, or reach \
             the recipient in another way."
        }
        (_, EnhancedCode(_, 1, 0..=3 | 6)) => {
            "- Where the server does not know the recipient: check the address for a typing mistake, or ask the \
             recipient for the right one."
        }
        (_, EnhancedCode(_, 2, 2)) => {
            "- Where the recipient's mailbox is full: send the message again later, or reach the recipient in another way."
        }
        (_, EnhancedCode(_, 2 | 3, 3 | 4)) => {
            "- Where the message is too large: send it again without its attachments, or in parts."
        }
        (_, EnhancedCode(_, 7, _)) => {
            "- Where the server refused the message by its rules: its answer above may say why. Reach the recipient in \
             another way, and show your own mail administrator this report."
        }
        _ => {
            "- Where the server refused the message: its answer above may say why. Check the address, or reach the \
             recipient in another way."
        }
    }
}

/// A length of time in words, rounded down to its largest unit.
fn span(span: Duration) -> String {
    let minutes = span.as_secs() / 60;
    let (count, unit) = match minutes {
        0..60 => (minutes.max(1), "minute"),
        60..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    if count == 1 { format!("1 {unit}") } else { format!("{count} {unit}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_said_as_people_say_them() {
        for (seconds, words) in
            [(0, "1 minute"), (150, "2 minutes"), (3600, "1 hour"), (90_000, "25 hours"), (7 * 86_400, "7 days")]
        {
            assert_eq!(span(Duration::from_secs(seconds)), words);
        }
    }
}
