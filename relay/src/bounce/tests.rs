//! The rules of who is told.
