//! A recording, or a comparison, as one HTML file that can be sent to somebody: graphs as inline SVG, tables, no script and
//! nothing from elsewhere. Light and dark follow the reader's browser.
//!
//! Everything that people typed is escaped by the template engine, and isolated (`<bdi>`), so that text that runs from right
//! to left turns nothing around it.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::compare::{
    Comparison, FigureDifference, FigureOutcome, FigureUnit, MAX_RUNS, figure_name, series_name, setting_name,
};
use crate::language::Language;
use crate::schema::{Capture, CaptureMeta, Marker, MarkerKind, SessionMeta, Source, StageStats, StatsSample};
use crate::summary::{Figures, StageSummary};

mod svg;

use svg::{Graph, Line};

/// No script, no request: even if something slipped through, it could do nothing.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("report/report.css");

/// Colours of the runs of a comparison, classes of the style sheet.
const RUNS: [&str; MAX_RUNS] = ["run1", "run2", "run3", "run4"];

/// Longest name in a title bar, a heading below the first, a cell or a legend, characters. Names that people give are shorter.
const NAME: usize = 80;

/// Longest name in the first heading.
const HEADING: usize = 240;

/// The report of one recording.
pub fn recording(capture: &Capture, language: Language) -> String {
    let meta = &capture.meta;
    let body = html! {
        (heading(meta, language))
        p.verdict { (prose(&capture.summary.verdict.sentence(language))) }
        (facts(meta, language))
        @for summary in &capture.summary.sessions {
            @let session = meta.sessions.iter().find(|session| session.id == summary.session_id);
            section {
                h2 {
                    (language.of("Session", "Sitzung")) " " bdi { (brief(&summary.session_id, NAME)) }
                    @if let Some(session) = session { " · " bdi { (brief(&session.client, NAME)) } }
                }
                @if let Some(session) = session { (configuration(session, language)) }
                @if capture.summary.sessions.len() > 1 { p { (prose(&summary.verdict.sentence(language))) } }
                (stages(&summary.figures, language))
                (health(&summary.figures, language))
                @let samples: Vec<_> = capture.samples.iter().filter(|one| one.session_id == summary.session_id).collect();
                (graphs(capture, session, &samples, language))
            }
        }
        @if capture.summary.sessions.is_empty() {
            p { (language.of("No session was measured.", "Es wurde keine Sitzung gemessen.")) }
        }
        (markers(capture, language))
        (provenance(capture, language))
    };
    document(&title(meta), &body, language)
}

