//! Reports on their way, against servers and a name server on loopback.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use backupmx_relay_config::{DomainName, RelayConfig, Span};
use bytes::Bytes;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::{
    Context,
    lanes::Pause,
    pass::Runner,
    rest::{Rate, Routes},
    route::Route,
    targets::{Nowhere, targets},
};
use crate::{
    active::Active,
    clock::Clock,
    deliver::{
        ClientTls,
        fake::{Do, Server, envelope},
    },
    message::{MessageId, Origin},
    metrics::Metrics,
    queue::ClockCheck,
    resolve::{
        SharedResolver,
        fake::{Dns, Zone, address, mx},
    },
    smtp::Reply,
    spool::{Body, NewMessage, Options, Spool},
};

/// A config with one tenant, `t`, for example.org.
pub(super) fn config() -> RelayConfig {
    backupmx_relay_config::from_yaml(
        "contractVersion: 1\nhostname: mx1.backup.example.net\nlisteners: [{address: '127.0.0.1:2525'}]\n\
         spool: {path: /nowhere}\ntenants: [{name: t, domains: [example.org], primary: {hosts: [{host: 127.0.0.1}]}}]\n",
    )
    .unwrap()
}

const CONTENT: &[u8] = b"Subject: Not delivered\r\n\r\n.\r\n";

/// A spool and what else the outbox works with; the sender's MX is a server on loopback.
struct Bench {
    runner: Runner,
    dns: Dns,
    _folder: tempfile::TempDir,
}

fn sender() -> DomainName {
    "sender.example".parse().unwrap()
}

impl Bench {
    /// With the sender's MX at that port of 127.0.0.1, which the config allows.
    async fn new(port: u16) -> Self {
        Self::with(port, |_| ()).await
    }

    async fn with(port: u16, change: impl FnOnce(&mut RelayConfig)) -> Self {
        Self::on(tempfile::tempdir().unwrap(), port, change).await
    }

    /// With a wall clock that has jumped.
    async fn doubting(port: u16, change: impl FnOnce(&mut RelayConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("clock-doubted"), "").unwrap();
        Self::on(folder, port, change).await
    }

    async fn on(folder: tempfile::TempDir, port: u16, change: impl FnOnce(&mut RelayConfig)) -> Self {
        let dns = Dns::serve(vec![
            ("sender.example", Zone::Records(vec![mx(10, "mx.example.org.")])),
            ("mx.example.org", Zone::Records(vec![address("127.0.0.1")])),
            ("null.example", Zone::Records(vec![mx(0, ".")])),
            ("broken.example", Zone::Broken),
        ])
        .await;
        let mut config = config();
        config.resolver = dns.config();
        config.resolver.allow_private = vec!["127.0.0.0/8".parse().unwrap()];
        config.reports.mx_port = port;
        change(&mut config);
        let metrics = Arc::new(Metrics::new().unwrap());
        let clock = Clock::start();
        let options = Options { path: folder.path().to_owned(), size: None, segment_size: None };
        let (spool, _) = Spool::open(&options, Arc::clone(&metrics), clock.now()).unwrap();
        let context = Context {
            resolver: SharedResolver::new(&config.resolver).unwrap(),
            config: Arc::new(ArcSwap::from_pointee(Active::new(config))),
            spool,
            metrics,
            trust: Arc::new(ClockCheck::new(clock, None, folder.path())),
            clock,
            wake: Arc::new(Notify::new()),
        };
        let client_tls = Arc::new(ClientTls::new().unwrap());
        let runner = Runner {
            context,
            client_tls,
            quirks: Arc::default(),
            routes: Routes::default(),
            leaving: CancellationToken::new(),
        };
        Self { runner, dns, _folder: folder }
    }

    fn context(&self) -> &Context {
        &self.runner.context
    }

    /// Stores a report to that address.
    async fn report(&self, to: &str) -> MessageId {
        self.message(to, Origin::Report { parent: MessageId::from_u64(1), tenant: "t".to_owned() }).await
    }

    async fn message(&self, to: &str, origin: Origin) -> MessageId {
        let mut envelope = envelope("", &[to]);
        envelope.arrived = self.context().clock.now();
        envelope.origin = origin;
        envelope.size = CONTENT.len() as u64;
        let message = NewMessage { envelope, body: Body::Memory(Bytes::from_static(CONTENT)), passage: None };
        self.context().spool.store(message).await.unwrap()
    }

    async fn pass(&self) -> Pause {
        self.runner.pass(&sender(), Rate::default()).await.0
    }

