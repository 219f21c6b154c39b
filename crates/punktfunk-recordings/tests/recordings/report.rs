//! Reports in each language: all of it is in that language, and only names are the same in both.

use std::collections::BTreeSet;

use punktfunk_recordings::compare::{Comparison, compare};
use punktfunk_recordings::verdict::{Evidence, judge};
use punktfunk_recordings::{Capture, Language, Marker, MarkerKind, Source, Verdict, VerdictKind, report};

use crate::fixture::{LOCAL, QUICK, capture, late, meta, missing, quiet, run, session};

/// What is the same in both: fields and stages of the API, units, figures, programs, what the fixture calls things, and words
/// that both languages have.
const SAME: &str = "Punktfunk UTC linux evening Living room native synthetic openh264 other host capture submit encode send \
    queue pace interval p50 p95 p99 mean max fps Mb ms Hz s1 s2 s3 Host Client client Codec IDR kb in was";

/// The words that a reader sees or hears, without numbers.
fn words(page: &str) -> BTreeSet<String> {
    let (head, body) = page.split_once("<style>").unwrap();
    let (_, body) = body.split_once("</style>").unwrap();
    let mut text = String::new();
    for part in head.split('<').chain(body.split('<')) {
        let (tag, between) = part.split_once('>').unwrap_or(("", part));
        let heard = tag.split_once("aria-label=\"").and_then(|(_, rest)| rest.split_once('"'));
        text.push_str(&format!(" {} {between} ", heard.map_or("", |(label, _)| label)));
    }
    let text = text.replace("&quot;", " ").replace("&amp;", " ").replace("&#39;", "'");
    let words = text.split(|c: char| !c.is_alphanumeric() && c != '\'');
    words.filter(|word| word.chars().filter(|c| c.is_alphabetic()).count() > 1).map(str::to_owned).collect()
}

fn english_in(german: &str, english: &str) -> Vec<String> {
    let (german, english) = (words(german), words(english));
    german.intersection(&english).filter(|word| SAME.split(' ').all(|same| same != word.as_str())).cloned().collect()
}

/// Everything that a report can say of itself, once in each of two recordings.
fn recordings() -> Vec<Capture> {
    let slow = |second| if second > 5 { [2_000.0, 1_000.0, 60_000.0, 1_000.0] } else { QUICK };
    let mut meta = meta("2026-06-26T20-14-03Z_1280x720");
    meta.sessions = vec![session("s1"), session("s2"), session("s3")];
    (meta.interrupted, meta.truncated, meta.records_lost) = (true, true, 3);
    meta.host.cpu = Some("other".to_owned());
    for session in &mut meta.sessions {
        session.audio = Some("other".to_owned());
    }
    let mut samples = run("s1", 40, slow);
    samples.extend(run("s2", 40, |_| QUICK));
    let unnamed =
        (0..201).map(|at| Marker { t_ms: at, session_id: None, kind: MarkerKind::Operator, text: String::new() });
    let markers = [
        (MarkerKind::Idr, "IDR requested"),
        (MarkerKind::Bitrate, "8000 → 6000 kb/s"),
        (MarkerKind::Join, "Living room joined (1280x720@60)"),
        (MarkerKind::Leave, "Living room left"),
        (MarkerKind::LossBurst, "40 packets lost"),
    ]
    .map(|(kind, text)| Marker { t_ms: 1, session_id: Some("s1".to_owned()), kind, text: text.to_owned() });
    let markers = markers.into_iter().chain(unnamed);
    let mut provenance = LOCAL;
    provenance.source = Source::Prometheus;
    let long = Capture::assemble(meta, samples, markers.collect(), provenance, Vec::new());
    let mut other = capture("2026-06-27T20-14-03Z_1280x720", 40);
    other.provenance.verified = Some(false);
    vec![long, other]
}

