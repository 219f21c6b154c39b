//! What a person reads on the terminal: tables of recordings, and a recording's figures with its verdict.

use std::fmt::Write as _;

use punktfunk_captures::{CaptureState, SnapshotPhase, StatsStatus};
use punktfunk_recordings::summary::{Figures, StageSummary};
use punktfunk_recordings::{Capture, CaptureKind, CaptureMeta, SnapshotState, StatsSample};

/// A table whose first column is text and whose others are figures, aligned right; the last one may be text again.
struct Table {
    rows: Vec<Vec<String>>,
    ends_in_text: bool,
}

impl Table {
    fn new(head: &[&str]) -> Self {
        Self { rows: vec![head.iter().map(|&cell| cell.to_owned()).collect()], ends_in_text: false }
    }

    fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn print(&self, out: &mut String) {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        for row in &self.rows {
            let mut line = String::from(" ");
            for (column, cell) in row.iter().enumerate() {
                let gap = " ".repeat(widths[column].saturating_sub(cell.chars().count()));
                if column == 0 {
                    write!(line, " {cell}{gap}").ok();
                } else if self.ends_in_text && column + 1 == columns {
                    write!(line, "  {cell}").ok();
                } else {
                    write!(line, "  {gap}{cell}").ok();
                }
            }
            writeln!(out, "{}", line.trim_end()).ok();
        }
    }
}

/// Microseconds as milliseconds; a dash for what is absent.
fn ms(us: Option<f64>) -> String {
    us.map_or_else(|| "–".to_owned(), |us| format!("{:.2}", us / 1e3))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn count(figure: Option<u64>) -> String {
    figure.map_or_else(|| "–".to_owned(), |figure| figure.to_string())
}

fn kind(kind: Option<CaptureKind>) -> &'static str {
    match kind {
        Some(CaptureKind::Native) => "native",
        Some(CaptureKind::Gamestream) => "gamestream",
        Some(CaptureKind::Mixed) => "mixed",
        None => "no session",
    }
}

fn mode(meta: &CaptureMeta) -> String {
    match (meta.width, meta.height, meta.fps) {
        (Some(width), Some(height), Some(fps)) => format!("{width}x{height}@{fps}"),
        _ => "–".to_owned(),
    }
}

/// One line on a recording: what, how long, of whom.
fn headline(meta: &CaptureMeta) -> String {
    let mut line = format!("{}  {} {}", meta.id, kind(meta.kind), mode(meta));
    if let Some(codec) = &meta.codec {
        write!(line, " {codec}").ok();
    }
    write!(line, ", {:.1} s, {} samples", meta.duration_ms as f64 / 1e3, meta.sample_count).ok();
    if !meta.label.is_empty() {
        write!(line, "  “{}”", printable(&meta.label)).ok();
    }
    if meta.interrupted {
        line.push_str("  (interrupted: the host ended before it was stopped)");
    }
    if meta.truncated {
        line.push_str("  (truncated: a limit was reached)");
    }
    line
}

/// A recording's figures, one table a session, and the verdict.
pub fn capture(capture: &Capture) -> String {
    let mut out = format!("{}\n", headline(&capture.meta));
    for session in &capture.summary.sessions {
        let meta = capture.meta.sessions.iter().find(|meta| meta.id == session.session_id);
        let client = meta.map_or("", |meta| meta.client.as_str());
        writeln!(out, "\n  session {}  {}", session.session_id, printable(client)).ok();
        figures(&session.figures, &mut out);
        if capture.summary.sessions.len() > 1 {
            writeln!(out, "  verdict: {}", session.verdict.text).ok();
        }
    }
    if capture.meta.records_lost > 0 {
        writeln!(
            out,
            "\n  {} frames were sent but not measured: their records found the ring full",
            capture.meta.records_lost
        )
        .ok();
    }
    writeln!(out, "\n  Verdict: {}", capture.summary.verdict.text).ok();
    if let Some(text) = provenance(capture) {
        writeln!(out, "  {text}").ok();
    }
    out
}

/// Where the figures come from, if a metrics backend was asked.
fn provenance(capture: &Capture) -> Option<String> {
    let check = capture.provenance.backend.as_ref();
    let version =
        check.and_then(|check| check.server.as_deref()).map_or_else(String::new, |v| format!(" ({})", printable(v)));
    let reason = check.map_or("", |check| check.reason.as_str());
    Some(match capture.meta.snapshot? {
        SnapshotState::Pending => {
            "Figures: the collector's; a snapshot from the metrics backend is still to be taken".to_owned()
        }
        SnapshotState::Verified => {
            format!("Figures: from the metrics backend{version}, held against the collector: {}", printable(reason))
        }
        SnapshotState::Kept => {
            format!("Figures: the collector's, not those of the metrics backend{version}: {}", printable(reason))
        }
    })
}

