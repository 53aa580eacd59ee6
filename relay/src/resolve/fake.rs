//! A name server on loopback, for tests.

use std::{collections::HashMap, net::SocketAddr, sync::Arc};

use backupmx_relay_config::ResolverConfig;
use hickory_resolver::proto::{
    op::{Message, OpCode, ResponseCode},
    rr::{
        Name, RData, Record,
        rdata::{A, AAAA, CNAME, MX, PTR, TXT},
    },
};
use parking_lot::Mutex;
use tokio::{net::UdpSocket, task::JoinHandle};

use super::Resolver;

/// Records by name (absolute, in lower case). A name without an entry does not exist; one without a record of the kind
/// asked for has no data. `Broken` answers SERVFAIL, `Silent` nothing at all.
#[derive(Clone, Debug)]
pub(crate) enum Zone {
    Records(Vec<RData>),
    Broken,
    Silent,
}

pub(crate) struct Dns {
    pub(crate) address: SocketAddr,
    pub(crate) asked: Arc<Mutex<Vec<String>>>,
    server: JoinHandle<()>,
}

impl Drop for Dns {
    fn drop(&mut self) {
        self.server.abort();
    }
}

pub(crate) fn mx(preference: u16, exchange: &str) -> RData {
    RData::MX(MX::new(preference, Name::from_ascii(exchange).unwrap()))
}

pub(crate) fn address(text: &str) -> RData {
    match text.parse().unwrap() {
        std::net::IpAddr::V4(address) => RData::A(A(address)),
        std::net::IpAddr::V6(address) => RData::AAAA(AAAA(address)),
    }
}

pub(crate) fn ptr(target: &str) -> RData {
    RData::PTR(PTR(Name::from_ascii(target).unwrap()))
}

pub(crate) fn text(text: &str) -> RData {
    RData::TXT(TXT::new(vec![text.to_owned()]))
}

pub(crate) fn cname(target: &str) -> RData {
    RData::CNAME(CNAME(Name::from_ascii(target).unwrap()))
}

impl Dns {
    pub(crate) async fn serve(zones: Vec<(&str, Zone)>) -> Self {
        let zones: HashMap<String, Zone> = zones.into_iter().map(|(name, zone)| (format!("{name}."), zone)).collect();
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let server = tokio::spawn(async move {
            let mut packet = [0; 4096];
            while let Ok((length, client)) = socket.recv_from(&mut packet).await {
                let Ok(query) = Message::from_vec(&packet[..length]) else { continue };
                if let Some(reply) = answer(&zones, &query, &log) {
                    let _ = socket.send_to(&reply.to_vec().unwrap(), client).await;
                }
            }
        });
        Self { address, asked, server }
    }

    pub(crate) fn config(&self) -> ResolverConfig {
        ResolverConfig { nameservers: vec![self.address], allow_private: Vec::new() }
    }

    pub(crate) fn resolver(&self) -> Resolver {
        Resolver::with_limit(&self.config(), std::time::Duration::from_secs(2)).unwrap()
    }
}

fn answer(zones: &HashMap<String, Zone>, query: &Message, log: &Mutex<Vec<String>>) -> Option<Message> {
    let question = query.queries.first()?.clone();
    log.lock().push(format!("{} {}", question.name(), question.query_type()));
    let mut reply = Message::response(query.metadata.id, OpCode::Query);
    let mut name = question.name().clone();
    loop {
        match zones.get(&name.to_ascii().to_ascii_lowercase()) {
            None => reply.metadata.response_code = ResponseCode::NXDomain,
            Some(Zone::Silent) => return None,
            Some(Zone::Broken) => reply.metadata.response_code = ResponseCode::ServFail,
            Some(Zone::Records(records)) => {
                let wanted = |data: &&RData| data.record_type() == question.query_type();
                for data in records.iter().filter(wanted) {
                    reply.add_answer(Record::from_rdata(name.clone(), 300, data.clone()));
                }
                if let Some(RData::CNAME(target)) = records.first() {
                    reply.add_answer(Record::from_rdata(name, 300, records[0].clone()));
                    name = target.0.clone();
                    continue;
                }
            }
        }
        break;
    }
    reply.add_query(question);
    Some(reply)
}
