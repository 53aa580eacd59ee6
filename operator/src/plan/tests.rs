use backupmx_crds::{Activation, OnRelease};
use backupmx_relay_config::{
    AcceptMode,
    status::{Accepting, QueueStatus, StorageStatus},
};
use k8s_openapi::{api::apps::v1::DeploymentStatus, jiff::ToSpan};

use super::*;
use crate::{desired::fixture, desired::mx as mx_records, dns::tests::seen, labels, lifecycle::Phase};

/// The address of every relay.
const ADDRESS: &str = "192.0.2.10";

/// A cluster that does what it is told: every pass applies the plan and lets the pods become ready.
pub(crate) struct Cluster {
    pub(crate) resource: Validated,
    pub(crate) facts: Facts,
}

impl Cluster {
    pub(crate) fn new() -> Self {
        let resource = fixture::validated();
        let relays = resource.relays.iter().map(|relay| (relay.name.clone(), Live::default())).collect();
        let facts = Facts {
            now: "2027-01-15T08:00:00Z".parse().unwrap(),
            life: Life::Staying,
            relays,
            mx: BTreeMap::new(),
            lost: Lost::default(),
            sought: BTreeMap::new(),
            not_allowed: Vec::new(),
            not_allowed_hosts: Vec::new(),
            endpoint_api: EndpointApi::Served,
            dns: Seen::default(),
            free_rollouts: 1,
        };
        Self { resource, facts }
    }

    /// A cluster in which all is as wanted and published.
    pub(crate) fn settled() -> Self {
        let mut cluster = Self::new();
        cluster.pass();
        for live in cluster.facts.relays.values_mut() {
            live.balancer = vec![ADDRESS.parse().unwrap()];
        }
        for relay in cluster.resource.relays.clone() {
            cluster.resolve(&relay.hostname);
        }
        cluster.pass();
        cluster.pass();
        cluster
    }

    /// The same, and the records were seen in DNS.
    pub(crate) fn published() -> Self {
        let mut cluster = Self::settled();
        cluster.dns_follows();
        cluster.pass();
        cluster
    }

    /// DNS has the address of a relay's host name from now on.
    pub(crate) fn resolve(&mut self, host: &DomainName) {
        self.facts.dns.hosts.insert(host.clone(), Host::Addresses([ADDRESS.parse().unwrap()].into()));
    }

    /// DNS has from now on what the DNSEndpoints say.
    pub(crate) fn dns_follows(&mut self) {
        for (domain, set) in &self.facts.mx {
            let records: Vec<(u16, &str)> = set.spec.endpoints[0]
                .targets
                .iter()
                .filter_map(|target| {
                    target.split_once(' ').map(|(preference, host)| (preference.parse().unwrap(), host))
                })
                .collect();
            self.facts.dns.mx.insert(domain.clone(), seen::records(self.facts.now, &records));
        }
    }

    pub(crate) fn plan(&self) -> Resources {
        plan(&self.resource, &self.facts, &fixture::settings()).unwrap()
    }

    pub(crate) fn pass(&mut self) -> Resources {
        let planned = self.plan();
        for relay in &planned.serving {
            let live = self.facts.relays.get_mut(&relay.name).unwrap();
            live.claim = Some(relay.claim.clone());
            live.config_map = Some(relay.config_map.clone());
            live.service = Some(relay.service.clone());
            if let Some(deployment) = &relay.deployment {
                live.deployment = Some(Deployment { status: Some(ready()), ..deployment.clone() });
            }
            live.report = Some(report(&relay.document, 0));
        }
        for relay in &planned.leaving {
            let live = self.facts.relays.get_mut(&relay.name).unwrap();
            live.claim = Some(relay.claim.clone());
            if let Some((config_map, document)) = &relay.config {
                live.config_map = Some(config_map.clone());
                let held = live.report.as_ref().map_or(0, |report| report.queue.messages);
                live.report = Some(report(document, held));
            }
            if let Some(deployment) = &relay.deployment {
                live.deployment = Some(Deployment { status: Some(ready()), ..deployment.clone() });
            }
        }
        for set in &planned.addresses {
            let relay = name(&set.metadata.labels.as_ref().unwrap()[labels::RELAY]);
            self.facts.relays.get_mut(&relay).unwrap().addresses = Some(set.clone());
        }
        for set in &planned.addresses_deleted {
            for live in self.facts.relays.values_mut().filter(|live| live.addresses.as_ref() == Some(set)) {
                live.addresses = None;
            }
        }
        for set in &planned.mx {
            let domain: DomainName = set.spec.endpoints[0].dns_name.parse().unwrap();
            self.facts.mx.insert(domain, set.clone());
        }
        for domain in &planned.mx_deleted {
            self.facts.mx.remove(domain);
        }
        planned
    }

