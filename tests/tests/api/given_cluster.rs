//! `KUBEBUILDER_ASSETS` and `KUBECONFIG` are used instead of what the test cluster's scripts would build and start.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use backupmx_tests::{
    Output,
    cluster::{Cluster, repository},
    run,
};
use tempfile::TempDir;

/// Scripts of the checkout, with a home in which nothing was built, and with a slot that is nobody's.
struct Scripts {
    home: TempDir,
    given: (&'static str, PathBuf),
}

impl Scripts {
    fn with(name: &'static str, value: PathBuf) -> Self {
        Self { home: TempDir::new().unwrap(), given: (name, value) }
    }

    fn run(&self, script: &str, arguments: &[&str]) -> Output {
        let slot = std::env::var("BACKUPMX_CLUSTER_SLOT").map_or(0, |slot| slot.parse::<u8>().unwrap());
        let mut command = Command::new(repository().join("tests").join(script));
        command
            .args(arguments)
            .env_remove("KUBECONFIG")
            .env_remove("KUBEBUILDER_ASSETS")
            .env(self.given.0, &self.given.1);
        command.env("BACKUPMX_CLUSTER_SLOT", ((slot + 4) % 16).to_string());
        // Who has a cluster has a kubectl.
        let folders = kubectl().parent().map(Path::to_owned).into_iter();
        let path = std::env::var_os("PATH").unwrap_or_default();
        command.env("PATH", std::env::join_paths(std::env::split_paths(&path).chain(folders)).unwrap());
        run(command.env("XDG_CACHE_HOME", self.home.path().join("cache")).env("XDG_STATE_HOME", self.state()))
    }

    #[track_caller]
    fn done(&self, script: &str, arguments: &[&str]) -> String {
        let output = self.run(script, arguments);
        assert!(output.ok, "{script} {arguments:?}: {}", output.text);
        output.out
    }

    /// Where a cluster that was started is.
    fn state(&self) -> PathBuf {
        self.home.path().join("state")
    }

    fn assert_nothing_was_built(&self) {
        assert!(!self.home.path().join("cache").exists());
    }
}

/// The kubectl of this run's own cluster.
fn kubectl() -> PathBuf {
    Cluster::control_plane().command("kubectl", &[]).get_program().into()
}

/// Whether an API server answers.
fn answers(kubeconfig: &Path) -> bool {
    run(Command::new(kubectl()).args(["get", "--raw", "/readyz"]).env("KUBECONFIG", kubeconfig)).ok
}

#[test]
fn the_programs_of_kubebuilder_assets_are_started() {
    // As `setup-envtest` leaves it: three programs, and nothing else.
    let assets = TempDir::new().unwrap();
    for program in ["etcd", "kube-apiserver", "kubectl"] {
        std::os::unix::fs::symlink(kubectl().with_file_name(program), assets.path().join(program)).unwrap();
    }
    let scripts = Scripts::with("KUBEBUILDER_ASSETS", assets.path().to_owned());
    scripts.done("cluster/up", &["--control-plane-only"]);
    let named = scripts.done("cluster/env", &[]);
    let kubeconfig = named.lines().find_map(|line| line.strip_prefix("export KUBECONFIG=")).unwrap();
    assert!(Path::new(kubeconfig).starts_with(scripts.state()), "{named}");
    assert!(answers(Path::new(kubeconfig)));
    scripts.done("cluster/down", &[]);
    scripts.assert_nothing_was_built();
}

#[test]
fn a_program_that_kubebuilder_assets_lacks_is_named() {
    let assets = TempDir::new().unwrap();
    let scripts = Scripts::with("KUBEBUILDER_ASSETS", assets.path().to_owned());
    let output = scripts.run("cluster/up", &["--control-plane-only"]);
    assert_eq!(output.code, Some(2), "{}", output.text);
    assert!(output.text.contains("has no etcd"), "{}", output.text);
    scripts.assert_nothing_was_built();
}

#[test]
fn the_cluster_of_kubeconfig_is_used_and_left_running() {
    let cluster = Cluster::control_plane();
    let folder = TempDir::new().unwrap();
    let kubeconfig = folder.path().join("kubeconfig");
    fs::copy(cluster.kubeconfig(), &kubeconfig).unwrap();
    let scripts = Scripts::with("KUBECONFIG", kubeconfig.clone());
    scripts.done("cluster/up", &["--control-plane-only"]);
    assert_eq!(scripts.done("cluster/env", &[]).trim(), format!("export KUBECONFIG={}", kubeconfig.display()));
    scripts.done("cluster/down", &[]);
    assert!(answers(&kubeconfig));
    // Whose objects and definitions they are is not asked of it.
    cluster.wait_served("backupmxes.backupmx.io");
    assert!(!scripts.state().exists(), "a cluster was started beside it");
    scripts.assert_nothing_was_built();
}

#[test]
fn what_cannot_run_on_the_cluster_of_kubeconfig_is_named_before_anything_is_done() {
    let folder = TempDir::new().unwrap();
    for (given, why) in [("KUBECONFIG", "is not ours"), ("KUBEBUILDER_ASSETS", "they need nodes")] {
        let scripts = Scripts::with(given, folder.path().join("there"));
        for part in ["chart", "all"] {
            let output = scripts.run("run", &[part]);
            assert_eq!(output.code, Some(2), "{}", output.text);
            assert!(output.text.contains(why) && output.text.contains("cluster chart"), "{}", output.text);
        }
    }
}
