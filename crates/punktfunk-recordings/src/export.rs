//! CSV of samples and of kept frames, for spreadsheets and notebooks. RFC 4180, UTF-8, a header line, empty cells for
//! figures that were not measured.
//!
//! Cells of text are made harmless: spreadsheets run cells that begin with `=`, `+`, `-`, `@`, a tab or a carriage return,
//! and names come from clients and operators. Such text gets an apostrophe before it. Numbers are left as they are.

use std::borrow::Cow;
use std::io::Write;

use csv::Writer;

use crate::schema::{Capture, StageStats, StatsSample};

/// Columns of a sample beside its stages.
const SAMPLE_COLUMNS: [&str; 24] = [
    "t_ms",
    "window_ms",
    "session_id",
    "client",
    "frames",
    "fps",
    "repeat_fps",
    "late",
    "late_by_stage",
    "stutters",
    "mbps",
    "fec_mbps",
    "overhead_mbps",
    "bitrate_kbps",
    "frames_dropped",
    "dropped_by_reason",
    "records_lost",
    "packets_sent",
    "packets_dropped",
    "send_dropped",
    "fec_recovered",
    "idr_requests",
    "rfi_requests",
    "rtt_us",
];

/// Columns of each stage, after its name and `_`.
const STAGE_COLUMNS: [&str; 6] = ["p50_us", "p95_us", "p99_us", "max_us", "mean_us", "count"];

/// Columns of a client's figures.
const CLIENT_COLUMNS: [&str; 6] = [
    "client_received",
    "client_lost",
    "client_recovered",
    "client_one_way_us",
    "client_decode_p50_us",
    "client_decode_p99_us",
];

/// Writes one line a sample: what happened in the window, then each stage's figures, `queue`, `host`, `pace` and
/// `interval`, then the client's.
///
/// # Errors
/// If `out` fails.
pub fn samples_csv(capture: &Capture, out: impl Write) -> csv::Result<()> {
    let names = stage_names(capture);
    let mut writer = Writer::from_writer(out);
    let stages = names.iter().flat_map(|name| STAGE_COLUMNS.map(|column| format!("{}_{column}", text(name))));
    let header = SAMPLE_COLUMNS.map(str::to_owned).into_iter().chain(stages).chain(CLIENT_COLUMNS.map(str::to_owned));
    writer.write_record(header)?;
    for sample in &capture.samples {
        sample_line(&mut writer, capture, &names, sample)?;
    }
    writer.flush()?;
    Ok(())
}

/// Writes one line a kept frame: session, number and moment, its stages and what it waited before each, and its size.
/// Sessions of different paths have different stages; each has its columns.
///
/// # Errors
/// If `out` fails.
pub fn kept_frames_csv(capture: &Capture, out: impl Write) -> csv::Result<()> {
    let mut names: Vec<&str> = Vec::new();
    for name in capture.kept_frames.iter().flat_map(|kept| &kept.stages) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let mut writer = Writer::from_writer(out);
    let columns = names.iter().flat_map(|name| [format!("{}_us", text(name)), format!("wait_{}_us", text(name))]);
    let front = ["session_id", "frame", "t_ms", "host_us", "interval_us", "pace_us", "bytes", "idr", "repeat", "late"];
    writer.write_record(front.map(str::to_owned).into_iter().chain(columns))?;
    for kept in &capture.kept_frames {
        let places: Vec<_> = names.iter().map(|name| kept.stages.iter().position(|stage| stage == name)).collect();
        for frame in &kept.frames {
            writer.write_field(text(&kept.session_id).as_bytes())?;
            cell(&mut writer, Some(frame.n))?;
            cell(&mut writer, Some(frame.t_ms))?;
            cell(&mut writer, Some(frame.host_us))?;
            cell(&mut writer, frame.interval_us)?;
            cell(&mut writer, Some(frame.pace_us))?;
            cell(&mut writer, Some(frame.bytes))?;
            cell(&mut writer, Some(frame.idr))?;
            cell(&mut writer, Some(frame.repeat))?;
            writer.write_field(text(frame.late.as_deref().unwrap_or_default()).as_bytes())?;
            for place in &places {
                cell(&mut writer, place.and_then(|at| *frame.stages_us.get(at)?))?;
                cell(&mut writer, place.and_then(|at| frame.waits_us.get(at)))?;
            }
            writer.write_record(None::<&[u8]>)?;
        }
    }
    writer.flush()?;
    Ok(())
}