    pub(crate) fn later(&mut self, seconds: i64) {
        self.facts.now = self.facts.now.checked_add(seconds.seconds()).unwrap();
    }

    pub(crate) fn targets(&self, domain: &str) -> Vec<String> {
        let set = self.facts.mx.get(domain);
        set.map(|set| set.spec.endpoints[0].targets.clone()).unwrap_or_default()
    }
}

fn ready() -> DeploymentStatus {
    DeploymentStatus {
        replicas: Some(1),
        updated_replicas: Some(1),
        available_replicas: Some(1),
        ..DeploymentStatus::default()
    }
}

fn report(document: &RelayConfig, held: u64) -> RelayStatus {
    let queue = |messages| QueueStatus { messages, ..QueueStatus::default() };
    RelayStatus {
        version: "0.1.0".into(),
        generation: None,
        contract_version: 1,
        config_revision: document.revision,
        config_error: None,
        hostname: document.hostname.to_string(),
        started: "2027-01-15T08:00:00Z".into(),
        listeners: Vec::new(),
        accepting: Accepting::Yes,
        queue: queue(held),
        in_flight: Some(0),
        storage: StorageStatus::default(),
        tenants: document.tenants.iter().map(|tenant| tenant_status(&tenant.name, held)).collect(),
        orphaned: queue(0),
        reports: queue(0),
        clock_jumped: false,
    }
}

fn tenant_status(name: &str, held: u64) -> backupmx_relay_config::status::TenantStatus {
    use backupmx_relay_config::status::{PrimaryState, PrimaryStatus, TenantStatus};
    TenantStatus {
        name: name.into(),
        domains: Vec::new(),
        primary: PrimaryStatus {
            state: PrimaryState::Up,
            since: "2027-01-15T08:00:00Z".into(),
            next_probe: None,
            last_error: None,
            reject_storm: false,
            looping: false,
        },
        queue: QueueStatus { messages: held, ..QueueStatus::default() },
        in_flight: Some(0),
        suspended: false,
    }
}

pub(crate) fn name(text: &str) -> RelayName {
    text.parse().unwrap()
}

pub(super) const WHOLE: [&str; 3] = ["10 mail.example.org", "20 mx1.backup.example.net", "30 mx2.backup.example.net"];

#[test]
fn nothing_is_published_before_a_relay_is_ready_addressed_and_resolves() {
    let mut cluster = Cluster::new();
    assert_eq!(cluster.pass().mx, [], "no relay runs yet");
    assert_eq!(cluster.pass().mx, [], "no address is known yet");
    let live = cluster.facts.relays.get_mut(&name("a")).unwrap();
    live.balancer = vec!["192.0.2.10".parse().unwrap()];
    assert_eq!(cluster.pass().mx, [], "the name does not resolve yet");
    cluster.resolve(&"mx1.backup.example.net".parse().unwrap());
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), WHOLE[..2], "the other relay waits for its own");
}

#[test]
fn publication_latches() {
    let mut cluster = Cluster::settled();
    assert_eq!(cluster.targets("example.org"), WHOLE);
    for live in cluster.facts.relays.values_mut() {
        live.deployment.as_mut().unwrap().status = None;
        live.balancer = Vec::new();
        live.report = None;
    }
    cluster.facts.dns = Seen::default();
    cluster.pass();
    assert_eq!(cluster.targets("example.org"), WHOLE);
}