    fn held(&self) -> u64 {
        self.context().spool.lanes().iter().map(|(_, lane)| lane.messages).sum()
    }

    fn removed(&self) -> u64 {
        self.context().metrics.removed.with_label_values(&["report_undeliverable"]).get()
    }

    fn delivered(&self) -> u64 {
        self.context().metrics.delivered.with_label_values(&["report"]).get()
    }
}

fn about(pause: Pause, seconds: u64) -> bool {
    match pause {
        Pause::None => false,
        Pause::For(time) => {
            time <= Duration::from_secs(seconds) && time + Duration::from_secs(20) > Duration::from_secs(seconds)
        }
    }
}

/// What a server says and hears up to the recipient.
fn up_to_recipient() -> Vec<Do> {
    let mut script =
        vec![Do::Say("220 mx.example.org"), Do::Hear("EHLO mx1.backup.example.net"), Do::Say("250 mx.example.org")];
    script.extend([Do::Hear("MAIL FROM:<>\r\n"), Do::Say("250 ok"), Do::Hear("RCPT TO:<a@sender.example>\r\n")]);
    script
}

fn accept() -> Vec<Do> {
    vec![Do::Say("250 ok"), Do::Hear("DATA"), Do::Say("354 go"), Do::HearContent, Do::Say("250 taken")]
}

fn bye() -> Vec<Do> {
    vec![Do::Hear("QUIT"), Do::Say("221 bye")]
}

#[tokio::test]
async fn a_report_goes_to_the_senders_exchanger_as_it_is() {
    let server = Server::play([up_to_recipient(), accept(), bye()].concat()).await;
    let bench = Bench::new(server.address.port()).await;
    bench.report("a@sender.example").await;
    assert_eq!(bench.pass().await, Pause::None);
    assert!(server.heard().await.contains("DATA\r\nSubject: Not delivered\r\n\r\n..\r\n.\r\n"));
    assert_eq!((bench.held(), bench.delivered(), bench.removed()), (0, 1, 0));
}

#[tokio::test]
async fn a_smarthost_comes_before_dns() {
    let server = Server::play([up_to_recipient(), accept(), bye()].concat()).await;
    let smarthost = format!("127.0.0.1:{}", server.address.port()).parse().unwrap();
    let bench = Bench::with(1, |config| {
        config.resolver.allow_private.clear();
        config.tenants[0].bounce.smarthost = Some(smarthost);
    })
    .await;
    bench.report("a@sender.example").await;
    assert_eq!(bench.pass().await, Pause::None);
    server.heard().await;
    assert_eq!((bench.held(), bench.delivered()), (0, 1));
    assert_eq!(*bench.dns.asked.lock(), [""; 0]);
}

#[tokio::test]
async fn a_report_that_is_refused_is_given_up() {
    let server = Server::play([up_to_recipient(), vec![Do::Say("550 5.1.1 no such user")], bye()].concat()).await;
    let bench = Bench::new(server.address.port()).await;
    bench.report("a@sender.example").await;
    assert_eq!(bench.pass().await, Pause::None);
    server.heard().await;
    assert_eq!((bench.held(), bench.delivered(), bench.removed()), (0, 0, 1));
}

#[tokio::test]
async fn a_report_that_is_deferred_has_its_own_due_time() {
    let server = Server::play([up_to_recipient(), vec![Do::Say("451 4.7.1 greylisted")], bye()].concat()).await;
    let bench = Bench::new(server.address.port()).await;
    let id = bench.report("a@sender.example").await;
    assert_eq!(bench.pass().await, Pause::None);
    server.heard().await;
    let (_, state) = bench.context().spool.peek(id).unwrap();
    assert_eq!(state.attempts, 1);
    assert!(state.due.is_some_and(|due| due > bench.context().clock.now()));
    assert_eq!(state.recipients[0].last.as_ref().map(|reply: &Reply| reply.code), Some(451));
    assert_eq!(bench.removed(), 0);
}

#[tokio::test]
async fn a_destination_that_is_down_rests_and_the_report_stays_until_its_time_is_over() {
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let bench = Bench::new(nobody).await;
    bench.report("a@sender.example").await;
    bench.report("a@sender.example").await;
    assert!(about(bench.pass().await, 60));
    assert_eq!((bench.held(), bench.removed()), (2, 0));
    // It is not tried again while it rests.
    assert!(about(bench.pass().await, 60));
    let route = Route::Exchangers(sender());
    let resting = bench.runner.routes.resting(&route, bench.context().clock.moment()).unwrap();
    assert_eq!(resting.failures, 1);

    let bench = Bench::with(nobody, |config| config.reports.give_up_after = Span::seconds(0)).await;
    bench.report("a@sender.example").await;
    bench.report("a@sender.example").await;
    assert_eq!(bench.pass().await, Pause::None);
    assert_eq!((bench.held(), bench.removed()), (0, 2));
}

