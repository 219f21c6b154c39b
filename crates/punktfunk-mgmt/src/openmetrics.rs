//! A recording as OpenMetrics text, version 1.0.0 (<https://prometheus.io/docs/specs/om/open_metrics_spec/>), for
//! `promtool tsdb create-blocks-from openmetrics` and whatever else reads it.
//!
//! One point a window, with its time. Durations are summaries: quantiles of the window, count and sum since the start of the
//! session. Counters count from there, too. Names are the catalogue's; `source="recording"` keeps the series apart from those
//! that were sent while the capture ran. What was not measured has no point.

use std::fmt::Display;
use std::io::{self, Write};

use punktfunk_recordings::{Capture, SessionMeta, StageStats, StatsSample};
use punktfunk_stats::catalogue::{self, Metric};

/// Media type of the format.
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes a recording: some six times what its file has without distributions.
pub(crate) fn write(capture: &Capture, out: &mut impl Write) -> io::Result<()> {
    let by_session: Vec<Session<'_>> = capture.meta.sessions.iter().map(|meta| Session::of(capture, meta)).collect();

    family(out, &catalogue::FRAME_STAGE_DURATION, "summary")?;
    for session in &by_session {
        for stage in session.meta.stages.iter().map(|stage| stage.name.as_str()).chain(["queue"]) {
            let labels = format!("{},stage=\"{}\"", session.labels, escape(stage));
            session.summary(out, &catalogue::FRAME_STAGE_DURATION, &labels, |sample| {
                sample.stages.iter().find(|stats| stats.name == stage)
            })?;
        }
    }
    family(out, &catalogue::FRAME_HOST_DURATION, "summary")?;
    for session in &by_session {
        session.summary(out, &catalogue::FRAME_HOST_DURATION, &session.labels, |sample| sample.host.as_ref())?;
    }

    family(out, &catalogue::FRAME_SENT, "counter")?;
    for session in &by_session {
        let new = |sample: &StatsSample| Some(sample.frames.saturating_sub(repeated(sample)));
        session.counter(out, &catalogue::FRAME_SENT, "frame_origin=\"new\"", new)?;
        session.counter(out, &catalogue::FRAME_SENT, "frame_origin=\"repeat\"", |sample| Some(repeated(sample)))?;
    }
    family(out, &catalogue::FRAME_LATE, "counter")?;
    for session in &by_session {
        let counts = session.names(|sample| sample.late_by_stage.iter().map(|late| late.stage.as_str()).collect());
        for stage in counts {
            let of = |sample: &StatsSample| {
                Some(sample.late_by_stage.iter().filter(|late| late.stage == stage).map(|late| late.count).sum())
            };
            session.counter(out, &catalogue::FRAME_LATE, &format!("stage=\"{}\"", escape(stage)), of)?;
        }
    }
    family(out, &catalogue::FRAME_DROPPED, "counter")?;
    for session in &by_session {
        let reasons =
            session.names(|sample| sample.dropped_by_reason.iter().map(|drop| drop.reason.as_str()).collect());
        for reason in reasons {
            let of = |sample: &StatsSample| {
                Some(sample.dropped_by_reason.iter().filter(|drop| drop.reason == reason).map(|drop| drop.count).sum())
            };
            session.counter(out, &catalogue::FRAME_DROPPED, &format!("reason=\"{}\"", escape(reason)), of)?;
        }
    }
    type Count = fn(&StatsSample) -> Option<u64>;
    let counters: [(&Metric, Count); 5] = [
        (&catalogue::FRAME_STUTTER, |sample| Some(sample.stutters)),
        (&catalogue::PACKET_SENT, |sample| Some(sample.packets_sent)),
        (&catalogue::PACKET_LOST, |sample| sample.packets_dropped),
        (&catalogue::PACKET_SEND_DROPPED, |sample| sample.send_dropped),
        (&catalogue::FEC_RECOVERED, |sample| sample.fec_recovered),
    ];
    for (metric, of) in counters {
        family(out, metric, "counter")?;
        for session in &by_session {
            session.counter(out, metric, "", of)?;
        }
    }
    type Value = fn(&StatsSample) -> Option<f64>;
    let gauges: [(&Metric, Value); 2] = [
        (&catalogue::ENCODER_TARGET_RATE, |sample| sample.bitrate_kbps.map(|kbps| kbps * 125.0)),
        (&catalogue::SESSION_RTT, |sample| sample.rtt_us.map(|us| us / 1e6)),
    ];
    for (metric, of) in gauges {
        family(out, metric, "gauge")?;
        for session in &by_session {
            session.gauge(out, metric, of)?;
        }
    }
    out.write_all(b"# EOF\n")
}

