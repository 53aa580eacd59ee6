use std::{pin::pin, time::Duration};

use futures::StreamExt as _;
use tokio::time::timeout;

use super::{
    Dns, name,
    server::{Mode, Server},
};
use crate::{
    dns::{
        asker::Asker,
        lookup::MxSeen,
        pace::Pace,
        survey::{Said, View},
    },
    validated::Owner,
};

/// Longer than any wait in these tests.
const SOON: Duration = Duration::from_secs(60);

fn owner(name: &str) -> Owner {
    Owner { namespace: "mail".into(), name: name.into(), uid: name.into() }
}

/// How many records all servers agree on.
fn records(seen: Option<MxSeen>) -> Option<usize> {
    match seen?.survey.view() {
        View::Agreed(Said::Records(records)) => Some(records.len()),
        View::Agreed(_) | View::Disagree(_) | View::Failed => None,
    }
}

/// Asks, with the servers kept.
async fn started() -> (Asker, [Server; 3]) {
    let Dns { resolver, one, two, lookup } = Dns::start().await;
    let asker = Asker::new(lookup);
    let running = asker.clone();
    tokio::spawn(async move { running.run().await });
    (asker, [resolver, one, two])
}

#[tokio::test]
async fn a_pass_never_waits_and_is_called_when_there_is_news() {
    let (asker, [_resolver, one, two]) = started().await;
    let mut news = pin!(asker.news());
    let domain = name("example.org");
    assert_eq!(asker.mx(&domain, &owner("a")), None);
    assert_eq!(timeout(SOON, news.next()).await.unwrap(), Some(owner("a")));
    assert_eq!(records(asker.mx(&domain, &owner("a"))), Some(2));
    // A second resource that asks the same gets what is known already.
    assert!(asker.mx(&domain, &owner("b")).is_some());
    for server in [&one, &two] {
        server.set_zones(&[("example.org.", "example.org. 60 IN MX 10 mail.example.org.")]);
    }
    let mut called = vec![timeout(SOON, news.next()).await.unwrap(), timeout(SOON, news.next()).await.unwrap()];
    // The servers may have been asked between the two changes.
    while records(asker.mx(&domain, &owner("a"))) != Some(1) {
        called.push(timeout(SOON, news.next()).await.unwrap());
    }
    assert!(called.contains(&Some(owner("a"))) && called.contains(&Some(owner("b"))), "{called:?}");
}

#[tokio::test]
async fn many_passes_ask_no_more_than_one() {
    let (asker, [_resolver, one, _two]) = started().await;
    let mut news = pin!(asker.news());
    for count in 0..500 {
        let _ = asker.mx(&name("example.org"), &owner(&count.to_string()));
    }
    timeout(SOON, news.next()).await.unwrap();
    for count in 0..500 {
        assert!(asker.mx(&name("example.org"), &owner(&count.to_string())).is_some());
    }
    assert_eq!(one.asked().iter().filter(|question| *question == "MX example.org.").count(), 1);
}

#[tokio::test]
async fn a_failure_is_told_when_it_lasts_and_what_comes_after_it_too() {
    let (asker, [_resolver, one, two]) = started().await;
    let mut news = pin!(asker.news());
    let domain = name("example.org");
    let _ = asker.mx(&domain, &owner("a"));
    timeout(SOON, news.next()).await.unwrap();
    asker.expect(&owner("a"), Pace::Awaited);
    let before = one.asked().len();
    one.set_mode(Mode::ServFail);
    two.set_mode(Mode::ServFail);
    timeout(SOON, news.next()).await.unwrap();
    assert_eq!(asker.mx(&domain, &owner("a")).unwrap().survey.view(), View::Failed);
    assert!(one.asked().len() - before >= 2, "one failure is no news");
    one.set_mode(Mode::Answer);
    timeout(SOON, news.next()).await.unwrap();
    assert_eq!(asker.mx(&domain, &owner("a")).unwrap().survey.said().count(), 1);
}
