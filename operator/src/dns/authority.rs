//! Whom to ask about a name: the servers of its zone, found by a resolver, or those that the command line names.

use std::{
    collections::HashMap,
    net::{IpAddr, SocketAddr},
    time::Duration,
};

use futures::future::join_all;
use hickory_resolver::{
    proto::{
        op::Message,
        rr::{Name, RData, RecordType},
    },
    system_conf::read_system_conf,
};
use parking_lot::Mutex;
use tokio::time::Instant;

use super::wire::{self, Recursion, Trouble};

/// The port of a zone's servers.
const DNS: u16 = 53;
/// How many of a zone's servers are asked.
const SERVERS: usize = 8;
/// How many addresses of one server are tried.
const ADDRESSES: usize = 2;
/// How long a zone's list of servers is believed: its TTL, within these.
const BELIEVED: (Duration, Duration) = (Duration::from_secs(30), Duration::from_secs(900));

/// Why nobody can be asked.
#[derive(Debug, thiserror::Error)]
pub enum SetupError {
    /// The system's resolver configuration cannot be read.
    #[error("failed to read the system's resolver configuration ({0}); --nameserver can name servers in its place")]
    System(String),
    /// It names no server.
    #[error("the system's resolver configuration names no server; --nameserver can name some in its place")]
    NoServer,
}

/// Whom questions go to.
#[derive(Debug)]
pub struct Authority {
    /// Servers whose answers are the truth, whatever the delegation says. Empty: each zone's own.
    named: Vec<SocketAddr>,
    /// The system's resolvers, by which zones and their servers are found.
    resolvers: Vec<SocketAddr>,
    /// The port of the zones' servers.
    port: u16,
    zones: Mutex<HashMap<Name, (Servers, Instant)>>,
}

/// The servers that know a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Servers {
    /// What makes them the ones to ask.
    pub source: Source,
    /// Each server, with its addresses in the order of trying.
    pub list: Vec<Server>,
}

/// One server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// How a person knows it: its name, or its address.
    pub label: String,
    /// Its addresses. Empty: none is known.
    pub addresses: Vec<SocketAddr>,
}

/// What makes servers the ones to ask.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// They are those of this zone; its name is without a trailing dot.
    Zone(String),
    /// The command line names them.
    Named,
    /// No zone below the root has the name, so the resolver's word counts.
    Resolver,
}

impl Authority {
    /// Asks the `named` servers, or where there are none, the zones' own, found by the system's resolvers.
    ///
    /// # Errors
    /// The system's resolver configuration cannot be read, and no server is named.
    pub fn new(named: Vec<SocketAddr>) -> Result<Self, SetupError> {
        let resolvers = match (system(), named.is_empty()) {
            (Ok(resolvers), _) => resolvers,
            (Err(_), false) => Vec::new(),
            (Err(error), true) => return Err(error),
        };
        Ok(Self::with(named, resolvers, DNS))
    }

    /// As [`Self::new`], with these resolvers, and another port for the zones' servers.
    #[must_use]
    pub fn with(named: Vec<SocketAddr>, resolvers: Vec<SocketAddr>, port: u16) -> Self {
        Self { named, resolvers, port, zones: Mutex::default() }
    }

    /// The servers that know a name.
    ///
    /// # Errors
    /// No resolver answers. The text says which one was asked.
    pub async fn of(&self, name: &Name) -> Result<Servers, (String, Trouble)> {
        if !self.named.is_empty() {
            return Ok(Servers { source: Source::Named, list: self.named.iter().map(plain).collect() });
        }
        if let Some((servers, _)) = self.known(name) {
            return Ok(servers);
        }
        let (servers, until) = self.find(name).await?;
        let mut zones = self.zones.lock();
        zones.retain(|_, (_, until)| *until > Instant::now());
        zones.insert(name.clone(), (servers.clone(), until));
        Ok(servers)
    }

    /// Forgets the servers of a name: none of them answered, so it may have moved.
    pub fn forget(&self, name: &Name) {
        self.zones.lock().remove(name);
    }

    /// Asks one server for what it says of a name.
    ///
    /// # Errors
    /// It does not answer, or not as one that has the zone.
    pub async fn ask(
        &self,
        source: &Source,
        server: &Server,
        name: &Name,
        kind: RecordType,
    ) -> Result<Message, Trouble> {
        let recursion = match source {
            Source::Zone(_) => Recursion::Undesired,
            Source::Named | Source::Resolver => Recursion::Desired,
        };
        let mut last = Err(Trouble::NoAddress);
        for address in server.addresses.iter().take(ADDRESSES) {
            last = wire::ask(*address, name, kind, recursion).await;
            if last.is_ok() {
                break;
            }
        }
        let reply = last?;
        match source {
            Source::Zone(_) if !reply.metadata.authoritative => Err(Trouble::Lame),
            Source::Zone(_) | Source::Named | Source::Resolver => Ok(reply),
        }
    }

