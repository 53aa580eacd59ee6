//! The part for programs: `message/delivery-status` (RFC 3464 2).

use backupmx_relay_config::Host;

use super::{Cause, Incident, Occasion, ReportRequest, address, text};
use crate::{
    message::Speaker,
    smtp::{EnhancedCode, Reply},
};

/// The fields of the message, then those of each recipient, all ASCII.
pub(super) fn part(request: &ReportRequest<'_>, incidents: &[&Incident]) -> String {
    let envelope = request.envelope;
    let mut part = text::field("Reporting-MTA", &format!("dns; {}", request.hostname));
    if let Some(id) = envelope.envid.as_ref().and_then(address::envelope_id) {
        part.push_str(&text::field("Original-Envelope-Id", &id));
    }
    part.push_str(&text::field("Arrival-Date", &envelope.arrived.rfc5322()));
    for incident in incidents {
        let Some(recipient) = envelope.recipients.get(incident.recipient) else { continue };
        part.push_str("\r\n");
        if let Some(original) = recipient.orcpt.as_ref().and_then(address::original_recipient) {
            part.push_str(&text::field("Original-Recipient", &original));
        }
        part.push_str(&text::field("Final-Recipient", &address::final_recipient(&recipient.path)));
        part.push_str(&text::field("Action", action(request.occasion)));
        part.push_str(&text::field("Status", &code(&incident.cause).to_string()));
        // Words of ours are no other server's (RFC 3464 2.3.5).
        if let Some(remote) = incident.remote.as_ref().filter(|_| incident.speaker == Speaker::Destination) {
            part.push_str(&text::field("Remote-MTA", &remote_mta(remote)));
        }
        if let Some(reply) = incident.cause.reply() {
            part.push_str(&text::field("Diagnostic-Code", &format!("smtp; {}", diagnostic(reply))));
        }
        if let Some(last) = incident.last_attempt {
            part.push_str(&text::field("Last-Attempt-Date", &last.rfc5322()));
        }
        if let Occasion::Delay { retry_until } = request.occasion {
            part.push_str(&text::field("Will-Retry-Until", &retry_until.rfc5322()));
        }
    }
    part
}

/// A reply on one ASCII line.
pub(super) fn diagnostic(reply: &Reply) -> String {
    text::one_ascii_line(&reply.to_string())
}

const fn action(occasion: Occasion) -> &'static str {
    match occasion {
        Occasion::Failure => "failed",
        Occasion::Delay { .. } => "delayed",
        Occasion::Relayed => "relayed",
    }
}

/// The status code (RFC 3463) of a cause.
///
/// An expired recipient has failed, and yet its code is 4.4.7 (delivery time expired): RFC 3464 2.3.4 asks for the code
/// that tells best what happened, and nothing about it was permanent. Where the server gave no enhanced code, or one of
/// another class than its reply, the class of the reply stands for itself.
pub(super) fn code(cause: &Cause) -> EnhancedCode {
    match cause {
        Cause::Rejected(reply) => from_reply(reply, 5),
        Cause::Expired(_) => EnhancedCode(4, 4, 7),
        Cause::GivenUp(reply) => reply
            .as_ref()
            .filter(|reply| reply.is_permanent())
            .map_or(EnhancedCode(5, 0, 0), |reply| from_reply(reply, 5)),
        Cause::Delayed(Some(reply)) => from_reply(reply, 4),
        Cause::Delayed(None) => EnhancedCode(4, 4, 1),
        Cause::Relayed(Some(reply)) => from_reply(reply, 2),
        Cause::Relayed(None) => EnhancedCode(2, 0, 0),
    }
}

fn from_reply(reply: &Reply, class: u8) -> EnhancedCode {
    reply.enhanced.filter(|code| code.0 == class && code.1 <= 999 && code.2 <= 999).unwrap_or(EnhancedCode(class, 0, 0))
}

fn remote_mta(remote: &Host) -> String {
    match remote {
        Host::Name(name) => format!("dns; {name}"),
        Host::Address(std::net::IpAddr::V4(address)) => format!("dns; [{address}]"),
        Host::Address(std::net::IpAddr::V6(address)) => format!("dns; [IPv6:{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_fit_their_class() {
        let reply = |code, enhanced| Reply::new(code, enhanced, "text");
        let unknown_user = EnhancedCode(5, 1, 1);
        for (cause, status) in [
            (Cause::Rejected(reply(550, Some(unknown_user))), "5.1.1"),
            (Cause::Rejected(reply(550, None)), "5.0.0"),
            (Cause::Rejected(reply(550, Some(EnhancedCode(4, 2, 2)))), "5.0.0"),
            (Cause::Rejected(reply(550, Some(EnhancedCode(5, 1000, 2)))), "5.0.0"),
            (Cause::Expired(None), "4.4.7"),
            (Cause::Expired(Some(reply(451, Some(EnhancedCode(4, 3, 0))))), "4.4.7"),
            (Cause::GivenUp(None), "5.0.0"),
            (Cause::GivenUp(Some(reply(550, Some(unknown_user)))), "5.1.1"),
            (Cause::GivenUp(Some(reply(450, Some(EnhancedCode(4, 2, 0))))), "5.0.0"),
            (Cause::Delayed(None), "4.4.1"),
            (Cause::Delayed(Some(reply(450, Some(EnhancedCode(4, 2, 0))))), "4.2.0"),
            (Cause::Delayed(Some(reply(451, None))), "4.0.0"),
            (Cause::Relayed(Some(reply(250, Some(EnhancedCode(2, 6, 0))))), "2.6.0"),
            (Cause::Relayed(Some(reply(250, None))), "2.0.0"),
            (Cause::Relayed(None), "2.0.0"),
        ] {
            assert_eq!(code(&cause).to_string(), status, "{cause:?}");
        }
    }
}
