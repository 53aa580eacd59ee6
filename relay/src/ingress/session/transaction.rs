//! MAIL, RCPT and DATA.

use std::{net::IpAddr, sync::Arc};

use backupmx_relay_config::{DomainName, RelayConfig, Tenant, status::PrimaryState};

use super::{
    Effect, Phase, Receiving, Session, refuse,
    replies::{self, closing, say},
};
use crate::{
    active::Active,
    in_flight::Passage,
    ingress::{Context, Store},
    message::Recipient,
    policy::{self, Held, PrimaryFacts, Question, TooFast, Verdict},
    smtp::{EnhancedCode, ForwardPath, Mail, Rcpt, RcptTo, Reply},
};

/// A transaction: a sender and the recipients so far.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) mail: Mail,
    pub(super) recipients: Vec<Recipient>,
    /// The least of the recipients' limits on a message, in octets.
    pub(super) size: u64,
    /// Counts it as in flight; none before the first recipient.
    pub(super) passage: Option<Passage>,
}

impl Session {
    pub(super) fn mail<S: Store>(
        &mut self,
        mail: Mail,
        active: &Arc<Active>,
        context: &Context<S>,
        out: &mut Vec<u8>,
    ) -> Option<Effect> {
        let limits = &active.config.limits;
        match self.phase {
            _ if self.hello.is_none() => return self.bad_sequence(limits, context, out, "Say EHLO first"),
            Phase::Idle => {}
            _ => return self.bad_sequence(limits, context, out, "There is a transaction already"),
        }
        if self.messages >= limits.messages_per_session {
            return Some(self.leave(out, closing::TOO_MANY_MESSAGES));
        }
        let declared = mail.size.unwrap_or(0);
        let size = limits.message_size.as_u64();
        if declared > size {
            refuse(context, out, &replies::too_large(), "too_large");
        } else if !context.spool.has_room(declared) {
            refuse(context, out, &replies::no_room(), "storage_full");
        } else {
            self.phase =
                Phase::Transaction(Box::new(Transaction { mail, recipients: Vec::new(), size, passage: None }));
            say(out, format_args!("250 2.1.0 Ok"));
        }
        None
    }

    pub(super) fn rcpt<S: Store>(&mut self, rcpt: Rcpt, context: &Context<S>, out: &mut Vec<u8>) -> Option<Effect> {
        // Counted before the config is read: a status that shows a newer config than this one shows the count too.
        let deciding = context.in_flight.decide();
        let active = &context.config.load_full();
        let limits = &active.config.limits;
        let Phase::Transaction(transaction) = &mut self.phase else {
            return self.bad_sequence(limits, context, out, "Say MAIL first");
        };
        if transaction.recipients.len() >= limits.recipients as usize {
            let reply = Reply::new(452, Some(EnhancedCode(4, 5, 3)), "Too many recipients; send the rest on its own");
            refuse(context, out, &reply, "too_many_recipients");
            return None;
        }
        let path = match rcpt.to {
            RcptTo::Path(path) => path,
            RcptTo::Postmaster => match postmaster(&active.config) {
                Some(path) => path,
                None => {
                    let refusal = policy::Refusal::NoTenants;
                    refuse(context, out, &refusal.reply(), refusal.reason());
                    return None;
                }
            },
        };
        if !path.as_str().is_ascii() && !transaction.mail.smtputf8 {
            let text = "An address beyond ASCII needs SMTPUTF8";
            refuse(context, out, &Reply::new(553, Some(EnhancedCode(5, 6, 7)), text), "smtputf8");
            return None;
        }
        let verdict = match transaction.judge(&path, active, context) {
            // The message is counted once, for the tenant that all of its recipients have in common.
            Verdict::Take { size } if transaction.recipients.is_empty() => {
                match count(self.peer, path.domain(), active, context) {
                    Ok(()) => Verdict::Take { size },
                    Err(too_fast) => Verdict::Refuse(policy::Refusal::TooFast(too_fast)),
                }
            }
            verdict => verdict,
        };
        match verdict {
            Verdict::Take { size } => {
                transaction.size = transaction.size.min(size);
                deciding.take(&mut transaction.passage, path.domain());
                transaction.recipients.push(Recipient { path, notify: rcpt.notify, orcpt: rcpt.orcpt });
                say(out, format_args!("250 2.1.5 Ok"));
                None
            }
            Verdict::Refuse(refusal) => {
                let reply = refusal.reply();
                tracing::debug!(
                    client = %self.peer,
                    sender = transaction.mail.sender.as_str(),
                    recipient = path.as_str(),
                    reason = refusal.reason(),
                    reply = %reply,
                    "recipient refused"
                );
                refuse(context, out, &reply, refusal.reason());
                // A 4xx is no sign of guessing: it may be a large mailing for a domain that is not served now.
                if !reply.is_permanent() {
                    return None;
                }
                self.refused += 1;
                if self.refused < limits.refused_recipients {
                    return None;
                }
                context.metrics.refused.with_label_values(&["too_many_refused"]).inc();
                tracing::info!(client = %self.peer, refused = self.refused, "session ended: too many refused recipients");
                Some(self.leave(out, closing::TOO_MANY_REFUSED))
            }
        }
    }

