//! A recording, or a comparison, as one HTML file that can be sent to somebody: graphs as inline SVG, tables, no script and
//! nothing from elsewhere. Light and dark follow the reader's browser.
//!
//! Everything that people typed is escaped by the template engine, and isolated (`<bdi>`), so that text that runs from right
//! to left turns nothing around it.

use jiff::Timestamp;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::compare::{Comparison, FigureDifference, FigureOutcome, FigureUnit, MAX_RUNS};
use crate::schema::{Capture, CaptureMeta, SessionMeta, Source, StageStats, StatsSample};
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
pub fn recording(capture: &Capture) -> String {
    let meta = &capture.meta;
    let body = html! {
        (heading(meta))
        p.verdict { (prose(&capture.summary.verdict.text)) }
        (facts(meta))
        @for summary in &capture.summary.sessions {
            @let session = meta.sessions.iter().find(|session| session.id == summary.session_id);
            section {
                h2 { "Session " bdi { (brief(&summary.session_id, NAME)) } @if let Some(session) = session { " · " bdi { (brief(&session.client, NAME)) } } }
                @if let Some(session) = session { (configuration(session)) }
                @if capture.summary.sessions.len() > 1 { p { (prose(&summary.verdict.text)) } }
                (stages(&summary.figures))
                (health(&summary.figures))
                @let samples: Vec<_> = capture.samples.iter().filter(|one| one.session_id == summary.session_id).collect();
                (graphs(capture, session, &samples))
            }
        }
        @if capture.summary.sessions.is_empty() { p { "No session was measured." } }
        (markers(capture))
        (provenance(capture))
    };
    document(&title(meta), &body)
}

/// The report of a comparison. `runs` are its recordings in the same order.
pub fn comparison(comparison: &Comparison, runs: &[Capture]) -> String {
    let name = |at: usize| char::from(b'A' + u8::try_from(at.min(25)).unwrap_or_default());
    let lines =
        runs.iter().enumerate().map(|(at, run)| host_line(run, format!("{} p99", name(at)), RUNS[at % RUNS.len()]));
    let graph = Graph {
        title: "Host p99 of all sessions, from each run's own start",
        unit: "ms",
        areas: Vec::new(),
        lines: lines.collect(),
        limit: None,
        marks: Vec::new(),
        start: comparison.from_ms.unwrap_or(0),
    };
    let body = html! {
        h1 { "Comparison of " (runs.len()) " recordings" }
        @if let Some((from, to)) = comparison.from_ms.zip(comparison.to_ms) {
            p { "Of each, from " (decimal(from as f64 / 1e3, 1)) " s to " (decimal(to as f64 / 1e3, 1)) " s after its start." }
        }
        @for warning in &comparison.warnings { p.warning { (warning) } }
        @for (at, difference) in comparison.differences.iter().enumerate() {
            p.verdict { (name(at + 1)) " against A: " (prose(&difference.text)) }
        }
        (table("Recordings", &html! {
            thead { tr { th { "run" } th { "recording" } th { "label" } th { "client" } th.n { "frames" } th.n { "fps" } th.n { "host p99" } th.n { "late" } } }
            tbody { @for (at, run) in comparison.runs.iter().enumerate() {
                tr {
                    th scope="row" { (name(at)) } td { (run.meta.id) } td { bdi { (brief(&run.meta.label, NAME)) } }
                    td { bdi { (brief(run.meta.client.as_deref().unwrap_or("–"), NAME)) } }
                    td.n { (run.figures.frames) } td.n { (decimal(run.figures.fps, 1)) }
                    td.n { (ms(run.figures.host.as_ref().and_then(|host| host.p99_us))) } td.n { (percent(run.figures.late_share)) }
                }
            } }
        }))
        (graph.draw())
        @for (at, difference) in comparison.differences.iter().enumerate() {
            section {
                h2 { (name(at + 1)) " against A" }
                (table(&format!("{} against A", name(at + 1)), &html! {
                    thead { tr { th { "series" } th { "figure" } th.n { "A" } th.n { (name(at + 1)) } th.n { "difference" } th.n { "99.9 % interval" } th { "outcome" } } }
                    tbody { @for figure in &difference.figures { (compared(figure)) } }
                }))
            }
        }
        section {
            h2 { "Configuration" }
            @if comparison.configuration.is_empty() { p { "The same in all of them." } } @else {
                (table("Configuration", &html! {
                    thead { tr { th { "setting" } @for at in 0..runs.len() { th { (name(at)) } } } }
                    tbody { @for setting in &comparison.configuration {
                        tr { th scope="row" { (setting.setting) } @for value in &setting.values { td { bdi { (brief(value.as_deref().unwrap_or("–"), NAME)) } } } }
                    } }
                }))
            }
        }
    };
    document("Comparison of recordings", &body)
}

