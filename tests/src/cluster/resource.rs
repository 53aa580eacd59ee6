//! A resource to begin with.

/// A resource with a domain and one relay `a`, whose primary nobody can reach; `more` are further lines of its spec,
/// indented by two.
#[must_use]
pub fn resource(name: &str, domain: &str, more: &str) -> String {
    format!(
        "apiVersion: backupmx.io/v1alpha1\n\
         kind: BackupMX\n\
         metadata: {{name: {name}}}\n\
         spec:\n\
         \x20 domains: [{domain}]\n\
         \x20 primary: {{hosts: [{{host: mail.{domain}}}]}}\n\
         \x20 relays: [{{name: a, hostname: mx1.{domain}}}]\n\
         {more}"
    )
}
