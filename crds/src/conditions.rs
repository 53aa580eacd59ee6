//! The conditions of a `BackupMX`, and every reason that one of them may have.
//!
//! Both are part of the API: scripts and alerts match on them, so a name never changes its meaning.

use std::fmt;

/// Defines an enum of names that appear in a condition, with their text and meaning.
macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[doc = $meaning:literal])+ $variant:ident),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl $name {
            /// Every name, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The name as it stands in the condition.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }

            /// What it means, for people.
            #[must_use]
            pub fn meaning(self) -> &'static str {
                match self {
                    $(Self::$variant => concat!($($meaning),+).trim_start(),)+
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// The type of a condition.
    ConditionType {
        /// Relays are available on the current config, and the MX records were published once. It looks neither at the
        /// primary nor at the queue.
        Ready,
        /// The operator is at work on a change (kstatus).
        Reconciling,
        /// Nothing goes on until a person acts (kstatus).
        Stalled,
        /// Every relay takes mail, on the current config.
        RelaysReady,
        /// The primary takes mail.
        PrimaryReachable,
        /// The zones' own servers answer with the MX records that there should be.
        DNSPublished,
        /// Held mail has room, and time before it expires.
        QueueHealthy,
        /// The volumes are as they should be.
        StorageHealthy,
        /// Another resource has one of the domains, or this namespace may not have it.
        DomainConflict,
        /// Another resource has one of the relay hostnames.
        HostnameConflict,
        /// A relay, a domain or the resource is leaving.
        Draining,
    }
}

names! {
    /// The reason of a condition. The groups say which condition has which.
    Reason {
        // Ready, Reconciling, Stalled.
        /// Ready, Reconciling, Stalled, RelaysReady, DNSPublished: no operator has looked at the resource yet, or the
        /// answer is still awaited.
        Pending,
        /// Ready: relays are available and the MX records were published.
        Available,
        /// Ready: no relay is available on the current config.
        NoRelayAvailable,
        /// Ready: the MX records were never seen in DNS.
        NotPublishedYet,
        /// Ready, Reconciling: the resource is being deleted.
        Deleting,
        /// Reconciling: a change is being carried out.
        Progressing,
        /// Reconciling: the objects are as the spec says. Stalled: the spec is in use.
        UpToDate,
        /// Stalled, Reconciling, Ready: the spec holds a value that cannot work; the message names the field.
        InvalidSpec,
        /// Stalled, Reconciling, Ready: the ConfigMap that the spec refers to, or its key, is not there, or may not be
        /// read.
        ReferenceNotFound,
        /// Stalled, Reconciling, Ready: the API server refuses what is applied, an object of that name belongs to another,
        /// or (Reconciling alone) the API server does not do it time after time. All else is told as it is, and Ready is
        /// so only where no relay served.
        ApplyFailed,
        /// Ready, Reconciling, Stalled: the resource cannot be read by this version of the operator; the message says why.
        Malformed,
        // RelaysReady.
        /// RelaysReady: every relay takes mail on the current config.
        AllReady,
        /// RelaysReady: the resource is being deleted, and no relay serves any more, or only until senders have noticed.
        NoneServing,
        /// RelaysReady: relays are being brought to a new version or config, one at a time.
        RollingOut,
        /// RelaysReady: a relay's pod is not ready.
        PodNotReady,
        /// RelaysReady: a relay does not answer the operator.
        RelayUnreachable,
        /// RelaysReady: a relay refuses the operator's token, as it was given one of another master key.
        RelayRefusesToken,
        /// RelaysReady, Stalled, Reconciling: a relay refused its config and runs on the one before.
        ConfigRefused,
        // PrimaryReachable.
        /// PrimaryReachable: mail is handed over.
        Up,
        /// PrimaryReachable: a session failed, it is being looked at.
        Suspect,
        /// PrimaryReachable: no host answers; mail is held.
        Down,
        /// PrimaryReachable: it is back, and held mail is handed over with care.
        Recovering,
        /// PrimaryReachable: it answers but takes no mail; mail is held.
        Deferring,
        /// PrimaryReachable: it is back but refuses so much that delivery was stopped; nothing is bounced.
        RejectStorm,
        /// PrimaryReachable: a host of the primary is one of the relays, so mail would go in a circle; it is held.
        Looping,
        /// PrimaryReachable, QueueHealthy: no relay has said anything yet, or one that held mail does not answer.
        NotReported,
        // DNSPublished.
        /// DNSPublished: every domain's MX record set is as it should be, at the zone's own servers.
        Published,
        /// DNSPublished: the DNSEndpoint was written; external-dns has not acted on it yet.
        WaitingForExternalDNS,
        /// DNSPublished: dns.mode is Manual, and the records of status.mxRecords are not there yet.
        WaitingForPerson,
        /// DNSPublished: there is an MX record set that external-dns does not own, so it will not touch it.
        ForeignRecordSet,
        /// DNSPublished: external-dns has read the DNSEndpoint, but seems not to handle MX records.
        MXNotManaged,
        /// DNSPublished: the DNSEndpoint was written a while ago, and external-dns has not read it.
        ExternalDNSNotReading,
        /// DNSPublished: the record set has a wrong preference or host.
        WrongRecords,
        /// DNSPublished: the zone's own servers answer differently.
        ServersDisagree,
        /// DNSPublished: the domain itself is an alias (CNAME), beside which no MX record can stand.
        DomainIsAlias,
        /// DNSPublished: a relay hostname has no address in DNS.
        HostWithoutAddress,
        /// DNSPublished: a relay hostname is an alias (CNAME), which an MX record must not point at.
        HostIsAlias,
        /// DNSPublished: a relay hostname has addresses in DNS, and none of them is the relay's.
        HostElsewhere,
        /// DNSPublished: the domain is not delegated, or does not exist.
        NotDelegated,
        /// DNSPublished: the cluster has no DNSEndpoint API, so external-dns cannot be told.
        DNSEndpointMissing,
        /// DNSPublished: the zone's own servers could not be asked; what is known stays.
        LookupFailed,
        /// DNSPublished: nothing is published before a relay is ready and has an address.
        WaitingForRelays,
        /// DNSPublished: the resource is being deleted, and MX records in DNS still name its relays.
        StillPublished,
        /// DNSPublished: the resource is being deleted, and no MX record in DNS names its relays any more.
        Withdrawn,
        // QueueHealthy.
        /// QueueHealthy: no mail is held.
        Empty,
        /// QueueHealthy: mail is held, with room and time to spare.
        Holding,
        /// QueueHealthy: a relay's volume is nearly full.
        AlmostFull,
        /// QueueHealthy: a relay's volume is full; senders are asked to try again later.
        Full,
        /// QueueHealthy: held mail will expire soon.
        ExpiringSoon,
        /// QueueHealthy: mail waits for a person (rejected, in a loop, or of a domain that no relay serves).
        NeedsDecision,
        /// QueueHealthy: mail is parked, as it can neither be delivered nor bounced.
        Parked,
        /// QueueHealthy: damaged parts of a queue were set aside.
        Quarantined,
        /// QueueHealthy: a relay's clock jumped; nothing expires until a person confirms it.
        ClockJumped,
        // StorageHealthy.
        /// StorageHealthy: every volume is there and has its size.
        Bound,
        /// StorageHealthy: a volume is being made or bound.
        Provisioning,
        /// StorageHealthy: a volume is growing.
        Growing,
        /// StorageHealthy: the storage class does not let volumes grow.
        CannotGrow,
        /// StorageHealthy: a volume could not grow; the message says why.
        ResizeFailed,
        /// StorageHealthy: a volume claim was deleted while it holds mail; it is kept until the mail is gone.
        DeletedWhileHolding,
        /// StorageHealthy: a volume claim was deleted and its relay does not run; no pod starts on it again, and only a
        /// person can have its mail delivered.
        DeletedWhileStopped,
        /// StorageHealthy: a volume claim was gone though nobody had let it go, and its mail maybe with it; a new one was
        /// made. So until the annotation backupmx.io/lost is taken off it.
        ClaimLost,
        // DomainConflict, HostnameConflict.
        /// DomainConflict, HostnameConflict: there is none.
        NoConflict,
        /// DomainConflict, HostnameConflict, Stalled, Reconciling: an older resource has it; the message says which. Stalled:
        /// it has all of them.
        OwnedByAnother,
        /// DomainConflict, HostnameConflict, Stalled, Reconciling: the operator's allowedDomains do not let this namespace
        /// have it. Stalled: any of them.
        NotAllowed,
        // Draining.
        /// Draining: dns.mode is Manual, and MX records still name what leaves; the message says which to remove.
        WaitingForRecords,
        /// Draining: nothing is leaving.
        NotDraining,
        /// Draining: the records were changed; caches are being waited out.
        WaitingForCaches,
        /// Draining: what is held is being delivered.
        Delivering,
        /// Draining, Stalled, Reconciling: mail is left that cannot be delivered; the message says what a person can do.
        Stuck,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn reasons_are_in_the_form_that_kubernetes_wants() {
        for reason in Reason::ALL {
            let name = reason.as_str();
            assert!(
                name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphabetic())
            );
        }
    }

    #[test]
    fn every_reason_says_whose_it_is_and_every_condition_has_one() {
        let mut named = BTreeSet::new();
        for reason in Reason::ALL {
            let (conditions, meaning) = reason.meaning().split_once(": ").expect("conditions, then the meaning");
            assert!(!meaning.is_empty());
            for condition in conditions.split(", ") {
                assert!(ConditionType::ALL.iter().any(|known| known.as_str() == condition), "{reason}: {condition}");
                named.insert(condition);
            }
        }
        for condition in ConditionType::ALL {
            assert!(named.contains(condition.as_str()), "{condition} has no reason");
        }
    }
}
