//! Every kind of wrong document, and what is said of it.

use proptest::prelude::*;

use super::*;
use crate::{Limits, Span, examples};

const BASE: &str = "\
contractVersion: 1
hostname: mx.example
listeners:
  - address: 127.0.0.1:25
spool:
  path: /s
tenants:
  - name: a
    domains:
      - example.org
      - example.net
    primary:
      hosts:
        - host: mail.example.org
          port: 25
    hold:
      maxAge: 7d
";

/// A part of [`BASE`], what is written instead, and the error's text.
const WRONG: &[(&str, &str, &str)] = &[
    // Not this form at all.
    (BASE, "", "line 1: missing field `contractVersion`; expected contractVersion: 1"),
    (BASE, "- a\n", "line 1: expected fields, as `name: value`; got a list"),
    (BASE, "text", "line 1: expected fields, as `name: value`; got string \"text\""),
    (
        BASE,
        "\tx: 1",
        "line 1: expected YAML or JSON: lines indented by spaces, not by tabs; found character that cannot start any \
        token, while scanning for the next token",
    ),
    (
        "  path: /s",
        "  path: /s\n\tsize: 1Gi",
        "line 7: spool.path: expected YAML or JSON: lines indented by spaces, not by tabs; found a tab character that \
        violates indentation, while scanning a plain scalar",
    ),
    (
        "    hold:\n",
        "    accept: @x\n    hold:\n",
        "line 16: tenants[0].accept: expected YAML or JSON: fields as `name: value`, lists as `- value`, a text with \
        special characters in quotes; found character that cannot start any token, while scanning for the next token",
    ),
    (
        "    hold:\n",
        "    hold\n",
        "line 16: tenants[0]: expected YAML or JSON: fields as `name: value`, lists as `- value`, a text with special \
        characters in quotes; could not find expected ':', while scanning a simple key",
    ),
    (
        "      - example.net",
        "      - \"example.net",
        "line 11: tenants[0].domains: expected YAML or JSON: fields as `name: value`, lists as `- value`, a text with special \
        characters in quotes; found unexpected end of stream, while scanning a quoted scalar",
    ),
    ("maxAge: 7d\n", "maxAge: 7d\n---\na: b\n", "line 18: expected one document; got several, with `---` between them"),
    // Fields.
    (
        "hostname: mx.example\n",
        "",
        "line 1: missing field `hostname`; expected hostname: a domain name such as mx1.backup.example.net",
    ),
    (
        "path: /s",
        "size: 1Gi",
        "line 6: spool: missing field `path`; expected path: a folder, such as /var/lib/backupmx",
    ),
    (
        "hostname: mx.example",
        "hostname: mx.example\nhostname: b",
        "line 3: hostname: expected it once; it is written twice",
    ),
    (
        "hostname: mx.example",
        "revision: 1\nhostname: mx.example\nrevision: 2",
        "line 4: revision: expected it once; it is written twice",
    ),
    (
        "    hold:\n      maxAge: 7d\n",
        "    hold:\n      maxAge: 7d\n    hold:\n      maxAge: 8d\n",
        "line 18: tenants[0].hold: expected it once; it is written twice",
    ),
    (
        "maxAge: 7d",
        "maxage: 7d",
        "line 17: tenants[0].hold.maxage: unknown field; expected one of `maxAge`, \
        `extendUntil`, `warnSenderAfter`; did you mean `maxAge`?",
    ),
    (
        "maxAge: 7d",
        "x: 1",
        "line 17: tenants[0].hold.x: unknown field; expected one of `maxAge`, `extendUntil`, \
        `warnSenderAfter`",
    ),
    ("path: /s", "path: /s\n  5: x", "line 7: spool.5: unknown field; expected one of `path`, `size`, `segmentSize`"),
    (
        "contractVersion: 1",
        "contractVersion: 2",
        "line 1: contractVersion: expected 1, the form that this build reads; \
        got 2",
    ),
    ("contractVersion: 1", "contractVersion: one", "line 1: contractVersion: expected 1; got string \"one\""),
    // Fields, lists and scalars in each other's place.
    ("spool:\n  path: /s", "spool: /s", "line 5: spool: expected fields, as `name: value`; got string \"/s\""),
    (
        "  - address: 127.0.0.1:25",
        "  - 127.0.0.1:25",
        "line 4: listeners[0]: expected fields, as `name: value`; got \
        string \"127.0.0.1:25\"",
    ),
    (
        "domains:\n      - example.org\n      - example.net",
        "domains: example.org",
        "line 9: tenants[0].domains: expected \
        a list; got string \"example.org\"",
    ),
    ("- example.net", "- [a]", "line 11: tenants[0].domains[1]: expected a text or a whole number; got a list"),
    ("path: /s", "path: ''", "line 6: spool.path: expected a folder, such as /var/lib/backupmx; got nothing"),
    ("path: /s", "path:", "line 6: spool.path: expected a folder, such as /var/lib/backupmx; got nothing"),
    (
        "hostname: mx.example",
        "hostname: mx.example\nresolver: {nameservers: ['192.0.2.53:53', '192.0.2.54:0']}",
        "line 3: resolver.nameservers[1]: expected a port from 1 to 65535; got 192.0.2.54:0",
    ),
    ("path: /s", "path: [s]", "line 6: spool.path: expected a path; got a list"),
    // Times.
    (
        "maxAge: 7d",
        "maxAge: 7",
        "line 17: tenants[0].hold.maxAge: expected a duration: an integer and s, m, h or d, \
        such as 30s, 5m or 7d, at most 3650d; got \"7\"",
    ),
    (
        "7d",
        "1w",
        "line 17: tenants[0].hold.maxAge: expected a duration: an integer and s, m, h or d, such as 30s, 5m \
        or 7d, at most 3650d; got \"1w\"",
    ),
    (
        "7d",
        "-1",
        "line 17: tenants[0].hold.maxAge: expected a duration: an integer and s, m, h or d, such as 30s, 5m \
        or 7d, at most 3650d; got \"-1\"",
    ),
    (
        "7d",
        "true",
        "line 17: tenants[0].hold.maxAge: expected a duration: an integer and s, m, h or d, such as 30s, \
        5m or 7d, at most 3650d; got \"true\"",
    ),
    (
        "maxAge: 7d",
        "maxAge:",
        "line 17: tenants[0].hold.maxAge: expected a duration: an integer and s, m, h or d, \
        such as 30s, 5m or 7d, at most 3650d; got nothing",
    ),
    (
        "maxAge: 7d",
        "extendUntil: tomorrow",
        "line 17: tenants[0].hold.extendUntil: expected a moment as RFC 3339 \
        writes it, such as 2026-12-24T18:00:00Z; got \"tomorrow\"",
    ),
    // Numbers, sizes, words.
    (
        "port: 25",
        "port: 70000",
        "line 15: tenants[0].primary.hosts[0].port: expected a whole number from 1 to 65535; \
        got integer `70000`",
    ),
    (
        "port: 25",
        "port: smtp",
        "line 15: tenants[0].primary.hosts[0].port: expected a whole number from 1 to 65535; \
        got string \"smtp\"",
    ),
    (
        "path: /s",
        "path: /s\n  size: 5GB",
        "line 7: spool.size: expected a size in bytes: an integer and optionally \
        Ki, Mi, Gi, Ti, k, M, G or T, such as 50Mi; got \"5GB\"",
    ),
    (
        "path: /s",
        "path: /s\n  size: 1e9",
        "line 7: spool.size: expected a size in bytes: an integer and optionally \
        Ki, Mi, Gi, Ti, k, M, G or T, such as 50Mi; got \"1000000000.0\"",
    ),
    ("hold:", "accept: Maybe\n    hold:", "line 16: tenants[0].accept: expected `Active` or `Defer`; got `Maybe`"),
    (
        "hold:",
        "delivery: {suspended: maybe}\n    hold:",
        "line 16: tenants[0].delivery.suspended: expected true or \
        false; got string \"maybe\"",
    ),
    (
        "hold:",
        "quota: {messages: -5}\n    hold:",
        "line 16: tenants[0].quota.messages: expected a whole number, 0 or \
        more; got integer `-5`",
    ),
    // Names and addresses.
    (
        "hostname: mx.example",
        "hostname: null",
        "line 2: hostname: expected a domain name such as example.org; got nothing",
    ),
    (
        "mx.example",
        "mx example",
        "line 2: hostname: expected a domain name such as example.org; got \"mx example\": a \
        label may hold letters, digits and hyphens only",
    ),
    (
        "example.net",
        "example..net",
        "line 11: tenants[0].domains[1]: expected a domain name such as example.org; got \
        \"example..net\": it has an empty label (two dots in a row, or a dot at an end)",
    ),
    (
        "127.0.0.1:25",
        "127.0.0.1",
        "line 4: listeners[0].address: expected an IP address and a port, such as \
        0.0.0.0:25 or '[::]:25'; got \"127.0.0.1\"",
    ),
    (
        "127.0.0.1:25",
        "25",
        "line 4: listeners[0].address: expected an IP address and a port, such as \
        0.0.0.0:25 or '[::]:25'; got \"25\"",
    ),
    (
        "hostname",
        "admin: {health: 'localhost:8080'}\nhostname",
        "line 2: admin.health: expected an IP address and a port, such as \
        0.0.0.0:25 or '[::]:25'; got \"localhost:8080\"",
    ),
    (
        "hostname",
        "admin: {api: {address: '::1:8081', tokenSha256: 0}}\nhostname",
        "line 2: admin.api.address: expected an IP address and a port, such as \
        0.0.0.0:25 or '[::]:25'; got \"::1:8081\"",
    ),
    (
        "hostname",
        "resolver: {nameservers: [192.0.2.1]}\nhostname",
        "line 2: resolver.nameservers[0]: expected a name \
        server's IP address and port, such as 192.0.2.53:53 or '[2001:db8::53]:53'; got \"192.0.2.1\"",
    ),
    (
        "hostname",
        "resolver: {allowPrivate: [10.0.0.0/33]}\nhostname",
        "line 2: resolver.allowPrivate[0]: expected a \
        network, such as 10.0.0.0/8 or fd00::/8; got \"10.0.0.0/33\"",
    ),
    (
        "hostname",
        "postmaster: ann\nhostname",
        "line 2: postmaster: expected an address such as ann@example.org; got \
        \"ann\": it has no @",
    ),
    (
        "hold:",
        "bounce: {smarthost: 'a:b'}\n    hold:",
        "line 16: tenants[0].bounce.smarthost: expected a host, or a \
        host and a port such as mail.example.org:25 or [2001:db8::1]:25; got \"a:b\"",
    ),
    (
        "hostname",
        "admin:\n  api:\n    address: 127.0.0.1:1\n    tokenSha256: secret\nhostname",
        "line 5: \
        admin.api.tokenSha256: expected the SHA-256 of the bearer token: 64 hexadecimal digits (as sha256sum prints)",
    ),
    (
        "mx.example",
        "vm",
        "line 2: hostname: expected a full host name such as mx1.backup.example.net: letters, digits and hyphens, with a \
        dot; got vm",
    ),
    (
        "mx.example",
        "under_score.example",
        "line 2: hostname: expected a full host name such as mx1.backup.example.net: letters, digits and hyphens, with a \
        dot; got under_score.example",
    ),
    // Values that do not go together.
    (
        "listeners:\n  - address: 127.0.0.1:25",
        "listeners: []",
        "line 3: listeners: expected at least one address to \
        listen on",
    ),
    (
        "- address: 127.0.0.1:25",
        "- address: 127.0.0.1:25\n  - address: 127.0.0.1:25",
        "line 5: listeners[1].address: \
        expected another address or port than listeners[0].address (127.0.0.1:25); got 127.0.0.1:25",
    ),
    ("127.0.0.1:25", "127.0.0.1:0", "line 4: listeners[0].address: expected a port from 1 to 65535; got 127.0.0.1:0"),
    (
        "hostname",
        "admin: {health: '127.0.0.1:25'}\nhostname",
        "line 2: admin.health: expected another address or port than listeners[0].address (127.0.0.1:25); got \
        127.0.0.1:25",
    ),
    (
        "hostname",
        "admin: {health: '0.0.0.0:25'}\nhostname",
        "line 2: admin.health: expected another address or port than listeners[0].address (127.0.0.1:25); got \
        0.0.0.0:25",
    ),
    ("path: /s", "path: /s\n  segmentSize: 1Ki", "line 7: spool.segmentSize: expected 1Mi to 1Gi; got 1Ki"),
    ("path: /s", "path: /s\n  size: 1Mi", "line 7: spool.size: expected at least 8Mi; got 1Mi"),
    (
        "hostname",
        "limits: {recipients: 5}\nhostname",
        "line 2: limits.recipients: expected a whole number from 100 to 4294967295; got 5",
    ),
    (
        "hostname",
        "limits: {connections: -5}\nhostname",
        "line 2: limits.connections: expected a whole number from 1 to 4294967295; got integer `-5`",
    ),
    (
        "hostname",
        "limits: {connections: 0}\nhostname",
        "line 2: limits.connections: expected a whole number from 1 to 4294967295; got 0",
    ),
    ("hostname", "timeouts: {connect: 3m}\nhostname", "line 2: timeouts.connect: expected 1s to 2m; got 3m"),
    ("hostname", "timeouts: {endOfData: 0s}\nhostname", "line 2: timeouts.endOfData: expected 1s to 1h; got 0s"),
    (
        "hostname",
        "reports: {mxPort: 0}\nhostname",
        "line 2: reports.mxPort: expected a whole number from 1 to 65535; got 0",
    ),
    (
        "hostname",
        "postmaster: a@b.example\nhostname",
        "line 2: postmaster: expected an address in a domain of a \
        tenant; got a@b.example",
    ),
    ("name: a", "name: ''", "line 8: tenants[0].name: expected a name of 1 to 253 octets without control characters"),
    (
        "- example.net",
        "- example.org",
        "line 11: tenants[0].domains[1]: expected a domain of one tenant only; example.org is one of tenant \"a\" already",
    ),
    ("\n      - example.org\n      - example.net", " []", "line 9: tenants[0].domains: expected at least one domain"),
    (
        "host: mail.example.org",
        "host: MX.example",
        "line 14: tenants[0].primary.hosts[0].host: expected another host than this relay; got mx.example, which is its \
        `hostname`",
    ),
    (
        "port: 25",
        "port: 0",
        "line 15: tenants[0].primary.hosts[0].port: expected a whole number from 1 to 65535; got 0",
    ),
    ("maxAge: 7d", "maxAge: 0s", "line 17: tenants[0].hold.maxAge: expected at least 1s; got 0s"),
    (
        "maxAge: 7d",
        "warnSenderAfter: 8d",
        "line 17: tenants[0].hold.warnSenderAfter: expected more than 0s and less \
        than hold.maxAge (7d); got 8d",
    ),
    (
        "hold:",
        "delivery:\n      retry:\n        min: 5m\n        max: 1m\n    hold:",
        "line 19: \
        tenants[0].delivery.retry.max: expected at least retry.min (5m); got 1m",
    ),
    (
        "hold:",
        "delivery: {rejectStorm: {percent: 101}}\n    hold:",
        "line 16: tenants[0].delivery.rejectStorm.percent: \
        expected a whole number from 1 to 100; got 101",
    ),
    (
        "hold:",
        "acceptance: {recipients: {list: [x]}}\n    hold:",
        "line 16: tenants[0].acceptance.recipients.mode: \
        expected List, as recipients are listed; got Any",
    ),
    (
        "hold:",
        "acceptance: {recipients: {mode: List, list: [a@b.example]}}\n    hold:",
        "line 16: \
        tenants[0].acceptance.recipients.list[0]: expected an address in one of the tenant's domains; got \
        \"a@b.example\"",
    ),
    (
        "hold:",
        "acceptance: {recipients: {mode: List}}\n    hold:",
        "line 16: tenants[0].acceptance.recipients.list: expected a local part or an address, or several, as nobody else \
        is taken ([postmaster] where there is none); got nothing",
    ),
    (
        "hold:",
        "acceptance: {recipients: {mode: List, list: []}}\n    hold:",
        "line 16: tenants[0].acceptance.recipients.list: expected a local part or an address, or several, as nobody else \
        is taken ([postmaster] where there is none); got nothing",
    ),
    (
        "hold:",
        "acceptance: {maxMessageSize: 1Gi}\n    hold:",
        "line 16: tenants[0].acceptance.maxMessageSize: expected \
        64Ki to limits.messageSize (50Mi); got 1Gi",
    ),
];

