//! The limit on open files that a container begins with is raised: each relay that is asked is a connection.

use std::fs;

use crate::common::Stage;

#[test]
fn the_limit_is_raised_as_far_as_it_may_be() {
    let stage = Stage::new();
    let mut options = stage.options();
    options.open_files = Some(256);
    let operator = stage.operator_by(options);
    let limits = fs::read_to_string(format!("/proc/{}/limits", operator.id())).unwrap();
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files")).unwrap();
    let (soft, hard) = line.trim().split_once(char::is_whitespace).unwrap();
    assert!(soft != "256" && hard.trim().starts_with(soft), "{line}");
}
