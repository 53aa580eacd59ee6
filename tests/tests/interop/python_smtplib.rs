//! Python's smtplib, with TLS, 8-bit content and SMTPUTF8.

use backupmx_tests::{Config, LONG, Place, Relay, ScriptedPrimary, python};

const SEND: &str = r"
import email.message, email.policy, smtplib, ssl, sys
context = ssl.create_default_context(); context.check_hostname = False; context.verify_mode = ssl.CERT_NONE
with smtplib.SMTP(sys.argv[1], int(sys.argv[2]), local_hostname='client.sender.test') as s:
    s.starttls(context=context)
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m['From'] = 'alice@sender.test'; m['To'] = 'bob@example.org'; m['Subject'] = 'Grüße'
    m.set_content('Zwölf Boxkämpfer\n.\n..punkte\n', cte='8bit')
    assert s.send_message(m) == {}
    u = email.message.EmailMessage(policy=email.policy.SMTPUTF8)
    u['From'] = 'jürgen@sender.test'; u['To'] = 'bøb@example.org'; u['Subject'] = '日本'
    u.set_content('x\n')
    assert s.send_message(u) == {}
    try:
        s.sendmail('alice@sender.test', ['bob@elsewhere.test'], b'x')
        raise SystemExit('relayed for a stranger')
    except smtplib.SMTPRecipientsRefused as refused:
        assert refused.recipients['bob@elsewhere.test'][0] == 550
";

#[test]
fn it_sends_and_is_refused() {
    let place = Place::new();
    let primary = ScriptedPrimary::up(&place);
    let _relay = Relay::start(&place, Config::new(&place));
    let output = python(SEND, &[&place.smtp().ip().to_string(), &place.smtp().port().to_string()]);
    assert!(output.ok, "{}", output.text);
    let received = primary.wait_count(2, LONG);
    let plain = received.iter().find(|mail| mail.from == "alice@sender.test").expect("the first message");
    assert!(String::from_utf8_lossy(&plain.content).contains("Zwölf Boxkämpfer\r\n.\r\n..punkte\r\n"));
    let international = received.iter().find(|mail| mail.from == "jürgen@sender.test").expect("the second");
    assert_eq!(international.to, ["bøb@example.org"]);
    assert!(international.mail_parameters.contains("SMTPUTF8"), "{}", international.mail_parameters);
}
