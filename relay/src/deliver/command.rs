//! The commands of a transaction, with no parameter that the server did not offer. Pure.
//!
//! Paths, ENVID and ORCPT go out byte for byte as they came in: they were checked at receipt.

use std::fmt::Write as _;

use super::Capabilities;
use crate::message::{BodyType, Envelope, Notify, Recipient, ReportContent};

/// The MAIL command, with its CRLF. `size` is what SIZE declares: content and trace field, in octets.
pub(super) fn mail(envelope: &Envelope, offered: &Capabilities, size: u64) -> String {
    let mut line = format!("MAIL FROM:<{}>", envelope.sender.as_str());
    // Writing to a String cannot fail.
    if offered.size.is_some() {
        let _ = write!(line, " SIZE={size}");
    }
    if offered.eight_bit_mime && envelope.body == BodyType::EightBitMime {
        line.push_str(" BODY=8BITMIME");
    }
    if offered.smtputf8 && envelope.smtputf8 {
        line.push_str(" SMTPUTF8");
    }
    if offered.dsn {
        match envelope.ret {
            Some(ReportContent::Full) => line.push_str(" RET=FULL"),
            Some(ReportContent::Headers) => line.push_str(" RET=HDRS"),
            None => {}
        }
        if let Some(envid) = &envelope.envid {
            let _ = write!(line, " ENVID={}", envid.as_str());
        }
    }
    line.push_str("\r\n");
    line
}

/// A RCPT command, with its CRLF.
pub(super) fn recipient(recipient: &Recipient, offered: &Capabilities) -> String {
    let mut line = format!("RCPT TO:<{}>", recipient.path.as_str());
    if offered.dsn {
        if let Some(notify) = recipient.notify {
            let _ = write!(line, " NOTIFY={}", notify_value(notify));
        }
        if let Some(orcpt) = &recipient.orcpt {
            let _ = write!(line, " ORCPT={}", orcpt.as_str());
        }
    }
    line.push_str("\r\n");
    line
}

fn notify_value(notify: Notify) -> String {
    let chosen: Vec<&str> = [(notify.success, "SUCCESS"), (notify.failure, "FAILURE"), (notify.delay, "DELAY")]
        .into_iter()
        .filter_map(|(wanted, word)| wanted.then_some(word))
        .collect();
    if chosen.is_empty() { "NEVER".to_owned() } else { chosen.join(",") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{deliver::fake::envelope, smtp::XText};

    fn everything() -> Capabilities {
        Capabilities {
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            starttls: true,
            chunking: true,
            dsn: true,
            size: Some(0),
            enhanced_status_codes: true,
        }
    }

    #[test]
    fn parameters_go_only_to_servers_that_offer_them() {
        let mut envelope = envelope("a@example.net", &["\"o'b r\"@example.org"]);
        envelope.body = BodyType::EightBitMime;
        envelope.smtputf8 = true;
        envelope.ret = Some(ReportContent::Headers);
        envelope.envid = Some(XText::envid("QQ+2B314").unwrap());
        envelope.recipients[0].notify = Some(Notify { success: true, failure: false, delay: true });
        envelope.recipients[0].orcpt = Some(XText::orcpt("rfc822;o'b+20r@example.org").unwrap());

        let none = Capabilities::default();
        assert_eq!(mail(&envelope, &none, 99), "MAIL FROM:<a@example.net>\r\n");
        assert_eq!(recipient(&envelope.recipients[0], &none), "RCPT TO:<\"o'b r\"@example.org>\r\n");

        assert_eq!(
            mail(&envelope, &everything(), 99),
            "MAIL FROM:<a@example.net> SIZE=99 BODY=8BITMIME SMTPUTF8 RET=HDRS ENVID=QQ+2B314\r\n"
        );
        assert_eq!(
            recipient(&envelope.recipients[0], &everything()),
            "RCPT TO:<\"o'b r\"@example.org> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;o'b+20r@example.org\r\n"
        );
    }

    #[test]
    fn a_plain_message_has_no_parameters_but_its_size() {
        let mut envelope = envelope("", &["b@example.org"]);
        assert_eq!(mail(&envelope, &everything(), 7), "MAIL FROM:<> SIZE=7\r\n");
        assert_eq!(recipient(&envelope.recipients[0], &everything()), "RCPT TO:<b@example.org>\r\n");
        envelope.ret = Some(ReportContent::Full);
        envelope.recipients[0].notify = Some(Notify::default());
        assert_eq!(mail(&envelope, &everything(), 7), "MAIL FROM:<> SIZE=7 RET=FULL\r\n");
        assert_eq!(recipient(&envelope.recipients[0], &everything()), "RCPT TO:<b@example.org> NOTIFY=NEVER\r\n");
    }
}
