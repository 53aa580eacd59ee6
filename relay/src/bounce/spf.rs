//! SPF (RFC 7208): asked soon after a message was taken, and where that brought nothing, when a report is due.

use std::{net::IpAddr, time::Duration};

use backupmx_relay_config::{DomainName, ResolverConfig};
use mail_auth::{MessageAuthenticator, SpfResult, spf::verify::SpfParameters};

use crate::{
    message::SpfVerdict,
    resolve::{ResolveError, Resolver},
    smtp::ReversePath,
};

/// How long one check may take; beyond it the verdict is `TempError` (RFC 7208 4.6.4 asks for 20 s at least).
pub const TIMEOUT: Duration = Duration::from_secs(20);

/// Why there is no checker.
#[derive(Debug, thiserror::Error)]
#[error("failed to set up DNS for SPF: {0}")]
pub struct SpfError(#[from] ResolveError);

/// Checks who may send for a domain.
pub struct SpfChecker {
    authenticator: MessageAuthenticator,
    timeout: Duration,
}

impl std::fmt::Debug for SpfChecker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SpfChecker").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

impl SpfChecker {
    /// A checker that asks those name servers, or the system's.
    ///
    /// # Errors
    /// `/etc/resolv.conf` can't be read, or the resolver can't be made.
    pub fn new(config: &ResolverConfig) -> Result<Self, SpfError> {
        Ok(Self::over(&Resolver::of_strangers(config)?))
    }

    /// A checker that asks whom that resolver asks, and shares its cache.
    #[must_use]
    pub fn over(resolver: &Resolver) -> Self {
        Self { authenticator: MessageAuthenticator(resolver.inner()), timeout: TIMEOUT }
    }

    #[cfg(test)]
    pub(super) fn with_timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// The verdict on that client for the domain of that sender. The HELO name is only a macro's value: a client that
    /// names itself well has not shown that it may send for the sender's domain.
    pub async fn check(&self, client: IpAddr, helo: &str, sender: &ReversePath, hostname: &DomainName) -> SpfVerdict {
        let Some(domain) = sender.domain() else { return SpfVerdict::None };
        let local = sender.as_str().rsplit_once('@').map_or("postmaster", |(local, _)| local);
        let sender = format!("{local}@{domain}");
        self.ask(SpfParameters::verify_mail_from(client.to_canonical(), helo, hostname.as_str(), &sender)).await
    }

    /// The verdict on that client for its HELO name: what stands for a null sender (RFC 7208 2.4).
    pub async fn check_helo(&self, client: IpAddr, helo: &DomainName, hostname: &DomainName) -> SpfVerdict {
        self.ask(SpfParameters::verify_ehlo(client.to_canonical(), helo.as_str(), hostname.as_str())).await
    }

    async fn ask(&self, parameters: SpfParameters<'_>) -> SpfVerdict {
        match tokio::time::timeout(self.timeout, self.authenticator.verify_spf(parameters)).await {
            Ok(output) => verdict(output.result()),
            Err(_) => SpfVerdict::TempError,
        }
    }
}

const fn verdict(result: SpfResult) -> SpfVerdict {
    match result {
        SpfResult::Pass => SpfVerdict::Pass,
        SpfResult::Fail => SpfVerdict::Fail,
        SpfResult::SoftFail => SpfVerdict::SoftFail,
        SpfResult::Neutral => SpfVerdict::Neutral,
        SpfResult::None => SpfVerdict::None,
        SpfResult::TempError => SpfVerdict::TempError,
        SpfResult::PermError => SpfVerdict::PermError,
    }
}
