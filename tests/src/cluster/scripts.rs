//! The cluster's scripts, `tests/cluster/`.

use std::{
    collections::BTreeMap,
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
    time::Duration,
};

use parking_lot::{Mutex, MutexGuard};

use serde_json::Value;

use super::{Kube, Namespace, documents};
use crate::{LONG, Output, tool, wait_until, watchdog};

/// What external-dns reads, where there is none: `up --dns` applies its own definition.
const DNS_ENDPOINTS: &str = include_str!("dnsendpoints.yaml");
/// What `down` knows the definitions by that were put into a cluster that is not ours.
const DEFINITION_LABEL: &str = "backupmx.test/slot";
const BACKUPMXES: &str = "backupmxes.backupmx.io";
const ENDPOINTS: &str = "dnsendpoints.externaldns.k8s.io";
/// Slots from here on are those of the clusters that tests disturb.
const DISTURBED: u8 = 8;

/// How long a start may take; the first one builds Kubernetes.
const START: Duration = Duration::from_secs(3600);

/// A running cluster, with the definitions of our resources and of external-dns' DNSEndpoint.
pub struct Cluster {
    kube: Kube,
    kubeconfig: PathBuf,
    /// What the scripts need to mean this cluster.
    slot: BTreeMap<&'static str, String>,
    /// What programs need to use it.
    variables: BTreeMap<String, String>,
}

/// Whose a cluster is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ClusterOwner {
    /// It was started by our scripts.
    Tests,
    /// `KUBECONFIG` names it.
    Another,
}

/// A cluster of its own for tests that restart its API server or change definitions: one test at a time.
pub type Disturbed = MutexGuard<'static, Cluster>;

impl Cluster {
    /// Waits until the API server serves what a CustomResourceDefinition defines.
    #[track_caller]
    pub fn wait_served(&self, definition: &str) {
        let wait = ["wait", "--for=condition=Established", "--timeout=10s", &format!("crd/{definition}")];
        // kubectl fails at once on one that has no conditions yet.
        wait_until(&format!("{definition} is served"), LONG, || self.kubectl(&wait).ok);
    }

    /// Waits until a CustomResourceDefinition that is being deleted is gone.
    #[track_caller]
    fn wait_not_leaving(&self, definition: &str) {
        let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{definition}");
        wait_until(&format!("{definition} is there to stay, or gone"), LONG, || {
            let found = self.kube.request("GET", &path, &serde_json::Value::Null);
            found.is_err() || found.is_ok_and(|found| found["metadata"]["deletionTimestamp"].is_null())
        });
    }

