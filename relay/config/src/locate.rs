//! Finds the line of a field: the document is read once more, and reading stops with an error at that field.

use std::{borrow::Cow, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_path_to_error::Segment;

/// The path of a field in the document.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Path(Vec<Step>);

/// One step of a [`Path`].
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Field(Cow<'static, str>),
    Item(usize),
}

impl Path {
    /// The path of a field of this one.
    pub(crate) fn field(&self, name: &'static str) -> Self {
        self.with(Step::Field(name.into()))
    }

    /// The path of a field whose name is only known from a document.
    pub(crate) fn entry(&self, name: String) -> Self {
        self.with(Step::Field(name.into()))
    }

    /// The path of an item of this list, counted from 0.
    pub(crate) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    /// The fields' names alone, with dots between: the same for every item of a list.
    pub(crate) fn names(&self) -> String {
        let names = self.0.iter().filter_map(|step| match step {
            Step::Field(name) => Some(name.as_ref()),
            Step::Item(_) => None,
        });
        names.collect::<Vec<_>>().join(".")
    }

    /// The paths that enclose this one, the nearest first.
    pub(crate) fn parents(&self) -> impl Iterator<Item = Self> + '_ {
        (0..self.0.len()).rev().map(|depth| Self(self.0[..depth].to_vec()))
    }

    fn with(&self, step: Step) -> Self {
        Self(self.0.iter().cloned().chain([step]).collect())
    }
}

impl From<&serde_path_to_error::Path> for Path {
    fn from(path: &serde_path_to_error::Path) -> Self {
        let steps = path.iter().map_while(|segment| match segment {
            Segment::Seq { index } => Some(Step::Item(*index)),
            Segment::Map { key } => Some(Step::Field(key.clone().into())),
            Segment::Enum { .. } | Segment::Unknown => None,
        });
        Self(steps.collect())
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, step) in self.0.iter().enumerate() {
            match step {
                Step::Field(name) if position == 0 => f.write_str(name)?,
                Step::Field(name) => write!(f, ".{name}")?,
                Step::Item(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}

/// The line of the field, from 1. Of a field that is not written, the line of the nearest enclosing one that is.
pub(crate) fn line_of(text: &str, path: &Path) -> Option<usize> {
    (0..=path.0.len()).rev().find_map(|depth| stop(text, Stop { path: &path.0[..depth], at: At::Value }))
}

/// The line of the field itself, from 1; none where it is not written.
pub(crate) fn line_of_itself(text: &str, path: &Path) -> Option<usize> {
    stop(text, Stop { path: &path.0, at: At::Value })
}

/// The line, from 1, where the field is written for the second time.
pub(crate) fn line_of_second(text: &str, path: &Path) -> Option<usize> {
    stop(text, Stop { path: &path.0, at: At::SecondName })
}

fn stop(text: &str, at: Stop<'_>) -> Option<usize> {
    let error = at.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    error.to_string().contains(FOUND).then(|| error.location().map(|location| location.line()))?
}

const FOUND: &str = "backupmx: the field is here";

/// Reads on to the end of its path and fails there.
struct Stop<'a> {
    path: &'a [Step],
    at: At,
}

/// What of the field at the end of the path is looked for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    Value,
    SecondName,
}

/// A field's name: whether it is the wanted one; an error where that is looked for.
struct Name<'a> {
    wanted: &'a str,
    is_the_end: bool,
}

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a field's name")
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<bool, E> {
        match name == self.wanted {
            true if self.is_the_end => Err(E::custom(FOUND)),
            found => Ok(found),
        }
    }
}

impl<'de> DeserializeSeed<'de> for Stop<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Stop<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Some((Step::Field(wanted), rest)) = self.path.split_first() else { return self.end() };
        let twice = self.at == At::SecondName && rest.is_empty();
        let mut met = false;
        while let Some(found) = map.next_key_seed(Name { wanted, is_the_end: twice && met })? {
            met |= found;
            if found && !twice {
                map.next_value_seed(Stop { path: rest, at: self.at })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), rest)) = self.path.split_first() else { return self.end() };
        for index in 0.. {
            let more = if index == *wanted {
                seq.next_element_seed(Stop { path: rest, at: self.at })?.is_some()
            } else {
                seq.next_element::<IgnoredAny>()?.is_some()
            };
            if !more {
                break;
            }
        }
        Ok(())
    }

    fn visit_str<E: de::Error>(self, _: &str) -> Result<(), E> {
        self.end()
    }

    fn visit_u64<E: de::Error>(self, _: u64) -> Result<(), E> {
        self.end()
    }

    fn visit_i64<E: de::Error>(self, _: i64) -> Result<(), E> {
        self.end()
    }

    fn visit_f64<E: de::Error>(self, _: f64) -> Result<(), E> {
        self.end()
    }

    fn visit_bool<E: de::Error>(self, _: bool) -> Result<(), E> {
        self.end()
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        self.end()
    }
}

impl Stop<'_> {
    fn end<E: de::Error>(&self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "hostname: a.example\nspool:\n  path: /x\ntenants:\n  - name: a\n    domains:\n      - a.example\n      - b.example\n";

    #[test]
    fn finds_scalars_in_maps_and_lists() {
        let tenants = Path::default().field("tenants").item(0);
        assert_eq!(line_of(TEXT, &Path::default().field("hostname")), Some(1));
        assert_eq!(line_of(TEXT, &tenants.field("name")), Some(5));
        assert_eq!(line_of(TEXT, &tenants.field("domains").item(1)), Some(8));
    }

    #[test]
    fn of_a_missing_field_it_finds_the_nearest_parent() {
        let missing = Path::default().field("tenants").item(0).field("hold").field("maxAge");
        assert_eq!(line_of(TEXT, &missing), Some(5));
    }
}
