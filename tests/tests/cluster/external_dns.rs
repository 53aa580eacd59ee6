//! A real external-dns beside the cluster's own, with other flags.

use backupmx_tests::{Place, Process};

use crate::stage::{OWNER, Stage};

/// An external-dns for a stage's zone and DNSEndpoints alone.
pub(crate) struct ExternalDns {
    _process: Process,
    _place: Place,
}

impl ExternalDns {
    /// Where it takes what it writes from, and what it writes, as it is to be started for `BackupMX`.
    const RIGHT: &[&str] =
        &["--source=crd", "--managed-record-types=MX", "--managed-record-types=A", "--managed-record-types=AAAA"];

    /// One that reads DNSEndpoints and writes all that they ask for.
    pub(crate) fn start(stage: &Stage, more: &[&str]) -> Self {
        Self::start_by(stage, &[Self::RIGHT, more].concat())
    }

    /// One that is told by these alone where it takes what it writes from, and what it writes.
    pub(crate) fn start_by(stage: &Stage, arguments: &[&str]) -> Self {
        let mut all = vec!["--namespace", stage.home.name(), "--txt-owner-id", OWNER];
        all.extend(["--txt-prefix", "_extdns-%{record_type}."]);
        all.extend(arguments);
        Self::start_with(stage, &all)
    }

    /// One that is told nothing but these, and where its zone is.
    pub(crate) fn start_with(stage: &Stage, arguments: &[&str]) -> Self {
        let place = Place::new();
        let variable = |name: &str| stage.cluster().variable(name).expect("a cluster with zones");
        let server = format!("http://{}", variable("BACKUPMX_CLUSTER_ZONES_API"));
        let mut command = stage.cluster().command("external-dns", arguments);
        command
            .arg("--kubeconfig")
            .arg(stage.cluster().kubeconfig())
            .args(["--domain-filter", stage.domain()])
            .args(["--provider", "pdns", "--pdns-server", &server])
            .args(["--pdns-api-key", variable("BACKUPMX_CLUSTER_ZONES_KEY")])
            .args(["--interval", "2s", "--metrics-address", "127.0.0.1:0", "--log-level", "debug"]);
        Self { _process: Process::start(&mut command, &place.file("external-dns.log")), _place: place }
    }
}
