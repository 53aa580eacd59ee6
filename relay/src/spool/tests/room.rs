//! Little room and none.

use std::sync::Arc;

use bytes::Bytes;

use super::{kit::*, rig::Rig};
use crate::spool::{Change, Spool, StoreError, Then, space::default_segment_size};

const MIB: u64 = 1 << 20;

/// A spool on a volume of 8 MiB, of which so much is free.
fn small(free: u64) -> (Place, Arc<Rig>, Arc<Spool>) {
    let (mut place, rig) = (Place::new(), Arc::new(Rig::default()));
    (place.options.size, place.options.segment_size) = (None, None);
    rig.set_room(&place, free, 8 * MIB);
    let spool = place.open_on(Arc::clone(&rig) as _).unwrap().0;
    (place, rig, spool)
}

#[tokio::test]
async fn mail_stops_at_the_reserve_and_deliveries_are_recorded_on() {
    let (_place, _rig, spool) = small(8 * MIB);
    let reserve = 2 * default_segment_size(8 * MIB);
    let mut held = Vec::new();
    let refused = loop {
        match spool.store(message("user@example.org", &[b'x'; 64 << 10])).await {
            Ok(id) => held.push(id),
            Err(error) => break error,
        }
        assert!(held.len() < 1000);
    };
    assert_eq!(refused, StoreError::Full);
    assert!(!spool.has_room(64 << 10) && spool.can_record());
    let usage = spool.usage();
    assert_eq!(usage.size, 8 * MIB);
    assert!(usage.available < 66 << 10 && usage.used + reserve <= 8 * MIB, "{usage:?}");
    // Reports may use the reserve, and so do the ends.
    let reports = vec![message("a@example.com", &[b'r'; 4096])];
    spool.commit(Change { id: held.remove(0), then: Then::Done, reports }).await.unwrap();
    for id in held {
        done(&spool, id).await;
    }
    let shared = &spool.shared;
    eventually("the segments are gone", || shared.space.used() < MIB);
}

#[tokio::test]
async fn what_is_on_its_way_counts() {
    let (_place, _rig, spool) = small(8 * MIB);
    let available = spool.usage().available;
    let lease = spool.shared.space.lease(MIB).unwrap();
    assert!(spool.usage().available <= available - MIB);
    assert!(spool.shared.space.lease(available).is_none());
    drop(lease);
    assert!(spool.shared.space.lease(available - MIB).is_some());
}

#[tokio::test]
async fn a_large_message_is_refused_while_it_comes() {
    let (place, _rig, spool) = small(8 * MIB);
    let mut large = spool.large().await.unwrap();
    let part = Bytes::from(vec![0; 256 << 10]);
    let refused = loop {
        if let Err(error) = large.write(part.clone()).await {
            break error;
        }
        assert!(place.files("large", "").len() == 1);
    };
    assert_eq!(refused, StoreError::Full);
    assert!(matches!(large.write(part).await, Err(StoreError::Io(_))), "it stays refused");
    let used = spool.usage().used;
    assert!(used > 6 * MIB, "{used}");
    drop(large);
    assert!(spool.usage().used < MIB);
}

#[tokio::test]
async fn others_that_fill_the_volume_are_noticed_and_so_is_their_leaving() {
    let (place, rig, spool) = small(8 * MIB);
    assert!(spool.has_room(MIB));
    rig.set_room(&place, 100 << 10, 8 * MIB);
    eventually("there is no room", || !spool.has_room(1));
    assert!(spool.can_record());
    assert_eq!(spool.store(message("user@example.org", b"x")).await, Err(StoreError::Full));
    assert!(matches!(spool.large().await, Err(StoreError::Full)));
    rig.set_room(&place, 10 << 10, 8 * MIB);
    eventually("not even a delivery could be recorded", || !spool.can_record());
    rig.set_room(&place, 7 * MIB, 8 * MIB);
    eventually("there is room again", || spool.has_room(MIB) && spool.can_record());
}

#[tokio::test]
async fn a_full_volume_can_be_opened_and_drained() {
    let (place, rig, spool) = small(8 * MIB);
    let id = store(&spool, b"held").await;
    drop(spool);
    rig.set_room(&place, 70 << 10, 8 * MIB);
    let (spool, _) = place.open_on(Arc::clone(&rig) as _).unwrap();
    assert_eq!(content(&spool, id), b"held");
    assert!(!spool.has_room(1) && spool.can_record());
    done(&spool, id).await;
    drop(spool);
    assert!(ids(&place.open_on(rig as _).unwrap().0).is_empty());
}

#[tokio::test]
async fn the_configured_size_is_a_bound_on_what_the_folder_takes() {
    let mut place = Place::new();
    place.options.size = Some(8 * MIB);
    let spool = place.reopen();
    assert_eq!(spool.usage().size, 8 * MIB);
    let used = spool.usage().used;
    let id = store(&spool, &[0; 10_000]).await;
    let taken = spool.usage().used - used;
    assert!((10_000..12_000).contains(&taken), "{taken}");
    let on_disk = || -> u64 {
        ["log", "large", "quarantine"]
            .iter()
            .flat_map(|folder| place.files(folder, ""))
            .map(|file| file.metadata().unwrap().len())
            .sum()
    };
    store_large(&spool, &[0; 5000]).await.unwrap();
    spool.close().await;
    assert_eq!(spool.usage().used, on_disk());
    drop(spool);
    let spool = place.reopen();
    assert_eq!(spool.usage().used, on_disk());
    done(&spool, id).await;
}
