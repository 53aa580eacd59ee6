//! `kubectl apply --server-side` tells relays apart by their host names: one without a name stays the same relay, and each
//! person's relays stay theirs.

use std::fs;

use backupmx_crds::BackupMX;
use backupmx_tests::cluster::{Cluster, Namespace};

/// What ann wants a resource `example` to be.
fn whole(relays: &str) -> String {
    let rest = "  domains: [example.org]\n  primary: {hosts: [{host: mail.example.org}]}\n";
    format!("{}{rest}", part(relays))
}

/// What bob wants of it: its relays are all that he cares for.
fn part(relays: &str) -> String {
    format!(
        "apiVersion: backupmx.io/v1alpha1\nkind: BackupMX\nmetadata: {{name: example}}\nspec:\n  relays: [{relays}]\n"
    )
}

/// What `kubectl apply --server-side` says; whether it took it.
fn apply(namespace: &Namespace, manager: &str, document: &str) -> (bool, String) {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), document).unwrap();
    let (file, manager) = (file.path().display().to_string(), format!("--field-manager={manager}"));
    let arguments = ["apply", "--server-side", "--namespace", namespace.name(), &manager, "--filename", &file];
    let output = Cluster::control_plane().kubectl(&arguments);
    (output.ok, output.text)
}

/// The relays, `name hostname` each.
fn relays(namespace: &Namespace) -> Vec<String> {
    let resource: BackupMX = namespace.get("example").unwrap();
    resource.spec.relays.iter().map(|relay| format!("{} {}", relay.name, relay.hostname)).collect()
}

#[test]
fn a_sole_relay_needs_no_name_and_another_person_adds_one() {
    let namespace = Cluster::control_plane().namespace("apply");
    let (first, second) = ("{hostname: mx1.example.net}", "{name: b, hostname: mx2.example.net}");
    for time in ["first", "second"] {
        let (taken, text) = apply(&namespace, "ann", &whole(first));
        assert!(taken, "the {time} time: {text}");
        assert_eq!(relays(&namespace), ["a mx1.example.net"]);
    }
    let generation = |namespace: &Namespace| namespace.get::<BackupMX>("example").unwrap().metadata.generation;
    assert_eq!(generation(&namespace), Some(1), "nothing changed the second time");
    let (taken, text) = apply(&namespace, "bob", &part(second));
    assert!(taken, "{text}");
    assert_eq!(relays(&namespace), ["a mx1.example.net", "b mx2.example.net"]);
    let (taken, text) = apply(&namespace, "ann", &whole(first));
    assert!(taken, "{text}");
    assert_eq!(relays(&namespace), ["a mx1.example.net", "b mx2.example.net"], "bob's relay is not ann's to remove");
    let (taken, text) = apply(&namespace, "ann", &whole("{hostname: mx3.example.net, name: c}"));
    assert!(taken, "{text}");
    assert_eq!(relays(&namespace).len(), 2, "ann's relay was replaced, bob's is there");
}

#[test]
fn several_relays_without_names_are_told_that_they_need_them() {
    let namespace = Cluster::control_plane().namespace("apply");
    let (taken, text) = apply(&namespace, "ann", &whole("{hostname: mx1.example.net}, {hostname: mx2.example.net}"));
    assert!(!taken, "{text}");
    assert!(text.contains("relays[].name") && text.contains("more than one relay, give each a name"), "{text}");
    // So is who adds one without a name to a resource that has such a one.
    assert!(apply(&namespace, "ann", &whole("{hostname: mx1.example.net}")).0);
    let (taken, text) = apply(&namespace, "bob", &part("{hostname: mx2.example.net}"));
    assert!(!taken && text.contains("more than one relay, give each a name"), "{text}");
}

#[test]
fn a_relay_keeps_the_name_that_it_got_by_default() {
    let namespace = Cluster::control_plane().namespace("apply");
    assert!(apply(&namespace, "ann", &whole("{hostname: mx1.example.net}")).0);
    let (taken, text) = apply(&namespace, "ann", &whole("{name: first, hostname: mx1.example.net}"));
    assert!(!taken && text.contains("a relay without a name is named a"), "{text}");
    assert_eq!(relays(&namespace), ["a mx1.example.net"]);
}