/// The report of a comparison. `runs` are its recordings in the same order.
pub fn comparison(comparison: &Comparison, runs: &[Capture], language: Language) -> String {
    let say = |english, german| language.of(english, german);
    let name = |at: usize| char::from(b'A' + u8::try_from(at.min(25)).unwrap_or_default());
    let against = |at: usize| format!("{} {} A", name(at + 1), say("against", "gegen"));
    let lines =
        runs.iter().enumerate().map(|(at, run)| host_line(run, format!("{} p99", name(at)), RUNS[at % RUNS.len()]));
    let graph = Graph {
        title: say(
            "Host p99 of all sessions, from each run's own start",
            "Host p99 aller Sitzungen, ab dem Start jedes Laufs",
        ),
        unit: "ms",
        areas: Vec::new(),
        lines: lines.collect(),
        limit: None,
        marks: Vec::new(),
        start: comparison.from_ms.unwrap_or(0),
        language,
    };
    let title = say("Comparison of recordings", "Vergleich von Aufnahmen");
    let seconds = |ms: u64| language.decimal(ms as f64 / 1e3, 1);
    let body = html! {
        h1 { (say("Comparison of", "Vergleich von")) " " (runs.len()) " " (say("recordings", "Aufnahmen")) }
        @if let Some((from, to)) = comparison.from_ms.zip(comparison.to_ms) {
            p { @match language {
                Language::English => { "Of each, from " (seconds(from)) " s to " (seconds(to)) " s after its start." }
                Language::German => { "Von jeder der Abschnitt von " (seconds(from)) " s bis " (seconds(to)) " s nach ihrem Start." }
            } }
        }
        @for warning in &comparison.warnings(language) { p.warning { (warning) } }
        @for (at, difference) in comparison.differences.iter().enumerate() {
            p.verdict { (against(at)) ": " (prose(&difference.sentence(language))) }
        }
        (table(say("Recordings", "Aufnahmen"), &html! {
            thead { tr {
                th { (say("run", "Lauf")) } th { (say("recording", "Aufnahme")) } th { (say("label", "Bezeichnung")) }
                th { (say("client", "Client")) } th.n { (say("frames", "Bilder")) } th.n { "fps" } th.n { "host p99" }
                th.n { (say("late", "spät")) }
            } }
            tbody { @for (at, run) in comparison.runs.iter().enumerate() {
                tr {
                    th scope="row" { (name(at)) } td { (run.meta.id) } td { bdi { (brief(&run.meta.label, NAME)) } }
                    td { bdi { (brief(run.meta.client.as_deref().unwrap_or("–"), NAME)) } }
                    td.n { (run.figures.frames) } td.n { (language.decimal(run.figures.fps, 1)) }
                    td.n { (ms(run.figures.host.as_ref().and_then(|host| host.p99_us), language)) }
                    td.n { (percent(run.figures.late_share, language)) }
                }
            } }
        }))
        (graph.draw())
        @for (at, difference) in comparison.differences.iter().enumerate() {
            section {
                h2 { (against(at)) }
                (table(&against(at), &html! {
                    thead { tr {
                        th { (say("series", "Reihe")) } th { (say("figure", "Größe")) } th.n { "A" } th.n { (name(at + 1)) }
                        th.n { (say("difference", "Unterschied")) } th.n { (say("99.9 % interval", "Intervall, 99,9 %")) }
                        th { (say("outcome", "Ergebnis")) }
                    } }
                    tbody { @for figure in &difference.figures { (compared(figure, language)) } }
                }))
            }
        }
        section {
            h2 { (say("Configuration", "Konfiguration")) }
            @if comparison.configuration.is_empty() {
                p { (say("The same in all of them.", "In allen die gleiche.")) }
            } @else {
                (table(say("Configuration", "Konfiguration"), &html! {
                    thead { tr { th { (say("setting", "Einstellung")) } @for at in 0..runs.len() { th { (name(at)) } } } }
                    tbody { @for setting in &comparison.configuration {
                        tr {
                            th scope="row" { (setting_name(setting, language)) }
                            @for value in &setting.values { td { bdi { (brief(value.as_deref().unwrap_or("–"), NAME)) } } }
                        }
                    } }
                }))
            }
        }
    };
    document(title, &body, language)
}

fn document(title: &str, body: &Markup, language: Language) -> String {
    let page = html! {
        (DOCTYPE)
        html lang=(language) {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main { (body) }
                footer { (language.of("Made by", "Erstellt von")) " Punktfunk " (env!("CARGO_PKG_VERSION")) }
            }
        }
    };
    page.into_string()
}

fn title(meta: &CaptureMeta) -> String {
    let label: String = brief(&meta.label, NAME).chars().filter(|c| !c.is_control()).collect();
    if label.is_empty() { meta.id.to_string() } else { format!("{label} · {}", meta.id) }
}

fn heading(meta: &CaptureMeta, language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    html! {
        h1 { @if meta.label.is_empty() { (meta.id) } @else { bdi { (brief(&meta.label, HEADING)) } } }
        @if !meta.label.is_empty() { p.id { (meta.id) } }
        @if !meta.note.is_empty() { p.note { bdi { (meta.note) } } }
        @if meta.interrupted {
            p.warning {
                (say(
                    "The host ended before this capture was stopped: its last seconds are missing.",
                    "Der Host endete, bevor diese Messung gestoppt wurde: Die letzten Sekunden fehlen.",
                ))
            }
        }
        @if meta.truncated { p.warning { (say("A limit cut something off.", "Eine Grenze hat etwas abgeschnitten.")) } }
        @if meta.records_lost > 0 {
            p.warning { (meta.records_lost) " " (say("frames were sent but not measured.", "Bilder wurden gesendet, aber nicht gemessen.")) }
        }
    }
}

