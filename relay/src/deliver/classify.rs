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
    fn a_greylist_without_a_code_is_known_by_its_word() {
        for text in ["Greylisted, try again", "recipient is graylisted", "Grey-listing in action"] {
            assert_eq!(classify(&Reply::new(451, None, text), Stage::Recipient), Class::PolicyTransient, "{text}");
        }
    }
}
