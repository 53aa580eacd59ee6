//! What every test here begins with: a zone, a primary outside the cluster, and an operator for its own namespace.

use std::{
    net::{IpAddr, SocketAddr},
    sync::{
        OnceLock,
        atomic::{AtomicU16, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use backupmx_crds::{BackupMX, dnsendpoint::DNSEndpoint};
use backupmx_tests::{
    Mail, Output, Received, ScriptedPrimary, Smtp,
    cluster::{Cluster, Namespace, Operator, OperatorOptions, Zones, condition, merge, reason},
    program, wait_until, wait_value,
};
use k8s_openapi::api::{
    apps::v1::Deployment,
    core::v1::{PersistentVolumeClaim, Pod, Service},
    networking::v1::NetworkPolicy,
};
use kube::ResourceExt;
use parking_lot::{Mutex, MutexGuard};
use serde_json::{Value, json};

/// Pods start, volumes are made and DNS changes within this, on a machine that is busy with other tests.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);
/// How often what is waited for is looked at.
const POLL: Duration = Duration::from_millis(100);
/// The name of the only resource of most tests.
pub(crate) const NAME: &str = "mx";
/// The name that external-dns has in ownership records, as `up --dns` starts it.
pub(crate) const OWNER: &str = "backupmx-test";
/// The image of the relay, as `tests/cluster/images` names it.
pub(crate) const IMAGE: &str = "localhost/backupmx-relay:test";

/// What a test has to itself.
pub(crate) struct Stage {
    // First, so that nobody makes anew what goes with the namespaces.
    operator: Option<Operator>,
    pub(crate) primary: ScriptedPrimary,
    primary_address: SocketAddr,
    /// Where the resource is.
    pub(crate) mail: Namespace,
    /// The operator's own: its Lease and the DNSEndpoints.
    pub(crate) home: Namespace,
    pub(crate) zones: Zones,
    zone: Zone,
    cluster: &'static Cluster,
    /// Last, so that the next one finds nothing of this.
    _alone: Option<MutexGuard<'static, ()>>,
}

/// A zone that goes when this is dropped.
struct Zone {
    name: String,
    zones: Zones,
}

/// Where a stage's zone is.
struct Dns {
    /// The zone is below it. external-dns is started for `test`; see `tests/cluster/lib/test-dns.sh`.
    below: &'static str,
    /// Who is asked for it; none: the zones' own server.
    server: Option<SocketAddr>,
}

impl Default for Dns {
    fn default() -> Self {
        Self { below: "test", server: None }
    }
}

impl Drop for Zone {
    fn drop(&mut self) {
        // A test may have taken it away.
        if self.zones.ask(&self.name, "SOA").is_some_and(|found| !found.is_empty()) {
            self.zones.delete(&self.name);
        }
    }
}

impl Stage {
    /// The operator waits a second beyond the TTL of records that it has changed.
    pub(crate) const SOON: &[&str] = &["--retire-grace", "1s"];

    /// An operator that leads, a zone that is empty but for the primary's address, and a primary that is down.
    #[track_caller]
    pub(crate) fn new(topic: &str) -> Self {
        Self::with(topic, &[])
    }

    /// As [`Self::new`], the operator being started with these arguments too.
    #[track_caller]
    pub(crate) fn with(topic: &str, arguments: &[&str]) -> Self {
        Self::on(cluster(), topic, arguments, Dns::default())
    }

    /// As [`Self::with`], with a zone that the cluster's external-dns does not handle.
    #[track_caller]
    pub(crate) fn with_an_external_dns_of_its_own(topic: &str, arguments: &[&str]) -> Self {
        Self::on(cluster(), topic, arguments, Dns { below: "invalid", server: None })
    }

    /// As [`Self::with`], on a cluster of three nodes, parts of which may be taken away or changed: one test at a time
    /// has it.
    #[track_caller]
    pub(crate) fn disturbed(topic: &str, arguments: &[&str]) -> Self {
        static ALONE: Mutex<()> = Mutex::new(());
        let alone = ALONE.lock();
        let cluster = Cluster::disturbed_with_zones();
        give_image(cluster);
        let mut stage = Self::on(cluster, topic, arguments, Dns::default());
        stage._alone = Some(alone);
        stage
    }

    /// As [`Self::new`], the operator asking this name server.
    #[track_caller]
    pub(crate) fn asking(topic: &str, server: SocketAddr) -> Self {
        Self::on(cluster(), topic, &[], Dns { server: Some(server), ..Dns::default() })
    }

    #[track_caller]
    fn on(cluster: &'static Cluster, topic: &str, arguments: &[&str], dns: Dns) -> Self {
        let zones = Zones::of(cluster);
        let (mail, home) = (cluster.namespace(topic), cluster.namespace(&format!("{topic}-operator")));
        let zone = Zone { name: format!("{}.{}", mail.name(), dns.below), zones: zones.clone() };
        zones.make(&zone.name);
        let primary_address = outside(cluster);
        zones.set(&zone.name, &format!("mail.{}", zone.name), "A", &[&primary_address.ip().to_string()]);
        let mut options = OperatorOptions::new(home.name(), Some(mail.name()), cluster.kubeconfig());
        options.relay_image = IMAGE.to_owned();
        let server = dns.server.unwrap_or(zones.server()).to_string();
        // As `up --dns` starts external-dns; its zones are asked as in a split horizon, as this machine knows none.
        let dns = ["--nameserver", &server, "--txt-owner-id", OWNER];
        options.arguments = dns.iter().chain(arguments).map(|argument| (*argument).to_owned()).collect();
        let mut operator = Operator::start(options);
        operator.wait_leads();
        let primary = ScriptedPrimary::at(primary_address);
        Self { operator: Some(operator), primary, primary_address, mail, home, zones, zone, cluster, _alone: None }
    }

    /// The cluster that all of it is in.
    pub(crate) const fn cluster(&self) -> &'static Cluster {
        self.cluster
    }

    /// The operator.
    pub(crate) fn operator(&mut self) -> &mut Operator {
        self.operator.as_mut().expect("a stage has an operator until it is dropped")
    }

    /// Where the primary is, outside the cluster.
    pub(crate) const fn primary_address(&self) -> SocketAddr {
        self.primary_address
    }

    /// The test's zone, which is its mail domain too.
    pub(crate) fn domain(&self) -> &str {
        &self.zone.name
    }

    /// What DNSEndpoints ask for: their names, and how often each was changed.
    pub(crate) fn asked(&self) -> Vec<(String, Option<i64>)> {
        let sets = self.home.list::<DNSEndpoint>();
        let mut asked: Vec<_> = sets.iter().map(|set| (set.name_any(), set.metadata.generation)).collect();
        asked.sort();
        asked
    }

    /// An address of its domain.
    pub(crate) fn recipient(&self) -> String {
        format!("bob@{}", self.domain())
    }

    /// A resource with one relay `a`, whose host name is `mx1.DOMAIN`; `change` is a merge patch of its spec.
    pub(crate) fn resource(&self, change: &Value) -> Value {
        let domain = self.domain();
        let mut spec = json!({
            "domains": [domain],
            "primary": {
                "hosts": [{"host": format!("mail.{domain}"), "port": self.primary_address.port()}],
                "mx": [{"host": format!("mail.{domain}")}],
            },
            "relays": [self.relay("a")],
            "storage": {"size": "320Mi"},
            "delivery": {"retry": {"min": "1s", "max": "2s"}},
            "dns": {"ttl": 60},
        });
        merge(&mut spec, change);
        json!({"apiVersion": "backupmx.io/v1alpha1", "kind": "BackupMX", "metadata": {"name": NAME}, "spec": spec})
    }

    /// A relay of a resource: `a` is `mx1.DOMAIN` of preference 20, `b` is `mx2.DOMAIN` of preference 30, and so on.
    pub(crate) fn relay(&self, name: &str) -> Value {
        json!({"name": name, "hostname": self.hostname(name), "preference": 10 + 10 * number(name)})
    }

    /// The host name of a relay.
    pub(crate) fn hostname(&self, relay: &str) -> String {
        format!("mx{}.{}", number(relay), self.domain())
    }

    /// Applies [`Self::resource`].
    #[track_caller]
    pub(crate) fn apply(&self, change: &Value) {
        self.mail.apply(&self.resource(change).to_string());
    }

    /// Changes the spec by a merge patch.
    #[track_caller]
    pub(crate) fn change(&self, change: &Value) -> BackupMX {
        self.mail.merge(NAME, &json!({"spec": change}))
    }

    /// Applies a resource and waits until its relays take mail and are in DNS.
    #[track_caller]
    pub(crate) fn publish(&self, change: &Value) -> BackupMX {
        self.apply(change);
        self.wait_published()
    }

    /// Waits until all relays of the resource take mail and are in DNS.
    #[track_caller]
    pub(crate) fn wait_published(&self) -> BackupMX {
        let ready = self.mail.wait(NAME, "has its relays ready", PATIENCE, |resource: &BackupMX| {
            reason(resource, "RelaysReady") == ("True".into(), "AllReady".into())
                && resource.status.as_ref().is_some_and(|status| {
                    status.relays.len() == resource.spec.relays.len()
                        && status.relays.iter().all(|relay| !relay.addresses.is_empty())
                })
        });
        let mut wanted: Vec<String> =
            ready.spec.relays.iter().map(|relay| format!("{} {}", relay.preference, relay.hostname)).collect();
        wanted.push(format!("10 mail.{}", self.domain()));
        wanted.sort();
        self.wait_mx(&wanted);
        ready
    }

    /// Waits until the domain's MX records are these, sorted, such as `10 mail.example.test`.
    #[track_caller]
    pub(crate) fn wait_mx(&self, wanted: &[impl AsRef<str>]) {
        let wanted: Vec<&str> = wanted.iter().map(AsRef::as_ref).collect();
        let start = Instant::now();
        loop {
            let seen = self.zones.mx(self.domain());
            if seen.as_ref().is_some_and(|seen| *seen == wanted) {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "the MX records are {seen:?}, and never were {wanted:?}");
            thread::sleep(POLL);
        }
    }

    /// The resource as it is now.
    #[track_caller]
    pub(crate) fn live(&self) -> BackupMX {
        self.mail.get(NAME).expect("the resource is there")
    }

    /// Where a relay takes mail from the world: its load balancer.
    #[track_caller]
    pub(crate) fn smtp(&self, relay: &str) -> SocketAddr {
        let address = wait_value(&format!("relay {relay} has an address"), PATIENCE, || {
            let status = self.live().status?;
            let relay = status.relays.into_iter().find(|one| one.name == relay)?;
            relay.addresses.first()?.parse::<IpAddr>().ok()
        });
        SocketAddr::new(address, 25)
    }

    /// A session with a relay, from outside.
    #[track_caller]
    pub(crate) fn session(&self, relay: &str) -> Smtp {
        Smtp::session(self.smtp(relay))
    }

    /// Waits until the status says that so much mail is held.
    #[track_caller]
    pub(crate) fn wait_queued(&self, messages: i64) -> BackupMX {
        self.mail.wait(NAME, &format!("holds {messages} messages"), PATIENCE, |resource: &BackupMX| {
            let queue = resource.status.as_ref().and_then(|status| status.queue.as_ref());
            queue.is_some_and(|queue| i64::try_from(queue.messages) == Ok(messages))
        })
    }

    /// Waits until the resource has a condition with that status and reason.
    #[track_caller]
    pub(crate) fn wait_reason(&self, kind: &str, status: &str, wanted: &str) -> BackupMX {
        self.mail.wait_condition(NAME, kind, status, wanted, PATIENCE)
    }

    /// Sends so many messages to a relay, each answered 250; what was sent.
    #[track_caller]
    pub(crate) fn send(&self, relay: &str, count: usize) -> Vec<Mail> {
        let mut session = self.session(relay);
        let mails: Vec<Mail> = (0..count).map(|_| Mail::to(&self.recipient())).collect();
        for mail in &mails {
            session.mail(mail).expect(250);
        }
        mails
    }

    /// Sends a message to a relay by its address, without asking the API server for it.
    #[track_caller]
    pub(crate) fn send_to(&self, relay: SocketAddr) -> Mail {
        let mail = Mail::to(&self.recipient());
        Smtp::session(relay).mail(&mail).expect(250);
        mail
    }

    /// Waits until the primary has these messages, in any order, each once, and no others.
    #[track_caller]
    pub(crate) fn wait_arrived(&self, sent: &[Mail]) {
        let arrived = self.primary.wait_count(sent.len(), PATIENCE);
        let mut arrived: Vec<String> = arrived.iter().map(Received::id).collect();
        let mut sent: Vec<String> = sent.iter().map(Mail::id).collect();
        arrived.sort();
        sent.sort();
        assert_eq!(arrived, sent);
    }

    /// Waits until a relay answers so to a recipient of the domain, whatever it answers meanwhile.
    #[track_caller]
    pub(crate) fn wait_answer(&self, relay: SocketAddr, recipient: &str, code: u16) {
        wait_until(&format!("{relay} answers {code} to {recipient}"), PATIENCE, || {
            let answer = Smtp::try_open_within(relay, Duration::from_secs(5)).and_then(|mut session| {
                let mut answer = session.try_reply()?;
                let recipient = format!("RCPT TO:<{recipient}>");
                for command in ["EHLO client.sender.test", "MAIL FROM:<alice@sender.test>", &recipient] {
                    session.try_send(format!("{command}\r\n").as_bytes())?;
                    answer = session.try_reply()?;
                }
                Ok(answer.code)
            });
            answer.is_ok_and(|answer| answer == code)
        });
    }

    /// Waits until nothing is left of what was made for the resource.
    #[track_caller]
    pub(crate) fn wait_nothing_left(&self) {
        self.mail.wait_gone::<BackupMX>(NAME, PATIENCE);
        wait_until("nothing is left", PATIENCE, || {
            self.mail.list::<Deployment>().is_empty()
                && self.mail.list::<PersistentVolumeClaim>().is_empty()
                && self.mail.list::<Service>().is_empty()
                && self.mail.list::<Pod>().is_empty()
                && self.mail.list::<NetworkPolicy>().is_empty()
        });
    }

    /// The pod of a relay; none while there is none, or while it is on its way out.
    pub(crate) fn pod(&self, relay: &str) -> Option<Pod> {
        let of = |pod: &Pod| pod.labels().get("backupmx.io/relay").map(String::as_str) == Some(relay);
        self.mail.list::<Pod>().into_iter().find(|pod| of(pod) && pod.metadata.deletion_timestamp.is_none())
    }

    /// The claim of a relay.
    #[track_caller]
    pub(crate) fn claim(&self, relay: &str) -> PersistentVolumeClaim {
        let of =
            |claim: &PersistentVolumeClaim| claim.labels().get("backupmx.io/relay").map(String::as_str) == Some(relay);
        self.mail.list::<PersistentVolumeClaim>().into_iter().find(of).expect("the relay has a claim")
    }

    /// kubectl, in the test's namespace; what it prints.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        let output = self.kubectl_output(arguments);
        assert!(output.ok, "kubectl {arguments:?}: {}", output.text);
        output.out
    }

    /// As [`Self::kubectl`], where it may fail.
    #[track_caller]
    pub(crate) fn kubectl_output(&self, arguments: &[&str]) -> Output {
        self.cluster.kubectl(&[&["--namespace", self.mail.name()], arguments].concat())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            for arguments in [
                &["get", "bmx,deployments,pods,pvc,services,events", "--output", "wide"][..],
                &["get", "bmx", "--output", "yaml"],
                &["logs", "--selector", "app.kubernetes.io/name=backupmx-relay", "--tail", "40", "--prefix"],
            ] {
                let output = self.kubectl_output(arguments);
                eprintln!("--- kubectl {arguments:?}\n{}", output.text);
            }
        }
        self.operator = None;
    }
}

