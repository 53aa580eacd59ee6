//! A real name server (hickory) with the zones that a test writes.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use async_trait::async_trait;
use hickory_server::{
    Server as Hickory,
    net::{
        runtime::{Time, TokioRuntimeProvider},
        xfer::Protocol,
    },
    proto::{op::ResponseCode, rr::LowerName, serialize::txt::Parser},
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType},
};
use parking_lot::Mutex;
use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
};

/// How a server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It answers from its zones, and refuses others.
    Answer,
    /// It answers SERVFAIL to everything.
    ServFail,
    /// It answers that it knows nothing, and is no authority.
    Lame,
    /// It never answers.
    Silent,
}

/// A name server on loopback, over UDP and TCP.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    task: JoinHandle<()>,
}

struct State {
    mode: Mode,
    catalog: Arc<Catalog>,
    asked: Vec<(Protocol, String)>,
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Server {
    /// A server with these zones: each an origin, such as `example.org.`, and lines of a zone file with full names.
    pub(crate) async fn start(address: SocketAddr, zones: &[(&str, &str)]) -> Self {
        let state = State { mode: Mode::Answer, catalog: catalog(zones), asked: Vec::new() };
        let state = Arc::new(Mutex::new(state));
        let mut server = Hickory::new(Handler(state.clone()));
        let udp = UdpSocket::bind(address).await.unwrap();
        let address = udp.local_addr().unwrap();
        server.register_socket(udp);
        server.register_listener(TcpListener::bind(address).await.unwrap(), Duration::from_secs(5), 4096);
        let task = tokio::spawn(async move {
            let _ = server.block_until_done().await;
        });
        Self { address, state, task }
    }

    pub(crate) fn set_mode(&self, mode: Mode) {
        self.state.lock().mode = mode;
    }

    pub(crate) fn set_zones(&self, zones: &[(&str, &str)]) {
        self.state.lock().catalog = catalog(zones);
    }

    /// What it was asked, as `MX example.org.`
    pub(crate) fn asked(&self) -> Vec<String> {
        self.state.lock().asked.iter().map(|(_, question)| question.clone()).collect()
    }

    /// How often it was asked that over TCP.
    pub(crate) fn over_tcp(&self) -> usize {
        self.state.lock().asked.iter().filter(|(protocol, _)| *protocol == Protocol::Tcp).count()
    }
}

/// Addresses of this machine that no other test has: `127.x.y.` and the number.
pub(crate) fn network() -> impl Fn(u8) -> IpAddr {
    let (x, y) = (rand::random_range(1..=250u8), rand::random_range(1..=250u8));
    move |host| IpAddr::from([127, x, y, host])
}

fn catalog(zones: &[(&str, &str)]) -> Arc<Catalog> {
    let mut catalog = Catalog::new();
    for (origin, records) in zones {
        let name = origin.parse().unwrap();
        let text = format!("{origin} 60 IN SOA ns.test. hostmaster.test. 1 60 60 60 1\n{records}\n");
        let (name, records) = Parser::new(text, None, Some(name)).parse().unwrap();
        let zone: InMemoryZoneHandler<TokioRuntimeProvider> =
            InMemoryZoneHandler::new(name.clone(), records, ZoneType::Primary, AxfrPolicy::Deny).unwrap();
        catalog.upsert(LowerName::from(name), vec![Arc::new(zone)]);
    }
    Arc::new(catalog)
}

struct Handler(Arc<Mutex<State>>);

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let (mode, catalog) = {
            let mut state = self.0.lock();
            let query = request.queries.queries()[0].original();
            state.asked.push((request.protocol(), format!("{} {}", query.query_type(), query.name())));
            (state.mode, state.catalog.clone())
        };
        let empty = |code| MessageResponseBuilder::from_message_request(request).error_msg(&request.metadata, code);
        match mode {
            Mode::Answer => catalog.handle_request::<R, T>(request, response).await,
            Mode::ServFail => response.send_response(empty(ResponseCode::ServFail)).await.unwrap(),
            Mode::Lame => response.send_response(empty(ResponseCode::NoError)).await.unwrap(),
            Mode::Silent => std::future::pending().await,
        }
    }
}
