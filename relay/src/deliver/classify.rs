//! What a reply says about the server, the mailbox or the message. Pure.

use super::Stage;
use crate::smtp::{EnhancedCode, Reply};

/// What a reply to a step of a transaction means.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Taken.
    Accepted,
    /// 4.2.x: this mailbox, now.
    MailboxTransient,
    /// 4.7.x: a policy, such as a greylist or a rate limit.
    PolicyTransient,
    /// 4.3.x or 4.4.x: the server itself is not well.
    SystemTransient,
    /// 421: the server closes this session.
    ServiceClosing,
    /// Any other reply that is not final.
    OtherTransient,
    /// Final for this recipient or message.
    Permanent,
}

impl Class {
    /// Whether the step may succeed later.
    #[must_use]
    pub const fn is_transient(self) -> bool {
        !matches!(self, Self::Accepted | Self::Permanent)
    }
}

/// Judges a reply: by its enhanced code (RFC 3463) where it has one of the same class, by its basic code otherwise.
#[must_use]
pub fn classify(reply: &Reply, stage: Stage) -> Class {
    match reply.code {
        // Whatever its enhanced code: the session is over, and that is what matters.
        421 => Class::ServiceClosing,
        // TLS or a login is wanted. That is a matter between the two servers, found out by people: no message may bounce
        // for it.
        530 | 534 | 535 | 538 => Class::SystemTransient,
        // A parameter that is not implemented (RFC 5321 4.2.2) is no recipient's fault and no message's; Postfix says 504
        // of our EHLO name.
        504 => Class::SystemTransient,
        500..600 if is_about_us(reply) => Class::SystemTransient,
        // Too many recipients (RFC 5321 4.5.3.1.10), unless it says that the mailbox is full.
        552 if stage == Stage::Recipient && subject(reply).is_none_or(|subject| subject == 5) => Class::OtherTransient,
        354 if stage == Stage::Data => Class::Accepted,
        // A 2xx to DATA, or a 354 to anything else, is an answer to another question.
        200..300 if stage != Stage::Data => Class::Accepted,
        400..500 => transient(reply, stage),
        500..600 => Class::Permanent,
        _ => Class::OtherTransient,
    }
}

/// Whether a refusal is of this relay, its name or its address, as Postfix words it: told at RCPT, as most refusals are,
/// and no news of the recipient or the message. People mend it at one of the two servers, and no message may bounce for
/// it.
fn is_about_us(reply: &Reply) -> bool {
    // What was refused stands in angle brackets in front: a recipient's address must not pass for the reason.
    let reason = reply.text.rsplit('>').next().unwrap_or_default().to_ascii_lowercase();
    ["helo command rejected", "ehlo command rejected", "client host rejected", "need fully-qualified hostname"]
        .iter()
        .any(|words| reason.contains(words))
}

fn transient(reply: &Reply, stage: Stage) -> Class {
    match subject(reply) {
        Some(2) => Class::MailboxTransient,
        Some(3 | 4) => Class::SystemTransient,
        Some(7) => Class::PolicyTransient,
        Some(_) => Class::OtherTransient,
        None => basic(reply, stage),
    }
}

/// The second number of the enhanced code, where its first agrees with the basic code.
fn subject(reply: &Reply) -> Option<u16> {
    match reply.enhanced {
        Some(EnhancedCode(class, subject, _)) if u16::from(class) == reply.code / 100 => Some(subject),
        _ => None,
    }
}

fn basic(reply: &Reply, stage: Stage) -> Class {
    match reply.code {
        450 => Class::MailboxTransient,
        // Many greylists answer 451 without an enhanced code. Taken for a sick server, each would stop the drain.
        451 if says_greylist(reply) => Class::PolicyTransient,
        // To RCPT it means too many recipients (RFC 5321 4.5.3.1.10).
        452 if stage == Stage::Recipient => Class::OtherTransient,
        451 | 452 | 454 => Class::SystemTransient,
        _ => Class::OtherTransient,
    }
}

