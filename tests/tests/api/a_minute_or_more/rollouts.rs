//! A new image comes to few relays of the cluster at a time, and one that stays broken does not keep it from the others
//! when the image is known to work.

use std::time::Duration;

use backupmx_tests::{
    LONG,
    cluster::{StandIn, condition},
    stays, wait_until,
};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use crate::common::{Stage, resource};

const NEW: &str = "localhost/backupmx-relay:new";

#[test]
fn a_relay_that_stays_broken_frees_its_place_once_the_image_runs_elsewhere() {
    let stage = Stage::new();
    let mut options = stage.options();
    options.arguments.extend(["--max-rollouts".to_owned(), "1".to_owned()]);
    let mut operator = stage.operator_by(options);
    let names = ["one", "two", "three"];
    for name in names {
        stage.mail.apply(&resource(name, &format!("{name}.example.org"), ""));
    }
    let relays = names.map(|name| stage.relay(name, "a"));
    let stand_in = StandIn(&stage.mail);
    for relay in &relays {
        stand_in.available(relay);
    }
    operator.stop();
    operator.options().relay_image = NEW.to_owned();
    operator.start_again();
    operator.wait_leads();

    let new = || -> Vec<String> {
        let all = stage.mail.list::<Deployment>().into_iter();
        let image = |live: &Deployment| live.spec.clone()?.template.spec?.containers.first()?.image.clone();
        all.filter(|live| image(live).as_deref() == Some(NEW)).filter_map(|live| live.metadata.name).collect()
    };
    wait_until("one is replaced", LONG, || new().len() == 1);
    let broken = new().remove(0);
    for (name, _) in names.iter().zip(&relays).filter(|(_, relay)| **relay != broken) {
        let told = stage.mail.wait_condition(name, "RelaysReady", "False", "RollingOut", LONG);
        let message = condition(&told, "RelaysReady").unwrap().message;
        assert!(message.contains("waits for its turn"), "{message}");
    }
    let generation = stage.mail.get::<Deployment>(&broken).unwrap().metadata.generation;
    let given_up = json!({
        "observedGeneration": generation, "availableReplicas": 0, "readyReplicas": 0,
        "conditions": [{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}],
    });
    stage.mail.merge_status::<Deployment>(&broken, &given_up);
    stays("an image that runs nowhere goes no further", Duration::from_secs(12), || new().len() == 1);

    // One that was broken before is repaired at any time, and runs on the new image then.
    let second = relays.iter().find(|relay| **relay != broken).unwrap();
    stand_in.unavailable(second);
    wait_until("it is repaired", LONG, || new().contains(second));
    stand_in.available(second);
    wait_until("the last one has its turn", LONG + LONG, || new().len() == 3);
}
