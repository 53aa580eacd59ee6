//! Whether the wall clock is believed: the shell around [`crate::schedule::ClockWatch`].

use std::{
    fs,
    path::{Path, PathBuf},
};

use parking_lot::Mutex;
use tracing::{error, info, warn};

use crate::{
    clock::{Clock, Timestamp},
    schedule::{ClockTrust, ClockWatch, Jump},
};

/// Looks at both clocks, and remembers a jump until a person confirms it, over restarts too: a file in the spool folder
/// stands for the doubt.
#[derive(Debug)]
pub struct ClockCheck {
    clock: Clock,
    doubt: PathBuf,
    watch: Mutex<ClockWatch>,
}

impl ClockCheck {
    /// `newest` is when the newest held message arrived: the clock can't be earlier than that.
    #[must_use]
    pub fn new(clock: Clock, newest: Option<Timestamp>, spool: &Path) -> Self {
        let doubt = spool.join("clock-doubted");
        let trust = if doubt.exists() { ClockTrust::Doubted } else { ClockTrust::Believed };
        if trust == ClockTrust::Doubted {
            warn!(
                "the wall clock jumped before the restart: nothing expires until `backupmx-relay queue resume` confirms it"
            );
        }
        let check = Self { clock, doubt, watch: Mutex::new(ClockWatch::new(newest, trust)) };
        check.trust();
        check
    }

    /// Looks, and says whether the wall clock is believed now.
    pub fn trust(&self) -> ClockTrust {
        let mut watch = self.watch.lock();
        if let Some(jump) = watch.step(self.clock.now(), self.clock.moment()) {
            let (how, by) = match jump {
                Jump::Ahead(by) => ("ahead", by),
                Jump::Back(by) => ("back", by),
            };
            error!(
                how,
                seconds = by.as_secs(),
                "the wall clock jumped: nothing expires until `backupmx-relay queue resume` confirms it"
            );
            if let Err(problem) = fs::write(&self.doubt, "") {
                error!("failed to note the doubt in {}: {problem}", self.doubt.display());
            }
        }
        watch.trust()
    }

    /// Whether it jumped and no person has confirmed it.
    #[must_use]
    pub fn jumped(&self) -> bool {
        self.trust() == ClockTrust::Doubted
    }

    /// A person says that it is right.
    pub fn confirm(&self) {
        if self.jumped() {
            self.watch.lock().confirm();
            if let Err(problem) = fs::remove_file(&self.doubt) {
                warn!("failed to remove {}: {problem}", self.doubt.display());
            }
            info!("the wall clock was confirmed");
        }
    }
}