#[test]
fn a_plan_of_what_is_there_already_changes_nothing() {
    let mut cluster = Cluster::settled();
    let first = cluster.pass();
    cluster.later(3600);
    assert_eq!(cluster.pass(), first);
}

#[test]
fn a_new_template_takes_one_relay_at_a_time() {
    let mut cluster = Cluster::settled();
    cluster.resource.tls_secret = Some("other".into());
    let deployments = |planned: &Resources| -> Vec<String> {
        planned.serving.iter().filter(|relay| relay.deployment.is_some()).map(|relay| relay.name.to_string()).collect()
    };
    assert_eq!(deployments(&cluster.pass()), ["a"]);
    assert_eq!(deployments(&cluster.pass()), ["a", "b"]);
}

#[test]
fn a_config_is_new_only_when_it_changes() {
    let mut cluster = Cluster::settled();
    let revision = |planned: &Resources| planned.serving[0].document.revision;
    let before = revision(&cluster.pass());
    assert_eq!(revision(&cluster.pass()), before);
    cluster.resource.delivery.max_connections = 3;
    assert_eq!(revision(&cluster.pass()), before + 1);
}

#[test]
fn until_it_is_published_a_domain_may_wait() {
    let mut cluster = Cluster::settled();
    cluster.resource.activation = Activation::WhenPublished;
    let accepts =
        |planned: &Resources| planned.serving[0].document.tenants.iter().map(|t| t.accept).collect::<Vec<_>>();
    assert_eq!(accepts(&cluster.pass()), [AcceptMode::Defer]);
    cluster.dns_follows();
    assert_eq!(accepts(&cluster.pass()), [AcceptMode::Active]);
    cluster.facts.dns = Seen::default();
    assert_eq!(accepts(&cluster.pass()), [AcceptMode::Active], "what was seen once stays");
}

#[test]
fn a_domain_leaves_step_by_step() {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    let accept = |planned: &Resources| {
        let tenants = &planned.serving[0].document.tenants;
        tenants.iter().find(|tenant| tenant.domains[0].as_str() == "example.net").map(|tenant| tenant.accept)
    };
    assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Active), "senders have the old records");
    assert_eq!(cluster.targets("example.net"), WHOLE[..1], "the domain keeps its primary");
    cluster.pass();
    cluster.later(900);
    assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Defer));
    for _ in 0..3 {
        assert_eq!(accept(&cluster.pass()), Some(AcceptMode::Defer), "451, and never 550, for another day");
    }
    cluster.later(24 * 3600);
    assert_eq!(accept(&cluster.pass()), None);
    let claim = &cluster.plan().serving[0].claim;
    assert_eq!(claim.metadata.annotations.as_ref().unwrap()[labels::DOMAINS], "example.org");
}

#[test]
fn a_domain_leaves_only_when_nothing_of_it_is_held_or_coming_in() {
    let mut cluster = Cluster::settled();
    cluster.resource.domains.pop();
    for wait in [0, 0, 900, 0] {
        cluster.later(wait);
        cluster.pass();
    }
    let fading = |cluster: &Cluster| {
        let phases = cluster.plan().serving.into_iter().map(|relay| retirements(Some(&relay.claim))[0].phase);
        phases.map(|phase| phase == Phase::Fading).collect::<Vec<_>>()
    };
    let tenant = |cluster: &mut Cluster, change: fn(&mut backupmx_relay_config::status::TenantStatus)| {
        for live in cluster.facts.relays.values_mut() {
            let tenants = &mut live.report.as_mut().unwrap().tenants;
            // A tenant of its own, behind the one that serves.
            change(tenants.last_mut().unwrap());
        }
    };
    tenant(&mut cluster, |tenant| tenant.in_flight = Some(1));
    assert_eq!(fading(&cluster), [false, false]);
    tenant(&mut cluster, |tenant| (tenant.in_flight, tenant.queue.messages) = (Some(0), 1));
    assert_eq!(fading(&cluster), [false, false]);
    tenant(&mut cluster, |tenant| tenant.queue.messages = 0);
    assert_eq!(fading(&cluster), [true, true]);
}

