//! `backupmx-relay demo`: the whole story on loopback, with real processes, each step checked.
//!
//! The primary is `backupmx-relay sink`; the sender's server, which takes the bounce, is a second relay (the sink can't
//! take a null sender, see `sink`).

mod mail;
mod stage;
mod story;

use std::{io::IsTerminal, time::Duration};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use stage::Stage;

/// How the demo ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// With its last step.
    Played,
    /// With SIGINT or SIGTERM, whose number this is: the processes are gone, and so is the folder.
    Interrupted(u8),
}

/// Plays the demo. Prints each step as it is done.
///
/// # Errors
/// A step did not go as promised; the error says which, and the processes' logs are kept for reading.
pub async fn run() -> anyhow::Result<End> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let stop = CancellationToken::new();
    let stopped = stop.clone();
    let mut playing = tokio::task::spawn_blocking(move || play(&stopped));
    let number = tokio::select! {
        played = &mut playing => return played?.map(|()| End::Played),
        _ = interrupt.recv() => 2,
        _ = terminate.recv() => 15,
    };
    stop.cancel();
    // Whatever came of the step that was under way. It clears up behind itself, within seconds.
    let _ = playing.await?;
    Ok(End::Interrupted(number))
}

fn play(stop: &CancellationToken) -> anyhow::Result<()> {
    let mut stage = Stage::build(stop.clone())?;
    let telling = Telling::start(story::STEPS.len());
    telling.say(&format!("BackupMX demo: everything on 127.0.0.1, files in {}\n", stage.folder().display()));
    for (title, step) in story::STEPS {
        telling.begin(title);
        anyhow::ensure!(!stop.is_cancelled(), "interrupted");
        match step(&mut stage) {
            Ok(shown) => telling.done(title, &shown),
            Err(error) if stop.is_cancelled() => {
                telling.failed(title);
                return Err(error);
            }
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
