//! The API over a relay that is a fake: paths, answers, errors and pages; and the command line's client against it.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    body::Body,
    http::{Method, Request, StatusCode, header},
};
use backupmx_relay_config::{examples, from_yaml, status::RelayStatus};
use http_body_util::BodyExt as _;
use serde_json::Value;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::timeout,
};
use tower::ServiceExt as _;

use super::{
    fake::{Fake, Served},
    *,
};
use crate::message::MessageId;

async fn ask(routes: Router, method: Method, path: &str, body: &str) -> (StatusCode, String) {
    let request = Request::builder().method(method).uri(path).body(Body::from(body.to_owned())).unwrap();
    let response = routes.oneshot(request).await.unwrap();
    let status = response.status();
    let body = response.into_body().collect().await.unwrap().to_bytes();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

async fn get(routes: Router, path: &str) -> (StatusCode, String) {
    ask(routes, Method::GET, path, "").await
}

async fn page_of(fake: &Arc<Fake>, query: &str) -> Page {
    let (status, body) = get(v1_routes(fake), &format!("/v1/queue{query}")).await;
    assert_eq!(status, StatusCode::OK, "{body}");
    serde_json::from_str(&body).unwrap()
}

#[tokio::test]
async fn a_status_is_waited_for_until_it_says_something_else() {
    let fake = Fake::new(1);
    let routes = v1_routes(&fake);
    let ask = async |query: &str| {
        let (status, body) = get(routes.clone(), &format!("/v1/status{query}")).await;
        assert_eq!(status, StatusCode::OK, "{body}");
        let found: RelayStatus = serde_json::from_str(&body).unwrap();
        found.generation.unwrap()
    };
    for at_once in ["", "?since=other&wait=55s", "?since=0"] {
        assert_eq!(timeout(Duration::from_secs(20), ask(at_once)).await.as_deref(), Ok("0"), "{at_once}");
    }
    let start = std::time::Instant::now();
    assert_eq!(ask("?since=0&wait=1s").await, "0");
    assert!(start.elapsed() >= Duration::from_secs(1), "it was not waited for");

    let answered = std::cell::Cell::new(0);
    let wait = || async {
        let answer = ask("?since=0&wait=55s").await;
        answered.set(answered.get() + 1);
        answer
    };
    let change = async {
        // Two of six are answered at once, as the other four wait.
        while answered.get() < 2 {
            tokio::task::yield_now().await;
        }
        fake.generation.store(1, std::sync::atomic::Ordering::Relaxed);
    };
    let answers = async { tokio::join!(wait(), wait(), wait(), wait(), wait(), wait(), change) };
    let answers = timeout(Duration::from_secs(20), answers).await.expect("a change is answered");
    let first = [answers.0, answers.1, answers.2, answers.3];
    assert_eq!((first.concat().as_str(), answers.4.as_str(), answers.5.as_str()), ("1111", "0", "0"), "four may wait");

    let (status, body) = get(routes.clone(), "/v1/status?since=0&wait=soon").await;
    assert_eq!(status, StatusCode::BAD_REQUEST, "{body}");
    assert_eq!(ask_by(routes, Method::POST, "/v1/status").await, StatusCode::METHOD_NOT_ALLOWED);
}

async fn ask_by(routes: Router, method: Method, path: &str) -> StatusCode {
    ask(routes, method, path, "").await.0
}

fn numbers(page: &Page) -> Vec<u64> {
    page.messages.iter().map(|message| message.id.as_u64()).collect()
}

#[tokio::test]
async fn health_is_for_everyone_and_v1_is_not_served_beside_it() {
    for (count, ready) in [(1, StatusCode::OK), (0, StatusCode::SERVICE_UNAVAILABLE)] {
        let fake = Fake::new(count);
        assert_eq!(get(health_routes(&fake), "/healthz").await.0, StatusCode::OK);
        assert_eq!(get(health_routes(&fake), "/readyz").await.0, ready);
        assert_eq!(get(health_routes(&fake), "/v1/status").await.0, StatusCode::NOT_FOUND);
    }
    let (status, text) = get(health_routes(&Fake::new(1)), "/metrics").await;
    assert_eq!(status, StatusCode::OK);
    assert!(text.contains("backupmx_config_revision 7"), "{text}");
}

#[tokio::test]
async fn over_tcp_nothing_is_told_without_the_token() {
    let hash: [u8; 32] = Sha256::digest(b"secret").into();
    let digits: String = hash.iter().map(|octet| format!("{octet:02x}")).collect();
    let api = format!("admin: {{api: {{address: '127.0.0.1:1', tokenSha256: '{digits}'}}}}\n");
    let fake = Fake::with(3, from_yaml(&format!("{}{api}", examples::HOLD_7_DAYS)).unwrap());
    for path in ["/v1/status", "/v1/config", "/v1/queue", "/v1/queue/00000000003", "/v1/unknown"] {
        let (status, body) = get(token_routes(&fake), path).await;
        assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
        assert!(body.contains("Authorization: Bearer"), "{body}");
    }
    assert_eq!(ask(token_routes(&fake), Method::POST, "/v1/flush", "").await.0, StatusCode::UNAUTHORIZED);
    for (token, expected) in [("secret", StatusCode::OK), ("other", StatusCode::UNAUTHORIZED)] {
        let request = Request::get("/v1/status").header(header::AUTHORIZATION, format!("Bearer {token}"));
        let response = token_routes(&fake).oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
        assert_eq!(response.status(), expected, "{token}");
        let challenged = response.headers().contains_key(header::WWW_AUTHENTICATE);
        assert_eq!(challenged, expected == StatusCode::UNAUTHORIZED);
    }
    assert!(fake.calls.lock().is_empty());
}

#[tokio::test]
async fn a_config_is_taken_or_refused_with_the_reason() {
    let fake = Fake::new(1);
    let large = " ".repeat(MAX_DOCUMENT + 1);
    for (document, status, text) in [
        ("new", 200, "{\"revision\":3}"),
        ("old", 409, "revision 1 is not higher than 2"),
        ("wrong", 422, "line 1: hostname: expected a domain name"),
        (large.as_str(), 413, "at most 1048576 octets"),
    ] {
        let (found, body) = ask(v1_routes(&fake), Method::PUT, "/v1/config", document).await;
        assert_eq!(found.as_u16(), status, "{body}");
        assert!(body.contains(text), "{body}");
    }
    let (_, yaml) = get(v1_routes(&fake), "/v1/config").await;
    assert_eq!(from_yaml(&yaml).as_ref(), Ok(&fake.active.config));
}

#[tokio::test]
async fn verbs_reach_the_relay() {
    let fake = Fake::new(5);
    for (method, path, status) in [
        (Method::POST, "/v1/flush", 204),
        (Method::POST, "/v1/suspend?tenant=a%20b", 204),
        (Method::POST, "/v1/resume?tenant=example.org", 204),
        (Method::POST, "/v1/flush?tenant=none", 404),
        (Method::POST, "/v1/flush?tennant=x", 400),
        (Method::POST, "/v1/queue/00000000002/release", 204),
        (Method::POST, "/v1/queue/00000000003/bounce", 204),
        (Method::POST, "/v1/queue/00000000004/discard", 204),
        (Method::DELETE, "/v1/queue/00000000005", 204),
        (Method::POST, "/v1/queue/00000000001/release", 409),
        (Method::POST, "/v1/queue/00000000009/release", 404),
        (Method::POST, "/v1/queue/nine/release", 400),
        (Method::POST, "/v1/queue/00000000002/eat", 404),
        (Method::POST, "/v1/discard?domain=example.org", 200),
        (Method::POST, "/v1/discard", 400),
        (Method::POST, "/v1/discard?domain=no%20domain", 400),
        (Method::GET, "/v1/flush", 405),
        (Method::POST, "/v1/status", 405),
    ] {
        let (found, body) = ask(v1_routes(&fake), method, path, "").await;
        assert_eq!(found.as_u16(), status, "{path}: {body}");
        if status >= 400 {
            let body: ErrorBody = serde_json::from_str(&body).unwrap();
            assert!(!body.error.is_empty());
        }
    }
    let expected = [
        "flush None",
        "suspend Some(\"a b\")",
        "resume Some(\"example.org\")",
        "release 2",
        "bounce 3",
        "discard 4",
        "discard 5",
        "discard example.org",
    ];
    assert_eq!(*fake.calls.lock(), expected);
}

#[tokio::test]
async fn pages_follow_each_other_to_the_end() {
    let fake = Fake::new(20);
    let first = page_of(&fake, "?limit=9").await;
    // Number 8 was delivered meanwhile.
    assert_eq!(numbers(&first), [1, 2, 3, 4, 5, 6, 7, 9, 10]);
    let second = page_of(&fake, &format!("?limit=9&after={}", first.next.unwrap())).await;
    assert_eq!(numbers(&second), [11, 12, 13, 14, 15, 16, 17, 18, 19]);
    let last = page_of(&fake, &format!("?limit=9&after={}", second.next.unwrap())).await;
    assert_eq!((numbers(&last), last.next), (vec![20], None));
}

#[tokio::test]
async fn a_rare_state_is_found_far_down_the_queue() {
    let fake = Fake::new(2000);
    let page = page_of(&fake, "?state=held&limit=60").await;
    assert_eq!(numbers(&page), (1..=60).map(|tenth| 10 * tenth).collect::<Vec<_>>());
    assert!(page_of(&fake, "?state=parked").await.messages.is_empty());
    assert_eq!(page_of(&fake, "?limit=100000").await.messages.len(), 500);
    // What one request looks at is bounded; the next page goes on from there.
    let far = page_of(&Fake::new(30_000), "?state=parked").await;
    assert_eq!((numbers(&far), far.next), (vec![], Some(MessageId::from_u64(20_000))));
}

#[tokio::test]
async fn a_wrong_question_says_what_is_wrong() {
    for (query, part) in
        [("?state=stuck", "queued"), ("?limit=many", "limit"), ("?domain=a..b", "domain"), ("?foo=1", "unknown field")]
    {
        let (status, body) = get(v1_routes(&Fake::new(1)), &format!("/v1/queue{query}")).await;
        assert_eq!(status, StatusCode::BAD_REQUEST);
        assert!(body.contains(part), "{body}");
    }
}

#[tokio::test]
async fn a_message_is_shown_whole_but_for_its_content() {
    let fake = Fake::new(10);
    let (_, body) = get(v1_routes(&fake), "/v1/queue/00000000004").await;
    let shown: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(shown["id"], "00000000004");
    assert_eq!(shown["arrived"], "2026-01-01T00:00:00Z");
    assert_eq!(shown["sender"], "ann@sender.example");
    assert_eq!(shown["recipients"][0]["address"], "bob@example.org");
    assert_eq!(shown["recipients"][0]["outcome"], "Pending");
    assert_eq!(shown["client"]["spf"], "Pass");
    assert_eq!(shown["state"], "Queued");
    let (_, body) = get(v1_routes(&fake), "/v1/queue/00000000007").await;
    let damaged: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(damaged["damage"], "message 00000000007 is damaged: bad checksum");
    for gone in ["/v1/queue/00000000008", "/v1/queue/0000000000b", "/v1/queue/00000000008/headers"] {
        assert_eq!(get(v1_routes(&fake), gone).await.0, StatusCode::NOT_FOUND);
    }
}

#[tokio::test]
async fn of_the_content_only_the_header_is_shown() {
    for (id, header) in
        [("00000000001", "Subject: hello\r\nFrom: ann\r\n"), ("00000000002", ""), ("00000000003", "Subject: no end")]
    {
        let (status, body) = get(v1_routes(&Fake::new(3)), &format!("/v1/queue/{id}/headers")).await;
        assert_eq!((status, body.as_str()), (StatusCode::OK, header));
    }
}

#[tokio::test]
async fn the_socket_serves_the_command_line_until_the_shutdown() {
    let relay = Served::start(3).await;
    let client = relay.client();
    let status: RelayStatus = client.get("/v1/status").await.unwrap();
    assert_eq!(status.version, "1.2.3");
    client.post("/v1/flush?tenant=example.org").await.unwrap();
    assert_eq!(*relay.fake.calls.lock(), ["flush Some(\"example.org\")"]);
    let refused = client.post("/v1/flush?tenant=none").await.unwrap_err().to_string();
    assert!(refused.starts_with("no tenant is named \"none\""), "{refused}");
    // An idle connection does not hold up the end.
    let idle = relay.connect().await;
    relay.stop().await;
    drop(idle);
    assert!(client.get_octets("/healthz").await.is_err());
}

#[tokio::test]
async fn one_connection_too_many_waits_for_its_turn() {
    let relay = Served::start(3).await;
    let mut seats = Vec::new();
    for _ in 0..64 {
        let mut stream = relay.connect().await;
        stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        assert!(stream.read(&mut [0; 512]).await.unwrap() > 0, "it is served");
        seats.push(stream);
    }
    let client = relay.client();
    let waiting = tokio::spawn(async move { client.get_octets("/healthz").await });
    let mut waiting = std::pin::pin!(waiting);
    assert!(timeout(Duration::from_millis(100), waiting.as_mut()).await.is_err(), "there is no room for it");
    seats.pop();
    let answer = timeout(Duration::from_secs(10), waiting).await.expect("its turn comes").unwrap();
    assert_eq!(answer.unwrap(), "ok\n");
    relay.stop().await;
}

#[tokio::test]
async fn what_was_set_aside_is_listed_for_a_token_and_its_content_is_not() {
    let digits: String = Sha256::digest("secret").iter().map(|octet| format!("{octet:02x}")).collect();
    let api = format!("admin: {{api: {{address: '127.0.0.1:1', tokenSha256: '{digits}'}}}}\n");
    let fake = Fake::with(1, from_yaml(&format!("{}{api}", examples::HOLD_7_DAYS)).unwrap());
    let path = "/v1/quarantine/0000000001-512.batch";
    assert_eq!(ask_by(v1_routes(&fake), Method::GET, path).await, StatusCode::OK);
    let by_token = async |method: Method, path: &str| {
        let request = Request::builder().method(method).uri(path).header("authorization", "Bearer secret");
        token_routes(&fake).oneshot(request.body(Body::empty()).unwrap()).await.unwrap().status()
    };
    assert_eq!(by_token(Method::GET, "/v1/quarantine").await, StatusCode::OK);
    assert_eq!(by_token(Method::GET, path).await, StatusCode::METHOD_NOT_ALLOWED);
}
