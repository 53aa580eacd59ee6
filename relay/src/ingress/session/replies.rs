//! What is said to clients beside the verdicts of policy.

use std::{fmt, io::Write};

use backupmx_relay_config::RelayConfig;

use crate::{
    smtp::{EnhancedCode, Reply},
    spool::StoreError,
};

/// Lines that end a session.
pub(super) mod closing {
    pub(in crate::ingress::session) const QUIT: &str = "221 2.0.0 Bye";
    pub(in crate::ingress::session) const TIMEOUT: &str = "421 4.4.2 Timeout: closing the connection";
    pub(in crate::ingress::session) const SHUTDOWN: &str = "421 4.3.2 The server is shutting down; try again later";
    pub(in crate::ingress::session) const TOO_MANY_COMMANDS: &str = "421 4.7.0 Too many commands in one session";
    pub(in crate::ingress::session) const TOO_MANY_ERRORS: &str = "421 4.7.0 Too many errors in one session";
    pub(in crate::ingress::session) const TOO_MANY_REFUSED: &str = "421 4.7.0 Too many refused recipients";
    pub(in crate::ingress::session) const TOO_MANY_MESSAGES: &str =
        "421 4.7.0 Enough messages for one session; connect again";
}

/// Appends a line and its CRLF. The texts are ours: they hold no line ends.
pub(super) fn say(out: &mut Vec<u8>, line: fmt::Arguments<'_>) {
    // Writing to a vector does not fail.
    let _ = out.write_fmt(line);
    out.extend_from_slice(b"\r\n");
}

/// The answer to EHLO: what is offered.
pub(super) fn ehlo(config: &RelayConfig, secure: bool) -> Reply {
    let limits = &config.limits;
    let mut text = format!("{}\nPIPELINING\nSIZE {}\n8BITMIME\n", config.hostname, limits.message_size.as_u64());
    if !secure {
        text.push_str("STARTTLS\n");
    }
    text.push_str("ENHANCEDSTATUSCODES\nCHUNKING\nDSN\nETRN\nSMTPUTF8\n");
    text.push_str(&format!("LIMITS RCPTMAX={}", limits.recipients));
    if config.tenants.len() > 1 {
        text.push_str(" RCPTDOMAINMAX=1");
    }
    Reply::new(250, None, text)
}

/// The answer where a message could not be stored: always one that makes the client try again.
pub(super) fn store_failed(error: &StoreError) -> Reply {
    match error {
        StoreError::Full => no_room(),
        StoreError::Closed => Reply::new(451, Some(EnhancedCode(4, 3, 2)), "The server is shutting down"),
        StoreError::Io(_) | StoreError::Unknown(_) => {
            Reply::new(451, Some(EnhancedCode(4, 3, 0)), "The message could not be written to disk")
        }
    }
}

/// A word for logs and metrics.
pub(super) const fn store_reason(error: &StoreError) -> &'static str {
    match error {
        StoreError::Full => "storage_full",
        StoreError::Closed => "shutdown",
        StoreError::Io(_) | StoreError::Unknown(_) => "storage_failed",
    }
}

/// The answer where the volume is full up to its reserve.
pub(super) fn no_room() -> Reply {
    Reply::new(452, Some(EnhancedCode(4, 3, 1)), "Not enough storage; try again later")
}

/// The answer where the memory for messages in flight is used up.
pub(super) fn no_memory() -> Reply {
    Reply::new(452, Some(EnhancedCode(4, 3, 1)), "Too many messages at once; try again later")
}

/// The answer where a message is larger than allowed.
pub(super) fn too_large() -> Reply {
    Reply::new(552, Some(EnhancedCode(5, 3, 4)), "The message is larger than allowed")
}
