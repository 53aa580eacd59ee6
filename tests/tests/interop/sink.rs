//! `backupmx-relay sink`, the stand-in primary, writes each message to its folder.

use std::{fs, path::Path, process::Command};

use backupmx_tests::{Config, LONG, Mail, Place, Process, Relay, Smtp, same_content, wait_until};

fn files(folder: &Path, extension: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == extension))
        .map(|path| fs::read(path).unwrap())
        .collect()
}

#[test]
fn held_mail_ends_up_in_a_folder() {
    let place = Place::new();
    let relay = Relay::start(&place, Config::new(&place));
    let mail = Mail::to("bob@example.org").with_body(b".\r\n..\r\n\xe4\r\n");
    relay.session().mail(&mail).expect(250);
    relay.wait_held(1);

    let folder = place.file("arrived");
    let mut sink = Command::new(Relay::program());
    sink.args(["sink", "--listen", &place.primary().to_string(), "--refuse", "nobody"]).arg("--directory").arg(&folder);
    let _sink = Process::start(&mut sink, &place.file("sink.log"));
    wait_until("the message is in the folder", LONG, || files(&folder, "eml").len() == 1);
    relay.wait_empty(LONG);
    same_content(&files(&folder, "eml")[0], &mail.content);
    let envelope: serde_json::Value = serde_json::from_slice(&files(&folder, "json")[0]).unwrap();
    assert_eq!(envelope["from"], "alice@sender.test");

    let mut session = Smtp::session(place.primary());
    session.command("MAIL FROM:<alice@sender.test>").expect(250);
    session.command("RCPT TO:<nobody@example.org>").expect(550);
}
