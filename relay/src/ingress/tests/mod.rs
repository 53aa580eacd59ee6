//! The real listener on loopback, raw octets over TCP, and a store in memory.

mod bounds;
mod chunks;
mod content;
mod kit;
mod noticing;
mod recipients;
mod session;
mod splits;
mod tls;