fn document(title: &str, body: &Markup) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="referrer" content="no-referrer";
                meta name="color-scheme" content="light dark";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body { main { (body) } footer { "Made by Punktfunk " (env!("CARGO_PKG_VERSION")) } }
        }
    };
    page.into_string()
}

fn title(meta: &CaptureMeta) -> String {
    let label: String = brief(&meta.label, NAME).chars().filter(|c| !c.is_control()).collect();
    if label.is_empty() { meta.id.to_string() } else { format!("{label} · {}", meta.id) }
}

fn heading(meta: &CaptureMeta) -> Markup {
    html! {
        h1 { @if meta.label.is_empty() { (meta.id) } @else { bdi { (brief(&meta.label, HEADING)) } } }
        @if !meta.label.is_empty() { p.id { (meta.id) } }
        @if !meta.note.is_empty() { p.note { bdi { (meta.note) } } }
        @if meta.interrupted { p.warning { "The host ended before this capture was stopped: its last seconds are missing." } }
        @if meta.truncated { p.warning { "A limit cut something off." } }
        @if meta.records_lost > 0 { p.warning { (meta.records_lost) " frames were sent but not measured." } }
    }
}

fn facts(meta: &CaptureMeta) -> Markup {
    let started = i64::try_from(meta.started_unix_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    let started = started.map_or("–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string());
    html! {
        dl {
            (fact("started", &started))
            (fact("measured", &format!("{} s, {} samples", decimal(meta.duration_ms as f64 / 1e3, 1), meta.sample_count)))
            (fact("sessions", &meta.sessions.len().to_string()))
            (fact("host", &format!("{} {}", meta.host.os, meta.host.version)))
            @if let Some(cpu) = &meta.host.cpu { (fact("processor", cpu)) }
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

fn configuration(session: &SessionMeta) -> Markup {
    html! {
        dl {
            (fact("picture", &format!("{}×{} at {} Hz", session.width, session.height, session.fps)))
            (fact("codec", &format!("{}, {}", session.codec, session.encoder)))
            (fact("source", &session.source_kind))
            (fact("path", &session.protocol))
            @if let Some(audio) = &session.audio { (fact("sound", audio)) }
            (fact("late above", &format!("{} ms", decimal(session.latency_target_us / 1e3, 2))))
        }
    }
}

fn stages(figures: &Figures) -> Markup {
    let row = |stage: &StageSummary| {
        let late = figures.late_by_stage.iter().find(|late| late.stage == stage.name);
        html! {
            tr {
                th scope="row" { bdi { (brief(&stage.name, NAME)) } }
                td.n { (ms(Some(stage.mean_us))) }
                @for us in [stage.p50_us, stage.p95_us, stage.p99_us, stage.p999_us, Some(stage.max_us)] { td.n { (ms(us)) } }
                td.n { (percent(stage.busy_share)) }
                td.n { @if let Some(late) = late { (late.count) } }
            }
        }
    };
    html! {
        (table("Time of a frame, ms", &html! {
            caption { "Time of a frame, ms" }
            thead { tr { th { "stage" } @for name in ["mean", "p50", "p95", "p99", "p99.9", "max", "busy", "at fault"] { th.n { (name) } } } }
            tbody { @for stage in figures.stages.iter().chain(&figures.host) { (row(stage)) } }
        }))
    }
}

fn health(figures: &Figures) -> Markup {
    let count = |value: Option<u64>| value.map_or("–".to_owned(), |value| value.to_string());
    html! {
        dl {
            (fact("frames", &figures.frames.to_string()))
            (fact("late", &format!("{} ({})", figures.late, percent(figures.late_share))))
            (fact("new pictures", &format!("{} / s, 1 % low {}", decimal(figures.fps, 1), figures.low_1_percent_fps.map_or("–".to_owned(), |fps| decimal(fps, 1)))))
            (fact("goodput", &format!("{} Mb/s", decimal(figures.mbps, 2))))
            (fact("stutters", &figures.stutters.to_string()))
            (fact("dropped on the host", &figures.frames_dropped.to_string()))
            (fact("packets lost", &count(figures.packets_lost)))
            (fact("shards rebuilt", &count(figures.fec_recovered)))
        }
    }
}

fn graphs(capture: &Capture, session: Option<&SessionMeta>, samples: &[&StatsSample]) -> Markup {
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
        line(format!("{} mean", brief(name, NAME)), svg::stage(name), &stage)
    });
    let latency = Graph {
        title: "Where the time went: stages (mean, stacked) and host (p99)",
        unit: "ms",
        areas: areas.collect(),
        lines: vec![line("host p99".into(), "host", &|sample| ms(sample.host.as_ref(), |host| host.p99_us))],
        limit: session.map(|session| ("late above", session.latency_target_us / 1e3)),
        marks: capture.markers.iter().map(|marker| marker.t_ms).collect(),
        start: 0,
    };
    let pace = Graph {
        title: "New pictures a second",
        unit: "/s",
        areas: Vec::new(),
        lines: vec![line("fps".into(), "new", &|sample| Some(sample.fps))],
        limit: session.map(|session| ("asked for", f64::from(session.fps))),
        marks: Vec::new(),
        start: 0,
    };
    let goodput = Graph {
        title: "Goodput and the encoder's target",
        unit: "Mb/s",
        areas: Vec::new(),
        lines: vec![
            line("goodput".into(), "goodput", &|sample| Some(sample.mbps)),
            line("target".into(), "target", &|sample| sample.bitrate_kbps.map(|kbps| kbps / 1e3)),
        ],
        limit: None,
        marks: Vec::new(),
        start: 0,
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

fn markers(capture: &Capture) -> Markup {
    /// Beyond it, a list is no help to anybody.
    const SHOWN: usize = 200;
    html! {
        @if !capture.markers.is_empty() {
            section {
                h2 { "Markers" }
                (table("Markers", &html! {
                    thead { tr { th.n { "s" } th { "session" } th.wide { "what" } } }
                    tbody { @for marker in capture.markers.iter().take(SHOWN) {
                        tr {
                            td.n { (decimal(marker.t_ms as f64 / 1e3, 1)) }
                            td { bdi { (brief(marker.session_id.as_deref().unwrap_or("all"), NAME)) } }
                            td { bdi { (brief(&marker.text, HEADING)) } }
                        }
                    } }
                }))
                @if capture.markers.len() > SHOWN { p { "and " (capture.markers.len() - SHOWN) " more" } }
            }
        }
    }
}

fn provenance(capture: &Capture) -> Markup {
    let provenance = &capture.provenance;
    html! {
        section {
            h2 { "Where the figures come from" }
            p {
                @match provenance.source {
                    Source::Local => "The host's own collector.",
                    Source::Prometheus => "A metrics backend that held the same counts as the host's collector at every step.",
                }
                @match provenance.verified {
                    Some(true) => " Every count was held against a second one, and agrees.",
                    Some(false) => " A second count differs: see the recording's provenance.",
                    None => " There was no second count to hold them against.",
                }
                @if let Some(check) = &provenance.backend { " " bdi { (check.reason) } }
                @if provenance.imported.is_some() { " The recording was taken in from a file; summary and verdict were made anew from its samples." }
            }
            p { "Percentiles are exact in each window, and within 0.55 % for the whole run. – stands for what was not measured." }
        }
    }
}

fn compared(figure: &FigureDifference) -> Markup {
    let shown = |value: f64| match figure.unit {
        FigureUnit::Us => format!("{} ms", decimal(value / 1e3, 2)),
        FigureUnit::Share => format!("{} %", decimal(value * 100.0, 2)),
        FigureUnit::PerSecond => decimal(value, 2),
    };
    let (class, word) = match figure.outcome {
        FigureOutcome::Better => ("better", "better"),
        FigureOutcome::Worse => ("worse", "worse"),
        FigureOutcome::Noise => ("noise", "noise"),
        FigureOutcome::Unknown => ("noise", "too short to tell"),
    };
    let interval =
        figure.low.zip(figure.high).map_or("–".to_owned(), |(low, high)| format!("{} … {}", shown(low), shown(high)));
    html! {
        tr class=(class) {
            th scope="row" { bdi { (brief(&figure.series, NAME)) } } td { (figure.figure) } td.n { (shown(figure.baseline)) } td.n { (shown(figure.value)) }
            td.n { (shown(figure.difference)) } td.n { (interval) } td { (word) }
        }
    }
}

fn ms(us: Option<f64>) -> String {
    us.map_or("–".to_owned(), |us| decimal(us / 1e3, 2))
}

fn percent(share: Option<f64>) -> String {
    share.map_or("–".to_owned(), |share| format!("{} %", decimal(share * 100.0, 1)))
}

fn decimal(value: f64, digits: usize) -> String {
    format!("{value:.digits$}").replace('-', "−")
}
