//! The relay's config document, made by tests.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::Place;

/// A config document: a sensible start for a [`Place`], then whatever a test sets by JSON pointer.
#[derive(Clone, Debug)]
pub struct Config {
    document: Value,
}

impl Config {
    /// A relay `mx1.backup.test` for `example.org`, whose primary is at [`Place::primary`] and is tried every second
    /// while it is down. DNS is asked at [`Place::dns`] only, where nobody answers unless the test starts a server.
    #[must_use]
    pub fn new(place: &Place) -> Self {
        let document = json!({
            "contractVersion": 1,
            "hostname": "mx1.backup.test",
            "listeners": [{"address": place.smtp()}],
            "spool": {"path": place.file("spool")},
            "admin": {"health": place.health()},
            "resolver": {"nameservers": [place.dns()]},
            "limits": {},
            "reports": {},
            "tenants": [{
                "name": "example",
                "domains": ["example.org"],
                "primary": {"hosts": [{"host": place.ip(), "port": place.primary().port()}]},
                "acceptance": {},
                "hold": {},
                "delivery": {"retry": {"min": "1s", "max": "1s"}},
                "bounce": {"policy": "Always"},
            }],
        });
        Self { document }
    }

    /// Sets a field, such as `/tenants/0/hold/maxAge`; fields on the way are made, `null` takes one away.
    ///
    /// # Panics
    /// The way leads through something that is no object or list.
    #[must_use]
    pub fn set(mut self, pointer: &str, value: impl Into<Value>) -> Self {
        let (parent, name) = pointer.rsplit_once('/').expect("a JSON pointer");
        let mut at = &mut self.document;
        for step in parent.split('/').skip(1) {
            at = match at {
                Value::Array(items) => {
                    let index: usize = step.parse().unwrap();
                    &mut items[index]
                }
                Value::Object(fields) => fields.entry(step.to_owned()).or_insert_with(|| json!({})),
                _ => panic!("{pointer}: {step} is in no object"),
            };
        }
        match (at, value.into()) {
            (Value::Object(fields), Value::Null) => drop(fields.remove(name)),
            (Value::Object(fields), value) => drop(fields.insert(name.to_owned(), value)),
            (Value::Array(items), value) if name == "-" => items.push(value),
            (Value::Array(items), value) => items[name.parse::<usize>().unwrap()] = value,
            _ => panic!("{pointer} is in no object"),
        }
        self
    }

    /// Adds a tenant of that name and domain, with the same primary.
    #[must_use]
    pub fn and_tenant(self, name: &str, domain: &str) -> Self {
        let mut tenant = self.document["tenants"][0].clone();
        tenant["name"] = name.into();
        tenant["domains"] = json!([domain]);
        self.set("/tenants/-", tenant)
    }

    /// The spool's folder.
    ///
    /// # Panics
    /// The document names none.
    #[must_use]
    pub fn spool(&self) -> PathBuf {
        self.document["spool"]["path"].as_str().expect("the document names a spool").into()
    }

    /// The document as YAML.
    ///
    /// # Panics
    /// Never.
    #[must_use]
    pub fn yaml(&self) -> String {
        serde_yaml::to_string(&self.document).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn makes_documents_that_the_relay_reads() {
        let place = Place::new();
        let config = Config::new(&place)
            .set("/tenants/0/hold/maxAge", "3s")
            .set("/limits/connections", 10)
            .and_tenant("second", "example.net");
        let read = backupmx_relay_config::from_yaml(&config.yaml()).unwrap();
        assert_eq!(read.tenants[0].hold.max_age.as_secs(), 3);
        assert_eq!(read.limits.connections, 10);
        assert_eq!(read.tenants[1].domains[0].as_str(), "example.net");
    }
}
