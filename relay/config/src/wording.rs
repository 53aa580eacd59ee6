//! The reader's errors in a person's words: no Rust types, and what was expected before what was got.

use std::fmt;

use crate::{locate::Path, range::Range};

/// The reader's words, without the place and the path that `serde_yaml` puts around it.
pub(crate) fn bare(error: &serde_yaml::Error, path: &Path) -> String {
    let text = error.to_string();
    let text = match error.location() {
        Some(at) => {
            let suffix = format!(" at line {} column {}", at.line(), at.column());
            text.strip_suffix(&suffix).unwrap_or(&text).to_owned()
        }
        None => text,
    };
    let enclosing = std::iter::once(path.clone()).chain(path.parents()).map(|path| format!("{path}: "));
    enclosing.into_iter().find_map(|prefix| text.strip_prefix(&prefix)).unwrap_or(&text).to_owned()
}

/// What is wrong with the field of that path, in a person's words.
pub(crate) fn problem(bare: &str, path: &Path) -> String {
    reworded(bare, path).unwrap_or_else(|| bare.to_owned())
}

/// The field that is there twice, where that is what is wrong.
pub(crate) fn duplicate(bare: &str) -> Option<&str> {
    quoted(bare, "duplicate field `")
}

/// What was got in place of what was expected: in quotes, or `nothing`.
pub(crate) struct Got<'a>(pub(crate) &'a str);

impl fmt::Display for Got<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            "" => f.write_str("nothing"),
            text => write!(f, "{text:?}"),
        }
    }
}

fn reworded(text: &str, path: &Path) -> Option<String> {
    if let Some(rest) = text.strip_prefix("unknown field `") {
        let (unknown, known) = rest.split_once("`, expected ")?;
        let known = known.strip_prefix("one of ").unwrap_or(known);
        let hint = nearest(unknown, known).map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        return Some(format!("unknown field; expected one of {known}{hint}"));
    }
    if let Some(field) = quoted(text, "missing field `") {
        let example = EXAMPLES.iter().find(|(name, _)| *name == field)?.1;
        return Some(format!("missing field `{field}`; expected {field}: {example}"));
    }
    if let Some(rest) = text.strip_prefix("unknown variant `") {
        let (got, known) = rest.split_once("`, expected ")?;
        return Some(format!("expected {known}; got `{got}`"));
    }
    let rest = text.strip_prefix("invalid type: ").or_else(|| text.strip_prefix("invalid value: "))?;
    let (got, expected) = rest.rsplit_once(", expected ")?;
    Some(format!("expected {}; got {}", kind(expected, path), got_kind(got)))
}

/// What a field that must be there may hold.
const EXAMPLES: &[(&str, &str)] = &[
    ("contractVersion", "1"),
    ("hostname", "a domain name such as mx1.backup.example.net"),
    ("listeners", "a list of addresses, such as [{address: '[::]:25'}]"),
    ("address", "an IP address and a port, such as 0.0.0.0:25 or '[::]:25'"),
    ("spool", "a folder, such as {path: /var/lib/backupmx}"),
    ("path", "a folder, such as /var/lib/backupmx"),
    ("certificate", "a PEM file, such as /etc/backupmx/tls.crt"),
    ("key", "a PEM file, such as /etc/backupmx/tls.key"),
    ("tokenSha256", "64 hexadecimal digits (as sha256sum prints)"),
    ("name", "a text, unique in the document"),
    ("domains", "a list of domains, such as [example.org]"),
    ("primary", "the domains' own servers, such as {hosts: [{host: mail.example.org}]}"),
    ("hosts", "a list of servers, such as [{host: mail.example.org}]"),
    ("host", "a host name or an IP address, such as mail.example.org"),
];

/// The name between a prefix that ends in a backtick and the backtick at the end.
fn quoted<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    text.strip_prefix(prefix)?.strip_suffix('`')
}

/// A Rust type as what a person writes.
fn kind(expected: &str, path: &Path) -> String {
    let kind = match expected {
        "u8" | "u16" | "u32" | "u64" => {
            return Range::of(path).map_or_else(|| "a whole number".to_owned(), |range| range.to_string());
        }
        "a boolean" => "true or false",
        "a sequence" => "a list",
        "path string" => "a path",
        other if other.starts_with("struct ") => "fields, as `name: value`",
        other => other,
    };
    kind.to_owned()
}

fn got_kind(got: &str) -> &str {
    match got {
        "sequence" => "a list",
        "map" => "fields",
        "unit value" => "nothing",
        other => other,
    }
}

/// The known name that a wrong one was most likely meant to be: at most two letters apart, case ignored.
fn nearest<'a>(unknown: &str, known: &'a str) -> Option<&'a str> {
    let names = known.split('`').skip(1).step_by(2);
    let unknown = unknown.to_ascii_lowercase();
    let apart = |name: &str| distance(&unknown, &name.to_ascii_lowercase());
    names
        .map(|name| (apart(name), name))
        .filter(|(apart, name)| *apart <= 2 && *apart < name.len())
        .min()
        .map(|it| it.1)
}

/// Letters to add, take out or change to make one text of the other (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.chars().take(64).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, to) in b.iter().enumerate() {
            let change = diagonal + usize::from(from != *to);
            diagonal = row[j + 1];
            row[j + 1] = change.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distances() {
        for (a, b, apart) in
            [("", "abc", 3), ("abc", "", 3), ("abc", "abc", 0), ("maxage", "maxage", 0), ("host", "hots", 2)]
        {
            assert_eq!(distance(a, b), apart, "{a} {b}");
        }
    }

    #[test]
    fn a_typing_mistake_is_recognised_and_a_strange_word_is_not() {
        let known = "`maxAge`, `extendUntil`, `warnSenderAfter`";
        assert_eq!(nearest("max_age", known), Some("maxAge"));
        assert_eq!(nearest("extendUntill", known), Some("extendUntil"));
        assert_eq!(nearest("banana", known), None);
    }
}
