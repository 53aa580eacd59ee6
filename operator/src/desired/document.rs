//! The document that a relay runs on: [`RelayConfig`], the contract with the relay.

use std::net::{IpAddr, Ipv6Addr, SocketAddr};

use backupmx_relay_config::{
    AcceptMode, Acceptance, AdminConfig, ApiListener, ByteSize, CONTRACT_VERSION, DomainName, Limits, Listener,
    RecipientMode, Recipients, RelayConfig, ReportConfig, ResolverConfig, SpoolConfig, Tenant, Timeouts, TlsConfig,
    TokenHash,
};
use sha2::{Digest, Sha256};

use super::{API_PORT, HEALTH_PORT, SMTP_PORT, room};
use crate::validated::{Owner, PodResources, Relay, Validated};

/// The folder of accepted mail, where the claim is mounted.
pub const SPOOL: &str = "/var/lib/backupmx";
/// The folder where the certificate's Secret is mounted.
pub const TLS: &str = "/etc/backupmx/tls";

/// Whose mail a relay takes now. Each domain is in one of the lists only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tenancy {
    /// Domains whose mail is taken.
    pub serving: Vec<DomainName>,
    /// Domains that are answered 451: another resource has them, or their records are not out yet. Never 550, as
    /// senders may have our MX in their caches, and a 550 bounces.
    pub deferred: Vec<DomainName>,
    /// Domains that leave, each on its own, so that the relay counts what it still holds for it.
    pub leaving: Vec<LeavingDomain>,
}

/// A domain that leaves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeavingDomain {
    /// Its name.
    pub domain: DomainName,
    /// Whether its mail is taken still.
    pub accept: AcceptMode,
    /// Who has an address in it: what was said while it served. The spec lists them no more, and mail for them comes
    /// as long as senders have its records.
    pub recipients: Recipients,
}

/// What the document needs besides the resource.
#[derive(Clone, Debug, PartialEq)]
pub struct Input<'a> {
    /// Whose mail is taken.
    pub tenancy: &'a Tenancy,
    /// What the relay may use of the volume: its claim. On many local classes the file system is the node's.
    pub size: ByteSize,
    /// The SHA-256 of the relay's admin token.
    pub token: TokenHash,
}

/// Builds it, with revision 0; [`revision`] says what it must be.
#[must_use]
pub fn build(resource: &Validated, relay: &Relay, input: &Input<'_>) -> RelayConfig {
    let defaults = Limits::default();
    let largest = resource.acceptance.max_message_size.unwrap_or(defaults.message_size);
    let document = RelayConfig {
        contract_version: CONTRACT_VERSION,
        revision: 0,
        hostname: relay.hostname.clone(),
        listeners: vec![Listener { address: everywhere(SMTP_PORT) }],
        tls: resource
            .tls_secret
            .is_some()
            .then(|| TlsConfig { certificate: format!("{TLS}/tls.crt").into(), key: format!("{TLS}/tls.key").into() }),
        spool: SpoolConfig { path: SPOOL.into(), size: Some(input.size), segment_size: None },
        admin: AdminConfig {
            socket: None,
            health: Some(everywhere(HEALTH_PORT)),
            api: Some(ApiListener { address: everywhere(API_PORT), token_sha256: input.token }),
        },
        resolver: ResolverConfig::default(),
        postmaster: None,
        reports: ReportConfig::default(),
        limits: Limits {
            message_size: largest.max(defaults.message_size),
            memory: memory(&resource.resources, defaults.memory),
            ..defaults
        },
        timeouts: Timeouts::default(),
        tenants: tenants(resource, input.tenancy),
    };
    room::fit(document, |domain| input.tenancy.leaving.iter().any(|one| one.domain == *domain))
}

/// What messages that are coming in may take of the pod's memory: an eighth. The rest is for sessions, held mail, and
/// what is on its way out.
fn memory(resources: &PodResources, unlimited: ByteSize) -> ByteSize {
    resources.memory.map_or(unlimited, |limit| ByteSize::bytes(limit.as_u64() / 8))
}

