//! `/metrics`: the always-on names of the catalogue in Prometheus' text format, version 0.0.4
//! (<https://prometheus.io/docs/instrumenting/exposition_formats/>).

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use parking_lot::Mutex;
use punktfunk_stats::catalogue::{self, Kind, Metric};

use crate::error::{ApiError, blocking};
use crate::state::{App, AppState};

mod recordings;

/// How many requests were answered, by class of status. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct RequestCounts(Arc<Mutex<BTreeMap<&'static str, u64>>>);

impl RequestCounts {
    pub(crate) fn count(&self, status: u16) {
        let class = match status / 100 {
            1 => "1xx",
            2 => "2xx",
            3 => "3xx",
            4 => "4xx",
            _ => "5xx",
        };
        *self.0.lock().entry(class).or_default() += 1;
    }
}

/// Gives the always-on metrics.
///
/// Prometheus text exposition format; the catalogue of the names: `punktfunk-host metrics`.
#[utoipa::path(
    get, path = "/metrics", operation_id = "metrics", tag = "host", security(("operator" = []), ("reader" = []), ("session" = [])),
    responses((status = 200, description = "All series", body = String, content_type = "text/plain",
        example = "# TYPE punktfunk_capture_active gauge\npunktfunk_capture_active 0\n"))
)]
pub(crate) async fn metrics(State(app): State<App>) -> Result<impl IntoResponse, ApiError> {
    let text = blocking(move || Ok::<_, ApiError>(render(&app))).await?;
    Ok(([(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text))
}

fn render(app: &AppState) -> String {
    let mut out = String::new();
    let build = [("version", app.version.as_str()), ("host_id", app.captures.host().id.as_str())];
    labelled(&mut out, &catalogue::BUILD_INFO, [(build, 1.0)]);
    family(&mut out, &catalogue::CAPTURE_ACTIVE, None, [("", app.captures.status().armed.into())]);
    let sessions = app.captures.sessions();
    let mut protocols = BTreeMap::new();
    for session in &sessions {
        *protocols.entry(session.protocol.as_str()).or_insert(0) += 1;
    }
    family(&mut out, &catalogue::SESSION_ACTIVE, Some("protocol"), protocols);
    match app.captures.store().usage() {
        Ok(usage) => {
            family(&mut out, &catalogue::RECORDINGS, None, [("", usage.recordings)]);
            family(&mut out, &catalogue::RECORDINGS_SIZE, None, [("", usage.bytes)]);
            family(
                &mut out,
                &catalogue::RECORDINGS_QUOTA,
                None,
                app.captures.store().quota_bytes().map(|quota| ("", quota)),
            );
        }
        // A figure that is not known is absent.
        Err(error) => tracing::warn!(%error, cause = %error.source, "the recordings could not be counted"),
    }
    recordings::render(&mut out, app.captures.store());
    if let Some((verified, kept)) = app.captures.snapshot_outcomes() {
        family(&mut out, &catalogue::SNAPSHOTS, Some("outcome"), [("verified", verified), ("kept", kept)]);
    }
    if let Some(export) = &app.export {
        let figures = export();
        let outcomes = [
            ("exported", figures.exported),
            ("refused", figures.refused),
            ("dropped", figures.dropped),
            ("lost", figures.lost),
        ];
        family(&mut out, &catalogue::EXPORT_REQUESTS, Some("outcome"), outcomes);
        family(&mut out, &catalogue::EXPORT_RETRIES, None, [("", figures.retried)]);
        family(&mut out, &catalogue::EXPORT_BACKLOG, None, [("", figures.backlog_bytes)]);
        family(&mut out, &catalogue::EXPORT_UP, None, figures.up.map(|up| ("", u64::from(up))));
    }
    let requests = app.requests.0.lock().clone();
    family(&mut out, &catalogue::API_REQUESTS, Some("status"), requests);
    out
}

/// One metric: its samples by the value of its only label, or one sample without a label.
fn family<'a>(
    out: &mut String,
    metric: &Metric,
    label: Option<&str>,
    samples: impl IntoIterator<Item = (&'a str, u64)>,
) {
    // Exact up to 2^53.
    let samples = samples.into_iter().map(|(text, value)| (label.map(|label| (label, text)), value as f64));
    labelled(out, metric, samples);
}

/// One metric: its samples by their labels.
fn labelled<'a>(
    out: &mut String,
    metric: &Metric,
    samples: impl IntoIterator<Item = (impl IntoIterator<Item = (&'a str, &'a str)>, f64)>,
) {
    let name = metric.prometheus_name();
    let kind = if metric.kind == Kind::Counter { "counter" } else { "gauge" };
    let help = metric.description.replace('\\', "\\\\").replace('\n', " ");
    // Writing to a String cannot fail.
    write!(out, "# HELP {name} {}\n# TYPE {name} {kind}\n", help.trim()).ok();
    for (labels, value) in samples {
        let labels: Vec<String> =
            labels.into_iter().map(|(label, text)| format!("{label}=\"{}\"", escape(text))).collect();
        match labels.as_slice() {
            [] => writeln!(out, "{name} {value}").ok(),
            labels => writeln!(out, "{name}{{{}}} {value}", labels.join(",")).ok(),
        };
    }
}

/// The value of a label.
fn escape(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
