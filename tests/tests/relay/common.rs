//! What several behaviours need.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use backupmx_relay_config::status::PrimaryState;
use backupmx_tests::{Config, Dns, LONG, Mail, Place, Received, Relay, SHORT, ScriptedPrimary, Smtp};

/// Where senders' servers listen for reports.
pub(crate) const REPORT_PORT: u16 = 6030;

/// The DNS of `sender.test` and `forged.test`, and the server that both have as their MX. Only `sender.test` names our
/// clients in its SPF record.
pub(crate) struct Senders {
    pub(crate) dns: Dns,
    pub(crate) mx: ScriptedPrimary,
}

impl Senders {
    pub(crate) fn start(place: &Place) -> Self {
        let ip = place.ip();
        let dns = Dns::start(
            place,
            &format!(
                "sender.test. 60 IN MX 10 mx.sender.test.\n\
                 sender.test. 60 IN TXT \"v=spf1 ip4:127.0.0.0/8 -all\"\n\
                 forged.test. 60 IN MX 10 mx.sender.test.\n\
                 forged.test. 60 IN TXT \"v=spf1 ip4:192.0.2.1 -all\"\n\
                 mx.sender.test. 60 IN A {ip}\n"
            ),
        );
        let mut mx = ScriptedPrimary::at(place.at(REPORT_PORT));
        mx.start();
        Self { dns, mx }
    }

    /// Waits for one report and checks what all reports have in common.
    #[track_caller]
    pub(crate) fn one_report(&self) -> Received {
        let report = self.mx.wait_count(1, LONG).remove(0);
        assert_eq!(report.from, "", "a report has the null sender");
        assert_eq!(report.to, ["alice@sender.test"]);
        report
    }
}

/// A config whose reports reach [`Senders`].
pub(crate) fn reporting(place: &Place) -> Config {
    Config::new(place)
        .set("/resolver/allowPrivate", vec!["127.0.0.0/8"])
        .set("/reports/mxPort", REPORT_PORT)
        .set("/tenants/0/bounce/policy", "UnlessForged")
}

/// Sends good mail until the relay trusts the primary (one that has just come back is on trial), and waits until it is
/// all delivered. Returns how many messages that took.
#[track_caller]
pub(crate) fn settle(relay: &Relay, primary: &ScriptedPrimary) -> usize {
    let before = primary.count();
    let mut session = relay.session();
    for sent in 1..=60 {
        session.mail(&Mail::to(&format!("good{sent}@example.org"))).expect(250);
        primary.wait_count(before + sent, LONG);
        if sent >= 2 && relay.primary_state() == PrimaryState::Up {
            relay.wait_empty(SHORT);
            return sent;
        }
    }
    panic!("after 60 accepted messages the primary is still {:?}", relay.primary_state());
}

/// Senders that go on until they are told to stop, whatever happens to the relay.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<Vec<Taken>>>,
}

/// So many messages are a load, at least.
const LOAD: usize = 20;

/// A message that was answered 250.
#[derive(Clone, Debug)]
pub(crate) struct Taken {
    pub(crate) id: String,
}

impl Load {
    /// That many senders, each sending one message after the other, of different sizes, with sessions of up to `reuse`.
    pub(crate) fn start(place: &Place, senders: usize, reuse: usize) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let server = place.smtp();
        let threads = (0..senders)
            .map(|sender| {
                let stop = stop.clone();
                thread::spawn(move || {
                    let mut taken = Vec::new();
                    let mut number = 0;
                    while !stop.load(Ordering::Relaxed) {
                        // A relay that is just being started again takes nobody.
                        let Ok(mut session) = greet(server) else {
                            thread::sleep(Duration::from_millis(5));
                            continue;
                        };
                        for _ in 0..reuse {
                            if stop.load(Ordering::Relaxed) {
                                break;
                            }
                            number += 1;
                            let size = [10, 1_000, 10_000, 300_000][usize::from(number % 23 == 0) + number % 3];
                            let mail = Mail::to(&format!("user{sender}@example.org"))
                                .with_body("0123456789\r\n".repeat(size / 12).as_bytes());
                            match session.try_mail(&mail) {
                                Ok(reply) if reply.code == 250 => taken.push(Taken { id: mail.id() }),
                                Ok(reply) if reply.code / 100 == 4 => break,
                                Ok(reply) => panic!("a sender was answered {reply:?}"),
                                Err(_) => break,
                            }
                        }
                    }
                    taken
                })
            })
            .collect();
        Self { stop, threads }
    }

    /// Ends the load; returns what was answered 250.
    #[track_caller]
    pub(crate) fn finish(self) -> Vec<Taken> {
        self.stop.store(true, Ordering::Relaxed);
        let senders = self.threads.into_iter();
        let taken: Vec<Taken> = senders.flat_map(|thread| thread.join().expect("a sender failed")).collect();
        assert!(taken.len() >= LOAD, "only {} messages were taken: this shows little", taken.len());
        taken
    }
}

fn greet(server: std::net::SocketAddr) -> std::io::Result<Smtp> {
    let mut session = Smtp::try_open(server)?;
    session.try_reply()?;
    session.try_send(b"EHLO load.sender.test\r\n")?;
    session.try_reply()?;
    Ok(session)
}

/// Waits until the primary has every message that was answered 250.
#[track_caller]
pub(crate) fn wait_all_delivered(primary: &ScriptedPrimary, taken: &[Taken], limit: Duration) {
    let mut missing = Vec::new();
    let start = Instant::now();
    while start.elapsed() < limit {
        let arrivals = arrivals(primary);
        missing = taken.iter().filter(|taken| !arrivals.contains_key(&taken.id)).collect();
        if missing.is_empty() {
            return;
        }
        thread::sleep(Duration::from_millis(50));
    }
    panic!(
        "LOST: {} of {} messages that were answered 250 did not arrive, such as {:?}",
        missing.len(),
        taken.len(),
        missing.first()
    );
}

/// When each message arrived, by Message-ID.
pub(crate) fn arrivals(primary: &ScriptedPrimary) -> HashMap<String, Vec<Instant>> {
    let mut arrivals: HashMap<String, Vec<Instant>> = HashMap::new();
    for received in primary.received() {
        arrivals.entry(received.id()).or_default().push(received.at);
    }
    arrivals
}

/// Checks that every message arrived once.
#[track_caller]
pub(crate) fn each_came_once(primary: &ScriptedPrimary) {
    for (id, times) in arrivals(primary) {
        assert_eq!(times.len(), 1, "{id} arrived more than once: {times:?}");
    }
}