    /// An API server without controllers: a Deployment never becomes available by itself, and nothing is collected.
    /// Started at the first call, and left running; `tests/cluster/down` takes it down.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn control_plane() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        started(CLUSTER.get_or_init(|| Self::start(BTreeMap::new(), &["--control-plane-only"])))
    }

    /// As [`Self::control_plane`], for tests that restart the API server or change definitions. It is always one of
    /// our own, whatever `KUBECONFIG` says.
    ///
    /// # Panics
    /// It does not come up.
    pub fn disturbed() -> Disturbed {
        static CLUSTER: OnceLock<Result<Mutex<Cluster>, String>> = OnceLock::new();
        let start = || Self::start(disturbed_slot(), &["--control-plane-only"]).map(Mutex::new);
        let cluster = started(CLUSTER.get_or_init(start)).lock();
        // The test before may have left others, or none.
        cluster.define();
        cluster
    }

    /// A cluster with a node, on which pods run. Needs root.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn with_a_node() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        started(CLUSTER.get_or_init(|| Self::start(BTreeMap::new(), &["--nodes", "1"])))
    }

    /// Another as [`Self::with_a_node`], for who needs two at once.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn another_with_a_node() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        started(CLUSTER.get_or_init(|| Self::start(disturbed_slot(), &["--nodes", "1"])))
    }

    /// A cluster with a node, and with zones, external-dns and load balancers. Needs root.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn with_zones() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        started(CLUSTER.get_or_init(|| Self::start(BTreeMap::new(), &["--dns"])))
    }

    /// As [`Self::with_zones`], with three nodes, for tests that take parts of the cluster away or change its nodes. Always
    /// one of our own, and for one test at a time.
    ///
    /// # Panics
    /// It does not come up.
    #[must_use]
    pub fn disturbed_with_zones() -> &'static Self {
        static CLUSTER: OnceLock<Result<Cluster, String>> = OnceLock::new();
        started(CLUSTER.get_or_init(|| Self::start(disturbed_slot(), &["--dns", "--nodes", "3"])))
    }

    fn start(slot: BTreeMap<&'static str, String>, arguments: &[&str]) -> Result<Self, String> {
        let mut up = Command::new(script("up"));
        let up = watchdog::excused(|| tool::run_within(up.args(arguments).envs(&slot), START));
        if !up.ok {
            return Err(format!("tests/cluster/up failed:\n{}", up.text));
        }
        let variables = variables(&slot)?;
        let kubeconfig =
            variables.get("KUBECONFIG").map(PathBuf::from).ok_or("tests/cluster/env names no KUBECONFIG")?;
        let kube = Kube::new(&kubeconfig);
        let cluster = Self { kube, kubeconfig, slot, variables };
        match cluster.owner() {
            ClusterOwner::Tests => cluster.define(),
            ClusterOwner::Another => cluster.define_what_is_missing()?,
        }
        Ok(cluster)
    }

    fn owner(&self) -> ClusterOwner {
        // `env` says more of our own.
        if self.variables.contains_key("KUBECACHEDIR") { ClusterOwner::Tests } else { ClusterOwner::Another }
    }

    /// Puts the definitions into a cluster that is not ours, marked as our own, and changes none that is there.
    /// `tests/cluster/down` takes them away.
    fn define_what_is_missing(&self) -> Result<(), String> {
        let ours =
            std::fs::read_to_string(repository().join("crds/backupmxes.yaml")).map_err(|error| error.to_string())?;
        let slot = slot().to_string();
        for (name, text) in [(BACKUPMXES, ours.as_str()), (ENDPOINTS, DNS_ENDPOINTS)] {
            let path = format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{name}");
            let live = self.kube.request("GET", &path, &Value::Null).ok();
            let mark = live.as_ref().map(|live| live["metadata"]["labels"][DEFINITION_LABEL].as_str());
            match mark {
                None => {}
                Some(Some(mark)) if mark == slot => {}
                // One of external-dns will do as it is.
                Some(None) if name == ENDPOINTS => continue,
                Some(_) => {
                    return Err(format!(
                        "the cluster of KUBECONFIG has the definition {name} already, and not from these tests (slot \
                         {slot}): an operator may look after its resources. Name a cluster without, or unset KUBECONFIG"
                    ));
                }
            }
            for mut definition in documents(text) {
                definition["metadata"]["labels"][DEFINITION_LABEL] = slot.as_str().into();
                self.kube.try_apply("", &definition).map_err(|status| status.message)?;
            }
        }
        [BACKUPMXES, ENDPOINTS].iter().for_each(|name| self.wait_served(name));
        Ok(())
    }

    /// Brings the definitions to what this checkout has, and waits until they are served.
    ///
    /// # Panics
    /// The API server refuses one.
    pub fn define(&self) {
        // One that is being deleted takes what is applied with it.
        [BACKUPMXES, ENDPOINTS].iter().for_each(|name| self.wait_not_leaving(name));
        let ours = std::fs::read_to_string(repository().join("crds/backupmxes.yaml")).unwrap();
        self.kube.apply("", &ours);
        if !self.variables.contains_key("BACKUPMX_CLUSTER_ZONES") {
            self.kube.apply("", DNS_ENDPOINTS);
        }
        [BACKUPMXES, ENDPOINTS].iter().for_each(|name| self.wait_served(name));
        // kubectl remembers for hours what was served before.
        if let Some(cache) = self.variables.get("KUBECACHEDIR") {
            let _ = std::fs::remove_dir_all(cache);
        }
    }

    /// Its client.
    #[must_use]
    pub const fn kube(&self) -> &Kube {
        &self.kube
    }

    /// An administrator's kubeconfig.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// What `tests/cluster/env` says, such as `BACKUPMX_CLUSTER_HOST`.
    #[must_use]
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// A namespace for one test.
    ///
    /// # Panics
    /// The API server refuses it.
    #[must_use]
    #[track_caller]
    pub fn namespace(&self, prefix: &str) -> Namespace {
        Namespace::new(&self.kube, prefix)
    }

    /// Runs kubectl with these arguments.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    pub fn kubectl(&self, arguments: &[&str]) -> Output {
        self.program("kubectl", arguments)
    }

    /// Runs a program of the cluster (kubectl, helm, ctr, external-dns) with these arguments.
    ///
    /// # Panics
    /// It cannot be started.
    #[track_caller]
    pub fn program(&self, program: &str, arguments: &[&str]) -> Output {
        tool::run(&mut self.command(program, arguments))
    }

    /// As [`Self::program`], not started yet.
    #[must_use]
    pub fn command(&self, program: &str, arguments: &[&str]) -> Command {
        // Found here: a command looks for its program in the PATH of its parent.
        let path = self.variables.get("PATH").map(env::split_paths);
        let found = path.and_then(|mut folders| {
            folders.find_map(|folder| Some(folder.join(program)).filter(|file| file.is_file()))
        });
        let mut command = Command::new(found.unwrap_or_else(|| program.into()));
        command.args(arguments).envs(&self.variables);
        command
    }

    /// Runs a script of `tests/cluster/` on this cluster: `restart`, `load`.
    ///
    /// # Panics
    /// It fails.
    #[track_caller]
    pub fn script(&self, name: &str, arguments: &[&str]) {
        let output = tool::run(Command::new(script(name)).args(arguments).envs(&self.slot));
        assert!(output.ok, "tests/cluster/{name} {arguments:?} failed:\n{}", output.text);
    }
}

