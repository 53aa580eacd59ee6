//! How sessions are opened, over TLS and in the clear, and how it is seen that one has ended.

use super::*;

#[tokio::test]
async fn a_long_list_of_extensions_is_read_whole_and_a_long_reply_is_cut() {
    let mut script = vec![Do::Say("220 mx.example.org"), Do::Hear("EHLO"), Do::Say("250-mx.example.org")];
    script.extend(std::iter::repeat_n(Do::Say("250-X-SOMETHING-WITH-A-NAME that is rather long, with parameters"), 60));
    script.extend([Do::Say("250 PIPELINING"), Do::Hear("MAIL"), Do::Hear("RCPT"), Do::Hear("DATA")]);
    let long: &'static str = String::leak(format!("550 {}", "x".repeat(3000)));
    script.extend([Do::Say(long), Do::Say("503 no"), Do::Say("503 no"), Do::Idle]);
    let server = Server::play(script).await;
    let mut session = open(&server, &plain()).await;
    assert!(session.capabilities().pipelining);
    let envelope = envelope("s@example.net", &["a@example.org"]);
    let transaction = session.send(&envelope, &[0], Content::Memory(Bytes::from_static(CONTENT)), b"").await;
    let [(0, Outcome::Permanent(reply, Stage::Mail))] = transaction.outcomes.as_slice() else {
        panic!("{transaction:?}")
    };
    assert!(reply.text.len() <= 1000);
}

async fn open_error(script: Vec<Do>, settings: &Settings) -> OpenError {
    let server = Server::play(script).await;
    Session::open(&server.endpoint(), settings).await.expect_err("the session opened")
}

#[tokio::test]
async fn opening_fails_by_name() {
    use Do::*;
    let refused = |stage, code| move |error: &OpenError| error.stage() == stage && error.reply().unwrap().code == code;
    type Check = Box<dyn Fn(&OpenError) -> bool>;
    let cases: Vec<(Vec<Do>, Check)> = vec![
        (vec![Close], Box::new(|error| error.stage() == Stage::Greeting && error.reply().is_none())),
        (vec![Say("554 no")], Box::new(refused(Stage::Greeting, 554))),
        (vec![Say("421 busy")], Box::new(refused(Stage::Greeting, 421))),
        (vec![Say("250 hm")], Box::new(refused(Stage::Greeting, 250))),
        (vec![Say("SSH-2.0")], Box::new(|error| error.to_string().contains("does not speak SMTP"))),
        (vec![Say("220 x"), Hear("EHLO"), Say("421 no")], Box::new(refused(Stage::Ehlo, 421))),
        (
            vec![Say("220 x"), Hear("EHLO"), Say("502 what"), Hear("HELO"), Say("550 no")],
            Box::new(refused(Stage::Ehlo, 550)),
        ),
        (
            vec![Say("220 x"), Hear("EHLO"), Say("250 MX1.backup.example.net. hi")],
            Box::new(|error| matches!(error, OpenError::Ourselves { .. })),
        ),
        (vec![Say("220 mx1.backup.example.net ESMTP")], Box::new(|error| matches!(error, OpenError::Ourselves { .. }))),
    ];
    for (script, expected) in cases {
        let error = open_error(script, &plain()).await;
        assert!(expected(&error), "{error:?}");
    }
}

#[tokio::test]
async fn nobody_listening_is_a_failure_to_connect() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let error = Session::open(&Endpoint { name: None, address }, &plain()).await.expect_err("opened");
    assert_eq!(error.stage(), Stage::Connect);
}

#[tokio::test]
async fn helo_is_said_where_ehlo_is_not_known() {
    use Do::*;
    let script = vec![Say("220 x"), Hear("EHLO"), Say("500 what"), Hear("HELO mx1"), Say("250 old.example.org"), Idle];
    let server = Server::play(script).await;
    let session = open(&server, &plain()).await;
    assert_eq!(session.server(), "old.example.org");
    assert_eq!(*session.capabilities(), crate::deliver::Capabilities::default());
}

fn starttls(then: Vec<Do>) -> Vec<Do> {
    [welcome("250 STARTTLS"), vec![Do::Hear("STARTTLS")], then].concat()
}

fn with_tls(mode: PrimaryTlsMode, client_tls: ClientTls) -> Settings {
    Settings { tls: mode, client_tls: Arc::new(client_tls), ..settings() }
}

