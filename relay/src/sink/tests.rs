//! The stand-in primary over TCP, and the facts about its library that keep it off the Internet.

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    path::Path,
    time::Duration,
};

use super::{Options, serve};

/// Starts one on a port of its own. It ends with the test process.
fn start(directory: &Path, refuse: &[&str]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let options = Options {
        listen: address,
        directory: directory.to_owned(),
        hostname: "sink.example.org".to_owned(),
        refuse: refuse.iter().map(|local| (*local).to_owned()).collect(),
    };
    std::thread::spawn(move || serve(listener, &options));
    address
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let mut client = Self(BufReader::new(stream));
        assert_eq!(client.reply(), "220 sink.example.org ESMTP\r\n");
        client
    }

    fn reply(&mut self) -> String {
        let mut all = String::new();
        loop {
            let mut line = String::new();
            self.0.read_line(&mut line).unwrap();
            all.push_str(&line);
            if line.as_bytes().get(3) != Some(&b'-') {
                return all;
            }
        }
    }

    fn send(&mut self, octets: &[u8]) {
        self.0.get_mut().write_all(octets).unwrap();
    }

    fn say(&mut self, line: &str) -> String {
        self.send(format!("{line}\r\n").as_bytes());
        self.reply()
    }
}

fn files(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_message_is_two_whole_files_before_its_250() {
    let directory = tempfile::tempdir().unwrap();
    let mut client = Client::connect(start(directory.path(), &["Nobody"]));
    client.say("EHLO client.example.net");
    assert!(client.say("MAIL FROM:<a@example.net>").starts_with("250"));
    assert!(client.say("RCPT TO:<b@example.org>").starts_with("250"));
    assert_eq!(client.say("RCPT TO:<nobody@example.org>"), "550 5.1.1 No such user here\r\n");
    assert!(client.say("DATA").starts_with("354"));
    client.send(b"Subject: x\r\n\r\n..dot \xe9\r\n.\r\n");
    assert!(client.reply().starts_with("250 2.0.0 "));
    let names = files(directory.path());
    let [eml, json] = names.as_slice() else { panic!("{names:?}") };
    assert_eq!(eml.strip_suffix(".eml"), json.strip_suffix(".json"));
    assert_eq!(fs::read(directory.path().join(eml)).unwrap(), b"Subject: x\r\n\r\n.dot \xe9\r\n");
    let said: serde_json::Value = serde_json::from_slice(&fs::read(directory.path().join(json)).unwrap()).unwrap();
    assert_eq!(
        said,
        serde_json::json!({
            "from": "a@example.net", "to": ["b@example.org"], "helo": "client.example.net", "peer": "127.0.0.1",
            "size": 22,
        })
    );
}

#[test]
fn a_message_that_cannot_be_written_is_not_accepted() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("mail");
    let mut client = Client::connect(start(&folder, &[]));
    client.say("EHLO client.example.net");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<b@example.org>");
    client.say("DATA");
    fs::remove_dir(&folder).unwrap();
    assert!(client.say("x\r\n.").starts_with("451 4.3.0"));
}

#[test]
fn the_library_refuses_the_null_sender() {
    let directory = tempfile::tempdir().unwrap();
    let mut client = Client::connect(start(directory.path(), &[]));
    client.say("EHLO client.example.net");
    assert_eq!(client.say("MAIL FROM:<>"), "500 Syntax error\r\n");
}

#[test]
fn the_library_offers_8bitmime_alone_and_knows_no_other_parameter() {
    let directory = tempfile::tempdir().unwrap();
    let mut client = Client::connect(start(directory.path(), &[]));
    assert_eq!(client.say("EHLO client.example.net"), "250-server offers extensions:\r\n250 8BITMIME\r\n");
    assert_eq!(client.say("MAIL FROM:<a@example.net> SIZE=100"), "500 Syntax error\r\n");
    assert!(client.say("MAIL FROM:<a@example.net> BODY=8BITMIME").starts_with("250"));
}

#[test]
fn the_library_ends_a_message_at_a_bare_lf_before_the_dot() {
    let directory = tempfile::tempdir().unwrap();
    let mut client = Client::connect(start(directory.path(), &[]));
    client.say("EHLO client.example.net");
    client.say("MAIL FROM:<a@example.net>");
    client.say("RCPT TO:<b@example.org>");
    client.say("DATA");
    client.send(b"one\n.\r\nMAIL FROM:<smuggled@example.net>\r\n");
    assert!(client.reply().starts_with("250 2.0.0 "));
    assert!(client.reply().starts_with("250 "), "the smuggled command was taken for one");
}

#[test]
fn the_library_reads_lines_without_a_limit() {
    let directory = tempfile::tempdir().unwrap();
    let mut client = Client::connect(start(directory.path(), &[]));
    client.send("x".repeat(4 << 20).as_bytes());
    assert_eq!(client.say(""), "500 Syntax error\r\n");
    assert!(client.say("NOOP").starts_with("250"));
}

#[test]
fn the_library_takes_a_thread_for_each_session() {
    let directory = tempfile::tempdir().unwrap();
    let address = start(directory.path(), &[]);
    let mut idle: Vec<Client> = (0..super::SESSIONS).map(|_| Client::connect(address)).collect();
    let one_more = TcpStream::connect(address).unwrap();
    one_more.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut one_more = Client(BufReader::new(one_more));
    let mut greeting = String::new();
    assert!(one_more.0.read_line(&mut greeting).is_err(), "idle sessions keep others out: {greeting}");
    assert!(idle.remove(0).say("QUIT").starts_with("221"));
    one_more.0.get_ref().set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    assert_eq!(one_more.reply(), "220 sink.example.org ESMTP\r\n");
}