fn facts(meta: &CaptureMeta, language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    let started = i64::try_from(meta.started_unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let started = started.map_or("–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    let seconds = language.decimal(meta.duration_ms as f64 / 1e3, 1);
    html! {
        dl {
            (fact(say("started", "begonnen"), &started))
            (fact(say("measured", "gemessen"), &format!("{seconds} s, {} {}", meta.sample_count, say("samples", "Messpunkte"))))
            (fact(say("sessions", "Sitzungen"), &meta.sessions.len().to_string()))
            (fact("host", &format!("{} {}", meta.host.os, meta.host.version)))
            @if let Some(cpu) = &meta.host.cpu { (fact(say("processor", "Prozessor"), cpu)) }
        }
    }
}

/// A table that a narrow screen can scroll by itself.
fn table(name: &str, rows: &Markup) -> Markup {
    html! { div.table role="region" aria-label=(name) tabindex="0" { table { (rows) } } }
}

/// The beginning of a name that may be of any length.
fn brief(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// A sentence that names stages between backquotes.
fn prose(text: &str) -> Markup {
    html! { @for (at, part) in text.split('`').enumerate() { @if at % 2 == 1 { code { (part) } } @else { (part) } } }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { bdi { (brief(value, HEADING)) } } } }
}

fn configuration(session: &SessionMeta, language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    let rate = say("at", "mit");
    html! {
        dl {
            (fact(say("picture", "Bild"), &format!("{}×{} {rate} {} Hz", session.width, session.height, session.fps)))
            (fact(say("codec", "Codec"), &format!("{}, {}", session.codec, session.encoder)))
            (fact(say("source", "Quelle"), &session.source_kind))
            (fact(say("path", "Pfad"), &session.protocol))
            @if let Some(audio) = &session.audio { (fact(say("sound", "Ton"), audio)) }
            (fact(late_above(language), &format!("{} ms", language.decimal(session.latency_target_us / 1e3, 2))))
        }
    }
}

fn late_above(language: Language) -> &'static str {
    language.of("late above", "spät ab")
}

fn stages(figures: &Figures, language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    let row = |stage: &StageSummary| {
        let late = figures.late_by_stage.iter().find(|late| late.stage == stage.name);
        html! {
            tr {
                th scope="row" { bdi { (brief(&stage.name, NAME)) } }
                td.n { (ms(Some(stage.mean_us), language)) }
                @for us in [stage.p50_us, stage.p95_us, stage.p99_us, stage.p999_us, Some(stage.max_us)] {
                    td.n { (ms(us, language)) }
                }
                td.n { (percent(stage.busy_share, language)) }
                td.n { @if let Some(late) = late { (late.count) } }
            }
        }
    };
    let caption = say("Time of a frame, ms", "Zeit eines Bildes, ms");
    let (busy, at_fault) = (say("busy", "Auslastung"), say("at fault", "schuld"));
    html! {
        (table(caption, &html! {
            caption { (caption) }
            thead { tr {
                th { (say("stage", "Stufe")) }
                @for name in [say("mean", "Mittel"), "p50", "p95", "p99", "p99.9", "max", busy, at_fault] { th.n { (name) } }
            } }
            tbody { @for stage in figures.stages.iter().chain(&figures.host) { (row(stage)) } }
        }))
    }
}

fn health(figures: &Figures, language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    let count = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
    let low = figures.low_1_percent_fps.map_or("–".to_owned(), |fps| language.decimal(fps, 1));
    let low = format!("{} {low}", say("1 % low", "1 %-Tief"));
    html! {
        dl {
            (fact(say("frames", "Bilder"), &figures.frames.to_string()))
            (fact(say("late", "spät"), &format!("{} ({})", figures.late, percent(figures.late_share, language))))
            (fact(say("new pictures", "neue Bilder"), &format!("{} / s, {low}", language.decimal(figures.fps, 1))))
            (fact(say("goodput", "Nutzdaten"), &format!("{} Mb/s", language.decimal(figures.mbps, 2))))
            (fact(say("stutters", "Ruckler"), &figures.stutters.to_string()))
            (fact(say("dropped on the host", "auf dem Host verworfen"), &figures.frames_dropped.to_string()))
            (fact(say("packets lost", "Pakete verloren"), &count(figures.packets_lost)))
            (fact(say("shards rebuilt", "Teile wiederhergestellt"), &count(figures.fec_recovered)))
        }
    }
}

