//! A volume that fails in the middle of things.

use std::{collections::BTreeSet, sync::Arc};

use parking_lot::Mutex;

use super::{
    kit::*,
    rig::{Fault, Rig},
};
use crate::spool::{Change, Spool, StoreError, Then};

fn rigged() -> (Place, Arc<Rig>, Arc<Spool>) {
    let (place, rig) = (Place::new(), Arc::new(Rig::default()));
    let spool = place.open_on(Arc::clone(&rig) as _).unwrap().0;
    (place, rig, spool)
}

#[tokio::test]
async fn a_short_write_is_gone_on_with() {
    let (place, rig, spool) = rigged();
    rig.fail(&[Fault::Short(1), Fault::Short(50), Fault::Short(100)]);
    let id = store(&spool, b"whole").await;
    assert_eq!(rig.faults_left(), 0);
    drop(spool);
    assert_eq!(content(&place.reopen(), id), b"whole");
}

#[tokio::test]
async fn after_a_failed_sync_the_batch_is_written_elsewhere() {
    for fault in [Fault::Sync, Fault::SyncAndCut, Fault::Write] {
        let (place, rig, spool) = rigged();
        let before = store(&spool, b"before").await;
        rig.fail(&[fault]);
        let during = store(&spool, b"during").await;
        let after = store(&spool, b"after").await;
        assert_eq!(rig.faults_left(), 0);
        drop(spool);
        for place in [place.snapshot(), rig.cut_power(&place, 0, true), rig.cut_power(&place, 20, true)] {
            // What was written twice is not reported as damage, and is there once.
            let spool = place.reopen();
            assert_eq!(ids(&spool), [before, during, after], "{fault:?}");
            assert_eq!(content(&spool, during), b"during");
        }
    }
}

#[tokio::test]
async fn what_is_needed_of_a_given_up_segment_moves_out_of_it() {
    let (place, rig, spool) = rigged();
    let before = store(&spool, b"before").await;
    rig.fail(&[Fault::Sync]);
    let during = store(&spool, b"during").await;
    eventually("the segment is gone", || place.files("log", "1.seg").is_empty());
    assert_eq!(content(&spool, before), b"before");
    drop(spool);
    assert_eq!(ids(&place.reopen()), [before, during]);
}

#[tokio::test]
async fn what_is_done_after_a_failed_sync_does_not_rise_from_the_given_up_segment() {
    let (place, rig, spool) = rigged();
    let before = store(&spool, b"before").await;
    rig.fail(&[Fault::SyncAndCut]);
    let during = store(&spool, b"during").await;
    done(&spool, during).await;
    drop(spool);
    for place in [place.snapshot(), rig.cut_power(&place, u64::MAX, true)] {
        let spool = place.reopen();
        assert_eq!(ids(&spool), [before]);
    }
}

#[tokio::test]
async fn when_the_volume_stays_broken_the_caller_is_told_and_later_mail_is_taken_again() {
    let (place, rig, spool) = rigged();
    let before = store(&spool, b"before").await;
    rig.fail(&[Fault::Sync, Fault::Sync, Fault::Sync]);
    let refused = spool.store(message("user@example.org", b"refused")).await;
    assert!(matches!(refused, Err(StoreError::Io(_))), "{refused:?}");
    assert_eq!(content(&spool, before), b"before");
    let mut after = None;
    for _ in 0..5 {
        if let Ok(id) = spool.store(message("user@example.org", b"after")).await {
            after = Some(id);
            break;
        }
    }
    assert!(spool.shared.metrics.commit_failures.get() >= 2);
    drop(spool);
    assert_eq!(ids(&place.reopen()), [before, after.unwrap()]);
}

#[tokio::test]
async fn a_large_message_and_its_name_are_on_the_disk_before_it_is_taken() {
    let (place, rig, spool) = rigged();
    let content = [7; 100_000];
    let id = store_large(&spool, &content).await.unwrap();
    let left = rig.cut_power(&place, 0, false);
    let after = left.reopen();
    assert_eq!(ids(&after), [id]);
    assert_eq!(self::content(&after, id), content);
}

#[tokio::test]
async fn a_large_message_that_can_t_be_synced_is_not_taken() {
    let (place, rig, spool) = rigged();
    rig.fail(&[Fault::Sync]);
    assert!(matches!(store_large(&spool, &[7; 1000]).await, Err(StoreError::Io(_))));
    assert_eq!(rig.faults_left(), 0);
    drop(spool);
    assert_eq!((ids(&place.reopen()), place.files("large", "").len()), (vec![], 0));
}

