//! Which whole numbers each field may hold: said once, for reading, checking and explaining. Pure.

use std::fmt;

use crate::locate::Path;

/// The whole numbers that a field may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    least: u64,
    most: u64,
}

const fn from(least: u64) -> Range {
    Range { least, most: u32::MAX as u64 }
}

const fn between(least: u64, most: u64) -> Range {
    Range { least, most }
}

const PORT: Range = between(1, 65_535);

const RANGES: &[(&str, Range)] = &[
    ("contractVersion", between(crate::CONTRACT_VERSION as u64, crate::CONTRACT_VERSION as u64)),
    ("revision", between(0, u64::MAX)),
    ("reports.perDomainPerMinute", from(1)),
    ("reports.maxConnections", from(1)),
    ("reports.mxPort", PORT),
    ("limits.connections", from(1)),
    ("limits.connectionsPerAddress", from(1)),
    ("limits.connectionsPerNetwork", from(1)),
    ("limits.messagesPerMinutePerAddress", from(0)),
    ("limits.messagesPerMinutePerNetwork", from(0)),
    ("limits.messagesPerMinutePerTenant", from(0)),
    ("limits.commands", from(10)),
    ("limits.errors", from(1)),
    ("limits.refusedRecipients", from(1)),
    ("limits.messagesPerSession", from(1)),
    ("limits.recipients", from(100)),
    ("limits.commandLine", from(512)),
    ("limits.textLine", from(1000)),
    ("limits.receivedLines", from(10)),
    ("tenants.primary.hosts.port", PORT),
    ("tenants.primary.hosts.preference", between(0, 65_535)),
    ("tenants.delivery.maxConnections", between(1, 100)),
    ("tenants.delivery.rejectStorm.minMessages", from(1)),
    ("tenants.delivery.rejectStorm.percent", between(1, 100)),
    ("tenants.quota.messages", between(0, u64::MAX)),
];

impl Range {
    /// That of a field; none where it holds no whole number.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let names = path.names();
        RANGES.iter().find(|(name, _)| *name == names).map(|(_, range)| *range)
    }

    pub(crate) const fn holds(self, number: u64) -> bool {
        self.least <= number && number <= self.most
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.least, self.most) {
            (least, most) if least == most => write!(f, "{least}"),
            (least, u64::MAX) => write!(f, "a whole number, {least} or more"),
            (least, most) => write!(f, "a whole number from {least} to {most}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::*;

    /// The paths of all whole numbers in a document, lists' indices left out.
    fn numbers(value: &Value, path: &str, found: &mut Vec<String>) {
        let below = |name: &str| if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
        match value {
            Value::Mapping(fields) => {
                fields.iter().for_each(|(name, value)| numbers(value, &below(name.as_str().unwrap()), found));
            }
            Value::Sequence(items) => items.iter().for_each(|item| numbers(item, path, found)),
            Value::Number(_) => found.push(path.to_owned()),
            _ => {}
        }
    }

    #[test]
    fn every_whole_number_of_the_document_has_a_range() {
        let mut found = vec!["tenants.quota.messages".to_owned()];
        let document = serde_yaml::to_value(crate::from_yaml(crate::examples::FULL).unwrap()).unwrap();
        numbers(&document, "", &mut found);
        found.sort();
        let mut known: Vec<_> = RANGES.iter().map(|(name, _)| (*name).to_owned()).collect();
        known.sort();
        assert_eq!(found, known);
    }
}
