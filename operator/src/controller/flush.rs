//! The annotation `backupmx.io/flush`: any new value has all held mail tried at once. Pure.

/// The value that is still to be acted on. `wanted` is the annotation, `handled` the value that was acted on last.
#[must_use]
pub fn due<'a>(wanted: Option<&'a str>, handled: Option<&str>) -> Option<&'a str> {
    wanted.filter(|value| Some(*value) != handled)
}

/// What counts as acted on when a value was `due` and so many of the relays `deaf` to it: one that did not hear is
/// told again at the next pass, and those that did lose nothing by hearing it twice.
#[must_use]
pub fn handled(due: &str, before: Option<&str>, deaf: usize) -> Option<String> {
    if deaf == 0 { Some(due.to_owned()) } else { before.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_value_is_due_once() {
        for (what, wanted, before, due_now) in [
            ("never asked for", None, None, None),
            ("asked for", Some("1"), None, Some("1")),
            ("done", Some("1"), Some("1"), None),
            ("asked for again", Some("2"), Some("1"), Some("2")),
            ("an older value is a new one too", Some("1"), Some("2"), Some("1")),
            ("an empty value is one", Some(""), None, Some("")),
            ("the annotation was taken off", None, Some("1"), None),
        ] {
            assert_eq!(due(wanted, before), due_now, "{what}");
        }
    }

    #[test]
    fn a_relay_that_did_not_hear_is_told_again() {
        let wanted = Some("2");
        let mut known = Some("1".to_owned());
        for deaf in [2, 1, 0] {
            let value = due(wanted, known.as_deref()).unwrap();
            known = handled(value, known.as_deref(), deaf);
        }
        assert_eq!(due(wanted, known.as_deref()), None);
        assert_eq!(known.as_deref(), wanted, "the status shows the value");
    }
}
