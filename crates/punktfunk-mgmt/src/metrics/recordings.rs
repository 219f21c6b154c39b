//! The newest recordings on `/metrics`, so that Prometheus can list them: when, how long, and what the verdict is. Their
//! samples are read by remote read.

use punktfunk_recordings::{CaptureKind, CaptureMeta, ListQuery, Listed, Store, VerdictKind};
use punktfunk_stats::catalogue::{self, Metric, attribute};

use super::labelled;

/// Recordings that are shown, newest first: five series each.
const SHOWN: usize = 100;

/// Most characters of a label that an operator typed.
const MAX_TEXT: usize = 120;

/// What a metric shows of a recording; absent where it is not known.
type Figure = fn(&CaptureMeta) -> Option<f64>;

/// Writes the families of recordings. Without a list there are none: a figure that is not known is absent.
pub(super) fn render(out: &mut String, store: &Store) {
    let query = ListQuery { limit: Some(SHOWN), after: None };
    let entries = match store.list(&query) {
        Ok(listing) => listing.entries,
        Err(error) => return tracing::warn!(%error, cause = %error.source, "the recordings could not be listed"),
    };
    let readable = |entry| match entry {
        Listed::Readable { meta, .. } => Some(meta),
        Listed::Unreadable { .. } => None,
    };
    let metas: Vec<_> = entries.into_iter().filter_map(readable).collect();
    let info = metas.iter().map(|meta| {
        let (verdict, stage) = match &meta.verdict {
            Some(verdict) => (verdict_name(verdict.kind), verdict.stage.clone().unwrap_or_default()),
            None => ("", String::new()),
        };
        let kind = meta.kind.map_or("", kind_name);
        let label = meta.label.chars().take(MAX_TEXT).collect::<String>();
        (meta.id.as_str(), label, kind, verdict, stage)
    });
    let info: Vec<_> = info.collect();
    let info = info.iter().map(|(id, label, kind, verdict, stage)| {
        let labels = [
            (attribute::RECORDING, *id),
            ("label", label.as_str()),
            (attribute::KIND, *kind),
            ("verdict", *verdict),
            (attribute::STAGE, stage.as_str()),
        ];
        (labels.into_iter().filter(|(_, text)| !text.is_empty()), 1.0)
    });
    labelled(out, &catalogue::RECORDING_INFO, info);
    let figures: [(&Metric, Figure); 4] = [
        (&catalogue::RECORDING_START, |meta| Some(meta.started_unix_ms as f64 / 1e3)),
        (&catalogue::RECORDING_DURATION, |meta| Some(meta.duration_ms as f64 / 1e3)),
        (&catalogue::RECORDING_HOST_P99, |meta| Some(meta.host_p99_us? / 1e6)),
        (&catalogue::RECORDING_LATE, |meta| meta.late_share),
    ];
    for (metric, figure) in figures {
        let known = metas.iter().filter_map(|meta| Some(([(attribute::RECORDING, meta.id.as_str())], figure(meta)?)));
        labelled(out, metric, known);
    }
}

fn kind_name(kind: CaptureKind) -> &'static str {
    match kind {
        CaptureKind::Native => "native",
        CaptureKind::Gamestream => "gamestream",
        CaptureKind::Mixed => "mixed",
    }
}

/// As in a recording.
fn verdict_name(kind: VerdictKind) -> &'static str {
    match kind {
        VerdictKind::NotEnoughData => "not_enough_data",
        VerdictKind::WithinBudget => "within_budget",
        VerdictKind::SourceLimited => "source_limited",
        VerdictKind::Network => "network",
        VerdictKind::Stage => "stage",
    }
}
