//! SPF against a name server on loopback.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::Duration,
};

use backupmx_relay_config::ResolverConfig;
use hickory_resolver::proto::{
    op::{Message, ResponseCode},
    rr::{
        Name, RData, Record, RecordType,
        rdata::{A, MX, TXT},
    },
};
use tokio::net::UdpSocket;

use super::{Story, is_done};
use crate::{
    bounce::{Bouncer, Outcome, Why, spf::SpfChecker},
    message::SpfVerdict,
};

/// What the server says of a name.
enum Answer {
    Records(Vec<RData>),
    Failure,
    Silence,
}

type Zone = HashMap<(&'static str, RecordType), Answer>;

fn spf(text: &str) -> Answer {
    Answer::Records(vec![RData::TXT(TXT::new(vec![text.to_owned()]))])
}

fn zone() -> Zone {
    let address = |last| RData::A(A::new(192, 0, 2, last));
    HashMap::from([
        (("pass.example.", RecordType::TXT), spf("v=spf1 ip4:192.0.2.7 -all")),
        (("fail.example.", RecordType::TXT), spf("v=spf1 ip4:192.0.2.8 -all")),
        (("soft.example.", RecordType::TXT), spf("v=spf1 ~all")),
        (("neutral.example.", RecordType::TXT), spf("v=spf1 ?all")),
        (("broken.example.", RecordType::TXT), spf("v=spf1 ip4:nonsense -all")),
        (("other.example.", RecordType::TXT), spf("not an SPF record")),
        (("down.example.", RecordType::TXT), Answer::Failure),
        (("silent.example.", RecordType::TXT), Answer::Silence),
        (("include.example.", RecordType::TXT), spf("v=spf1 include:pass.example -all")),
        (("includedown.example.", RecordType::TXT), spf("v=spf1 include:down.example -all")),
        (("loop.example.", RecordType::TXT), spf("v=spf1 include:loop.example -all")),
        (("mx.example.", RecordType::TXT), spf("v=spf1 mx -all")),
        (
            ("mx.example.", RecordType::MX),
            Answer::Records(vec![RData::MX(MX::new(10, Name::from_ascii("host.mx.example.").unwrap()))]),
        ),
        (("host.mx.example.", RecordType::A), Answer::Records(vec![address(7)])),
        (("xn--bcher-kva.example.", RecordType::TXT), spf("v=spf1 ip4:192.0.2.7 -all")),
        (("macro.example.", RecordType::TXT), spf("v=spf1 exists:%{i}.ok.example -all")),
        (("192.0.2.7.ok.example.", RecordType::A), Answer::Records(vec![address(1)])),
        (("helo.example.", RecordType::TXT), spf("v=spf1 ip4:192.0.2.7 -all")),
    ])
}

/// Serves the zone until the runtime ends.
async fn serve(zone: Zone) -> SocketAddr {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut buffer = [0; 4096];
        loop {
            let (length, peer) = socket.recv_from(&mut buffer).await.unwrap();
            let Ok(query) = Message::from_vec(&buffer[..length]) else { continue };
            let Some(question) = query.queries.first().cloned() else { continue };
            let name = question.name().to_ascii().to_ascii_lowercase();
            let mut response = Message::response(query.metadata.id, query.metadata.op_code);
            response.metadata.recursion_available = true;
            match zone.iter().find(|((n, kind), _)| *n == name && *kind == question.query_type()) {
                Some((_, Answer::Records(records))) => {
                    for data in records {
                        response.add_answer(Record::from_rdata(question.name().clone(), 60, data.clone()));
                    }
                }
                Some((_, Answer::Failure)) => response.metadata.response_code = ResponseCode::ServFail,
                Some((_, Answer::Silence)) => continue,
                None => response.metadata.response_code = ResponseCode::NXDomain,
            }
            response.add_query(question);
            socket.send_to(&response.to_vec().unwrap(), peer).await.unwrap();
        }
    });
    address
}

async fn checker() -> SpfChecker {
    let config = ResolverConfig { nameservers: vec![serve(zone()).await], allow_private: Vec::new() };
    SpfChecker::new(&config).unwrap()
}

async fn check(checker: &SpfChecker, client: &str, sender: &str) -> SpfVerdict {
    let client: IpAddr = client.parse().unwrap();
    let hostname = "mx1.backup.example.net".parse().unwrap();
    checker.check(client, "helo.example", &sender.parse().unwrap(), &hostname).await
}

