//! A message's life: stored, claimed, changed, done; over restarts.

use std::time::Duration;

use super::kit::*;
use crate::{
    message::{MessageState, RecipientOutcome, Standing},
    spool::{Change, OpenError, ReadError, Spool, StoreError, Then, volume::System},
};

#[tokio::test]
async fn what_was_stored_is_there_after_a_crash_and_after_a_clean_end() {
    let place = Place::new();
    let spool = place.reopen();
    let first = store(&spool, b"first").await;
    drop(spool);
    let spool = place.reopen();
    let second = store(&spool, b"second").await;
    let large = store_large(&spool, &[b'x'; 5000]).await.unwrap();
    spool.close().await;
    drop(spool);
    let (spool, recovery) = place.open();
    assert_eq!((recovery.messages, recovery.bytes), (3, 5 + 6 + 5000));
    assert_eq!(ids(&spool), [first, second, large]);
    assert_eq!(content(&spool, first), b"first");
    assert_eq!(content(&spool, second), b"second");
    assert_eq!(content(&spool, large), [b'x'; 5000]);
    let (envelope, state) = spool.peek(first).unwrap();
    assert_eq!(envelope.recipients[0].path.as_str(), "user@example.org");
    assert_eq!(state, MessageState::new(1));
}

#[tokio::test]
async fn what_is_done_stays_done() {
    let place = Place::new();
    let spool = place.reopen();
    let (kept, gone) = (store(&spool, b"kept").await, store(&spool, b"gone").await);
    let large = store_large(&spool, b"large and gone").await.unwrap();
    done(&spool, gone).await;
    done(&spool, large).await;
    assert!(matches!(spool.read(gone), Err(ReadError::Unknown(_))));
    let again = spool.commit(Change { id: gone, then: Then::Done, reports: Vec::new() }).await;
    assert_eq!(again, Err(StoreError::Unknown(gone)));
    eventually("the file is removed", || place.files("large", "").is_empty());
    drop(spool);
    assert_eq!(ids(&place.reopen()), [kept]);
}

#[tokio::test]
async fn a_state_is_kept_over_a_restart() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    keep(&spool, id, waiting(NOW, 1)).await;
    let state =
        MessageState { standing: Standing::Parked, warned: true, ..waiting(NOW + Duration::from_secs(9), 70_000) };
    keep(&spool, id, state.clone()).await;
    assert_eq!(spool.peek(id).unwrap().1, state);
    drop(spool);
    let spool = place.reopen();
    assert_eq!(spool.peek(id).unwrap().1, state);
    assert_eq!(spool.lane(&domain("example.org")).parked, 1);
}

#[tokio::test]
async fn reports_and_the_end_of_their_parent_are_one_step() {
    let place = Place::new();
    let spool = place.reopen();
    let parent = store(&spool, b"parent").await;
    let reports = vec![message("a@example.com", b"report 1"), message("b@example.net", b"report 2")];
    let ids_of = spool.commit(Change { id: parent, then: Then::Done, reports }).await.unwrap();
    assert_eq!(ids(&spool), ids_of);
    drop(spool);
    let spool = place.reopen();
    assert_eq!(ids(&spool), ids_of);
    assert_eq!(content(&spool, ids_of[1]), b"report 2");
    assert_eq!(spool.lane(&domain("example.com")).messages, 1);
}

fn lanes(spool: &Spool) -> Vec<String> {
    let mut lanes: Vec<String> = spool.lanes().into_iter().map(|lane| lane.0.to_string()).collect();
    lanes.sort();
    lanes
}

#[tokio::test]
async fn a_message_that_only_has_to_tell_its_sender_of_a_delivery_goes_to_the_lane_of_that() {
    let place = Place::new();
    let spool = place.reopen();
    let envelope = envelope(&["a@one.example", "b@two.example"]);
    let id = spool.store(crate::spool::NewMessage { envelope, ..message("x@example.org", b"") }).await.unwrap();
    let mut state = MessageState::new(2);
    state.recipients[1].outcome = RecipientOutcome::Relayed { since: NOW };
    keep(&spool, id, state.clone()).await;
    assert_eq!(spool.lane(&domain("one.example")).messages, 1, "that recipient is waited for");
    state.recipients[0].outcome = RecipientOutcome::Failed;
    keep(&spool, id, state).await;
    assert_eq!(spool.lane(&domain("one.example")).messages, 0, "or who discards that domain never ends");
    drop(spool);
    assert_eq!(place.reopen().lane(&domain("two.example")).messages, 1);
}

