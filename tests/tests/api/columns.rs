//! `kubectl get bmx`, as kubectl prints it.

use std::collections::BTreeMap;

use backupmx_tests::{
    LONG, Mail, Place, ScriptedPrimary, Smtp,
    cluster::{Cluster, StandIn, repository},
};

use crate::common::{Stage, queued, resource, resource_for};

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

/// A primary that is back is on trial until it has taken 20 messages.
const HELD: u64 = 25;

/// What the README shows of `kubectl get bmx`: each time the header, and the row below it.
fn in_readme() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(repository().join("README.md")).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let shown = lines.windows(3).filter(|lines| lines[0].starts_with("$ kubectl") && lines[0].ends_with(" get bmx"));
    shown.map(|lines| (lines[1].to_owned(), lines[2].to_owned())).collect()
}

/// A line as it would be with other figures: each number is an N, each age an AGE, and blanks count as one.
fn shape(line: &str) -> String {
    let cell = |cell: &str| match cell.parse::<u64>() {
        Ok(_) => "N".to_owned(),
        Err(_) if is_age(cell) => "AGE".to_owned(),
        Err(_) => cell.to_owned(),
    };
    line.split_whitespace().map(cell).collect::<Vec<_>>().join(" ")
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

#[test]
fn the_readme_shows_what_is_printed() {
    let stage = Stage::new();
    let place = Place::new();
    stage.dns.set_records(
        "mx1.example.org. 60 IN A 192.0.2.10\n\
         example.org. 60 IN MX 10 mail.example.org.\nexample.org. 60 IN MX 20 mx1.example.org.\n",
    );
    let _operator = stage.operator();
    let mut primary = ScriptedPrimary::down(&place);
    let text = resource_for("example-org", "example.org", place.primary(), "  delivery: {retry: {min: 1s, max: 1s}}\n");
    let (relay, pod) = stage.ready(&text);
    StandIn(&stage.mail).balance(&relay, &["192.0.2.10"]);
    stage.mail.wait_condition("example-org", "Ready", "True", "Available", 2 * LONG);
    let printed = || {
        let printed = Cluster::control_plane().kubectl(&["get", "bmx", "--namespace", stage.mail.name()]);
        let lines: Vec<&str> = printed.out.lines().collect();
        assert_eq!(lines.len(), 2, "{}", printed.text);
        (lines[0].to_owned(), lines[1].to_owned())
    };
    let mut session = Smtp::session(pod.smtp());
    for _ in 0..HELD {
        session.mail(&Mail::to("bob@example.org")).expect(250);
    }
    stage.mail.wait("example-org", "says that mail is held", 2 * LONG, |object| queued(object) == Some(HELD));
    stage.mail.wait_condition("example-org", "PrimaryReachable", "False", "Down", 2 * LONG);
    let holding = printed();
    primary.start();
    stage.mail.wait("example-org", "has no mail any more", 2 * LONG, |object| queued(object) == Some(0));
    stage.mail.wait_condition("example-org", "PrimaryReachable", "True", "Up", 2 * LONG);
    let shown = in_readme();
    assert_eq!(shown.len(), 2, "{shown:?}");
    for ((header, row), (shown_header, shown_row)) in [holding, printed()].into_iter().zip(shown) {
        assert_eq!(header.split_whitespace().collect::<Vec<_>>(), shown_header.split_whitespace().collect::<Vec<_>>());
        assert_eq!(shape(&row), shape(&shown_row));
        let starts =
            |header: &str| header.match_indices(|c: char| c != ' ').map(|(place, _)| place).collect::<Vec<_>>();
        assert_eq!(starts(&shown_header), starts(&header), "the same columns at the same places");
    }
}
