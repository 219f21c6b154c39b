//! What a run, one session, or any range of time amounts to, from its samples alone.
//!
//! Counts add up exactly. Means are weighted by their counts, maxima are exact, percentiles come from the merged
//! distributions of the windows (within 0.55 %): percentiles are never averaged. What the samples cannot tell is absent.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::histogram::SparseHistogram;
use crate::schema::{Capture, DropCount, LateCount, SessionMeta, StatsSample};
use crate::verdict::{Evidence, Verdict, VerdictKind, judge};

mod merge;
mod throughput;
mod worst;

use merge::{Merged, add_drops, add_known, add_late};

/// Figures of a run or a part of it, and the verdict on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Summary {
    /// The gravest verdict among the sessions.
    pub verdict: Verdict,
    /// All sessions taken together.
    pub all: Figures,
    /// Each session, in the order of the recording's metadata.
    pub sessions: Vec<SessionSummary>,
}

/// One session.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SessionSummary {
    /// The session.
    pub session_id: String,
    /// The verdict on it alone.
    pub verdict: Verdict,
    /// Its figures.
    pub figures: Figures,
}

/// Figures of one session, or of all.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Figures {
    /// Measured time, s; that of the sessions adds up.
    pub seconds: f64,
    /// Frames sent, new and repeated.
    pub frames: u64,
    /// New pictures a second and session.
    pub fps: f64,
    /// Repeated pictures a second and session.
    pub repeat_fps: f64,
    /// 1 % low: the rate at which the longest 1 % of the intervals between frames would follow each other. `null` without
    /// distributions of intervals.
    pub low_1_percent_fps: Option<f64>,
    /// Intervals over twice the running median.
    pub stutters: u64,
    /// Frames over the latency target.
    pub late: u64,
    /// Share of late frames, 0–1; `null` without frames.
    pub late_share: Option<f64>,
    /// Late frames by stage at fault, most first.
    pub late_by_stage: Vec<LateCount>,
    /// The path's stages in order, then `queue`.
    pub stages: Vec<StageSummary>,
    /// From due to last packet; `null` without frames.
    pub host: Option<StageSummary>,
    /// Waiting on purpose, inside the last stage.
    pub pace: Option<StageSummary>,
    /// Between the last packets of consecutive frames.
    pub interval: Option<StageSummary>,
    /// How busy each thread was; empty for several sessions together, whose threads are apart.
    pub threads: Vec<ThreadLoad>,
    /// The ten seconds with the most late frames, or the highest host duration if none was late. The whole run if it is
    /// not longer.
    pub worst_ten_seconds: Option<WorstTenSeconds>,
    /// Goodput, megabits a second and session.
    pub mbps: f64,
    /// Frames dropped on the host.
    pub frames_dropped: u64,
    /// The same by reason.
    pub dropped_by_reason: Vec<DropCount>,
    /// Frames that were sent but not measured.
    pub records_lost: u64,
    /// Packets handed to the kernel.
    pub packets_sent: u64,
    /// Packets that clients reported missing; `null` if none can.
    pub packets_lost: Option<u64>,
    /// Packets that the kernel did not take; `null` if no path can tell.
    pub send_dropped: Option<u64>,
    /// Shards that clients rebuilt; `null` if none can tell.
    pub fec_recovered: Option<u64>,
    /// Requests for an IDR; `null` if no path can tell.
    pub idr_requests: Option<u64>,
}

/// One stage over the whole range.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct StageSummary {
    /// Stage, or `queue`, `host`, `pace`, `interval`.
    pub name: String,
    /// How many frames passed it.
    pub count: u64,
    /// Median, µs; `null` if a window has no distribution.
    pub p50_us: Option<f64>,
    /// 95th percentile, µs; likewise.
    pub p95_us: Option<f64>,
    /// 99th percentile, µs; likewise.
    pub p99_us: Option<f64>,
    /// 99.9th percentile, µs; likewise.
    pub p999_us: Option<f64>,
    /// Largest, µs, exact.
    pub max_us: f64,
    /// Mean, µs, exact.
    pub mean_us: f64,
    /// Share of the time during which it was at work, 0–1, without waiting on purpose: its mean against the time between
    /// two frames that were sent. `null` for what is not a stage's work, and for several sessions together.
    pub busy_share: Option<f64>,
}

/// How busy a thread was.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct ThreadLoad {
    /// The stages that share it, in order.
    pub stages: Vec<String>,
    /// Share of the time during which it was at work, 0–1.
    pub busy_share: f64,
    /// Its mean work on a frame against 1/fps as granted: above 1 it cannot keep up.
    pub frame_share: f64,
}

