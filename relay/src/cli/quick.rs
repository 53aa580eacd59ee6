//! A relay from a few flags: the config that a person would have written. Pure.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use backupmx_relay_config::{
    AcceptMode, Acceptance, AdminConfig, Bounce, CONTRACT_VERSION, Delivery, DomainName, HoldTimes, Limits, Listener,
    LoadError, Primary, PrimaryHost, PrimaryTls, Quota, RelayConfig, ReportConfig, ResolverConfig, Retry, SpoolConfig,
    Tenant, Timeouts, check,
};

use super::{
    args::ServeArgs,
    surroundings::{IpFamilies, Surroundings, User},
};

/// Why the flags make no config.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuickError {
    /// The machine's name cannot be used in SMTP.
    #[error(
        "this machine calls itself {node:?}, which is no full domain name: many mail servers refuse mail from such a name; \
         give the relay the name that its MX record has, such as --hostname mx2.example.org"
    )]
    Hostname {
        /// What it calls itself.
        node: String,
    },
    /// The values do not go together.
    #[error("{problem} ({path} in a config file)", problem = .0.problem, path = .0.path)]
    Wrong(LoadError),
}

/// The config that the flags and the machine make.
///
/// # Errors
/// The machine has no usable name, or the values do not go together (a `--retry-min` above `--retry-max`).
pub fn quick_config(args: &ServeArgs, here: &Surroundings) -> Result<RelayConfig, QuickError> {
    let hostname = match &args.hostname {
        Some(name) => name.clone(),
        None => {
            let node = here.full_name();
            let name = node.parse::<DomainName>().ok().filter(DomainName::is_host);
            name.ok_or_else(|| QuickError::Hostname { node: node.to_owned() })?
        }
    };
    let config = RelayConfig {
        contract_version: CONTRACT_VERSION,
        revision: 0,
        hostname,
        listeners: vec![Listener { address: args.listen.unwrap_or_else(|| listen(here)) }],
        tls: None,
        spool: SpoolConfig { path: args.spool.clone().unwrap_or_else(|| here.spool()), size: None, segment_size: None },
        admin: AdminConfig { socket: None, health: args.admin, api: None },
        resolver: ResolverConfig { nameservers: args.resolver.clone(), allow_private: Vec::new() },
        postmaster: None,
        reports: ReportConfig::default(),
        limits: Limits::default(),
        timeouts: Timeouts::default(),
        tenants: vec![tenant(args)],
    };
    check(&config).map_err(QuickError::Wrong)?;
    Ok(config)
}

fn listen(here: &Surroundings) -> SocketAddr {
    let port = match here.user {
        User::Root => 25,
        User::Other => 2525,
    };
    match here.ip {
        IpFamilies::Both => (Ipv6Addr::UNSPECIFIED, port).into(),
        IpFamilies::V4Only => (Ipv4Addr::UNSPECIFIED, port).into(),
    }
}

fn tenant(args: &ServeArgs) -> Tenant {
    let hosts = args
        .primary
        .iter()
        .zip((10..).step_by(10))
        .map(|(primary, preference)| PrimaryHost { host: primary.host.clone(), port: primary.port, preference })
        .collect();
    let hold = HoldTimes::default();
    Tenant {
        name: args.domain.first().map(ToString::to_string).unwrap_or_default(),
        domains: args.domain.clone(),
        accept: AcceptMode::Active,
        primary: Primary { hosts, tls: PrimaryTls::default() },
        acceptance: Acceptance::default(),
        hold: HoldTimes { max_age: args.hold.unwrap_or(hold.max_age), ..hold },
        delivery: Delivery { retry: retry(args), ..Delivery::default() },
        bounce: Bounce::default(),
        quota: Quota::default(),
    }
}

