//! A wrong config is refused with its place and the expected form.

use std::process::Command;

use backupmx_tests::{Certificate, Config, Output, Place, Relay, run};

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
    let cases = [
        (good.clone().set("/hostnam", "x"), "hostnam"),
        (good.clone().set("/contractVersion", 99), "contractVersion"),
        (good.clone().set("/hostname", "not a name"), "hostname"),
        (good.clone().set("/listeners/0/address", "127.0.0.1"), "listeners[0].address"),
        (good.clone().set("/listeners", Vec::<String>::new()), "listeners"),
        (good.clone().set("/spool/size", "12 cats"), "spool.size"),
        (good.clone().set("/limits/commandTimeout", "soon"), "limits.commandTimeout"),
        (good.clone().set("/tenants/0/hold/maxAge", "7 days"), "tenants[0].hold.maxAge"),
        (good.clone().set("/tenants/0/hold/extendUntil", "tomorrow"), "tenants[0].hold.extendUntil"),
        (good.clone().set("/tenants/0/delivery/retry/min", "2m"), "tenants[0].delivery.retry"),
        (good.clone().set("/tenants/0/accept", "Maybe"), "tenants[0].accept"),
        (good.clone().set("/tenants/0/domains/0", "example..org"), "tenants[0].domains[0]"),
        (good.clone().set(&format!("{hosts}port"), 99999), "tenants[0].primary.hosts[0].port"),
        (good.clone().set("/tenants/0/primary/hosts", Vec::<String>::new()), "tenants[0].primary.hosts"),
        (good.clone().and_tenant("example", "example.net"), "tenants[1].name"),
        (good.and_tenant("second", "example.org"), "tenants[1].domains[0]"),
    ];
    for (config, path) in cases {
        for verb in [&["config", "check"][..], &["serve", "--config"]] {
            let output = check(&place, &config.yaml(), verb);
            assert_eq!(output.code, Some(2), "{path}: {}", output.text);
            assert!(output.text.contains(path), "expected {path} in: {}", output.text);
            assert!(output.text.contains("wrong.yaml"), "the file is named: {}", output.text);
        }
    }
}

#[test]
fn a_text_that_is_no_yaml_names_the_line() {
    let place = Place::new();
    let output = check(&place, "contractVersion: 1\nhostname: [\n", &["config", "check"]);
    assert_eq!(output.code, Some(2));
    assert!(output.text.contains("line "), "{}", output.text);
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

    std::fs::remove_file(&key).unwrap();
    let output = check(&place, &config.yaml(), &["config", "check"]);
    assert_eq!(output.code, Some(2), "{}", output.text);
    assert!(output.text.contains("wrong.yaml") && output.text.contains("tls.key"), "{}", output.text);
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
