//! What the relay writes is its user's alone, however generous the umask it was started with.

use std::{os::unix::fs::PermissionsExt, path::Path, process::Command};

use backupmx_tests::{Config, Mail, Place, Relay};

#[test]
fn folders_are_0700_and_files_0600() {
    let place = Place::new();
    let mut command = Command::new("sh");
    command.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(Relay::program());
    let mut relay = Relay::start_by(&place, Config::new(&place), &mut command);
    relay.session().mail(&Mail::to("bob@example.org")).expect(250);
    let large = Mail::to("bob@example.org").with_body(&b"0123456789abcdef0123456789abcdef\r\n".repeat(100_000));
    relay.session().mail(&large).expect(250);
    let output = relay.command(&["queue", "suspend", "example.org"]);
    assert!(output.ok, "{}", output.text);
    assert!(relay.stop().status.success());
    let mut seen = Vec::new();
    look(&place.file("spool"), &mut seen);
    for (path, wanted, mode) in &seen {
        assert_eq!(mode, wanted, "{path}: {mode:o}, not {wanted:o}");
    }
    for name in ["suspended.json", "lock", ".seg", ".msg"] {
        assert!(seen.iter().any(|(path, ..)| path.ends_with(name)), "no {name} among {seen:?}");
    }
}

/// Every folder and file: its path, the mode that it should have, and the one it has.
fn look(path: &Path, seen: &mut Vec<(String, u32, u32)>) {
    let about = path.symlink_metadata().unwrap();
    let wanted = if about.is_dir() { 0o700 } else { 0o600 };
    seen.push((path.display().to_string(), wanted, about.permissions().mode() & 0o7777));
    if about.is_dir() {
        for entry in path.read_dir().unwrap() {
            look(&entry.unwrap().path(), seen);
        }
    }
}
