//! The PersistentVolumeClaim of a relay: accepted mail lives in it.

use std::collections::BTreeMap;

use backupmx_relay_config::{ByteSize, DomainName};
use k8s_openapi::{
    api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements},
    apimachinery::pkg::api::resource::Quantity,
};

use super::of_relay;
use crate::{
    labels, names,
    validated::{Owner, RelayName, Storage},
};

/// What a claim is built from besides the resource.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Live {
    /// What the live claim asks for. None: there is none yet.
    pub requested: Option<ByteSize>,
    /// What its volume really has. None: not known, or nothing is bound to it.
    pub capacity: Option<ByteSize>,
    /// How full the volume is, as the relay says. None: not known.
    pub fill: Option<Fill>,
    /// Whether the storage class lets a claim grow.
    pub expansion: Expansion,
}

/// What is noted in a claim, as it outlives everything else.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Notes<'a> {
    /// The domains whose mail it may hold, the leaving ones too.
    pub domains: &'a [DomainName],
    /// The domains whose MX records were seen in DNS once.
    pub published: &'a [DomainName],
    /// The largest TTL that senders may have their records with.
    pub ttl: Option<&'a str>,
    /// What [`crate::lifecycle`] keeps in it.
    pub retiring: Option<&'a str>,
    /// What is known of the claim before it, where that was lost.
    pub lost: Option<&'a str>,
    /// What is written over a person's order that is noted in `retiring`, so that it is never there twice.
    pub release: Option<&'a str>,
}

/// How full a volume is. What it has in all is less than its claim asked for: a file system takes some of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fill {
    /// What is taken of it.
    pub used: ByteSize,
    /// What may still be taken before mail is refused.
    pub available: ByteSize,
    /// What it has in all, as the relay knows it.
    pub size: ByteSize,
}

impl Fill {
    /// Whether three quarters of what may be taken are.
    #[must_use]
    pub const fn is_high(self) -> bool {
        self.used.as_u64() / 3 >= self.available.as_u64()
    }

    /// Whether it was said of a volume of that size, and not of what it was before it grew by half. A file system may
    /// take up to a quarter for itself.
    const fn is_of(self, size: ByteSize) -> bool {
        self.size.as_u64() / 3 >= size.as_u64() / 4
    }
}

/// Whether the storage class lets a claim grow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Expansion {
    /// It does.
    Allowed,
    /// It does not.
    Refused,
    /// It is not known.
    #[default]
    Unknown,
}

/// Builds it.
#[must_use]
pub fn build(
    owner: &Owner,
    relay: &RelayName,
    storage: &Storage,
    live: &Live,
    notes: Notes<'_>,
) -> PersistentVolumeClaim {
    let mut metadata = of_relay(owner, relay, names::relay(owner, relay));
    metadata.finalizers = Some(vec![labels::HELD_MAIL.into()]);
    if let Some(annotations) = &mut metadata.annotations {
        let list = |domains: &[DomainName]| domains.iter().map(DomainName::as_str).collect::<Vec<_>>().join(",");
        annotations.insert(labels::DOMAINS.into(), list(notes.domains));
        if !notes.published.is_empty() {
            annotations.insert(labels::PUBLISHED.into(), list(notes.published));
        }
        annotations.extend(notes.ttl.map(|ttl| (labels::TTL.into(), ttl.to_owned())));
        annotations.extend(notes.lost.map(|loss| (labels::LOST.into(), loss.to_owned())));
        annotations.extend(notes.release.map(|value| (labels::RELEASE.into(), value.to_owned())));
        annotations.extend(notes.retiring.map(|state| (labels::RETIRING.into(), state.to_owned())));
    }
    let size = Quantity(request(storage, live).to_string());
    PersistentVolumeClaim {
        metadata,
        spec: Some(PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            storage_class_name: storage.class.clone(),
            resources: Some(VolumeResourceRequirements {
                requests: Some(BTreeMap::from([("storage".to_owned(), size)])),
                limits: None,
            }),
            ..PersistentVolumeClaimSpec::default()
        }),
        status: None,
    }
}

