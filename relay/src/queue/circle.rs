//! Mail that is found to go in a circle when it is to be delivered. What goes in one when it comes is refused then; this
//! is mail that was taken under another name of ours, or with another `limits.receivedLines`.

use bytes::Bytes;

use super::{Context, route::Plan};
use crate::{
    dsn::HEADER_LIMIT,
    message::{Envelope, MessageId},
    smtp::{EnhancedCode, Reply, TraceScan},
    spool::Content,
};

/// What is held against a message that goes in a circle, in the form of a reply (RFC 3463: 5.4.6 is a routing loop).
pub(super) fn circle(
    context: &Context,
    plan: &Plan,
    id: MessageId,
    envelope: &Envelope,
    content: &Content,
) -> Option<Reply> {
    let header = match content {
        Content::Memory(octets) => octets.clone(),
        // One that can't be read now is found out when it is sent.
        Content::File(..) => context.spool.head(id, HEADER_LIMIT).unwrap_or_else(|_| Bytes::new()),
    };
    is_circle(plan, envelope, &header).then(|| {
        let text = format!("{}: the message goes in a circle (too many Received fields)", plan.settings.helo);
        Reply::new(554, Some(EnhancedCode(5, 4, 6)), text)
    })
}

fn is_circle(plan: &Plan, envelope: &Envelope, header: &[u8]) -> bool {
    let mut scan = TraceScan::new(plan.settings.helo.as_str());
    scan.push(header);
    scan.finish();
    scan.is_circle(plan.received_lines, envelope.recipients.iter().map(|recipient| recipient.path.domain().as_str()))
}
