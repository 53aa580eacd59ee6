//! The command line of `run`.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
};

use anyhow::Context as _;
use backupmx_relay_config::Span;
use clap::Args;
use kube::Client;

use crate::{
    allowed::AllowedDomains,
    dns::ownership::{ExternalDns, Registry},
    master_key,
    scraper::Scraper,
    settings::Settings,
    token::MasterKey,
};

/// Watch BackupMX resources and make the cluster hold what they ask for.
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    /// The operator's own namespace: the Lease and the DNSEndpoints are there.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,
    /// A name that no other process has: the pod's. The Lease says by it who leads.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,
    /// Watch these namespaces only. May be given more than once, or with commas between. Default: all.
    #[arg(long = "watch-namespace", value_name = "NAMESPACE", value_delimiter = ',')]
    pub watch_namespaces: Vec<String>,
    /// The image of the relay pods.
    #[arg(long, env = "BACKUPMX_RELAY_IMAGE")]
    pub relay_image: String,
    /// When the image is pulled.
    #[arg(long, default_value = "IfNotPresent", value_parser = ["Always", "IfNotPresent", "Never"])]
    pub image_pull_policy: String,
    /// A Secret for pulling the image, in every namespace with relays. May be given more than once.
    #[arg(long = "image-pull-secret", value_name = "NAME")]
    pub image_pull_secrets: Vec<String>,
    /// The file with the key that the relays' admin tokens are derived from: 32 octets or more.
    #[arg(long, value_name = "FILE", required_unless_present = "master_key_secret")]
    pub master_key_file: Option<PathBuf>,
    /// The Secret with that key, in the operator's namespace; it is made where there is none.
    #[arg(long, value_name = "NAME", conflicts_with = "master_key_file")]
    pub master_key_secret: Option<String>,
    /// The file that says which namespace may claim which domain, as YAML. Default: any namespace any domain.
    #[arg(long)]
    pub allowed_domains_file: Option<PathBuf>,
    /// A label of the operator's own pods, by which NetworkPolicies let it in. May be given more than once.
    #[arg(long = "operator-label", value_name = "KEY=VALUE", value_parser = pair,
          default_value = "app.kubernetes.io/name=backupmx-operator")]
    pub operator_labels: Vec<(String, String)>,
    /// Who may read the relays' metrics: pods with these labels, in namespaces with those. Each is KEY=VALUE, more of them
    /// with commas between, or * for any: app.kubernetes.io/name=prometheus@kubernetes.io/metadata.name=monitoring. May
    /// be given more than once. Default: nobody.
    #[arg(long = "metrics-from", value_name = "PODS[@NAMESPACES]")]
    pub metrics_from: Vec<Scraper>,
    /// The cluster's own domain, under which Services have their names.
    #[arg(long, default_value = "cluster.local")]
    pub cluster_domain: String,
    /// How many relays that take mail may be replaced at once, over the whole cluster.
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u16).range(1..))]
    pub max_rollouts: u16,
    /// A DNS server whose answers are the truth about all domains and host names, as ADDRESS or ADDRESS:PORT. For
    /// domains that are seen from a part of the network only (split horizon). May be given more than once. Default:
    /// the servers of each domain's zone, found by the system's resolver.
    #[arg(long = "nameserver", value_name = "ADDRESS[:PORT]", value_parser = nameserver)]
    pub nameservers: Vec<SocketAddr>,
    /// The --registry of the external-dns that publishes the MX records: where it keeps which records are its own. With
    /// txt, encrypted or not, it is looked for in DNS; with noop all are its own; the others do not show it.
    #[arg(long, value_enum, default_value_t)]
    pub registry: Registry,
    /// The --txt-owner-id of the external-dns that publishes the MX records.
    #[arg(long, default_value = "default")]
    pub txt_owner_id: String,
    /// The --txt-prefix of the external-dns that publishes the MX records. Without "%{record_type}" and a dot at its
    /// end, external-dns cannot own the MX records of a zone's apex.
    #[arg(long, default_value = "_extdns-%{record_type}.")]
    pub txt_prefix: String,
    /// How long external-dns and the zones' servers are given before a condition says that something seems to be
    /// wrong with them. An integer and s, m, h or d.
    #[arg(long, default_value = "5m")]
    pub dns_patience: Span,
    /// How much longer than their TTL records that were changed are believed to be in caches: resolvers round up, and
    /// external-dns takes its time. Mail is taken for so much longer by what leaves. An integer and s, m, h or d.
    #[arg(long, default_value = "10m")]
    pub retire_grace: Span,
    /// Where /healthz, /readyz and /metrics are served.
    #[arg(long, default_value = "[::]:8080")]
    pub http: SocketAddr,
}