/// Names of all stages in the order of the sessions' paths, then what every path has.
fn stage_names(capture: &Capture) -> Vec<&str> {
    let declared = capture.meta.sessions.iter().flat_map(|session| &session.stages).map(|stage| stage.name.as_str());
    let sampled = capture.samples.iter().flat_map(|sample| &sample.stages).map(|stage| stage.name.as_str());
    let common = ["queue", "host", "pace", "interval"];
    let mut names = Vec::new();
    for name in declared.chain(sampled) {
        if !names.contains(&name) && !common.contains(&name) {
            names.push(name);
        }
    }
    names.extend(common);
    names
}

fn sample_line<W: Write>(
    writer: &mut Writer<W>,
    capture: &Capture,
    names: &[&str],
    sample: &StatsSample,
) -> csv::Result<()> {
    let session = capture.meta.sessions.iter().find(|session| session.id == sample.session_id);
    let late = sample.late_by_stage.iter().map(|late| format!("{}:{}", late.stage, late.count));
    let dropped = sample.dropped_by_reason.iter().map(|dropped| format!("{}:{}", dropped.reason, dropped.count));
    cell(writer, Some(sample.t_ms))?;
    cell(writer, Some(sample.window_ms))?;
    writer.write_field(text(&sample.session_id).as_bytes())?;
    writer.write_field(text(session.map_or("", |session| &session.client)).as_bytes())?;
    cell(writer, Some(sample.frames))?;
    cell(writer, Some(sample.fps))?;
    cell(writer, Some(sample.repeat_fps))?;
    cell(writer, Some(sample.late))?;
    writer.write_field(text(&late.collect::<Vec<_>>().join(" ")).as_bytes())?;
    cell(writer, Some(sample.stutters))?;
    cell(writer, Some(sample.mbps))?;
    cell(writer, Some(sample.fec_mbps))?;
    cell(writer, Some(sample.overhead_mbps))?;
    cell(writer, sample.bitrate_kbps)?;
    cell(writer, Some(sample.frames_dropped))?;
    writer.write_field(text(&dropped.collect::<Vec<_>>().join(" ")).as_bytes())?;
    cell(writer, Some(sample.records_lost))?;
    cell(writer, Some(sample.packets_sent))?;
    cell(writer, sample.packets_dropped)?;
    cell(writer, sample.send_dropped)?;
    cell(writer, sample.fec_recovered)?;
    cell(writer, sample.idr_requests)?;
    cell(writer, sample.rfi_requests)?;
    cell(writer, sample.rtt_us)?;
    for name in names {
        stage_cells(writer, stage(sample, name))?;
    }
    let client = sample.client.as_ref();
    cell(writer, client.and_then(|client| client.received))?;
    cell(writer, client.and_then(|client| client.lost))?;
    cell(writer, client.and_then(|client| client.recovered))?;
    cell(writer, client.and_then(|client| client.one_way_us))?;
    cell(writer, client.and_then(|client| client.decode_p50_us))?;
    cell(writer, client.and_then(|client| client.decode_p99_us))?;
    writer.write_record(None::<&[u8]>)
}

fn stage<'a>(sample: &'a StatsSample, name: &str) -> Option<&'a StageStats> {
    match name {
        "host" => sample.host.as_ref(),
        "pace" => sample.pace.as_ref(),
        "interval" => sample.interval.as_ref(),
        _ => sample.stages.iter().find(|stage| stage.name == name),
    }
}

fn stage_cells<W: Write>(writer: &mut Writer<W>, stats: Option<&StageStats>) -> csv::Result<()> {
    cell(writer, stats.map(|stats| stats.p50_us))?;
    cell(writer, stats.map(|stats| stats.p95_us))?;
    cell(writer, stats.map(|stats| stats.p99_us))?;
    cell(writer, stats.map(|stats| stats.max_us))?;
    cell(writer, stats.map(|stats| stats.mean_us))?;
    cell(writer, stats.map(|stats| stats.count))
}

/// A figure, or an empty cell.
fn cell<W: Write>(writer: &mut Writer<W>, value: Option<impl ToString>) -> csv::Result<()> {
    writer.write_field(value.map_or_else(String::new, |value| value.to_string()))
}

/// Text that no spreadsheet takes for a formula.
fn text(text: &str) -> Cow<'_, str> {
    if text.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        Cow::Owned(format!("'{text}"))
    } else {
        Cow::Borrowed(text)
    }
}