    /// The addresses of a name, aliases followed: of the named servers first, then of the system's resolvers.
    ///
    /// # Errors
    /// Nobody says whether it has any.
    pub async fn addresses(&self, name: &Name) -> Result<(Vec<IpAddr>, u32), Trouble> {
        let mut last = Err(Trouble::NoAddress);
        for servers in [&self.named, &self.resolvers].into_iter().filter(|servers| !servers.is_empty()) {
            last = both(servers, name).await;
            if matches!(&last, Ok((list, _)) if !list.is_empty()) {
                break;
            }
        }
        last
    }

    fn known(&self, name: &Name) -> Option<(Servers, Instant)> {
        self.zones.lock().get(name).filter(|(_, until)| *until > Instant::now()).cloned()
    }

    /// Goes up from the name to the first one that has name servers.
    async fn find(&self, name: &Name) -> Result<(Servers, Instant), (String, Trouble)> {
        let mut zone = name.clone();
        while !zone.is_root() {
            if let Some((servers, until)) = self.known(&zone) {
                return Ok((servers, until));
            }
            let reply = first(&self.resolvers, &zone, RecordType::NS).await?;
            // Those of the name itself: an alias is followed to the servers of another zone.
            let records = reply.answers.iter().filter(|record| record.name == zone);
            let mut hosts: Vec<(Name, u32)> = records
                .filter_map(|record| match &record.data {
                    RData::NS(host) => Some((host.0.clone(), record.ttl)),
                    _ => None,
                })
                .collect();
            if let Some(ttl) = hosts.iter().map(|(_, ttl)| *ttl).min() {
                hosts.sort();
                hosts.truncate(SERVERS);
                let list = join_all(hosts.iter().map(|(host, _)| self.server(host))).await;
                let until = believed(Duration::from_secs(ttl.into()));
                return Ok((Servers { source: Source::Zone(text(&zone)), list }, until));
            }
            zone = zone.base_name();
        }
        let list = self.resolvers.iter().take(1).map(plain).collect();
        Ok((Servers { source: Source::Resolver, list }, believed(Duration::ZERO)))
    }

    async fn server(&self, host: &Name) -> Server {
        let (addresses, _) = both(&self.resolvers, host).await.unwrap_or_default();
        let addresses = addresses.into_iter().map(|address| SocketAddr::new(address, self.port)).collect();
        Server { label: text(host), addresses }
    }
}

/// A name as people write it: in lower case, without a trailing dot; the root is a dot.
#[must_use]
pub fn text(name: &Name) -> String {
    let text = name.to_lowercase().to_ascii();
    match text.strip_suffix('.') {
        Some("") | None => text,
        Some(plain) => plain.to_owned(),
    }
}

fn plain(address: &SocketAddr) -> Server {
    Server { label: address.to_string(), addresses: vec![*address] }
}

/// What the first of these resolvers that answers says.
async fn first(resolvers: &[SocketAddr], name: &Name, kind: RecordType) -> Result<Message, (String, Trouble)> {
    let mut last = Err(("the system's resolver".to_owned(), Trouble::NoAddress));
    for resolver in resolvers {
        match wire::ask(*resolver, name, kind, Recursion::Desired).await {
            Ok(reply) => return Ok(reply),
            Err(trouble) => last = Err((format!("the resolver {resolver}"), trouble)),
        }
    }
    last
}

/// The addresses of a name, and the smallest TTL. Half an answer is one only if there is an address in it.
async fn both(resolvers: &[SocketAddr], name: &Name) -> Result<(Vec<IpAddr>, u32), Trouble> {
    let (v4, v6) = tokio::join!(first(resolvers, name, RecordType::A), first(resolvers, name, RecordType::AAAA));
    match (v4, v6) {
        (Ok(v4), Ok(v6)) => Ok(addresses([&v4, &v6])),
        (Ok(half), Err((_, trouble))) | (Err((_, trouble)), Ok(half)) => {
            Some(addresses([&half])).filter(|(found, _)| !found.is_empty()).ok_or(trouble)
        }
        (Err((_, trouble)), Err(_)) => Err(trouble),
    }
}

fn believed(ttl: Duration) -> Instant {
    Instant::now() + ttl.clamp(BELIEVED.0, BELIEVED.1)
}

/// The addresses in answers, IPv4 first, none twice, and the smallest TTL.
fn addresses<'a>(replies: impl IntoIterator<Item = &'a Message>) -> (Vec<IpAddr>, u32) {
    let mut found = Vec::new();
    let mut ttl = u32::MAX;
    for record in replies.into_iter().flat_map(|reply| &reply.answers) {
        ttl = ttl.min(record.ttl);
        found.extend(record.data.ip_addr());
    }
    found.sort();
    found.dedup();
    (found, ttl)
}

fn system() -> Result<Vec<SocketAddr>, SetupError> {
    let (config, _) = read_system_conf().map_err(|error| SetupError::System(error.to_string()))?;
    let mut servers: Vec<SocketAddr> = Vec::new();
    for server in config.name_servers() {
        let ports = server.connections.iter().map(|connection| connection.port);
        for port in ports.take(1) {
            let address = SocketAddr::new(server.ip, port);
            if !servers.contains(&address) {
                servers.push(address);
            }
        }
    }
    if servers.is_empty() { Err(SetupError::NoServer) } else { Ok(servers) }
}
