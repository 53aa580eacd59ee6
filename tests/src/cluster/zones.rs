//! The zones of a cluster that was started with `up --dns`: a real PowerDNS, written through its HTTP API.

use std::{
    net::{SocketAddr, UdpSocket},
    time::Duration,
};

use hickory_server::proto::{
    op::{Message, Query, ResponseCode},
    rr::{Name, RecordType},
};
use serde_json::{Value, json};

use super::Cluster;
use crate::{Admin, SHORT, wait_value};

const ZONES: &str = "/api/v1/servers/localhost/zones";
/// How long the server may take.
const PATIENCE: Duration = Duration::from_secs(3);
/// The name server that all zones are delegated to; see `tests/cluster/lib/test-dns.sh`.
const NAME_SERVER: &str = "ns.zones.test.";

/// The zones of a cluster.
#[derive(Clone, Debug)]
pub struct Zones {
    api: Admin,
    server: SocketAddr,
}

impl Zones {
    /// Those of a cluster.
    ///
    /// # Panics
    /// It has none.
    #[must_use]
    pub fn of(cluster: &Cluster) -> Self {
        let variable =
            |name: &str| cluster.variable(name).unwrap_or_else(|| panic!("the cluster has no zones: {name}"));
        let address = |name: &str| variable(name).parse().unwrap();
        let api = Admin::tcp(address("BACKUPMX_CLUSTER_ZONES_API"));
        let api = api.with_header("X-API-Key", variable("BACKUPMX_CLUSTER_ZONES_KEY"));
        Self { api, server: address("BACKUPMX_CLUSTER_ZONES") }
    }

    /// The zones' own name server.
    #[must_use]
    pub const fn server(&self) -> SocketAddr {
        self.server
    }

    /// Makes a zone with nothing in it.
    ///
    /// # Panics
    /// There is one of that name.
    #[track_caller]
    pub fn make(&self, zone: &str) {
        self.call("POST", "", &json!({"name": format!("{zone}."), "kind": "Native", "nameservers": [NAME_SERVER]}));
    }

    /// Takes a zone away: its names do not exist then.
    ///
    /// # Panics
    /// There is none.
    #[track_caller]
    pub fn delete(&self, zone: &str) {
        self.call("DELETE", &format!("/{zone}."), &Value::Null);
    }

    /// Replaces all records of a name and type by these, in the form of a zone file, such as `10 mail.example.test.`;
    /// by none, which removes them.
    ///
    /// # Panics
    /// There is no such zone, or a record is wrong.
    #[track_caller]
    pub fn set(&self, zone: &str, name: &str, kind: &str, contents: &[&str]) {
        let records: Vec<_> = contents.iter().map(|content| json!({"content": content, "disabled": false})).collect();
        let change = if records.is_empty() { "DELETE" } else { "REPLACE" };
        let set =
            json!({"name": format!("{name}."), "type": kind, "ttl": 60, "changetype": change, "records": records});
        self.call("PATCH", &format!("/{zone}."), &json!({"rrsets": [set]}));
    }

    /// What the zones' server says, sorted and without final dots: such as `10 mail.example.test`, in `"` for texts.
    /// Empty where there is nothing; none where the server does not answer, or will not.
    #[must_use]
    pub fn ask(&self, name: &str, kind: &str) -> Option<Vec<String>> {
        let kind: RecordType = kind.parse().unwrap();
        let mut question = Message::query();
        question.add_query(Query::query(Name::from_ascii(format!("{name}.")).unwrap(), kind));
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.send_to(&question.to_vec().unwrap(), self.server).ok()?;
        let mut answer = [0; 4096];
        let length = socket.recv(&mut answer).ok()?;
        let answer = Message::from_vec(&answer[..length]).unwrap();
        match answer.metadata.response_code {
            ResponseCode::NoError | ResponseCode::NXDomain => {}
            _ => return None,
        }
        let answers = answer.answers.iter().filter(|record| record.record_type() == kind);
        let mut found: Vec<String> =
            answers.map(|record| record.data.to_string().trim_end_matches('.').to_owned()).collect();
        found.sort();
        Some(found)
    }

    /// The MX records of a domain, as [`Self::ask`].
    #[must_use]
    pub fn mx(&self, domain: &str) -> Option<Vec<String>> {
        self.ask(domain, "MX")
    }

    #[track_caller]
    fn call(&self, method: &str, path: &str, body: &Value) {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        // While another writes into its database PowerDNS says 500.
        let answer = wait_value("PowerDNS does it", SHORT, || {
            let answer = self.api.request(method, &format!("{ZONES}{path}"), &body).expect("PowerDNS answers");
            (answer.status != 500).then_some(answer)
        });
        assert!(answer.status < 300, "{method} {path} {body}: {} {}", answer.status, answer.body);
    }
}