#[tokio::test]
async fn nothing_is_given_up_by_a_clock_that_is_not_believed() {
    let nobody = 1;
    let bench = Bench::doubting(nobody, |config| config.reports.give_up_after = Span::seconds(0)).await;
    bench.report("a@sender.example").await;
    assert!(about(bench.pass().await, 60));
    assert_eq!((bench.held(), bench.removed()), (1, 0));
    bench.context().trust.confirm();
    // The try that failed was its last.
    assert_eq!(bench.pass().await, Pause::None);
    assert_eq!((bench.held(), bench.removed()), (0, 1));
}

#[tokio::test]
async fn a_session_that_breaks_is_the_servers_affair_the_first_time() {
    for last in [vec![Do::Close], vec![Do::Say("421 4.3.2 going down"), Do::Close]] {
        let server = Server::play([up_to_recipient(), last].concat()).await;
        let bench = Bench::new(server.address.port()).await;
        let id = bench.report("a@sender.example").await;
        assert!(about(bench.pass().await, 60));
        server.heard().await;
        let (_, state) = bench.context().spool.peek(id).unwrap();
        assert_eq!((state.attempts, state.due), (1, None));
    }
}

#[tokio::test]
async fn reports_to_one_domain_share_a_session_and_an_ended_one_is_replaced() {
    let again = vec![Do::Hear("MAIL"), Do::Say("250 ok"), Do::Hear("RCPT")];
    let script = [
        up_to_recipient(),
        accept(),
        again,
        accept(),
        vec![Do::Hear("MAIL"), Do::Close, Do::Accept],
        up_to_recipient(),
        accept(),
        bye(),
    ];
    let server = Server::play(script.concat()).await;
    let bench = Bench::new(server.address.port()).await;
    for _ in 0..3 {
        bench.report("a@sender.example").await;
    }
    assert_eq!(bench.pass().await, Pause::None);
    server.heard().await;
    assert_eq!((bench.held(), bench.delivered()), (0, 3));
}

#[tokio::test]
async fn the_rate_is_kept() {
    let server = Server::play([up_to_recipient(), accept(), bye()].concat()).await;
    let bench = Bench::with(server.address.port(), |config| config.reports.per_domain_per_minute = 1).await;
    bench.report("a@sender.example").await;
    bench.report("a@sender.example").await;
    assert!(about(bench.pass().await, 60));
    server.heard().await;
    assert_eq!((bench.held(), bench.delivered()), (1, 1));
}

#[tokio::test]
async fn mail_of_a_tenant_that_is_gone_is_left_alone() {
    let server = Server::play([up_to_recipient(), accept(), bye()].concat()).await;
    let bench = Bench::new(server.address.port()).await;
    let client = envelope("s@example.net", &["a@sender.example"]).origin;
    let orphan = bench.message("a@sender.example", client).await;
    bench.report("a@sender.example").await;
    assert!(about(bench.pass().await, 60));
    server.heard().await;
    assert_eq!((bench.held(), bench.delivered(), bench.removed()), (1, 1, 0));
    assert!(bench.context().spool.peek(orphan).is_ok());
}

#[tokio::test]
async fn any_amount_of_such_mail_keeps_no_report_waiting() {
    let again = vec![Do::Hear("MAIL"), Do::Say("250 ok"), Do::Hear("RCPT")];
    let server = Server::play([up_to_recipient(), accept(), again, accept(), bye()].concat()).await;
    let bench = Bench::new(server.address.port()).await;
    let client = envelope("s@example.net", &["a@sender.example"]).origin;
    for number in 0..1100 {
        if number == 300 {
            bench.report("a@sender.example").await;
        }
        bench.message("a@sender.example", client.clone()).await;
    }
    bench.report("a@sender.example").await;
    assert!(about(bench.pass().await, 60), "the rest is left alone for a while");
    server.heard().await;
    assert_eq!((bench.held(), bench.delivered(), bench.removed()), (1100, 2, 0));
}