/// The same document for a pod of that memory, if that is less: one that waits for its turn to be replaced must not take
/// what only the next one may.
#[must_use]
pub fn within(mut document: RelayConfig, pod: Option<ByteSize>) -> RelayConfig {
    if let Some(limit) = pod {
        document.limits.memory = document.limits.memory.min(ByteSize::bytes(limit.as_u64() / 8));
    }
    document
}

/// The same document with every tenant answered 451: what a relay that leaves runs on. It is made of what the relay
/// had, so it needs no spec.
#[must_use]
pub fn closed(mut document: RelayConfig) -> RelayConfig {
    for tenant in &mut document.tenants {
        tenant.accept = AcceptMode::Defer;
    }
    document
}

/// The same document with those domains answered 451 that are another's now.
#[must_use]
pub fn without(mut document: RelayConfig, owner: &Owner, lost: impl Fn(&DomainName) -> bool) -> RelayConfig {
    let name = deferred_tenant(owner);
    let mut deferred: Option<Tenant> = None;
    for tenant in document.tenants.iter_mut().filter(|tenant| tenant.accept == AcceptMode::Active) {
        let (gone, kept): (Vec<_>, Vec<_>) = std::mem::take(&mut tenant.domains).into_iter().partition(&lost);
        tenant.domains = kept;
        if !gone.is_empty() {
            let like =
                || Tenant { name: name.clone(), domains: Vec::new(), accept: AcceptMode::Defer, ..tenant.clone() };
            deferred.get_or_insert_with(like).domains.extend(gone);
        }
        retain_listed(&mut tenant.acceptance, &tenant.domains);
    }
    document.tenants.retain(|tenant| !tenant.domains.is_empty());
    if let Some(mut deferred) = deferred {
        match document.tenants.iter_mut().find(|tenant| tenant.name == name) {
            Some(known) => known.domains.append(&mut deferred.domains),
            None => {
                // Nobody is looked up for mail that is not taken.
                deferred.acceptance.recipients = Recipients::default();
                document.tenants.push(deferred);
            }
        }
    }
    document
}

/// Whether a relay on this document takes no mail.
#[must_use]
pub fn is_closed(document: &RelayConfig) -> bool {
    document.tenants.iter().all(|tenant| tenant.accept == AcceptMode::Defer)
}

/// Who is listed as a recipient in those domains. None: the document does not take their mail, so what it lists says
/// nothing of them.
#[must_use]
pub fn recipients(document: &RelayConfig, owner: &Owner, domains: &[DomainName]) -> Option<Vec<String>> {
    let name = owner.to_string();
    let serving = document.tenants.iter().find(|one| one.name == name && one.accept == AcceptMode::Active)?;
    let all = domains.iter().all(|domain| serving.domains.contains(domain));
    all.then(|| serving.acceptance.recipients.list.clone())
}

/// The same document on the terms that the resource has now. A resource whose spec cannot be used has none.
#[must_use]
pub fn on_terms(mut document: RelayConfig, resource: &Validated, token: TokenHash) -> RelayConfig {
    if let Some(api) = &mut document.admin.api {
        api.token_sha256 = token;
    }
    document.limits.memory = memory(&resource.resources, Limits::default().memory);
    if resource.is_usable() {
        for tenant in &mut document.tenants {
            tenant.primary = resource.primary.clone();
            tenant.hold = resource.hold;
            tenant.delivery = resource.delivery;
            tenant.bounce = resource.bounce.clone();
        }
    }
    document
}

/// The revision for `wanted`: that of the stored document if nothing changed, else one that no one has seen. A relay
/// refuses a document that is not newer than its own, so what it reports counts too (a ConfigMap may have been
/// deleted, or come from a backup).
#[must_use]
pub fn revision(stored: Option<&RelayConfig>, reported: Option<u64>, wanted: &RelayConfig) -> u64 {
    let known = stored.map_or(0, |document| document.revision);
    let unchanged =
        stored.is_some_and(|document| *document == RelayConfig { revision: document.revision, ..wanted.clone() });
    match reported {
        None if unchanged => known,
        Some(reported) if unchanged && reported <= known => known,
        reported => known.max(reported.unwrap_or(0)) + 1,
    }
}

