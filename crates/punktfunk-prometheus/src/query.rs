//! PromQL over a capture's series. Every name comes from the catalogue of `punktfunk-stats`.
//!
//! A capture has a meter provider of its own, so its series begin at nothing and are found by `capture_id`. Points are
//! stamped with the very end of their step, so that a query at the end of a step sees that step's state and no later one.
//! What grew by then is asked for; the difference to the step before is taken here, where it costs nothing.

use punktfunk_stats::catalogue::{self, Metric, attribute};

/// The histograms that a recording holds, told apart by their labels alone: `stage`, `point`, or neither (host).
pub const DISTRIBUTIONS: [&Metric; 3] =
    [&catalogue::FRAME_STAGE_DURATION, &catalogue::FRAME_HOST_DURATION, &catalogue::FRAME_INTERVAL];

/// The counters that a recording holds.
pub const COUNTERS: [&Metric; 10] = [
    &catalogue::FRAME_SENT,
    &catalogue::FRAME_LATE,
    &catalogue::FRAME_STUTTER,
    &catalogue::FRAME_DROPPED,
    &catalogue::PACKET_SENT,
    &catalogue::PACKET_SEND_DROPPED,
    &catalogue::PACKET_LOST,
    &catalogue::FEC_RECOVERED,
    &catalogue::NETWORK_IO,
    &catalogue::RECOVERY_REQUESTED,
];

/// The gauges that a recording holds.
pub const GAUGES: [&Metric; 2] = [&catalogue::ENCODER_TARGET_RATE, &catalogue::SESSION_RTT];

/// Label under which queries of several metrics keep a metric's name.
pub const METRIC: &str = "metric";

/// Quantiles that a sample shows, a trace below 0.5, 0.95 and 0.99. From 0.5 on, Prometheus counts from the largest value
/// down, so that a whole rank (the median of sixty frames) would give the next larger value than the nearest rank, which is
/// what a recording holds. So little less gives the nearest rank for any count below ten million.
pub const QUANTILES: [f64; 3] = [0.499999999, 0.949999999, 0.989999999];

/// Labels that tell a capture's series apart, beside [`METRIC`].
const KEYS: [&str; 7] = [
    attribute::SESSION_ID,
    attribute::STAGE,
    attribute::POINT,
    attribute::FRAME_ORIGIN,
    attribute::REASON,
    attribute::KIND,
    attribute::TYPE,
];

/// One capture's window in a backend.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Window<'a> {
    /// The installation.
    pub host_id: &'a str,
    /// The capture.
    pub capture_id: &'a str,
    /// Distance between two steps, ms.
    pub step_ms: u64,
}

impl Window<'_> {
    /// Cumulative counts of stages and host, at one instant: the run's totals, once it has ended.
    pub fn totals(&self) -> String {
        let select = self.select(&DISTRIBUTIONS[..2]);
        format!("sum by ({}) (histogram_count({select}))", keys())
    }

    /// How many frames were counted until each step.
    pub fn counts(&self) -> String {
        format!("sum by ({}) (histogram_count({}))", keys(), self.select(&DISTRIBUTIONS))
    }

    /// A quantile of the distribution of some steps, seconds.
    pub fn quantile(&self, q: f64, of: Of) -> String {
        format!("histogram_quantile({q}, sum by ({}) ({}))", keys(), self.distribution(of))
    }

    /// All of [`QUANTILES`] at a third of the cost, told apart by label `q`. Needs a Prometheus with
    /// `--enable-feature=promql-experimental-functions`.
    pub fn quantiles(&self, of: Of) -> String {
        let [a, b, c] = QUANTILES;
        format!("histogram_quantiles(sum by ({}) ({}), \"q\", {a}, {b}, {c})", keys(), self.distribution(of))
    }

    /// What the counters had reached at each step.
    pub fn counters(&self) -> String {
        format!("sum by ({METRIC}, {}) ({})", keys(), named(&self.select(&COUNTERS)))
    }

    /// The gauges at each step.
    pub fn gauges(&self) -> String {
        format!("max by ({METRIC}, {}) ({})", keys(), named(&self.select(&GAUGES)))
    }

    /// Every run and capture that exported under this host's id during the last `ms` before an instant.
    pub fn exporters(&self, ms: u64) -> String {
        let info = catalogue::CAPTURE_INFO.prometheus_name();
        let host = label(attribute::HOST_ID);
        let by = [label(attribute::RUN_ID), label(attribute::CAPTURE_ID)].join(", ");
        format!("count by ({by}) (last_over_time({info}{{{host}={}}}[{ms}ms]))", quoted(self.host_id))
    }

    /// All series of these metrics that belong to the capture.
    fn select(&self, metrics: &[&Metric]) -> String {
        let names: Vec<String> = metrics.iter().map(|metric| metric.prometheus_name()).collect();
        format!(
            "{{__name__=~{},{}={},{}={}}}",
            quoted(&names.join("|")),
            label(attribute::HOST_ID),
            quoted(self.host_id),
            label(attribute::CAPTURE_ID),
            quoted(self.capture_id)
        )
    }

    /// Rates scale a distribution, which leaves its quantiles as they are. They cost half of what a difference by `offset`
    /// does: each sample is read once. The range holds two samples, and is a little shorter than two steps, so that it does
    /// whether or not a server counts the left end in (Prometheus does not since 3.0).
    fn distribution(&self, of: Of) -> String {
        let select = self.select(&DISTRIBUTIONS);
        match of {
            Of::Step => format!("rate({select}[{}ms])", 2 * self.step_ms - 1),
            Of::FirstStep => select,
        }
    }
}

/// Which steps' distribution.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    /// Any that has one before it.
    Step,
    /// The first of a series: everything that it holds by then.
    FirstStep,
}

/// Keeps the metric's name as a label, which arithmetic would drop.
fn named(selector: &str) -> String {
    format!("label_replace({selector}, \"{METRIC}\", \"$1\", \"__name__\", \"(.+)\")")
}

fn keys() -> String {
    KEYS.map(label).join(", ")
}

/// The label that Prometheus makes of an attribute.
pub fn label(attribute: &str) -> String {
    attribute.replace('.', "_")
}

/// A PromQL string.
fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '\n' => quoted.push_str("\\n"),
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_what_came_since_the_one_before_or_all_there_is() {
        let window = Window { host_id: "h", capture_id: "c", step_ms: 1000 };
        let select = r#"{__name__=~"punktfunk_frame_stage_duration_seconds|punktfunk_frame_host_duration_seconds|punktfunk_frame_interval_seconds",host_id="h",capture_id="c"}"#;
        let by = "session_id, stage, point, frame_origin, reason, kind, type";
        assert_eq!(window.counts(), format!("sum by ({by}) (histogram_count({select}))"));
        let quantile = |of| window.quantile(0.99, of);
        assert_eq!(quantile(Of::Step), format!("histogram_quantile(0.99, sum by ({by}) (rate({select}[1999ms])))"));
        assert_eq!(quantile(Of::FirstStep), format!("histogram_quantile(0.99, sum by ({by}) ({select}))"));
    }

    #[test]
    fn a_hostile_host_id_stays_a_string() {
        assert_eq!(quoted("a\"} or up{\\\n"), r#""a\"} or up{\\\n""#);
    }
}
