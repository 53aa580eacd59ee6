//! `backupmx-relay demo`: the whole story on loopback, with real processes, each step checked.
//!
//! The primary is `backupmx-relay sink`; the sender's server, which takes the bounce, is a second relay (the sink can't
//! take a null sender, see `sink`).

mod mail;
mod stage;
mod story;

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use stage::Stage;

/// Plays the demo. Prints each step as it is done.
///
/// # Errors
/// A step did not go as promised; the error says which, and the processes' logs are kept for reading.
pub async fn run() -> anyhow::Result<()> {
    tokio::task::spawn_blocking(play).await?
}

fn play() -> anyhow::Result<()> {
    let mut stage = Stage::build()?;
    let telling = Telling::start(story::STEPS.len());
    telling.say(&format!("BackupMX demo: everything on 127.0.0.1, files in {}\n", stage.folder().display()));
    for (title, step) in story::STEPS {
        telling.begin(title);
        match step(&mut stage) {
            Ok(shown) => telling.done(title, &shown),
            Err(error) => {
                telling.failed(title);
                let logs = stage.keep();
                return Err(error.context(format!("{title}: failed; the logs are in {}", logs.display())));
            }
        }
    }
    telling.say("\nEvery message that was answered 250 is where it belongs.");
    Ok(())
}

/// Tells the story: a spinner on a terminal, plain lines elsewhere.
struct Telling {
    bar: ProgressBar,
}

impl Telling {
    fn start(steps: usize) -> Self {
        let bar = ProgressBar::with_draw_target(Some(steps as u64), ProgressDrawTarget::stdout());
        if let Ok(style) = ProgressStyle::with_template("{spinner:.cyan} [{pos}/{len}] {msg} {elapsed:.dim}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(Duration::from_millis(100));
        Self { bar }
    }

    fn say(&self, text: &str) {
        if self.bar.is_hidden() {
            write_line(text);
        } else {
            self.bar.println(text);
        }
    }

    fn begin(&self, title: &str) {
        self.bar.set_message(title.to_owned());
    }

    fn done(&self, title: &str, shown: &str) {
        let colour = std::io::stdout().is_terminal();
        let mark = if colour { "\u{1b}[32m✓\u{1b}[0m" } else { "✓" };
        self.say(&format!("{mark} {title}"));
        for line in shown.lines() {
            self.say(&format!("    {line}"));
        }
        self.bar.inc(1);
    }

    fn failed(&self, title: &str) {
        self.bar.disable_steady_tick();
        self.say(&format!("✗ {title}"));
        self.bar.finish_and_clear();
    }
}

impl Drop for Telling {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

#[expect(clippy::print_stdout, reason = "the demo's story is its output")]
fn write_line(text: &str) {
    println!("{text}");
}
