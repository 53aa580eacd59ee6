//! Reports on their way, against servers on loopback.

use backupmx_relay_config::RelayConfig;

/// A config with one tenant, `t`, for example.org.
pub(super) fn config() -> RelayConfig {
    backupmx_relay_config::from_yaml(
        "contractVersion: 1\nhostname: mx1.backup.example.net\nlisteners: [{address: '127.0.0.1:2525'}]\n\
         spool: {path: /nowhere}\ntenants: [{name: t, domains: [example.org], primary: {hosts: [{host: 127.0.0.1}]}}]\n",
    )
    .unwrap()
}
