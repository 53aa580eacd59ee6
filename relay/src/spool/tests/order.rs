//! Segments that go, and the order in which they may.

use std::{collections::BTreeSet, path::PathBuf, sync::Arc};

use super::{kit::*, rig::Rig};
use crate::{
    message::MessageId,
    spool::{Spool, keeper, record::SegmentId},
};

/// Ends the segment that is being written.
async fn restart(place: &Place, spool: Arc<Spool>) -> Arc<Spool> {
    drop(spool);
    place.reopen()
}

/// Rewrites a segment as the keeper would, on a thread of its own as the keeper does.
fn rewrite(spool: &Arc<Spool>, segment: SegmentId) {
    let shared = Arc::clone(&spool.shared);
    let rewrite = move || {
        keeper::rewrite(&shared, segment).unwrap();
        keeper::remove_segments(&shared);
    };
    std::thread::spawn(rewrite).join().unwrap();
}

fn segments(place: &Place) -> Vec<u32> {
    let number = |path: PathBuf| path.file_stem().unwrap().to_str().unwrap().parse().unwrap();
    place.files("log", ".seg").into_iter().map(number).collect()
}

/// Segment 1 with two messages, and segment 2 with a third and with the ends of the first and the third.
async fn entangled(place: &Place) -> (Arc<Spool>, [MessageId; 2]) {
    let spool = place.reopen();
    let (first, kept) = (store(&spool, b"first").await, store(&spool, b"kept").await);
    let spool = restart(place, spool).await;
    let third = store(&spool, b"third").await;
    done(&spool, first).await;
    done(&spool, third).await;
    (restart(place, spool).await, [first, kept])
}

#[tokio::test]
async fn a_segment_with_done_records_outlives_the_messages_that_they_name() {
    let place = Place::new();
    let (spool, [_, kept]) = entangled(&place).await;
    keeper::remove_segments(&spool.shared);
    assert_eq!(segments(&place), [1, 2, 3], "2 holds nothing but ends, of which one is of a message in 1");
    done(&spool, kept).await;
    eventually("1 and then 2 go", || segments(&place) == [3]);
    drop(spool);
    assert!(ids(&place.reopen()).is_empty());
}

#[tokio::test]
async fn a_rewrite_of_the_messages_frees_both() {
    let place = Place::new();
    let (spool, [_, kept]) = entangled(&place).await;
    rewrite(&spool, 1);
    assert_eq!(segments(&place), [3]);
    assert_eq!(content(&spool, kept), b"kept");
    drop(spool);
    let spool = place.reopen();
    assert_eq!(ids(&spool), [kept]);
    assert_eq!(content(&spool, kept), b"kept");
}

#[tokio::test]
async fn a_rewrite_of_the_done_records_keeps_the_message_down() {
    let place = Place::new();
    let (spool, [_, kept]) = entangled(&place).await;
    rewrite(&spool, 2);
    assert_eq!(segments(&place), [1, 3]);
    let spool = restart(&place, spool).await;
    assert_eq!(ids(&spool), [kept]);
    // And again, from where it is now.
    rewrite(&spool, 3);
    assert_eq!(segments(&place), [1, 4]);
    drop(spool);
    assert_eq!(ids(&place.reopen()), [kept]);
}

#[tokio::test]
async fn a_rewrite_takes_the_state_along() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    keep(&spool, id, waiting(NOW, 1)).await;
    let spool = restart(&place, spool).await;
    keep(&spool, id, waiting(NOW, 2)).await;
    let spool = restart(&place, spool).await;
    for segment in [2, 1] {
        rewrite(&spool, segment);
        assert_eq!(spool.peek(id).unwrap().1, waiting(NOW, 2));
    }
    assert_eq!(segments(&place), [3]);
    assert_eq!(restart(&place, spool).await.peek(id).unwrap().1, waiting(NOW, 2));
}

#[tokio::test]
async fn reports_are_rewritten_one_by_one() {
    let place = Place::new();
    let spool = place.reopen();
    let parent = store(&spool, b"parent").await;
    let reports = vec![message("a@example.com", b"one"), message("b@example.com", b"two")];
    let change = crate::spool::Change { id: parent, then: crate::spool::Then::Done, reports };
    let reports = spool.commit(change).await.unwrap();
    done(&spool, reports[1]).await;
    let spool = restart(&place, spool).await;
    rewrite(&spool, 1);
    assert_eq!(segments(&place), [2]);
    let spool = restart(&place, spool).await;
    assert_eq!(ids(&spool), [reports[0]]);
    assert_eq!(content(&spool, reports[0]), b"one");
}

#[tokio::test]
async fn copies_after_a_crash_are_ended_by_one_done_record() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    let other = store(&spool, b"other").await;
    let spool = restart(&place, spool).await;
    let before = place.snapshot();
    rewrite(&spool, 1);
    drop(spool);
    // Segment 1 comes back: its removal never reached the disk.
    std::fs::copy(before.files("log", ".seg").remove(0), place.options.path.join("log/0000000001.seg")).unwrap();
    let spool = place.reopen();
    assert_eq!(ids(&spool), [id, other]);
    assert_eq!(spool.shared.book.lock().ledger.holders(2), [2, 1]);
    done(&spool, id).await;
    // Whatever goes first now, the message stays down.
    for segment in [2, 3] {
        rewrite(&spool, segment);
        let snapshot = place.snapshot();
        assert_eq!(ids(&snapshot.reopen()), [other], "after {segment}");
    }
}

#[tokio::test]
async fn the_keeper_rewrites_when_much_is_waste_and_a_drain_copies_nothing() {
    let place = Place::new();
    let spool = place.reopen();
    let mut all = Vec::new();
    for _ in 0..120 {
        all.push(store(&spool, &[b'x'; 4000]).await);
    }
    let written = segments(&place).len();
    assert!(written >= 6, "{written} segments");
    // Every tenth stays: most segments are mostly waste, and none is free.
    let (kept, gone): (Vec<_>, Vec<_>) = all.into_iter().partition(|id| id.as_u64() % 10 == 0);
    for id in &gone {
        done(&spool, *id).await;
    }
    eventually("the log is small", || place.files("log", ".seg").len() <= 5 + kept.len() / 10);
    let spool = restart(&place, spool).await;
    assert_eq!(ids(&spool), kept);
    for id in kept {
        assert_eq!(content(&spool, id), [b'x'; 4000]);
    }
}

#[tokio::test]
async fn removals_reach_the_disk_in_an_order_that_raises_nobody() {
    let rig = Arc::new(Rig::default());
    let place = Place::new();
    let (spool, [_, kept]) = entangled(&place).await;
    drop(spool);
    let spool = place.open_on(Arc::clone(&rig) as _).unwrap().0;
    done(&spool, kept).await;
    keeper::tidy(&spool.shared, &mut BTreeSet::new());
    eventually("all are gone", || segments(&place).len() == 1);
    assert!(ids(&rig.cut_power(&place, 0, true).reopen()).is_empty());
}
