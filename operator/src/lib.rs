//! The BackupMX controller.
