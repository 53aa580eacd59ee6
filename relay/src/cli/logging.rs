//! Logs: one line an event, on standard error. Coloured text for a person, JSON for a machine.

use std::io::{self, IsTerminal as _};

use tracing_subscriber::EnvFilter;

/// The variable that says how much is logged, such as `debug` or `backupmx_relay::deliver=trace,info`.
pub const VARIABLE: &str = "BACKUPMX_LOG";

/// Starts logging. A wrong [`VARIABLE`] is said and `info` is taken: a typing mistake must not keep mail waiting.
pub fn init() {
    let (filter, problem) = filter(std::env::var(VARIABLE).ok().as_deref());
    let builder = tracing_subscriber::fmt().with_writer(io::stderr).with_env_filter(filter);
    // A subscriber that is set already (in a test) stays.
    let _ = if io::stderr().is_terminal() {
        builder.with_target(false).with_ansi(super::output::colours_wanted()).try_init()
    } else {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    };
    if let Some(problem) = problem {
        tracing::warn!("{problem}");
    }
}

fn filter(text: Option<&str>) -> (EnvFilter, Option<String>) {
    // `info` in front, so that `module=trace` adds to it rather than silences the rest; a later word wins.
    match EnvFilter::builder().parse(format!("info,{}", text.unwrap_or_default())) {
        Ok(filter) => (filter, None),
        Err(error) => {
            let problem = format!(
                "{VARIABLE}: expected a level (error, warn, info, debug, trace) or module=level, separated by commas: \
                 {error}; taking info"
            );
            (EnvFilter::new("info"), Some(problem))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::filter;

    #[test]
    fn info_is_the_default_and_the_refuge() {
        for (text, shown, complaint) in [
            (None, "info", false),
            (Some(""), "info", false),
            (Some("debug"), "debug", false),
            (Some("backupmx_relay::deliver=trace"), "backupmx_relay::deliver=trace,info", false),
            (Some("backupmx_relay=loud"), "info", true),
        ] {
            let (filter, problem) = filter(text);
            assert_eq!((filter.to_string().as_str(), problem.is_some()), (shown, complaint), "{text:?}");
        }
    }
}
