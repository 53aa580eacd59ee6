//! A domain that is taken out of the spec keeps its primary's MX records, and is answered 451, never 550.

use backupmx_tests::wait_until;
use serde_json::json;

use crate::stage::{PATIENCE, Stage};

#[test]
fn it_keeps_its_primary_and_is_deferred() {
    let mut stage = Stage::with("domain", Stage::SOON);
    let (domain, second) = (stage.domain().to_owned(), format!("second.{}", stage.domain()));
    stage.publish(&json!({"domains": [domain, second]}));
    let whole = [format!("10 mail.{domain}"), format!("20 mx1.{domain}")];
    wait_until("the second domain is published", PATIENCE, || stage.zones.mx(&second) == Some(whole.to_vec()));
    let relay = stage.smtp("a");
    let held = stage.send("a", 1);
    let mut session = stage.session("a");
    let other = backupmx_tests::Mail::to(&format!("bob@{second}"));
    session.mail(&other).expect(250);

    stage.change(&json!({"domains": [domain]}));
    wait_until("it has its primary alone", PATIENCE, || stage.zones.mx(&second) == Some(whole[..1].to_vec()));
    stage.wait_answer(relay, &format!("bob@{second}"), 451);
    stage.wait_answer(relay, &stage.recipient(), 250);
    stage.primary.start();
    stage.wait_arrived(&[held[0].clone(), other]);
    assert_eq!(stage.zones.mx(&second), Some(whole[..1].to_vec()));
    stage.wait_answer(relay, &format!("bob@{second}"), 451);
}
