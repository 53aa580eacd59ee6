//! A wrong config is refused with its place and the expected form.

use std::process::Command;

use backupmx_tests::{Certificate, Config, Output, Place, Relay, SHORT, run, wait_until, wait_value};

fn check(place: &Place, text: &str, verb: &[&str]) -> Output {
    let file = place.file("wrong.yaml");
    std::fs::write(&file, text).unwrap();
    run(Command::new(Relay::program()).args(verb).arg(&file))
}

#[test]
fn every_mistake_names_its_place() {
    let place = Place::new();
    let good = Config::new(&place);
    let hosts = "/tenants/0/primary/hosts/0/";
    // The document, the field's path, what is on its line, and what was expected of it.
    let cases = [
        (
            good.clone().set("/hostnam", "x"),
            "hostnam",
            "hostnam: x",
            "unknown field; expected one of `contractVersion`",
        ),
        (good.clone().set("/contractVersion", 99), "contractVersion", "contractVersion: 99", "expected 1, the form"),
        (
            good.clone().set("/hostname", "not a name"),
            "hostname",
            "hostname: not a name",
            "expected a domain name such as",
        ),
        (good.clone().set("/hostname", "vm"), "hostname", "hostname: vm", "expected a full host name such as"),
        (
            good.clone().set("/listeners/0/address", "127.0.0.1"),
            "listeners[0].address",
            "address: 127.0.0.1",
            "expected an IP address and a port",
        ),
        (
            good.clone().set("/listeners", Vec::<String>::new()),
            "listeners",
            "listeners: []",
            "expected at least one address",
        ),
        (good.clone().set("/spool/size", "12 cats"), "spool.size", "size: 12 cats", "expected a size in bytes"),
        (
            good.clone().set("/limits/commandTimeout", "soon"),
            "limits.commandTimeout",
            "commandTimeout: soon",
            "expected a duration",
        ),
        (
            good.clone().set("/limits/connections", -5),
            "limits.connections",
            "connections: -5",
            "expected a whole number from 1 to 4294967295",
        ),
        (
            good.clone().set("/tenants/0/hold/maxAge", "7 days"),
            "tenants[0].hold.maxAge",
            "maxAge: 7 days",
            "expected a duration",
        ),
        (
            good.clone().set("/tenants/0/hold/extendUntil", "tomorrow"),
            "tenants[0].hold.extendUntil",
            "extendUntil: tomorrow",
            "expected a moment as RFC 3339 writes it",
        ),
        (
            good.clone().set("/tenants/0/delivery/retry/min", "2m"),
            "tenants[0].delivery.retry.max",
            "max: 1s",
            "expected at least retry.min (2m); got 1s",
        ),
        (
            good.clone().set("/tenants/0/accept", "Maybe"),
            "tenants[0].accept",
            "accept: Maybe",
            "expected `Active` or `Defer`",
        ),
        (
            good.clone().set("/tenants/0/acceptance/recipients/mode", "List"),
            "tenants[0].acceptance.recipients.list",
            "mode: List",
            "expected a local part or an address",
        ),
        (
            good.clone().set("/tenants/0/domains/0", "example..org"),
            "tenants[0].domains[0]",
            "- example..org",
            "expected a domain name such as",
        ),
        (
            good.clone().set(&format!("{hosts}port"), 99999),
            "tenants[0].primary.hosts[0].port",
            "port: 99999",
            "expected a whole number from 1 to 65535",
        ),
        (
            good.clone().set("/tenants/0/primary/hosts", Vec::<String>::new()),
            "tenants[0].primary.hosts",
            "hosts: []",
            "expected at least one host",
        ),
        (
            good.clone().and_tenant("example", "example.net"),
            "tenants[1].name",
            "name: example",
            "expected a name of its own",
        ),
        (
            good.and_tenant("second", "example.org"),
            "tenants[1].domains[0]",
            "- example.org",
            "expected a domain of one tenant only",
        ),
    ];
    for (config, path, written, expected) in cases {
        for verb in [&["config", "check"][..], &["serve", "--config"]] {
            let text = config.yaml();
            let output = check(&place, &text, verb);
            assert_eq!(output.code, Some(2), "{path}: {}", output.text);
            let (line, said) = told(&output.text);
            assert!(
                said.starts_with(&format!("{path}: {expected}")),
                "expected {path}: {expected} in: {}",
                output.text
            );
            let found = text.lines().nth(line - 1).unwrap();
            assert!(found.contains(written), "line {line} is {found:?}, not {written:?}: {}", output.text);
        }
    }
}

/// The line that an error about `wrong.yaml` names, and what it says of it.
fn told(error: &str) -> (usize, &str) {
    let place = error.split_once("wrong.yaml: line ").unwrap_or_else(|| panic!("file and line are not named: {error}"));
    let (line, said) = place.1.split_once(": ").unwrap();
    (line.parse().unwrap_or_else(|_| panic!("the line is no number: {error}")), said)
}

