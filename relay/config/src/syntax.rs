//! Texts that are no YAML: where they stop making sense, and what was expected there.

use std::fmt;

use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::{
    LoadError,
    locate::{self, Path},
};

/// Whether a text is one document of YAML, whatever it says.
pub(crate) fn check(text: &str) -> Result<(), LoadError> {
    let Err(error) = IgnoredAny::deserialize(serde_yaml::Deserializer::from_str(text)) else { return Ok(()) };
    let words = error.to_string();
    if words == "deserializing from YAML containing more than one document is not supported" {
        let marks = text.lines().enumerate().filter(|(_, line)| *line == "---" || line.starts_with("--- "));
        // The first of them may open the first document.
        let line = marks.last().map(|(index, _)| index + 1);
        let problem = "expected one document; got several, with `---` between them".to_owned();
        return Err(LoadError { line, path: String::new(), problem });
    }
    let walked = serde_path_to_error::deserialize::<_, Walk>(serde_yaml::Deserializer::from_str(text));
    let path = walked.err().map(|error| Path::from(error.path())).unwrap_or_default();
    let located = error.location().map(|location| location.line());
    let (problem, context) = match words.split_once(", while ") {
        Some((problem, context)) => (problem, Some(context)),
        None => (words.as_str(), None),
    };
    let (problem, at) = placed(problem);
    let context = context.map(placed);
    let line = match context {
        // What was begun and never ended is put right at its beginning.
        Some(("scanning a quoted scalar" | "scanning a simple key", Some(begin))) => Some(begin),
        _ => at.or(located),
    };
    let path = line.map_or(Path::default(), |line| around(text, path, line));
    let while_at = context.map(|(what, _)| format!(", while {what}")).unwrap_or_default();
    let problem = format!("expected YAML or JSON: {}; {problem}{while_at}", form(text, line));
    Err(LoadError { line, path: path.to_string(), problem })
}

/// The field that a line is in, by its indent: what was read before it and is indented further had come to its end.
fn around(text: &str, path: Path, line: usize) -> Path {
    let indent = |line: usize| {
        let line = text.lines().nth(line.saturating_sub(1)).filter(|line| !line.trim().is_empty())?;
        Some(line.chars().take_while(|c| c.is_whitespace()).map(|c| if c == '\t' { 8 } else { 1 }).sum::<usize>())
    };
    let Some(wrong) = indent(line) else { return path };
    let holds = |path: &Path| locate::line_of_itself(text, path).and_then(indent).is_none_or(|begin| begin <= wrong);
    let around = std::iter::once(path.clone()).chain(path.parents()).find(holds);
    around.unwrap_or_default()
}

/// Words without the place that the parser puts behind them, and the line in it.
fn placed(words: &str) -> (&str, Option<usize>) {
    match words.rsplit_once(" at line ") {
        Some((words, place)) => (words, place.split(' ').next().and_then(|line| line.parse().ok())),
        None => (words.rsplit_once(" at position ").map_or(words, |(words, _)| words), None),
    }
}

/// What is most likely to put it right.
fn form(text: &str, line: Option<usize>) -> &'static str {
    let wrong = line.and_then(|line| text.lines().nth(line.saturating_sub(1))).unwrap_or_default();
    let indent = &wrong[..wrong.len() - wrong.trim_start().len()];
    if indent.contains('\t') {
        "lines indented by spaces, not by tabs"
    } else {
        "fields as `name: value`, lists as `- value`, a text with special characters in quotes"
    }
}

/// Reads everything, so that the path of what can't be read is known.
struct Walk;

impl<'de> Deserialize<'de> for Walk {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Walk {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a document")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        while map.next_entry::<String, Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}
