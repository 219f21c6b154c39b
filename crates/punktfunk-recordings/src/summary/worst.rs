//! The worst ten seconds of a run.

use super::merge::add_late;
use super::{WorstTenSeconds, rounded};
use crate::schema::StatsSample;

/// Length of the span, ms.
const SPAN_MS: u64 = 10_000;

/// How far a span of whole windows may be from ten seconds, ms: windows end when the collector wakes up.
const SLACK_MS: u64 = 500;

/// Finds it in samples that stand in order of their end: most late frames first, then the highest mean of host, then the
/// earliest. `None` without frames.
pub(super) fn ten_seconds(samples: &[&StatsSample]) -> Option<WorstTenSeconds> {
    let mut best: Option<Span> = None;
    let mut span = Span::default();
    let run_begins = samples.iter().map(|sample| begin_ms(sample)).min()?;
    let run_ends = samples.last()?.t_ms;
    for (at, sample) in samples.iter().enumerate() {
        span.add(sample);
        span.end = at + 1;
        while span.start < at && sample.t_ms - begin_ms(samples[span.start]).min(sample.t_ms) > SPAN_MS + SLACK_MS {
            span.remove(samples[span.start]);
            span.start += 1;
        }
        // Other sessions' windows that end at the same moment belong to the same ten seconds.
        let complete = samples.get(at + 1).is_none_or(|next| next.t_ms > sample.t_ms);
        let whole = sample.t_ms - run_begins.min(sample.t_ms) + SLACK_MS >= SPAN_MS || sample.t_ms == run_ends;
        if complete && whole && span.frames > 0 && best.as_ref().is_none_or(|best| span.rank() > best.rank()) {
            best = Some(span.clone());
        }
    }
    let span = best?;
    let samples = &samples[span.start..span.end];
    let mut late_by_stage = Vec::new();
    for sample in samples {
        add_late(&mut late_by_stage, &sample.late_by_stage);
    }
    late_by_stage.sort_by_key(|count| std::cmp::Reverse(count.count));
    Some(WorstTenSeconds {
        from_ms: samples.iter().map(|sample| begin_ms(sample)).min()?,
        to_ms: samples.last()?.t_ms,
        frames: u64::try_from(span.frames).unwrap_or(u64::MAX),
        late: u64::try_from(span.late).unwrap_or(u64::MAX),
        late_by_stage,
        host_mean_us: rounded(span.host_mean_us(), 1e3),
    })
}

/// Consecutive samples, added up.
#[derive(Clone, Default)]
struct Span {
    start: usize,
    end: usize,
    frames: u128,
    late: u128,
    host_ns: u128,
    measured: u128,
}

impl Span {
    fn add(&mut self, sample: &StatsSample) {
        self.frames += u128::from(sample.frames);
        self.late += u128::from(sample.late);
        let (ns, count) = host_ns(sample);
        self.host_ns = self.host_ns.saturating_add(ns);
        self.measured += count;
    }

    fn remove(&mut self, sample: &StatsSample) {
        self.frames -= u128::from(sample.frames);
        self.late -= u128::from(sample.late);
        let (ns, count) = host_ns(sample);
        self.host_ns = self.host_ns.saturating_sub(ns);
        self.measured -= count;
    }

    fn host_mean_us(&self) -> f64 {
        if self.measured == 0 { 0.0 } else { self.host_ns as f64 / 1e3 / self.measured as f64 }
    }

    fn rank(&self) -> (u128, f64) {
        (self.late, self.host_mean_us())
    }
}

/// Integers, so that what was added can be taken away without a rest.
fn host_ns(sample: &StatsSample) -> (u128, u128) {
    sample
        .host
        .as_ref()
        .map_or((0, 0), |host| ((host.mean_us * 1e3 * host.count as f64) as u128, u128::from(host.count)))
}

fn begin_ms(sample: &StatsSample) -> u64 {
    // Saturating: a hostile file may say anything.
    sample.t_ms.saturating_sub(sample.window_ms.round() as u64)
}
