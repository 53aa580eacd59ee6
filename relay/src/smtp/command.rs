//! Commands (RFC 5321 4.1.1) with the parameters of the extensions that are offered.

use super::{EnhancedCode, ForwardPath, PathError, Reply, ReversePath, XText, path::bracketed};
use crate::message::{BodyType, Notify, ReportContent};

/// One command of a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// HELO with the client's name.
    Helo(String),
    /// EHLO with the client's name.
    Ehlo(String),
    /// MAIL.
    Mail(Mail),
    /// RCPT.
    Rcpt(Rcpt),
    /// DATA.
    Data,
    /// BDAT (RFC 3030): so many octets follow.
    Bdat {
        /// Octets of the chunk.
        octets: u64,
        /// Which chunk of the message it is.
        chunk: Chunk,
    },
    /// RSET.
    Rset,
    /// NOOP.
    Noop,
    /// QUIT.
    Quit,
    /// VRFY.
    Vrfy,
    /// EXPN.
    Expn,
    /// HELP.
    Help,
    /// STARTTLS (RFC 3207).
    StartTls,
    /// ETRN with what it names (RFC 1985).
    Etrn(String),
}

/// Which chunk of a message BDAT brings (RFC 3030 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// More will follow.
    More,
    /// The message ends with it.
    Last,
}

/// The MAIL command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mail {
    /// Who sends.
    pub sender: ReversePath,
    /// The `SIZE` parameter, in octets (RFC 1870).
    pub size: Option<u64>,
    /// The `BODY` parameter (RFC 6152).
    pub body: BodyType,
    /// The `SMTPUTF8` parameter (RFC 6531).
    pub smtputf8: bool,
    /// The `RET` parameter (RFC 3461 4.3).
    pub ret: Option<ReportContent>,
    /// The `ENVID` parameter (RFC 3461 4.4).
    pub envid: Option<XText>,
}

/// The RCPT command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rcpt {
    /// Who receives.
    pub to: RcptTo,
    /// The `NOTIFY` parameter (RFC 3461 4.1).
    pub notify: Option<Notify>,
    /// The `ORCPT` parameter (RFC 3461 4.2).
    pub orcpt: Option<XText>,
}

/// Whom a RCPT command names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RcptTo {
    /// A mailbox.
    Path(ForwardPath),
    /// `<postmaster>` without a domain (RFC 5321 4.5.1).
    Postmaster,
}