impl RunArgs {
    /// The key that the relays' admin tokens are derived from.
    ///
    /// # Errors
    /// The file or the Secret cannot be read, or what is in it is too short.
    pub async fn master_key(&self, client: &Client) -> anyhow::Result<MasterKey> {
        match (&self.master_key_file, &self.master_key_secret) {
            (Some(file), _) => master_key::from_file(file),
            (None, Some(secret)) => master_key::from_secret(client, &self.namespace, secret).await,
            (None, None) => anyhow::bail!("expected --master-key-file or --master-key-secret"),
        }
    }

    /// What objects are built from.
    #[must_use]
    pub fn settings(&self, master_key: MasterKey) -> Settings {
        Settings {
            namespace: self.namespace.clone(),
            cluster_domain: self.cluster_domain.clone(),
            relay_image: self.relay_image.clone(),
            image_pull_policy: self.image_pull_policy.clone(),
            image_pull_secrets: self.image_pull_secrets.clone(),
            operator_labels: map(&self.operator_labels),
            metrics_from: self.metrics_from.clone(),
            external_dns: ExternalDns {
                registry: self.registry,
                owner_id: self.txt_owner_id.clone(),
                prefix: self.txt_prefix.clone(),
            },
            patience: self.dns_patience,
            retire_grace: self.retire_grace,
            master_key,
        }
    }

    /// Who may claim what.
    ///
    /// # Errors
    /// The file cannot be read, or is not of that form: then nobody is let claim anything by mistake.
    pub fn allowed(&self) -> anyhow::Result<AllowedDomains> {
        let Some(file) = &self.allowed_domains_file else { return Ok(AllowedDomains::default()) };
        let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
        serde_yaml::from_str(&text).with_context(|| format!("failed to understand {}", file.display()))
    }
}

fn map(pairs: &[(String, String)]) -> BTreeMap<String, String> {
    pairs.iter().cloned().collect()
}

fn nameserver(text: &str) -> Result<SocketAddr, String> {
    let plain = text.trim_start_matches('[').trim_end_matches(']');
    let with_port = || plain.parse::<IpAddr>().ok().map(|address| SocketAddr::new(address, 53));
    text.parse().ok().or_else(with_port).ok_or_else(|| {
        format!(
            "expected an address such as 192.0.2.53, 192.0.2.53:5353, 2001:db8::53 or [2001:db8::53]:53; got {text:?}"
        )
    })
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err(format!("expected KEY=VALUE; got {text:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nameserver_is_an_address_with_or_without_a_port() {
        for (text, wanted) in [
            ("192.0.2.53", "192.0.2.53:53"),
            ("192.0.2.53:5353", "192.0.2.53:5353"),
            ("2001:db8::53", "[2001:db8::53]:53"),
            ("[2001:db8::53]", "[2001:db8::53]:53"),
            ("[2001:db8::53]:5353", "[2001:db8::53]:5353"),
        ] {
            assert_eq!(nameserver(text), Ok(wanted.parse().unwrap()), "{text}");
        }
        for text in ["", "ns.example.org", "192.0.2.53:", ":53", "192.0.2.53:70000"] {
            assert!(nameserver(text).is_err(), "{text}");
        }
    }
}