fn says_greylist(reply: &Reply) -> bool {
    let text = reply.text.to_ascii_lowercase();
    ["greylist", "graylist", "grey-list", "gray-list"].iter().any(|word| text.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_reply_has_its_class() {
        use Class::*;
        use Stage::*;
        for (code, enhanced, stage, expected) in [
            (250, None, Recipient, Accepted),
            (251, Some((2, 1, 5)), Recipient, Accepted),
            (354, None, Data, Accepted),
            (250, None, Data, OtherTransient),
            (354, None, Mail, OtherTransient),
            (334, None, Mail, OtherTransient),
            (421, None, Mail, ServiceClosing),
            (421, Some((4, 7, 0)), EndOfData, ServiceClosing),
            (450, None, Recipient, MailboxTransient),
            (450, Some((4, 7, 1)), Recipient, PolicyTransient),
            (450, Some((4, 1, 8)), Mail, OtherTransient),
            (450, Some((5, 7, 1)), Recipient, MailboxTransient),
            (451, None, Mail, SystemTransient),
            (451, Some((4, 7, 1)), Recipient, PolicyTransient),
            (451, Some((4, 3, 0)), EndOfData, SystemTransient),
            (451, Some((4, 4, 1)), Recipient, SystemTransient),
            (452, None, Mail, SystemTransient),
            (452, None, Recipient, OtherTransient),
            (452, Some((4, 5, 3)), Recipient, OtherTransient),
            (452, Some((4, 2, 2)), Recipient, MailboxTransient),
            (452, Some((4, 3, 1)), EndOfData, SystemTransient),
            (454, None, Mail, SystemTransient),
            (455, None, Mail, OtherTransient),
            (499, None, Mail, OtherTransient),
            (530, Some((5, 7, 0)), Mail, SystemTransient),
            (504, Some((5, 5, 2)), Recipient, SystemTransient),
            (504, None, Mail, SystemTransient),
            (550, Some((5, 1, 1)), Recipient, Permanent),
            (550, Some((4, 2, 2)), Recipient, Permanent),
            (552, None, Recipient, OtherTransient),
            (552, Some((5, 5, 3)), Recipient, OtherTransient),
            (552, Some((5, 2, 2)), Recipient, Permanent),
            (552, None, EndOfData, Permanent),
            (554, None, EndOfData, Permanent),
        ] {
            let reply = Reply::new(code, enhanced.map(|(a, b, c)| EnhancedCode(a, b, c)), "text");
            assert_eq!(classify(&reply, stage), expected, "{reply} at {stage}");
        }
    }

    #[test]
    fn a_refusal_of_this_relay_is_final_for_no_message() {
        for (code, text, expected) in [
            (504, "<vm>: Helo command rejected: need fully-qualified hostname", Class::SystemTransient),
            (501, "<a_b.example>: Helo command rejected: Invalid name", Class::SystemTransient),
            (550, "<mx1.example.net>: Helo command rejected: Host not found", Class::SystemTransient),
            (554, "<unknown[192.0.2.1]>: Client host rejected: Access denied", Class::SystemTransient),
            (554, "<bob@example.org>: Recipient address rejected: Access denied", Class::Permanent),
            (501, "<bob@>: Recipient address rejected: Bad recipient address syntax", Class::Permanent),
            (550, "<\"Helo command rejected\"@example.org>: Recipient address rejected: unknown", Class::Permanent),
        ] {
            for stage in [Stage::Mail, Stage::Recipient, Stage::Data] {
                assert_eq!(classify(&Reply::new(code, None, text), stage), expected, "{code} {text} at {stage}");
            }
        }
    }

    #[test]
    fn a_greylist_without_a_code_is_known_by_its_word() {
        for text in ["Greylisted, try again", "recipient is graylisted", "Grey-listing in action"] {
            assert_eq!(classify(&Reply::new(451, None, text), Stage::Recipient), Class::PolicyTransient, "{text}");
        }
    }
}