#[test]
fn a_domain_that_comes_back_is_served_again() {
    let mut cluster = Cluster::settled();
    let domain = cluster.resource.domains.pop().unwrap();
    cluster.pass();
    cluster.resource.domains.push(domain);
    let planned = cluster.pass();
    assert_eq!(planned.serving[0].document.tenants.len(), 1);
    assert_eq!(cluster.targets("example.net"), WHOLE);
}

pub(super) fn leave(cluster: &mut Cluster) {
    for _ in 0..2 {
        cluster.pass();
    }
    cluster.later(900);
    for _ in 0..3 {
        cluster.pass();
    }
}

#[test]
fn a_relay_that_leaves_drains_first() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().queue.messages = 3;
    let planned = cluster.pass();
    assert_eq!(planned.leaving[0].name, name("b"));
    assert_eq!(cluster.targets("example.org"), WHOLE[..2]);
    leave(&mut cluster);
    let phase = |cluster: &Cluster| cluster.plan().leaving[0].retirement.phase;
    assert_eq!(phase(&cluster), Phase::Draining);
    let (_, document) = cluster.plan().leaving[0].config.clone().unwrap();
    assert!(document.tenants.iter().all(|tenant| tenant.accept == AcceptMode::Defer));
    cluster.later(1_000_000);
    assert_eq!(phase(&cluster), Phase::Draining, "mail is never let go by time");
    let report = cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap();
    report.queue.messages = 0;
    report.storage.quarantined = 1;
    assert_eq!(phase(&cluster), Phase::Draining, "a damaged part is held mail too");
    let report = cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap();
    report.storage.quarantined = 0;
    report.in_flight = Some(1);
    assert_eq!(phase(&cluster), Phase::Draining, "a message that is coming in was begun before the door was shut");
    let report = cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap();
    report.in_flight = Some(0);
    report.config_revision -= 1;
    assert_eq!(phase(&cluster), Phase::Draining, "empty under a config that lets mail in says nothing");
    cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().config_revision += 1;
    assert_eq!(phase(&cluster), Phase::Gone);
}

#[test]
fn what_a_relay_drains_to_and_how_long_it_holds_follow_the_spec() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().queue.messages = 3;
    cluster.pass();
    leave(&mut cluster);
    let moved: backupmx_relay_config::Primary = backupmx_relay_config::Primary {
        hosts: vec![backupmx_relay_config::PrimaryHost { port: 2525, ..cluster.resource.primary.hosts[0].clone() }],
        ..cluster.resource.primary.clone()
    };
    cluster.resource.primary = moved.clone();
    cluster.resource.hold.max_age = "30d".parse().unwrap();
    let (_, document) = cluster.plan().leaving[0].config.clone().unwrap();
    for tenant in &document.tenants {
        assert_eq!((&tenant.primary, tenant.accept), (&moved, AcceptMode::Defer));
        assert_eq!(tenant.hold, cluster.resource.hold);
    }
    let before = cluster.facts.relays[&name("b")].report.as_ref().unwrap().config_revision;
    assert!(document.revision > before);
}

#[test]
fn a_relay_whose_config_is_lost_waits_for_the_records_all_the_same() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    cluster.pass();
    cluster.facts.relays.get_mut(&name("b")).unwrap().config_map = None;
    let phase = |cluster: &Cluster| cluster.plan().leaving[0].retirement.phase;
    assert_eq!(phase(&cluster), Phase::Withdrawing, "another relay is in the records, and which is not known");
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    cluster.facts.relays.get_mut(&name("b")).unwrap().config_map = None;
    let waiting = cluster.plan();
    let of_b = waiting.leaving.iter().find(|relay| relay.name == name("b")).unwrap();
    assert_eq!(of_b.retirement.phase, Phase::Waiting, "the primary is alone in them");
}

#[test]
fn a_relay_whose_claim_was_forced_away_has_nothing_to_drain() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    let now = cluster.facts.now;
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    live.claim = None;
    let deployment = live.deployment.as_mut().unwrap();
    deployment.metadata.creation_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(now));
    assert_ne!(cluster.plan().leaving[0].retirement.phase, Phase::Gone, "its claim may not be known yet");
    cluster.later(120);
    assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Gone);
}

