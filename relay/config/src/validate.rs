//! What a field's own form cannot say: values that must go together. Pure.

use std::{collections::HashMap, net::SocketAddr, time::Duration};

use crate::{
    ByteSize, Host, Limits, RelayConfig, Span, Tenant, Timeouts,
    locate::Path,
    range::Range,
    tenant::{Delivery, RecipientMode},
};

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) path: Path,
    pub(crate) problem: String,
}

type Check = Result<(), Wrong>;

fn wrong(path: Path, problem: impl Into<String>) -> Check {
    Err(Wrong { path, problem: problem.into() })
}

/// Checks the whole document; the first problem is returned.
pub(crate) fn check(config: &RelayConfig) -> Check {
    let root = Path::default();
    // Many servers refuse a client for any other name, and what is held for them would stay.
    if !config.hostname.is_host() {
        let expected =
            "expected a full host name such as mx1.backup.example.net: letters, digits and hyphens, with a dot";
        return wrong(root.field("hostname"), format!("{expected}; got {}", config.hostname));
    }
    if config.listeners.is_empty() {
        return wrong(root.field("listeners"), "expected at least one address to listen on");
    }
    check_addresses(config, &root)?;
    if config.spool.path.as_os_str().is_empty() {
        return wrong(root.field("spool").field("path"), "expected a folder, such as /var/lib/backupmx; got nothing");
    }
    for (index, server) in config.resolver.nameservers.iter().enumerate() {
        if server.port() == 0 {
            let at = root.field("resolver").field("nameservers").item(index);
            return wrong(at, format!("expected a port from 1 to 65535; got {server}"));
        }
    }
    if let Some(size) = config.spool.segment_size {
        let range = ByteSize::mebibytes(1)..=ByteSize::mebibytes(1024);
        if !range.contains(&size) {
            return wrong(root.field("spool").field("segmentSize"), format!("expected 1Mi to 1Gi; got {size}"));
        }
    }
    if let Some(size) = config.spool.size
        && size < ByteSize::mebibytes(8)
    {
        return wrong(root.field("spool").field("size"), format!("expected at least 8Mi; got {size}"));
    }
    check_limits(&config.limits, &root.field("limits"))?;
    check_timeouts(&config.timeouts, &root.field("timeouts"))?;
    check_reports(config, &root.field("reports"))?;
    check_tenants(config, &root.field("tenants"))?;
    check_postmaster(config, root.field("postmaster"))
}

/// Every address that is listened on has a port, and no two are in each other's way.
fn check_addresses(config: &RelayConfig, root: &Path) -> Check {
    let listeners = config.listeners.iter().enumerate();
    let mail = listeners.map(|(index, one)| (root.field("listeners").item(index).field("address"), one.address));
    let admin = root.field("admin");
    let health = config.admin.health.map(|address| (admin.field("health"), address));
    let api = config.admin.api.as_ref().map(|api| (admin.field("api").field("address"), api.address));
    let mut taken: Vec<(Path, SocketAddr)> = Vec::new();
    for (path, address) in mail.chain(health).chain(api) {
        if address.port() == 0 {
            return wrong(path, format!("expected a port from 1 to 65535; got {address}"));
        }
        if let Some((first, other)) = taken.iter().find(|(_, other)| collide(*other, address)) {
            return wrong(path, format!("expected another address or port than {first} ({other}); got {address}"));
        }
        taken.push((path, address));
    }
    Ok(())
}

/// Whether two addresses cannot both be listened on: the same, or one is that of every address of its family.
fn collide(one: SocketAddr, other: SocketAddr) -> bool {
    let (a, b) = (one.ip(), other.ip());
    let overlap = a == b || (a.is_ipv4() == b.is_ipv4() && (a.is_unspecified() || b.is_unspecified()));
    one.port() == other.port() && overlap
}

/// Whether a whole number is one that its field may hold.
fn number(path: Path, number: u64) -> Check {
    match Range::of(&path) {
        Some(range) if !range.holds(number) => wrong(path, format!("expected {range}; got {number}")),
        _ => Ok(()),
    }
}

