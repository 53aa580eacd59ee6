//! A relay that does not take its config keeps no other from having one, and is told again long before the operator would
//! look by itself.

use backupmx_crds::BackupMX;
use backupmx_tests::{LONG, cluster::PodRelay, wait_until};
use serde_json::json;

use crate::common::{Stage, resource};

#[test]
fn the_others_have_it_and_it_is_told_again_and_again() {
    let stage = Stage::new();
    let operator = stage.operator();
    let one = "relays: [{name: a, hostname: mx1.example.org}";
    let more = format!("{one}, {{name: b, hostname: mx2.example.org}}, {{name: c, hostname: mx3.example.org}}");
    stage.mail.apply(&resource("example", "example.org", "").replace(one, &more));
    let pods = ["a", "b", "c"].map(|relay| PodRelay::start(&stage.mail, &stage.relay("example", relay)));
    let resource = stage.mail.wait_condition("example", "RelaysReady", "True", "AllReady", LONG);
    let revision = |pod: &PodRelay| pod.status().config_revision;
    let before = revision(&pods[2]);
    assert_eq!(resource.status.unwrap().relays.len(), 3);

    let [deaf @ .., other] = &pods;
    deaf.iter().for_each(|pod| pod.hold("PUT /v1/config"));
    stage.mail.merge::<BackupMX>("example", &json!({"spec": {"hold": {"maxAge": "3d"}}}));
    wait_until("the third has it", LONG, || revision(other) > before);
    let failed = "failed to hand a config over";
    assert!(!operator.log().contains(failed), "it had to wait for those before it to fail");
    wait_until("they were told time after time", LONG, || deaf.iter().all(|pod| pod.held() >= 4));
    deaf.iter().for_each(PodRelay::let_go);
    stage.mail.wait("example", "all have it", LONG, |resource: &BackupMX| {
        let relays = resource.status.iter().flat_map(|status| &status.relays);
        relays.filter(|relay| relay.config_revision.is_some_and(|known| known > before as i64)).count() == 3
    });
}
