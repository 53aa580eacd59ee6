//! A request to an API server, as a person would name it.

use std::{fmt, time::Instant};

use hyper::{Method, Uri};

/// A request to an API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// When it came.
    pub at: Instant,
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// The plural name of the resource, such as `services`; the whole path where it is none.
    pub resource: String,
    /// Such as `status`; empty for the object itself.
    pub subresource: String,
    /// The namespace; empty for all of them, or for what lives in none.
    pub namespace: String,
    /// The name; empty where all are meant.
    pub name: String,
    /// When the API server was given it. None: not yet, or never.
    pub passed: Option<Instant>,
    /// When the API server had answered it, whoever heard that.
    pub done: Option<Instant>,
    /// What was answered. None: nothing yet.
    pub answer: Option<Answer>,
}

/// What was answered to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The API server's own status code.
    Real(u16),
    /// A fault of the proxy, which the API server knows nothing of.
    Fault,
}

impl Call {
    pub(super) fn read(method: &Method, uri: &Uri) -> Self {
        let parts: Vec<&str> = uri.path().trim_matches('/').split('/').collect();
        let below = match parts.as_slice() {
            ["api", _, rest @ ..] => Some(rest),
            ["apis", _, _, rest @ ..] => Some(rest),
            _ => None,
        };
        let (namespace, object) = match below {
            // The namespaces themselves are a resource too.
            Some(["namespaces", namespace, resource, rest @ ..]) if !matches!(*resource, "status" | "finalize") => {
                (*namespace, Some((*resource, rest)))
            }
            Some([resource, rest @ ..]) => ("", Some((*resource, rest))),
            Some([]) | None => ("", None),
        };
        let (resource, rest) = object.unwrap_or((uri.path(), &[]));
        let name = rest.first().copied().unwrap_or_default();
        let watched =
            uri.query().is_some_and(|query| query.split('&').any(|pair| matches!(pair, "watch=true" | "watch=1")));
        let verb = match (method.as_str(), name.is_empty(), object.is_some()) {
            ("GET", true, true) if watched => "watch",
            ("GET", true, true) => "list",
            ("GET", _, _) => "get",
            ("POST", _, _) => "create",
            ("PUT", _, _) => "update",
            ("PATCH", _, _) => "patch",
            ("DELETE", true, _) => "deletecollection",
            ("DELETE", false, _) => "delete",
            _ => "other",
        };
        Self {
            at: Instant::now(),
            verb,
            resource: resource.to_owned(),
            subresource: rest.get(1).copied().unwrap_or_default().to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            passed: None,
            done: None,
            answer: None,
        }
    }

    /// Whether it would change something.
    #[must_use]
    pub fn writes(&self) -> bool {
        !matches!(self.verb, "get" | "list" | "watch")
    }

    /// Whether it is about the lease by which operators elect a leader.
    #[must_use]
    pub fn is_election(&self) -> bool {
        self.resource == "leases"
    }

    /// Whether the API server may have carried it out at that moment or later.
    #[must_use]
    pub fn may_be_done_after(&self, moment: Instant) -> bool {
        self.passed.is_some() && self.done.is_none_or(|done| done >= moment)
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.resource)?;
        if !self.subresource.is_empty() {
            write!(f, "/{}", self.subresource)?;
        }
        if !self.name.is_empty() {
            write!(f, " {}", self.name)?;
        }
        match self.answer {
            Some(Answer::Real(code)) => write!(f, " ({code})"),
            Some(Answer::Fault) => f.write_str(" (a fault)"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_what_is_asked_for() {
        for (method, path, wanted) in [
            (Method::GET, "/api/v1/services?watch=true&x=1", "watch services"),
            (Method::GET, "/api/v1/namespaces/n/services", "list services"),
            (Method::GET, "/apis/apps/v1/namespaces/n/deployments/d", "get deployments d"),
            (Method::PATCH, "/apis/backupmx.io/v1alpha1/namespaces/n/backupmxes/b/status", "patch backupmxes/status b"),
            (Method::GET, "/api/v1/namespaces/n", "get namespaces n"),
            (Method::PUT, "/api/v1/namespaces/n/finalize", "update namespaces/finalize n"),
            (Method::GET, "/apis/externaldns.k8s.io/v1alpha1", "get /apis/externaldns.k8s.io/v1alpha1"),
            (Method::DELETE, "/api/v1/namespaces/n/pods", "deletecollection pods"),
            (Method::POST, "/apis/coordination.k8s.io/v1/namespaces/n/leases", "create leases"),
        ] {
            assert_eq!(Call::read(&method, &path.parse().unwrap()).to_string(), wanted);
        }
    }
}
