//! The domains in one line, for `kubectl get`. Pure.

/// How many are named.
const NAMED: usize = 2;

/// The first domains as they were written, and how many more there are: `example.org,example.net +3`. None: there is
/// none.
#[must_use]
pub fn line(domains: &[String]) -> Option<String> {
    let named = domains.get(..NAMED).unwrap_or(domains).join(",");
    match domains.len() {
        0 => None,
        count if count > NAMED => Some(format!("{named} +{}", count - NAMED)),
        _ => Some(named),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_are_named_and_the_others_counted() {
        let lines = |domains: &[&str]| line(&domains.iter().map(|&name| name.to_owned()).collect::<Vec<_>>());
        assert_eq!(lines(&[]), None);
        assert_eq!(lines(&["example.org"]).unwrap(), "example.org");
        assert_eq!(lines(&["bücher.example", "b.test"]).unwrap(), "bücher.example,b.test");
        assert_eq!(lines(&["a.test", "b.test", "c.test", "d.test"]).unwrap(), "a.test,b.test +2");
    }
}