#[tokio::test]
async fn tls_is_used_where_it_is_offered() {
    use Do::*;
    for mode in [PrimaryTlsMode::Opportunistic, PrimaryTlsMode::Require] {
        let script = starttls(vec![Say("220 go"), Tls, Hear("EHLO"), Say("250-mx"), Say("250 DSN")]);
        let script = [script, vec![Hear("QUIT"), Say("221 bye")]].concat();
        let server = Server::play(script).await;
        let session = open(&server, &with_tls(mode, ClientTls::new().unwrap())).await;
        assert_eq!(session.tls().unwrap().version, "TLSv1.3");
        assert!(session.capabilities().dsn && !session.capabilities().starttls);
        assert!(session.is_open());
        session.quit().await;
        assert!(server.heard().await.ends_with("QUIT\r\n"));
    }
}

#[tokio::test]
async fn verify_believes_only_an_authority_and_the_name() {
    use Do::*;
    let script = || starttls(vec![Say("220 go"), Tls, Hear("EHLO"), Say("250 mx"), Idle]);
    let server = Server::play(script()).await;
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let trusting = with_tls(PrimaryTlsMode::Verify, ClientTls::with_roots(roots.clone()).unwrap());
    drop(open(&server, &trusting).await);
    server.heard().await;

    let script = || starttls(vec![Say("220 go"), Tls]);
    let unknown = Server::play(script()).await;
    let error = Session::open(&unknown.endpoint(), &trusting).await.expect_err("another's certificate was believed");
    assert_eq!(error.stage(), Stage::Tls);

    let server = Server::play(script()).await;
    let mut roots = RootCertStore::empty();
    roots.add(server.certificate.clone()).unwrap();
    let trusting = with_tls(PrimaryTlsMode::Verify, ClientTls::with_roots(roots).unwrap());
    let other = Endpoint { name: Some("other.example.org".parse().unwrap()), ..server.endpoint() };
    let error = Session::open(&other, &trusting).await.expect_err("another name was believed");
    assert!(error.to_string().contains("TLS"), "{error}");
}

#[tokio::test]
async fn required_tls_is_not_done_without() {
    use Do::*;
    let require = with_tls(PrimaryTlsMode::Require, ClientTls::new().unwrap());
    assert_eq!(open_error(welcome(PIPELINING), &require).await, OpenError::NoTls);
    let error = open_error(starttls(vec![Say("454 4.7.0 not now")]), &require).await;
    assert!(matches!(error, OpenError::Refused { stage: Stage::StartTls, .. }), "{error:?}");
    let error = open_error(starttls(vec![Say("220 go"), Close]), &require).await;
    assert_eq!(error.stage(), Stage::Tls);
}

#[tokio::test]
async fn opportunistic_tls_falls_back_to_the_clear() {
    use Do::*;
    let refused = starttls(vec![Say("454 4.7.0 not now"), Hear("QUIT"), Say("221 bye")]);
    let garbled = [
        starttls(vec![Say("220 go"), Swallow(10), Say("oops"), Close, Accept]),
        welcome("250 STARTTLS"),
        vec![Hear("QUIT"), Say("221 bye")],
    ]
    .concat();
    let silent_after = [
        starttls(vec![Say("220 go"), Tls, Hear("EHLO"), Close, Accept]),
        welcome("250 STARTTLS"),
        vec![Hear("QUIT"), Say("221 bye")],
    ]
    .concat();
    for script in [refused, garbled, silent_after] {
        let server = Server::play(script).await;
        let session = open(&server, &settings()).await;
        assert_eq!(session.tls(), None);
        session.quit().await;
        server.heard().await;
    }
}

#[tokio::test]
async fn what_is_pipelined_behind_the_starttls_reply_is_not_believed() {
    use Do::*;
    let require = with_tls(PrimaryTlsMode::Require, ClientTls::new().unwrap());
    let error = open_error(starttls(vec![Say("220 go\r\n250 injected"), Tls]), &require).await;
    assert_eq!(error.stage(), Stage::Tls);
    assert!(error.to_string().contains("plain text"), "{error}");
}

#[tokio::test]
async fn an_idle_session_that_the_server_ended_is_not_open() {
    for script in [vec![Do::Close], vec![Do::Say("421 4.4.2 idle too long"), Do::Idle]] {
        let server = Server::play([welcome(PIPELINING), script].concat()).await;
        let session = open(&server, &plain()).await;
        for _ in 0..500 {
            if !session.is_open() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert!(!session.is_open());
    }
}
