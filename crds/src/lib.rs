//! The API types of BackupMX: the custom resources that people write.