fn graphs(capture: &Capture, session: Option<&SessionMeta>, samples: &[&StatsSample], language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    let ms = |of: Option<&StageStats>, figure: fn(&StageStats) -> f64| of.map(|stats| figure(stats) / 1e3);
    let line = |name: String, colour, value: &dyn Fn(&StatsSample) -> Option<f64>| Line {
        name,
        colour,
        points: samples.iter().map(|sample| (sample.t_ms, value(sample))).collect(),
    };
    let declared = session.into_iter().flat_map(|session| &session.stages).map(|stage| stage.name.as_str());
    let areas = declared.chain(["queue"]).map(|name| {
        let stage = move |sample: &StatsSample| {
            let stats = sample.stages.iter().find(|stage| stage.name == name);
            // A stage that no frame passed took no time; a window without frames is a gap.
            sample.host.as_ref().map(|host| {
                let share = stats.map_or(0.0, |stats| stats.mean_us * stats.count as f64) / host.count.max(1) as f64;
                share / 1e3
            })
        };
        line(format!("{} {}", brief(name, NAME), say("mean", "Mittel")), svg::stage(name), &stage)
    });
    let latency = Graph {
        title: say(
            "Where the time went: stages (mean, stacked) and host (p99)",
            "Wohin die Zeit ging: Stufen (Mittel, gestapelt) und host (p99)",
        ),
        unit: "ms",
        areas: areas.collect(),
        lines: vec![line("host p99".into(), "host", &|sample| ms(sample.host.as_ref(), |host| host.p99_us))],
        limit: session.map(|session| (late_above(language), session.latency_target_us / 1e3)),
        marks: capture.markers.iter().map(|marker| marker.t_ms).collect(),
        start: 0,
        language,
    };
    let pace = Graph {
        title: say("New pictures a second", "Neue Bilder in der Sekunde"),
        unit: "/s",
        areas: Vec::new(),
        lines: vec![line("fps".into(), "new", &|sample| Some(sample.fps))],
        limit: session.map(|session| (say("asked for", "verlangt"), f64::from(session.fps))),
        marks: Vec::new(),
        start: 0,
        language,
    };
    let goodput = Graph {
        title: say("Goodput and the encoder's target", "Nutzdaten und das Ziel des Encoders"),
        unit: "Mb/s",
        areas: Vec::new(),
        lines: vec![
            line(say("goodput", "Nutzdaten").into(), "goodput", &|sample| Some(sample.mbps)),
            line(say("target", "Ziel").into(), "target", &|sample| sample.bitrate_kbps.map(|kbps| kbps / 1e3)),
        ],
        limit: None,
        marks: Vec::new(),
        start: 0,
        language,
    };
    html! { (latency.draw()) (pace.draw()) (goodput.draw()) }
}

/// The longest host p99 among the sessions at each moment.
fn host_line(run: &Capture, name: String, colour: &'static str) -> Line {
    let mut points: Vec<(u64, Option<f64>)> = Vec::new();
    for sample in &run.samples {
        let value = sample.host.as_ref().map(|host| host.p99_us / 1e3);
        match points.last_mut() {
            Some((t, last)) if *t == sample.t_ms => *last = [*last, value].into_iter().flatten().reduce(f64::max),
            _ => points.push((sample.t_ms, value)),
        }
    }
    Line { name, colour, points }
}

fn markers(capture: &Capture, language: Language) -> Markup {
    /// Beyond it, a list is no help to anybody.
    const SHOWN: usize = 200;
    let say = |english, german| language.of(english, german);
    html! {
        @if !capture.markers.is_empty() {
            section {
                h2 { (say("Markers", "Marken")) }
                (table(say("Markers", "Marken"), &html! {
                    thead { tr { th.n { "s" } th { (say("session", "Sitzung")) } th.wide { (say("what", "was")) } } }
                    tbody { @for marker in capture.markers.iter().take(SHOWN) {
                        tr {
                            td.n { (language.decimal(marker.t_ms as f64 / 1e3, 1)) }
                            td { bdi { (brief(marker.session_id.as_deref().unwrap_or(say("all", "alle")), NAME)) } }
                            td { bdi { (brief(&marked(marker, capture, language), HEADING)) } }
                        }
                    } }
                }))
                @if capture.markers.len() > SHOWN {
                    p { (say("and", "und")) " " (capture.markers.len() - SHOWN) " " (say("more", "weitere")) }
                }
            }
        }
    }
}

