//! The name server answers what a test wrote, and fails as it is told.

use backupmx_tests::{Dns, Mode, Place, python};

/// Asks with the smallest of stub resolvers, and prints the response code, or `timeout`, and the answer's count.
const ASK: &str = r"
import socket, struct, sys
host, port, name, kind = sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
labels = b''.join(bytes([len(l)]) + l.encode() for l in name.split('.')) + b'\0'
question = struct.pack('>HHHHHH', 7, 0x0100, 1, 0, 0, 0) + labels + struct.pack('>HH', kind, 1)
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM); s.settimeout(0.5)
s.sendto(question, (host, port))
try: answer = s.recv(4096)
except TimeoutError: print('timeout'); sys.exit()
flags, _, answers = struct.unpack('>HHH', answer[2:8])
print(flags & 15, answers)
";

fn ask(place: &Place, name: &str, kind: u16) -> String {
    let (host, port) = (place.dns().ip().to_string(), place.dns().port().to_string());
    let output = python(ASK, &[&host, &port, name, &kind.to_string()]);
    assert!(output.ok, "{}", output.text);
    output.out.trim().to_owned()
}

#[test]
fn it_answers_fails_and_is_silent() {
    let place = Place::new();
    let dns = Dns::start(&place, "sender.test. 60 IN MX 10 mx.sender.test.\nsender.test. 60 IN TXT \"v=spf1 -all\"");
    let (mx, txt) = (15, 16);
    assert_eq!(ask(&place, "sender.test", mx), "0 1");
    assert_eq!(ask(&place, "sender.test", txt), "0 1");
    assert_eq!(ask(&place, "nowhere.test", mx), "3 0");
    dns.set_records("nowhere.test. 60 IN MX 0 .");
    assert_eq!(ask(&place, "nowhere.test", mx), "0 1");
    dns.set_mode(Mode::ServFail);
    assert_eq!(ask(&place, "nowhere.test", mx), "2 0");
    dns.set_mode(Mode::Silent);
    assert_eq!(ask(&place, "nowhere.test", mx), "timeout");
    assert_eq!(dns.questions(), 6);
}
