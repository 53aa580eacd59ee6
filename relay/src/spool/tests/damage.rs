//! Damage of every kind, and what is made of it at the next start.

use std::{fs, os::unix::fs::FileExt, path::Path};

use super::kit::*;
use crate::{
    message::{MessageId, MessageState},
    spool::{
        Change, OpenError, ReadError, Recovery, Spool, Then,
        frame::{BATCH, HEADER},
    },
};

fn flip(path: &Path, offset: u64) {
    let file = fs::File::options().read(true).write(true).open(path).unwrap();
    let mut octet = [0];
    file.read_exact_at(&mut octet, offset).unwrap();
    file.write_all_at(&[octet[0] ^ 0x10], offset).unwrap();
}

/// Where some octets are in a file.
fn find(path: &Path, octets: &[u8]) -> u64 {
    memchr::memmem::find(&fs::read(path).unwrap(), octets).unwrap() as u64
}

/// Three messages in a batch each, and the segment they are in; the spool has crashed.
async fn three() -> (Place, [MessageId; 3], std::path::PathBuf) {
    let place = Place::new();
    let spool = place.reopen();
    let ids =
        [store(&spool, b"number one").await, store(&spool, b"number two").await, store(&spool, b"number three").await];
    drop(spool);
    let segment = place.files("log", ".seg").remove(0);
    (place, ids, segment)
}

fn lines(recovery: &Recovery) -> String {
    recovery.damage.join("\n")
}

#[tokio::test]
async fn a_flipped_bit_in_a_message_costs_that_message_and_is_reported_once() {
    let (place, [one, two, three], segment) = three().await;
    flip(&segment, find(&segment, b"number two"));
    let (spool, recovery) = place.open();
    assert_eq!(ids(&spool), [one, three]);
    assert!(lines(&recovery).contains(&two.to_string()), "{recovery:?}");
    assert_eq!(spool.usage().quarantined, 1);
    let kept = place.files("quarantine", ".batch").remove(0);
    assert!(memchr::memmem::find(&fs::read(kept).unwrap(), b"\"recipients\"").is_some());
    drop(spool);
    for sidecar in place.files("log", ".idx") {
        fs::remove_file(sidecar).unwrap();
    }
    let spool = place.reopen();
    assert_eq!((ids(&spool), spool.usage().quarantined), (vec![one, three], 1));
}

#[tokio::test]
async fn what_was_set_aside_is_read_and_removed_by_its_name_alone() {
    let (place, _, segment) = three().await;
    flip(&segment, find(&segment, b"number two"));
    let (spool, _) = place.open();
    let used = spool.usage().used;
    let list = spool.set_aside().unwrap();
    let [part] = list.as_slice() else { panic!("{list:?}") };
    assert!(!part.torn);
    let whole = fs::read(place.files("quarantine", ".batch").remove(0)).unwrap();
    assert_eq!(part.size, whole.len() as u64);
    let half = whole.len() / 2;
    let pieces = [0, half, whole.len(), whole.len() + 1]
        .map(|offset| spool.read_set_aside(&part.name, offset as u64, half).unwrap());
    assert_eq!(pieces[0], whole[..half]);
    assert_eq!(pieces[1], whole[half..2 * half]);
    assert!(pieces[2].is_empty() && pieces[3].is_empty());
    for stranger in ["", ".", "..", "../lock", "/etc/passwd", "../quarantine", "none"] {
        assert!(spool.read_set_aside(stranger, 0, 10).is_err(), "{stranger}");
        assert!(spool.discard_set_aside(stranger).is_err(), "{stranger}");
    }
    spool.discard_set_aside(&part.name).unwrap();
    assert_eq!((spool.set_aside().unwrap(), spool.usage().quarantined), (vec![], 0));
    assert_eq!(spool.usage().used, used - whole.len() as u64);
    assert!(spool.discard_set_aside(&part.name).is_err());
    drop(spool);
    assert_eq!(place.reopen().usage().quarantined, 0);
}

