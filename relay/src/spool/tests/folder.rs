//! The way to the spool's folder is as durable as what is in it.

use std::{io::ErrorKind, path::Path, sync::Arc};

use super::{
    kit::*,
    rig::{Fault, Rig},
};

fn deep() -> Place {
    let mut place = Place::new();
    place.options.path = place.options.path.join("a/b/c");
    place
}

fn try_open(place: &Place, faults: &[Fault]) -> Result<Arc<Rig>, String> {
    let rig = Arc::new(Rig::default());
    rig.fail(faults);
    place.open_on(Arc::clone(&rig) as _).map(|_| rig).map_err(|error| error.to_string())
}

#[tokio::test]
async fn every_folder_that_was_made_is_synced_in_the_one_above() {
    let place = deep();
    let rig = try_open(&place, &[]).unwrap();
    let spool = place.options.path.clone();
    let made: Vec<&Path> = spool.ancestors().take(4).collect();
    for folder in made {
        assert!(rig.has_synced(folder), "{}", folder.display());
    }
    assert!(rig.has_synced(&spool.join("log")) && rig.has_synced(&spool.join("large")));
}

#[tokio::test]
async fn a_file_is_no_folder() {
    let mut place = Place::new();
    place.options.path = place.options.path.with_file_name("file");
    std::fs::write(&place.options.path, "mail").unwrap();
    let error = try_open(&place, &[]).unwrap_err();
    let path = place.options.path.display();
    assert_eq!(
        error,
        format!("failed to open the spool: expected a folder, such as /var/lib/backupmx; {path} is none")
    );
}

#[tokio::test]
async fn a_folder_whose_entry_cannot_be_made_durable_is_not_used() {
    let denied = Fault::Folder(ErrorKind::PermissionDenied);
    let broken = Fault::Folder(ErrorKind::Other);
    let place = deep();
    let above = |levels: usize| place.options.path.ancestors().nth(levels).unwrap().display().to_string();
    // The folder above the lowest that was there may be another's; where it is broken, that is an error.
    assert_eq!(try_open(&place, &[broken]).unwrap_err(), format!("failed to sync folder {}", above(5)));
    // The folders above what was made are the relay's to sync.
    assert_eq!(try_open(&place, &[denied, denied]).unwrap_err(), format!("failed to sync folder {}", above(4)));
    // The next start makes up for what that one could not sync.
    let rig = try_open(&place, &[]).unwrap();
    assert!(place.options.path.ancestors().take(4).all(|folder| rig.has_synced(folder)));
}
