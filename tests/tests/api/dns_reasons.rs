//! Each way in which DNS can be wrong has its reason on `DNSPublished`, and a message that says what to do: the operator
//! asks real name servers, with the test in the place of external-dns.

use backupmx_crds::dnsendpoint::DNSEndpoint;
use backupmx_tests::{Dns, LONG, Place, cluster::condition};
use serde_json::json;

use crate::{
    common::{Stage, resource},
    dns_scene::ADDRESS,
};

/// A way to be wrong.
struct Wrong {
    /// The resource's name; its domain is below `example`.
    name: &'static str,
    /// The relay's host name, without the domain.
    host: &'static str,
    /// What is in DNS; `@` is the domain.
    records: &'static [&'static str],
    reason: &'static str,
    says: &'static [&'static str],
}

const RIGHT_HOST: &str = "mx1.@ 60 IN A 192.0.2.10";
/// By it external-dns says that the MX records are its own.
const OWNED: &str = "_extdns-mx.@ 60 IN TXT \"heritage=external-dns,external-dns/owner=bmx,external-dns/resource=x\"";

const WRONG: [Wrong; 7] = [
    Wrong {
        name: "preference",
        host: "mx1.@",
        records: &[RIGHT_HOST, OWNED, "@ 60 IN MX 10 mail.@", "@ 60 IN MX 5 mx1.@"],
        reason: "WrongRecords",
        says: &["DNS has MX 5 mx1.preference.example", "20 mx1.preference.example", "--policy"],
    },
    Wrong {
        name: "nowhere",
        host: "mx1.@",
        records: &["@ 60 IN MX 10 mail.@"],
        reason: "HostWithoutAddress",
        says: &["mx1.nowhere.example has no address", ADDRESS, "--managed-record-types"],
    },
    Wrong {
        name: "alias",
        host: "mx1.@",
        records: &["mx1.@ 60 IN CNAME lb.@", "lb.@ 60 IN A 192.0.2.10"],
        reason: "HostIsAlias",
        says: &["mx1.alias.example is an alias (CNAME) of lb.alias.example", "RFC 2181"],
    },
    Wrong {
        name: "elsewhere",
        host: "mx1.@",
        records: &["mx1.@ 60 IN A 198.51.100.1"],
        reason: "HostElsewhere",
        says: &["198.51.100.1", "should have 192.0.2.10", "relays[].addresses"],
    },
    Wrong {
        name: "pointer",
        host: "mx1.@",
        records: &[RIGHT_HOST, "@ 60 IN CNAME www.example.com."],
        reason: "DomainIsAlias",
        says: &["pointer.example is an alias (CNAME) of www.example.com", "A and AAAA records"],
    },
    Wrong {
        name: "undelegated",
        host: "mx1.relays.test",
        records: &["mx1.relays.test. 60 IN A 192.0.2.10"],
        reason: "NotDelegated",
        says: &["undelegated.example"],
    },
    Wrong {
        name: "divided",
        host: "mx1.@",
        records: &[RIGHT_HOST, "@ 60 IN MX 10 mail.@"],
        reason: "ServersDisagree",
        says: &["divided.example: the zone's servers do not agree", "20 other.example"],
    },
];

/// What one server of the zones has besides.
const ONE_HAS: &str = "divided.example. 60 IN MX 20 other.example.\n";

#[test]
fn what_is_wrong_is_told_apart() {
    let (stage, place) = (Stage::new(), Place::new());
    let records: String = WRONG.iter().flat_map(zone).collect();
    stage.dns.set_records(&records);
    let _second = Dns::start(&place, &[&records, ONE_HAS].concat());
    let mut options = stage.options();
    let second = place.dns().to_string();
    let more = ["--nameserver", &second, "--dns-patience", "1s", "--txt-owner-id", "bmx"];
    options.arguments.extend(more.map(str::to_owned));
    let _operator = stage.operator_by(options);
    for wrong in &WRONG {
        let plain = resource(wrong.name, &domain(wrong), "");
        stage.mail.apply(&plain.replace(&format!("mx1.{}", domain(wrong)), &full(wrong.host, wrong)));
        stage.serve(wrong.name, "a", ADDRESS);
    }
    // External-dns reads what is written, and changes nothing.
    for set in ["mx-preference.example", "mx-undelegated.example", "address-mx1.nowhere.example"] {
        let written: DNSEndpoint = stage.home.wait(set, "is there", LONG, |_| true);
        let read = json!({"observedGeneration": written.metadata.generation});
        stage.home.merge_status::<DNSEndpoint>(set, &read);
    }
    for wrong in &WRONG {
        let told = stage.mail.wait_condition(wrong.name, "DNSPublished", "False", wrong.reason, LONG);
        let message = condition(&told, "DNSPublished").unwrap().message;
        for part in wrong.says {
            assert!(message.contains(part), "{}: {part:?} is not in: {message}", wrong.reason);
        }
    }
}

fn domain(wrong: &Wrong) -> String {
    format!("{}.example", wrong.name)
}

fn full(text: &str, wrong: &Wrong) -> String {
    text.replace('@', &domain(wrong))
}

/// The lines of a zone file, with full names.
fn zone(wrong: &Wrong) -> Vec<String> {
    let line = |record: &&str| format!("{}\n", record.replace('@', &format!("{}.", domain(wrong))));
    wrong.records.iter().map(line).collect()
}