#[tokio::test]
async fn a_flipped_bit_in_a_batch_header_costs_nothing() {
    let (place, all, segment) = three().await;
    let second = find(&segment, b"number one") + 10;
    for at in 0..BATCH as u64 {
        let place = place.snapshot();
        let segment = place.files("log", ".seg").remove(0);
        flip(&segment, second + at);
        let (spool, recovery) = place.open();
        assert_eq!(ids(&spool), all, "octet {at}");
        // A marker that is gone makes the batch a part of the one before; all the same each record is read.
        assert_eq!(recovery.damage.len(), 1, "octet {at}: {recovery:?}");
    }
}

#[tokio::test]
async fn a_flipped_bit_in_the_segment_s_header_costs_nothing() {
    let (place, all, _) = three().await;
    for at in 0..HEADER as u64 {
        let place = place.snapshot();
        let segment = place.files("log", ".seg").remove(0);
        flip(&segment, at);
        let (spool, recovery) = place.open();
        assert_eq!(ids(&spool), all, "octet {at}");
        assert_eq!(recovery.damage.len(), 1, "octet {at}: {recovery:?}");
    }
}

#[tokio::test]
async fn a_torn_last_batch_is_kept_aside_and_cut_and_is_no_damage() {
    let (place, [one, two, _], segment) = three().await;
    let start = find(&segment, b"number two") + 10;
    let whole = fs::metadata(&segment).unwrap().len();
    for length in (start + 1..whole).step_by(7) {
        let place = place.snapshot();
        let segment = place.files("log", ".seg").remove(0);
        fs::File::options().write(true).open(&segment).unwrap().set_len(length).unwrap();
        let spool = place.reopen();
        assert_eq!(ids(&spool), [one, two], "{length} octets");
        assert_eq!(fs::metadata(&segment).unwrap().len(), start);
        let torn = place.files("quarantine", ".torn").remove(0);
        assert_eq!(fs::metadata(torn).unwrap().len(), length - start);
        assert_eq!(spool.usage().quarantined, 0);
    }
    // A flipped bit in it, too: nothing after it says that it was durable.
    flip(&segment, find(&segment, b"number three"));
    assert_eq!(ids(&place.reopen()), [one, two]);
}

#[tokio::test]
async fn once_a_mark_follows_damage_in_the_last_batch_is_corruption() {
    let place = Place::new();
    let spool = place.reopen();
    let one = store(&spool, b"number one").await;
    let two = store(&spool, b"number two").await;
    let segment = place.files("log", ".seg").remove(0);
    let end = fs::metadata(&segment).unwrap().len();
    eventually("a mark is written while nothing happens", || {
        fs::metadata(&segment).unwrap().len() == end + BATCH as u64
    });
    drop(spool);
    flip(&segment, find(&segment, b"number two"));
    let (spool, recovery) = place.open();
    assert_eq!(ids(&spool), [one]);
    assert!(lines(&recovery).contains(&two.to_string()), "{recovery:?}");
}

#[tokio::test]
async fn damage_at_the_end_of_a_segment_that_is_not_the_last_is_corruption() {
    let (place, [one, two, three], segment) = three().await;
    // The next start opened a segment; its header says what was durable before it. The sidecar was lost.
    drop(place.reopen());
    fs::remove_file(segment.with_extension("idx")).unwrap();
    flip(&segment, find(&segment, b"number three"));
    let (spool, recovery) = place.open();
    assert_eq!(ids(&spool), [one, two]);
    assert!(lines(&recovery).contains(&three.to_string()), "{recovery:?}");
}

#[tokio::test]
async fn a_segment_that_lost_its_end_is_reported_by_its_sidecar() {
    let (place, [one, two, three], segment) = three().await;
    drop(place.reopen());
    let file = fs::File::options().write(true).open(&segment).unwrap();
    file.set_len(fs::metadata(&segment).unwrap().len() - 5).unwrap();
    let (spool, recovery) = place.open();
    assert_eq!(ids(&spool), [one, two]);
    assert!(lines(&recovery).contains(&three.to_string()), "{recovery:?}");
}

