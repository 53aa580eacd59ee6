//! Domains and host names that are another's, or that the namespace may not have.

use backupmx_crds::OnRelease;
use backupmx_relay_config::AcceptMode;

use super::{
    super::*,
    cluster::{Cluster, WHOLE, leave, name},
};
use crate::{conflict::Lost, validated::Owner};

/// What takes a name from a resource.
type Take = fn(&mut Cluster, &str);

const DOMAIN: [(&str, Take); 2] = [
    ("another has it", |cluster, name| {
        cluster.facts.lost.domains.insert(name.parse().unwrap(), another());
    }),
    ("its namespace may not have it", |cluster, name| cluster.facts.not_allowed.push(name.parse().unwrap())),
];

const HOST: [(&str, Take); 2] = [
    ("another has it", |cluster, name| {
        cluster.facts.lost.hostnames.insert(name.parse().unwrap(), another());
    }),
    ("its namespace may not have it", |cluster, name| cluster.facts.not_allowed_hosts.push(name.parse().unwrap())),
];

fn another() -> Owner {
    Owner { namespace: "n".into(), name: "o".into(), uid: "v".into() }
}

#[test]
fn a_domain_that_is_taken_is_deferred_and_goes_back_to_its_primary() {
    for (what, take) in DOMAIN {
        let mut cluster = Cluster::published();
        // Whoever has it may want to keep it on the map.
        cluster.resource.dns.on_release = OnRelease::Delete;
        take(&mut cluster, "example.net");
        let planned = cluster.pass();
        let tenants = &planned.serving[0].document.tenants;
        assert_eq!((tenants[0].accept, tenants[0].domains.len()), (AcceptMode::Active, 1), "{what}");
        assert_eq!((tenants[1].accept, tenants[1].domains[0].as_str()), (AcceptMode::Defer, "example.net"), "{what}");
        assert_eq!(cluster.targets("example.org"), WHOLE, "{what}");
        assert_eq!(cluster.targets("example.net"), WHOLE[..1], "{what}");
        assert_eq!(published(&cluster.resource, &cluster.facts), ["example.org".parse().unwrap()], "{what}");
        (cluster.facts.lost, cluster.facts.not_allowed) = (Lost::default(), Vec::new());
        cluster.pass();
        assert_eq!(cluster.targets("example.net"), WHOLE, "{what}, and it comes back");
    }
}

#[test]
fn a_record_set_that_its_new_owner_wrote_is_not_touched() {
    for (what, take) in DOMAIN {
        let mut cluster = Cluster::settled();
        take(&mut cluster, "example.net");
        // It bears the label of another now.
        cluster.facts.mx.remove("example.net");
        let planned = cluster.plan();
        assert_eq!((planned.mx.len(), planned.mx_deleted.len()), (1, 0), "{what}");
        cluster.facts.life = Life::Leaving;
        assert_eq!(cluster.plan().mx.len(), 1, "{what}");
    }
}

#[test]
fn a_resource_whose_domains_were_taken_can_be_deleted() {
    for (what, take) in DOMAIN {
        for (on_release, wanted) in [(OnRelease::KeepPrimary, &WHOLE[..1]), (OnRelease::Delete, &WHOLE[..0])] {
            let mut cluster = Cluster::settled();
            cluster.resource.dns.on_release = on_release;
            for domain in ["example.org", "example.net"] {
                take(&mut cluster, domain);
            }
            // Who has them now never writes their records.
            cluster.facts.life = Life::Leaving;
            leave(&mut cluster);
            assert_eq!(cluster.targets("example.org"), wanted, "{what}");
            assert!(is_over(&cluster.plan()), "{what}");
        }
    }
}

#[test]
fn a_host_name_that_is_taken_is_in_no_record() {
    for (what, take) in HOST {
        let mut cluster = Cluster::settled();
        let before = cluster.facts.relays[&name("a")].addresses.clone();
        assert!(before.is_some());
        take(&mut cluster, "mx1.backup.example.net");
        let planned = cluster.pass();
        assert_eq!(Some(&planned.addresses_deleted), before.map(|set| vec![set]).as_ref(), "{what}");
        assert_eq!(planned.addresses.len(), 1, "{what}: that of the other relay");
        assert_eq!(cluster.targets("example.org"), [WHOLE[0], WHOLE[2]], "{what}");
        assert_eq!(cluster.plan().addresses_deleted, [], "{what}");
    }
}

