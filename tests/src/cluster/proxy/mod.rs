//! A proxy in front of a real API server. It counts what goes through it, and injects faults.
//!
//! It speaks plain HTTP on a loopback address and uses the administrator's rights upstream, or those of another.

mod call;
mod fault;

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use futures::{StreamExt as _, TryStreamExt as _, future, stream};
use http_body_util::{BodyExt as _, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Bytes, Frame, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use kube::Client;
use parking_lot::Mutex;
use tokio::{net::TcpListener, sync::watch, task::JoinHandle, time::sleep};

pub use call::{Answer, Call};
pub use fault::Fault;

use super::{
    Cluster,
    client::{client, runtime},
};
use crate::{Place, stays, wait_until};
use fault::{FOR_EVER, Trap};

type Body = UnsyncBoxBody<Bytes, Box<dyn std::error::Error + Send + Sync>>;

/// A proxy in front of a real API server.
pub struct Proxy {
    place: Place,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    upstream: Client,
    calls: Mutex<Calls>,
    traps: Mutex<Vec<Trap>>,
    /// Rises when all that is held back is let go.
    held: watch::Sender<u64>,
    /// Rises when all watches are to end.
    watches: watch::Sender<u64>,
}

/// What was asked, in order.
#[derive(Default)]
struct Calls {
    list: Vec<Call>,
    /// How many came before these, and were forgotten.
    forgotten: usize,
}

impl Calls {
    fn get(&mut self, number: usize) -> Option<&mut Call> {
        self.list.get_mut(number.checked_sub(self.forgotten)?)
    }
}

impl Proxy {
    /// A proxy in front of a cluster, with the administrator's rights.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start(cluster: &Cluster) -> Self {
        Self::start_as(cluster, None)
    }

    /// As [`Self::start`], with the rights of a user such as `system:serviceaccount:NAMESPACE:NAME`.
    ///
    /// # Panics
    /// It cannot be started.
    #[must_use]
    pub fn start_as(cluster: &Cluster, user: Option<&str>) -> Self {
        let place = Place::new();
        let upstream = client(cluster.kubeconfig(), |config| {
            config.default_retry = false;
            config.auth_info.impersonate = user.map(str::to_owned);
        });
        let shared = Arc::new(Shared {
            upstream,
            calls: Mutex::default(),
            traps: Mutex::default(),
            held: watch::channel(0).0,
            watches: watch::channel(0).0,
        });
        let address = address(&place);
        let listener = runtime().block_on(TcpListener::bind(address)).unwrap();
        let server = runtime().spawn(serve(listener, shared.clone()));
        let kubeconfig = format!(
            "{{apiVersion: v1, kind: Config, current-context: proxy, contexts: [{{name: proxy, context: {{cluster: proxy, \
             user: proxy}}}}], users: [{{name: proxy, user: {{}}}}], clusters: [{{name: proxy, cluster: {{server: \
             \"http://{address}\"}}}}]}}"
        );
        std::fs::write(place.file("kubeconfig"), kubeconfig).unwrap();
        Self { place, shared, server }
    }

    /// A kubeconfig that leads through it.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.place.file("kubeconfig")
    }

    /// Everything that was asked so far, in order.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.shared.calls.lock().list.clone()
    }

    /// Forgets what was asked so far.
    pub fn forget(&self) {
        let mut calls = self.shared.calls.lock();
        calls.forgotten += calls.list.len();
        calls.list.clear();
    }

    /// What was asked to change something, elections left out.
    #[must_use]
    pub fn writes(&self) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.writes() && !call.is_election()).collect()
    }

    /// How many requests there were, by `verb resource`.
    #[must_use]
    pub fn counts(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for call in self.calls() {
            *counts.entry(format!("{} {}", call.verb, call.resource)).or_default() += 1;
        }
        counts
    }

    /// Waits until nothing was written for `span`, elections left out.
    ///
    /// # Panics
    /// Writing does not end within `limit`.
    #[track_caller]
    pub fn wait_quiet(&self, span: Duration, limit: Duration) {
        let start = Instant::now();
        wait_until(&format!("nothing is written for {} s", span.as_secs()), limit, || {
            let last = self.writes().last().map_or(start, |call| call.at.max(start));
            last.elapsed() >= span
        });
    }

    /// Checks that nothing is written for `span`, elections left out.
    ///
    /// # Panics
    /// Something is; the message says what.
    #[track_caller]
    pub fn stays_quiet(&self, span: Duration) {
        let before = self.writes().len();
        stays("nothing is written", span, || {
            let writes = self.writes();
            let new: Vec<String> = writes.iter().skip(before).map(Call::to_string).collect();
            assert!(new.is_empty(), "something was written that was right already: {new:#?}");
            true
        });
    }

    /// Has the next `times` requests that `meets` says yes to meet a fault.
    pub fn inject(&self, fault: Fault, times: usize, meets: impl Fn(&Call) -> bool + Send + 'static) {
        self.shared.traps.lock().push(Trap { fault, meets: Box::new(meets), left: times });
    }

    /// Has every request that `meets` says yes to meet a fault, until [`Self::heal`].
    pub fn inject_always(&self, fault: Fault, meets: impl Fn(&Call) -> bool + Send + 'static) {
        self.inject(fault, usize::MAX, meets);
    }

    /// How many requests are still to meet a fault.
    #[must_use]
    pub fn left(&self) -> usize {
        self.shared.traps.lock().iter().map(|trap| trap.left).sum()
    }

    /// Takes all faults away, and lets go what is held back.
    pub fn heal(&self) {
        self.shared.traps.lock().clear();
        self.let_go();
    }

    /// Lets go what [`Fault::Hold`] and [`Fault::HoldAnswer`] hold back.
    pub fn let_go(&self) {
        self.shared.held.send_modify(|round| *round += 1);
    }

    /// Ends all open watches in the middle.
    pub fn drop_watches(&self) {
        self.shared.watches.send_modify(|round| *round += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn address(place: &Place) -> SocketAddr {
    place.at(6443)
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    loop {
        // Out of files for a moment: whoever connects tries again.
        let Ok((stream, _)) = listener.accept().await else {
            sleep(Duration::from_millis(50)).await;
            continue;
        };
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| handle(request, shared.clone()));
            // A client that goes away is none of our business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

async fn handle(request: Request<Incoming>, shared: Arc<Shared>) -> io::Result<Response<Body>> {
    let call = Call::read(request.method(), request.uri());
    let watches = call.verb == "watch";
    let fault = caught(&shared, &call);
    let number = note(&shared, call);
    if fault.is_some_and(Fault::is_all) {
        told(&shared, number, |call| call.answer = Some(Answer::Fault));
    }
    match fault {
        Some(Fault::Hang) => {
            sleep(FOR_EVER).await;
            return Err(io::ErrorKind::TimedOut.into());
        }
        Some(Fault::Disconnect) => return Err(io::ErrorKind::ConnectionReset.into()),
        _ => {}
    }
    if let Some(answer) = fault.and_then(Fault::answer) {
        return Ok(answer);
    }
    let request = read(request).await?;
    // A task of its own: what was sent arrives, though who sent it has gone away.
    let passing = tokio::spawn(pass(request, number, fault, shared.clone()));
    let answer = passing.await.map_err(io::Error::other)?;
    Ok(if watches { answer?.map(|body| stoppable(body, &shared)) } else { answer? })
}

/// Asks the API server, as a fault would have it.
async fn pass(
    request: Request<kube::client::Body>,
    number: usize,
    fault: Option<Fault>,
    shared: Arc<Shared>,
) -> io::Result<Response<Body>> {
    let mut held = shared.held.subscribe();
    let mut let_go = async || {
        // An error is a test that has ended.
        let _ = held.changed().await;
    };
    match fault {
        Some(Fault::Late(span)) => sleep(span).await,
        Some(Fault::Hold) => let_go().await,
        _ => {}
    }
    told(&shared, number, |call| call.passed = Some(Instant::now()));
    let answer = forward(request, &shared).await;
    let code = answer.status().as_u16();
    told(&shared, number, |call| call.done = Some(Instant::now()));
    match fault {
        Some(Fault::LoseAnswer) => {
            told(&shared, number, |call| call.answer = Some(Answer::Fault));
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Some(Fault::HoldAnswer) => let_go().await,
        _ => {}
    }
    told(&shared, number, |call| call.answer = Some(Answer::Real(code)));
    Ok(answer)
}

fn told(shared: &Shared, number: usize, change: impl FnOnce(&mut Call)) {
    if let Some(call) = shared.calls.lock().get(number) {
        change(call);
    }
}

fn caught(shared: &Shared, call: &Call) -> Option<Fault> {
    let mut traps = shared.traps.lock();
    let trap = traps.iter_mut().find(|trap| trap.left > 0 && (trap.meets)(call))?;
    trap.left -= 1;
    Some(trap.fault)
}

fn note(shared: &Shared, call: Call) -> usize {
    let mut calls = shared.calls.lock();
    calls.list.push(call);
    calls.forgotten + calls.list.len() - 1
}

/// The whole of a request, as the API server is to be asked.
async fn read(request: Request<Incoming>) -> io::Result<Request<kube::client::Body>> {
    let (mut parts, body) = request.into_parts();
    for name in [header::HOST, header::CONNECTION, header::CONTENT_LENGTH, header::AUTHORIZATION] {
        parts.headers.remove(name);
    }
    // The client puts the API server in front of the path.
    parts.uri = parts.uri.path_and_query().map_or("/", |path| path.as_str()).parse().map_err(io::Error::other)?;
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    Ok(Request::from_parts(parts, body.into()))
}

async fn forward(request: Request<kube::client::Body>, shared: &Shared) -> Response<Body> {
    match shared.upstream.send(request).await {
        Ok(answer) => {
            let (mut parts, body) = answer.into_parts();
            parts.headers.remove(header::TRANSFER_ENCODING);
            parts.headers.remove(header::CONNECTION);
            parts.version = hyper::Version::HTTP_11;
            Response::from_parts(parts, body.map_err(Into::into).boxed_unsync())
        }
        // The API server is away: as a load balancer in front of it would say it.
        Err(error) => {
            let body = http_body_util::Full::new(Bytes::from(error.to_string()));
            let mut answer = Response::new(body.map_err(|never| match never {}).boxed_unsync());
            *answer.status_mut() = StatusCode::BAD_GATEWAY;
            answer
        }
    }
}

/// A watch that ends in the middle when it is told to.
fn stoppable(body: Body, shared: &Shared) -> Body {
    let mut round = shared.watches.subscribe();
    let dropped = async move {
        let _ = round.changed().await;
    };
    let events = body
        .into_data_stream()
        .map_ok(Frame::data)
        .take_until(dropped)
        // Without this a watch that was cut off would look like one that came to its end.
        .chain(stream::once(future::ready(Err(io::Error::from(io::ErrorKind::ConnectionReset).into()))));
    StreamBody::new(events).boxed_unsync()
}
