//! A relay's pod, without a kubelet.

use std::{
    fs, io,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant,
};

use backupmx_relay_config::{ByteSize, CONTRACT_VERSION, RelayConfig, status::RelayStatus};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Bytes, Incoming},
    client::conn::http1 as client,
    http::request::Parts,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::TokioIo;
use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Pod},
    },
    jiff::Timestamp,
};
use parking_lot::Mutex;
use rustix::process::Signal;
use serde_json::json;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinHandle,
};

use super::{Namespace, client::runtime};
use crate::{Admin, Dns, LONG, Place, Process, Relay, wait_until, wait_value};

/// Where the operator asks a pod.
const API_PORT: u16 = 8081;

/// A relay's pod: the real relay as a process on a loopback address, on the document that the operator made for it, and
/// a Pod with that address. Its ConfigMap is mounted once, at its start: what the operator changes in it comes by the admin
/// API, as in a cluster, where a mounted one is late.
///
/// In a pod the document's addresses and folders are the pod's own; here they are changed to those of this machine, in
/// the file and in what the operator hands over.
pub struct PodRelay {
    process: Process,
    place: Arc<Place>,
    health: SocketAddr,
    pod: String,
    handed: Arc<Mutex<Vec<u32>>>,
    asked: Arc<Mutex<Vec<String>>>,
    held: Arc<Held>,
    door: JoinHandle<()>,
}

/// What stands between the operator and the relay of a pod.
struct Door {
    place: Arc<Place>,
    /// The contract version that the pod's relay reads, as far as the operator can tell.
    version: u32,
    handed: Arc<Mutex<Vec<u32>>>,
    asked: Arc<Mutex<Vec<String>>>,
    held: Arc<Held>,
}

/// What is held back on its way to the relay.
#[derive(Default)]
struct Held {
    /// Such as `PUT /v1/config`. None: nothing is held back any more.
    what: watch::Sender<Option<String>>,
    /// How many requests were.
    met: AtomicUsize,
    /// When the relay had answered each of them, whoever heard that.
    done: Mutex<Vec<Instant>>,
}

impl PodRelay {
    /// Starts the relay of a Deployment, and says of the Deployment that its pod is available.
    ///
    /// # Panics
    /// The Deployment or its ConfigMap is not there in time, or the relay does not start.
    #[must_use]
    #[track_caller]
    pub fn start(namespace: &Namespace, deployment: &str) -> Self {
        Self::start_of(namespace, deployment, CONTRACT_VERSION)
    }

    /// As [`Self::start`], a relay of a build that reads documents of that contract version and no others: the real one
    /// behind a door that translates the number.
    ///
    /// # Panics
    /// As [`Self::start`], or the mounted document is of another version: such a relay would not start.
    #[must_use]
    #[track_caller]
    pub fn start_of(namespace: &Namespace, deployment: &str, version: u32) -> Self {
        Self::start_on(namespace, deployment, version, Arc::new(Place::new()))
    }

    /// The pod that comes after this one on the same volume: this one is gone, and its Pod with it.
    ///
    /// # Panics
    /// As [`Self::start`].
    #[must_use]
    #[track_caller]
    pub fn next(self, namespace: &Namespace, deployment: &str) -> Self {
        let place = Arc::clone(&self.place);
        namespace.delete::<Pod>(&self.pod);
        drop(self);
        Self::start_on(namespace, deployment, CONTRACT_VERSION, place)
    }