/// The worst ten seconds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct WorstTenSeconds {
    /// Start, ms since the start of the capture.
    pub from_ms: u64,
    /// End, ms.
    pub to_ms: u64,
    /// Frames sent in it.
    pub frames: u64,
    /// Late frames in it.
    pub late: u64,
    /// The same by stage at fault, most first.
    pub late_by_stage: Vec<LateCount>,
    /// Mean of host in it, µs.
    pub host_mean_us: f64,
}

/// Sums up `samples` of the sessions that `sessions` describes, over the whole run or over the windows that end in
/// `range` = (from, to], ms since the start of the capture: adjacent ranges share no window and leave none out. Samples of
/// sessions that are not described count for nothing.
pub fn summarize(samples: &[StatsSample], sessions: &[SessionMeta], range: Option<(u64, u64)>) -> Summary {
    let in_range = |sample: &&StatsSample| range.is_none_or(|range| ends_in(sample, range));
    let mut all = Vec::new();
    let mut summaries = Vec::with_capacity(sessions.len());
    for session in sessions {
        let mut own: Vec<_> = samples.iter().filter(in_range).filter(|s| s.session_id == session.id).collect();
        own.sort_by_key(|sample| sample.t_ms);
        summaries.push(session_summary(&own, session));
        all.extend(own);
    }
    all.sort_by_key(|sample| sample.t_ms);
    let mut all = figures(&all);
    order_stages(&mut all, sessions);
    let verdict = overall(&all, sessions, &summaries);
    Summary { verdict, all, sessions: summaries }
}

/// Whether a window ends in (from, to], ms; the very first one may end at 0.
fn ends_in(sample: &StatsSample, (from, to): (u64, u64)) -> bool {
    (sample.t_ms > from || from == 0) && sample.t_ms <= to
}

impl Capture {
    /// Keeps the windows that end in `range` = (from, to], ms since the start, and sums them up anew. Times still count from
    /// the start of the capture; metadata, markers and kept frames stay.
    pub fn narrow(&mut self, range: (u64, u64)) {
        self.samples.retain(|sample| ends_in(sample, range));
        self.summary = summarize(&self.samples, &self.meta.sessions, None);
    }
}

fn session_summary(samples: &[&StatsSample], session: &SessionMeta) -> SessionSummary {
    let mut figures = figures(samples);
    order_stages(&mut figures, std::slice::from_ref(session));
    throughput::add_busy(&mut figures, session);
    let missing = throughput::missing(samples, session);
    let busiest = figures.threads.iter().max_by(|a, b| a.busy_share.total_cmp(&b.busy_share)).cloned();
    let evidence = Evidence {
        session_id: Some(session.id.clone()),
        client: Some(session.client.clone()).filter(|client| !client.is_empty()),
        target_us: Some(session.latency_target_us),
        granted_frames: (f64::from(session.fps) * figures.seconds).round() as u64,
        granted_fps: Some(f64::from(session.fps)),
        missing,
        busiest,
        ..evidence(&figures)
    };
    SessionSummary { session_id: session.id.clone(), verdict: judge(evidence), figures }
}

/// The gravest verdict; if nothing is wrong anywhere, one on all frames.
fn overall(all: &Figures, sessions: &[SessionMeta], summaries: &[SessionSummary]) -> Verdict {
    if let [only] = summaries {
        return only.verdict.clone();
    }
    let mut gravest: Option<&Verdict> = None;
    for SessionSummary { verdict, .. } in summaries {
        // The first of equals: sessions stand in order of their start.
        if gravest.is_none_or(|so_far| so_far.severity() < verdict.severity()) {
            gravest = Some(verdict);
        }
    }
    match gravest {
        Some(verdict) if verdict.kind > VerdictKind::WithinBudget => {
            let mut verdict = verdict.clone();
            let session = verdict.evidence.session_id.as_deref().unwrap_or_default();
            let client = verdict.evidence.client.as_deref().map(|name| format!(" ({name})")).unwrap_or_default();
            verdict.text = format!("Session {session}{client}: {}", verdict.text);
            verdict
        }
        _ => judge(Evidence {
            target_us: common(sessions.iter().map(|session| session.latency_target_us)),
            granted_fps: common(sessions.iter().map(|session| f64::from(session.fps))),
            granted_frames: summaries.iter().map(|s| s.verdict.evidence.granted_frames).fold(0, u64::saturating_add),
            ..evidence(all)
        }),
    }
}

/// The value that all share.
fn common(mut values: impl Iterator<Item = f64>) -> Option<f64> {
    let first = values.next()?;
    values.all(|value| value == first).then_some(first)
}