/// How many of a window's frames repeated a picture: the rate is what the sample carries.
fn repeated(sample: &StatsSample) -> u64 {
    (sample.repeat_fps * sample.window_ms / 1e3).round() as u64
}

/// One session: its samples in the order of their time, and the labels that all its series have.
struct Session<'a> {
    meta: &'a SessionMeta,
    samples: Vec<(Timestamp, &'a StatsSample)>,
    labels: String,
}

/// A moment, ms since 1970, written in seconds.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Timestamp(u64);

impl Display for Timestamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{:03}", self.0 / 1000, self.0 % 1000)
    }
}

impl<'a> Session<'a> {
    fn of(capture: &'a Capture, meta: &'a SessionMeta) -> Self {
        let start = capture.meta.started_unix_ms;
        let own = capture.samples.iter().filter(|sample| sample.session_id == meta.id);
        let mut samples: Vec<_> = own.map(|sample| (Timestamp(start.saturating_add(sample.t_ms)), sample)).collect();
        // Two points of one moment are none.
        samples.dedup_by_key(|(at, _)| *at);
        let labels = format!(
            "capture_id=\"{}\",host_id=\"{}\",protocol=\"{}\",session_id=\"{}\",source=\"recording\"",
            capture.meta.id,
            escape(&capture.meta.host.id),
            escape(&meta.protocol),
            escape(&meta.id)
        );
        Self { meta, samples, labels }
    }

    /// What occurs in any sample, each once.
    fn names(&self, of: impl Fn(&'a StatsSample) -> Vec<&'a str>) -> Vec<&'a str> {
        let mut names: Vec<&str> = self.samples.iter().flat_map(|(_, sample)| of(sample)).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    fn summary(
        &self,
        out: &mut impl Write,
        metric: &Metric,
        labels: &str,
        of: impl Fn(&'a StatsSample) -> Option<&'a StageStats>,
    ) -> io::Result<()> {
        let name = metric.prometheus_name();
        let (mut count, mut sum_us) = (0_u64, 0.0);
        for (at, sample) in &self.samples {
            let Some(stats) = of(sample) else { continue };
            count = count.saturating_add(stats.count);
            sum_us += stats.mean_us * stats.count as f64;
            for (q, us) in [("0.5", stats.p50_us), ("0.95", stats.p95_us), ("0.99", stats.p99_us)] {
                line(out, &name, &format!("{labels},quantile=\"{q}\""), us / 1e6, *at)?;
            }
            line(out, &format!("{name}_sum"), labels, sum_us / 1e6, *at)?;
            line(out, &format!("{name}_count"), labels, count, *at)?;
        }
        Ok(())
    }

    fn counter(
        &self,
        out: &mut impl Write,
        metric: &Metric,
        more: &str,
        of: impl Fn(&StatsSample) -> Option<u64>,
    ) -> io::Result<()> {
        let labels = if more.is_empty() { self.labels.clone() } else { format!("{},{more}", self.labels) };
        let name = metric.prometheus_name();
        let mut total = 0_u64;
        for (at, sample) in &self.samples {
            let Some(count) = of(sample) else { continue };
            total = total.saturating_add(count);
            line(out, &name, &labels, total, *at)?;
        }
        Ok(())
    }

    fn gauge(&self, out: &mut impl Write, metric: &Metric, of: impl Fn(&StatsSample) -> Option<f64>) -> io::Result<()> {
        let name = metric.prometheus_name();
        for (at, sample) in &self.samples {
            if let Some(value) = of(sample) {
                line(out, &name, &self.labels, value, *at)?;
            }
        }
        Ok(())
    }
}

/// What stands before the samples of a metric. A counter's family is named without `_total`.
fn family(out: &mut impl Write, metric: &Metric, kind: &str) -> io::Result<()> {
    let name = metric.prometheus_name();
    let name = if kind == "counter" { name.strip_suffix("_total").unwrap_or(&name) } else { &name };
    writeln!(out, "# TYPE {name} {kind}")?;
    for (unit, suffix) in [("seconds", "_seconds"), ("bytes_per_second", "_bytes_per_second")] {
        if name.ends_with(suffix) {
            writeln!(out, "# UNIT {name} {unit}")?;
        }
    }
    writeln!(out, "# HELP {name} {}", escape(metric.description.trim()))
}

fn line(out: &mut impl Write, name: &str, labels: &str, value: impl Display, at: Timestamp) -> io::Result<()> {
    writeln!(out, "{name}{{{labels}}} {value} {at}")
}

/// Text of a label or of help.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