    #[track_caller]
    fn start_on(namespace: &Namespace, deployment: &str, version: u32, place: Arc<Place>) -> Self {
        let live: Deployment = namespace.wait(deployment, "is there", LONG, |_| true);
        let template = live.spec.expect("a Deployment has a spec").template;
        let spec = template.spec.clone().expect("a template has a spec");
        let volumes = spec.volumes.clone().unwrap_or_default();
        let config = volumes.iter().find_map(|volume| volume.config_map.as_ref()).expect("its config is mounted");
        let config: ConfigMap = namespace.wait(&config.name, "is there", LONG, |_| true);
        let text = config.data.and_then(|mut data| data.remove("relay.yaml")).expect("the document");
        assert_eq!(version_of(&text), version, "a relay starts on a document of its own version:\n{text}");
        let text = of_version(&text, CONTRACT_VERSION);
        let document = local(&text, &place);
        fs::create_dir_all(&document.spool.path).unwrap();
        let file = place.file("relay.yaml");
        fs::write(&file, backupmx_relay_config::to_yaml(&document).unwrap()).unwrap();
        let health = SocketAddr::new(place.ip(), port(document.admin.health));
        let process = serve(&place, health);
        let pod = format!("{deployment}-{:04x}", rand::random::<u16>());
        // The one before may have left a moment ago.
        let bind = || runtime().block_on(TcpListener::bind(place.at(API_PORT))).ok();
        let listener = wait_value("the pod's address is free", LONG, bind);
        let (handed, asked, held) = (Arc::default(), Arc::default(), Arc::default());
        let door = Door {
            place: place.clone(),
            version,
            handed: Arc::clone(&handed),
            asked: Arc::clone(&asked),
            held: Arc::clone(&held),
        };
        let door = runtime().spawn(answer(listener, Arc::new(door)));
        let metadata = template.metadata.unwrap_or_default();
        namespace.create::<Pod>(&json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": pod, "labels": metadata.labels, "annotations": metadata.annotations},
            "spec": spec,
        }));
        let ip = place.ip().to_string();
        let condition = json!({"type": "Ready", "status": "True"});
        let since = Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let status = json!({
            "phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "conditions": [condition], "startTime": since,
        });
        namespace.merge_status::<Pod>(&pod, &status);
        super::StandIn(namespace).available(deployment);
        Self { process, place, health, pod, handed, asked, held, door }
    }

    /// The name of its Pod.
    #[must_use]
    pub fn pod(&self) -> &str {
        &self.pod
    }

    /// Its address, as the Pod's status has it.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        self.place.ip()
    }

    /// Where it takes mail.
    #[must_use]
    pub fn smtp(&self) -> SocketAddr {
        self.place.at(2525)
    }

    /// Its admin API, over its socket.
    #[must_use]
    pub fn admin(&self) -> Admin {
        Admin::unix(self.spool().join("control.sock"))
    }

    /// The contract version of each document that the operator has handed to it, those that it refused too.
    #[must_use]
    pub fn handed(&self) -> Vec<u32> {
        self.handed.lock().clone()
    }

    /// What operators have asked of it and told it, in order, such as `GET /v1/status`.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().clone()
    }

    /// Holds back what operators tell it with that method and path, such as `PUT /v1/config`, until [`Self::let_go`]. Then
    /// the relay is told, whether who told it is still there or not.
    pub fn hold(&self, what: &str) {
        self.held.what.send_replace(Some(what.to_owned()));
    }

    /// Lets go what [`Self::hold`] held back, and holds nothing back any more.
    pub fn let_go(&self) {
        self.held.what.send_replace(None);
    }

    /// How many requests were held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.met.load(Ordering::Relaxed)
    }

    /// When the relay had answered each request that was held back, whoever heard that.
    #[must_use]
    pub fn done(&self) -> Vec<Instant> {
        self.held.done.lock().clone()
    }

    /// What the kubelet would find: whether mail may be sent to it.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        Admin::tcp(self.health).get("/readyz").is_some_and(|answer| answer.status == 200)
    }

    /// How often the operator has told it to try all held mail at once.
    #[must_use]
    pub fn flushed(&self) -> usize {
        self.asked.lock().iter().filter(|one| *one == "POST /v1/flush").count()
    }

    /// Where its volume is.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.place.file("spool")
    }

    /// The document that is mounted.
    ///
    /// # Panics
    /// It cannot be read.
    #[must_use]
    #[track_caller]
    pub fn mounted(&self) -> String {
        fs::read_to_string(self.place.file("relay.yaml")).unwrap()
    }

    /// Another document is mounted, as when somebody has changed the ConfigMap by hand.
    ///
    /// # Panics
    /// It cannot be written.
    #[track_caller]
    pub fn mount(&self, document: &str) {
        let new = self.place.file("relay.new");
        fs::write(&new, document).unwrap();
        fs::rename(new, self.place.file("relay.yaml")).unwrap();
    }

    /// A name server with these records, which is the one that it asks.
    ///
    /// # Panics
    /// As [`Dns::start`].
    #[must_use]
    pub fn dns(&self, records: &str) -> Dns {
        Dns::start(&self.place, records)
    }

    /// `kill -9`: it does not answer any more, and its Pod is still there.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Sends it a signal.
    pub fn signal(&mut self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Starts it again after [`Self::kill`], as the kubelet does: in the same Pod, with the same volume.
    ///
    /// # Panics
    /// It still runs, or does not start.
    #[track_caller]
    pub fn start_again(&mut self) {
        assert!(self.process.ended().is_some(), "the relay still runs");
        self.process = serve(&self.place, self.health);
    }

    /// What it says of itself.
    ///
    /// # Panics
    /// It does not answer.
    #[must_use]
    #[track_caller]
    pub fn status(&self) -> RelayStatus {
        let answer = self.admin().get("/v1/status").expect("the relay answers on its socket");
        serde_json::from_str(&answer.body).unwrap_or_else(|error| panic!("{error} in {}", answer.body))
    }

    /// What it logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        self.process.log()
    }
}

