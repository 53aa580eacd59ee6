//! The relay of BackupMX.

fn main() {}