/// A digest of what takes a restart: the pod template holds it, so that a change of it replaces the pod.
#[must_use]
pub fn restart_key(document: &RelayConfig) -> String {
    let api = document.admin.api.as_ref().map(|api| api.address);
    let admin = (&document.admin.socket, document.admin.health, api);
    // The spool's size is taken up by a running relay.
    let spool = (&document.spool.path, document.spool.segment_size);
    let digest = Sha256::digest(format!("{:?}", (&document.listeners, spool, admin)));
    digest.iter().take(8).map(|octet| format!("{octet:02x}")).collect()
}

fn tenants(resource: &Validated, tenancy: &Tenancy) -> Vec<Tenant> {
    let owner = &resource.owner;
    let listed = &resource.acceptance.recipients;
    // Nobody is looked up for mail that is not taken.
    let nobody = Recipients::default();
    let serving = (owner.to_string(), tenancy.serving.clone(), AcceptMode::Active, listed);
    let deferred = (deferred_tenant(owner), tenancy.deferred.clone(), AcceptMode::Defer, &nobody);
    let leaving = tenancy.leaving.iter().map(|one| {
        let recipients = match one.accept {
            AcceptMode::Active => &one.recipients,
            AcceptMode::Defer => &nobody,
        };
        (leaving_tenant(resource, &one.domain), vec![one.domain.clone()], one.accept, recipients)
    });
    [serving, deferred]
        .into_iter()
        .chain(leaving)
        .filter(|(_, domains, _, _)| !domains.is_empty())
        .map(|(name, domains, accept, recipients)| tenant(resource, name, domains, accept, recipients))
        .collect()
}

/// The name of the tenant of what is answered 451.
fn deferred_tenant(owner: &Owner) -> String {
    format!("{owner} (deferred)")
}

/// A listed address belongs to the tenant with its domain; a bare local part to all.
fn retain_listed(acceptance: &mut Acceptance, domains: &[DomainName]) {
    acceptance.recipients.list.retain(|entry| match entry.rsplit_once('@') {
        Some((_, domain)) => domain.parse().is_ok_and(|domain: DomainName| domains.contains(&domain)),
        None => true,
    });
    // Where all that are listed are in other domains, nobody is taken here but the postmaster, as always. A list of
    // nobody is refused by a relay, as it is a slip wherever a person writes it.
    if acceptance.recipients.mode == RecipientMode::List && acceptance.recipients.list.is_empty() {
        acceptance.recipients.list.push("postmaster".to_owned());
    }
}

/// The name of the tenant of a domain that leaves.
#[must_use]
pub fn leaving_tenant(resource: &Validated, domain: &DomainName) -> String {
    format!("{} ({domain})", resource.owner)
}

fn tenant(
    resource: &Validated,
    name: String,
    domains: Vec<DomainName>,
    accept: AcceptMode,
    recipients: &Recipients,
) -> Tenant {
    let mut acceptance = Acceptance { recipients: recipients.clone(), ..resource.acceptance.clone() };
    retain_listed(&mut acceptance, &domains);
    Tenant {
        name,
        domains,
        accept,
        primary: resource.primary.clone(),
        acceptance,
        hold: resource.hold,
        delivery: resource.delivery,
        bounce: resource.bounce.clone(),
        quota: Default::default(),
    }
}

