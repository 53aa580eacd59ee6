//! A report to a sender whose domain is a tenant's goes to that tenant's primary, and not where DNS says: DNS says that it
//! is we.

use backupmx_tests::{Answer, Config, Dns, LONG, Mail, Place, Relay, ScriptedPrimary, Step};

use crate::common::{REPORT_PORT, settle};

/// Where the other tenant's primary listens.
const OTHER: u16 = 6031;

#[test]
fn it_goes_to_its_primary() {
    let place = Place::new();
    let ip = place.ip();
    let zone = format!("example.net. 60 IN MX 10 mx.example.net.\nmx.example.net. 60 IN A {ip}\n");
    let _dns = Dns::start(&place, &zone);
    let mut by_dns = ScriptedPrimary::at(place.at(REPORT_PORT));
    by_dns.start();
    let mut other = ScriptedPrimary::at(place.at(OTHER));
    let primary = ScriptedPrimary::up(&place);
    let config = Config::new(&place)
        .set("/resolver/allowPrivate", vec!["127.0.0.0/8"])
        .set("/reports/mxPort", REPORT_PORT)
        .and_tenant("second", "example.net")
        .set("/tenants/1/primary/hosts/0/port", OTHER);
    let relay = Relay::start(&place, config);
    settle(&relay, &primary);
    primary.script(|step, _| match step {
        Step::Rcpt(_) => Answer::reply("550 5.1.1 no such user here"),
        _ => Answer::Normal,
    });
    relay.session().mail(&Mail::to("nosuch@example.org").from("carol@example.net")).expect(250);
    backupmx_tests::wait_until("the report waits for its primary", LONG, || {
        relay.status().tenants[1].queue.messages == 1
    });
    assert_eq!(relay.status().reports.messages, 0, "it is the tenant's mail");

    other.start();
    let report = other.wait_count(1, LONG).remove(0);
    assert_eq!((report.from.as_str(), report.to.as_slice()), ("", &["carol@example.net".to_owned()][..]));
    assert!(String::from_utf8_lossy(&report.content).contains("no such user here"));
    relay.wait_empty(LONG);
    assert_eq!(by_dns.connections(), 0);
}