#[test]
fn a_wrong_document_is_refused_with_line_path_and_expected_form() {
    let mut wrong = String::new();
    for (part, instead, expected) in WRONG {
        assert!(BASE.contains(part), "{part:?} is not in the base");
        let found = match from_yaml(&BASE.replacen(part, instead, 1)) {
            Ok(_) => "(taken)".to_owned(),
            Err(error) => error.to_string(),
        };
        if found != *expected {
            wrong.push_str(&format!("{instead:?}\n  expected {expected}\n  found    {found}\n"));
        }
    }
    assert!(wrong.is_empty(), "\n{wrong}");
}

#[test]
fn the_file_is_named() {
    let error = from_yaml(&BASE.replace("7d", "7")).unwrap_err().in_file("relay.yaml");
    assert!(error.starts_with("relay.yaml: line 17: tenants[0].hold.maxAge: expected a duration"), "{error}");
}

#[test]
fn json_is_read_too() {
    let config = from_yaml(BASE).unwrap();
    assert_eq!(from_yaml(&serde_json::to_string(&config).unwrap()), Ok(config.clone()));
    assert_eq!(from_yaml(&serde_json::to_string_pretty(&config).unwrap().replace("  ", "\t")), Ok(config));
}

/// Texts that deserve a trial: taken or refused, never a panic, and a refusal never without words.
fn mangled() -> impl Strategy<Value = String> {
    let bases = prop::sample::select(vec![BASE, examples::FULL, examples::HOLD_7_DAYS]);
    (bases, any::<prop::sample::Index>(), any::<prop::sample::Index>(), "[ -~\n\t]{0,12}").prop_map(
        |(base, from, to, instead)| {
            let ends: Vec<usize> = base.char_indices().map(|(at, _)| at).collect();
            let (from, to) = (ends[from.index(ends.len())], ends[to.index(ends.len())]);
            let to = to.max(from).min(from + 20);
            let to = (to..=base.len()).find(|at| base.is_char_boundary(*at)).unwrap_or(base.len());
            format!("{}{instead}{}", &base[..from], &base[to..])
        },
    )
}

