//! One SMTP session as a state machine without I/O: octets go in, replies and effects come out.

mod chunks;
mod receiving;
mod replies;
mod transaction;

use std::{net::IpAddr, sync::Arc};

use backupmx_relay_config::Limits;
use bytes::Bytes;

use self::{
    chunks::{Rest, Unwanted},
    receiving::Receiving,
    replies::{closing, say},
    transaction::Transaction,
};
use super::{Context, Reservation, Store};
use crate::{
    active::Active,
    in_flight::Passage,
    message::{Client, Envelope, MessageId, Origin, TlsUsed},
    smtp::{Command, CommandError, Line, LineSplitter, Reply},
    spool::StoreError,
};

/// A session.
#[derive(Debug)]
pub struct Session {
    peer: IpAddr,
    tls: Option<TlsUsed>,
    hello: Option<Hello>,
    phase: Phase,
    lines: LineSplitter,
    /// Commands since the last message that was taken.
    commands: u32,
    errors: u32,
    refused: u32,
    messages: u32,
}

/// How a client introduced itself.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Hello {
    name: String,
    verb: HelloVerb,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HelloVerb {
    Helo,
    Ehlo,
}

#[derive(Debug)]
enum Phase {
    /// Commands; no transaction.
    Idle,
    /// Commands, after MAIL.
    Transaction(Box<Transaction>),
    /// Content, after DATA.
    Content(Box<Transaction>, Box<Receiving>),
    /// Content, after BDAT.
    Chunk(Box<Transaction>, Box<Receiving>, Rest),
    /// Commands, between BDAT and BDAT.
    Chunks(Box<Transaction>, Box<Receiving>),
    /// The octets of a BDAT that is refused.
    Unwanted(Unwanted),
    /// A complete message is with the shell.
    Storing,
    /// The last reply is written.
    Closed,
}

/// What the shell has to do before it hands in more octets.
#[derive(Debug)]
#[must_use]
pub enum Effect {
    /// Write what there is, and read more.
    Read,
    /// Write what there is, drop all octets that were read, take up TLS, then call [`Session::secured`].
    StartTls,
    /// A client has asked for the mail of the tenant of that name.
    Etrn(String),
    /// Stream these octets to the store; on an error call [`Session::spoil`].
    Spill(Piece),
    /// Store the message, then call [`Session::stored`].
    Store(Box<Complete>),
    /// Write what there is, and close the connection: the client has said QUIT.
    Quit,
    /// Write what there is, and close the connection. The client may still be talking.
    Close,
}

/// Content that is streamed to the store.
#[derive(Debug)]
pub enum Piece {
    /// The beginning of a message. What was streamed before belongs to another one, which was refused.
    First(Bytes),
    /// More of the same message.
    Next(Bytes),
}

/// The content of a complete message.
#[derive(Debug)]
pub enum Whole {
    /// All of it.
    Here(Bytes),
    /// What has not been streamed to the store yet.
    Rest(Bytes),
}

/// A complete message.
#[derive(Debug)]
pub struct Complete {
    /// The envelope; the shell fills in the moment of arrival.
    pub envelope: Envelope,
    /// The name of the first recipient's tenant, for logs and metrics.
    pub tenant: String,
    /// The content.
    pub content: Whole,
    /// Its share of the memory; kept until it is stored.
    pub reservation: Reservation,
    /// Counts it as in flight; goes with it into the store.
    pub passage: Option<Passage>,
}

/// What a session waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Awaits {
    /// A command; the time counts from the last reply.
    Command,
    /// Content; the time counts from the last octet.
    Content,
}

impl Session {
    /// A session with a client at that address, and its greeting.
    #[must_use]
    pub fn open(peer: IpAddr, active: &Active, out: &mut Vec<u8>) -> Self {
        say(out, format_args!("220 {} ESMTP BackupMX", active.config.hostname));
        Self {
            peer: peer.to_canonical(),
            tls: None,
            hello: None,
            phase: Phase::Idle,
            lines: LineSplitter::default(),
            commands: 0,
            errors: 0,
            refused: 0,
            messages: 0,
        }
    }

    /// What the session waits for.
    #[must_use]
    pub fn awaits(&self) -> Awaits {
        match self.phase {
            Phase::Content(..) | Phase::Chunk(..) | Phase::Unwanted(_) => Awaits::Content,
            Phase::Idle | Phase::Transaction(_) | Phase::Chunks(..) | Phase::Storing | Phase::Closed => Awaits::Command,
        }
    }