fn figures(figures: &Figures, out: &mut String) {
    let mut table = Table::new(&["ms", "mean", "p50", "p95", "p99", "p99.9", "max", "busy", "at fault"]);
    let late = |name: &str| figures.late_by_stage.iter().find(|late| late.stage == name).map(|late| late.count);
    let row = |stage: &StageSummary| {
        vec![
            stage.name.clone(),
            ms(Some(stage.mean_us)),
            ms(stage.p50_us),
            ms(stage.p95_us),
            ms(stage.p99_us),
            ms(stage.p999_us),
            ms(Some(stage.max_us)),
            stage.busy_share.map_or_else(String::new, |share| format!("{:.0} %", share * 100.0)),
            late(&stage.name).map_or_else(String::new, |late| late.to_string()),
        ]
    };
    for stage in figures.stages.iter().chain(&figures.host) {
        table.row(row(stage));
    }
    table.print(out);
    let low = figures.low_1_percent_fps.map_or_else(String::new, |low| format!(" (1 % low {low:.1})"));
    writeln!(out, "  {:.1} fps{low}, {:.2} Mb/s, {} stutters", figures.fps, figures.mbps, figures.stutters).ok();
    writeln!(
        out,
        "  late {} of {} frames ({}), dropped {}, packets lost {}, rebuilt {}",
        figures.late,
        figures.frames,
        percent(figures.late_share),
        figures.frames_dropped,
        count(figures.packets_lost),
        count(figures.fec_recovered),
    )
    .ok();
}

/// The list of recordings.
pub fn recordings<'a>(metas: impl IntoIterator<Item = &'a CaptureMeta>) -> String {
    let mut table = Table::new(&["recording", "duration", "mode", "p99 host ms", "late", "verdict"]);
    table.ends_in_text = true;
    let mut any = false;
    for meta in metas {
        any = true;
        let verdict = meta.verdict.as_ref().map_or("–", |verdict| verdict.text.as_str());
        let label = if meta.label.is_empty() { String::new() } else { format!(" “{}”", printable(&meta.label)) };
        table.row(vec![
            format!("{}{label}", meta.id),
            format!("{:.1} s", meta.duration_ms as f64 / 1e3),
            mode(meta),
            ms(meta.host_p99_us),
            percent(meta.late_share),
            verdict.to_owned(),
        ]);
    }
    if !any {
        return "no recordings yet: `ctl start`, play, `ctl stop`\n".to_owned();
    }
    let mut out = String::new();
    table.print(&mut out);
    out
}

/// One line on what the service does.
pub fn status(status: &StatsStatus) -> String {
    let id = status.id.as_ref().map_or_else(String::new, ToString::to_string);
    let elapsed = status.elapsed_ms.unwrap_or(0) as f64 / 1e3;
    let live = status.live_sessions;
    match status.state {
        CaptureState::Idle if status.snapshot.is_some() => snapshot(status),
        CaptureState::Idle => match &status.last_recording {
            Some(last) => format!("idle, {live} sessions streaming; last recording {last}"),
            None => format!("idle, {live} sessions streaming"),
        },
        CaptureState::Scheduled => {
            format!("{id} starts in {:.0} s", status.starts_in_ms.unwrap_or(0) as f64 / 1e3)
        }
        CaptureState::Armed => format!(
            "recording {id}: {elapsed:.0} s, {} samples, {} of {live} sessions measured",
            status.sample_count, status.session_count
        ),
        CaptureState::Saving => format!("saving {id}"),
        CaptureState::Unsaved => {
            let reason = status.unsaved_reason.as_deref().unwrap_or("the write failed");
            format!("{id} is stopped and not saved: {reason}. Mend that and stop again")
        }
    }
}

fn snapshot(status: &StatsStatus) -> String {
    let Some(snapshot) = &status.snapshot else { return String::new() };
    let (id, done, total) = (&snapshot.id, snapshot.done, snapshot.total);
    let what = match snapshot.phase {
        SnapshotPhase::Queued => "waits for its snapshot".to_owned(),
        SnapshotPhase::Waiting => format!("is saved; the metrics backend holds {done} of {total} counts"),
        SnapshotPhase::Querying => format!("is saved; {done} of {total} queries to the metrics backend answered"),
        SnapshotPhase::Storing => "is saved; its snapshot is being stored".to_owned(),
    };
    format!("idle, {} sessions streaming; {id} {what}", status.live_sessions)
}

/// One window as a line of `ctl watch`.
pub fn sample(sample: &StatsSample) -> String {
    let mut line = format!("{:>7.1} s  {:<4}", sample.t_ms as f64 / 1e3, sample.session_id);
    for stage in &sample.stages {
        write!(line, "  {} {}/{}", stage.name, ms(Some(stage.p50_us)), ms(Some(stage.p99_us))).ok();
    }
    let host = sample.host.as_ref();
    write!(
        line,
        "  host {}/{} ms p50/p99  {:.1} fps  {:.1} Mb/s  late {}",
        ms(host.map(|host| host.p50_us)),
        ms(host.map(|host| host.p99_us)),
        sample.fps,
        sample.mbps,
        sample.late
    )
    .ok();
    line
}

/// Text typed by somebody else, without what would move a terminal's cursor.
pub fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up() {
        let mut table = Table::new(&["a", "b"]);
        table.row(vec!["longer".into(), "1".into()]);
        table.row(vec!["ü".into(), "100".into()]);
        let mut out = String::new();
        table.print(&mut out);
        assert_eq!(out, "  a         b\n  longer    1\n  ü       100\n");
    }

    #[test]
    fn control_characters_do_not_reach_the_terminal() {
        assert_eq!(printable("a\u{1b}[2Jb\n"), "a\u{fffd}[2Jb\u{fffd}");
    }

    #[test]
    fn an_absent_figure_is_a_dash() {
        assert_eq!((ms(None), percent(None), count(None)), ("–".into(), "–".into(), "–".into()));
    }
}