/// Every address of the pod, of both families.
fn everywhere(port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V6(Ipv6Addr::UNSPECIFIED), port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    fn leaving(domain: DomainName, accept: AcceptMode) -> LeavingDomain {
        LeavingDomain { domain, accept, recipients: Recipients::default() }
    }

    fn document() -> RelayConfig {
        let resource = fixture::validated();
        fixture::document(&resource, &fixture::tenancy(&resource))
    }

    #[test]
    fn golden() {
        insta::assert_snapshot!(backupmx_relay_config::to_yaml(&document()).unwrap());
    }

    #[test]
    fn the_relay_takes_what_is_built() {
        let mut resource = fixture::validated();
        resource.acceptance.recipients.mode = RecipientMode::List;
        resource.acceptance.recipients.list = vec!["info".into(), "ann@example.org".into(), "bob@example.net".into()];
        resource.acceptance.max_message_size = Some(ByteSize::mebibytes(100));
        let [org, net] = [&resource.domains[0], &resource.domains[1]].map(Clone::clone);
        for tenancy in [
            Tenancy::default(),
            Tenancy { serving: vec![org.clone(), net.clone()], ..Tenancy::default() },
            Tenancy { serving: vec![org.clone()], deferred: vec![net.clone()], leaving: Vec::new() },
            Tenancy { serving: vec![org], deferred: Vec::new(), leaving: vec![leaving(net, AcceptMode::Defer)] },
        ] {
            let document = fixture::document(&resource, &tenancy);
            backupmx_relay_config::check(&document).unwrap_or_else(|error| panic!("{tenancy:?}: {error}"));
            let text = backupmx_relay_config::to_yaml(&document).unwrap();
            assert_eq!(backupmx_relay_config::from_yaml(&text).unwrap(), document, "{text}");
        }
    }

    #[test]
    fn a_domain_of_which_nobody_is_listed_takes_the_postmaster_alone() {
        let mut resource = fixture::validated();
        resource.acceptance.recipients.mode = RecipientMode::List;
        resource.acceptance.recipients.list = vec!["ann@example.org".into()];
        let [org, net] = [&resource.domains[0], &resource.domains[1]].map(Clone::clone);
        let tenancy = Tenancy { serving: vec![net], deferred: vec![org], leaving: Vec::new() };
        let document = fixture::document(&resource, &tenancy);
        backupmx_relay_config::check(&document).unwrap();
        let lists: Vec<_> = document.tenants.iter().map(|tenant| &tenant.acceptance.recipients.list[..]).collect();
        assert_eq!(lists, [&["postmaster".to_owned()][..], &[]], "nobody is looked up for mail that is not taken");
    }

    #[test]
    fn a_domain_that_is_not_ours_now_is_deferred_and_never_unknown() {
        let resource = fixture::validated();
        let tenancy = Tenancy {
            serving: vec![resource.domains[0].clone()],
            deferred: vec![resource.domains[1].clone()],
            leaving: vec![leaving("old.example".parse().unwrap(), AcceptMode::Active)],
        };
        let document = fixture::document(&resource, &tenancy);
        let seen: Vec<(&str, AcceptMode)> =
            document.tenants.iter().map(|tenant| (tenant.domains[0].as_str(), tenant.accept)).collect();
        assert_eq!(
            seen,
            [
                ("example.org", AcceptMode::Active),
                ("example.net", AcceptMode::Defer),
                ("old.example", AcceptMode::Active)
            ]
        );
    }

    #[test]
    fn what_is_another_s_now_is_deferred_by_what_is_stored() {
        let mut resource = fixture::validated();
        resource.acceptance.recipients.mode = backupmx_relay_config::RecipientMode::List;
        resource.acceptance.recipients.list = vec!["info".into(), "ann@example.org".into(), "bob@example.net".into()];
        let stored = fixture::document(&resource, &fixture::tenancy(&resource));
        let is = |names: &'static [&'static str]| move |domain: &DomainName| names.contains(&domain.as_str());
        let shown = |document: &RelayConfig| -> Vec<(String, AcceptMode, usize)> {
            let line = |tenant: &Tenant| {
                let domains: Vec<&str> = tenant.domains.iter().map(DomainName::as_str).collect();
                (domains.join(","), tenant.accept, tenant.acceptance.recipients.list.len())
            };
            backupmx_relay_config::check(document).unwrap();
            document.tenants.iter().map(line).collect()
        };
        assert_eq!(without(stored.clone(), &resource.owner, is(&[])), stored);
        let one = without(stored, &resource.owner, is(&["example.net"]));
        let [org, net] = [("example.org", AcceptMode::Active), ("example.net", AcceptMode::Defer)];
        assert_eq!(shown(&one), [(org.0.into(), org.1, 2), (net.0.into(), net.1, 0)]);
        assert_eq!(without(one.clone(), &resource.owner, is(&["example.net"])), one, "once is enough");
        let both = without(one, &resource.owner, is(&["example.net", "example.org"]));
        assert_eq!(shown(&both), [("example.net,example.org".into(), AcceptMode::Defer, 0)]);
    }

    #[test]
    fn who_is_listed_is_read_of_the_domains_that_are_served_and_of_no_others() {
        let mut resource = fixture::validated();
        resource.acceptance.recipients.mode = RecipientMode::List;
        resource.acceptance.recipients.list = vec!["info".into(), "ann@example.org".into(), "bob@example.net".into()];
        let serving = fixture::document(&resource, &fixture::tenancy(&resource));
        let listed = |document: &RelayConfig| recipients(document, &resource.owner, &resource.domains);
        assert_eq!(listed(&serving), Some(resource.acceptance.recipients.list.clone()));
        let [org, net] = [&resource.domains[0], &resource.domains[1]].map(Clone::clone);
        let tenancy = Tenancy { serving: vec![org], deferred: vec![net], leaving: Vec::new() };
        assert_eq!(listed(&fixture::document(&resource, &tenancy)), None, "of one of them nothing is said");
        assert_eq!(listed(&closed(serving)), None, "a list that a relay leaves with is as old as that");
    }

    #[test]
    fn what_comes_in_may_take_an_eighth_of_the_memory() {
        let mut resource = fixture::validated();
        for (limit, wanted) in [(Some(128), 16), (Some(1024), 128), (Some(4096), 512), (None, 128)] {
            resource.resources.memory = limit.map(ByteSize::mebibytes);
            let built = fixture::document(&resource, &fixture::tenancy(&resource));
            assert_eq!(built.limits.memory, ByteSize::mebibytes(wanted), "{limit:?}");
            backupmx_relay_config::check(&built).unwrap();
            let leaving = on_terms(closed(document()), &resource, [0; 32].into());
            assert_eq!(leaving.limits.memory, ByteSize::mebibytes(wanted), "of a relay that leaves, {limit:?}");
        }
    }

    #[test]
    fn a_leaving_relay_answers_451_to_all() {
        assert!(!is_closed(&document()));
        assert!(is_closed(&closed(document())));
    }

    #[test]
    fn the_revision_rises_with_every_change_and_with_nothing_else() {
        let wanted = document();
        let stored = RelayConfig { revision: 4, ..wanted.clone() };
        let other = RelayConfig { revision: 4, ..closed(wanted.clone()) };
        for (what, stored, reported, revision_wanted) in [
            ("the first", None, None, 1),
            ("nothing changed", Some(&stored), None, 4),
            ("nothing changed, and the relay has it", Some(&stored), Some(4), 4),
            ("the relay is still behind", Some(&stored), Some(3), 4),
            ("a change", Some(&other), Some(4), 5),
            ("the ConfigMap is gone", None, Some(9), 10),
            ("the ConfigMap is older than the relay", Some(&stored), Some(9), 10),
        ] {
            assert_eq!(revision(stored, reported, &wanted), revision_wanted, "{what}");
        }
    }

    #[test]
    fn only_what_takes_a_restart_changes_its_key() {
        let key = restart_key(&document());
        assert_eq!(restart_key(&closed(document())), key, "tenants are taken up without a restart");
        let mut rotated = document();
        rotated.admin.api.as_mut().unwrap().token_sha256 = [9; 32].into();
        assert_eq!(restart_key(&rotated), key, "a token is taken up without a restart");
        let mut grown = document();
        grown.spool.size = Some(ByteSize::mebibytes(20 << 10));
        assert_eq!(restart_key(&grown), key, "a larger volume is taken up without a restart");
        let mut moved = document();
        moved.spool.path = "/elsewhere".into();
        assert_ne!(restart_key(&moved), key);
    }
}