/// What to ask for: never less than the live claim does, as a volume cannot shrink; half as much again when three
/// quarters are taken, up to the largest size, where the class allows it. One step at a time: a resize may take hours, and
/// until it is done, and the relay has looked at what came of it, what the relay says is of the smaller volume.
#[must_use]
pub fn request(storage: &Storage, live: &Live) -> ByteSize {
    let Some(requested) = live.requested else { return storage.size };
    if live.expansion != Expansion::Allowed {
        return requested;
    }
    let base = requested.max(storage.size);
    let is_done = live.capacity.is_some_and(|has| has >= requested);
    let full = is_done && live.fill.is_some_and(|fill| fill.is_high() && fill.is_of(requested));
    match storage.max_size {
        Some(largest) if full && base == requested && base < largest => {
            let more = base.as_u64() + base.as_u64() / 2;
            // Whole mebibytes, so that the sum reads like a size.
            ByteSize::mebibytes(more.div_ceil(1 << 20)).min(largest)
        }
        _ => base,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::desired::fixture;

    #[test]
    fn golden() {
        let resource = fixture::validated();
        let relay = &resource.relays[0].name;
        let notes = Notes {
            domains: &resource.domains,
            published: &resource.domains[..1],
            ttl: Some("300"),
            retiring: Some("[]"),
            lost: None,
            release: None,
        };
        let claim = build(&resource.owner, relay, &resource.storage, &Live::default(), notes);
        insta::assert_snapshot!(fixture::yaml(&claim));
    }

    const GIB: u64 = 1024;

    fn asked(size: u64, max: Option<u64>, requested: Option<u64>, used: Option<u64>, expansion: Expansion) -> u64 {
        let mebibytes = ByteSize::mebibytes;
        let storage = Storage { size: mebibytes(size), max_size: max.map(mebibytes), class: None };
        let fill = requested.zip(used).map(|(size, used)| Fill {
            used: mebibytes(used),
            available: mebibytes(size - used),
            size: mebibytes(size),
        });
        let requested = requested.map(mebibytes);
        let live = Live { requested, capacity: requested, fill, expansion };
        request(&storage, &live).as_u64() >> 20
    }

    #[test]
    fn grows_one_step_at_a_time() {
        let mebibytes = ByteSize::mebibytes;
        let storage = Storage { size: mebibytes(1000), max_size: Some(mebibytes(10_000)), class: None };
        let of = |size: u64| Fill { used: mebibytes(size - 10), available: mebibytes(10), size: mebibytes(size) };
        let mut live = Live {
            requested: Some(mebibytes(1000)),
            capacity: Some(mebibytes(1000)),
            fill: Some(of(950)),
            expansion: Expansion::Allowed,
        };
        for (what, capacity, said_of, wanted) in [
            ("it is full", 1000, 950, 1500),
            ("the resize is under way", 1000, 950, 1500),
            ("it is done, and the relay has not looked", 1500, 950, 1500),
            ("the relay has, and that is full too", 1500, 1400, 2250),
        ] {
            (live.capacity, live.fill) = (Some(mebibytes(capacity)), Some(of(said_of)));
            live.requested = Some(request(&storage, &live));
            assert_eq!(live.requested, Some(mebibytes(wanted)), "{what}");
        }
    }

    #[test]
    fn grows_and_never_shrinks() {
        use Expansion::{Allowed, Refused};
        let ten = 10 * GIB;
        for (what, got, wanted) in [
            ("a first claim", asked(ten, None, None, None, Refused), ten),
            ("a smaller spec", asked(5 * GIB, None, Some(ten), None, Allowed), ten),
            ("a larger spec", asked(20 * GIB, None, Some(ten), None, Allowed), 20 * GIB),
            ("a larger spec that the class refuses", asked(20 * GIB, None, Some(ten), None, Refused), ten),
            ("half full", asked(ten, Some(100 * GIB), Some(ten), Some(5 * GIB), Allowed), ten),
            ("past three quarters", asked(ten, Some(100 * GIB), Some(ten), Some(8 * GIB), Allowed), 15 * GIB),
            ("past three quarters, no maximum", asked(ten, None, Some(ten), Some(8 * GIB), Allowed), ten),
            ("near its maximum", asked(ten, Some(12 * GIB), Some(ten), Some(8 * GIB), Allowed), 12 * GIB),
            ("at its maximum", asked(ten, Some(ten), Some(ten), Some(ten), Allowed), ten),
            ("full, and the class refuses", asked(ten, Some(100 * GIB), Some(ten), Some(ten), Refused), ten),
        ] {
            assert_eq!(got, wanted, "{what}");
        }
    }

    #[test]
    fn no_owner_reference_lets_the_collector_take_held_mail() {
        let resource = fixture::validated();
        let relay = &resource.relays[0].name;
        let claim = build(&resource.owner, relay, &resource.storage, &Live::default(), Notes::default());
        assert_eq!(claim.metadata.owner_references, None);
        assert_eq!(claim.metadata.finalizers.unwrap(), [labels::HELD_MAIL]);
    }
}