#[test]
fn a_text_that_is_no_yaml_names_the_line_once_and_what_was_expected() {
    let place = Place::new();
    for (text, line, path) in [
        ("contractVersion: 1\nhostname: [\n", 3, "hostname"),
        ("contractVersion: 1\nspool:\n  path: /s\n\tsize: 1Gi\n", 4, "spool.path"),
        ("contractVersion: 1\nhostname: 'a.example\nspool:\n  path: /s\n", 2, "hostname"),
    ] {
        let output = check(&place, text, &["config", "check"]);
        assert_eq!(output.code, Some(2));
        let (found, said) = told(&output.text);
        assert_eq!(found, line, "{}", output.text);
        assert!(said.starts_with(&format!("{path}: expected YAML or JSON: ")), "{}", output.text);
        assert_eq!(output.text.matches("line ").count(), 1, "{}", output.text);
    }
}

#[test]
fn a_changed_file_that_is_wrong_is_named_in_the_status() {
    let place = Place::new();
    let config = Config::new(&place);
    let relay = Relay::start(&place, config.clone());
    let refused = |text: &str| {
        relay.write_config_text(text);
        wait_value("the refusal is reported", SHORT, || {
            relay.status().config_error.filter(|error| error.contains("relay.yaml: line "))
        })
    };
    let wrong = config.clone().set("/tenants/0/hold/maxAge", "7").yaml();
    let line = 1 + wrong.lines().position(|line| line.contains("maxAge")).unwrap();
    let error = refused(&wrong);
    assert!(
        error.contains(&format!("relay.yaml: line {line}: tenants[0].hold.maxAge: expected a duration")),
        "{error}"
    );

    relay.write_config_text(&config.yaml());
    wait_until("the refusal is over", SHORT, || relay.status().config_error.is_none());
    let moved = config.set("/listeners/0/address", place.at(2999).to_string()).yaml();
    let error = refused(&moved);
    assert!(error.contains(": listeners: expected what it was at the start"), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let output = run(Command::new(Relay::program()).args(["serve", "--config", "/nowhere/relay.yaml"]));
    assert_eq!(output.code, Some(2), "{}", output.text);
    assert!(output.text.contains("/nowhere/relay.yaml"), "{}", output.text);
}

#[test]
fn the_examples_are_good() {
    let place = Place::new();
    for preset in [&[][..], &["--preset", "sliding"], &["--preset", "fortnight"]] {
        let example = run(Command::new(Relay::program()).args(["config", "example"]).args(preset));
        assert!(example.ok, "{}", example.text);
        let output = check(&place, &example.out, &["config", "check"]);
        assert_eq!(output.code, Some(0), "{preset:?}: {}", output.text);
    }
}

#[test]
fn a_wrong_address_is_repeated_with_the_form() {
    let place = Place::new();
    let good = Config::new(&place);
    let hash = "0".repeat(64);
    let cases = [
        (good.clone().set("/listeners/0/address", "localhost:25"), "listeners[0].address", "localhost:25"),
        (good.clone().set("/admin/health", "8080"), "admin.health", "8080"),
        (
            good.set("/admin/api/tokenSha256", hash.as_str()).set("/admin/api/address", "::1:8081"),
            "admin.api.address",
            "::1:8081",
        ),
    ];
    for (config, path, got) in cases {
        let output = check(&place, &config.yaml(), &["config", "check"]);
        assert_eq!(output.code, Some(2), "{}", output.text);
        let expected =
            format!("{path}: expected an IP address and a port, such as 0.0.0.0:25 or '[::]:25'; got {got:?}");
        assert!(output.text.contains(&expected), "expected {expected} in: {}", output.text);
    }
}

#[test]
fn a_certificate_that_is_not_there_or_not_the_key_s_is_named_by_the_check() {
    let place = Place::new();
    let (certificate, key) = Certificate::new("mx1.backup.test").write(place.path());
    let config = Config::new(&place)
        .set("/tls/certificate", certificate.to_str().unwrap())
        .set("/tls/key", key.to_str().unwrap());
    let output = check(&place, &config.yaml(), &["config", "check"]);
    assert_eq!(output.code, Some(0), "{}", output.text);

    std::fs::write(&key, Certificate::new("mx1.backup.test").key).unwrap();
    let output = check(&place, &config.yaml(), &["config", "check"]);
    assert_eq!(output.code, Some(2), "{}", output.text);
    assert!(output.text.contains("tls.crt") && output.text.contains("tls.key"), "{}", output.text);
    assert!(
        told(&output.text).1.starts_with("tls.key: expected the private key of the certificate; "),
        "{}",
        output.text
    );

    std::fs::remove_file(&key).unwrap();
    let output = check(&place, &config.yaml(), &["config", "check"]);
    assert_eq!(output.code, Some(2), "{}", output.text);
    let text = config.yaml();
    let (line, said) = told(&output.text);
    assert!(said.starts_with("tls.key: expected a PEM file with the private key; failed to read"), "{}", output.text);
    assert!(text.lines().nth(line - 1).unwrap().contains("key: "), "{}", output.text);
}

#[test]
fn a_taken_port_is_named() {
    let place = Place::new();
    let _other = std::net::TcpListener::bind(place.smtp()).unwrap();
    let file = place.file("relay.yaml");
    std::fs::write(&file, Config::new(&place).yaml()).unwrap();
    let output = run(Command::new(Relay::program()).args(["serve", "--config"]).arg(&file));
    assert!(!output.ok);
    assert!(output.text.contains(&place.smtp().to_string()), "{}", output.text);
}