#[test]
fn relays_that_have_just_come_up_are_replaced_one_at_a_time_too() {
    let mut cluster = Cluster::settled();
    cluster.resource.tls_secret = Some("another".into());
    for live in cluster.facts.relays.values_mut() {
        let status = live.deployment.as_mut().unwrap().status.as_mut().unwrap();
        (status.ready_replicas, status.available_replicas) = (Some(1), None);
    }
    let planned = cluster.plan();
    let [first, second] = [&planned.serving[0], &planned.serving[1]];
    assert_eq!(second.deployment, None);
    let live = cluster.facts.relays.get_mut(&first.name).unwrap();
    live.deployment = Some(Deployment { status: None, ..first.deployment.clone().unwrap() });
    assert_eq!(cluster.plan().serving[1].deployment, None, "it takes mail, and the other does not");
    let live = cluster.facts.relays.get_mut(&second.name).unwrap();
    live.deployment.as_mut().unwrap().status.as_mut().unwrap().ready_replicas = None;
    assert_ne!(cluster.plan().serving[1].deployment, None, "what takes no mail is repaired at once");
}

#[test]
fn a_relay_that_is_gone_stays_gone_while_its_claim_lingers() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    for _ in 0..2 {
        cluster.pass();
    }
    leave(&mut cluster);
    let planned = cluster.pass();
    assert_eq!(planned.leaving[0].retirement.phase, Phase::Gone);
    // The operator died after the Deployment, and another goes on: nobody can ask the relay any more.
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    let noted = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
    noted.insert(
        labels::RETIRING.into(),
        planned.leaving[0].claim.metadata.annotations.as_ref().unwrap()[labels::RETIRING].clone(),
    );
    (live.deployment, live.config_map, live.report) = (None, None, None);
    assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Gone);
    // Its claim was let go, and its pod is not gone yet.
    let deleted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now);
    let claim = cluster.facts.relays.get_mut(&name("b")).unwrap().claim.as_mut().unwrap();
    (claim.metadata.deletion_timestamp, claim.metadata.finalizers) =
        (Some(deleted), Some(vec!["kubernetes.io/pvc-protection".into()]));
    assert_eq!(cluster.plan().leaving, []);
}

#[test]
fn a_deleted_resource_gives_the_primary_its_records_back_and_drains() {
    for (on_release, wanted) in [(OnRelease::KeepPrimary, &WHOLE[..1]), (OnRelease::Delete, &WHOLE[..0])] {
        let mut cluster = Cluster::settled();
        cluster.resource.dns.on_release = on_release;
        cluster.facts.life = Life::Leaving;
        assert!(!is_over(&cluster.pass()));
        assert_eq!(cluster.targets("example.org"), wanted);
        leave(&mut cluster);
        assert!(is_over(&cluster.plan()));
        assert_eq!(cluster.plan().leaving[0].remains, Remains::Nothing);
    }
}

#[test]
fn a_resource_whose_spec_cannot_be_used_can_be_deleted() {
    let mut cluster = Cluster::settled();
    let document = serde_json::json!({
        "apiVersion": "backupmx.io/v1alpha1",
        "kind": "BackupMX",
        "metadata": {"namespace": "mail", "name": "example-org", "uid": "6b1f"},
        "spec": {"domains": [], "primary": {}, "relays": []},
    });
    let published: Vec<_> = cluster.facts.mx.values().flat_map(mx_records::read).collect();
    let ours: Vec<DomainName> = cluster.resource.relays.iter().map(|relay| relay.hostname.clone()).collect();
    let unusable = serde_json::from_value(document).unwrap();
    cluster.resource = crate::validate::leaving::leaving(&unusable, &published, &ours);
    cluster.facts.life = Life::Leaving;
    cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().queue.messages = 3;
    let asked = |planned: &Resources| planned.leaving.iter().map(|relay| relay.claim.spec.clone()).collect::<Vec<_>>();
    let before: Vec<_> = cluster.facts.relays.values().map(|live| live.claim.clone().unwrap().spec).collect();
    let planned = cluster.pass();
    assert_eq!(asked(&planned).len(), 2, "the relays are known by their objects");
    for (claim, before) in asked(&planned).iter().zip(&before) {
        let size = |spec: &Option<k8s_openapi::api::core::v1::PersistentVolumeClaimSpec>| {
            spec.clone().unwrap().resources.unwrap().requests.unwrap()["storage"].clone()
        };
        assert_eq!(size(claim), size(before), "no claim is asked to shrink");
    }
    for domain in ["example.org", "example.net"] {
        assert_eq!(cluster.targets(domain), WHOLE[..1], "the primary keeps its records");
    }
    leave(&mut cluster);
    assert!(!is_over(&cluster.plan()), "b holds mail");
    cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().queue.messages = 0;
    assert!(is_over(&cluster.plan()));
}

