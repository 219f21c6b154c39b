//! What was set or built differently, and whether that makes runs incomparable.

use super::ConfigurationDifference;
use crate::schema::{CaptureMeta, SessionMeta};

/// What decides how much work a frame is: runs that differ in it measure different things.
const DECIDES: [&str; 7] = ["resolution", "fps", "codec", "encoder", "source", "protocol", "sessions"];

/// Settings that are not the same everywhere. Those of a session are the first one's.
pub(super) fn differences(runs: &[&CaptureMeta]) -> Vec<ConfigurationDifference> {
    type Of = fn(&CaptureMeta) -> Option<String>;
    fn first(meta: &CaptureMeta, of: impl Fn(&SessionMeta) -> String) -> Option<String> {
        meta.sessions.first().map(of)
    }
    let known = |text: &str| (!text.is_empty()).then(|| text.to_owned());
    let settings: [(&str, Of); 10] = [
        ("resolution", |meta| first(meta, |session| format!("{}x{}", session.width, session.height))),
        ("fps", |meta| first(meta, |session| session.fps.to_string())),
        ("codec", |meta| first(meta, |session| session.codec.clone())),
        ("encoder", |meta| first(meta, |session| session.encoder.clone())),
        ("source", |meta| first(meta, |session| session.source_kind.clone())),
        ("protocol", |meta| first(meta, |session| session.protocol.clone())),
        ("latency_target", |meta| first(meta, |session| format!("{} µs", session.latency_target_us))),
        ("sessions", |meta| Some(meta.sessions.len().to_string())),
        ("client", |meta| first(meta, |session| session.client.clone())),
        ("cpus", |meta| meta.host.cpus.map(|cpus| cpus.to_string())),
    ];
    let mut all: Vec<(&str, Vec<Option<String>>)> = Vec::new();
    for (setting, of) in settings {
        all.push((setting, runs.iter().map(|meta| of(meta)).collect()));
    }
    all.push(("host", runs.iter().map(|meta| known(&meta.host.id)).collect()));
    all.push(("host_version", runs.iter().map(|meta| known(&meta.host.version)).collect()));
    all.push(("os", runs.iter().map(|meta| known(&meta.host.os)).collect()));
    all.push(("cpu", runs.iter().map(|meta| meta.host.cpu.clone()).collect()));
    all.retain(|(_, values)| values.windows(2).any(|pair| pair[0] != pair[1]));
    let difference = |(setting, values): (&str, _)| {
        let decides = DECIDES.contains(&setting);
        ConfigurationDifference { setting: setting.to_owned(), values, decides }
    };
    all.into_iter().map(difference).collect()
}

/// Whether runs are comparable, and what to bear in mind.
pub(super) fn warnings(runs: &[&CaptureMeta], differences: &[ConfigurationDifference]) -> (bool, Vec<String>) {
    let mut warnings = Vec::new();
    for ConfigurationDifference { setting, values, decides } in differences {
        if *decides {
            let values: Vec<String> = values.iter().map(|value| shown(value.as_deref())).collect();
            warnings.push(format!("Not comparable: not the same {setting} ({}).", values.join(", ")));
        }
    }
    let comparable = warnings.is_empty();
    for meta in runs {
        if meta.interrupted {
            warnings.push(format!("{} was interrupted: its last seconds are missing.", meta.id));
        }
        if meta.truncated {
            warnings.push(format!("{} was cut off by a limit.", meta.id));
        }
        if meta.records_lost > 0 {
            warnings.push(format!("{} lost the records of {} frames.", meta.id, meta.records_lost));
        }
    }
    (comparable, warnings)
}

/// A value as a sentence shows it: short, however long it is.
fn shown(value: Option<&str>) -> String {
    match value {
        None => "–".to_owned(),
        Some(text) if text.chars().count() > 60 => format!("{}…", text.chars().take(60).collect::<String>()),
        Some(text) => text.to_owned(),
    }
}
