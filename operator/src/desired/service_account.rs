//! The ServiceAccount of a resource's relays: without rights, without a token.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::of_all;
use crate::{names, validated::Owner};

/// Builds it.
#[must_use]
pub fn build(owner: &Owner) -> ServiceAccount {
    ServiceAccount {
        metadata: of_all(owner, names::shared(owner)),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}

#[cfg(test)]
mod tests {
    use crate::desired::fixture;

    #[test]
    fn golden() {
        insta::assert_snapshot!(fixture::yaml(&super::build(&fixture::validated().owner)));
    }
}
