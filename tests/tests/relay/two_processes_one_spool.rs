//! One relay a spool folder: the second refuses, and names the first.

use std::process::Command;

use backupmx_tests::{Config, Mail, Place, Relay, run};

#[test]
fn the_second_refuses_by_name() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let second = Config::new(&place)
        .set("/listeners/0/address", place.at(6125).to_string())
        .set("/admin/health", place.at(6180).to_string());
    let file = place.file("second.yaml");
    std::fs::write(&file, second.yaml()).unwrap();
    let output = run(Command::new(Relay::program()).args(["serve", "--config"]).arg(&file));
    assert_eq!(output.code, Some(1), "{}", output.text);
    let (spool, holder) = (place.file("spool"), format!("process {}", relay.id()));
    assert!(output.text.contains(spool.to_str().unwrap()) && output.text.contains(&holder), "{}", output.text);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    relay.wait_held(1);
}