#[test]
fn without_a_host_name_of_its_own_a_domain_has_its_primary() {
    for (what, take) in HOST {
        let mut cluster = Cluster::settled();
        for host in ["mx1.backup.example.net", "mx2.backup.example.net"] {
            take(&mut cluster, host);
        }
        cluster.pass();
        assert_eq!(cluster.targets("example.org"), WHOLE[..1], "{what}");
        assert_eq!(wanted(&cluster.resource, &cluster.resource.domains[0], &cluster.facts), [], "{what}");
    }
}

#[test]
fn a_resource_that_leaves_keeps_its_host_names_until_a_successor_writes_them() {
    let mut cluster = Cluster::settled();
    let take = HOST[0].1;
    take(&mut cluster, "mx1.backup.example.net");
    cluster.facts.life = Life::Leaving;
    assert_eq!(cluster.plan().addresses_deleted, []);
}

/// What is known of the resource without its spec, of which the names alone can be read.
fn unusable(cluster: &Cluster) -> Validated {
    let published: Vec<_> = cluster.facts.mx.values().flat_map(crate::desired::mx::read).collect();
    let ours: Vec<DomainName> = cluster.resource.relays.iter().map(|relay| relay.hostname.clone()).collect();
    let Validated { owner, domains, .. } = &cluster.resource;
    let domains: Vec<&str> = domains.iter().map(DomainName::as_str).collect();
    let document = serde_json::json!({
        "apiVersion": "backupmx.io/v1alpha1",
        "kind": "BackupMX",
        "metadata": {"namespace": owner.namespace, "name": owner.name, "uid": owner.uid},
        "spec": {"domains": domains, "primary": {}, "relays": [], "hold": {"maxAge": "a while"}},
    });
    crate::validate::leaving::leaving(&serde_json::from_value(document).unwrap(), &published, &ours)
}

fn given_up(cluster: &Cluster) -> Released {
    released(&unusable(cluster), &cluster.facts, &crate::desired::fixture::settings()).unwrap()
}

#[test]
fn who_has_lost_nothing_gives_nothing_up_however_wrong_its_spec_is() {
    assert_eq!(given_up(&Cluster::settled()), Released::default());
}

#[test]
fn a_domain_that_is_taken_goes_back_though_the_spec_cannot_be_used() {
    for (why, take) in DOMAIN {
        let mut cluster = Cluster::settled();
        take(&mut cluster, "example.net");
        let released = given_up(&cluster);
        let sets: Vec<_> = released.mx.iter().map(|set| &set.spec.endpoints[0]).collect();
        assert_eq!(sets.len(), 1, "{why}: the other domain is its own still");
        assert_eq!(
            (sets[0].dns_name.as_str(), sets[0].targets.as_slice()),
            ("example.net", &[WHOLE[0].to_owned()][..])
        );
        assert_eq!((released.mx_deleted.len(), released.addresses_deleted.len()), (0, 0), "{why}");
        for (name, _, document) in &released.configs {
            let accepts: Vec<_> = document.tenants.iter().map(|one| (one.domains[0].as_str(), one.accept)).collect();
            assert_eq!(accepts, [("example.org", AcceptMode::Active), ("example.net", AcceptMode::Defer)], "{why}");
            let live = cluster.live(name.as_str());
            assert_eq!(document.revision, live.document.as_ref().unwrap().revision + 1);
            live.document = Some(document.clone());
        }
        assert_eq!(released.configs.len(), 2);
        cluster.facts.mx.insert("example.net".parse().unwrap(), released.mx[0].clone());
        assert_eq!(given_up(&cluster), Released::default(), "{why}: once is enough");
    }
}

#[test]
fn a_host_name_that_is_taken_is_given_up_though_the_spec_cannot_be_used() {
    for (why, take) in HOST {
        let mut cluster = Cluster::settled();
        take(&mut cluster, "mx1.backup.example.net");
        let released = given_up(&cluster);
        let targets: Vec<_> = released.mx.iter().map(|set| set.spec.endpoints[0].targets.clone()).collect();
        assert_eq!(targets, vec![[WHOLE[0], WHOLE[2]].map(str::to_owned).to_vec(); 2], "{why}");
        let (name, _, document) = &released.configs[0];
        assert_eq!((name.as_str(), crate::desired::document::is_closed(document)), ("a", true), "{why}");
        assert_eq!((released.configs.len(), released.addresses_deleted.len()), (1, 1), "{why}");
    }
}
