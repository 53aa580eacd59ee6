//! How many messages a second the spool makes durable, and gives back: `spool_bench [FOLDER [SESSIONS [SECONDS]]]`.
//! The folder must be on the volume that is to be measured; a new one inside it is used, and removed.
#![expect(clippy::print_stdout, clippy::unwrap_used)]

use std::{
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

use backupmx_relay::{
    message::{Envelope, MessageId, Origin},
    metrics::Metrics,
    spool::{Body, Change, NewMessage, Options, Spool, Then},
};
use bytes::Bytes;

const SIZE: usize = 4096;

fn envelope() -> Envelope {
    let origin = Origin::Report { parent: MessageId::from_u64(1), tenant: "bench".to_owned() };
    let path = serde_json::json!({ "text": "user@example.org", "domain": "example.org" });
    serde_json::from_value(serde_json::json!({
        "arrived": 0, "origin": origin, "sender": { "text": "", "domain": null }, "body": "SevenBit",
        "smtputf8": false, "ret": null, "envid": null, "size": SIZE,
        "recipients": [{ "path": path, "notify": null, "orcpt": null }],
    }))
    .unwrap()
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| ".".to_owned());
    let sessions: usize = arguments.next().map_or(100, |text| text.parse().unwrap());
    let span = Duration::from_secs(arguments.next().map_or(5, |text| text.parse().unwrap()));
    let path = std::path::Path::new(&parent).join(format!("spool-bench-{}", std::process::id()));
    let options = Options { path: path.clone(), size: None, segment_size: None };
    let metrics = Arc::new(Metrics::new().unwrap());
    let spool = Spool::open(&options, metrics, SystemTime::now().into()).unwrap().0;
    let started = Instant::now();
    let tasks: Vec<_> = (0..sessions)
        .map(|_| {
            let (spool, envelope, body) = (Arc::clone(&spool), envelope(), Bytes::from(vec![b'x'; SIZE]));
            tokio::spawn(async move {
                let mut count = 0u64;
                while started.elapsed() < span {
                    let message =
                        NewMessage { envelope: envelope.clone(), body: Body::Memory(body.clone()), passage: None };
                    spool.store(message).await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    report("stored", tasks, started).await;
    let started = Instant::now();
    let tasks: Vec<_> = (0..sessions)
        .map(|_| {
            let spool = Arc::clone(&spool);
            tokio::spawn(async move {
                let mut count = 0u64;
                let domains = ["example.org".parse().unwrap()];
                while let Some(claim) = spool.claim(&domains, SystemTime::now().into()) {
                    spool.read(claim.id()).unwrap();
                    spool.commit(Change { id: claim.id(), then: Then::Done, reports: Vec::new() }).await.unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    report("claimed, read and done", tasks, started).await;
    spool.close().await;
    drop(spool);
    std::fs::remove_dir_all(path).unwrap();
}

async fn report(what: &str, tasks: Vec<tokio::task::JoinHandle<u64>>, started: Instant) {
    let mut count = 0;
    for task in tasks {
        count += task.await.unwrap();
    }
    let seconds = started.elapsed().as_secs_f64();
    println!("{count} {what} in {seconds:.1} s: {:.0} a second", count as f64 / seconds);
}
