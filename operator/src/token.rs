//! The bearer token of a relay's admin API.
//!
//! It is derived from one master key in the operator's namespace, so the operator needs no right to Secrets
//! elsewhere, and a token stolen from one relay opens no other.

use backupmx_relay_config::TokenHash;
use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::validated::{Owner, RelayName};

/// The fewest octets of a master key: as many as HMAC-SHA-256 gives back (RFC 2104 3).
pub const LEAST_KEY: usize = 32;

/// The key that all tokens are derived from.
#[derive(Clone)]
pub struct MasterKey(Hmac<Sha256>);

/// Why a master key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a master key of at least {LEAST_KEY} octets; got {0}")]
pub struct MasterKeyError(usize);

impl MasterKey {
    /// Takes a key.
    ///
    /// # Errors
    /// The key is shorter than [`LEAST_KEY`] octets.
    pub fn new(key: &[u8]) -> Result<Self, MasterKeyError> {
        let wrong = MasterKeyError(key.len());
        if key.len() < LEAST_KEY { Err(wrong) } else { Hmac::new_from_slice(key).map(Self).map_err(|_| wrong) }
    }

    /// The token of one relay: `HMAC-SHA-256(key, UID/relay)`, in hexadecimal.
    #[must_use]
    pub fn token(&self, owner: &Owner, relay: &RelayName) -> Token {
        let mut mac = self.0.clone();
        mac.update(format!("{}/{relay}", owner.uid).as_bytes());
        Token(mac.finalize().into_bytes().iter().map(|octet| format!("{octet:02x}")).collect())
    }
}

impl std::fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MasterKey(..)")
    }
}

/// A bearer token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(String);

impl Token {
    /// The token as it stands after `Bearer`.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// What the relay's config holds of it.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        let digest: [u8; 32] = Sha256::digest(self.0.as_bytes()).into();
        digest.into()
    }
}

impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn owner(uid: &str) -> Owner {
        Owner { namespace: "mail".into(), name: "example".into(), uid: uid.into() }
    }

    #[test]
    fn agrees_with_another_implementation() {
        // printf %s uid-1/a | openssl dgst -sha256 -hmac 00000000000000000000000000000000
        let key = MasterKey::new(&[b'0'; 32]).unwrap();
        let token = key.token(&owner("uid-1"), &"a".parse().unwrap());
        assert_eq!(token.reveal(), "708a8581a7e6cbc5a163ddcf1075a398b2ef4921f945dd25906642b5c02405a0");
    }

    #[test]
    fn each_relay_has_its_own() {
        let key = MasterKey::new(&[7; 32]).unwrap();
        let one = key.token(&owner("u"), &"a".parse().unwrap());
        assert_ne!(one, key.token(&owner("u"), &"b".parse().unwrap()));
        assert_ne!(one, key.token(&owner("v"), &"a".parse().unwrap()));
        assert_ne!(one, MasterKey::new(&[8; 32]).unwrap().token(&owner("u"), &"a".parse().unwrap()));
    }

    #[test]
    fn a_short_key_is_refused() {
        assert_eq!(MasterKey::new(&[1; 31]).unwrap_err(), MasterKeyError(31));
    }

    #[test]
    fn nothing_secret_is_printed() {
        let key = MasterKey::new(&[b'k'; 32]).unwrap();
        let token = key.token(&owner("u"), &"a".parse().unwrap());
        assert_eq!(format!("{key:?} {token:?}"), "MasterKey(..) Token(..)");
    }
}
