//! Sizes, times and the other terms on which mail is held.

use std::{collections::HashSet, time::SystemTime};

use backupmx_crds as crds;
use backupmx_relay_config::{
    Acceptance, Bounce, BouncePolicy, ByteSize, Delivery, DomainName, HoldTimes, OnReject, RecipientMode, Recipients,
    RejectStorm, Retry, Span, WhenPrimaryUp,
};

use super::Problems;
use crate::{desired::room, validated::Storage};

/// The smallest volume on which a relay works.
const LEAST_VOLUME: ByteSize = ByteSize::mebibytes(16);
/// The most recipients, those of the ConfigMap too. Where they are long, fewer have room.
const MOST_RECIPIENTS: usize = 10_000;

pub(super) fn storage(spec: &crds::Storage, problems: &mut Problems) -> Option<Storage> {
    let size: ByteSize = problems.parse("spec.storage.size", &spec.size)?;
    if size < LEAST_VOLUME {
        problems.add("spec.storage.size", format!("expected at least {LEAST_VOLUME}; got {size}"));
    }
    let max_size = match &spec.max_size {
        Some(text) => Some(problems.parse::<ByteSize>("spec.storage.maxSize", text)?),
        None => None,
    };
    if max_size.is_some_and(|largest| largest < size) {
        problems.add("spec.storage.maxSize", format!("expected at least storage.size ({size})"));
    }
    Some(Storage { size, max_size, class: spec.storage_class_name.clone() })
}

pub(super) fn acceptance(
    spec: &crds::Acceptance,
    referred: &[String],
    domains: &[DomainName],
    problems: &mut Problems,
) -> Option<Acceptance> {
    let field = "spec.acceptance.maxMessageSize";
    let largest: ByteSize = problems.parse(field, &spec.max_message_size)?;
    if largest < ByteSize::bytes(64 << 10) || largest > ByteSize::mebibytes(2048) {
        problems.add(field, format!("expected 64Ki to 2Gi; got {largest}"));
    }
    let elsewhere = |entry: &str| {
        let domain = entry.rsplit_once('@').map(|(_, domain)| domain.parse());
        domain.is_some_and(|domain| !domain.is_ok_and(|domain: DomainName| domains.contains(&domain)))
    };
    let expected = "expected a local part, or an address in one of the domains";
    let mut list = Vec::new();
    for (index, entry) in spec.recipients.list.iter().enumerate() {
        if entry.is_empty() || elsewhere(entry) {
            problems.add(format!("spec.acceptance.recipients.list[{index}]"), format!("{expected}; got {entry:?}"));
        } else {
            list.push(entry.clone());
        }
    }
    // A ConfigMap may serve several resources, and cannot change at the same moment as the spec when a domain leaves.
    // What is listed in both counts once: the list that a relay has is of both, and is read back where the ConfigMap is gone.
    let mut listed: HashSet<String> = list.iter().cloned().collect();
    let ours = referred.iter().filter(|entry| !elsewhere(entry) && listed.insert((*entry).clone()));
    list.extend(ours.cloned());
    if list.is_empty() && !referred.is_empty() {
        let got = referred.first().map(String::as_str).unwrap_or_default();
        problems.add("spec.acceptance.recipients.configMapRef", format!("{expected}; all are in others, as {got:?}"));
    }
    if list.len() > MOST_RECIPIENTS {
        let found = list.len();
        problems.add("spec.acceptance.recipients", format!("expected at most {MOST_RECIPIENTS} in all; got {found}"));
    }
    let octets = room::octets(&list);
    if octets > room::LARGEST_LIST {
        let text = format!(
            "expected a list that takes at most {} KiB in a relay's config; got {} KiB: list local parts without their \
             domain, have several BackupMX resources share the domains, or set mode to Any",
            room::LARGEST_LIST >> 10,
            octets.div_ceil(1 << 10)
        );
        problems.add("spec.acceptance.recipients", text);
    }
    Some(Acceptance {
        when_primary_up: match spec.when_primary_up {
            crds::WhenPrimaryUp::Hold => WhenPrimaryUp::Hold,
            crds::WhenPrimaryUp::Defer => WhenPrimaryUp::Defer,
        },
        recipients: Recipients {
            mode: match spec.recipients.mode {
                crds::RecipientMode::Any => RecipientMode::Any,
                crds::RecipientMode::List => RecipientMode::List,
            },
            list,
        },
        max_message_size: Some(largest),
    })
}

pub(super) fn hold(spec: &crds::Hold, problems: &mut Problems) -> Option<HoldTimes> {
    let max_age: Span = problems.parse("spec.hold.maxAge", &spec.max_age)?;
    if max_age < Span::seconds(1) {
        problems.add("spec.hold.maxAge", "expected at least 1s");
    }
    let warn_sender_after = match &spec.warn_sender_after {
        Some(text) => Some(problems.parse::<Span>("spec.hold.warnSenderAfter", text)?),
        None => None,
    };
    if warn_sender_after.is_some_and(|after| after >= max_age || after < Span::seconds(1)) {
        problems
            .add("spec.hold.warnSenderAfter", format!("expected 1s or more, and less than hold.maxAge ({max_age})"));
    }
    let extend_until = spec.extend_until.as_ref().map(|until| SystemTime::from(until.0));
    Some(HoldTimes { max_age, extend_until, warn_sender_after })
}

pub(super) fn delivery(spec: &crds::Delivery, problems: &mut Problems) -> Option<Delivery> {
    let min: Span = problems.parse("spec.delivery.retry.min", &spec.retry.min)?;
    let max: Span = problems.parse("spec.delivery.retry.max", &spec.retry.max)?;
    if min < Span::seconds(1) {
        problems.add("spec.delivery.retry.min", "expected at least 1s");
    }
    if max < min {
        problems.add("spec.delivery.retry.max", format!("expected at least delivery.retry.min ({min}); got {max}"));
    }
    Some(Delivery {
        retry: Retry { min, max },
        max_connections: spec.max_connections,
        suspended: spec.suspended,
        on_reject: match spec.on_reject {
            crds::OnReject::Bounce => OnReject::Bounce,
            crds::OnReject::Hold => OnReject::Hold,
        },
        reject_storm: RejectStorm { min_messages: spec.reject_storm.min_messages, percent: spec.reject_storm.percent },
    })
}

pub(super) fn bounce(spec: &crds::Bounce, problems: &mut Problems) -> Option<Bounce> {
    let smarthost = match &spec.smarthost {
        Some(text) => Some(problems.parse("spec.bounce.smarthost", text)?),
        None => None,
    };
    let policy = match spec.policy {
        crds::BouncePolicy::Always => BouncePolicy::Always,
        crds::BouncePolicy::UnlessForged => BouncePolicy::UnlessForged,
        crds::BouncePolicy::Never => BouncePolicy::Never,
    };
    Some(Bounce { policy, smarthost })
}
