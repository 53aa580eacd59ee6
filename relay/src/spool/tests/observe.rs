//! What DNS says of a client is kept with its message, and nobody waits for it.

use std::sync::Arc;

use super::{kit::*, rig::Rig};
use crate::{
    message::{MessageId, MessageState, Observed, ReverseName, SpfVerdict},
    spool::{NotObserved, Reach, Spool, keeper, observe},
};

fn observed() -> Observed {
    Observed {
        reverse: Some(ReverseName::Confirmed("client.example.net".parse().unwrap())),
        spf: Some(SpfVerdict::Pass),
    }
}

fn known(spool: &Spool, id: MessageId) -> Observed {
    spool.peek(id).unwrap().1.observed
}

/// Batches that are in the log, told by what it takes.
fn written(spool: &Spool) -> u64 {
    spool.usage().used
}

#[tokio::test]
async fn it_is_seen_at_once_and_outlives_a_restart_once_it_is_written() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    let before = written(&spool);
    spool.observe(id, 1, observed()).unwrap();
    assert_eq!((known(&spool, id), written(&spool)), (observed(), before), "it is seen and not written");
    spool.record_observed().await;
    assert!(written(&spool) > before);
    drop(spool);
    let spool = place.reopen();
    assert_eq!(known(&spool, id), observed());
    assert_eq!(spool.peek(id).unwrap().1, MessageState { observed: observed(), ..MessageState::new(1) });
    assert!(spool.claim_one(id).is_some(), "nobody has it");
}

#[tokio::test]
async fn it_is_written_once() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    spool.observe(id, 1, observed()).unwrap();
    spool.record_observed().await;
    eventually("the mark is written", || {
        let before = written(&spool);
        std::thread::sleep(std::time::Duration::from_millis(150));
        written(&spool) == before
    });
    let before = written(&spool);
    spool.record_observed().await;
    assert_eq!(written(&spool), before);
}

#[tokio::test]
async fn a_worker_s_state_takes_it_along_whenever_it_came() {
    let place = Place::new();
    let spool = place.reopen();
    // Before the worker read the state, and after.
    let ids = [store(&spool, b"before").await, store(&spool, b"after").await];
    let claims = ids.map(|id| spool.claim_one(id).unwrap());
    spool.observe(ids[0], 1, observed()).unwrap();
    let states = ids.map(|id| spool.peek(id).unwrap().1);
    spool.observe(ids[1], 1, observed()).unwrap();
    spool.record_observed().await;
    for (id, state) in ids.into_iter().zip(states) {
        keep(&spool, id, MessageState { due: Some(NOW), attempts: 3, ..state }).await;
    }
    drop(claims);
    drop(spool);
    let spool = place.reopen();
    for id in ids {
        let expected = MessageState { due: Some(NOW), attempts: 3, observed: observed(), ..MessageState::new(1) };
        assert_eq!(spool.peek(id).unwrap().1, expected);
    }
}

#[tokio::test]
async fn it_changes_nothing_else_of_a_state() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    keep(&spool, id, waiting(NOW, 300)).await;
    spool.flush(&[domain("example.org")], Reach::Waiting);
    spool.observe(id, 1, observed()).unwrap();
    spool.record_observed().await;
    let expected = MessageState { attempts: 300, observed: observed(), ..MessageState::new(1) };
    assert_eq!(spool.peek(id).unwrap().1, expected, "what a flush made due stays due");
    let spool = {
        drop(spool);
        place.reopen()
    };
    assert_eq!(spool.peek(id).unwrap().1, expected);
}

#[tokio::test]
async fn it_goes_with_its_message() {
    let place = Place::new();
    let spool = place.reopen();
    let (gone, leaving) = (store(&spool, b"gone").await, store(&spool, b"leaving").await);
    done(&spool, gone).await;
    assert_eq!(spool.observe(gone, 1, observed()), Err(NotObserved::Gone));
    spool.observe(leaving, 1, observed()).unwrap();
    done(&spool, leaving).await;
    spool.record_observed().await;
    assert_eq!(spool.shared.overlay.len(), 0);
    drop(spool);
    assert!(ids(&place.reopen()).is_empty());
}

#[tokio::test]
async fn it_outlives_a_rewrite_of_its_segment() {
    let place = Place::new();
    let spool = place.reopen();
    let (gone, id) = (store(&spool, b"gone").await, store(&spool, b"kept").await);
    spool.observe(id, 1, observed()).unwrap();
    spool.record_observed().await;
    done(&spool, gone).await;
    drop(spool);
    let spool = place.reopen();
    let shared = Arc::clone(&spool.shared);
    std::thread::spawn(move || keeper::rewrite(&shared, 1).unwrap()).join().unwrap();
    keeper::remove_segments(&spool.shared);
    eventually("the old segment is gone", || place.files("log", "0000000001.seg").is_empty());
    assert_eq!(known(&spool, id), observed());
    drop(spool);
    assert_eq!(known(&place.reopen(), id), observed());
}

#[tokio::test]
async fn what_waits_is_bounded() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    for number in 0..observe::CROWD as u64 {
        spool.shared.overlay.fill(MessageId::from_u64(number + 1));
    }
    assert_eq!(spool.observe(id, 1, observed()), Err(NotObserved::Crowded));
    while spool.shared.overlay.len() > 0 {
        spool.record_observed().await;
    }
    spool.observe(id, 1, observed()).unwrap();
}

#[tokio::test]
async fn mail_does_not_wait_for_it() {
    let place = Place::new();
    let rig = Arc::new(Rig::default());
    let spool = place.open_on(Arc::clone(&rig) as Arc<_>).unwrap().0;
    let id = store(&spool, b"x").await;
    spool.observe(id, 1, observed()).unwrap();
    rig.hold(true);
    let recording = tokio::spawn({
        let spool = Arc::clone(&spool);
        async move { spool.record_observed().await }
    });
    eventually_async(|| rig.waiting() > 0).await;
    // The disk is slow: neither listing nor reading nor new results wait for it.
    assert_eq!(known(&spool, id), observed());
    assert!(spool.is_held(id));
    rig.hold(false);
    recording.await.unwrap();
    store(&spool, b"y").await;
}
