use backupmx_relay_config::Host;

use super::*;

const SMALLEST: &str = "
apiVersion: backupmx.io/v1alpha1
kind: BackupMX
metadata: {name: example-org, namespace: mail, uid: u-1}
spec:
  domains: [example.org]
  primary: {hosts: [{host: mail.example.org}]}
  relays: [{name: a, hostname: mx1.backup.example.net}]
";

/// The smallest resource with one value changed; `at` is a JSON pointer below `spec`.
fn with(at: &str, value: serde_json::Value) -> BackupMX {
    let mut document: serde_json::Value = serde_yaml::from_str(SMALLEST).unwrap();
    let mut place = &mut document["spec"];
    for key in at.split('/') {
        place = match key.parse::<usize>() {
            Ok(index) => &mut place[index],
            Err(_) => &mut place[key],
        };
    }
    *place = value;
    serde_json::from_value(document).unwrap()
}

fn check(resource: &BackupMX) -> Result<Validated, Problems> {
    validate(resource, &Referred::default(), "cluster.local")
}

fn problems(at: &str, value: serde_json::Value) -> String {
    match check(&with(at, value)) {
        Ok(_) => String::new(),
        Err(problems) => problems.to_string(),
    }
}

#[test]
fn the_smallest_resource_has_a_default_for_all_else() {
    let resource: BackupMX = serde_yaml::from_str(SMALLEST).unwrap();
    let validated = check(&resource).unwrap();
    assert_eq!(validated.owner.to_string(), "mail/example-org");
    assert_eq!(validated.hold, Default::default());
    assert_eq!(validated.delivery, Default::default());
    assert_eq!(validated.storage.size, "10Gi".parse().unwrap());
    assert_eq!(validated.dns.ttl, 300);
    assert_eq!(validated.relays[0].preference, 20);
    assert_eq!(validated.primary_mx[0].host.as_str(), "mail.example.org");
}

#[test]
fn says_which_field_and_what_it_should_be() {
    use serde_json::json;
    for (at, value, wanted) in [
        ("domains", json!(["example.org", "EXAMPLE.org"]), "spec.domains[1]: example.org is domains[0] already"),
        ("domains", json!(["xn--bcher-kva.example", "bücher.example"]), "spec.domains[1]: xn--bcher-kva.example"),
        ("domains", json!(["a..b"]), "spec.domains[0]: "),
        ("hold", json!({"maxAge": "7"}), "spec.hold.maxAge: "),
        ("hold", json!({"maxAge": "0s"}), "spec.hold.maxAge: expected at least 1s"),
        ("hold", json!({"warnSenderAfter": "8d"}), "spec.hold.warnSenderAfter: "),
        ("delivery", json!({"retry": {"min": "10m"}}), "spec.delivery.retry.max: expected at least"),
        ("storage", json!({"size": "1Mi"}), "spec.storage.size: expected at least 16Mi"),
        ("storage", json!({"maxSize": "5Gi"}), "spec.storage.maxSize: expected at least storage.size (10Gi)"),
        ("acceptance", json!({"maxMessageSize": "3Gi"}), "spec.acceptance.maxMessageSize: expected 64Ki to 2Gi"),
        (
            "acceptance",
            json!({"recipients": {"mode": "List", "list": ["info@elsewhere.test"]}}),
            "spec.acceptance.recipients.list[0]: expected a local part, or an address in one of the domains",
        ),
        ("bounce", json!({"smarthost": "a:b:c"}), "spec.bounce.smarthost: expected a host"),
        ("primary/hosts/0", json!({"host": "192.0.2.1"}), "spec.primary.mx: expected the primary's public name"),
        ("primary/hosts/0", json!({"host": "a.test", "port": 26}), "spec.primary.mx: expected the primary's public"),
        ("primary", json!({"serviceRef": {"name": "mail"}}), "spec.primary.mx: expected the primary's public name"),
        ("relays/0/hostname", json!("MAIL.example.org"), "spec.relays[0].hostname: mail.example.org is the primary"),
        ("relays/0/hostname", json!("mx_1.example.net"), "spec.relays[0].hostname: expected letters, digits, hyphens"),
        ("relays/0/addresses", json!(["nine"]), "spec.relays[0].addresses[0]: expected an IP address"),
        ("relays/0/name", json!("A"), "spec.relays[0].name: expected 1 to 63 lower-case"),
    ] {
        let found = problems(at, value.clone());
        assert!(found.starts_with(wanted), "{at} {value}: {found:?}");
    }
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    use serde_json::json;
    let mut resource = with("hold", json!({"maxAge": "x"}));
    resource.spec.storage.size = "y".into();
    assert_eq!(check(&resource).unwrap_err().0.len(), 2);
}

#[test]
fn a_service_is_reached_by_its_name_in_the_cluster() {
    use serde_json::json;
    let primary = json!({"serviceRef": {"name": "stalwart", "port": 2525}, "mx": [{"host": "mail.example.org"}]});
    let validated = check(&with("primary", primary)).unwrap();
    let Host::Name(name) = &validated.primary.hosts[0].host else { panic!("a name") };
    assert_eq!((name.as_str(), validated.primary.hosts[0].port), ("stalwart.mail.svc.cluster.local", 2525));
}

#[test]
fn recipients_of_the_config_map_are_added() {
    use serde_json::json;
    let resource = with("acceptance", json!({"recipients": {"mode": "List", "list": ["info"]}}));
    let named = ["ann@example.org", "info", "ann@example.org"];
    let referred = Referred { recipients: named.map(Into::into).into(), missing: None };
    let validated = validate(&resource, &referred, "cluster.local").unwrap();
    assert_eq!(validated.acceptance.recipients.list, ["info", "ann@example.org"]);
}

#[test]
fn a_config_map_that_is_missing_refuses_nobody_s_mail() {
    use serde_json::json;
    let resource = with("acceptance", json!({"recipients": {"mode": "List", "list": ["info"]}}));
    let referred = Referred {
        recipients: Vec::new(),
        missing: Some("expected ConfigMap users with the key list to exist; it does not".into()),
    };
    let problems = validate(&resource, &referred, "cluster.local").unwrap_err();
    assert_eq!(
        problems.to_string(),
        "spec.acceptance.recipients.configMapRef: expected ConfigMap users with the key list to exist; it does not"
    );
    assert_eq!(problems.reason(), Reason::ReferenceNotFound);
    let wrong = with("hold", json!({"maxAge": "x"}));
    let problems = validate(&wrong, &referred, "cluster.local").unwrap_err();
    assert_eq!((problems.0.len(), problems.reason()), (2, Reason::InvalidSpec), "the spec has to be mended first");
}

#[test]
fn a_relay_s_own_service_settings_count() {
    use serde_json::json;
    let mut resource = with("service", json!({"annotations": {"a": "1", "b": "1"}}));
    resource.spec.relays[0].service =
        serde_json::from_value(json!({"type": "ClusterIP", "annotations": {"b": "2"}})).unwrap();
    let service = &check(&resource).unwrap().relays[0].service;
    assert_eq!(service.kind, backupmx_crds::ServiceType::ClusterIP);
    assert_eq!((service.annotations["a"].as_str(), service.annotations["b"].as_str()), ("1", "2"));
}
