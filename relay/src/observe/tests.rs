//! Look-ups against a name server on loopback, into a real spool.

use std::{net::IpAddr, sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use backupmx_relay_config::{RelayConfig, from_yaml};
use bytes::Bytes;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{Context, Observer, observer, run};
use crate::{
    active::Active,
    clock::Clock,
    deliver::fake::envelope,
    message::{Envelope, MessageId, Observed, Origin, ReverseName, SpfVerdict},
    metrics::Metrics,
    resolve::{
        SharedResolver,
        fake::{Dns, Zone, address, ptr, text},
    },
    spool::{Body, Change, NewMessage, Options, Spool, Then},
};

async fn dns() -> Dns {
    let named = |name: &str| Zone::Records(vec![ptr(name)]);
    Dns::serve(vec![
        ("7.113.0.203.in-addr.arpa", named("mail.example.net.")),
        ("8.113.0.203.in-addr.arpa", named("mail.example.net.")),
        ("9.113.0.203.in-addr.arpa", named("broken.example.")),
        ("10.113.0.203.in-addr.arpa", Zone::Broken),
        ("11.113.0.203.in-addr.arpa", Zone::Silent),
        ("mail.example.net", Zone::Records(vec![address("203.0.113.7"), text("v=spf1 ip4:203.0.113.8 -all")])),
        ("example.net", Zone::Records(vec![text("v=spf1 ip4:203.0.113.7 -all")])),
        ("broken.example", Zone::Broken),
        ("silent.example", Zone::Silent),
    ])
    .await
}

fn config(dns: &Dns) -> RelayConfig {
    let mut config = from_yaml(
        "{contractVersion: 1, hostname: mx1.example.net, listeners: [{address: '127.0.0.1:25'}],
          spool: {path: /nonexistent}, resolver: {allowPrivate: [203.0.113.0/24]}}",
    )
    .unwrap();
    config.resolver.nameservers = dns.config().nameservers;
    config
}

/// An observer that runs.
struct Bench {
    spool: Arc<Spool>,
    observer: Observer,
    metrics: Arc<Metrics>,
    leaving: CancellationToken,
    task: JoinHandle<()>,
    dns: Dns,
    folder: TempDir,
}

fn options(folder: &TempDir) -> Options {
    Options { path: folder.path().join("spool"), size: Some(1 << 30), segment_size: None }
}

impl Bench {
    async fn start() -> Self {
        let (dns, folder, clock) = (dns().await, tempfile::tempdir().unwrap(), Clock::start());
        let config = config(&dns);
        let resolver = SharedResolver::of_strangers(&config.resolver).unwrap();
        let config = Arc::new(ArcSwap::from_pointee(Active::new(config)));
        let metrics = Arc::new(Metrics::new().unwrap());
        let (spool, _) = Spool::open(&options(&folder), Arc::clone(&metrics), clock.now()).unwrap();
        let (observer, inbox) = observer(Arc::clone(&config), Arc::clone(&metrics));
        let leaving = CancellationToken::new();
        let context = Context { config, spool: Arc::clone(&spool), resolver, metrics: Arc::clone(&metrics), clock };
        let task = tokio::spawn(run(inbox, context, leaving.clone()));
        Self { spool, observer, metrics, leaving, task, dns, folder }
    }

    /// Takes a message as a session does.
    async fn take(&self, client: &str, helo: &str, sender: &str) -> MessageId {
        let envelope = from(client, helo, sender);
        let subject = self.observer.subject(&envelope).expect("the client is public");
        let id =
            self.spool.store(NewMessage { envelope, body: Body::Memory(Bytes::new()), passage: None }).await.unwrap();
        self.observer.notice(id, subject);
        id
    }

    fn count(&self, result: &str) -> u64 {
        self.metrics.observations.with_label_values(&[result]).get()
    }

    async fn wait(&self, result: &str, count: u64) {
        let limit = async {
            while self.count(result) < count {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), limit).await.unwrap_or_else(|_| panic!("never {count} {result}"));
    }

    fn known(&self, id: MessageId) -> Observed {
        self.spool.peek(id).unwrap().1.observed
    }
}

fn from(client: &str, helo: &str, sender: &str) -> Envelope {
    let mut envelope = envelope(sender, &["b@example.org"]);
    if let Origin::Client(about) = &mut envelope.origin {
        about.address = client.parse().unwrap();
        about.helo = helo.to_owned();
    }
    envelope
}

fn confirmed() -> Option<ReverseName> {
    Some(ReverseName::Confirmed("mail.example.net".parse().unwrap()))
}

