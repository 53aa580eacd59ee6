//! Test kit of BackupMX.
