//! Makes the cluster hold what is wanted.

pub mod subset;
