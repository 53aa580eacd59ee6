//! A real name server (hickory) with the records that a test writes.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use async_trait::async_trait;
use hickory_server::{
    Server,
    net::runtime::{Time, TokioRuntimeProvider},
    proto::{
        op::ResponseCode,
        rr::{LowerName, Name},
        serialize::txt::Parser,
    },
    server::{Request, RequestHandler, ResponseHandler, ResponseInfo},
    store::in_memory::InMemoryZoneHandler,
    zone_handler::{AxfrPolicy, Catalog, MessageResponseBuilder, ZoneType},
};
use parking_lot::RwLock;
use tokio::{
    net::{TcpListener, UdpSocket},
    runtime::Runtime,
};

use crate::Place;

/// How a name server behaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It answers from its records; other names do not exist.
    Answer,
    /// It answers SERVFAIL to everything.
    ServFail,
    /// It takes questions and never answers.
    Silent,
}

/// A name server on loopback, over UDP and TCP.
pub struct Dns {
    state: Arc<RwLock<State>>,
    // Ends the server when it is dropped.
    _runtime: Runtime,
}

struct State {
    mode: Mode,
    catalog: Arc<Catalog>,
    questions: usize,
}

impl Dns {
    /// A server at the place's DNS address with these records, as lines of a zone file with full names, such as
    /// `sender.test. 60 IN MX 10 mx.sender.test.`
    ///
    /// # Panics
    /// The records cannot be read, or the port is taken.
    #[must_use]
    pub fn start(place: &Place, records: &str) -> Self {
        Self::start_at(place.dns(), records)
    }

    /// As [`Self::start`], at another address.
    ///
    /// # Panics
    /// The records cannot be read, or the port is taken.
    #[must_use]
    pub fn start_at(address: SocketAddr, records: &str) -> Self {
        let state = State { mode: Mode::Answer, catalog: catalog(records), questions: 0 };
        let state = Arc::new(RwLock::new(state));
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let handler = Handler(state.clone());
        runtime.block_on(async move {
            let mut server = Server::new(handler);
            server.register_socket(UdpSocket::bind(address).await.unwrap());
            server.register_listener(TcpListener::bind(address).await.unwrap(), Duration::from_secs(5), 4096);
            tokio::spawn(async move { server.block_until_done().await });
        });
        Self { state, _runtime: runtime }
    }

    /// Replaces all records.
    ///
    /// # Panics
    /// They cannot be read.
    pub fn set_records(&self, records: &str) {
        self.state.write().catalog = catalog(records);
    }

    /// How it behaves from now on.
    pub fn set_mode(&self, mode: Mode) {
        self.state.write().mode = mode;
    }

    /// How many questions it got.
    #[must_use]
    pub fn questions(&self) -> usize {
        self.state.read().questions
    }
}

/// One zone, the root: whatever is not in it does not exist.
fn catalog(records: &str) -> Arc<Catalog> {
    let text = format!(". 60 IN SOA ns.test. hostmaster.test. 1 60 60 60 1\n. 60 IN NS ns.test.\n{records}\n");
    let (origin, records) =
        Parser::new(text, None, Some(Name::root())).parse().unwrap_or_else(|error| panic!("a test's records: {error}"));
    let zone: InMemoryZoneHandler<TokioRuntimeProvider> =
        InMemoryZoneHandler::new(origin, records, ZoneType::Primary, AxfrPolicy::Deny).unwrap();
    let mut catalog = Catalog::new();
    catalog.upsert(LowerName::from(Name::root()), vec![Arc::new(zone)]);
    Arc::new(catalog)
}

struct Handler(Arc<RwLock<State>>);

#[async_trait]
impl RequestHandler for Handler {
    async fn handle_request<R: ResponseHandler, T: Time>(&self, request: &Request, mut response: R) -> ResponseInfo {
        let (mode, catalog) = {
            let mut state = self.0.write();
            state.questions += 1;
            (state.mode, state.catalog.clone())
        };
        let failure = MessageResponseBuilder::from_message_request(request);
        match mode {
            Mode::Answer => catalog.handle_request::<R, T>(request, response).await,
            Mode::ServFail => {
                let answer = failure.error_msg(&request.metadata, ResponseCode::ServFail);
                response.send_response(answer).await.unwrap()
            }
            Mode::Silent => std::future::pending().await,
        }
    }
}
