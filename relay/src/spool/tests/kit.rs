//! What the tests of the spool share.

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use tempfile::TempDir;

use super::rig::Rig;
use crate::{
    clock::Timestamp,
    message::{Envelope, MessageId, MessageState, Origin},
    metrics::Metrics,
    spool::{Body, Change, Content, NewMessage, OpenError, Options, Recovery, Spool, StoreError, Then, volume::Volume},
};

pub(super) const NOW: Timestamp = Timestamp::from_millis(1_800_000_000_000);

/// A folder for a spool.
pub(super) struct Place {
    _folder: TempDir,
    pub(super) options: Options,
}

impl Place {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { path: folder.path().join("spool"), size: Some(1 << 30), segment_size: Some(64 << 10) };
        Self { _folder: folder, options }
    }

    /// Opens it on a volume that syncs nothing: a test that needs it says [`System`].
    pub(super) fn open(&self) -> (Arc<Spool>, Recovery) {
        self.open_on(Arc::new(Rig::default())).unwrap()
    }

    pub(super) fn open_on(&self, volume: Arc<dyn Volume>) -> Result<(Arc<Spool>, Recovery), OpenError> {
        Spool::open_on(&self.options, Arc::new(Metrics::new().unwrap()), volume)
    }

    /// Opens it, and demands that nothing was damaged.
    pub(super) fn reopen(&self) -> Arc<Spool> {
        let (spool, recovery) = self.open();
        assert_eq!(recovery.damage, Vec::<String>::new());
        spool
    }

    /// The files in a folder of the spool whose names end so, in order.
    pub(super) fn files(&self, folder: &str, end: &str) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.options.path.join(folder)).unwrap();
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.retain(|path| path.to_str().unwrap().ends_with(end));
        files.sort();
        files
    }

    /// A copy of the spool as it is on the disk now.
    pub(super) fn snapshot(&self) -> Self {
        let copy = Self::new();
        for folder in ["log", "large", "quarantine"] {
            fs::create_dir_all(copy.options.path.join(folder)).unwrap();
            for file in self.files(folder, "") {
                fs::copy(&file, copy.options.path.join(folder).join(file.file_name().unwrap())).unwrap();
            }
        }
        Self { options: Options { path: copy.options.path.clone(), ..self.options.clone() }, ..copy }
    }
}

pub(super) fn domain(name: &str) -> backupmx_relay_config::DomainName {
    name.parse().unwrap()
}

/// An envelope for `recipients`, such as `a@example.org`.
pub(super) fn envelope(recipients: &[&str]) -> Envelope {
    let recipients: Vec<_> = recipients
        .iter()
        .map(|address| {
            let domain = address.rsplit_once('@').unwrap().1;
            serde_json::json!({ "path": { "text": address, "domain": domain }, "notify": null, "orcpt": null })
        })
        .collect();
    let origin = Origin::Report { parent: MessageId::from_u64(1), tenant: "test".to_owned() };
    serde_json::from_value(serde_json::json!({
        "arrived": NOW, "origin": origin, "sender": { "text": "", "domain": null }, "body": "SevenBit",
        "smtputf8": false, "ret": null, "envid": null, "recipients": recipients, "size": 0,
    }))
    .unwrap()
}

pub(super) fn message(to: &str, content: &[u8]) -> NewMessage {
    let envelope = Envelope { size: content.len() as u64, ..envelope(&[to]) };
    NewMessage { envelope, body: Body::Memory(Bytes::copy_from_slice(content)), passage: None }
}

pub(super) async fn store(spool: &Spool, content: &[u8]) -> MessageId {
    spool.store(message("user@example.org", content)).await.unwrap()
}

pub(super) async fn store_large(spool: &Spool, content: &[u8]) -> Result<MessageId, StoreError> {
    let mut large = spool.large().await?;
    for part in content.chunks(1000) {
        large.write(Bytes::copy_from_slice(part)).await?;
    }
    spool.store(NewMessage { envelope: envelope(&["user@example.org"]), body: Body::Large(large), passage: None }).await
}

pub(super) async fn done(spool: &Spool, id: MessageId) {
    spool.commit(Change { id, then: Then::Done, reports: Vec::new() }).await.unwrap();
}

pub(super) async fn keep(spool: &Spool, id: MessageId, state: MessageState) {
    spool.commit(Change { id, then: Then::Keep(state), reports: Vec::new() }).await.unwrap();
}

pub(super) fn content(spool: &Spool, id: MessageId) -> Vec<u8> {
    match spool.read(id).unwrap().content {
        Content::Memory(content) => content.to_vec(),
        Content::File(file, length) => {
            let mut content = Vec::new();
            std::io::Read::read_to_end(&mut { file }, &mut content).unwrap();
            assert_eq!(content.len() as u64, length);
            content
        }
    }
}

pub(super) fn ids(spool: &Spool) -> Vec<MessageId> {
    spool.list(None, None, usize::MAX).iter().map(|message| message.id).collect()
}

/// Waits for something that a thread of the spool does in its own time.
pub(super) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    panic!("it never came about that {what}");
}

/// A state with that due time and that many attempts.
pub(super) fn waiting(due: Timestamp, attempts: u32) -> MessageState {
    MessageState { due: Some(due), attempts, ..MessageState::new(1) }
}

/// Waits for something that other tasks and threads do.
pub(super) async fn eventually_async(mut is_so: impl FnMut() -> bool) {
    for _ in 0..2000 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never came about");
}