/// What a marker says. The host's own are told by their kind; the recording holds them in English.
fn marked(marker: &Marker, capture: &Capture, language: Language) -> String {
    let session = marker.session_id.as_deref().unwrap_or_default();
    let known = capture.meta.sessions.iter().find(|one| one.id == session && !one.client.is_empty());
    let client = known.map_or(session, |session| session.client.as_str());
    match (language, marker.kind) {
        (Language::English, _) | (_, MarkerKind::Operator) => marker.text.clone(),
        (Language::German, MarkerKind::Idr) => "Schlüsselbild (IDR) verlangt".to_owned(),
        (Language::German, MarkerKind::Bitrate) => format!("Bitrate {}", marker.text),
        (Language::German, MarkerKind::Join) => format!("{client} kam dazu"),
        (Language::German, MarkerKind::Leave) => format!("{client} ging"),
        (Language::German, MarkerKind::LossBurst) => {
            // It begins with their number.
            let packets = marker.text.split(' ').next().unwrap_or_default();
            format!("Auf einmal verlorene Pakete: {packets}")
        }
    }
}

fn provenance(capture: &Capture, language: Language) -> Markup {
    let say = |english, german| language.of(english, german);
    let provenance = &capture.provenance;
    let source = match provenance.source {
        Source::Local => say("The host's own collector.", "Aus der eigenen Messung des Hosts."),
        Source::Prometheus => say(
            "A metrics backend that held the same counts as the host's collector at every step.",
            "Aus einem Metrik-Backend, das bei jedem Schritt dieselben Zählungen hatte wie der Host.",
        ),
    };
    let verified = match provenance.verified {
        Some(true) => say(
            "Every count was held against a second one, and agrees.",
            "Jede Zählung wurde mit einer zweiten verglichen und stimmt überein.",
        ),
        Some(false) => say(
            "A second count differs: see the recording's provenance.",
            "Eine zweite Zählung weicht ab: siehe die Herkunft in der Aufnahme.",
        ),
        None => say("There was no second count to hold them against.", "Es gab keine zweite Zählung zum Vergleich."),
    };
    html! {
        section {
            h2 { (say("Where the figures come from", "Woher die Zahlen kommen")) }
            p {
                (source) " " (verified)
                @if let Some(check) = &provenance.backend { " " bdi lang="en" { (check.reason) } }
                @if provenance.imported.is_some() {
                    " " (say(
                        "The recording was taken in from a file; summary and verdict were made anew from its samples.",
                        "Die Aufnahme kam aus einer Datei; Zusammenfassung und Urteil sind neu aus ihren Messpunkten gemacht.",
                    ))
                }
            }
            p {
                (say(
                    "Percentiles are exact in each window, and within 0.55 % for the whole run. – stands for what was not measured.",
                    "Perzentile sind in jedem Fenster genau und für den ganzen Lauf auf 0,55 %. – steht für das, was nicht gemessen wurde.",
                ))
            }
        }
    }
}

fn compared(figure: &FigureDifference, language: Language) -> Markup {
    let shown = |value: f64| match figure.unit {
        FigureUnit::Us => format!("{} ms", language.decimal(value / 1e3, 2)),
        FigureUnit::Share => format!("{} %", language.decimal(value * 100.0, 2)),
        FigureUnit::PerSecond => language.decimal(value, 2),
    };
    let (class, word) = match figure.outcome {
        FigureOutcome::Better => ("better", language.of("better", "besser")),
        FigureOutcome::Worse => ("worse", language.of("worse", "schlechter")),
        FigureOutcome::Noise => ("noise", language.of("noise", "Rauschen")),
        FigureOutcome::Unknown => ("noise", language.of("too short to tell", "zu kurz")),
    };
    let interval =
        figure.low.zip(figure.high).map_or("–".to_owned(), |(low, high)| format!("{} … {}", shown(low), shown(high)));
    html! {
        tr class=(class) {
            th scope="row" { bdi { (brief(series_name(figure, language), NAME)) } }
            td { (figure_name(figure, language)) } td.n { (shown(figure.baseline)) } td.n { (shown(figure.value)) }
            td.n { (shown(figure.difference)) } td.n { (interval) } td { (word) }
        }
    }
}

fn ms(us: Option<f64>, language: Language) -> String {
    us.map_or("–".to_owned(), |us| language.decimal(us / 1e3, 2))
}

fn percent(share: Option<f64>, language: Language) -> String {
    share.map_or("–".to_owned(), |share| format!("{} %", language.decimal(share * 100.0, 1)))
}
