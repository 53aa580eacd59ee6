//! Reading and writing the document as YAML, with errors that name line, field and expected form.

use std::fmt;

use serde::de::{self, Deserializer, Visitor};

use crate::{RelayConfig, locate, syntax, validate, wording};

/// Why a document was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}{problem}", place(*.line, path))]
pub struct LoadError {
    /// The line in the document, from 1; none where the text gives no place.
    pub line: Option<usize>,
    /// The field's path, such as `tenants[0].hold.maxAge`; empty for the document as a whole.
    pub path: String,
    /// What is wrong and what was expected.
    pub problem: String,
}

impl LoadError {
    /// The error as a person reads it, with the file's name in front: `relay.yaml: line 12: tenants[0].name: …`.
    #[must_use]
    pub fn in_file(&self, file: &str) -> String {
        format!("{file}: {self}")
    }

    /// What is found wrong with a field of a good document by looking beyond it: the line is the field's in the text, or
    /// that of the nearest enclosing field that is written.
    #[must_use]
    pub fn of_field(text: &str, fields: &[&'static str], problem: impl Into<String>) -> Self {
        let path = fields.iter().fold(locate::Path::default(), |path, field| path.field(field));
        Self { line: locate::line_of(text, &path), path: path.to_string(), problem: problem.into() }
    }
}

fn place(line: Option<usize>, path: &str) -> String {
    match (line, path) {
        (Some(line), "") => format!("line {line}: "),
        (Some(line), path) => format!("line {line}: {path}: "),
        (None, "") => String::new(),
        (None, path) => format!("{path}: "),
    }
}

/// Reads and checks a document.
///
/// # Errors
/// The first thing that is wrong, with its place: no YAML, a field that is unknown, missing or of the wrong form, or
/// values that do not go together (a domain in two tenants, a `retry.min` above `retry.max`).
pub fn from_yaml(text: &str) -> Result<RelayConfig, LoadError> {
    let deserializer = serde_yaml::Deserializer::from_str(text);
    let config: RelayConfig = serde_path_to_error::deserialize(deserializer).map_err(|error| {
        // Where a text is no YAML, its fields are read up to that point, and one of them may be called wrong for it.
        if let Err(wrong) = syntax::check(text) {
            return wrong;
        }
        let path = locate::Path::from(error.path());
        let located = error.inner().location().map(|location| location.line());
        let bare = wording::bare(&error.into_inner(), &path);
        let Some(field) = wording::duplicate(&bare) else {
            let problem = wording::problem(&bare, &path);
            return LoadError { line: locate::line_of(text, &path).or(located), path: path.to_string(), problem };
        };
        let path = path.entry(field.to_owned());
        let problem = "expected it once; it is written twice".to_owned();
        LoadError { line: locate::line_of_second(text, &path), path: path.to_string(), problem }
    })?;
    validate::check(&config).map_err(|wrong| LoadError {
        line: locate::line_of(text, &wrong.path),
        path: wrong.path.to_string(),
        problem: wrong.problem,
    })?;
    Ok(config)
}

/// Checks a config that was put together in a program, as [`from_yaml`] checks what it read.
///
/// # Errors
/// The first values that do not go together; without a line, as there is no text.
pub fn check(config: &RelayConfig) -> Result<(), LoadError> {
    validate::check(config).map_err(|wrong| LoadError {
        line: None,
        path: wrong.path.to_string(),
        problem: wrong.problem,
    })
}

/// Writes a document that [`from_yaml`] reads back to the same value.
///
/// # Errors
/// None that a document read by [`from_yaml`] can cause.
pub fn to_yaml(config: &RelayConfig) -> Result<String, serde_yaml::Error> {
    serde_yaml::to_string(config)
}

/// A scalar as its text: a person may write `size: 1048576` or `"1048576"`. What is neither is handed on as text too,
/// so that the error can say what was expected of the field.
pub(crate) fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    struct Scalar;

    impl Visitor<'_> for Scalar {
        type Value = String;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a text or a whole number")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<String, E> {
            Ok(text.to_owned())
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<String, E> {
            Ok(number.to_string())
        }

        fn visit_f64<E: de::Error>(self, number: f64) -> Result<String, E> {
            // Always with a point, so that 1e3 is not taken for a whole number.
            Ok(format!("{number:?}"))
        }

        fn visit_bool<E: de::Error>(self, truth: bool) -> Result<String, E> {
            Ok(truth.to_string())
        }

        fn visit_unit<E: de::Error>(self) -> Result<String, E> {
            Ok(String::new())
        }
    }

    deserializer.deserialize_any(Scalar)
}

#[cfg(test)]
mod tests;