fn check_reports(config: &RelayConfig, at: &Path) -> Check {
    let reports = &config.reports;
    for (name, value) in [
        ("maxConnections", u64::from(reports.max_connections)),
        ("perDomainPerMinute", u64::from(reports.per_domain_per_minute)),
        ("mxPort", u64::from(reports.mx_port)),
    ] {
        number(at.field(name), value)?;
    }
    if reports.give_up_after.as_secs() == 0 {
        return wrong(at.field("giveUpAfter"), "expected at least 1s; got 0s");
    }
    Ok(())
}

fn check_limits(limits: &Limits, at: &Path) -> Check {
    for (name, value) in [
        ("connections", limits.connections),
        ("connectionsPerAddress", limits.connections_per_address),
        ("connectionsPerNetwork", limits.connections_per_network),
        ("commands", limits.commands),
        ("errors", limits.errors),
        ("refusedRecipients", limits.refused_recipients),
        ("messagesPerSession", limits.messages_per_session),
        ("recipients", limits.recipients),
        ("commandLine", limits.command_line),
        ("textLine", limits.text_line),
        ("receivedLines", limits.received_lines),
    ] {
        number(at.field(name), u64::from(value))?;
    }
    for (name, span) in [
        ("commandTimeout", limits.command_timeout),
        ("dataTimeout", limits.data_timeout),
        ("sessionTimeout", limits.session_timeout),
        ("shutdownTimeout", limits.shutdown_timeout),
    ] {
        if span.as_duration() < Duration::from_secs(1) {
            return wrong(at.field(name), format!("expected at least 1s; got {span}"));
        }
    }
    // SIGTERM ends within ten seconds: what is left of them closes the spool.
    if limits.shutdown_timeout.as_duration() > Duration::from_secs(9) {
        let got = limits.shutdown_timeout;
        return wrong(at.field("shutdownTimeout"), format!("expected 1s to 9s; got {got}"));
    }
    if limits.message_size < ByteSize::bytes(64 << 10) || limits.message_size > ByteSize::mebibytes(2048) {
        return wrong(
            at.field("messageSize"),
            format!("expected 64Ki to 2Gi (RFC 5321 4.5.3.1.7); got {}", limits.message_size),
        );
    }
    if limits.stream_above < ByteSize::bytes(4 << 10) || limits.stream_above > ByteSize::mebibytes(16) {
        return wrong(at.field("streamAbove"), format!("expected 4Ki to 16Mi; got {}", limits.stream_above));
    }
    if limits.memory.as_u64() < 4 * limits.stream_above.as_u64() {
        return wrong(
            at.field("memory"),
            format!("expected at least four times limits.streamAbove ({}); got {}", limits.stream_above, limits.memory),
        );
    }
    Ok(())
}

fn check_timeouts(timeouts: &Timeouts, at: &Path) -> Check {
    let (short, long) = (Span::minutes(2), Span::minutes(60));
    for (name, span, most) in [
        ("connect", timeouts.connect, short),
        ("greeting", timeouts.greeting, long),
        ("hello", timeouts.hello, long),
        ("tls", timeouts.tls, short),
        ("mail", timeouts.mail, long),
        ("recipient", timeouts.recipient, long),
        ("data", timeouts.data, long),
        ("block", timeouts.block, long),
        ("endOfData", timeouts.end_of_data, long),
        ("quit", timeouts.quit, long),
    ] {
        if !(Span::seconds(1)..=most).contains(&span) {
            return wrong(at.field(name), format!("expected 1s to {most}; got {span}"));
        }
    }
    Ok(())
}

fn check_tenants(config: &RelayConfig, at: &Path) -> Check {
    let mut names: HashMap<&str, usize> = HashMap::new();
    let mut domains: HashMap<&str, usize> = HashMap::new();
    for (index, tenant) in config.tenants.iter().enumerate() {
        let at = at.item(index);
        if tenant.name.is_empty() || tenant.name.len() > 253 || tenant.name.chars().any(char::is_control) {
            return wrong(at.field("name"), "expected a name of 1 to 253 octets without control characters");
        }
        if let Some(first) = names.insert(&tenant.name, index) {
            return wrong(
                at.field("name"),
                format!("expected a name of its own; {:?} is that of tenants[{first}]", tenant.name),
            );
        }
        if tenant.domains.is_empty() {
            return wrong(at.field("domains"), "expected at least one domain");
        }
        for (position, domain) in tenant.domains.iter().enumerate() {
            if let Some(first) = domains.insert(domain.as_str(), index) {
                let owner = &config.tenants[first].name;
                return wrong(
                    at.field("domains").item(position),
                    format!("expected a domain of one tenant only; {domain} is one of tenant {owner:?} already"),
                );
            }
        }
        check_tenant(tenant, config, &at)?;
    }
    Ok(())
}