fn config() -> impl Strategy<Value = RelayConfig> {
    let name = "[a-z]{1,8}\\.example";
    let numbers = (0..u64::MAX, 1..10_u64, 0..90_u64, 100..5000_u32, 1..=100_u8);
    (numbers, name, name, any::<bool>(), prop::option::of(0..4_000_000_000_u64)).prop_map(
        |((revision, min, more, recipients, percent), host, domain, suspended, until)| {
            let mut config = from_yaml(BASE).unwrap();
            config.revision = revision;
            config.hostname = host.parse().unwrap();
            config.limits = Limits { recipients, ..Limits::default() };
            let tenant = &mut config.tenants[0];
            tenant.domains = vec![domain.parse().unwrap()];
            tenant.delivery.retry.min = Span::seconds(min);
            tenant.delivery.retry.max = Span::seconds(min + more);
            tenant.delivery.suspended = suspended;
            tenant.delivery.reject_storm.percent = percent;
            tenant.hold.extend_until =
                until.map(|seconds| std::time::UNIX_EPOCH + std::time::Duration::from_secs(seconds));
            config
        },
    )
}

proptest! {
    #[test]
    fn what_is_written_reads_back(config in config()) {
        prop_assert_eq!(from_yaml(&to_yaml(&config).unwrap()), Ok(config));
    }

    #[test]
    fn no_text_is_too_strange(text in mangled()) {
        if let Err(error) = from_yaml(&text) {
            prop_assert!(!error.problem.is_empty());
            prop_assert!(error.line.is_none_or(|line| line <= text.lines().count() + 1), "{}", error);
        }
    }
}