#[tokio::test]
async fn where_dns_says_no_the_report_is_given_up_at_once() {
    for (domain, change) in [("null.example", None), ("nowhere.example", None), ("sender.example", Some("127.0.0.1"))] {
        let bench = Bench::with(1, |config| {
            if change.is_some() {
                config.resolver.allow_private.clear();
            }
        })
        .await;
        bench.report(&format!("a@{domain}")).await;
        let (pause, _) = bench.runner.pass(&domain.parse().unwrap(), Rate::default()).await;
        assert_eq!((pause, bench.held(), bench.removed()), (Pause::None, 0, 1), "{domain}");
    }
}

#[tokio::test]
async fn where_dns_does_not_answer_the_report_waits() {
    let bench = Bench::new(1).await;
    bench.report("a@broken.example").await;
    let (pause, _) = bench.runner.pass(&"broken.example".parse().unwrap(), Rate::default()).await;
    assert!(about(pause, 60));
    assert_eq!(bench.held(), 1);
}

#[tokio::test]
async fn runs_until_the_relay_leaves() {
    let server = Server::play([up_to_recipient(), accept(), bye()].concat()).await;
    let bench = Bench::new(server.address.port()).await;
    let Bench { runner, dns: _dns, _folder } = bench;
    let context = runner.context;
    let (spool, wake) = (Arc::clone(&context.spool), Arc::clone(&context.wake));
    let clock = context.clock;
    let leaving = CancellationToken::new();
    let outbox = tokio::spawn(super::run(context, leaving.clone()));
    let mut report = envelope("", &["a@sender.example"]);
    report.arrived = clock.now();
    report.origin = Origin::Report { parent: MessageId::from_u64(1), tenant: "t".to_owned() };
    spool
        .store(NewMessage { envelope: report, body: Body::Memory(Bytes::from_static(CONTENT)), passage: None })
        .await
        .unwrap();
    wake.notify_one();
    server.heard().await;
    leaving.cancel();
    tokio::time::timeout(Duration::from_secs(10), outbox).await.expect("it leaves").unwrap();
    assert_eq!(spool.lanes(), []);
}

#[tokio::test]
async fn foreign_dns_leads_to_public_addresses_that_are_not_ours() {
    let dns = Dns::serve(vec![
        ("mx1.backup.example.net", Zone::Records(vec![address("9.9.9.1")])),
        ("two.example", Zone::Records(vec![mx(10, "a.two.example."), mx(20, "b.two.example.")])),
        ("a.two.example", Zone::Records(vec![address("9.9.9.2"), address("10.0.0.1"), address("9.9.9.1")])),
        ("b.two.example", Zone::Records(vec![address("2600::1"), address("fd00::1")])),
        ("inside.example", Zone::Records(vec![address("169.254.169.254")])),
        ("ours.example", Zone::Records(vec![address("9.9.9.1")])),
        ("circle.example", Zone::Records(vec![mx(10, "mx1.backup.example.net."), mx(20, "a.two.example.")])),
        ("listed.example", Zone::Records(vec![mx(10, "x.listed.example."), mx(20, "y.listed.example.")])),
        ("x.listed.example", Zone::Broken),
        ("bad.example", Zone::Records(vec![mx(10, "192.0.2.1.")])),
    ])
    .await;
    let mut config = config();
    config.resolver = dns.config();
    let resolver = dns.resolver();
    let ask = async |config: &RelayConfig, domain: &str| {
        let found = targets(&resolver, config, &Route::Exchangers(domain.parse().unwrap())).await;
        found.map(|endpoints| endpoints.iter().map(ToString::to_string).collect::<Vec<_>>())
    };
    let two = ["a.two.example[9.9.9.2]:25", "b.two.example[2600::1]:25"].map(str::to_owned).to_vec();
    assert_eq!(ask(&config, "two.example").await, Ok(two));
    for (domain, why) in [
        ("inside.example", "not a public one"),
        ("ours.example", "our own"),
        ("circle.example", "is this relay"),
        ("bad.example", "names a host"),
    ] {
        let Err(Nowhere::Ever(problem)) = ask(&config, domain).await else { panic!("{domain}") };
        assert!(problem.contains(why), "{domain}: {problem}");
    }
    assert!(matches!(ask(&config, "listed.example").await, Err(Nowhere::Now(_))));
    config.resolver.allow_private = vec!["169.254.0.0/16".parse().unwrap(), "9.9.9.1/32".parse().unwrap()];
    for domain in ["inside.example", "ours.example"] {
        assert_eq!(ask(&config, domain).await.map(|found| found.len()), Ok(1), "{domain}");
    }
}