fn check_tenant(tenant: &Tenant, config: &RelayConfig, at: &Path) -> Check {
    let limits = &config.limits;
    let hosts = at.field("primary").field("hosts");
    if tenant.primary.hosts.is_empty() {
        return wrong(hosts, "expected at least one host");
    }
    for (index, host) in tenant.primary.hosts.iter().enumerate() {
        number(hosts.item(index).field("port"), u64::from(host.port))?;
        if matches!(&host.host, Host::Name(name) if *name == config.hostname) {
            return wrong(
                hosts.item(index).field("host"),
                format!("expected another host than this relay; got {}, which is its `hostname`", config.hostname),
            );
        }
    }
    let acceptance = at.field("acceptance");
    if let Some(size) = tenant.acceptance.max_message_size
        && (size > limits.message_size || size < ByteSize::bytes(64 << 10))
    {
        return wrong(
            acceptance.field("maxMessageSize"),
            format!("expected 64Ki to limits.messageSize ({}); got {size}", limits.message_size),
        );
    }
    check_recipients(tenant, &acceptance.field("recipients"))?;
    let hold = at.field("hold");
    if tenant.hold.max_age.as_secs() == 0 {
        return wrong(hold.field("maxAge"), "expected at least 1s; got 0s");
    }
    if let Some(warn) = tenant.hold.warn_sender_after
        && (warn >= tenant.hold.max_age || warn.as_secs() == 0)
    {
        return wrong(
            hold.field("warnSenderAfter"),
            format!("expected more than 0s and less than hold.maxAge ({}); got {warn}", tenant.hold.max_age),
        );
    }
    check_delivery(&tenant.delivery, &at.field("delivery"))
}

fn check_recipients(tenant: &Tenant, at: &Path) -> Check {
    let recipients = &tenant.acceptance.recipients;
    if recipients.mode == RecipientMode::Any && !recipients.list.is_empty() {
        return wrong(at.field("mode"), "expected List, as recipients are listed; got Any");
    }
    if recipients.mode == RecipientMode::List && recipients.list.is_empty() {
        // Nobody but the postmaster would be taken, and all other mail bounce: more likely a slip than a wish.
        let expected = "expected a local part or an address, or several, as nobody else is taken";
        return wrong(at.field("list"), format!("{expected} ([postmaster] where there is none); got nothing"));
    }
    for (index, entry) in recipients.list.iter().enumerate() {
        let at = at.field("list").item(index);
        let Some((_, domain)) = entry.rsplit_once('@') else {
            if entry.is_empty() {
                return wrong(at, "expected a local part or an address; got nothing");
            }
            continue;
        };
        if !domain.parse::<crate::DomainName>().is_ok_and(|domain| tenant.domains.contains(&domain)) {
            return wrong(at, format!("expected an address in one of the tenant's domains; got {entry:?}"));
        }
    }
    Ok(())
}

fn check_delivery(delivery: &Delivery, at: &Path) -> Check {
    let retry = at.field("retry");
    if delivery.retry.min.as_secs() == 0 {
        return wrong(retry.field("min"), "expected at least 1s; got 0s");
    }
    if delivery.retry.max < delivery.retry.min {
        return wrong(
            retry.field("max"),
            format!("expected at least retry.min ({}); got {}", delivery.retry.min, delivery.retry.max),
        );
    }
    number(at.field("maxConnections"), u64::from(delivery.max_connections))?;
    let storm = at.field("rejectStorm");
    number(storm.field("minMessages"), u64::from(delivery.reject_storm.min_messages))?;
    number(storm.field("percent"), u64::from(delivery.reject_storm.percent))
}

fn check_postmaster(config: &RelayConfig, at: Path) -> Check {
    match &config.postmaster {
        Some(postmaster) if !config.tenants.iter().any(|tenant| tenant.domains.contains(postmaster.domain())) => {
            wrong(at, format!("expected an address in a domain of a tenant; got {postmaster}"))
        }
        _ => Ok(()),
    }
}