/// What the figures say, without what only a session's metadata knows.
fn evidence(figures: &Figures) -> Evidence {
    // A run that is not longer than its worst ten seconds is judged as a whole.
    let worst = figures.worst_ten_seconds.clone().filter(|worst| worst.frames < figures.frames);
    Evidence {
        frames: figures.frames,
        late: figures.late,
        late_by_stage: figures.late_by_stage.clone(),
        worst_ten_seconds: worst,
        fps: figures.fps,
        packets_sent: figures.packets_sent,
        packets_lost: figures.packets_lost,
        fec_recovered: figures.fec_recovered,
        ..Evidence::default()
    }
}

/// Adds up samples that stand in order of their end.
fn figures(samples: &[&StatsSample]) -> Figures {
    let mut figures = Figures::default();
    let mut stages: Vec<Merged> = Vec::new();
    let (mut host, mut pace, mut interval) = (Merged::new("host"), Merged::new("pace"), Merged::new("interval"));
    let (mut new, mut repeated, mut megabits) = (0.0, 0.0, 0.0);
    for sample in samples {
        let seconds = sample.window_ms / 1e3;
        figures.seconds += seconds;
        figures.frames = figures.frames.saturating_add(sample.frames);
        new += sample.fps * seconds;
        repeated += sample.repeat_fps * seconds;
        megabits += sample.mbps * seconds;
        figures.late = figures.late.saturating_add(sample.late);
        figures.stutters = figures.stutters.saturating_add(sample.stutters);
        figures.frames_dropped = figures.frames_dropped.saturating_add(sample.frames_dropped);
        figures.records_lost = figures.records_lost.saturating_add(sample.records_lost);
        figures.packets_sent = figures.packets_sent.saturating_add(sample.packets_sent);
        add_late(&mut figures.late_by_stage, &sample.late_by_stage);
        add_drops(&mut figures.dropped_by_reason, &sample.dropped_by_reason);
        add_known(&mut figures.packets_lost, sample.packets_dropped);
        add_known(&mut figures.send_dropped, sample.send_dropped);
        add_known(&mut figures.fec_recovered, sample.fec_recovered);
        add_known(&mut figures.idr_requests, sample.idr_requests);
        for stage in &sample.stages {
            match stages.iter_mut().find(|merged| merged.name() == stage.name) {
                Some(merged) => merged.add(stage),
                None => {
                    let mut merged = Merged::new(&stage.name);
                    merged.add(stage);
                    stages.push(merged);
                }
            }
        }
        for (merged, stats) in [(&mut host, &sample.host), (&mut pace, &sample.pace), (&mut interval, &sample.interval)]
        {
            if let Some(stats) = stats {
                merged.add(stats);
            }
        }
    }
    if figures.seconds > 0.0 {
        figures.fps = rounded(new / figures.seconds, 1e3);
        figures.repeat_fps = rounded(repeated / figures.seconds, 1e3);
        figures.mbps = rounded(megabits / figures.seconds, 1e3);
    }
    figures.seconds = rounded(figures.seconds, 1e6);
    figures.late_share = (figures.frames > 0).then(|| rounded(figures.late as f64 / figures.frames as f64, 1e6));
    figures.late_by_stage.sort_by_key(|count| std::cmp::Reverse(count.count));
    figures.stages = stages.iter().filter_map(Merged::summary).collect();
    figures.low_1_percent_fps = interval.low_1_percent_fps();
    figures.host = host.summary();
    figures.pace = pace.summary();
    figures.interval = interval.summary();
    figures.worst_ten_seconds = worst::ten_seconds(samples);
    figures
}

/// Puts stages into the order of the paths; the windows name only those that frames passed.
fn order_stages(figures: &mut Figures, sessions: &[SessionMeta]) {
    let mut order: Vec<&str> = Vec::new();
    for stage in sessions.iter().flat_map(|session| &session.stages) {
        if !order.contains(&stage.name.as_str()) {
            order.push(&stage.name);
        }
    }
    let place = |name: &str| order.iter().position(|other| *other == name).unwrap_or(order.len());
    figures.stages.sort_by_key(|stage| place(&stage.name));
}

/// Rounds to a decimal that JSON carries exactly; `scale` is a power of ten. What absurd samples add up to stays a number:
/// JSON has no others, and a recording that holds one could not be read again.
pub(crate) fn rounded(value: f64, scale: f64) -> f64 {
    let finite = if value.is_nan() { 0.0 } else { value.clamp(f64::MIN, f64::MAX) };
    let scaled = finite * scale;
    if scaled.is_finite() { scaled.round() / scale } else { finite }
}

/// Quantile of merged distributions, never above the exact maximum.
fn quantile(hist: &SparseHistogram, q: f64, max_us: f64) -> Option<f64> {
    hist.quantile_us(q).map(|us| rounded(us.min(max_us), 1e3))
}