#[test]
fn retained_mail_stays_in_its_claim() {
    let mut cluster = Cluster::settled();
    cluster.resource.deletion = DeletionPolicy::Retain;
    cluster.facts.life = Life::Leaving;
    for live in cluster.facts.relays.values_mut() {
        live.report.as_mut().unwrap().queue.messages = 3;
    }
    leave(&mut cluster);
    let planned = cluster.plan();
    assert!(is_over(&planned));
    assert_eq!(planned.leaving[0].remains, Remains::Claim);
}

#[test]
fn a_person_can_cut_a_stuck_drain_short() {
    let mut cluster = Cluster::settled();
    cluster.facts.life = Life::Leaving;
    cluster.pass();
    for live in cluster.facts.relays.values_mut() {
        live.report = None;
        let annotations = live.claim.as_mut().unwrap().metadata.annotations.as_mut().unwrap();
        annotations.insert(labels::RELEASE.into(), "discard".into());
    }
    assert!(is_over(&cluster.plan()));
}

#[test]
fn a_new_image_reaches_relays_that_leave_one_at_a_time() {
    let mut cluster = Cluster::settled();
    cluster.facts.life = Life::Leaving;
    let new = Settings { relay_image: "registry.test/backupmx-relay:0.2.0".into(), ..fixture::settings() };
    let opened = |cluster: &Cluster| -> Vec<String> {
        let planned = plan(&cluster.resource, &cluster.facts, &new).unwrap();
        let open = planned.leaving.iter().filter(|relay| relay.deployment.is_some());
        open.map(|relay| relay.name.to_string()).collect()
    };
    assert_eq!(opened(&cluster), ["a"]);
    cluster.facts.free_rollouts = 0;
    assert_eq!(opened(&cluster), Vec::<String>::new(), "others are being replaced");
    cluster.facts.relays.get_mut(&name("b")).unwrap().deployment.as_mut().unwrap().status = None;
    assert_eq!(opened(&cluster), ["b"], "a broken one is repaired at any time");
}

#[test]
fn a_relay_that_leaves_has_a_pod_until_it_is_gone_and_none_afterwards() {
    let mut cluster = Cluster::settled();
    cluster.resource.relays.pop();
    let pod = |cluster: &Cluster| cluster.plan().leaving[0].deployment.is_some();
    cluster.pass();
    cluster.facts.relays.get_mut(&name("b")).unwrap().deployment = None;
    assert!(pod(&cluster), "one that somebody deleted comes back: it may hold mail");
    let mut ending = cluster.facts.relays[&name("b")].claim.clone().unwrap();
    ending.metadata.deletion_timestamp = Some(k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now));
    let kept = cluster.facts.relays.get_mut(&name("b")).unwrap().claim.replace(ending);
    assert!(!pod(&cluster), "no pod could start on it");
    cluster.facts.relays.get_mut(&name("b")).unwrap().claim = kept;
    leave(&mut cluster);
    assert_eq!(cluster.plan().leaving[0].retirement.phase, Phase::Gone);
    assert!(!pod(&cluster), "nothing is made anew");
}