#[tokio::test]
async fn the_senders_domain_decides() {
    let checker = checker().await;
    for (client, sender, verdict) in [
        ("192.0.2.7", "a@pass.example", SpfVerdict::Pass),
        ("::ffff:192.0.2.7", "a@pass.example", SpfVerdict::Pass),
        ("192.0.2.8", "a@pass.example", SpfVerdict::Fail),
        ("2001:db8::7", "a@pass.example", SpfVerdict::Fail),
        ("192.0.2.7", "\"a@fail.example\"@pass.example", SpfVerdict::Pass),
        ("192.0.2.7", "\"a@pass.example\"@fail.example", SpfVerdict::Fail),
        ("192.0.2.7", "a@fail.example", SpfVerdict::Fail),
        ("192.0.2.7", "a@soft.example", SpfVerdict::SoftFail),
        ("192.0.2.7", "a@neutral.example", SpfVerdict::Neutral),
        ("192.0.2.7", "a@broken.example", SpfVerdict::PermError),
        ("192.0.2.7", "a@other.example", SpfVerdict::None),
        ("192.0.2.7", "a@unknown.example", SpfVerdict::None),
        ("192.0.2.7", "a@down.example", SpfVerdict::TempError),
        ("192.0.2.7", "a@include.example", SpfVerdict::Pass),
        ("192.0.2.8", "a@include.example", SpfVerdict::Fail),
        ("192.0.2.7", "a@includedown.example", SpfVerdict::TempError),
        ("192.0.2.7", "a@loop.example", SpfVerdict::PermError),
        ("192.0.2.7", "a@mx.example", SpfVerdict::Pass),
        ("192.0.2.8", "a@mx.example", SpfVerdict::Fail),
        ("192.0.2.7", "a@macro.example", SpfVerdict::Pass),
        ("::ffff:192.0.2.7", "a@macro.example", SpfVerdict::Pass),
        ("192.0.2.8", "a@macro.example", SpfVerdict::Fail),
        ("192.0.2.7", "a@bücher.example", SpfVerdict::Pass),
        ("192.0.2.7", "a@[192.0.2.7]", SpfVerdict::None),
        ("192.0.2.7", "", SpfVerdict::None),
    ] {
        assert_eq!(check(&checker, client, sender).await, verdict, "{client} {sender}");
    }
}

#[tokio::test]
async fn the_helo_name_decides_where_there_is_no_sender() {
    let checker = checker().await;
    let hostname = "mx1.backup.example.net".parse().unwrap();
    for (client, helo, verdict) in [
        ("192.0.2.7", "helo.example", SpfVerdict::Pass),
        ("192.0.2.8", "helo.example", SpfVerdict::Fail),
        ("192.0.2.7", "unknown.example", SpfVerdict::None),
        ("192.0.2.7", "down.example", SpfVerdict::TempError),
    ] {
        let client = client.parse().unwrap();
        assert_eq!(checker.check_helo(client, &helo.parse().unwrap(), &hostname).await, verdict, "{client} {helo}");
    }
}

#[tokio::test]
async fn a_silent_server_is_a_temporary_error() {
    let checker = checker().await.with_timeout(Duration::from_millis(100));
    assert_eq!(check(&checker, "192.0.2.7", "a@silent.example").await, SpfVerdict::TempError);
}

#[tokio::test]
async fn a_message_is_settled_with_what_dns_says() {
    let bouncer = Bouncer::new(checker().await);
    let told = |sender: &str| {
        let mut story = Story::new(1).refused(0);
        story.envelope.sender = sender.parse().unwrap();
        story
    };
    let pass = told("a@pass.example");
    let settled = bouncer.settle(&pass.case(), &pass.state).await;
    assert!(is_done(&settled) && settled.change.reports.len() == 1);
    let fail = told("a@fail.example");
    let settled = bouncer.settle(&fail.case(), &fail.state).await;
    assert_eq!(settled.outcome, Outcome::Parked(Why::NotAuthorised(SpfVerdict::Fail)));
    let down = told("a@down.example");
    let settled = bouncer.settle(&down.case(), &down.state).await;
    assert!(matches!(settled.outcome, Outcome::Waiting(_)));
    let late = told("a@pass.example");
    let settled = bouncer.warn(&Story::new(1).case(), &late.state, late.now, late.now).await;
    assert!(settled.change.reports.is_empty(), "example.com has no policy");
    let warned = told("a@pass.example");
    let settled = bouncer.warn(&warned.case(), &warned.state, warned.now, warned.now).await;
    assert_eq!(settled.outcome, Outcome::Reported(1));
}
