//! The schemas of texts with a form of their own.
//!
//! A rule with a message says more than `pattern`, whose refusal shows the regular expression only. Every text has a
//! greatest length, so that the API server can tell the cost of the rules.

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

const HOST_NAME: &str = "^([a-z0-9]([a-z0-9_-]*[a-z0-9])?[.])+[a-z]([a-z0-9-]*[a-z0-9])?$";

fn text(max_length: u32, rule: &str, message: &str) -> Schema {
    json_schema!({
        "type": "string",
        "minLength": 1,
        "maxLength": max_length,
        "x-kubernetes-validations": [{ "rule": rule, "message": message }],
    })
}

fn list(item: Schema, min: u32, max: u32, kind: &str) -> Schema {
    let item: Value = item.into();
    json_schema!({
        "type": "array",
        "items": item,
        "minItems": min,
        "maxItems": max,
        "x-kubernetes-list-type": kind,
    })
}

/// A length of time; what it may be is compared by the operator, as CEL knows no days.
pub(crate) fn duration(_: &mut SchemaGenerator) -> Schema {
    text(12, "self.matches('^[0-9]+[smhd]$')", "must be a duration: an integer and s, m, h or d, such as 30s, 5m or 7d")
}

/// A number of bytes.
pub(crate) fn quantity(_: &mut SchemaGenerator) -> Schema {
    text(
        24,
        "self.matches('^[1-9][0-9]*(Ki|Mi|Gi|Ti|k|M|G|T)?$')",
        "must be a size in bytes: an integer above 0 and optionally Ki, Mi, Gi, Ti, k, M, G or T, such as 10Gi",
    )
}

/// The list of mail domains.
pub(crate) fn domains(_: &mut SchemaGenerator) -> Schema {
    let item = text(
        253,
        "self.matches('^(([a-zA-Z0-9_-]|[^ -~])+[.])+([a-zA-Z]|[^ -~])([a-zA-Z0-9-]|[^ -~])*$')",
        "must be a domain name without a trailing dot, such as example.org",
    );
    list(item, 1, 50, "set")
}

/// The public name of a server.
pub(crate) fn hostname(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        &format!("self.matches('{HOST_NAME}')"),
        "must be a host name in lower case without a trailing dot, such as mx1.example.net, not an IP address",
    )
}

/// The name of a server, or its address.
pub(crate) fn host(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        &format!("isIP(self) || self.matches('{HOST_NAME}')"),
        "must be a host name in lower case without a trailing dot, such as mail.example.org, or an IP address; the \
         port goes into port",
    )
}

/// A server, and optionally its port.
pub(crate) fn host_port(_: &mut SchemaGenerator) -> Schema {
    text(
        261,
        "isIP(self) || self.matches('^([a-zA-Z0-9]([a-zA-Z0-9_-]*[a-zA-Z0-9])?[.])*[a-zA-Z0-9]([a-zA-Z0-9-]*\
         [a-zA-Z0-9])?(:[1-9][0-9]*)?$') || self.matches('^\\\\[[0-9a-fA-F:.]+\\\\](:[1-9][0-9]*)?$')",
        "must be a host, or a host and a port, such as smtp.example.net:587 or [2001:db8::1]:25",
    )
}

/// The list of a relay's public addresses.
pub(crate) fn addresses(_: &mut SchemaGenerator) -> Schema {
    list(text(45, "isIP(self)", "must be an IP address, such as 192.0.2.10 or 2001:db8::10"), 1, 8, "set")
}

/// The list of recipients.
pub(crate) fn recipients(_: &mut SchemaGenerator) -> Schema {
    let item = text(
        320,
        "self.matches('^[^@ ]+(@[^@ ]+)?$')",
        "must be a local part, such as info, or an address, such as info@example.org",
    );
    list(item, 1, 1000, "set")
}

/// The name of a relay, which is part of the names of its objects.
pub(crate) fn relay_name(_: &mut SchemaGenerator) -> Schema {
    text(
        32,
        "self.matches('^[a-z]([a-z0-9-]*[a-z0-9])?$')",
        "must be lower-case letters, digits and hyphens, the first a letter, the last no hyphen, such as a or eu-1",
    )
}

/// Amounts of what a container may have, by their names.
pub(crate) fn amounts(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 3,
        "additionalProperties": { "x-kubernetes-int-or-string": true, "maxLength": 24 },
        "x-kubernetes-validations": [{
            "rule": "self.all(name, name in ['cpu', 'memory', 'ephemeral-storage'])",
            "message": "must have no names but cpu, memory and ephemeral-storage",
        }, {
            "rule": "self.all(name, string(self[name]).matches('^([0-9]+m|[0-9]+([.][0-9]{1,3})?(k|M|G|T|Ki|Mi|Gi|Ti)?)$') \
                     && quantity(string(self[name])).isGreaterThan(quantity('0')))",
            "message": "must be amounts above 0, such as 500m or 2 of cpu, and 512Mi or 2Gi of memory",
        }],
    })
}

/// The name of another object.
pub(crate) fn object_name(_: &mut SchemaGenerator) -> Schema {
    text(
        253,
        "self.matches('^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$')",
        "must be the name of an object: lower-case letters, digits, hyphens and dots, such as mx-tls",
    )
}

/// The status of a resource that no operator has seen: it must not count as ready.
pub(crate) fn unseen_status() -> Value {
    json!({
        "conditions": [{
            "type": "Ready",
            "status": "Unknown",
            "reason": "Pending",
            "message": "Waiting for the operator",
            "lastTransitionTime": "1970-01-01T00:00:00Z",
        }],
    })
}
