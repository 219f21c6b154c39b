//! How busy threads were, and who is to blame for frames that were never sent.

use std::cmp::Ordering;
use std::ops::Range;

use super::{Figures, ThreadLoad, rounded};
use crate::schema::{SessionMeta, StageMeta, StatsSample};
use crate::verdict::{BUSY_SHARE, MissingCount, SHORT_WINDOW};

/// Adds each stage's and each thread's load to a session's figures.
pub(super) fn add_busy(figures: &mut Figures, session: &SessionMeta) {
    if figures.seconds <= 0.0 {
        return;
    }
    let us = figures.seconds * 1e6;
    let pace_us = figures.pace.as_ref().map_or(0.0, |pace| pace.mean_us * pace.count as f64);
    let last = session.stages.last().map(|stage| stage.name.as_str());
    for stage in &mut figures.stages {
        if !session.stages.iter().any(|meta| meta.name == stage.name) {
            continue;
        }
        let paced = if Some(stage.name.as_str()) == last { pace_us } else { 0.0 };
        stage.busy_share = Some(rounded((stage.mean_us * stage.count as f64 - paced).max(0.0) / us, 1e6));
    }
    let rate = figures.frames as f64 / figures.seconds;
    for thread in threads(&session.stages) {
        let of_thread = |name: &str| thread.iter().any(|stage| stage.name == name);
        let busy: f64 = figures.stages.iter().filter(|s| of_thread(&s.name)).filter_map(|s| s.busy_share).sum();
        let frame_share = if rate > 0.0 { busy * f64::from(session.fps) / rate } else { 0.0 };
        figures.threads.push(ThreadLoad {
            stages: thread.iter().map(|stage| stage.name.clone()).collect(),
            busy_share: rounded(busy, 1e6),
            frame_share: rounded(frame_share, 1e6),
        });
    }
}

/// Stages by the thread that they share.
fn threads(stages: &[StageMeta]) -> impl Iterator<Item = &[StageMeta]> {
    stages.chunk_by(|_, next| !next.queued)
}

/// Frames short of the granted rate, by cause, most first.
///
/// Frames that were not sent are charged to stages that failed, then to the busiest thread: all of them if it was busy,
/// else those that the host dropped although the source had delivered them, to what the late frames of that time are charged
/// to: a hand-over that is slow (`queue`) holds pictures up until newer ones replace them. The rest is charged to the source, which also
/// answers for frames that repeated a picture. Windows in which no frame left say nothing by
/// themselves: what held the frames up is seen when they leave, so such windows are joined to the next one.
pub(super) fn missing(samples: &[&StatsSample], session: &SessionMeta) -> Vec<MissingCount> {
    let queue = session.stages.len();
    let mut by_stage = vec![0.0; queue + 1];
    let mut by_source = 0.0;
    let mut joined: Vec<&StatsSample> = Vec::new();
    for (at, sample) in samples.iter().enumerate() {
        joined.push(sample);
        if sample.host.is_none() && at + 1 < samples.len() {
            continue;
        }
        let window = Window::of(&joined, session);
        joined.clear();
        if window.sent + window.tolerance() < window.granted {
            let mut left = window.granted - window.sent;
            for (sum, failed) in by_stage.iter_mut().zip(&window.failed) {
                let charged = failed.min(left);
                *sum += charged;
                left -= charged;
            }
            let busiest = window.busiest_thread(&session.stages, 0);
            let (stage, charged) = if window.work(&busiest) >= BUSY_SHARE * window.us {
                (window.stage_at_fault(&session.stages, busiest), left)
            } else {
                // What the first thread handed over was lost behind it.
                let first = threads(&session.stages).next().map_or(0, <[_]>::len);
                let behind = window.busiest_thread(&session.stages, first);
                let stage = window.blamed().or_else(|| window.stage_at_fault(&session.stages, behind));
                (stage, window.delivered.min(left))
            };
            if let Some(stage) = stage {
                by_stage[stage] += charged;
                left -= charged;
            }
            by_source += left;
        }
        by_source += window.repeated;
    }
    let names = session.stages.iter().map(|stage| stage.name.clone()).chain(["queue".to_owned()]);
    let named = names.map(Some).chain([None]);
    let mut missing: Vec<_> = named
        .zip(by_stage.into_iter().chain([by_source]))
        .map(|(stage, frames)| MissingCount { stage, frames: frames.round() as u64 })
        .filter(|count| count.frames > 0)
        .collect();
    missing.sort_by_key(|count| std::cmp::Reverse(count.frames));
    missing
}

