//! Documents to start from, as `backupmx-relay config example` prints them.

/// Every field, explained, with its default where it has one.
pub const FULL: &str = include_str!("../examples/full.yaml");

/// Mail is held for 7 days; tries slide from 5 to 45 minutes.
pub const HOLD_7_DAYS: &str = include_str!("../examples/hold-7-days.yaml");

/// Mail is held for 14 days; a try every 5 minutes.
pub const HOLD_14_DAYS: &str = include_str!("../examples/hold-14-days.yaml");

#[cfg(test)]
mod tests {
    use serde_yaml::Value;

    use super::*;
    use crate::{RelayConfig, Span, from_yaml};

    const MINIMAL: &str = "\
contractVersion: 1
hostname: mx1.backup.example.net
listeners: [{address: '[::]:25'}]
spool: {path: /var/lib/backupmx}
tenants: [{name: example.org, domains: [example.org], primary: {hosts: [{host: mail.example.org}]}}]
";

    /// The full example with what is commented out as `#name: value` switched on.
    fn all_on() -> String {
        FULL.lines()
            .map(|line| {
                let text = line.trim_start();
                match text.strip_prefix('#') {
                    Some(setting)
                        if !setting.is_empty() && (!setting.starts_with(' ') || setting.starts_with("  ")) =>
                    {
                        line.replacen('#', "", 1)
                    }
                    _ => line.to_owned(),
                }
            })
            .map(|line| line.replace("mode: Any", "mode: List"))
            .flat_map(|line| [line, "\n".to_owned()])
            .collect()
    }

    fn read(text: &str) -> RelayConfig {
        from_yaml(text).unwrap_or_else(|error| panic!("{error}\n{text}"))
    }

    #[test]
    fn the_full_example_shows_the_defaults() {
        assert_eq!(read(FULL), read(MINIMAL));
    }

    #[test]
    fn the_full_example_has_every_field_that_has_a_default() {
        let defaults = serde_yaml::to_value(read(MINIMAL)).unwrap();
        let shown: Value = serde_yaml::from_str(FULL).unwrap();
        missing("", &defaults, &shown);
    }

    fn missing(path: &str, wanted: &Value, found: &Value) {
        match (wanted, found) {
            (Value::Mapping(wanted), found) => {
                for (key, value) in wanted {
                    let path = format!("{path}.{}", key.as_str().unwrap());
                    match found.get(key) {
                        Some(found) => missing(&path, value, found),
                        // Such as `quota`, all of whose settings are commented out.
                        None => assert_eq!(value, &Value::Mapping(serde_yaml::Mapping::new()), "{path} is not shown"),
                    }
                }
            }
            (Value::Sequence(wanted), Value::Sequence(found)) => {
                wanted.iter().zip(found).for_each(|(wanted, found)| missing(path, wanted, found));
            }
            _ => {}
        }
    }

    #[test]
    fn the_full_example_has_every_field_that_has_none() {
        let text = format!("{:?}", read(&all_on()));
        assert!(!text.contains(": None"), "a field is not shown: {text}");
        assert!(!text.contains("[]"), "a list is not shown: {text}");
    }

    #[test]
    fn every_field_reads_back_as_it_was_written() {
        let config = read(&all_on());
        assert_eq!(from_yaml(&crate::to_yaml(&config).unwrap()).as_ref(), Ok(&config));
        assert_eq!(from_yaml(&serde_json::to_string(&config).unwrap()), Ok(config));
    }

    #[test]
    fn the_schemes_are_what_they_are_called() {
        for (text, days, min, max, preference) in [(HOLD_7_DAYS, 7, 5, 45, 5), (HOLD_14_DAYS, 14, 5, 5, 10)] {
            let config = read(text);
            let tenant = &config.tenants[0];
            assert_eq!(tenant.hold.max_age, Span::days(days));
            assert_eq!(tenant.delivery.retry.min, Span::minutes(min));
            assert_eq!(tenant.delivery.retry.max, Span::minutes(max));
            assert_eq!(tenant.primary.hosts[0].preference, preference);
        }
    }
}
