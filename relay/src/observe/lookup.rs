//! The look-ups themselves, each within a time, and what is remembered of those that brought nothing.

use std::{net::IpAddr, sync::Arc, time::Duration};

use backupmx_relay_config::{DomainName, Host};
use parking_lot::Mutex;
use tokio::time::timeout;

use crate::{
    bounce::spf::SpfChecker,
    clock::{Clock, Moment},
    message::{ReverseName, SpfIdentity, SpfVerdict},
    recent::Recent,
    resolve::{ResolveError, Resolver},
    smtp::ReversePath,
};

/// How long finding out a client's name may take; each question in it has the resolver's own limit.
const REVERSE: Duration = Duration::from_secs(15);

/// Names of one address that are followed; who has more has made them up (RFC 7208 5.5 has the same bound).
const NAMES: usize = 10;

/// How long DNS that did not answer is left alone. A burst of mail from a domain whose name servers are dead would
/// else keep all look-ups busy.
const QUIET: Duration = Duration::from_secs(60);

/// How long what reverse DNS says of an address is believed. (SPF results are not kept here: one may depend on the
/// local part of the sender, RFC 7208 7.2, and the records behind it are in the resolver's cache.)
const BELIEVED: Duration = Duration::from_secs(600);

/// Entries that are remembered of each kind.
const REMEMBERED: usize = 4096;

/// What is remembered for a while: names that were found, and who did not answer.
#[derive(Debug)]
pub(super) struct Silence {
    /// For each client, until when it is believed, and what: none where DNS did not answer.
    reverse: Mutex<Recent<IpAddr, (Moment, Option<ReverseName>)>>,
    /// For each client and domain, until when SPF is not asked.
    spf: Mutex<Recent<(IpAddr, DomainName), Moment>>,
}

impl Default for Silence {
    fn default() -> Self {
        Self { reverse: Mutex::new(Recent::new(REMEMBERED)), spf: Mutex::new(Recent::new(REMEMBERED)) }
    }
}

/// Answers from memory or from DNS.
#[derive(Debug)]
pub(super) struct Answers<'a> {
    pub(super) resolver: Arc<Resolver>,
    pub(super) silence: &'a Silence,
    pub(super) hostname: DomainName,
    pub(super) clock: Clock,
}

impl Answers<'_> {
    /// What reverse DNS says of a client; none where DNS does not answer.
    pub(super) async fn reverse(&self, client: IpAddr) -> Option<ReverseName> {
        let now = self.clock.moment();
        if let Some((until, known)) = self.silence.reverse.lock().get(&client)
            && now < *until
        {
            return known.clone();
        }
        let found = timeout(REVERSE, confirmed(&self.resolver, client)).await.ok().and_then(Result::ok);
        let until = self.clock.moment() + if found.is_some() { BELIEVED } else { QUIET };
        self.silence.reverse.lock().insert(client, (until, found.clone()));
        found
    }

    /// The SPF result for a client; none where DNS does not answer.
    pub(super) async fn spf(
        &self,
        client: IpAddr,
        identity: &SpfIdentity,
        helo: &str,
        sender: &ReversePath,
    ) -> Option<SpfVerdict> {
        let key = (client, identity.domain().clone());
        if self.silence.spf.lock().get(&key).is_some_and(|until| self.clock.moment() < *until) {
            return None;
        }
        let checker = SpfChecker::over(&self.resolver);
        let verdict = match identity {
            SpfIdentity::MailFrom(_) => checker.check(client, helo, sender, &self.hostname).await,
            SpfIdentity::Helo(name) => checker.check_helo(client, name, &self.hostname).await,
        };
        if verdict == SpfVerdict::TempError {
            self.silence.spf.lock().insert(key, self.clock.moment() + QUIET);
            return None;
        }
        Some(verdict)
    }
}

/// A name of the address that has this address (`iprev`, RFC 8601 3).
async fn confirmed(resolver: &Resolver, client: IpAddr) -> Result<ReverseName, ResolveError> {
    let Some(names) = resolver.names(client, NAMES).await? else { return Ok(ReverseName::Absent) };
    let mut unanswered = None;
    for name in names {
        match resolver.addresses(&Host::Name(name.clone())).await {
            Ok(addresses) if addresses.iter().any(|address| address.to_canonical() == client) => {
                return Ok(ReverseName::Confirmed(name));
            }
            Ok(_) => {}
            Err(error) if error.is_permanent() => {}
            Err(error) => unanswered = Some(error),
        }
    }
    unanswered.map_or(Ok(ReverseName::Unconfirmed), Err)
}
