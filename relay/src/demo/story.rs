//! The story's steps, in order. Each does one thing, checks it, and returns what to show.

use std::{fs, net::TcpStream};

use anyhow::{Context, ensure};

use super::{
    mail::Sender,
    stage::{DOMAIN, Role, SENDER_DOMAIN, Stage},
};

/// Mail for people whom the primary knows. More than twenty, so that the primary's trial after its return ends.
const KNOWN: usize = 24;
const RETURN_PATH: &str = "alice@sender.example";

type Step = fn(&mut Stage) -> anyhow::Result<String>;

pub(super) const STEPS: [(&str, Step); 8] = [
    ("The primary of example.org is down", primary_is_down),
    ("The relay starts", relay_starts),
    ("A stranger can't send through it", stranger_is_refused),
    ("25 messages arrive and are held", mail_is_held),
    ("The relay is killed (kill -9) and started again", relay_is_killed),
    ("The primary comes back", primary_comes_back),
    ("It has its mail, byte for byte", mail_is_delivered),
    ("The mail for an unknown user goes back to its sender", unknown_user_is_bounced),
];

fn primary_is_down(stage: &mut Stage) -> anyhow::Result<String> {
    ensure!(TcpStream::connect(("127.0.0.1", stage.primary_port())).is_err(), "something answers on its port");
    Ok(format!("nothing answers on 127.0.0.1:{}", stage.primary_port()))
}

fn relay_starts(stage: &mut Stage) -> anyhow::Result<String> {
    stage.enter(Role::SenderServer)?;
    stage.enter(Role::Relay)?;
    Ok(format!("it takes mail for {DOMAIN} on 127.0.0.1:{}", stage.relay_port()))
}

fn stranger_is_refused(stage: &mut Stage) -> anyhow::Result<String> {
    let refusal =
        Sender::connect(stage.relay_port())?.refused("spammer@stranger.example", "victim@elsewhere.example")?;
    ensure!(refusal.starts_with("550 5.7.1"), "expected 550 5.7.1; got {refusal}");
    Ok(format!("RCPT TO:<victim@elsewhere.example>  ->  {refusal}"))
}

fn mail_is_held(stage: &mut Stage) -> anyhow::Result<String> {
    let mut sender = Sender::connect(stage.relay_port())?;
    for number in 0..KNOWN {
        sender.send(RETURN_PATH, &format!("user{number}@{DOMAIN}"), &content(number))?;
    }
    sender.send(RETURN_PATH, &format!("nobody@{DOMAIN}"), &content(KNOWN))?;
    let held = stage.queue(Role::Relay)?.len();
    ensure!(held == KNOWN + 1, "expected {} messages held; found {held}", KNOWN + 1);
    stage.command(Role::Relay, &["queue", "list", "--limit", "4"])
}

fn relay_is_killed(stage: &mut Stage) -> anyhow::Result<String> {
    stage.kill(Role::Relay)?;
    stage.enter(Role::Relay)?;
    let held = stage.queue(Role::Relay)?.len();
    ensure!(held == KNOWN + 1, "expected {} messages held; found {held}", KNOWN + 1);
    stage.command(Role::Relay, &["status"])
}

fn primary_comes_back(stage: &mut Stage) -> anyhow::Result<String> {
    let start = std::time::Instant::now();
    stage.enter(Role::Primary)?;
    stage.wait("the mail to reach the primary", |stage| Ok(mailbox(stage)?.len() >= KNOWN))?;
    Ok(format!("{KNOWN} messages handed over within {:.1} s", start.elapsed().as_secs_f32()))
}

fn mail_is_delivered(stage: &mut Stage) -> anyhow::Result<String> {
    let delivered = mailbox(stage)?;
    for number in 0..KNOWN {
        let copies = delivered.iter().filter(|mail| mail.ends_with(&content(number))).count();
        ensure!(copies == 1, "expected message {number} once; found it {copies} times");
    }
    let first = delivered.first().context("the mailbox is empty")?;
    let header: Vec<&str> = first.lines().take_while(|line| !line.is_empty()).collect();
    Ok(header.join("\n"))
}

fn unknown_user_is_bounced(stage: &mut Stage) -> anyhow::Result<String> {
    stage.wait("the relay's queue to run empty", |stage| Ok(stage.queue(Role::Relay)?.is_empty()))?;
    let held = stage.queue(Role::SenderServer)?;
    ensure!(held.len() == 1, "expected one report at {SENDER_DOMAIN}; found {}", held.len());
    let id = held[0].get("id").and_then(|id| id.as_str()).context("the listing names no id")?;
    let header = stage.command(Role::SenderServer, &["queue", "show", id, "--headers"])?;
    ensure!(header.contains("multipart/report"), "expected a report; got:\n{header}");
    let shown = |line: &&str| ["From:", "To:", "Subject:"].iter().any(|name| line.starts_with(name));
    Ok(header.lines().filter(shown).collect::<Vec<_>>().join("\n"))
}

/// The content of the demo's message of that number, with a line that a careless relay would damage.
fn content(number: usize) -> String {
    format!(
        "From: Alice <{RETURN_PATH}>\r\nTo: user{number}@{DOMAIN}\r\nSubject: Letter {number}\r\n\
         Message-ID: <demo-{number}@{SENDER_DOMAIN}>\r\n\r\nThis is letter {number}. Trailing space: \r\n"
    )
}

fn mailbox(stage: &Stage) -> anyhow::Result<Vec<String>> {
    let mut mails = Vec::new();
    for entry in fs::read_dir(stage.mailbox())? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "eml") {
            mails.push(fs::read_to_string(path)?);
        }
    }
    Ok(mails)
}
