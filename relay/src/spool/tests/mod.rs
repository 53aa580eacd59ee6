//! The spool as a whole, on a real folder.

mod damage;
mod faults;
mod folder;
mod kit;
mod life;
mod model;
mod observe;
mod order;
mod rig;
mod room;
