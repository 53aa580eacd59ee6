//! What the API server itself says to resources: the good ones are taken, the bad ones refused with the field and what
//! it should be.

use std::{fs, path::Path};

use backupmx_tests::cluster::{Cluster, Namespace, documents};
use kube::core::Status;
use serde_json::{Value, json};

/// The files of `crds/tests`, with their names.
fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crds/tests").join(folder);
    let mut files: Vec<(String, String)> = fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read_to_string(path).unwrap()))
        .collect();
    files.sort();
    files
}

/// As `kubectl create` and `kubectl replace` offer them. Nothing is stored but the first of two documents.
fn offer(namespace: &Namespace, text: &str) -> Result<Value, Box<Status>> {
    let mut documents = documents(text);
    for document in &mut documents {
        document["metadata"]["namespace"] = namespace.name().into();
    }
    let path = format!("/apis/backupmx.io/v1alpha1/namespaces/{}/backupmxes", namespace.name());
    let asked = "fieldValidation=Strict&dryRun=All";
    match documents.as_mut_slice() {
        [new] => namespace.kube().request("POST", &format!("{path}?{asked}"), new),
        [old, new] => {
            let stored = namespace.kube().request("POST", &path, old).expect("the resource before the change is good");
            let name = stored["metadata"]["name"].as_str().unwrap();
            new["metadata"]["resourceVersion"] = stored["metadata"]["resourceVersion"].clone();
            let answer = namespace.kube().request("PUT", &format!("{path}/{name}?{asked}"), new);
            namespace.kube().request("DELETE", &format!("{path}/{name}"), &json!({})).unwrap();
            answer
        }
        other => panic!("expected one or two documents, got {}", other.len()),
    }
}

fn header<'a>(text: &'a str, key: &str) -> &'a str {
    let value = text.lines().take(2).find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("no {key} in the first two lines")).trim()
}

#[test]
fn every_valid_resource_is_taken() {
    let namespace = Cluster::control_plane().namespace("schema");
    let files = files("valid");
    assert!(files.len() >= 10);
    for (name, text) in files {
        if let Err(status) = offer(&namespace, &text) {
            panic!("{name}: {}", status.message);
        }
    }
}

#[test]
fn every_invalid_resource_is_refused_with_its_field_and_what_it_should_be() {
    let namespace = Cluster::control_plane().namespace("schema");
    let files = files("invalid");
    assert!(files.len() >= 75);
    let mut wrong = Vec::new();
    for (name, text) in files {
        let (field, message) = (header(&text, "field"), header(&text, "message"));
        match offer(&namespace, &text) {
            Ok(_) => wrong.push(format!("{name}: was taken")),
            Err(status) if status.message.contains(field) && status.message.contains(message) => {}
            Err(status) => wrong.push(format!("{name}: expected {field:?} and {message:?} in: {}", status.message)),
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
