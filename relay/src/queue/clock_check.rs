//! Whether the wall clock is believed: the shell around [`crate::schedule::ClockWatch`].

use parking_lot::Mutex;
use tracing::{error, info};

use crate::{
    clock::{Clock, Timestamp},
    schedule::{ClockTrust, ClockWatch, Jump},
};

/// Looks at both clocks, and remembers a jump until a person confirms it.
pub(super) struct ClockCheck {
    clock: Clock,
    watch: Mutex<ClockWatch>,
}

impl ClockCheck {
    /// `newest` is when the newest held message arrived: the clock can't be earlier than that.
    pub(super) fn new(clock: Clock, newest: Option<Timestamp>) -> Self {
        let check = Self { clock, watch: Mutex::new(ClockWatch::new(newest, ClockTrust::Believed)) };
        check.trust();
        check
    }

    /// Looks, and says whether the wall clock is believed now.
    pub(super) fn trust(&self) -> ClockTrust {
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
        }
        watch.trust()
    }

    /// Whether it jumped and no person has confirmed it.
    pub(super) fn jumped(&self) -> bool {
        self.trust() == ClockTrust::Doubted
    }

    /// A person says that it is right.
    pub(super) fn confirm(&self) {
        if self.jumped() {
            self.watch.lock().confirm();
            info!("the wall clock was confirmed");
        }
    }
}
