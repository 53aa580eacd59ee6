//! Resources under `tests/valid` are taken, and those under `tests/invalid` are refused with the field and message
//! that they announce in their first two lines. A file with two documents is a change of the first to the second.

#![allow(clippy::expect_used, clippy::panic, reason = "a test fails at the line that is wrong")]

mod api_server;

use std::{fs, path::Path};

use api_server::{ApiServer, Refusal};
use backupmx_crds::BackupMX;
use serde::Deserialize as _;
use serde_json::Value;

fn files(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let entries = fs::read_dir(folder).expect("the folder").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<_> = entries
        .map(|path| (path.file_name().expect("a name").to_string_lossy().into_owned(), path))
        .map(|(name, path)| (name, fs::read_to_string(path).expect("a text")))
        .collect();
    files.sort();
    files
}

fn documents(text: &str) -> Vec<Value> {
    serde_yaml::Deserializer::from_str(text).map(|one| Value::deserialize(one).expect("YAML")).collect()
}

fn offer(server: &ApiServer, text: &str) -> Vec<Refusal> {
    match documents(text).as_slice() {
        [new] => server.refusals(new, None),
        [old, new] => {
            assert_eq!(server.refusals(old, None), [], "the resource before the change");
            server.refusals(new, Some(old))
        }
        other => panic!("expected one or two documents, got {}", other.len()),
    }
}

fn header<'a>(text: &'a str, key: &str) -> Option<&'a str> {
    text.lines().take(2).find_map(|line| line.strip_prefix("# ")?.strip_prefix(key)?.strip_prefix(':')).map(str::trim)
}

#[test]
fn every_valid_resource_is_taken() {
    let server = ApiServer::new();
    let files = files("valid");
    assert!(files.len() >= 10);
    for (name, text) in files {
        assert_eq!(offer(&server, &text), [], "{name}");
        for document in documents(&text) {
            let stored = server.stored(&document);
            serde_json::from_value::<BackupMX>(stored).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    }
}

#[test]
fn every_invalid_resource_is_refused_with_its_message() {
    let server = ApiServer::new();
    let files = files("invalid");
    assert!(files.len() >= 60);
    let mut wrong = Vec::new();
    for (name, text) in files {
        let field = header(&text, "field").unwrap_or_else(|| panic!("{name}: no field"));
        let message = header(&text, "message").unwrap_or_else(|| panic!("{name}: no message"));
        let refusals = offer(&server, &text);
        let only = matches!(refusals.as_slice(), [one] if one.field == field && one.message.contains(message));
        if !only {
            wrong.push(format!("{name}: expected only {field:?}: {message:?}; got {refusals:#?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_rule_has_a_message_and_a_resource_that_breaks_it() {
    let server = ApiServer::new();
    let messages: Vec<String> =
        files("invalid").iter().filter_map(|(_, text)| header(text, "message").map(str::to_owned)).collect();
    for (rule, message) in server.rules() {
        assert!(messages.iter().any(|shown| message.contains(shown.as_str())), "nothing breaks {rule}: {message}");
    }
}

#[test]
fn defaults_make_the_smallest_resource_whole() {
    let server = ApiServer::new();
    let smallest = documents(
        &fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/valid/smallest.yaml")).expect("the file"),
    );
    let by_server: BackupMX = serde_json::from_value(server.stored(&smallest[0])).expect("a resource");
    let by_types: BackupMX = serde_json::from_value(smallest[0].clone()).expect("a resource");
    assert_eq!(by_server.spec, by_types.spec);
    let ready = &by_server.status.expect("a status").conditions[0];
    assert_eq!((ready.type_.as_str(), ready.status.as_str()), ("Ready", "Unknown"));
}
