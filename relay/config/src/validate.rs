//! What a field's own form cannot say: values that must go together. Pure.

use std::{collections::HashMap, time::Duration};

use crate::{
    ByteSize, Host, Limits, RelayConfig, Span, Tenant, Timeouts,
    locate::Path,
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
    if config.listeners.is_empty() {
        return wrong(root.field("listeners"), "expected at least one address to listen on");
    }
    let mut addresses = HashMap::new();
    for (index, listener) in config.listeners.iter().enumerate() {
        let at = root.field("listeners").item(index).field("address");
        if listener.address.port() != 0 && addresses.insert(listener.address, index).is_some() {
            return wrong(at, format!("{} is listed twice", listener.address));
        }
    }
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

fn check_reports(config: &RelayConfig, at: &Path) -> Check {
    let reports = &config.reports;
    for (name, value) in [
        ("maxConnections", u64::from(reports.max_connections)),
        ("perDomainPerMinute", u64::from(reports.per_domain_per_minute)),
        ("mxPort", u64::from(reports.mx_port)),
        ("giveUpAfter", reports.give_up_after.as_secs()),
    ] {
        if value == 0 {
            return wrong(at.field(name), "expected more than 0");
        }
    }
    Ok(())
}

fn check_limits(limits: &Limits, at: &Path) -> Check {
    for (name, value, least) in [
        ("connections", limits.connections, 1),
        ("connectionsPerAddress", limits.connections_per_address, 1),
        ("connectionsPerNetwork", limits.connections_per_network, 1),
        ("commands", limits.commands, 10),
        ("errors", limits.errors, 1),
        ("refusedRecipients", limits.refused_recipients, 1),
        ("messagesPerSession", limits.messages_per_session, 1),
        ("recipients", limits.recipients, 100),
        ("commandLine", limits.command_line, 512),
        ("textLine", limits.text_line, 1000),
        ("receivedLines", limits.received_lines, 10),
    ] {
        if value < least {
            return wrong(at.field(name), format!("expected at least {least}; got {value}"));
        }
    }
    for (name, span) in [
        ("commandTimeout", limits.command_timeout),
        ("dataTimeout", limits.data_timeout),
        ("sessionTimeout", limits.session_timeout),
        ("shutdownTimeout", limits.shutdown_timeout),
    ] {
        if span.as_duration() < Duration::from_secs(1) {
            return wrong(at.field(name), "expected at least 1s");
        }
    }
    // SIGTERM ends within ten seconds: what is left of them closes the spool.
    if limits.shutdown_timeout.as_duration() > Duration::from_secs(9) {
        return wrong(at.field("shutdownTimeout"), "expected at most 9s");
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
            return wrong(at.field("name"), format!("{:?} is the name of tenants[{first}] already", tenant.name));
        }
        if tenant.domains.is_empty() {
            return wrong(at.field("domains"), "expected at least one domain");
        }
        for (position, domain) in tenant.domains.iter().enumerate() {
            if let Some(first) = domains.insert(domain.as_str(), index) {
                let owner = &config.tenants[first].name;
                return wrong(
                    at.field("domains").item(position),
                    format!("{domain} is a domain of tenant {owner:?} already"),
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
        if host.port == 0 {
            return wrong(hosts.item(index).field("port"), "expected 1 to 65535; got 0");
        }
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
        return wrong(hold.field("maxAge"), "expected at least 1s");
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
        return wrong(retry.field("min"), "expected at least 1s");
    }
    if delivery.retry.max < delivery.retry.min {
        return wrong(
            retry.field("max"),
            format!("expected at least retry.min ({}); got {}", delivery.retry.min, delivery.retry.max),
        );
    }
    if !(1..=100).contains(&delivery.max_connections) {
        return wrong(at.field("maxConnections"), format!("expected 1 to 100; got {}", delivery.max_connections));
    }
    let storm = at.field("rejectStorm");
    if delivery.reject_storm.min_messages == 0 {
        return wrong(storm.field("minMessages"), "expected at least 1; got 0");
    }
    if !(1..=100).contains(&delivery.reject_storm.percent) {
        return wrong(storm.field("percent"), format!("expected 1 to 100; got {}", delivery.reject_storm.percent));
    }
    Ok(())
}

fn check_postmaster(config: &RelayConfig, at: Path) -> Check {
    match &config.postmaster {
        Some(postmaster) if !config.tenants.iter().any(|tenant| tenant.domains.contains(postmaster.domain())) => {
            wrong(at, format!("expected an address in a domain of a tenant; got {postmaster}"))
        }
        _ => Ok(()),
    }
}