    pub(super) fn data<S: Store>(
        &mut self,
        active: &Arc<Active>,
        context: &Context<S>,
        out: &mut Vec<u8>,
    ) -> Option<Effect> {
        let limits = &active.config.limits;
        match std::mem::replace(&mut self.phase, Phase::Idle) {
            Phase::Transaction(transaction) if !transaction.recipients.is_empty() => {
                let Some(reservation) = context.budget.reserve(limits.memory.as_u64()) else {
                    self.phase = Phase::Transaction(transaction);
                    refuse(context, out, &replies::no_memory(), "memory");
                    return None;
                };
                let receiving = Receiving::new(&transaction, &active.config, reservation);
                say(out, format_args!("354 End the message with <CRLF>.<CRLF>"));
                self.phase = Phase::Content(transaction, Box::new(receiving));
                None
            }
            Phase::Transaction(transaction) => {
                self.phase = Phase::Transaction(transaction);
                self.complain(limits, context, out, |out| say(out, format_args!("554 5.5.1 No valid recipients")))
            }
            phase => {
                self.phase = phase;
                self.bad_sequence(limits, context, out, "Say MAIL and RCPT first")
            }
        }
    }
}

impl Transaction {
    fn judge<S: Store>(&self, recipient: &ForwardPath, active: &Active, context: &Context<S>) -> Verdict {
        let tenant = active.directory.tenant(&active.config, recipient.domain());
        policy::decide(&Question {
            config: &active.config,
            directory: &active.directory,
            recipient,
            first: self.recipients.first().map(|first| &first.path),
            declared: self.mail.size,
            smtputf8: self.mail.smtputf8,
            primary: tenant.map_or_else(PrimaryFacts::default, |tenant| primary(tenant, context)),
            held: tenant.map_or_else(Held::default, |tenant| held(tenant, context)),
        })
    }
}

/// Counts a message against the rates.
fn count<S>(client: IpAddr, domain: &DomainName, active: &Active, context: &Context<S>) -> Result<(), TooFast> {
    let Some(tenant) = active.directory.tenant(&active.config, domain) else { return Ok(()) };
    context.rates.lock().admit(client, &tenant.name, context.clock.moment(), &active.config.limits)
}

fn primary<S>(tenant: &Tenant, context: &Context<S>) -> PrimaryFacts {
    let Some(view) = context.board.view(&tenant.name) else { return PrimaryFacts::default() };
    let may_defer = view.defer_until.is_some_and(|until| context.clock.moment() <= until);
    PrimaryFacts {
        state: match view.status.state {
            // Its last answer is old: a client may be here because it is down.
            PrimaryState::Up if !may_defer => PrimaryState::Unknown,
            state => state,
        },
        size: view.capabilities.as_ref().and_then(|offered| offered.size),
        smtputf8: view.capabilities.as_ref().map(|offered| offered.smtputf8),
    }
}

/// What a tenant holds over all its domains; not counted where it has no quota.
fn held<S: Store>(tenant: &Tenant, context: &Context<S>) -> Held {
    if tenant.quota.messages.is_none() && tenant.quota.size.is_none() {
        return Held::default();
    }
    context.spool.held(&tenant.domains)
}

/// Where mail to the bare `<postmaster>` goes; none where there are no tenants.
fn postmaster(config: &RelayConfig) -> Option<ForwardPath> {
    match &config.postmaster {
        Some(address) => Some(address.into()),
        None => format!("postmaster@{}", config.tenants.first()?.domains.first()?).parse().ok(),
    }
}