/// One flag alone moves the other's default along, so that it never contradicts it.
fn retry(args: &ServeArgs) -> Retry {
    let default = Retry::default();
    match (args.retry_min, args.retry_max) {
        (None, None) => default,
        (Some(min), None) => Retry { min, max: default.max.max(min) },
        (None, Some(max)) => Retry { min: default.min.min(max), max },
        (Some(min), Some(max)) => Retry { min, max },
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use backupmx_relay_config::Span;

    use super::*;

    fn args(line: &str) -> ServeArgs {
        use clap::Parser as _;
        let words = ["backupmx-relay", "serve"].into_iter().chain(line.split_whitespace());
        match super::super::args::Cli::try_parse_from(words).expect("the flags are right").command {
            super::super::args::Command::Serve(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    fn here() -> Surroundings {
        Surroundings { node: "mx2.example.org".to_owned(), home: Some("/home/ann".into()), ..Surroundings::default() }
    }

    #[test]
    fn the_long_name_is_taken_from_the_hosts_file() {
        let hosts = "127.0.1.1 mx2.example.org mx2\n".to_owned();
        let here = Surroundings { node: "mx2".to_owned(), hosts, ..here() };
        let config = quick_config(&args("--domain example.org --primary mail.example.org"), &here).unwrap();
        assert_eq!(config.hostname.as_str(), "mx2.example.org");
    }

    #[test]
    fn two_flags_are_enough() {
        let config = quick_config(&args("--domain example.org --primary mail.example.org"), &here()).unwrap();
        assert_eq!(config.hostname.as_str(), "mx2.example.org");
        assert_eq!(config.listeners[0].address.to_string(), "[::]:2525");
        assert_eq!(config.spool.path, Path::new("/home/ann/.local/state/backupmx"));
        assert_eq!(config.tenants[0].name, "example.org");
        assert_eq!(config.tenants[0].primary.hosts[0].port, 25);
        assert_eq!(config.tenants[0].hold.max_age, Span::days(7));
    }

    #[test]
    fn every_flag_reaches_its_field() {
        let line = "--domain example.org --domain example.net --primary 192.0.2.1:2525 --primary b.example:26 \
                    --spool /s --listen 127.0.0.1:2626 --hostname mx.example --admin 127.0.0.1:8080 --hold 14d \
                    --retry-min 1m --retry-max 45m --resolver 192.0.2.53 --resolver [2001:db8::53]:5353";
        let config = quick_config(&args(line), &here()).unwrap();
        let tenant = &config.tenants[0];
        assert_eq!(tenant.domains.len(), 2);
        let hosts: Vec<_> = tenant.primary.hosts.iter().map(|h| (h.host.to_string(), h.port, h.preference)).collect();
        assert_eq!(hosts, [("192.0.2.1".to_owned(), 2525, 10), ("b.example".to_owned(), 26, 20)]);
        assert_eq!(config.spool.path, Path::new("/s"));
        assert_eq!(config.listeners[0].address.to_string(), "127.0.0.1:2626");
        assert_eq!(config.hostname.as_str(), "mx.example");
        assert_eq!(config.admin.health.map(|a| a.to_string()).as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(tenant.hold.max_age, Span::days(14));
        assert_eq!((tenant.delivery.retry.min, tenant.delivery.retry.max), (Span::minutes(1), Span::minutes(45)));
        let servers: Vec<_> = config.resolver.nameservers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["192.0.2.53:53", "[2001:db8::53]:5353"]);
    }

    #[test]
    fn the_defaults_follow_the_machine() {
        let flags = args("--domain example.org --primary mail.example.org");
        for (user, ip, address) in [
            (User::Root, IpFamilies::Both, "[::]:25"),
            (User::Root, IpFamilies::V4Only, "0.0.0.0:25"),
            (User::Other, IpFamilies::V4Only, "0.0.0.0:2525"),
        ] {
            let config = quick_config(&flags, &Surroundings { user, ip, ..here() }).unwrap();
            assert_eq!(config.listeners[0].address.to_string(), address);
        }
    }

    #[test]
    fn one_retry_flag_moves_the_other_default_along() {
        for (flag, min, max) in [
            ("--retry-min 10m", Span::minutes(10), Span::minutes(10)),
            ("--retry-max 5s", Span::seconds(5), Span::seconds(5)),
            ("--retry-max 1h", Span::seconds(30), Span::minutes(60)),
        ] {
            let flags = args(&format!("--domain example.org --primary mail.example.org {flag}"));
            let retry = quick_config(&flags, &here()).unwrap().tenants[0].delivery.retry;
            assert_eq!((retry.min, retry.max), (min, max), "{flag}");
        }
    }

    #[test]
    fn what_makes_no_config_says_what_to_do() {
        let flags = args("--domain example.org --primary mail.example.org");
        for name in ["my machine", "vm", "a_b.example.org"] {
            let nameless = Surroundings { node: name.to_owned(), ..here() };
            let error = quick_config(&flags, &nameless).unwrap_err().to_string();
            assert!(error.contains(name) && error.contains("--hostname"), "{error}");
        }
        let short = args("--domain example.org --primary mail.example.org --hostname vm");
        let error = quick_config(&short, &here()).unwrap_err().to_string();
        assert!(error.contains("expected a full host name such as mx1.backup.example.net"), "{error}");
        let flags = args("--domain example.org --primary mail.example.org --retry-min 1h --retry-max 1m");
        let error = quick_config(&flags, &here()).unwrap_err().to_string();
        assert!(error.contains("expected at least retry.min (1h); got 1m"), "{error}");
    }

    #[test]
    fn a_file_and_flags_exclude_each_other_and_one_is_needed() {
        use clap::Parser as _;
        for line in ["", "--domain example.org", "--primary a.example", "--config f --domain example.org --primary a"] {
            let words = ["backupmx-relay", "serve"].into_iter().chain(line.split_whitespace());
            assert!(super::super::args::Cli::try_parse_from(words).is_err(), "{line:?} was taken");
        }
    }
}
