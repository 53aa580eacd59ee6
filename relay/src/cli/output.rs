//! Standard output and error: tables for a person, aligned text for a pipe.

use std::{
    env,
    io::{self, IsTerminal as _, Write as _},
};

use comfy_table::{Cell, Color, ContentArrangement, LineStyle, Table, TableStyle, presets};
use serde::Serialize;

use super::CliError;

/// Whether a person wants colours (<https://no-color.org>).
pub(super) fn colours_wanted() -> bool {
    env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Says what went wrong.
pub(super) fn complain(error: &dyn std::fmt::Display) {
    let _ = writeln!(io::stderr().lock(), "error: {error}");
}

/// Prints a text.
pub(super) fn print(text: &str) -> Result<(), CliError> {
    octets(text.as_bytes())
}

/// Prints octets as they are.
pub(super) fn octets(octets: &[u8]) -> Result<(), CliError> {
    let mut out = io::stdout().lock();
    out.write_all(octets).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => CliError::Closed,
        _ => CliError::Failed(format!("failed to write to standard output: {error}")),
    })
}

/// Prints JSON, for scripts.
pub(super) fn json<T: Serialize + ?Sized>(value: &T) -> Result<(), CliError> {
    let mut text = serde_json::to_string_pretty(value)
        .map_err(|error| CliError::Failed(format!("failed to write JSON: {error}")))?;
    text.push('\n');
    print(&text)
}

/// A line below the heads and no other: many rows on one screen.
const UNDERLINED: TableStyle = TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─'));

/// How a table is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// For a person: lines, cells folded to the terminal's width; colours where they are wanted.
    Terminal(Colours),
    /// For a pipe: one line a row, columns aligned with spaces.
    Plain,
}

/// Whether colours are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colours {
    /// They are.
    On,
    /// They are not.
    Off,
}

impl Style {
    /// The style that fits standard output.
    pub(super) fn of_stdout() -> Self {
        if !io::stdout().is_terminal() {
            Self::Plain
        } else if colours_wanted() {
            Self::Terminal(Colours::On)
        } else {
            Self::Terminal(Colours::Off)
        }
    }
}

/// How good what a cell says is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    /// Neither.
    Plain,
    /// As it should be.
    Good,
    /// Worth a look.
    Odd,
    /// A person is needed.
    Bad,
}

/// A cell: its text, and how good that is.
pub(super) type Value = (String, Mood);

/// A cell that is neither good nor bad.
pub(super) fn plain(text: impl Into<String>) -> Value {
    (text.into(), Mood::Plain)
}

/// A table as text, with a line end.
pub(super) fn table(style: Style, heads: &[&str], rows: Vec<Vec<Value>>) -> String {
    let mut table = Table::new();
    let paint = match style {
        Style::Terminal(colours) => {
            table.load_style(UNDERLINED).set_content_arrangement(ContentArrangement::Dynamic);
            colours
        }
        Style::Plain => {
            table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled).force_no_tty();
            Colours::Off
        }
    };
    if paint == Colours::Off {
        table.force_no_tty();
    }
    table.set_header(heads.iter().copied());
    for row in rows {
        table.add_row(row.into_iter().map(|(text, mood)| {
            let cell = Cell::new(text);
            match mood {
                Mood::Plain => cell,
                Mood::Good => cell.fg(Color::Green),
                Mood::Odd => cell.fg(Color::Yellow),
                Mood::Bad => cell.fg(Color::Red),
            }
        }));
    }
    if style == Style::Plain {
        for column in table.column_iter_mut() {
            column.set_padding((0, 2));
        }
    }
    let mut text: String = table.lines().flat_map(|line| [line.trim_end().to_owned(), "\n".to_owned()]).collect();
    if text.is_empty() {
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_gets_aligned_columns_on_one_line_each() {
        let rows = vec![
            vec![plain("a"), ("up".to_owned(), Mood::Good), plain("x".repeat(200))],
            vec![plain("longer"), ("down".to_owned(), Mood::Bad), plain("")],
        ];
        let text = table(Style::Plain, &["TENANT", "PRIMARY", "ERROR"], rows);
        let long = "x".repeat(200);
        assert_eq!(text, format!("TENANT  PRIMARY  ERROR\na       up       {long}\nlonger  down\n"));
    }
}
