//! What a server offers in its answer to EHLO (RFC 5321 4.1.1.1). Pure.

use crate::smtp::Reply;

/// What a server offered in its answer to EHLO.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// PIPELINING (RFC 2920).
    pub pipelining: bool,
    /// 8BITMIME (RFC 6152).
    pub eight_bit_mime: bool,
    /// SMTPUTF8 (RFC 6531).
    pub smtputf8: bool,
    /// STARTTLS (RFC 3207).
    pub starttls: bool,
    /// CHUNKING (RFC 3030).
    pub chunking: bool,
    /// DSN (RFC 3461).
    pub dsn: bool,
    /// SIZE (RFC 1870): none where it is not offered; zero where no limit is named.
    pub size: Option<u64>,
    /// ENHANCEDSTATUSCODES (RFC 2034).
    pub enhanced_status_codes: bool,
}

impl Capabilities {
    /// Reads the answer to EHLO: the lines after the first name one extension each, in any case. Unknown ones are
    /// skipped; a SIZE whose number cannot be read counts as one without a limit.
    #[must_use]
    pub fn parse(reply: &Reply) -> Self {
        let mut offered = Self::default();
        for line in reply.text.lines().skip(1) {
            // Old servers write `AUTH=LOGIN` and the like: the keyword ends at the first octet that cannot be in one.
            let end = line.find(|c: char| !c.is_ascii_alphanumeric() && c != '-').unwrap_or(line.len());
            let (keyword, parameters) = line.split_at(end);
            match keyword.to_ascii_uppercase().as_str() {
                "PIPELINING" => offered.pipelining = true,
                "8BITMIME" => offered.eight_bit_mime = true,
                "SMTPUTF8" => offered.smtputf8 = true,
                "STARTTLS" => offered.starttls = true,
                "CHUNKING" => offered.chunking = true,
                "DSN" => offered.dsn = true,
                "SIZE" => offered.size = Some(parameters.trim().parse().unwrap_or(0)),
                "ENHANCEDSTATUSCODES" => offered.enhanced_status_codes = true,
                _ => {}
            }
        }
        offered
    }
}

/// The name that a server gives itself: the first word of its greeting or of its answer to HELO or EHLO.
pub(super) fn server_name(reply: &Reply) -> &str {
    reply.text.split_whitespace().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Capabilities {
        Capabilities::parse(&Reply::new(250, None, text))
    }

    #[test]
    fn reads_what_servers_write() {
        let all = parse(
            "mx.example.org greets you\nPIPELINING\nsize 10240000\n8bitmime\nSMTPUTF8\nSTARTTLS\nCHUNKING\nDSN\n\
             ENHANCEDSTATUSCODES\nX-OTHER thing",
        );
        let every = Capabilities {
            pipelining: true,
            eight_bit_mime: true,
            smtputf8: true,
            starttls: true,
            chunking: true,
            dsn: true,
            size: Some(10_240_000),
            enhanced_status_codes: true,
        };
        assert_eq!(all, every);
    }

    #[test]
    fn odd_lists_offer_no_more_than_they_say() {
        for (text, expected) in [
            ("mx.example.org", Capabilities::default()),
            ("", Capabilities::default()),
            ("PIPELINING\nNOPIPELINING\nPIPELININGX\nAUTH=DSN", Capabilities::default()),
            ("mx\nSIZE", Capabilities { size: Some(0), ..Capabilities::default() }),
            ("mx\nSIZE a lot", Capabilities { size: Some(0), ..Capabilities::default() }),
            ("mx\nSIZE=77", Capabilities { size: Some(0), ..Capabilities::default() }),
            ("mx\nDSN \n", Capabilities { dsn: true, ..Capabilities::default() }),
        ] {
            assert_eq!(parse(text), expected, "{text:?}");
        }
    }
}
