//! Wakes the tenants whose lanes have new mail.

use std::sync::Arc;

use super::{Command, Queue};

/// Runs until it is aborted.
pub(super) async fn run(queue: Arc<Queue>) {
    loop {
        for lane in queue.context.spool.changed().await {
            match queue.tenant_of(&lane) {
                Some(tenant) => queue.send(&tenant, Command::MailReady),
                None => queue.context.reports_ready.notify_one(),
            }
        }
    }
}