/// Whether a pod is there to stay, and ready.
pub(crate) fn is_ready(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_none()
        && condition(pod, "Ready").is_some_and(|condition| condition.status == "True")
}

/// The cluster of all tests here, its nodes having the relay's image.
#[track_caller]
pub(crate) fn cluster() -> &'static Cluster {
    static IMAGES: OnceLock<()> = OnceLock::new();
    let cluster = Cluster::with_zones();
    IMAGES.get_or_init(|| give_image(cluster));
    cluster
}

#[track_caller]
fn give_image(cluster: &Cluster) {
    assert!(program("backupmx-relay").is_file(), "the relay is built");
    cluster.script("images", &["relay"]);
}

/// The number of a relay by its name: `a` is 1, `b` is 2.
fn number(relay: &str) -> u8 {
    relay.as_bytes()[0] - b'a' + 1
}

/// An address outside the cluster that pods reach, and nobody else uses.
fn outside(cluster: &Cluster) -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // A relay that a run before has left, as it was killed, must not find the primary of another test.
    let port = 20_000 + (std::process::id() % 100) as u16 * 100 + NEXT.fetch_add(1, Ordering::Relaxed) % 100;
    let host = cluster.variable("BACKUPMX_CLUSTER_HOST").expect("a cluster with nodes has a host").parse().unwrap();
    SocketAddr::new(host, port)
}