#[test]
fn mail_that_would_be_stranded_or_lost_is_not_taken() {
    for policy in [DeletionPolicy::Retain, DeletionPolicy::Discard] {
        let mut cluster = Cluster::settled();
        cluster.resource.deletion = policy;
        cluster.facts.life = Life::Leaving;
        let planned = cluster.pass();
        let (_, document) = planned.leaving[0].config.clone().unwrap();
        assert!(document.tenants.iter().all(|tenant| tenant.accept == AcceptMode::Defer), "{policy:?}");
        cluster.pass();
        cluster.later(901);
        for live in cluster.facts.relays.values_mut() {
            live.report = None;
        }
        assert!(is_over(&cluster.plan()), "{policy:?}: a relay that does not answer is not waited for");
    }
}

#[test]
fn the_primary_s_records_are_read_back_from_a_live_set() {
    let cluster = Cluster::settled();
    assert_eq!(mx_records::hosts(&cluster.facts.mx["example.org"]).len(), 3);
}

#[test]
fn a_claim_deleted_by_hand_is_replaced_only_when_its_mail_is_gone() {
    let mut cluster = Cluster::settled();
    let relay = |cluster: &mut Cluster| -> Live { cluster.facts.relays[&name("b")].clone() };
    let hold = |cluster: &mut Cluster, messages| {
        cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().queue.messages = messages;
    };
    let accept = |planned: &Resources| {
        let found = planned.serving.iter().find(|relay| relay.name == name("b"));
        found.map(|relay| relay.document.tenants[0].accept)
    };
    let deleted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now);
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted.clone());
    hold(&mut cluster, 3);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Active), "its mail is kept, and the relay goes on");
    cluster.facts.relays.get_mut(&name("b")).unwrap().report = None;
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Active), "silence is not emptiness");
    cluster.facts.relays = Cluster::settled().facts.relays;
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted);
    let planned = cluster.plan();
    assert_eq!(accept(&planned), Some(AcceptMode::Defer), "nothing more is to come in");
    assert_eq!(planned.renewing, []);
    // It is told, and says so; the claim stays deleted.
    let told = planned.serving.into_iter().find(|relay| relay.name == name("b")).unwrap();
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    live.config_map = Some(told.config_map);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Defer), "it has not said that it answers 451");
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    live.report.as_mut().unwrap().config_revision = told.document.revision;
    hold(&mut cluster, 1);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Active), "mail came in before the door was shut");
    hold(&mut cluster, 0);
    let coming = |cluster: &mut Cluster, messages| {
        cluster.facts.relays.get_mut(&name("b")).unwrap().report.as_mut().unwrap().in_flight = Some(messages);
    };
    coming(&mut cluster, 1);
    assert_eq!(accept(&cluster.plan()), Some(AcceptMode::Defer), "what comes in still is waited for, the door shut");
    coming(&mut cluster, 0);
    let planned = cluster.plan();
    assert_eq!((accept(&planned), planned.renewing.len()), (None, 1));
    assert_eq!(relay(&mut cluster).claim.unwrap().metadata.finalizers.unwrap(), [labels::HELD_MAIL]);
    // Gone.
    let live = cluster.facts.relays.get_mut(&name("b")).unwrap();
    (live.claim, live.deployment, live.report) = (None, None, None);
    let planned = cluster.plan();
    assert_eq!((accept(&planned), planned.renewing.len()), (Some(AcceptMode::Active), 0), "it is made anew");
}

#[test]
fn a_pod_on_a_deleted_claim_is_not_replaced_and_waits_for_nobody() {
    let mut cluster = Cluster::settled();
    let deleted = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(cluster.facts.now);
    let live = cluster.facts.relays.get_mut(&name("a")).unwrap();
    live.claim.as_mut().unwrap().metadata.deletion_timestamp = Some(deleted);
    live.report.as_mut().unwrap().queue.messages = 3;
    let settings = Settings { relay_image: "registry.example/relay:newer".into(), ..fixture::settings() };
    let planned = plan(&cluster.resource, &cluster.facts, &settings).unwrap();
    let replaced: Vec<(&str, bool)> =
        planned.serving.iter().map(|relay| (relay.name.as_str(), relay.deployment.is_some())).collect();
    assert_eq!(replaced, [("a", false), ("b", true)]);
}
