//! A demo that is interrupted leaves nothing behind: no process, no folder.

use std::{fs, path::Path, process::Command};

use backupmx_tests::{LONG, Place, Process, Relay, SHORT, wait_until};
use rustix::process::Signal;

/// A process's state and parent, as the kernel tells them; none where there is no such process.
fn about(id: u32) -> Option<(char, u32)> {
    let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
    // The program's name stands before, in brackets, and may hold anything.
    let mut fields = stat.rsplit_once(") ")?.1.split(' ');
    Some((fields.next()?.chars().next()?, fields.next()?.parse().ok()?))
}

/// Those of its children that last: the relay, and the server of the person who writes.
fn children(parent: u32) -> Vec<u32> {
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    processes
        .filter(|id| about(*id).is_some_and(|(_, of)| of == parent))
        .filter(|id| {
            fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.windows(5).any(|word| word == b"serve"))
        })
        .collect()
}

fn is_gone(id: u32) -> bool {
    about(id).is_none_or(|(state, _)| state == 'Z')
}

fn folders(place: &Path) -> usize {
    let names = fs::read_dir(place).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("backupmx-demo-")).count()
}

fn play(place: &Place) -> (Process, Vec<u32>) {
    let mut command = Command::new(Relay::program());
    let demo = Process::start(command.arg("demo").env("TMPDIR", place.path()), &place.file("demo.log"));
    wait_until("both servers run", LONG, || children(demo.id()).len() == 2);
    let children = children(demo.id());
    assert_eq!(folders(place.path()), 1);
    (demo, children)
}

#[test]
fn a_signal_ends_it_and_all_that_it_started() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let place = Place::new();
        let (mut demo, children) = play(&place);
        demo.signal(signal);
        let status = demo.wait(LONG).expect("the demo ends");
        assert_eq!(status.code(), Some(code), "{}", demo.log());
        assert!(children.iter().all(|id| is_gone(*id)), "a server outlived the demo");
        assert_eq!(folders(place.path()), 0, "the folder is left");
    }
}

#[test]
fn its_servers_end_even_when_it_is_killed() {
    let place = Place::new();
    let (mut demo, children) = play(&place);
    demo.kill();
    wait_until("the servers are gone", SHORT, || children.iter().all(|id| is_gone(*id)));
}