/// Starts the relay on the document at its place, and waits until it is ready.
#[track_caller]
fn serve(place: &Place, health: SocketAddr) -> Process {
    let mut command = Command::new(Relay::program());
    command.arg("serve").arg("--config").arg(place.file("relay.yaml"));
    let process = Process::start(&mut command, &place.file("relay.log"));
    wait_until("the relay of a pod is ready", LONG, || {
        Admin::tcp(health).get("/readyz").is_some_and(|answer| answer.status == 200)
    });
    process
}

/// The document with the addresses and folders of this machine.
fn local(text: &str, place: &Place) -> RelayConfig {
    let mut document = backupmx_relay_config::from_yaml(text).unwrap_or_else(|error| panic!("{error} in\n{text}"));
    let here = |address: &mut SocketAddr| address.set_ip(place.ip());
    document.listeners.iter_mut().for_each(|listener| here(&mut listener.address));
    document.admin.health.iter_mut().for_each(here);
    document.admin.api.iter_mut().for_each(|api| api.address = behind(place));
    // Nothing asks the machine's own resolver.
    document.resolver.nameservers = vec![place.dns()];
    document.spool.path = place.file("spool");
    document.spool.size = Some(ByteSize::mebibytes(64));
    document
}

fn port(address: Option<SocketAddr>) -> u16 {
    address.map_or(0, |address| address.port())
}

impl Drop for PodRelay {
    fn drop(&mut self) {
        self.door.abort();
    }
}

/// Where the relay's admin API really is.
fn behind(place: &Place) -> SocketAddr {
    place.at(API_PORT + 1000)
}

/// The contract version of a document.
fn version_of(document: &str) -> u32 {
    let line = document.lines().find_map(|line| line.strip_prefix("contractVersion: "));
    line.and_then(|number| number.trim().parse().ok()).unwrap_or_else(|| panic!("no contract version in\n{document}"))
}

/// The document with another contract version.
fn of_version(document: &str, version: u32) -> String {
    let own = format!("contractVersion: {}\n", version_of(document));
    document.replacen(&own, &format!("contractVersion: {version}\n"), 1)
}

async fn answer(listener: TcpListener, door: Arc<Door>) {
    while let Ok((stream, _)) = listener.accept().await {
        let door = door.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| hand_on(request, door.clone()));
            // A client that goes away is none of our business.
            let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}

/// Hands a request to the relay, a document changed to the addresses and folders of this machine, and says what it
/// answers, as one of the pod's version would.
async fn hand_on(request: Request<Incoming>, door: Arc<Door>) -> io::Result<Response<Full<Bytes>>> {
    let (mut parts, body) = request.into_parts();
    let what = format!("{} {}", parts.method, parts.uri.path());
    door.asked.lock().push(what.clone());
    parts.headers.remove("content-length");
    let mut body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if parts.method == Method::PUT {
        let text = String::from_utf8_lossy(&body);
        let version = version_of(&text);
        door.handed.lock().push(version);
        body = if version == door.version {
            let document = local(&of_version(&text, CONTRACT_VERSION), &door.place);
            backupmx_relay_config::to_yaml(&document).map_err(io::Error::other)?.into()
        } else {
            // It is for the relay to refuse this.
            of_version(&text, u32::MAX).into()
        };
    }
    let rest = async move {
        let mut held = door.held.what.subscribe();
        if held.borrow().as_deref() != Some(&what) {
            return tell(&door, parts, body).await;
        }
        door.held.met.fetch_add(1, Ordering::Relaxed);
        held.wait_for(Option::is_none).await.map_err(io::Error::other)?;
        let answer = tell(&door, parts, body).await;
        door.held.done.lock().push(Instant::now());
        answer
    };
    // It goes on where who asked goes away.
    tokio::spawn(rest).await.map_err(io::Error::other)?
}

/// Tells the relay, and says what it answers.
async fn tell(door: &Door, parts: Parts, body: Bytes) -> io::Result<Response<Full<Bytes>>> {
    // A relay that is away is a door that is shut at once.
    let stream = TcpStream::connect(behind(&door.place)).await?;
    let (mut relay, connection) = client::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = tokio::spawn(connection);
    let answer = relay.send_request(Request::from_parts(parts, Full::new(body))).await.map_err(io::Error::other)?;
    let status: StatusCode = answer.status();
    let body = answer.into_body().collect().await.map_err(io::Error::other)?.to_bytes();
    connection.abort();
    let own = format!("\"contractVersion\":{CONTRACT_VERSION}");
    let body = String::from_utf8_lossy(&body).replacen(&own, &format!("\"contractVersion\":{}", door.version), 1);
    let mut answer = Response::new(Full::new(body.into()));
    *answer.status_mut() = status;
    Ok(answer)
}
