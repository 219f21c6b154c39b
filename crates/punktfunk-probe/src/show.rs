//! Progress: one line that changes on a terminal, a plain line each few seconds elsewhere.

use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use punktfunk_native::client::{Goal, Progress};

/// Time between two plain lines.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Time between two changes of the line on a terminal.
const BAR_EVERY: Duration = Duration::from_millis(200);

/// Shows how a stream goes, on standard error.
pub struct Show {
    bar: Option<ProgressBar>,
    goal: (Option<u64>, Option<Duration>),
    shown: Option<Instant>,
}

impl Show {
    /// Begins with "connecting".
    pub fn new(goal: &Goal, host: &str) -> Self {
        let bar = stderr().is_terminal().then(ProgressBar::new_spinner);
        match &bar {
            Some(bar) => {
                bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("the template is valid"));
                bar.enable_steady_tick(BAR_EVERY);
                bar.set_message(format!("connecting to {host}"));
            }
            None => line(&format!("connecting to {host}")),
        }
        Self { bar, goal: (goal.frames, goal.duration), shown: None }
    }

    /// Shows where the stream is.
    pub fn update(&mut self, progress: &Progress) {
        let every = if self.bar.is_some() { BAR_EVERY } else { PLAIN_EVERY };
        if self.shown.is_some_and(|shown| shown.elapsed() < every) {
            return;
        }
        self.shown = Some(Instant::now());
        let text = describe(progress, self.goal);
        match &self.bar {
            Some(bar) => bar.set_message(text),
            None => line(&text),
        }
    }

    /// Leaves the terminal as it was.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

fn describe(progress: &Progress, (frames, duration): (Option<u64>, Option<Duration>)) -> String {
    let tally = progress.tally;
    let of_frames = frames.map(|frames| format!("/{frames}")).unwrap_or_default();
    let of_seconds = duration.map(|duration| format!("/{:.0}", duration.as_secs_f64())).unwrap_or_default();
    let again = if progress.streams > 1 { format!(", connected {} times", progress.streams) } else { String::new() };
    format!(
        "{}{of_frames} frames, {:.1}{of_seconds} s, {} lost, {} shards repaired, {} IDR requests{again}",
        progress.frames,
        progress.elapsed.as_secs_f64(),
        tally.frames_lost + tally.frames_undecodable,
        tally.shards_recovered,
        tally.idr_requests,
    )
}

#[expect(clippy::print_stderr, reason = "progress is shown to whoever runs the probe")]
fn line(text: &str) {
    eprintln!("{text}");
}

#[cfg(test)]
mod tests {
    use punktfunk_native::client::Tally;

    use super::*;

    #[test]
    fn progress_names_the_goal_and_what_was_lost() {
        let tally = Tally { frames_lost: 2, frames_undecodable: 1, shards_recovered: 9, ..Tally::default() };
        let progress = Progress { tally, frames: 300, elapsed: Duration::from_secs(5), streams: 2 };
        assert_eq!(
            describe(&progress, (Some(600), None)),
            "300/600 frames, 5.0 s, 3 lost, 9 shards repaired, 0 IDR requests, connected 2 times"
        );
    }
}