/// The slot of this run.
fn slot() -> u8 {
    env::var("BACKUPMX_CLUSTER_SLOT").ok().and_then(|slot| slot.parse().ok()).unwrap_or(0)
}

fn disturbed_slot() -> BTreeMap<&'static str, String> {
    let slot = (slot() + DISTURBED) % (2 * DISTURBED);
    BTreeMap::from([("BACKUPMX_CLUSTER_SLOT", slot.to_string()), ("KUBECONFIG", String::new())])
}

fn started<T>(cluster: &'static Result<T, String>) -> &'static T {
    cluster.as_ref().unwrap_or_else(|error| panic!("{error}"))
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the kit is a folder of the repository")
}

fn script(name: &str) -> PathBuf {
    repository().join("tests/cluster").join(name)
}

/// The variables that `env` sets, as a shell understands them.
fn variables(slot: &BTreeMap<&'static str, String>) -> Result<BTreeMap<String, String>, String> {
    let text = r#"set -e; settings=$("$0"); eval "$settings"; sed -zn 's/^\(KUBE[A-Z]*\|PATH\|BACKUPMX_CLUSTER_[A-Z_]*\|CONTAINERD_[A-Z]*\)=/&/p' < <(command env -0)"#;
    let output = Command::new("bash").args(["-c", text]).arg(script("env")).envs(slot).output();
    let output = output.map_err(|error| format!("failed to run bash: {error}"))?;
    if !output.status.success() {
        return Err(format!("tests/cluster/env failed:\n{}", String::from_utf8_lossy(&output.stderr)));
    }
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Ok(text
        .split('\0')
        .filter_map(|line| line.split_once('='))
        .map(|(key, value)| (key.into(), value.into()))
        .collect())
}