/// Why a line is not a command that can be obeyed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CommandError {
    /// The verb is unknown.
    #[error("command not recognised")]
    Unknown,
    /// Octets that are neither ASCII nor UTF-8, or control characters.
    #[error("a command is printable ASCII or UTF-8")]
    Octets,
    /// The arguments have another form.
    #[error("expected {0}")]
    Arguments(&'static str),
    /// The reverse-path is wrong.
    #[error("{0}")]
    Sender(PathError),
    /// The forward-path is wrong.
    #[error("{0}")]
    Recipient(PathError),
    /// A parameter that is not offered, or a value of it that is not.
    #[error("parameter {0} is not supported here")]
    Parameter(String),
    /// A parameter's value is wrong.
    #[error("expected {0}")]
    Value(&'static str),
}

impl CommandError {
    /// The answer to the client.
    #[must_use]
    pub fn reply(&self) -> Reply {
        let (code, enhanced) = match self {
            Self::Unknown => (500, EnhancedCode(5, 5, 1)),
            Self::Octets => (500, EnhancedCode(5, 5, 2)),
            Self::Arguments(_) | Self::Value(_) => (501, EnhancedCode(5, 5, 4)),
            Self::Sender(_) => (501, EnhancedCode(5, 1, 7)),
            Self::Recipient(_) => (501, EnhancedCode(5, 1, 3)),
            Self::Parameter(_) => (555, EnhancedCode(5, 5, 4)),
        };
        Reply::new(code, Some(enhanced), self.to_string())
    }
}

/// Octets of the name that a client gives itself.
const NAME: usize = 255;

impl Command {
    /// Reads a line without its CRLF.
    ///
    /// # Errors
    /// It is not a command that can be obeyed; the error knows the answer.
    pub fn parse(line: &[u8]) -> Result<Self, CommandError> {
        let line = str::from_utf8(line).map_err(|_| CommandError::Octets)?;
        if line.chars().any(|character| character.is_control() && character != '\t') {
            return Err(CommandError::Octets);
        }
        let line = line.trim_end_matches([' ', '\t']);
        let (verb, arguments) = line.split_once([' ', '\t']).unwrap_or((line, ""));
        let arguments = arguments.trim_start_matches([' ', '\t']);
        let mut upper = [0; 8];
        let upper = upper.get_mut(..verb.len()).ok_or(CommandError::Unknown)?;
        upper.copy_from_slice(verb.as_bytes());
        upper.make_ascii_uppercase();
        match &*upper {
            b"MAIL" => mail(arguments).map(Self::Mail),
            b"RCPT" => rcpt(arguments).map(Self::Rcpt),
            b"DATA" => alone(arguments, Self::Data),
            b"BDAT" => bdat(arguments),
            b"EHLO" => name(arguments).map(Self::Ehlo),
            b"HELO" => name(arguments).map(Self::Helo),
            b"RSET" => alone(arguments, Self::Rset),
            b"QUIT" => alone(arguments, Self::Quit),
            b"STARTTLS" => alone(arguments, Self::StartTls),
            b"NOOP" => Ok(Self::Noop),
            b"VRFY" => Ok(Self::Vrfy),
            b"EXPN" => Ok(Self::Expn),
            b"HELP" => Ok(Self::Help),
            b"ETRN" => name(arguments).map(Self::Etrn),
            _ => Err(CommandError::Unknown),
        }
    }
}

fn alone(arguments: &str, command: Command) -> Result<Command, CommandError> {
    if arguments.is_empty() { Ok(command) } else { Err(CommandError::Arguments("no argument")) }
}

fn bdat(arguments: &str) -> Result<Command, CommandError> {
    let (size, rest) = arguments.split_once([' ', '\t']).unwrap_or((arguments, ""));
    let chunk = match rest.trim_start_matches([' ', '\t']) {
        "" => Chunk::More,
        word if word.eq_ignore_ascii_case("LAST") => Chunk::Last,
        _ => return Err(CommandError::Arguments("BDAT octets, or BDAT octets LAST")),
    };
    match octets(size) {
        Some(octets) => Ok(Command::Bdat { octets, chunk }),
        None => Err(CommandError::Arguments("BDAT octets, or BDAT octets LAST")),
    }
}

/// A number as RFC 1870 writes it: up to 20 digits.
fn octets(text: &str) -> Option<u64> {
    let digits = text.len() <= 20 && text.bytes().all(|octet| octet.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

fn name(argument: &str) -> Result<String, CommandError> {
    if argument.is_empty() || argument.len() > NAME || argument.contains([' ', '\t']) {
        return Err(CommandError::Arguments("one name or address literal of at most 255 octets"));
    }
    Ok(argument.to_owned())
}

/// What follows `FROM:` or `TO:`; a space after the colon is let through, as many clients put one.
fn after_keyword<'a>(arguments: &'a str, keyword: &str) -> Option<&'a str> {
    let (head, rest) = arguments.split_at_checked(keyword.len())?;
    head.eq_ignore_ascii_case(keyword).then(|| rest.trim_start_matches(' '))
}

fn mail(arguments: &str) -> Result<Mail, CommandError> {
    let rest = after_keyword(arguments, "FROM:").ok_or(CommandError::Arguments("MAIL FROM:<address>"))?;
    let (path, rest) = bracketed(rest).map_err(CommandError::Sender)?;
    let mut mail = Mail { sender: path.parse().map_err(CommandError::Sender)?, ..Mail::default() };
    let mut seen = Seen::default();
    for parameter in parameters(rest)? {
        let (keyword, value) = seen.next(parameter)?;
        match (keyword.as_str(), value) {
            ("SIZE", Some(value)) => {
                mail.size = Some(octets(value).ok_or(CommandError::Value("SIZE=octets, a number"))?);
            }
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("7BIT") => mail.body = BodyType::SevenBit,
            ("BODY", Some(value)) if value.eq_ignore_ascii_case("8BITMIME") => mail.body = BodyType::EightBitMime,
            ("SMTPUTF8", None) => mail.smtputf8 = true,
            ("RET", Some(value)) if value.eq_ignore_ascii_case("FULL") => mail.ret = Some(ReportContent::Full),
            ("RET", Some(value)) if value.eq_ignore_ascii_case("HDRS") => mail.ret = Some(ReportContent::Headers),
            ("RET", _) => return Err(CommandError::Value("RET=FULL or RET=HDRS")),
            ("ENVID", Some(value)) => {
                let envid = XText::envid(value);
                mail.envid =
                    Some(envid.map_err(|_| CommandError::Value("ENVID=xtext of at most 100 octets (RFC 3461 4)"))?);
            }
            _ => return Err(CommandError::Parameter(keyword)),
        }
    }
    if !mail.sender.as_str().is_ascii() && !mail.smtputf8 {
        return Err(CommandError::Sender(PathError("an address beyond ASCII needs SMTPUTF8")));
    }
    Ok(mail)
}

fn rcpt(arguments: &str) -> Result<Rcpt, CommandError> {
    let rest = after_keyword(arguments, "TO:").ok_or(CommandError::Arguments("RCPT TO:<address>"))?;
    let (path, rest) = bracketed(rest).map_err(CommandError::Recipient)?;
    let to = if path.eq_ignore_ascii_case("postmaster") {
        RcptTo::Postmaster
    } else {
        RcptTo::Path(path.parse().map_err(CommandError::Recipient)?)
    };
    let mut rcpt = Rcpt { to, notify: None, orcpt: None };
    let mut seen = Seen::default();
    for parameter in parameters(rest)? {
        let (keyword, value) = seen.next(parameter)?;
        match (keyword.as_str(), value) {
            ("NOTIFY", value) => rcpt.notify = Some(notify(value.unwrap_or_default())?),
            ("ORCPT", Some(value)) => {
                let orcpt = XText::orcpt(value);
                rcpt.orcpt = Some(
                    orcpt.map_err(|_| CommandError::Value("ORCPT=type;xtext of at most 500 octets (RFC 3461 4)"))?,
                );
            }
            _ => return Err(CommandError::Parameter(keyword)),
        }
    }
    Ok(rcpt)
}

fn notify(value: &str) -> Result<Notify, CommandError> {
    let mut notify = Notify::default();
    if value.eq_ignore_ascii_case("NEVER") {
        return Ok(notify);
    }
    for word in value.split(',') {
        let slot = match word.to_ascii_uppercase().as_str() {
            "SUCCESS" => &mut notify.success,
            "FAILURE" => &mut notify.failure,
            "DELAY" => &mut notify.delay,
            _ => return Err(CommandError::Value("NOTIFY=NEVER, or of SUCCESS, FAILURE and DELAY")),
        };
        *slot = true;
    }
    Ok(notify)
}

/// The parameters after a path, each preceded by a space.
fn parameters(rest: &str) -> Result<impl Iterator<Item = &str>, CommandError> {
    if rest.is_empty() || rest.starts_with([' ', '\t']) {
        Ok(rest.split([' ', '\t']).filter(|parameter| !parameter.is_empty()))
    } else {
        Err(CommandError::Arguments("a space after the address"))
    }
}

/// The parameters that a command has had: one twice is a mistake.
#[derive(Default)]
struct Seen(Vec<String>);

impl Seen {
    fn next<'a>(&mut self, parameter: &'a str) -> Result<(String, Option<&'a str>), CommandError> {
        let (keyword, value) = match parameter.split_once('=') {
            Some((keyword, value)) => (keyword, Some(value)),
            None => (parameter, None),
        };
        let keyword = keyword.to_ascii_uppercase();
        if self.0.contains(&keyword) {
            return Err(CommandError::Value("each parameter once"));
        }
        self.0.push(keyword.clone());
        Ok((keyword, value))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(line: &str) -> Result<Command, CommandError> {
        Command::parse(line.as_bytes())
    }

    fn code(line: &str) -> String {
        parse(line).expect_err(line).reply().to_string().split(' ').take(2).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn verbs_are_read_in_any_case() {
        for (line, command) in [
            ("DATA", Command::Data),
            ("BDAT 0", Command::Bdat { octets: 0, chunk: Chunk::More }),
            ("bdat 1000  last", Command::Bdat { octets: 1000, chunk: Chunk::Last }),
            ("data ", Command::Data),
            ("rSeT", Command::Rset),
            ("NOOP anything", Command::Noop),
            ("QUIT", Command::Quit),
            ("VRFY <x>", Command::Vrfy),
            ("EXPN list", Command::Expn),
            ("HELP", Command::Help),
            ("STARTTLS", Command::StartTls),
            ("EHLO mx.example.com", Command::Ehlo("mx.example.com".to_owned())),
            ("helo [192.0.2.1]", Command::Helo("[192.0.2.1]".to_owned())),
            ("ETRN example.org", Command::Etrn("example.org".to_owned())),
        ] {
            assert_eq!(parse(line), Ok(command), "{line}");
        }
    }

    #[test]
    fn mail_and_rcpt_carry_their_parameters() {
        let Ok(Command::Mail(mail)) =
            parse("MAIL FROM:<a@b.test> SIZE=1000 body=8bitmime SMTPUTF8 RET=HDRS ENVID=a+2Bb")
        else {
            panic!("not taken");
        };
        assert_eq!(mail.sender.as_str(), "a@b.test");
        assert_eq!((mail.size, mail.body, mail.smtputf8), (Some(1000), BodyType::EightBitMime, true));
        assert_eq!((mail.ret, mail.envid.unwrap().as_str()), (Some(ReportContent::Headers), "a+2Bb"));
        let Ok(Command::Rcpt(rcpt)) = parse("rcpt to: <\"a b>\"@b.test> NOTIFY=SUCCESS,DELAY ORCPT=rfc822;a@b.test")
        else {
            panic!("not taken");
        };
        assert_eq!(rcpt.to, RcptTo::Path("\"a b>\"@b.test".parse().unwrap()));
        assert_eq!(rcpt.notify, Some(Notify { success: true, failure: false, delay: true }));
        assert_eq!(rcpt.orcpt.unwrap().as_str(), "rfc822;a@b.test");
        assert!(matches!(parse("MAIL FROM:<>"), Ok(Command::Mail(mail)) if mail.sender.is_null()));
        assert!(matches!(parse("RCPT TO:<PostMaster>"), Ok(Command::Rcpt(Rcpt { to: RcptTo::Postmaster, .. }))));
    }

    #[test]
    fn wrong_lines_have_the_right_answers() {
        for (line, expected) in [
            ("", "500 5.5.1"),
            ("FOO", "500 5.5.1"),
            ("GET / HTTP/1.1", "500 5.5.1"),
            ("STARTTLSS", "500 5.5.1"),
            ("NOOP \u{1}", "500 5.5.2"),
            ("DATA now", "501 5.5.4"),
            ("BDAT", "501 5.5.4"),
            ("BDAT LAST", "501 5.5.4"),
            ("BDAT -1", "501 5.5.4"),
            ("BDAT +1 LAST", "501 5.5.4"),
            ("BDAT 1 LAST x", "501 5.5.4"),
            ("BDAT 99999999999999999999", "501 5.5.4"),
            ("EHLO", "501 5.5.4"),
            ("EHLO a b", "501 5.5.4"),
            ("ETRN", "501 5.5.4"),
            ("MAIL", "501 5.5.4"),
            ("MAIL FROM:", "501 5.1.7"),
            ("MAIL FROM:a@b.test", "501 5.1.7"),
            ("MAIL FROM:<a@b.test", "501 5.1.7"),
            ("MAIL FROM:<a b@b.test>", "501 5.1.7"),
            ("MAIL FROM:<é@b.test>", "501 5.1.7"),
            ("MAIL FROM:<a@b.test>SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> SIZE=", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> SIZE=-1", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> SIZE=99999999999999999999", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> SIZE=1 SIZE=1", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> SIZE", "555 5.5.4"),
            ("MAIL FROM:<a@b.test> BODY=BINARYMIME", "555 5.5.4"),
            ("MAIL FROM:<a@b.test> REQUIRETLS", "555 5.5.4"),
            ("MAIL FROM:<a@b.test> RET=ALL", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> ENVID=a+0D+0Ab", "501 5.5.4"),
            ("MAIL FROM:<a@b.test> ENVID=a>b c", "555 5.5.4"),
            ("RCPT TO:<>", "501 5.1.3"),
            ("RCPT TO:<a@[192.0.2.1]>", "501 5.1.3"),
            ("RCPT TO:<\"a\"b@b.test>", "501 5.1.3"),
            ("RCPT TO:<a@b.test> NOTIFY=", "501 5.5.4"),
            ("RCPT TO:<a@b.test> NOTIFY=NEVER,DELAY", "501 5.5.4"),
            ("RCPT TO:<a@b.test> ORCPT=rfc822;a+0D+0ARSET", "501 5.5.4"),
            ("RCPT TO:<a@b.test> SIZE=1", "555 5.5.4"),
        ] {
            assert_eq!(code(line), expected, "{line:?}");
        }
        assert_eq!(Command::parse(b"EHLO \xff"), Err(CommandError::Octets));
    }

    proptest! {
        #[test]
        fn no_control_character_gets_in(
            verb in "(EHLO |ETRN |MAIL FROM:<|RCPT TO:<)",
            rest in "[a-z\\\\\"\r\n\t\u{0}\u{85}@ ]{0,10}(@b\\.test>|>)?",
        ) {
            let line = format!("{verb}{rest}");
            let texts = match parse(&line) {
                Ok(Command::Ehlo(text) | Command::Etrn(text)) => text,
                Ok(Command::Mail(mail)) => mail.sender.as_str().to_owned(),
                Ok(Command::Rcpt(Rcpt { to: RcptTo::Path(path), .. })) => path.as_str().to_owned(),
                _ => return Ok(()),
            };
            prop_assert!(!texts.contains(char::is_control), "{:?}", line);
        }

        #[test]
        fn nothing_panics(line in proptest::collection::vec(any::<u8>(), 0..80)) {
            let _ = Command::parse(&line);
        }

        #[test]
        fn mail_lines_never_panic(rest in "MAIL FROM:<[a-z@\"\\\\é ]{0,9}@b\\.test>( (SIZE|ENVID|RET|BODY)=[0-9A-Z+]{0,4}){0,3}") {
            let _ = parse(&rest);
        }
    }
}
