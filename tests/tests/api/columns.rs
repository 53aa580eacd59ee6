//! `kubectl get bmx`, as kubectl prints it.

use std::collections::BTreeMap;

use backupmx_tests::{Place, ScriptedPrimary, cluster::Cluster};

use crate::common::{Stage, resource, resource_for};

/// The cells of each resource by their headers.
fn get(stage: &Stage, more: &[&str]) -> BTreeMap<String, BTreeMap<String, String>> {
    let arguments = [&["get", "bmx", "--namespace", stage.mail.name()], more].concat();
    let printed = Cluster::control_plane().kubectl(&arguments);
    assert!(printed.ok, "{}", printed.text);
    let mut lines = printed.out.lines();
    let header = lines.next().unwrap_or_default();
    // Each column begins where its header does.
    let starts: Vec<usize> = header
        .match_indices(|c: char| c != ' ')
        .map(|(place, _)| place)
        .filter(|&place| place == 0 || header.as_bytes()[place - 1] == b' ')
        .collect();
    let cells = |line: &str| -> Vec<String> {
        let ends = starts.iter().skip(1).copied().chain([usize::MAX]);
        let cell = |(start, end): (&usize, usize)| {
            line.chars().skip(*start).take(end - start).collect::<String>().trim().to_owned()
        };
        starts.iter().zip(ends).map(cell).collect()
    };
    let names = cells(header);
    lines.map(|line| (cells(line)[0].clone(), names.iter().cloned().zip(cells(line)).collect())).collect()
}

fn is_age(text: &str) -> bool {
    text.ends_with(['s', 'm', 'h', 'd']) && text.starts_with(|c: char| c.is_ascii_digit())
}

#[test]
fn each_column_reads_as_a_person_would_write_it() {
    let stage = Stage::new();
    // Nobody has looked yet.
    stage.mail.apply(&resource("unseen", "example.com", ""));
    let before = get(&stage, &[])["unseen"].clone();
    let shown: Vec<&str> = before.keys().map(String::as_str).collect();
    assert_eq!(shown, ["AGE", "DOMAINS", "NAME", "OLDEST", "PRIMARY", "QUEUED", "READY"]);
    assert_eq!((before["READY"].as_str(), before["QUEUED"].as_str()), ("Unknown", ""));
    assert!(is_age(&before["AGE"]), "{before:?}");

    let _operator = stage.operator();
    let place = Place::new();
    let _primary = ScriptedPrimary::down(&place);
    let text = resource_for("example", "example.org", place.primary(), "  delivery: {suspended: true}\n");
    let _held = stage.holding(&text.replace("[example.org]", "[example.org, example.net, bücher.example]"));
    let rows = get(&stage, &[]);
    let row = &rows["example"];
    assert_eq!(row["DOMAINS"], "example.org,example.net +1");
    assert_eq!((row["PRIMARY"].as_str(), row["QUEUED"].as_str(), row["READY"].as_str()), ("Down", "1", "False"));
    assert!(is_age(&row["OLDEST"]) && is_age(&row["AGE"]), "{row:?}");
    assert_eq!(rows["unseen"]["DOMAINS"], "example.com");

    let row = &get(&stage, &["--output=wide"])["example"];
    assert_eq!((row["PUBLISHED"].as_str(), row["SUSPENDED"].as_str()), ("WaitingForRelays", "true"));
    assert!(row["BYTES"].parse::<u64>().unwrap() > 0, "{row:?}");
    assert!(row["MESSAGE"].contains("MX records of example.org"), "{row:?}");
}
