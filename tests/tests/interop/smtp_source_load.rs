//! Postfix' load generator against the relay, and its sink behind it: what was accepted comes out, none twice.

use std::process::Command;

use backupmx_tests::{Config, LONG, Place, Process, Relay, Smtp, smtp_source, wait_until};

#[test]
fn everything_goes_through() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place).set("/limits/connectionsPerAddress", 200));
    let per_way = "200";
    for way in [&["-s", "20"][..], &["-s", "20", "-d"], &["-s", "5", "-r", "3"]] {
        let arguments =
            [&["-m", per_way, "-l", "4096", "-f", "alice@sender.test", "-t", "bob@example.org"], way].concat();
        let output = smtp_source(place.smtp(), &arguments);
        assert!(output.ok, "{way:?}: {}", output.text);
    }
    let taken = relay.metric("backupmx_messages_taken_total{tenant=\"example\"}");
    assert_eq!(taken, Some(600.0));
    relay.wait_held(600);

    let mut sink = Command::new("smtp-sink");
    sink.args(["-c", "-u", "root", &place.primary().to_string(), "200"]);
    let _sink = Process::start(&mut sink, &place.file("sink.log"));
    wait_until("the sink listens", LONG, || Smtp::try_open(place.primary()).is_ok());
    relay.wait_empty(LONG);
    let delivered = relay.metric("backupmx_recipients_delivered_total{tenant=\"example\"}");
    assert_eq!(delivered, Some(1000.0), "200 + 200 + 200 times three recipients, none twice");
}
