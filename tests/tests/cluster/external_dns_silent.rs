//! An external-dns that is not there, or does not read what the operator writes: `DNSPublished` names the DNSEndpoint that
//! was not read. The cluster's own one is taken away, and a real one is started in its place, with a wrong flag.

use backupmx_crds::BackupMX;
use backupmx_tests::cluster::{Cluster, condition};
use serde_json::json;

use crate::{
    external_dns::ExternalDns,
    stage::{NAME, PATIENCE, Stage},
};

/// The cluster without its own external-dns, until this is dropped.
struct Without(&'static Cluster);

impl Without {
    fn external_dns(cluster: &'static Cluster) -> Self {
        cluster.script("restart", &["--stop", "external-dns"]);
        Self(cluster)
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        self.0.script("restart", &["external-dns"]);
    }
}

/// Waits until the condition says that this DNSEndpoint was not read, and which of our records are in it.
#[track_caller]
fn wait_unread(stage: &Stage, endpoint: &str, records: &str) {
    let object = format!("has not read DNSEndpoint {}/{endpoint}", stage.home.name());
    stage.mail.wait(NAME, &format!("says that external-dns {object}"), PATIENCE, |known: &BackupMX| {
        condition(known, "DNSPublished").is_some_and(|known| {
            known.reason == "ExternalDNSNotReading"
                && known.message.contains(&object)
                && known.message.contains(&format!("its --label-filter lets backupmx.io/records={records} through"))
        })
    });
}

#[test]
fn what_it_has_not_read_is_named() {
    let stage = Stage::disturbed("silent", &["--dns-patience", "3s"]);
    let without = Without::external_dns(stage.cluster());
    stage.apply(&json!({}));
    wait_unread(&stage, &format!("address-{}", stage.hostname("a")), "address");
    stage.mail.wait_event(NAME, "Warning", "DNSWrong", PATIENCE);

    let addresses_only = ExternalDns::start(&stage, &["--label-filter=backupmx.io/records=address", "--policy=sync"]);
    wait_unread(&stage, &format!("mx-{}", stage.domain()), "mx");
    stage.wait_mx(&[""; 0]);
    drop(addresses_only);
    drop(without);
    stage.wait_published();
    stage.wait_reason("DNSPublished", "True", "Published");
}
