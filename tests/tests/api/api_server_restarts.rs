//! The API server is restarted in the middle: the operator, or the one that the kubelet starts in its place, goes on.

use backupmx_tests::{
    LONG,
    cluster::{Cluster, Operator, OperatorOptions},
    wait_until,
};
use k8s_openapi::api::apps::v1::Deployment;
use kube::ResourceExt;

use crate::common::{Stage, resource};

#[test]
fn all_goes_on() {
    let cluster = Cluster::disturbed();
    let stage = Stage::on(&cluster);
    // Straight to the API server: its own end of connections is what is tried.
    let options = OperatorOptions { kubeconfig: cluster.kubeconfig().to_owned(), ..stage.options() };
    let mut operator = Operator::start(options);
    operator.wait_leads();
    stage.mail.apply(&resource("example", "example.org", ""));
    let relay = stage.relay("example", "a");
    let before: Deployment = stage.mail.get(&relay).unwrap();
    for more in [&["--kill", "kube-apiserver"][..], &["kube-apiserver"]] {
        cluster.script("restart", more);
        stage.mail.delete::<Deployment>(&relay);
        wait_until("a Deployment is made anew", LONG, || {
            // What the kubelet does with a container that has ended.
            if operator.ended().is_some() {
                operator.start_again();
            }
            stage.mail.get::<Deployment>(&relay).is_some_and(|now| now.uid() != before.uid())
        });
    }
    operator.wait_leads();
    stage.mail.apply(&resource("other", "example.net", ""));
    stage.wait_observed("other");
}
