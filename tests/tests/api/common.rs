//! What most tests here begin with.

use backupmx_crds::BackupMX;
use backupmx_tests::{
    LONG,
    cluster::{Cluster, Namespace, Operator, OperatorOptions, Proxy},
};
use k8s_openapi::api::apps::v1::Deployment;

/// Two namespaces, one that is watched and the operator's own, and a proxy between the operator and the API server.
pub(crate) struct Stage {
    pub(crate) mail: Namespace,
    pub(crate) home: Namespace,
    pub(crate) proxy: Proxy,
}

impl Stage {
    pub(crate) fn new() -> Self {
        Self::on(Cluster::control_plane())
    }

    pub(crate) fn on(cluster: &Cluster) -> Self {
        let (mail, home) = (cluster.namespace("mail"), cluster.namespace("operator"));
        Self { mail, home, proxy: Proxy::start(cluster) }
    }

    pub(crate) fn options(&self) -> OperatorOptions {
        OperatorOptions::new(self.home.name(), Some(self.mail.name()), &self.proxy.kubeconfig())
    }

    /// An operator that leads.
    #[track_caller]
    pub(crate) fn operator(&self) -> Operator {
        self.operator_by(self.options())
    }

    #[track_caller]
    pub(crate) fn operator_by(&self, options: OperatorOptions) -> Operator {
        let mut operator = Operator::start(options);
        operator.wait_leads();
        operator
    }

    /// Waits until the operator has said something of this generation of a resource.
    #[track_caller]
    pub(crate) fn wait_observed(&self, name: &str) -> BackupMX {
        self.mail.wait(name, "was observed", LONG, |object: &BackupMX| {
            object.status.as_ref().and_then(|status| status.observed_generation) == object.metadata.generation
        })
    }

    /// The Deployment of a resource's relay; its Service and claim have the same name.
    #[track_caller]
    pub(crate) fn relay(&self, resource: &str, relay: &str) -> String {
        let prefix = format!("{resource}-{relay}-");
        backupmx_tests::wait_value(&format!("there is a Deployment {prefix}…"), LONG, || {
            self.mail.names::<Deployment>().into_iter().find(|name| name.starts_with(&prefix))
        })
    }
}

/// A resource with a domain and one relay `a`; `more` are further lines of its spec, indented by two.
pub(crate) fn resource(name: &str, domain: &str, more: &str) -> String {
    format!(
        "apiVersion: backupmx.io/v1alpha1\n\
         kind: BackupMX\n\
         metadata: {{name: {name}}}\n\
         spec:\n\
         \x20 domains: [{domain}]\n\
         \x20 primary: {{hosts: [{{host: mail.{domain}}}]}}\n\
         \x20 relays: [{{name: a, hostname: mx1.{domain}}}]\n\
         {more}"
    )
}
