//! The reasons of Events. They are part of the API: alerts and scripts match on them, so none changes its meaning.

use kube::runtime::events::EventType;

/// Defines the reasons with their severity and meaning.
macro_rules! reasons {
    ($($(#[doc = $meaning:literal])+ $variant:ident $severity:ident,)+) => {
        /// Why an Event is written.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[doc = $meaning])+ $variant,)+
        }

        impl Reason {
            /// Every reason, in the order of the documentation.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The reason as it stands in the Event.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)+
                }
            }

            /// Whether a person should look.
            #[must_use]
            pub const fn severity(self) -> EventType {
                match self {
                    $(Self::$variant => EventType::$severity,)+
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
    };
}

reasons! {
    /// No host of the primary answers; mail is held.
    PrimaryDown Warning,
    /// A host of the primary is one of the relays, so mail would go in a circle; it is held.
    PrimaryLooping Warning,
    /// The primary answers but takes no mail; it is held.
    PrimaryDeferring Warning,
    /// The primary is back but refuses so much that delivery was stopped; nothing is bounced.
    RejectStorm Warning,
    /// The primary takes mail again.
    PrimaryBack Normal,
    /// All that was held is gone.
    Drained Normal,
    /// A relay's volume is half full.
    VolumePast50 Warning,
    /// A relay's volume is three quarters full.
    VolumePast75 Warning,
    /// A relay's volume is nine tenths full.
    VolumePast90 Warning,
    /// A relay's volume is full; senders are asked to try again later.
    VolumeFull Warning,
    /// Held mail expires soon.
    MailNearExpiry Warning,
    /// Mail was parked: it can neither be delivered nor bounced.
    MailParked Warning,
    /// Mail waits for a person: it was rejected, or is in a loop.
    MailNeedsDecision Warning,
    /// Held mail goes, as deletionPolicy: Discard or an annotation on its claim said.
    MailDiscarded Warning,
    /// An annotation on a claim is no order for anything that leaves; it was taken off, and nothing goes by it.
    OrderNotObeyed Warning,
    /// Damaged parts of a queue were set aside.
    MailQuarantined Warning,
    /// A relay's clock jumped; nothing expires until a person confirms it.
    ClockJumped Warning,
    /// The MX records in DNS are not what they should be.
    DNSWrong Warning,
    /// The MX records in DNS are what they should be.
    DNSPublished Normal,
    /// Nothing goes on until a person acts.
    Stalled Warning,
    /// Another resource has one of the domains.
    DomainConflict Warning,
    /// The operator's allowedDomains do not let the namespace have one of the domains.
    DomainNotAllowed Warning,
    /// Another resource has one of the relay host names.
    HostnameConflict Warning,
    /// The operator's allowedDomains do not let relays of the namespace have one of the host names.
    HostnameNotAllowed Warning,
    /// A relay refused its config and runs on the one before.
    ConfigRefused Warning,
    /// A volume should grow, and its storage class lets none grow.
    VolumeCannotGrow Warning,
    /// A volume could not grow.
    VolumeResizeFailed Warning,
    /// A volume claim was deleted; it is kept until its mail is delivered.
    ClaimDeleted Warning,
    /// A volume claim was deleted and its relay does not run: its mail waits for a person.
    ClaimStranded Warning,
    /// A volume claim that was deleted is gone, and a new one was made.
    ClaimReplaced Normal,
    /// A volume claim was gone though nobody had let it go; a new one was made, unless its relay leaves.
    ClaimLost Warning,
    /// A volume claim has no BackupMX any more, or is a copy in another namespace; it is kept with its mail.
    ClaimOrphaned Warning,
    /// The namespace is being deleted while mail is held in it.
    NamespaceTerminating Warning,
    /// A relay that leaves holds what only a person can let go, or does not say what it holds.
    DrainStuck Warning,
    /// The resource cannot be read by this version of the operator.
    Malformed Warning,
    /// The operator itself failed: a defect of it.
    InternalError Warning,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_described() {
        let readme = include_str!("../../README.md");
        for reason in Reason::ALL {
            let severity = match reason.severity() {
                EventType::Normal => "Normal",
                EventType::Warning => "Warning",
            };
            let row = format!("| `{}` | {severity} | {} |", reason.as_str(), reason.meaning());
            assert!(readme.lines().any(|line| line == row), "the README lacks:\n{row}");
        }
    }
}