#[tokio::test]
async fn a_message_is_in_the_lane_of_each_domain_that_it_waits_for() {
    let place = Place::new();
    let spool = place.reopen();
    let to = ["a@one.example", "b@two.example", "c@one.example", "d@three.example", "e@four.example"];
    let envelope = envelope(&to);
    let id = spool.store(crate::spool::NewMessage { envelope, ..message("x@example.org", b"") }).await.unwrap();
    let all = ["four.example", "one.example", "three.example", "two.example"];
    assert_eq!(lanes(&spool), all);
    drop(spool);
    let spool = place.reopen();
    assert_eq!(lanes(&spool), all, "a crash changes nothing");
    let mut state = MessageState::new(5);
    state.recipients[0].outcome = RecipientOutcome::Delivered;
    state.recipients[2].outcome = RecipientOutcome::Failed;
    state.recipients[3].outcome = RecipientOutcome::Unreported { since: NOW };
    state.recipients[4].outcome = RecipientOutcome::Relayed { since: NOW };
    keep(&spool, id, state.clone()).await;
    assert_eq!(lanes(&spool), ["three.example", "two.example"]);
    drop(spool);
    let spool = place.reopen();
    assert_eq!(lanes(&spool), ["three.example", "two.example"]);
    // What DNS says of the client is written with a state of its own.
    let reverse = Some(crate::message::ReverseName::Absent);
    spool.observe(id, 5, crate::message::Observed { reverse, ..Default::default() }).unwrap();
    spool.record_observed().await;
    drop(spool);
    let spool = place.reopen();
    assert!(!spool.peek(id).unwrap().1.observed.is_empty());
    assert_eq!(lanes(&spool), ["three.example", "two.example"]);
    let claim = |name| spool.claim(&[domain(name)], NOW).map(|claim| claim.id());
    assert_eq!((claim("three.example"), claim("two.example")), (None, Some(id)), "who only tells does not deliver");
    state.recipients[1].outcome = RecipientOutcome::Delivered;
    keep(&spool, id, state).await;
    assert_eq!((claim("three.example"), claim("two.example")), (Some(id), None));
    assert_eq!((lanes(&spool), claim("four.example")), (vec!["four.example".into(), "three.example".into()], Some(id)));
}

#[tokio::test]
async fn a_second_relay_is_refused_by_name() {
    let place = Place::new();
    let spool = place.reopen();
    let refused = place.open_on(std::sync::Arc::new(System)).unwrap_err();
    let OpenError::Locked { holder, .. } = &refused else { panic!("{refused:?}") };
    assert_eq!(*holder, format!("process {}", std::process::id()));
    assert!(refused.to_string().contains("one relay a folder"), "{refused}");
    drop(spool);
    place.reopen();
}

#[tokio::test]
async fn a_closed_spool_takes_nothing() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    spool.close().await;
    assert_eq!(spool.store(message("user@example.org", b"y")).await, Err(StoreError::Closed));
    assert_eq!(spool.commit(Change { id, then: Then::Done, reports: Vec::new() }).await, Err(StoreError::Closed));
    spool.close().await;
}

#[tokio::test]
async fn a_large_body_that_is_dropped_leaves_nothing() {
    let place = Place::new();
    let spool = place.reopen();
    let used = spool.usage().used;
    let mut large = spool.large().await.unwrap();
    large.write(bytes::Bytes::from_static(b"half of")).await.unwrap();
    assert_eq!(place.files("large", "").len(), 1);
    drop(large);
    assert_eq!(place.files("large", "").len(), 0);
    assert_eq!(spool.usage().used, used);
}

#[tokio::test]
async fn ids_rise_even_when_the_log_that_held_them_is_gone() {
    let place = Place::new();
    let spool = place.reopen();
    // As if the clock had been far ahead.
    let ahead = 1 << 54;
    spool.shared.largest_id.store(ahead, std::sync::atomic::Ordering::Relaxed);
    let id = store(&spool, b"x").await;
    assert_eq!(id.as_u64(), ahead + 1);
    done(&spool, id).await;
    spool.close().await;
    drop(spool);
    for _ in 0..3 {
        let spool = place.reopen();
        eventually("the old segments are gone", || place.files("log", ".seg").len() == 1);
        drop(spool);
    }
    assert!(store(&place.reopen(), b"y").await.as_u64() > ahead + 1);
}

#[tokio::test]
async fn many_at_once_all_get_their_answer() {
    let place = Place::new();
    let spool = place.open_on(std::sync::Arc::new(System)).unwrap().0;
    let tasks: Vec<_> = (0..400u32)
        .map(|number| {
            let spool = std::sync::Arc::clone(&spool);
            tokio::spawn(async move { (number, store(&spool, &number.to_le_bytes()).await) })
        })
        .collect();
    let mut stored = Vec::new();
    for task in tasks {
        stored.push(task.await.unwrap());
    }
    drop(spool);
    let spool = place.open_on(std::sync::Arc::new(System)).unwrap().0;
    assert_eq!(ids(&spool).len(), 400);
    for (number, id) in stored {
        assert_eq!(content(&spool, id), number.to_le_bytes());
    }
}