#[tokio::test]
async fn name_and_spf_are_recorded_with_the_message() {
    let bench = Bench::start().await;
    let rows = [
        ("203.0.113.7", "x", "a@example.net", confirmed(), Some(SpfVerdict::Pass)),
        ("203.0.113.8", "x", "a@example.net", Some(ReverseName::Unconfirmed), Some(SpfVerdict::Fail)),
        ("::ffff:203.0.113.8", "mail.example.net", "", Some(ReverseName::Unconfirmed), Some(SpfVerdict::Pass)),
        ("203.0.113.99", "localhost", "", Some(ReverseName::Absent), None),
        ("203.0.113.7", "x", "a@nowhere.example", confirmed(), Some(SpfVerdict::None)),
        ("203.0.113.7", "x", "a@[203.0.113.7]", confirmed(), None),
        ("203.0.113.9", "x", "a@example.net", None, Some(SpfVerdict::Fail)),
        ("203.0.113.7", "x", "a@broken.example", confirmed(), None),
    ];
    let mut ids = Vec::new();
    for (client, helo, sender, ..) in &rows {
        ids.push(bench.take(client, helo, sender).await);
    }
    bench.wait("recorded", rows.len() as u64).await;
    for (id, (client, helo, sender, reverse, spf)) in ids.iter().zip(&rows) {
        let expected = Observed { reverse: reverse.clone(), spf: *spf };
        assert_eq!(bench.known(*id), expected, "{client} {helo} {sender}");
    }
    // On the way out it is written, whatever the time.
    bench.leaving.cancel();
    bench.task.await.unwrap();
    bench.spool.close().await;
    drop(bench.spool);
    let (spool, _) = Spool::open(&options(&bench.folder), bench.metrics, Default::default()).unwrap();
    assert_eq!(spool.peek(ids[0]).unwrap().1.observed, Observed { reverse: confirmed(), spf: Some(SpfVerdict::Pass) });
}

#[tokio::test]
async fn what_dns_does_not_answer_is_not_recorded_and_not_asked_again_at_once() {
    let bench = Bench::start().await;
    let id = bench.take("203.0.113.10", "x", "a@broken.example").await;
    bench.wait("unanswered", 1).await;
    assert_eq!(bench.known(id), Observed::default());
    let asked = bench.dns.asked.lock().len();
    bench.take("203.0.113.10", "x", "b@broken.example").await;
    bench.wait("unanswered", 2).await;
    assert_eq!(bench.dns.asked.lock().len(), asked, "the dead servers are left alone for a while");
}

#[tokio::test]
async fn a_name_is_asked_for_once() {
    let bench = Bench::start().await;
    for number in 1..=5 {
        bench.take("203.0.113.7", "x", &format!("{number}@[203.0.113.7]")).await;
        bench.wait("recorded", number).await;
    }
    let asked = bench.dns.asked.lock().iter().filter(|question| question.ends_with("PTR")).count();
    assert_eq!(asked, 1);
}

#[tokio::test]
async fn who_is_asked_about_nothing_leaves_in_time() {
    let bench = Bench::start().await;
    bench.take("203.0.113.11", "x", "a@silent.example").await;
    let asked = async {
        while bench.dns.asked.lock().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), asked).await.unwrap();
    bench.leaving.cancel();
    tokio::time::timeout(Duration::from_secs(2), bench.task).await.expect("it waits for nobody").unwrap();
}

#[tokio::test]
async fn mail_that_has_left_is_not_looked_into() {
    let bench = Bench::start().await;
    let envelope = from("203.0.113.7", "x", "a@example.net");
    let subject = bench.observer.subject(&envelope).unwrap();
    let id = bench.spool.store(NewMessage { envelope, body: Body::Memory(Bytes::new()), passage: None }).await.unwrap();
    bench.spool.commit(Change { id, then: Then::Done, reports: Vec::new() }).await.unwrap();
    bench.observer.notice(id, subject);
    bench.wait("late", 1).await;
    assert!(bench.dns.asked.lock().is_empty());
}

#[tokio::test]
async fn private_clients_and_our_own_reports_are_nobody_s_business() {
    let bench = Bench::start().await;
    for client in ["127.0.0.1", "10.1.2.3", "192.168.0.1", "::1", "fd00::1", "fe80::1"] {
        assert_eq!(bench.observer.subject(&from(client, "mail.example.net", "a@example.net")), None, "{client}");
    }
    let client: IpAddr = "8.8.8.8".parse().unwrap();
    assert!(bench.observer.subject(&from(&client.to_string(), "x", "")).is_some());
    let mut report = from("8.8.8.8", "x", "");
    report.origin = Origin::Report { parent: MessageId::from_u64(1), tenant: "t".to_owned() };
    assert_eq!(bench.observer.subject(&report), None);
}