    /// Reads octets until there is something to do. Returns how many were used, and what to do; replies are appended
    /// to `out`.
    pub fn advance<S: Store>(&mut self, input: &[u8], context: &Context<S>, out: &mut Vec<u8>) -> (usize, Effect) {
        let active = context.config.load();
        let limits = &active.config.limits;
        let mut used = 0;
        loop {
            let content = match self.phase {
                Phase::Content(..) => Some(self.content(&input[used..], context, limits, out)),
                Phase::Chunk(..) => Some(self.chunk(&input[used..], context, limits, out)),
                Phase::Unwanted(_) => Some(self.unwanted(&input[used..], context, limits, out)),
                Phase::Closed => return (used, Effect::Close),
                Phase::Idle | Phase::Transaction(_) | Phase::Chunks(..) | Phase::Storing => None,
            };
            if let Some((read, effect)) = content {
                used += read;
                match effect {
                    Some(effect) => return (used, effect),
                    None => continue,
                }
            }
            let (read, line) = self.lines.next(&input[used..], limits.command_line as usize);
            used += read;
            let effect = match line {
                Line::Partial => return (used, Effect::Read),
                Line::Complete(line) => self.command(line, &active, context, out),
                Line::Refused(fault) => {
                    self.complain(limits, context, out, |out| say(out, format_args!("500 5.5.2 {fault}")))
                }
            };
            if let Some(effect) = effect {
                return (used, effect);
            }
        }
    }

    fn command<S: Store>(
        &mut self,
        line: &[u8],
        active: &Arc<Active>,
        context: &Context<S>,
        out: &mut Vec<u8>,
    ) -> Option<Effect> {
        let limits = &active.config.limits;
        self.commands += 1;
        if self.commands > limits.commands {
            return Some(self.leave(out, closing::TOO_MANY_COMMANDS));
        }
        let command = match Command::parse(line) {
            Ok(command) => command,
            Err(error) => {
                if matches!(error, CommandError::Recipient(_)) {
                    context.metrics.refused.with_label_values(&["bad_address"]).inc();
                }
                return self.complain(limits, context, out, |out| error.reply().write_to(out));
            }
        };
        match command {
            Command::Helo(name) => {
                say(out, format_args!("250 {}", active.config.hostname));
                self.greet(name, HelloVerb::Helo);
            }
            Command::Ehlo(name) => {
                replies::ehlo(&active.config, self.tls.is_some()).write_to(out);
                self.greet(name, HelloVerb::Ehlo);
            }
            Command::Mail(mail) => return self.mail(mail, active, context, out),
            Command::Rcpt(rcpt) => return self.rcpt(rcpt, context, out),
            Command::Data => return self.data(active, context, out),
            Command::Bdat { octets, chunk } => return self.bdat(octets, chunk, active, context),
            Command::Rset => {
                self.phase = Phase::Idle;
                say(out, format_args!("250 2.0.0 Ok"));
            }
            Command::Noop => say(out, format_args!("250 2.0.0 Ok")),
            Command::Quit => {
                let _ = self.leave(out, closing::QUIT);
                return Some(Effect::Quit);
            }
            Command::Vrfy => say(out, format_args!("252 2.0.0 Send mail and find out")),
            Command::Expn => {
                return self.complain(limits, context, out, |out| say(out, format_args!("502 5.5.1 No lists here")));
            }
            Command::Help => say(out, format_args!("214 2.0.0 See RFC 5321")),
            Command::StartTls if self.tls.is_some() => {
                return self.bad_sequence(limits, context, out, "TLS is on already");
            }
            Command::StartTls => {
                say(out, format_args!("220 2.0.0 Go ahead"));
                return Some(Effect::StartTls);
            }
            Command::Etrn(name) => {
                if self.hello.is_none() {
                    return self.bad_sequence(limits, context, out, "Say EHLO first");
                }
                // The same answer for every domain: it tells nobody whose mail is held here.
                say(out, format_args!("250 2.0.0 Queuing started, if there is mail"));
                let domain = name.trim_start_matches(['@', '#']).parse().ok();
                let tenant = domain.and_then(|domain| active.directory.tenant(&active.config, &domain));
                return tenant.map(|tenant| Effect::Etrn(tenant.name.clone()));
            }
        }
        None
    }

