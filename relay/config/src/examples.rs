//! Documents to start from, as `backupmx-relay config example` prints them.

/// Every field, explained, with its default where it has one.
pub const FULL: &str = include_str!("../examples/full.yaml");

/// Mail is held for 7 days; tries slide from 5 to 45 minutes.
pub const HOLD_7_DAYS: &str = include_str!("../examples/hold-7-days.yaml");

/// Mail is held for 14 days; a try every 5 minutes.
pub const HOLD_14_DAYS: &str = include_str!("../examples/hold-14-days.yaml");