#[tokio::test]
async fn sidecars_that_are_lost_or_damaged_are_made_again() {
    let (place, all, segment) = three().await;
    let spool = place.reopen();
    done(&spool, all[1]).await;
    spool.close().await;
    drop(spool);
    let sidecars = place.files("log", ".idx");
    assert_eq!(sidecars.len(), 2);
    let before = fs::read(&sidecars[0]).unwrap();
    fs::remove_file(&sidecars[0]).unwrap();
    flip(&sidecars[1], 60);
    let spool = place.reopen();
    assert_eq!(ids(&spool), [all[0], all[2]]);
    assert_eq!(fs::read(segment.with_extension("idx")).unwrap(), before);
}

#[tokio::test]
async fn a_start_reads_no_bodies_of_complete_segments() {
    let (place, all, segment) = three().await;
    drop(place.reopen());
    // Damage in a body goes unseen until the message is read.
    flip(&segment, find(&segment, b"number two"));
    let spool = place.reopen();
    assert_eq!(ids(&spool), all);
    let Err(ReadError::Damaged { id, .. }) = spool.read(all[1]) else { panic!("it was read") };
    assert_eq!(id, all[1]);
    eventually("the damaged message is given up", || ids(&spool).len() == 2);
    assert_eq!(place.files("quarantine", ".record").len(), 1);
    assert_eq!((spool.usage().quarantined, spool.shared.metrics.quarantined.get()), (1, 1));
    drop(spool);
    assert_eq!(ids(&place.reopen()), [all[0], all[2]]);
}

#[tokio::test]
async fn a_damaged_done_record_brings_the_message_back_rather_than_losing_another() {
    let place = Place::new();
    let spool = place.reopen();
    let (one, two) = (store(&spool, b"one").await, store(&spool, b"two").await);
    let segment = place.files("log", ".seg").remove(0);
    let end = fs::metadata(&segment).unwrap().len();
    done(&spool, one).await;
    let three = store(&spool, b"three").await;
    drop(spool);
    flip(&segment, end + BATCH as u64 + 20);
    let (spool, recovery) = place.open();
    assert_eq!((ids(&spool), recovery.damage.len()), (vec![one, two, three], 1));
}

#[tokio::test]
async fn a_step_with_reports_counts_as_a_whole_or_not_at_all() {
    let place = Place::new();
    let spool = place.reopen();
    let parent = store(&spool, b"parent").await;
    let reports = vec![message("a@example.com", b"report one"), message("b@example.com", b"report two")];
    spool.commit(Change { id: parent, then: Then::Done, reports }).await.unwrap();
    let last = store(&spool, b"last").await;
    drop(spool);
    for part in [&b"report one"[..], b"report two", b"a@example.com", b"b@example.com"] {
        let place = place.snapshot();
        let segment = place.files("log", ".seg").remove(0);
        flip(&segment, find(&segment, part));
        let (spool, _) = place.open();
        assert_eq!(ids(&spool), [parent, last], "{part:?}");
    }
}

#[tokio::test]
async fn a_damaged_state_leaves_what_the_index_knows() {
    let place = Place::new();
    let spool = place.reopen();
    let id = store(&spool, b"x").await;
    let mut state = waiting(NOW, 3);
    state.recipients[0].last = Some(crate::smtp::Reply::new(451, None, "later"));
    keep(&spool, id, state).await;
    let segment = place.files("log", ".seg").remove(0);
    flip(&segment, find(&segment, b"later"));
    assert_eq!(spool.peek(id).unwrap().1, MessageState { due: Some(NOW), attempts: 3, ..MessageState::new(1) });
}

#[tokio::test]
async fn a_large_message_without_its_file_is_reported_and_given_up() {
    let place = Place::new();
    let spool = place.reopen();
    let (large, small) = (store_large(&spool, b"content").await.unwrap(), store(&spool, b"small").await);
    drop(spool);
    fs::remove_file(place.files("large", "").remove(0)).unwrap();
    let (spool, recovery) = place.open();
    assert!(lines(&recovery).contains(&large.to_string()), "{recovery:?}");
    assert_eq!((recovery.messages, recovery.bytes), (1, 5));
    eventually("it is given up", || ids(&spool) == [small]);
    drop(spool);
    place.reopen();
}

