//! Taking in a recording from elsewhere: a stranger's bytes, checked before they become a file.
//!
//! Samples, markers, kept frames and provenance are taken as they are. Summary, verdict and everything that a listing shows
//! are made anew from the samples, so that they say what this version would have said; where the file was exported without
//! distributions, percentiles of the whole run are absent. The recording keeps its id unless that is taken: nothing is
//! overwritten.

use std::collections::HashSet;

use crate::head::{self, Unreadable};
use crate::schema::{Capture, Import, SnapshotState, StageStats, StatsSample};
use crate::store::SaveError;

/// Most sessions.
const MAX_SESSIONS: usize = 64;

/// Most samples of a session: a day at one a second.
const MAX_SAMPLES: usize = 86_400;

/// Most markers, and most kept frames of a session.
const MAX_ENTRIES: usize = 100_000;

/// Most stages of a path; so many entries have the counts by reason and stage at most, too.
const MAX_STAGES: usize = 64;

/// Longest text, characters.
const MAX_TEXT: usize = 10_000;

/// Longest metadata, bytes: it has to end within the head of the file.
const MAX_META: usize = 512 << 10;

/// Largest time, ms since 1970 or since the start: the end of year 9999.
const MAX_MS: u64 = 253_402_300_799_999;

/// The bytes are not taken in.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// They are not a recording, or one of a later version.
    #[error("this recording cannot be read: {0}")]
    Unreadable(Unreadable),
    /// They have the shape of a recording, and cannot be one.
    #[error("this is no recording that a host can have made: {0}")]
    Impossible(String),
    /// It could not be written.
    #[error(transparent)]
    Save(#[from] SaveError),
}

/// Reads and checks a recording. `now_unix_ms`: when it came.
pub(crate) fn read(bytes: &[u8], now_unix_ms: u64) -> Result<Capture, ImportError> {
    let unreadable = ImportError::Unreadable;
    // Says it better than a missing field does.
    head::find(bytes).map_err(unreadable)?;
    let capture: Capture = serde_json::from_slice(bytes).map_err(|error| unreadable(head::reason(bytes, &error)))?;
    check(&capture).map_err(ImportError::Impossible)?;
    let Capture { mut meta, samples, markers, mut provenance, kept_frames, .. } = capture;
    // Nobody here will take it.
    meta.snapshot = meta.snapshot.filter(|state| *state != SnapshotState::Pending);
    meta.pinned = false;
    provenance.imported = Some(Import { at_unix_ms: now_unix_ms, id: meta.id.clone() });
    let capture = Capture::assemble(meta, samples, markers, provenance, kept_frames);
    let meta = serde_json::to_vec(&capture.meta).map_err(|source| SaveError::Serialize { source })?;
    if meta.len() > MAX_META {
        return Err(ImportError::Impossible(format!("its metadata has more than {} KiB", MAX_META >> 10)));
    }
    Ok(capture)
}

