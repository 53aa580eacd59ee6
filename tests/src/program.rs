//! The programs under test.

use std::{
    env,
    path::{Path, PathBuf},
    process::Command,
    sync::OnceLock,
};

/// A program of the workspace: that of `$BACKUPMX_RELAY` or `$BACKUPMX_OPERATOR`, else the one that cargo builds beside
/// this test; it is built first, so no test looks at yesterday's.
///
/// # Panics
/// It cannot be built, or there is no such program.
#[must_use]
pub fn program(name: &str) -> &'static Path {
    static RELAY: OnceLock<Option<PathBuf>> = OnceLock::new();
    static OPERATOR: OnceLock<Option<PathBuf>> = OnceLock::new();
    let (place, variable) = match name {
        "backupmx-relay" => (&RELAY, "BACKUPMX_RELAY"),
        "backupmx-operator" => (&OPERATOR, "BACKUPMX_OPERATOR"),
        _ => panic!("the workspace has no program {name}"),
    };
    let program = place.get_or_init(|| match env::var_os(variable) {
        Some(path) => Some(path.into()),
        None => build().map(|folder| folder.join(name)),
    });
    program.as_deref().unwrap_or_else(|| panic!("{name} builds"))
}

/// Builds the workspace; where its programs are.
fn build() -> Option<PathBuf> {
    let test = env::current_exe().unwrap();
    let folder = test.ancestors().nth(2).expect("a test is in target/PROFILE/deps");
    let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["build", "--quiet", "--workspace"]).current_dir(env!("CARGO_MANIFEST_DIR"));
    if folder.ends_with("release") {
        command.arg("--release");
    }
    command.status().unwrap().success().then(|| folder.to_owned())
}