#[test]
fn a_missing_field_says_what_it_holds() {
    let document = serde_json::json!({
        "contractVersion": 1, "hostname": "mx.example", "listeners": [{"address": "127.0.0.1:25"}],
        "tls": {"certificate": "/c", "key": "/k"}, "spool": {"path": "/s"},
        "admin": {"api": {"address": "127.0.0.1:80", "tokenSha256": "0".repeat(64)}},
        "tenants": [{"name": "a", "domains": ["example.org"], "primary": {"hosts": [{"host": "192.0.2.1"}]}}],
    });
    from_yaml(&document.to_string()).unwrap();
    let required = [
        "/contractVersion",
        "/hostname",
        "/listeners",
        "/listeners/0/address",
        "/tls/certificate",
        "/tls/key",
        "/spool",
        "/spool/path",
        "/admin/api/address",
        "/admin/api/tokenSha256",
        "/tenants/0/name",
        "/tenants/0/domains",
        "/tenants/0/primary",
        "/tenants/0/primary/hosts",
        "/tenants/0/primary/hosts/0/host",
    ];
    for pointer in required {
        let (parent, field) = pointer.rsplit_once('/').unwrap();
        let mut lacking = document.clone();
        lacking.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(field).unwrap();
        let problem = from_yaml(&lacking.to_string()).unwrap_err().problem;
        assert!(problem.starts_with(&format!("missing field `{field}`; expected {field}: ")), "{pointer}: {problem}");
    }
}
