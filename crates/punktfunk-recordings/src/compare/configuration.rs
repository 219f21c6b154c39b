//! What was set or built differently, and whether that makes runs incomparable.

use super::ConfigurationDifference;
use crate::language::Language;
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

/// Why runs are not comparable, and what else to bear in mind.
pub(super) fn warnings<'a>(
    runs: impl IntoIterator<Item = &'a CaptureMeta>,
    differences: &[ConfigurationDifference],
    language: Language,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for difference in differences.iter().filter(|difference| difference.decides) {
        let setting = setting_name(difference, language);
        let values: Vec<String> = difference.values.iter().map(|value| shown(value.as_deref())).collect();
        let values = values.join(", ");
        warnings.push(match language {
            Language::English => format!("Not comparable: not the same {setting} ({values})."),
            Language::German => format!("Nicht vergleichbar: nicht gleich ist {setting} ({values})."),
        });
    }
    for CaptureMeta { id, interrupted, truncated, records_lost, .. } in runs {
        let mut warn = |english: String, german: String| warnings.push(language.of(&english, &german).to_owned());
        if *interrupted {
            warn(
                format!("{id} was interrupted: its last seconds are missing."),
                format!("{id} wurde unterbrochen: Die letzten Sekunden fehlen."),
            );
        }
        if *truncated {
            warn(format!("{id} was cut off by a limit."), format!("{id} wurde von einer Grenze abgeschnitten."));
        }
        if *records_lost > 0 {
            warn(
                format!("{id} lost the records of {records_lost} frames."),
                format!("{id} hat die Zeiten von {records_lost} Bildern verloren."),
            );
        }
    }
    warnings
}

/// A setting, as it is called.
pub(crate) fn setting_name(difference: &ConfigurationDifference, language: Language) -> &str {
    let german = match difference.setting.as_str() {
        "resolution" => "Auflösung",
        "fps" => "Bildrate",
        "codec" => "Codec",
        "encoder" => "Encoder",
        "source" => "Quelle",
        "protocol" => "Pfad",
        "latency_target" => "Latenzbudget",
        "sessions" => "Zahl der Sitzungen",
        "client" => "Client",
        "host" => "Host",
        "host_version" => "Host-Version",
        "os" => "System",
        "cpu" => "Prozessor",
        "cpus" => "logische Prozessoren",
        other => other,
    };
    language.of(&difference.setting, german)
}

/// A value as a sentence shows it: short, however long it is.
fn shown(value: Option<&str>) -> String {
    match value {
        None => "–".to_owned(),
        Some(text) if text.chars().count() > 60 => format!("{}…", text.chars().take(60).collect::<String>()),
        Some(text) => text.to_owned(),
    }
}
