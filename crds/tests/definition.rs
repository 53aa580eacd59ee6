//! The generated definition beside the types is the one that they give.

#![allow(clippy::expect_used, reason = "a test fails at the line that is wrong")]

use std::path::Path;

#[test]
fn the_yaml_is_up_to_date() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("backupmxes.yaml");
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        written == backupmx_crds::to_yaml().expect("the definition"),
        "{} differs from the types; run: cargo run -p backupmx-operator -- crd > crds/backupmxes.yaml",
        path.display()
    );
}
