//! A report from its parts (RFC 6522): multipart/report with text for people, fields for programs, and the header.

use super::{Incident, NewReport, Occasion, ReportRequest, address, header, human, status, text, wants};
use crate::{
    message::{BodyType, Envelope, Notify, Origin, Recipient},
    smtp::{ForwardPath, ReversePath},
};

/// Makes the report, or none: for the null sender, about a report of ours, for a sender whose address names no domain,
/// and where no sender wants to be told of any of the recipients.
#[must_use]
pub fn compose(request: &ReportRequest<'_>) -> Option<NewReport> {
    let original = request.envelope;
    if original.sender.is_null() || matches!(original.origin, Origin::Report { .. }) {
        return None;
    }
    let path = address::report_recipient(&original.sender)?;
    let incidents: Vec<&Incident> = request
        .incidents
        .iter()
        .filter(|incident| original.recipients.get(incident.recipient).is_some_and(|r| wants(r, request.occasion)))
        .collect();
    if incidents.is_empty() {
        return None;
    }
    let smtputf8 = !path.as_str().is_ascii();
    let content = write(request, &incidents, &path);
    let envelope = Envelope {
        arrived: request.now,
        origin: Origin::Report { parent: request.parent, tenant: request.tenant.to_owned() },
        sender: ReversePath::default(),
        body: if content.is_ascii() { BodyType::SevenBit } else { BodyType::EightBitMime },
        smtputf8,
        ret: None,
        envid: None,
        // NEVER: nobody is to be told of what becomes of a report.
        recipients: vec![Recipient { path, notify: Some(Notify::default()), orcpt: None }],
        size: u64::try_from(content.len()).unwrap_or(u64::MAX),
    };
    Some(NewReport { envelope, content })
}

/// A part's own header fields, and its body with a CRLF at the end of the last line.
struct Part {
    fields: &'static str,
    body: Vec<u8>,
}

fn write(request: &ReportRequest<'_>, incidents: &[&Incident], to: &ForwardPath) -> Vec<u8> {
    let header = header::header_of(request.content);
    let parts = [
        human_part(human::part(request, incidents, header)),
        Part {
            fields: "Content-Type: message/delivery-status\r\nContent-Description: Delivery report\r\n",
            body: status::part(request, incidents).into_bytes(),
        },
        header_part(header, to),
    ];
    let boundary = boundary(request, &parts);
    let mut report = top(request, header, to, &boundary).into_bytes();
    report.extend_from_slice(b"This is a report on the delivery of a message, in the form of RFC 3464.\r\n");
    for part in &parts {
        report.extend_from_slice(format!("\r\n--{boundary}\r\n{}\r\n", part.fields).as_bytes());
        report.extend_from_slice(&part.body);
    }
    report.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    report
}

fn top(request: &ReportRequest<'_>, header: &[u8], to: &ForwardPath, boundary: &str) -> String {
    let hostname = request.hostname;
    let mut fields = text::field("Date", &request.now.rfc5322());
    fields.push_str(&text::field("From", &format!("Mail Delivery System <MAILER-DAEMON@{hostname}>")));
    fields.push_str(&text::field("To", &address::header_address(to)));
    fields.push_str(&text::field("Subject", human::subject(request.occasion)));
    fields.push_str(&text::field("Message-ID", &format!("<{}.{:016x}@{hostname}>", request.parent, request.token)));
    if let Some(id) = header::message_id(header) {
        fields.push_str(&text::field("In-Reply-To", id));
        fields.push_str(&text::field("References", id));
    }
    fields.push_str(&text::field("Auto-Submitted", "auto-replied"));
    fields.push_str(&text::field("MIME-Version", "1.0"));
    fields.push_str("Content-Type: multipart/report; report-type=delivery-status;\r\n");
    fields.push_str(&format!(" boundary=\"{boundary}\"\r\n\r\n"));
    fields
}

fn human_part(text: String) -> Part {
    if text::is_plain(text.as_bytes()) {
        Part { fields: "Content-Type: text/plain; charset=us-ascii\r\n", body: text.into_bytes() }
    } else {
        Part {
            fields: "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n",
            body: text::quoted_printable(text.as_bytes()),
        }
    }
}

/// The header that is given back: as it is where it is plain; in UTF-8 to a sender who has a UTF-8 address, and so reads
/// it; encoded otherwise, so that no server on the way needs 8BITMIME or SMTPUTF8 and no line is too long.
fn header_part(header: &[u8], to: &ForwardPath) -> Part {
    if text::is_plain(header) {
        return Part { fields: "Content-Type: text/rfc822-headers\r\n", body: header.to_vec() };
    }
    let is_utf8 = str::from_utf8(header).is_ok();
    if !to.as_str().is_ascii() && is_utf8 && text::has_plain_lines(header) {
        return Part {
            fields: "Content-Type: message/global-headers\r\nContent-Transfer-Encoding: 8bit\r\n",
            body: header.to_vec(),
        };
    }
    let fields = if is_utf8 {
        "Content-Type: text/rfc822-headers; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    } else {
        "Content-Type: text/rfc822-headers\r\nContent-Transfer-Encoding: quoted-printable\r\n"
    };
    Part { fields, body: text::quoted_printable(header) }
}

/// A boundary that is in none of the parts.
fn boundary(request: &ReportRequest<'_>, parts: &[Part]) -> String {
    let occasion = match request.occasion {
        Occasion::Failure => 'f',
        Occasion::Delay { .. } => 'd',
        Occasion::Relayed => 'r',
    };
    let mut attempt = request.token;
    loop {
        let boundary = format!("={occasion}_{}_{attempt:016x}", request.parent);
        if parts.iter().all(|part| memchr::memmem::find(&part.body, boundary.as_bytes()).is_none()) {
            return boundary;
        }
        attempt = attempt.wrapping_add(1);
    }
}
