//! A relay needs no config file: a few flags do.

use std::process::Command;

use backupmx_tests::{Admin, LONG, Mail, Place, Process, Relay, SHORT, ScriptedPrimary, Smtp, run, wait_until};

#[test]
fn a_domain_and_a_primary_are_enough() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let mut command = Command::new(Relay::program());
    command
        .args(["serve", "--domain", "example.org", "--hostname", "mx1.backup.test"])
        .args(["--primary", &place.primary().to_string(), "--listen", &place.smtp().to_string()])
        .args(["--admin", &place.health().to_string(), "--hold", "14d", "--retry-min", "1s", "--retry-max", "45m"])
        .args(["--resolver", &place.dns().to_string(), "--spool", place.file("spool").to_str().unwrap()]);
    let _relay = Process::start(&mut command, &place.file("relay.log"));
    wait_until("it is ready", LONG, || {
        Admin::tcp(place.health()).get("/readyz").is_some_and(|answer| answer.status == 200)
    });
    Smtp::session(place.smtp()).mail(&Mail::to("bob@example.org")).expect(250);
    primary.wait_count(1, SHORT);
    let config = Admin::unix(place.file("spool").join("control.sock")).get("/v1/config").unwrap();
    assert!(config.body.contains("14d") && config.body.contains("45m"), "{}", config.body);
}

#[test]
fn wrong_flags_say_what_is_expected() {
    for (arguments, words) in [
        (&["serve"][..], "--domain"),
        (&["serve", "--domain", "not a domain", "--primary", "mail.example.org"], "domain name such as"),
        (&["serve", "--domain", "example.org", "--primary", "mail.example.org:smtp"], "host and a port"),
        (&["serve", "--domain", "example.org", "--primary", "mail.example.org", "--hold", "week"], "7d"),
        (&["serve", "--config", "x.yaml", "--domain", "example.org"], "cannot be used with"),
    ] {
        let output = run(Command::new(Relay::program()).args(arguments));
        assert_eq!(output.code, Some(2), "{arguments:?}: {}", output.text);
        assert!(output.text.contains(words), "{arguments:?}: {}", output.text);
    }
}
