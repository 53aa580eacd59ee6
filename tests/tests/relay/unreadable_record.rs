//! Mail that the disk does not give (EIO) is reported and stays where it is; all other mail goes on.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use backupmx_tests::{Config, LONG, Mail, Place, Relay, ScriptedPrimary, wait_until};

/// A file whose every read is a real EIO: over it is mounted this process's memory, of whose first pages there are none.
struct Unreadable(PathBuf);

impl Unreadable {
    fn make(path: &Path) -> Self {
        let memory = format!("/proc/{}/mem", std::process::id());
        let mounted = Command::new("mount").args(["--bind", &memory]).arg(path).status().unwrap();
        assert!(mounted.success(), "this test mounts over a file and so must run as root");
        let problem = fs::read(path).unwrap_err();
        assert_eq!(problem.raw_os_error(), Some(rustix::io::Errno::IO.raw_os_error()), "{problem}");
        Self(path.to_owned())
    }
}

impl Drop for Unreadable {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn segments(spool: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<_> = fs::read_dir(spool.join("log")).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|found| found == "seg"));
    paths.sort();
    paths
}

#[test]
fn others_go_on_and_it_comes_when_the_disk_is_well() {
    let place = Place::new();
    let spool = place.file("spool");
    let mut primary = ScriptedPrimary::down(&place);
    let mut relay = Relay::start(&place, Config::new(&place).set("/spool/segmentSize", "1Mi"));
    let body = [&[b'x'; 62][..], b"\r\n"].concat().repeat(3 * 1024);
    let mails: Vec<_> = (0..20).map(|_| Mail::to("bob@example.org").with_body(&body)).collect();
    let mut session = relay.session();
    for mail in &mails {
        session.mail(mail).expect(250);
    }
    let sealed = segments(&spool);
    assert!(sealed.len() >= 3, "{sealed:?}");
    let text = String::from_utf8_lossy(&fs::read(&sealed[1]).unwrap()).into_owned();
    let (lost, well): (Vec<&Mail>, Vec<&Mail>) = mails.iter().partition(|mail| text.contains(&mail.id()));
    assert!(!lost.is_empty() && !well.is_empty());

    let fault = Unreadable::make(&sealed[1]);
    primary.start();
    wait_until("the others are delivered", LONG, || primary.count() == well.len());
    wait_until("it is reported", LONG, || relay.log().matches("a held message is tried again in a minute").count() > 0);
    assert!(relay.log().contains("Input/output error"), "the log says what the disk says");
    relay.wait_held(lost.len() as u64);
    let list = relay.command(&["queue", "list"]).out;
    assert_eq!(list.matches("damaged").count(), lost.len(), "{list}");
    assert!(relay.runs() && !relay.log().contains("panicked"));
    // It is no damage: nothing was set aside.
    assert_eq!(relay.status().storage.quarantined, 0);
    // Mail is taken and delivered as ever.
    relay.session().mail(&Mail::to("eve@example.org")).expect(250);
    primary.wait_count(well.len() + 1, LONG);

    drop(fault);
    // Not to wait for the minute.
    relay.kill();
    relay.start_again();
    let received = primary.wait_count(mails.len() + 1, LONG);
    for mail in &mails {
        assert_eq!(received.iter().filter(|arrived| arrived.id() == mail.id()).count(), 1, "{}", mail.id());
    }
    relay.wait_empty(LONG);
}
