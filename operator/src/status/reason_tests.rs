//! The reasons of conditions are documented, and each of them is set somewhere.

use std::{fs, path::Path};

use super::*;

#[test]
fn every_condition_and_reason_is_in_the_manual() {
    let manual = include_str!("../../README.md");
    let rows: Vec<String> = ConditionType::ALL
        .iter()
        .map(|kind| format!("| `{kind}` | {} |", kind.meaning()))
        .chain(Reason::ALL.iter().filter_map(|reason| {
            let (conditions, meaning) = reason.meaning().split_once(": ")?;
            // Those have a table of their own.
            (conditions != "DNSPublished").then(|| format!("| `{reason}` | {conditions} | {meaning} |"))
        }))
        .collect();
    for row in rows {
        assert!(manual.lines().any(|line| line == row), "the README lacks:\n{row}");
    }
}

/// The program's own text in a folder, without tests.
fn text(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        match name.as_str() {
            // Events have reasons of their own.
            "events" | "tests" => {}
            _ if path.is_dir() => all.push_str(&text(&path)),
            _ if name.ends_with("tests.rs") || !name.ends_with(".rs") => {}
            _ => {
                let source = fs::read_to_string(&path).unwrap();
                all.push_str(source.split("#[cfg(test)]\nmod tests {").next().unwrap());
            }
        }
    }
    all
}

#[test]
fn every_reason_is_set_somewhere() {
    let text = text(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"));
    // What it is compared with, or matched against, is not set.
    let sets = |line: &str, name: &str| {
        let after = line.split(name).skip(1).filter(|rest| !rest.starts_with(|c: char| c.is_ascii_alphanumeric()));
        after.filter(|rest| !rest.starts_with(".as_str()")).any(|rest| !rest.contains("=>"))
    };
    let is_set = |reason: &&Reason| text.lines().any(|line| sets(line, &format!("Reason::{reason}")));
    let never: Vec<&Reason> = Reason::ALL.iter().filter(|reason| !is_set(reason)).collect();
    assert!(never.is_empty(), "documented, and set nowhere: {never:?}");
}
