//! What sessions need of the spool.

use std::future::Future;

use backupmx_relay_config::DomainName;
use bytes::Bytes;

use crate::{
    in_flight::Passage,
    message::{Envelope, MessageId},
    policy::Held,
    spool::{Body, LargeBody, NewMessage, Spool, StoreError},
};

/// The content of a message that was taken.
#[derive(Debug)]
pub enum Content<L> {
    /// In memory.
    Memory(Bytes),
    /// Streamed to the store, complete.
    Large(L),
}

/// Where taken mail goes. The spool; a list in memory in tests.
pub trait Store: Send + Sync + 'static {
    /// Content that is being streamed to the store. Dropped before it is stored, nothing of it is kept.
    type Large: Send;

    /// Whether a message of that many octets would find room now.
    fn has_room(&self, octets: u64) -> bool;

    /// What is held for some domains, each message once.
    fn held(&self, domains: &[DomainName]) -> Held;

    /// Starts to stream a large content.
    fn large(&self) -> impl Future<Output = Result<Self::Large, StoreError>> + Send;

    /// Adds octets to a large content.
    fn write(&self, large: &mut Self::Large, octets: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Makes a message durable: after `Ok` it survives a power cut. Its passage is over once it is held, or cannot be held any
    /// more, even where nobody waits for the answer.
    fn store(
        &self,
        envelope: Envelope,
        content: Content<Self::Large>,
        passage: Option<Passage>,
    ) -> impl Future<Output = Result<MessageId, StoreError>> + Send;
}

impl Store for Spool {
    type Large = LargeBody;

    fn has_room(&self, octets: u64) -> bool {
        Self::has_room(self, octets)
    }

    fn held(&self, domains: &[DomainName]) -> Held {
        let (messages, octets) = self.together(domains);
        Held { messages, octets }
    }

    fn large(&self) -> impl Future<Output = Result<LargeBody, StoreError>> + Send {
        Self::large(self)
    }

    fn write(&self, large: &mut LargeBody, octets: Bytes) -> impl Future<Output = Result<(), StoreError>> + Send {
        large.write(octets)
    }

    fn store(
        &self,
        envelope: Envelope,
        content: Content<LargeBody>,
        passage: Option<Passage>,
    ) -> impl Future<Output = Result<MessageId, StoreError>> + Send {
        let body = match content {
            Content::Memory(octets) => Body::Memory(octets),
            Content::Large(body) => Body::Large(body),
        };
        Self::store(self, NewMessage { envelope, body, passage })
    }
}
