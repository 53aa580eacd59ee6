//! Which namespaces are watched.

use std::collections::BTreeSet;

use k8s_openapi::NamespaceResourceScope;
use kube::{Api, Client, Resource};

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Everywhere,
    /// These; one or more.
    Namespaces(BTreeSet<String>),
}

impl Scope {
    /// The namespaces that were named, or all where none was. An empty name is none: charts write one.
    #[must_use]
    pub fn new(named: &[String]) -> Self {
        let named: BTreeSet<String> =
            named.iter().map(|name| name.trim()).filter(|name| !name.is_empty()).map(str::to_owned).collect();
        if named.is_empty() { Self::Everywhere } else { Self::Namespaces(named) }
    }

    /// One way to ask for each watch that is needed, with the namespace that it shows. None: all.
    pub fn apis<K>(&self, client: &Client) -> Vec<(Option<String>, Api<K>)>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Everywhere => vec![(None, Api::all(client.clone()))],
            Self::Namespaces(names) => {
                let api = |name: &String| (Some(name.clone()), Api::namespaced(client.clone(), name));
                names.iter().map(api).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_is_every_namespace() {
        let scope = |names: &[&str]| Scope::new(&names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        assert_eq!(scope(&[]), Scope::Everywhere);
        assert_eq!(scope(&["", " "]), Scope::Everywhere);
        let two = Scope::Namespaces(["a".to_owned(), "b".to_owned()].into());
        assert_eq!(scope(&["b", "a ", "", "b"]), two);
    }
}