/// A window, or several of which only the last sent frames.
struct Window {
    us: f64,
    granted: f64,
    sent: f64,
    repeated: f64,
    /// Frames that each stage failed at.
    failed: Vec<f64>,
    /// Frames that the source delivered and the host dropped on the way.
    delivered: f64,
    /// Each stage's work, µs.
    work_us: Vec<f64>,
    /// Late frames charged to each stage, then to `queue`.
    late: Vec<u64>,
    target_us: f64,
}

impl Window {
    fn of(samples: &[&StatsSample], session: &SessionMeta) -> Self {
        let stages = session.stages.len();
        let mut window = Self {
            us: 0.0,
            granted: 0.0,
            sent: 0.0,
            repeated: 0.0,
            failed: vec![0.0; stages],
            delivered: 0.0,
            work_us: vec![0.0; stages],
            late: vec![0; stages + 1],
            target_us: session.latency_target_us,
        };
        let index = |name: &str| session.stages.iter().position(|stage| stage.name == name);
        for sample in samples {
            window.us += sample.window_ms * 1e3;
            window.granted += sample.window_ms / 1e3 * f64::from(session.fps);
            // Frames that were sent and not measured were sent all the same.
            window.sent += sample.frames as f64 + sample.records_lost as f64;
            window.repeated += sample.repeat_fps * sample.window_ms / 1e3;
            for stats in &sample.stages {
                if let Some(stage) = index(&stats.name) {
                    window.work_us[stage] += stats.mean_us * stats.count as f64;
                }
            }
            if let (Some(pace), Some(last)) = (&sample.pace, window.work_us.last_mut()) {
                *last = (*last - pace.mean_us * pace.count as f64).max(0.0);
            }
            for late in &sample.late_by_stage {
                let place = if late.stage == "queue" { Some(stages) } else { index(&late.stage) };
                if let Some(place) = place {
                    window.late[place] = window.late[place].saturating_add(late.count);
                }
            }
            for dropped in &sample.dropped_by_reason {
                match dropped.reason.strip_suffix("_failed").and_then(index) {
                    Some(stage) => window.failed[stage] += dropped.count as f64,
                    None => window.delivered += dropped.count as f64,
                }
            }
        }
        window
    }

    /// Frames that may be missing without meaning anything.
    fn tolerance(&self) -> f64 {
        (self.granted * (1.0 - SHORT_WINDOW)).max(2.0)
    }

    /// What most late frames are charged to: a stage, or `queue` behind the last one; `None` if none was late.
    fn blamed(&self) -> Option<usize> {
        (0..self.late.len()).rev().max_by_key(|&place| self.late[place]).filter(|&place| self.late[place] > 0)
    }

    /// Work of a range of stages, µs.
    fn work(&self, stages: &Range<usize>) -> f64 {
        self.work_us[stages.clone()].iter().sum()
    }

    /// Stages of the thread with the most work, among those that begin at stage `first` or later. All of them if no work
    /// was measured: a stage that hangs has not finished any.
    fn busiest_thread(&self, stages: &[StageMeta], first: usize) -> Range<usize> {
        let mut from = 0;
        let mut busiest = first.min(stages.len())..stages.len();
        let mut most = 0.0;
        for thread in threads(stages) {
            let range = from..from + thread.len();
            from = range.end;
            let work = self.work(&range);
            if range.start >= first && work > most {
                most = work;
                busiest = range;
            }
        }
        busiest
    }

    /// The stage of a thread that is furthest over its share of the budget, else the one with the most work, else the one
    /// that is meant to have the most.
    fn stage_at_fault(&self, stages: &[StageMeta], thread: Range<usize>) -> Option<usize> {
        let rank = |stage: usize| {
            let share_us = stages[stage].budget_share * self.target_us;
            let over = (self.work_us[stage] / self.sent.max(1.0) - share_us).max(0.0);
            [over, self.work_us[stage], share_us]
        };
        thread.max_by(|&a, &b| rank(a).partial_cmp(&rank(b)).unwrap_or(Ordering::Equal))
    }
}
