//! From what a person wrote to what can be built without failing. Pure: no client.
//!
//! The API server has checked most of it. What its rules cannot compare (durations, sizes, internationalised names)
//! is checked here, and all that is wrong is said at once, each with its field.

mod amount;
pub mod leaving;
mod primary;
mod relays;
mod resources;
mod terms;

pub use primary::service_host;

use std::{collections::BTreeMap, fmt};

use backupmx_crds::{BackupMX, conditions::Reason};
use backupmx_relay_config::DomainName;
use kube::ResourceExt;

use crate::{
    desired::document::{self, Tenancy},
    terms::note,
    validated::{Dns, Owner, Validated},
};

/// What a resource refers to, as it was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Referred {
    /// The recipients of `acceptance.recipients.configMapRef`; none where that is not given.
    pub recipients: Vec<String>,
    /// What is wrong with the ConfigMap and key of that reference: what was expected of them. An empty list in their place
    /// would refuse everybody's mail.
    pub missing: Option<String>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The field, such as `spec.hold.maxAge`.
    pub field: String,
    /// What it should be.
    pub problem: String,
    /// Where it has to be mended.
    pub place: Place,
}

/// Where a problem has to be mended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the spec.
    Spec,
    /// What the spec refers to is not there, or may not be read.
    Reference,
    /// In the resource as a whole: it cannot be read.
    Whole,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.problem)
    }
}

/// All that is wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, thiserror::Error)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let texts: Vec<String> = self.0.iter().map(Problem::to_string).collect();
        f.write_str(&texts.join("; "))
    }
}

impl Problems {
    fn add(&mut self, field: impl Into<String>, problem: impl fmt::Display) {
        self.0.push(Problem { field: field.into(), problem: problem.to_string(), place: Place::Spec });
    }

    fn add_reference(&mut self, field: &str, problem: &str) {
        self.0.push(Problem { field: field.to_owned(), problem: problem.to_owned(), place: Place::Reference });
    }

    /// A resource that cannot be read, and why.
    #[must_use]
    pub fn unreadable(why: &str) -> Self {
        let field = "the resource cannot be read".to_owned();
        Self(vec![Problem { field, problem: why.to_owned(), place: Place::Whole }])
    }

    /// The reason of the condition that tells of them. What is wrong in the spec counts first.
    #[must_use]
    pub fn reason(&self) -> Reason {
        if self.0.iter().any(|problem| problem.place == Place::Whole) {
            return Reason::Malformed;
        }
        let missing = |problem: &Problem| problem.place == Place::Reference;
        if !self.0.is_empty() && self.0.iter().all(missing) { Reason::ReferenceNotFound } else { Reason::InvalidSpec }
    }

    /// Parses a text, or notes what is wrong with it.
    fn parse<T: std::str::FromStr<Err: fmt::Display>>(&mut self, field: impl Into<String>, text: &str) -> Option<T> {
        text.parse().map_err(|error| self.add(field, error)).ok()
    }
}

/// Checks a resource. `cluster_domain` is the cluster's own, under which Services have their names.
///
/// # Errors
/// All that is wrong with it.
pub fn validate(resource: &BackupMX, referred: &Referred, cluster_domain: &str) -> Result<Validated, Problems> {
    let mut problems = Problems::default();
    let spec = &resource.spec;
    let owner = owner(resource);
    let domains = domains(&spec.domains, &mut problems);
    let (primary, primary_mx) = primary::check(&spec.primary, &owner.namespace, cluster_domain, &mut problems);
    let relays = relays::check(spec, &primary_mx, &mut problems);
    let storage = terms::storage(&spec.storage, &mut problems);
    if let Some(missing) = &referred.missing {
        problems.add_reference("spec.acceptance.recipients.configMapRef", missing);
    }
    let acceptance = terms::acceptance(&spec.acceptance, &referred.recipients, &domains, &mut problems);
    let hold = terms::hold(&spec.hold, &mut problems);
    let delivery = terms::delivery(&spec.delivery, &mut problems);
    let bounce = terms::bounce(&spec.bounce, &mut problems);
    let resources = resources::check(&spec.resources, &mut problems);
    let (Some(storage), Some(acceptance), Some(hold), Some(delivery), Some(bounce), true) =
        (storage, acceptance, hold, delivery, bounce, problems.0.is_empty())
    else {
        return Err(problems);
    };
    let validated = Validated {
        owner,
        generation: resource.metadata.generation,
        noted: note(resource),
        domains,
        primary,
        primary_mx,
        relays,
        storage,
        activation: spec.acceptance.activation,
        acceptance,
        hold,
        delivery,
        bounce,
        dns: Dns {
            mode: spec.dns.mode,
            ttl: spec.dns.ttl,
            addresses: spec.dns.addresses,
            on_release: spec.dns.on_release,
        },
        tls_secret: spec.tls.secret_name.clone(),
        resources,
        deletion: spec.deletion_policy,
    };
    relay_takes(&validated)?;
    Ok(validated)
}

/// Which resource this is.
#[must_use]
pub fn owner(resource: &BackupMX) -> Owner {
    Owner {
        namespace: resource.namespace().unwrap_or_default(),
        name: resource.name_any(),
        uid: resource.uid().unwrap_or_default(),
    }
}

fn domains(texts: &[String], problems: &mut Problems) -> Vec<DomainName> {
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    let mut domains = Vec::new();
    for (index, text) in texts.iter().enumerate() {
        let field = format!("spec.domains[{index}]");
        let Some(domain) = problems.parse::<DomainName>(&field, text) else { continue };
        match seen.insert(domain.to_string(), index) {
            Some(first) => problems.add(field, format!("{domain} is domains[{first}] already")),
            None => domains.push(domain),
        }
    }
    if texts.is_empty() {
        problems.add("spec.domains", "expected at least one domain");
    }
    domains
}

/// Asks the relay's own rules, so that no relay is ever handed a document that it refuses.
fn relay_takes(resource: &Validated) -> Result<(), Problems> {
    let tenancy = Tenancy { serving: resource.domains.clone(), ..Tenancy::default() };
    let input = document::Input { tenancy: &tenancy, size: resource.storage.size, token: [0; 32].into() };
    let mut problems = Problems::default();
    // The relays' documents differ in names only, which are checked already.
    if let Some(relay) = resource.relays.first()
        && let Err(error) = backupmx_relay_config::check(&document::build(resource, relay, &input))
    {
        problems.add("spec", format!("the relay would refuse {}: {}", error.path, error.problem));
    }
    if problems.0.is_empty() { Ok(()) } else { Err(problems) }
}

#[cfg(test)]
mod tests;