#[test]
fn a_german_report_of_a_recording_is_german() {
    let mut runs = recordings();
    runs.push(Capture::assemble(meta("2026-06-28T20-14-03Z_1280x720"), Vec::new(), Vec::new(), LOCAL, Vec::new()));
    runs[2].provenance.verified = None;
    for run in &runs {
        let [german, english] = [Language::German, Language::English].map(|language| report::recording(run, language));
        assert!(german.contains("<html lang=\"de\">") && english.contains("<html lang=\"en\">"));
        assert_eq!(english_in(&german, &english), Vec::<String>::new());
    }
    let german = report::recording(&runs[0], Language::German);
    assert!(german.contains("33,33 ms") && !german.contains("33.33"));
}

#[test]
fn a_german_report_of_a_comparison_is_german() {
    let both = |comparison: &Comparison, runs: &[Capture]| {
        [Language::German, Language::English].map(|language| report::comparison(comparison, runs, language))
    };
    let mut runs = recordings();
    for range in [None, Some((2_000, 38_000)), Some((0, 1_000))] {
        let mut pair = runs.clone();
        let comparison = compare(&mut pair, range);
        let [german, english] = both(&comparison, &pair);
        assert_eq!(english_in(&german, &english), Vec::<String>::new());
        assert!(german.contains("Nicht vergleichbar: nicht gleich ist Zahl der Sitzungen (3, 1)."), "{german}");
        assert_eq!(comparison.warnings.iter().filter(|warning| english.contains(*warning)).count(), 4);
        assert!(english.contains(&comparison.differences[0].text));
    }
    let same = vec![runs.remove(1); 2];
    let [german, english] = both(&compare(&mut same.clone(), None), &same);
    assert_eq!(english_in(&german, &english), Vec::<String>::new());
    assert!(german.contains("Keine Änderung: Jeder Unterschied ist Rauschen."));
}

#[test]
fn every_verdict_is_told_in_german() {
    let cases = [
        (Evidence { frames: 1, ..quiet() }, "Zu wenige Bilder wurden gemessen: 1; ein Urteil braucht 30."),
        (quiet(), "Der Host hielt mit: Kein Bild kam spät (über 33,3 ms von der Aufnahme bis zum Netz)."),
        (
            Evidence { late: 60, late_by_stage: late(&[("encode", 45)]), target_us: None, ..quiet() },
            "10 % der Bilder kamen spät (über dem Budget ihrer Sitzung von der Aufnahme bis zum Netz); `encode` ist schuld an 75 % davon.",
        ),
        (
            Evidence { late: 60, late_by_stage: late(&[("none", 60)]), ..quiet() },
            "10 % der Bilder kamen spät (über 33,3 ms von der Aufnahme bis zum Netz); keine einzelne Stufe sticht dabei heraus.",
        ),
        (
            Evidence { missing: missing(Some("queue"), 15), ..quiet() },
            "Die Übergabe zwischen den Stufen (`queue`) kam nicht mit: 2,5 % der Bilder für 60 fps wurden nie gesendet, weil neuere sie ersetzten, während sie warteten.",
        ),
        (
            Evidence { packets_lost: Some(360), fec_recovered: Some(290), ..quiet() },
            "Der Host hielt mit, aber 3 % der Pakete erreichten den Client nicht; aus Parität wiederhergestellt: 290.",
        ),
        (
            Evidence { fps: 31.5, missing: missing(None, 285), ..quiet() },
            "Das Spiel oder der Desktop lieferte 31,5 neue Bilder in der Sekunde von gewährten 60; der Host hielt mit.",
        ),
    ];
    for (evidence, sentence) in cases {
        let verdict = judge(evidence);
        assert_eq!(verdict.sentence(Language::German), sentence);
        assert_eq!(verdict.sentence(Language::English), verdict.text);
        let saved_by_an_earlier_host = Verdict { criterion: None, ..verdict.clone() };
        let german = saved_by_an_earlier_host.sentence(Language::German);
        assert_eq!(german, if verdict.kind == VerdictKind::Stage { verdict.text.as_str() } else { sentence });
    }
}

#[test]
fn a_language_is_named_by_its_tag() {
    assert_eq!("de".parse::<Language>().unwrap(), Language::German);
    assert_eq!("en".parse::<Language>().unwrap().to_string(), "en");
    assert_eq!("fr".parse::<Language>().unwrap_err().to_string(), "the languages are `en` and `de`");
}