#[tokio::test]
async fn a_large_message_with_a_damaged_file_is_set_aside() {
    let place = Place::new();
    let spool = place.reopen();
    let large = store_large(&spool, b"content").await.unwrap();
    flip(&place.files("large", "").remove(0), 3);
    assert!(matches!(spool.read(large), Err(ReadError::Damaged { .. })));
    assert!(spool.peek(large).is_ok() || ids(&spool).is_empty(), "its envelope is whole");
    eventually("it is given up", || ids(&spool).is_empty());
    assert_eq!(place.files("quarantine", ".msg").len(), 1);
    assert_eq!(place.files("large", "").len(), 0);
}

#[tokio::test]
async fn content_that_no_record_names_goes_unless_the_log_is_damaged() {
    let (place, _, segment) = three().await;
    let stray = |place: &Place| {
        fs::write(place.options.path.join("large").join(format!("{}.msg", MessageId::from_u64(7))), b"x").unwrap();
        fs::write(place.options.path.join("large").join(format!("{}.tmp", MessageId::from_u64(8))), b"x").unwrap();
    };
    stray(&place);
    let spool = place.reopen();
    assert_eq!((place.files("large", "").len(), place.files("quarantine", "").len()), (0, 0));
    drop(spool);
    fs::remove_file(segment.with_extension("idx")).unwrap();
    flip(&segment, find(&segment, b"number one"));
    stray(&place);
    let (spool, _) = place.open();
    assert_eq!((place.files("large", "").len(), place.files("quarantine", ".msg").len()), (0, 1));
    assert_eq!(spool.usage().quarantined, 2);
}

#[tokio::test]
async fn a_message_can_t_forge_a_batch() {
    // A whole segment of another spool, sent as a message: markers of another salt are content like any other.
    let (_place, _, segment) = three().await;
    let forged = fs::read(&segment).unwrap();
    let place = Place::new();
    let spool = place.reopen();
    let (evil, good) = (store(&spool, &forged).await, store(&spool, b"good").await);
    drop(spool);
    let segment = place.files("log", ".seg").remove(0);
    flip(&segment, HEADER as u64 + 3);
    let (spool, recovery) = place.open();
    assert_eq!((ids(&spool), recovery.damage.len()), (vec![evil, good], 1));
    assert_eq!(content(&spool, evil), forged);
}

#[tokio::test]
async fn another_build_s_spool_is_left_alone() {
    let (place, _, segment) = three().await;
    let mut octets = fs::read(&segment).unwrap();
    octets[8] = 2;
    let crc = crc32c::crc32c(&octets[..HEADER - 4]).to_le_bytes();
    octets[HEADER - 4..HEADER].copy_from_slice(&crc);
    fs::write(&segment, &octets).unwrap();
    let refused = place.open_on(std::sync::Arc::new(crate::spool::volume::System)).unwrap_err();
    assert!(matches!(refused, OpenError::Format { found: 2, expected: 1, .. }), "{refused:?}");
    assert_eq!(fs::read(&segment).unwrap(), octets);
    assert!(place.files("quarantine", "").is_empty());
}

#[tokio::test]
async fn any_octet_of_the_log_may_be_damaged_and_the_rest_is_there() {
    let place = Place::new();
    let spool = place.reopen();
    let mut stored = Vec::new();
    for number in 0..6u8 {
        stored.push(store(&spool, &[number; 40]).await);
    }
    keep(&spool, stored[1], waiting(NOW, 1)).await;
    done(&spool, stored[2]).await;
    drop(spool);
    let length = fs::metadata(place.files("log", ".seg").remove(0)).unwrap().len();
    for at in (0..length).step_by(13) {
        let place = place.snapshot();
        flip(&place.files("log", ".seg").remove(0), at);
        let (spool, _) = place.open();
        let held = ids(&spool);
        let missing: Vec<_> = stored.iter().filter(|id| **id != stored[2] && !held.contains(id)).collect();
        assert!(missing.len() <= 1, "octet {at} cost {missing:?}");
        check_all(&spool, &stored);
    }
}

/// Whatever is held can be read, and is what was stored.
fn check_all(spool: &Spool, stored: &[MessageId]) {
    for id in ids(spool) {
        let number = stored.iter().position(|other| *other == id).unwrap();
        assert_eq!(content(spool, id), [u8::try_from(number).unwrap(); 40]);
    }
}
