//! The resolver in use, swapped when the config changes.

use std::sync::Arc;

use arc_swap::ArcSwap;
use backupmx_relay_config::ResolverConfig;
use parking_lot::Mutex;

use super::{ResolveError, Resolver};

/// The resolver in use, swapped when the config changes. Look-ups that are under way end with the old one.
#[derive(Debug)]
pub struct SharedResolver {
    current: ArcSwap<Resolver>,
    config: Mutex<ResolverConfig>,
    make: fn(&ResolverConfig) -> Result<Resolver, ResolveError>,
}

impl SharedResolver {
    /// A resolver for that config.
    ///
    /// # Errors
    /// The system's resolver configuration can't be read, and no name servers are listed.
    pub fn new(config: &ResolverConfig) -> Result<Arc<Self>, ResolveError> {
        Self::made_by(Resolver::new, config)
    }

    /// A resolver for what strangers say of themselves: see [`Resolver::of_strangers`].
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn of_strangers(config: &ResolverConfig) -> Result<Arc<Self>, ResolveError> {
        Self::made_by(Resolver::of_strangers, config)
    }

    fn made_by(
        make: fn(&ResolverConfig) -> Result<Resolver, ResolveError>,
        config: &ResolverConfig,
    ) -> Result<Arc<Self>, ResolveError> {
        let current = ArcSwap::from_pointee(make(config)?);
        Ok(Arc::new(Self { current, config: Mutex::new(config.clone()), make }))
    }

    /// Takes a new config up. One that is the same keeps the resolver and its cache.
    ///
    /// # Errors
    /// As [`Self::new`]; the old resolver stays.
    pub fn renew(&self, config: &ResolverConfig) -> Result<(), ResolveError> {
        let mut held = self.config.lock();
        if *held != *config {
            self.current.store(Arc::new((self.make)(config)?));
            *held = config.clone();
        }
        Ok(())
    }

    /// The resolver in use now.
    #[must_use]
    pub fn current(&self) -> Arc<Resolver> {
        self.current.load_full()
    }
}
