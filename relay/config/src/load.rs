//! Reading and writing the document as YAML, with errors that name line, field and expected form.

use serde::{Deserialize, Deserializer};

use crate::{RelayConfig, locate, validate};

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
        let path = match error.path().to_string() {
            path if path == "." => String::new(),
            path => path,
        };
        let line = error.inner().location().map(|location| location.line());
        LoadError { line, problem: bare_message(&error.into_inner(), &path), path }
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

/// `serde_yaml` puts path and place around a message; we give both ourselves.
fn bare_message(error: &serde_yaml::Error, path: &str) -> String {
    let text = error.to_string();
    let text = match error.location() {
        Some(at) => {
            let suffix = format!(" at line {} column {}", at.line(), at.column());
            text.strip_suffix(&suffix).unwrap_or(&text).to_owned()
        }
        None => text,
    };
    let prefix = format!("{path}: ");
    text.strip_prefix(&prefix).unwrap_or(&text).to_owned()
}

/// A scalar as its text: a person may write `size: 1048576` or `"1048576"`.
pub(crate) fn scalar<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "expected a text or a whole number")]
    enum Scalar {
        Text(String),
        Number(u64),
    }
    match Scalar::deserialize(deserializer)? {
        Scalar::Text(text) => Ok(text),
        Scalar::Number(number) => Ok(number.to_string()),
    }
}
