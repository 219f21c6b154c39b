//! What a run was: a table for people, JSON for programs.

use std::fmt::Write;

use punktfunk_native::client::{ConsumerTally, OutcomeLog, RunReport, StreamOver, Summary, Tally};
use serde::Serialize;

/// A run, as printed by `--json`. Fields may be added.
#[derive(Debug, Serialize)]
pub struct Report<'a> {
    /// Why the run fell short of its goal, if it did.
    error: Option<String>,
    /// Frames received.
    frames: u64,
    /// Frames received that were no repeats.
    new_frames: u64,
    /// From the first frame to the last, seconds.
    seconds: f64,
    /// New frames a second.
    new_fps: Option<f64>,
    /// What was done with them.
    consumer: ConsumerTally,
    /// Each stream in turn: more than one if contact was lost.
    streams: Vec<Stream<'a>>,
}

#[derive(Debug, Serialize)]
struct Stream<'a> {
    over: StreamOver,
    tally: Tally,
    outcomes: &'a OutcomeLog,
}

impl<'a> Report<'a> {
    /// The report of a run.
    pub fn new(run: &'a RunReport, consumer: ConsumerTally, error: Option<String>) -> Self {
        let stream =
            |summary: &'a Summary| Stream { over: summary.over, tally: summary.tally, outcomes: &summary.outcomes };
        Self {
            error,
            frames: run.frames,
            new_frames: run.new_frames,
            seconds: run.span.as_secs_f64(),
            new_fps: run.new_fps(),
            consumer,
            streams: run.streams.iter().map(stream).collect(),
        }
    }

    /// The report for people, ending with a line feed.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            writeln!(text, "{name:<20}{value}").expect("writing to a string does not fail");
        };
        let fps = self.new_fps.map_or_else(|| "–".to_owned(), |fps| format!("{fps:.2}"));
        row("frames", format!("{} in {:.1} s, {fps} new a second", self.frames, self.seconds));
        for stream in &self.streams {
            let tally = &stream.tally;
            row(
                "complete",
                format!("{} ({} IDR, {} repeats)", tally.frames_complete, tally.idrs, tally.frames_repeated),
            );
            row("lost", format!("{} and {} that needed one of them", tally.frames_lost, tally.frames_undecodable));
            row("packets", format!("{} received, {} lost", tally.packets, tally.packets_lost));
            row("repaired", format!("{} shards; {} IDR requests", tally.shards_recovered, tally.idr_requests));
            if tally.refused.total() > 0 {
                row("refused", format!("{} datagrams: {:?}", tally.refused.total(), tally.refused));
            }
        }
        if self.consumer.pictures > 0 {
            let (width, height) = self.consumer.picture_size.unwrap_or_default();
            row(
                "decoded",
                format!(
                    "{} pictures of {width}×{height}, {} errors",
                    self.consumer.pictures, self.consumer.decode_errors
                ),
            );
        }
        if self.consumer.dumped_bytes > 0 {
            row("dumped", format!("{} bytes", self.consumer.dumped_bytes));
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn both_forms_say_what_was_received_and_lost() {
        let mut run = RunReport { frames: 61, new_frames: 61, span: Duration::from_secs(1), ..RunReport::default() };
        let tally = Tally { frames_complete: 61, frames_lost: 4, ..Tally::default() };
        run.streams.push(Summary { over: StreamOver::Stopped, tally, outcomes: OutcomeLog::default() });
        let report = Report::new(&run, ConsumerTally::default(), None);
        assert!(report.text().contains("61 in 1.0 s, 60.00 new a second"), "{}", report.text());
        let json = serde_json::to_value(&report).unwrap();
        assert_eq!(json["streams"][0]["tally"]["frames_lost"], 4);
        assert_eq!(json["streams"][0]["over"], "stopped");
        assert_eq!(json["error"], serde_json::Value::Null);
    }
}
