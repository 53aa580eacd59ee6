//! What the alerts say to type can be typed.

use std::process::Command;

use backupmx_crds::BackupMX;
use backupmx_tests::{
    cluster::{Cluster, Namespace, rendered_in},
    program, run,
};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use serde_json::Value;

use crate::common::{Release, of_kind};

/// The alerts of a release in that namespace: the name and the annotations of each.
fn alerts(home: &str) -> Vec<(String, Value)> {
    let objects = rendered_in(home, &["metrics.prometheusRule.enabled=true"]);
    let groups = of_kind(&objects, "PrometheusRule")[0]["spec"]["groups"].as_array().unwrap().clone();
    let rules = groups.iter().flat_map(|group| group["rules"].as_array().unwrap());
    rules.map(|rule| (rule["alert"].as_str().unwrap().to_owned(), rule["annotations"].clone())).collect()
}

/// Every runbook runs to its end and shows something, where a relay holds mail in that namespace.
#[track_caller]
pub(crate) fn assert_run(cluster: &Cluster, release: &Release, mail: &Namespace) {
    let pod = mail.list::<Pod>().remove(0).name_any();
    let example = mail.list::<BackupMX>().remove(0).name_any();
    for (alert, annotations) in alerts(release.home.name()) {
        let runbook = annotations["runbook"].as_str().unwrap_or_else(|| panic!("{alert} has no runbook"));
        let runbook = runbook.replace("{{ $labels.namespace }}", mail.name()).replace("{{ $labels.pod }}", &pod);
        let runbook = runbook.replace("{{ $labels.resource_namespace }}", mail.name());
        let runbook = runbook.replace("{{ $labels.resource }}", &example);
        assert!(!runbook.contains("{{"), "{alert}: {runbook}");
        for line in runbook.lines() {
            let typed = run(&mut cluster.command("bash", &["-ec", line]));
            // The mail that is held here is in neither of the states that are asked for.
            let shows = !typed.text.is_empty() || line.contains("--state");
            assert!(typed.ok && shows, "{alert}: {line}\n{}", typed.text);
        }
    }
}

#[test]
fn the_commands_that_they_name_exist() {
    let mut named = 0;
    for (alert, annotations) in alerts("system") {
        let text = annotations["description"].as_str().unwrap_or_else(|| panic!("{alert} has no description"));
        // What stands between backquotes, without what a person fills in.
        let commands = text.split('`').skip(1).step_by(2).filter(|quoted| quoted.starts_with("queue "));
        for command in commands {
            let words = command.split(' ').filter(|word| *word != "ID");
            let helped = run(Command::new(program("backupmx-relay")).args(words).arg("--help"));
            assert!(helped.ok, "{alert}: {command}: {}", helped.text);
            named += 1;
        }
    }
    assert!(named >= 4, "only {named}");
}
