//! What most tests here begin with.

use std::{
    io::{Seek as _, Write as _},
    path::{Path, PathBuf},
    process::Command,
};

pub(crate) use backupmx_tests::go;
use backupmx_tests::{
    Output,
    cluster::{self, Cluster, Namespace, documents, rendered_in},
    program, run, run_on,
};
use parking_lot::{Condvar, Mutex};
use serde_json::Value;

pub(crate) use backupmx_tests::cluster::{helm, repository};

use crate::forbidden;

/// The clusters that no test has. Who installs, or changes definitions, has one alone; as that is to wait for most of the
/// time, there are two.
static FREE: Mutex<[Option<Which>; 2]> = Mutex::new([Some(Cluster::with_a_node), Some(Cluster::another_with_a_node)]);
static RETURNED: Condvar = Condvar::new();

type Which = fn() -> &'static Cluster;

/// A cluster of the two is the holder's.
pub(crate) struct Mine(Which);

impl Mine {
    fn wait_for_one() -> Self {
        let mut free = FREE.lock();
        loop {
            match free.iter_mut().find_map(Option::take) {
                Some(which) => return Self(which),
                None => RETURNED.wait(&mut free),
            }
        }
    }
}

impl Drop for Mine {
    fn drop(&mut self) {
        *FREE.lock().iter_mut().find(|place| place.is_none()).expect("one was taken") = Some(self.0);
        RETURNED.notify_one();
    }
}

/// The text of a file of the checkout.
pub(crate) fn text(path: &str) -> String {
    std::fs::read_to_string(repository().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The documents of a YAML file of the checkout.
pub(crate) fn documents_of(path: &str) -> Vec<Value> {
    documents(&text(path))
}

/// A cluster, which is the caller's for now, and has both images.
pub(crate) fn cluster() -> (&'static Cluster, Mine) {
    let mine = Mine::wait_for_one();
    // Built, if they are not.
    let _ = (program("backupmx-operator"), program("backupmx-relay"));
    let cluster = (mine.0)();
    cluster.script("images", &[]);
    (cluster, mine)
}

/// What the chart makes with these values.
#[track_caller]
pub(crate) fn rendered(values: &[&str]) -> Vec<Value> {
    rendered_in("system", values)
}

/// The alerts that the chart makes, as a PrometheusRule holds them.
#[track_caller]
pub(crate) fn alert_rules() -> Value {
    of_kind(&rendered(&["metrics.prometheusRule.enabled=true"]), "PrometheusRule")[0]["spec"].clone()
}

/// The objects of a kind.
pub(crate) fn of_kind<'a>(objects: &'a [Value], kind: &str) -> Vec<&'a Value> {
    objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// The folder of the chart.
pub(crate) fn chart() -> PathBuf {
    repository().join("charts/backupmx")
}

/// The chart, installed in a namespace of its own.
pub(crate) struct Release {
    cluster: &'static Cluster,
    pub(crate) home: Namespace,
}

impl Release {
    /// Installs it, and waits until the operator is ready.
    #[track_caller]
    pub(crate) fn install(cluster: &'static Cluster, values: &[&str]) -> Self {
        Self::install_of(cluster, &chart(), values)
    }

    /// As [`Self::install`], of the chart in another folder.
    #[track_caller]
    pub(crate) fn install_of(cluster: &'static Cluster, chart: &Path, values: &[&str]) -> Self {
        let home = cluster.namespace("system");
        let release = Self { cluster, home };
        release.done_with("install", chart, values);
        release
    }

    /// Installs or upgrades it.
    #[track_caller]
    pub(crate) fn done(&self, verb: &str, values: &[&str]) {
        self.done_with(verb, &chart(), values);
    }

    #[track_caller]
    fn done_with(&self, verb: &str, chart: &Path, values: &[&str]) {
        let chart = chart.display().to_string();
        let mut arguments = vec![verb, "backupmx", &chart, "--wait", "--timeout=120s"];
        arguments.extend(["--set=image.tag=test", "--set=image.pullPolicy=Never"]);
        arguments.extend(values.iter().flat_map(|value| ["--set", value]));
        let output = self.helm(&arguments);
        assert!(output.ok, "helm {verb}: {}\n{}", output.text, self.log());
    }

    /// Runs helm in the release's namespace.
    #[track_caller]
    pub(crate) fn helm(&self, arguments: &[&str]) -> Output {
        self.cluster.program("helm", &[arguments, &["--namespace", self.home.name()]].concat())
    }

    /// Runs kubectl in the release's namespace.
    #[track_caller]
    pub(crate) fn kubectl(&self, arguments: &[&str]) -> Output {
        self.cluster.kubectl(&[arguments, &["--namespace", self.home.name()]].concat())
    }

    /// What the operators have logged.
    pub(crate) fn log(&self) -> String {
        let selector = "--selector=app.kubernetes.io/name=backupmx-operator";
        self.kubectl(&["logs", selector, "--tail=-1", "--prefix"]).text
    }

    /// The operator may do all that it does.
    #[track_caller]
    pub(crate) fn assert_nothing_was_forbidden(&self) {
        let log = self.log();
        let refused: Vec<&str> = log.lines().filter(|line| forbidden::is_told_by(line)).collect();
        assert!(refused.is_empty(), "{refused:#?}");
    }
}

impl Drop for Release {
    fn drop(&mut self) {
        let _ = self.helm(&["uninstall", "backupmx", "--no-hooks", "--ignore-not-found", "--wait"]);
    }
}

/// A resource that any class has a volume for.
pub(crate) fn resource(name: &str, domain: &str) -> String {
    cluster::resource(name, domain, "  storage: {size: 1Gi}\n")
}

/// Runs a command on this input.
#[track_caller]
pub(crate) fn fed(command: &mut Command, input: &str) -> Output {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(input.as_bytes()).unwrap();
    file.rewind().unwrap();
    run_on(command, file)
}

/// The folder of a Go module of this version, fetched if it is not there: other projects' definitions are in theirs.
#[track_caller]
pub(crate) fn module(name: &str, version: &str) -> PathBuf {
    let fetched = run(Command::new("go")
        .args(["mod", "download", "-json", &format!("{name}@{version}")])
        .env("GOFLAGS", "-mod=mod")
        .current_dir(std::env::temp_dir()));
    assert!(fetched.ok, "{}", fetched.text);
    let told: Value = serde_json::from_str(&fetched.out).unwrap();
    PathBuf::from(told["Dir"].as_str().unwrap())
}
