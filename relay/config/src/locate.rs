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

    /// The path of an item of this list, counted from 0.
    pub(crate) fn item(&self, index: usize) -> Self {
        self.with(Step::Item(index))
    }

    /// Whether it is the document as a whole.
    pub(crate) fn is_root(&self) -> bool {
        self.0.is_empty()
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
    (0..=path.0.len()).rev().find_map(|depth| {
        let error = Stop(&path.0[..depth]).deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        error.to_string().contains(FOUND).then(|| error.location().map(|location| location.line()))?
    })
}

const FOUND: &str = "backupmx: the field is here";

/// Reads on to the end of its path and fails there.
struct Stop<'a>(&'a [Step]);

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
        let Some((Step::Field(wanted), rest)) = self.0.split_first() else { return self.end() };
        while let Some(key) = map.next_key::<String>()? {
            if key == *wanted {
                map.next_value_seed(Stop(rest))?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let Some((Step::Item(wanted), rest)) = self.0.split_first() else { return self.end() };
        for index in 0.. {
            let more = if index == *wanted {
                seq.next_element_seed(Stop(rest))?.is_some()
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
        if self.0.is_empty() { Err(E::custom(FOUND)) } else { Ok(()) }
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
