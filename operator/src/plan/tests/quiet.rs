//! What is right already is not changed.

use super::super::*;
use super::cluster::Cluster;

#[test]
fn a_plan_of_what_is_there_already_changes_nothing() {
    let mut cluster = Cluster::settled();
    let first = cluster.pass();
    cluster.later(3600);
    assert_eq!(cluster.pass(), first);
}

#[test]
fn a_config_is_new_only_when_it_changes() {
    let mut cluster = Cluster::settled();
    let revision = |planned: &Resources| planned.serving[0].document.revision;
    let before = revision(&cluster.pass());
    assert_eq!(revision(&cluster.pass()), before);
    cluster.resource.delivery.max_connections = 3;
    assert_eq!(revision(&cluster.pass()), before + 1);
}
