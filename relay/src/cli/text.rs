//! Figures and strangers' texts as a person reads them. Pure.

use std::time::Duration;

use crate::clock::Timestamp;

/// A text that a stranger wrote, safe for a terminal: control characters (which could rewrite what is shown) and
/// directional overrides become `?`.
pub(super) fn printable(text: &str) -> String {
    let hidden = |c: char| matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    text.chars().map(|c| if c.is_control() || hidden(c) { '?' } else { c }).collect()
}

/// As [`printable`], line ends and tabs kept: for a message's header.
pub(super) fn printable_lines(octets: &[u8]) -> String {
    let text = String::from_utf8_lossy(octets);
    text.lines()
        .map(|line| line.split('\t').map(printable).collect::<Vec<_>>().join("\t"))
        .flat_map(|line| [line, "\n".to_owned()])
        .collect()
}

/// A length of time in its two largest units: `45s`, `12m`, `3h 20m`, `6d 4h`.
pub(super) fn span(span: Duration) -> String {
    let seconds = span.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, 0) => format!("{hours}h"),
        (0, hours, minutes) => format!("{hours}h {minutes}m"),
        (days, 0, _) => format!("{days}d"),
        (days, hours, _) => format!("{days}d {hours}h"),
    }
}

/// How long ago an RFC 3339 moment was; the text itself where it is none.
pub(super) fn age(moment: &str, now: Timestamp) -> String {
    Timestamp::from_rfc3339(moment).map_or_else(|| printable(moment), |then| span(now.since(then)))
}

/// How far ahead an RFC 3339 moment is: `in 5m`, or `now`.
pub(super) fn ahead(moment: &str, now: Timestamp) -> String {
    match Timestamp::from_rfc3339(moment) {
        Some(then) if then > now => format!("in {}", span(then.since(now))),
        Some(_) => "now".to_owned(),
        None => printable(moment),
    }
}

/// Bytes with at most one decimal: `512 B`, `1.5 KiB`, `20 GiB`.
pub(super) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    if bytes < 1024 {
        return format!("{bytes} B");
    }
    // Tenths of the unit, so that no float is needed.
    let mut tenths = u128::from(bytes) * 10 / 1024;
    let mut unit = 0;
    while tenths >= 10_240 && unit + 1 < UNITS.len() {
        tenths /= 1024;
        unit += 1;
    }
    match tenths {
        0..100 if !tenths.is_multiple_of(10) => format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[unit]),
        _ => format!("{} {}", tenths / 10, UNITS[unit]),
    }
}

/// A count and its noun: `1 message`, `2 messages`.
pub(super) fn count(count: u64, noun: &str) -> String {
    if count == 1 { format!("1 {noun}") } else { format!("{count} {noun}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_cannot_write_to_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\r\n\u{202e}c\u{9b}d"), "a?[2Jb???c?d");
        assert_eq!(printable("bücher@例え.example"), "bücher@例え.example");
        assert_eq!(printable_lines(b"Subject: a\x1bb\r\n\tfolded\r\n"), "Subject: a?b\n\tfolded\n");
    }

    #[test]
    fn spans_have_two_units() {
        for (seconds, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3600, "1h"),
            (12_000, "3h 20m"),
            (86_399, "23h 59m"),
            (532_800, "6d 4h"),
        ] {
            assert_eq!(span(Duration::from_secs(seconds)), text);
        }
    }

    #[test]
    fn moments_are_told_from_now() {
        let now = Timestamp::from_rfc3339("2026-01-01T01:00:00Z").unwrap();
        assert_eq!(age("2026-01-01T00:00:00Z", now), "1h");
        assert_eq!(ahead("2026-01-01T01:05:00Z", now), "in 5m");
        assert_eq!(ahead("2026-01-01T00:00:00Z", now), "now");
        assert_eq!(age("\u{1b}", now), "?");
    }

    #[test]
    fn sizes_are_short() {
        for (bytes, text) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (1024, "1 KiB"),
            (1536, "1.5 KiB"),
            (10 << 20, "10 MiB"),
            ((10 << 20) + (1 << 19), "10 MiB"),
            (u64::MAX, "16383 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }
}