#[tokio::test]
async fn what_a_start_has_read_is_on_the_disk_before_anything_is_built_on_it() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"read from memory").await;
    drop(spool);
    let rig = Arc::new(Rig::default());
    rig.assume_durable(&place);
    rig.assume_unsynced(&place.files("log", ".seg")[0]);
    let spool = place.open_on(Arc::clone(&rig) as _).unwrap().0;
    assert_eq!(ids(&spool), [id]);
    drop(spool);
    assert_eq!(ids(&rig.cut_power(&place, 0, false).reopen()), [id]);
}

#[tokio::test]
async fn a_full_volume_turns_mail_away_and_nothing_half_written_stays() {
    for stored in [0, 10, 200] {
        let (place, rig, spool) = rigged();
        let before = store(&spool, b"before").await;
        rig.fail(&[Fault::FullAfter(stored)]);
        let refused = spool.store(message("user@example.org", &[7; 500])).await;
        assert_eq!(refused, Err(StoreError::Full));
        let after = store(&spool, b"after").await;
        assert_eq!(place.files("log", ".seg").len(), 1, "the segment is used on");
        drop(spool);
        assert_eq!(ids(&place.reopen()), [before, after]);
    }
}

#[tokio::test]
async fn on_a_full_volume_what_was_delivered_is_recorded_and_new_mail_in_the_same_batch_is_not() {
    let (place, rig, spool) = rigged();
    let delivered = store(&spool, b"delivered").await;
    // While the first sync is held up, the other two requests gather for the next batch.
    rig.hold(true);
    rig.fail(&[Fault::Short(usize::MAX), Fault::FullAfter(30)]);
    let task = |content: &'static [u8]| {
        let spool = Arc::clone(&spool);
        tokio::spawn(async move { spool.store(message("user@example.org", content)).await })
    };
    let first = task(b"first");
    eventually_async(|| rig.waiting() == 1).await;
    let new = task(b"new");
    let recorded = tokio::spawn({
        let spool = Arc::clone(&spool);
        async move { spool.commit(Change { id: delivered, then: Then::Done, reports: Vec::new() }).await }
    });
    eventually_async(|| spool.shared.queue.len() == 2).await;
    rig.hold(false);
    let first = first.await.unwrap().unwrap();
    assert_eq!(recorded.await.unwrap(), Ok(Vec::new()));
    assert_eq!(new.await.unwrap(), Err(StoreError::Full));
    drop(spool);
    assert_eq!(ids(&place.reopen()), [first]);
}

#[tokio::test]
async fn whatever_was_acknowledged_when_the_power_went_is_there() {
    let (place, rig, spool) = rigged();
    let acknowledged = Arc::new(Mutex::new(BTreeSet::new()));
    let clients: Vec<_> = (0..20u8)
        .map(|client| {
            let (spool, acknowledged) = (Arc::clone(&spool), Arc::clone(&acknowledged));
            tokio::spawn(async move {
                for number in 0..20 {
                    let id = store(&spool, &vec![client; 100 * number]).await;
                    acknowledged.lock().insert(id);
                }
            })
        })
        .collect();
    let mut extra = 1;
    while !clients.iter().all(tokio::task::JoinHandle::is_finished) {
        rig.hold(true);
        eventually_async(|| rig.waiting() == 1 || clients.iter().all(tokio::task::JoinHandle::is_finished)).await;
        // A batch is written and not synced: some of it survives. More may be acknowledged than was noted here.
        let noted = acknowledged.lock().clone();
        let after = rig.cut_power(&place, extra, true);
        rig.hold(false);
        extra = extra * 5 % 9973;
        let held: BTreeSet<_> = ids(&after.reopen()).into_iter().collect();
        assert!(held.is_superset(&noted), "{:?} were lost", noted.difference(&held));
        for _ in 0..10 {
            tokio::task::yield_now().await;
        }
    }
    assert_eq!(ids(&spool).len(), 400);
}

#[tokio::test]
async fn where_not_even_a_done_record_finds_room_the_caller_is_told_and_nothing_counts() {
    let (place, rig, spool) = rigged();
    let delivered = store(&spool, b"delivered").await;
    rig.fail(&[Fault::FullAfter(20)]);
    let refused = spool.commit(Change { id: delivered, then: Then::Done, reports: Vec::new() }).await;
    assert_eq!(refused, Err(StoreError::Full));
    assert_eq!(ids(&spool), [delivered]);
    drop(spool);
    assert_eq!(ids(&place.reopen()), [delivered]);
}