    /// Starts anew after HELO or EHLO (RFC 5321 4.1.4).
    fn greet(&mut self, name: String, verb: HelloVerb) {
        self.hello = Some(Hello { name, verb });
        self.phase = Phase::Idle;
    }

    /// TLS is up: all that was said before it is forgotten (RFC 3207 4.2).
    pub fn secured(&mut self, tls: TlsUsed) {
        self.tls = Some(tls);
        self.hello = None;
        self.phase = Phase::Idle;
        self.lines = LineSplitter::default();
    }

    /// Whether content is coming in: what was streamed to the store is still wanted.
    #[must_use]
    pub fn is_receiving(&self) -> bool {
        matches!(self.phase, Phase::Content(..) | Phase::Chunk(..) | Phase::Chunks(..) | Phase::Storing)
    }

    /// The store failed while content was streamed to it: the message is refused after its end.
    pub fn spoil(&mut self, error: &StoreError) {
        match &mut self.phase {
            Phase::Content(_, receiving) | Phase::Chunk(_, receiving, _) | Phase::Chunks(_, receiving) => {
                receiving.spoil(error.clone());
            }
            Phase::Idle | Phase::Transaction(_) | Phase::Unwanted(_) | Phase::Storing | Phase::Closed => {}
        }
    }

    /// Answers for a message that the shell has stored, or has not.
    pub fn stored<S: Store>(
        &mut self,
        result: &Result<MessageId, StoreError>,
        context: &Context<S>,
        out: &mut Vec<u8>,
    ) {
        self.phase = Phase::Idle;
        self.messages += 1;
        match result {
            Ok(id) => {
                // The bound on commands is there against idle talk: a session that brings mail may go on.
                self.commands = 0;
                say(out, format_args!("250 2.0.0 Ok: queued as {id}"));
            }
            Err(error) => {
                context.metrics.refused.with_label_values(&[replies::store_reason(error)]).inc();
                replies::store_failed(error).write_to(out);
            }
        }
    }

    /// Ends the session from our side with a line such as `421 4.4.2 …`.
    pub fn leave(&mut self, out: &mut Vec<u8>, line: &'static str) -> Effect {
        say(out, format_args!("{line}"));
        self.phase = Phase::Closed;
        Effect::Close
    }

    /// The client was silent for too long.
    pub fn timed_out(&mut self, out: &mut Vec<u8>) -> Effect {
        self.leave(out, closing::TIMEOUT)
    }

    /// The relay is leaving. Content that is coming in is waited for: then none is returned.
    pub fn shut_down(&mut self, out: &mut Vec<u8>) -> Option<Effect> {
        if self.is_receiving() { None } else { Some(self.leave(out, closing::SHUTDOWN)) }
    }

    /// Refuses a command that is wrong in itself; too many of them end the session.
    fn complain<S>(
        &mut self,
        limits: &Limits,
        context: &Context<S>,
        out: &mut Vec<u8>,
        reply: impl FnOnce(&mut Vec<u8>),
    ) -> Option<Effect> {
        reply(out);
        self.errors += 1;
        if self.errors < limits.errors {
            return None;
        }
        context.metrics.refused.with_label_values(&["too_many_errors"]).inc();
        Some(self.leave(out, closing::TOO_MANY_ERRORS))
    }

    fn bad_sequence<S>(
        &mut self,
        limits: &Limits,
        context: &Context<S>,
        out: &mut Vec<u8>,
        text: &str,
    ) -> Option<Effect> {
        self.complain(limits, context, out, |out| say(out, format_args!("503 5.5.1 {text}")))
    }

    /// The client as it goes into an envelope.
    fn client(&self) -> Origin {
        let (helo, verb) = self.hello.as_ref().map_or(("", HelloVerb::Helo), |hello| (&hello.name, hello.verb));
        Origin::Client(Client {
            address: self.peer,
            helo: helo.to_owned(),
            esmtp: verb == HelloVerb::Ehlo,
            tls: self.tls.clone(),
        })
    }
}

/// Writes a refusal and counts it.
fn refuse<S>(context: &Context<S>, out: &mut Vec<u8>, reply: &Reply, reason: &str) {
    context.metrics.refused.with_label_values(&[reason]).inc();
    reply.write_to(out);
}