fn check(capture: &Capture) -> Result<(), String> {
    let Capture { meta, samples, markers, kept_frames, .. } = capture;
    at_most("sessions", meta.sessions.len(), MAX_SESSIONS)?;
    at_most("samples", samples.len(), MAX_SAMPLES.saturating_mul(meta.sessions.len().max(1)))?;
    at_most("markers", markers.len(), MAX_ENTRIES)?;
    at_most("kept frames", kept_frames.len(), MAX_SESSIONS)?;
    for ms in [meta.started_unix_ms, meta.duration_ms, meta.step_ms] {
        time(ms)?;
    }
    let host = &meta.host;
    for one in [&meta.label, &meta.note, &host.id, &host.version, &host.os].into_iter().chain(&host.cpu) {
        text(one)?;
    }
    let mut ids = HashSet::new();
    for session in &meta.sessions {
        if session.id.is_empty() || !ids.insert(session.id.as_str()) {
            return Err("two sessions have one id, or one has none".into());
        }
        at_most("stages", session.stages.len(), MAX_STAGES)?;
        let names = session.stages.iter().map(|stage| &stage.name);
        let own = [&session.id, &session.protocol, &session.codec, &session.encoder, &session.client];
        own.into_iter()
            .chain([&session.source_kind])
            .chain(&session.audio)
            .chain(names)
            .try_for_each(|one| text(one))?;
        figure("latency target", session.latency_target_us)?;
        session.stages.iter().try_for_each(|stage| figure("budget share", stage.budget_share))?;
        time(session.joined_ms)?;
        session.left_ms.map_or(Ok(()), time)?;
    }
    let declared = meta.sessions.iter().flat_map(|session| &session.stages).map(|stage| stage.name.as_str());
    let stages: HashSet<&str> = declared.chain(["queue"]).collect();
    at_most("stages", stages.len(), MAX_STAGES)?;
    for sample in samples {
        if sample.stages.iter().any(|stage| !stages.contains(stage.name.as_str())) {
            return Err("a sample has a stage that no session has".into());
        }
        if !ids.contains(sample.session_id.as_str()) {
            return Err("a sample belongs to no session of the recording".into());
        }
        check_sample(sample)?;
    }
    for marker in markers {
        time(marker.t_ms)?;
        text(&marker.text)?;
    }
    for kept in kept_frames {
        at_most("kept frames", kept.frames.len(), MAX_ENTRIES)?;
        at_most("spans", kept.spans.len(), MAX_ENTRIES)?;
        at_most("stages", kept.stages.len(), MAX_STAGES)?;
        kept.stages.iter().try_for_each(|name| text(name))?;
        if !ids.contains(kept.session_id.as_str()) {
            return Err("kept frames belong to no session of the recording".into());
        }
        for frame in &kept.frames {
            if frame.stages_us.len() != kept.stages.len() || frame.waits_us.len() != kept.stages.len() {
                return Err("a kept frame has other stages than its session".into());
            }
            let own = [frame.t_ms, frame.host_us, frame.pace_us];
            let all =
                own.iter().chain(&frame.interval_us).chain(frame.stages_us.iter().flatten()).chain(&frame.waits_us);
            all.copied().try_for_each(|one| figure("kept frame", one))?;
        }
    }
    Ok(())
}

fn check_sample(sample: &StatsSample) -> Result<(), String> {
    time(sample.t_ms)?;
    time(sample.step_unix_ms)?;
    at_most("stages", sample.stages.len(), MAX_STAGES)?;
    at_most("stages at fault", sample.late_by_stage.len(), MAX_STAGES)?;
    at_most("reasons", sample.dropped_by_reason.len(), MAX_STAGES)?;
    let rates = [sample.window_ms, sample.fps, sample.repeat_fps, sample.mbps, sample.fec_mbps, sample.overhead_mbps];
    let known = rates.iter().chain(&sample.bitrate_kbps).chain(&sample.rtt_us);
    known.copied().try_for_each(|one| figure("rate", one))?;
    let late = sample.late_by_stage.iter().map(|late| &late.stage);
    late.chain(sample.dropped_by_reason.iter().map(|dropped| &dropped.reason)).try_for_each(|one| text(one))?;
    if sample.late > sample.frames {
        return Err("a sample has more late frames than frames".into());
    }
    let named = [&sample.host, &sample.pace, &sample.interval].into_iter().flatten();
    sample.stages.iter().chain(named).try_for_each(check_stage)
}

fn check_stage(stats: &StageStats) -> Result<(), String> {
    text(&stats.name)?;
    for one in [stats.p50_us, stats.p95_us, stats.p99_us, stats.max_us, stats.mean_us] {
        figure(&stats.name, one)?;
    }
    if !(stats.p50_us <= stats.p95_us && stats.p95_us <= stats.p99_us && stats.p99_us <= stats.max_us) {
        return Err("the percentiles of a stage do not rise".into());
    }
    if stats.hist.as_ref().is_some_and(|hist| hist.count() != stats.count) {
        return Err("a distribution counts other frames than its stage".into());
    }
    Ok(())
}

fn at_most(what: &str, there: usize, most: usize) -> Result<(), String> {
    if there > most { Err(format!("it has more than {most} {what}")) } else { Ok(()) }
}

fn text(text: &str) -> Result<(), String> {
    let long = text.len() > MAX_TEXT && text.chars().count() > MAX_TEXT;
    if long { Err(format!("a text in it has more than {MAX_TEXT} characters")) } else { Ok(()) }
}

fn time(ms: u64) -> Result<(), String> {
    if ms > MAX_MS { Err("a time in it lies behind the year 9999".into()) } else { Ok(()) }
}

/// No figure of a recording is below zero.
fn figure(what: &str, value: f64) -> Result<(), String> {
    let what: String = what.chars().take(40).collect();
    if value.is_finite() && value >= 0.0 { Ok(()) } else { Err(format!("a figure in it cannot be ({what}: {value})")) }
}
