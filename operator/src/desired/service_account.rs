//! The ServiceAccount of a resource's relays: without rights, without a token. It is the one object that they share and
//! that is never mounted or selected, so the spec that they run by is noted on it.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::of_all;
use crate::{labels, names, validated::Owner};

/// Builds it. `noted` is the spec, as [`crate::terms::note`] writes it.
#[must_use]
pub fn build(owner: &Owner, noted: &str) -> ServiceAccount {
    let mut metadata = of_all(owner, names::shared(owner));
    metadata.annotations.get_or_insert_default().insert(labels::SPEC.to_owned(), noted.to_owned());
    ServiceAccount { metadata, automount_service_account_token: Some(false), ..ServiceAccount::default() }
}

#[cfg(test)]
mod tests {
    use crate::desired::fixture;

    #[test]
    fn golden() {
        let resource = fixture::validated();
        insta::assert_snapshot!(fixture::yaml(&super::build(&resource.owner, &resource.noted)));
    }
}
