//! Helm finds nothing wrong, whatever is switched on.

use serde_json::Value;

use crate::common::{helm, rendered, text};

const ALL: &[&str] = &[
    "metrics.serviceMonitor.enabled=true",
    "metrics.prometheusRule.enabled=true",
    "metrics.dashboard.enabled=true",
    "watchNamespaces={one,two}",
    "allowedDomains[0].namespaces={one}",
    "allowedDomains[0].domains={example.org,*.example.net}",
    "allowedDomains[0].hostnames={mx1.relays.example,*.example.org}",
    "nameservers={192.0.2.53,192.0.2.54:5353}",
    "externalDNS.registry=noop",
    "masterKey.existingSecret=own",
    "image.pullSecrets={registry}",
    "networkPolicy.egress[0].ports[0].port=443",
    "topologySpreadConstraints[0].maxSkew=1",
    "tolerations[0].operator=Exists",
    "nodeSelector.disk=fast",
    "priorityClassName=high",
    "fullnameOverride=mx",
    "commonLabels.team=mail",
    "deploymentAnnotations.note=one",
    "podAnnotations.note=two",
    "podLabels.tier=back",
    "extraEnv[0].name=HTTPS_PROXY",
    "extraEnv[0].value=http://proxy.example:3128",
    "extraArgs={--dns-patience=10m}",
    "podSecurityContext.runAsUser=null",
];

#[test]
fn is_clean_with_nothing_and_with_everything() {
    for values in [&[], ALL] {
        let sets: Vec<&str> = values.iter().flat_map(|value| ["--set", value]).collect();
        let output = helm(&[&["lint", "--strict", "charts/backupmx"], &sets[..]].concat());
        assert!(output.ok, "{}", output.text);
    }
}

#[test]
fn an_external_dns_to_which_all_is_its_own_is_not_to_delete() {
    for (registry, policy) in [("txt", "sync"), ("noop", "upsert-only")] {
        let set = format!("externalDNS.registry={registry}");
        let notes = helm(&["install", "notes", "charts/backupmx", "--dry-run=client", "--set", &set]);
        assert!(notes.ok && notes.out.contains(&format!("\n  --policy={policy}\n")), "{registry}: {}", notes.text);
    }
}

/// Functions of rules that came to Kubernetes later than rules themselves, and the least minor version of 1 that takes a
/// definition with them.
const YOUNGER: &[(&str, u32)] = &[("isIP(", 31), ("isCIDR(", 31), ("format.", 32)];

#[test]
fn the_oldest_kubernetes_it_goes_on_knows_what_the_rules_use() {
    let definition = text("crds/backupmxes.yaml");
    let rules: Vec<&str> = definition.lines().filter(|line| line.trim_start().starts_with("rule:")).collect();
    assert!(!rules.is_empty());
    let used = YOUNGER.iter().filter(|(function, _)| rules.iter().any(|rule| rule.contains(function)));
    let least = used.map(|(_, minor)| *minor).max().expect("the rules look at addresses");
    let chart: Value = serde_yaml::from_str(&text("charts/backupmx/Chart.yaml")).unwrap();
    assert_eq!(chart["kubeVersion"], format!(">=1.{least}.0-0"));
}

#[test]
fn everything_is_made_as_asked() {
    let objects = rendered(ALL);
    let kinds = |kind: &str| objects.iter().filter(|object| object["kind"] == kind).count();
    for (kind, count) in [
        ("ServiceMonitor", 1),
        ("PodMonitor", 1),
        ("PrometheusRule", 1),
        ("ConfigMap", 2),
        ("Deployment", 1),
        ("PodDisruptionBudget", 1),
        ("NetworkPolicy", 1),
        ("Job", 1),
        ("Pod", 1),
        // Of the two namespaces, of "default" for Events, and of its own.
        ("Role", 4),
    ] {
        assert_eq!(kinds(kind), count, "{kind}");
    }
    let rules = objects.iter().find(|object| object["metadata"]["name"] == "mx-rules").unwrap();
    let rules: serde_json::Value =
        serde_yaml::from_str(rules["data"]["allowed-domains.yaml"].as_str().unwrap()).unwrap();
    let rule = serde_json::json!({
        "namespaces": ["one"],
        "domains": ["example.org", "*.example.net"],
        "hostnames": ["mx1.relays.example", "*.example.org"],
    });
    assert_eq!(rules, serde_json::json!([rule]));
    let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
    let pod = &deployment["spec"]["template"]["spec"];
    let arguments = pod["containers"][0]["args"].to_string();
    for argument in [
        "--watch-namespace=one,two",
        "--nameserver=192.0.2.54:5353",
        "--registry=noop",
        "--txt-owner-id=backupmx",
        "--txt-prefix=_extdns-%{record_type}.",
        "--allowed-domains-file=/etc/backupmx/rules/allowed-domains.yaml",
        "--master-key-file=/etc/backupmx/master-key/key",
        "--image-pull-secret=registry",
        "--operator-label=app.kubernetes.io/instance=backupmx",
    ] {
        assert!(arguments.contains(argument), "{argument}: {arguments}");
    }
    assert!(arguments.contains("--dns-patience=10m"), "{arguments}");
    assert!(pod["containers"][0]["env"].to_string().contains("proxy.example"));
    assert_eq!(deployment["metadata"]["annotations"]["note"], "one");
    assert_eq!(deployment["spec"]["template"]["metadata"]["annotations"]["note"], "two");
    assert_eq!(deployment["spec"]["template"]["metadata"]["labels"]["tier"], "back");
    assert!(deployment["spec"]["selector"]["matchLabels"]["team"].is_null(), "a selector can't be changed later");
    assert_eq!(pod["securityContext"]["runAsUser"], serde_json::Value::Null);
    assert_eq!(pod["securityContext"]["runAsNonRoot"], true);
    for object in &objects {
        assert_eq!(object["metadata"]["labels"]["team"], "mail", "{object:#}");
    }
    assert_eq!(pod["nodeSelector"]["disk"], "fast");
    assert_eq!(pod["tolerations"][0]["operator"], "Exists");
    assert_eq!(pod["priorityClassName"], "high");
    assert_eq!(pod["imagePullSecrets"][0]["name"], "registry");
}

#[test]
fn an_image_is_named_by_tag_or_by_digest() {
    let image = |values: &[&str]| {
        let objects = rendered(values);
        let deployment = objects.iter().find(|object| object["kind"] == "Deployment").unwrap();
        deployment["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap().to_owned()
    };
    assert_eq!(image(&[]), format!("localhost/backupmx-operator:{}", env!("CARGO_PKG_VERSION")));
    assert_eq!(image(&["image.registry=r.example", "image.tag=x"]), "r.example/backupmx-operator:x");
    let digest = format!("sha256:{}", "0".repeat(64));
    let pinned = image(&["image.registry=r.example", &format!("image.operator.digest={digest}")]);
    assert_eq!(pinned, format!("r.example/backupmx-operator@{digest}"));
}
