//! Recordings over remote read: what a stranger may send, and what one request may cost.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod proto;
mod support;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use proptest::prelude::*;
use prost::Message;
use punktfunk_prometheus::remote_read::{Limits, ReadError, RemoteRead};
use punktfunk_recordings::{Capture, Marker, MarkerKind, MetaPatch, RecordingId, Store, StoreOptions};

use self::proto::{Hints, Matcher, Query, Request, Response, Series, equal, matcher, of, packed, packed_query};
use self::support::{Player, play};

const ID: &str = "2026-06-26T20-14-03Z_1280x720";

fn answer(store: &Store, body: &[u8], limits: Limits) -> Result<Vec<u8>, ReadError> {
    RemoteRead::new(store.clone(), limits).answer(body)
}

fn ask_with(store: &Store, query: Query, limits: Limits) -> Result<Vec<Series>, ReadError> {
    ask_again(&RemoteRead::new(store.clone(), limits), query)
}

/// Of one that has been asked before.
fn ask_again(remote: &RemoteRead, query: Query) -> Result<Vec<Series>, ReadError> {
    let body = remote.answer(&packed_query(query))?;
    let response = Response::decode(snap::raw::Decoder::new().decompress_vec(&body).unwrap().as_slice()).unwrap();
    let [result] = response.results.as_slice() else { panic!("one query has one result") };
    Ok(result.series.clone())
}

fn ask(store: &Store, matchers: Vec<Matcher>) -> Vec<Series> {
    ask_with(store, of(matchers), Limits::default()).unwrap()
}

/// As they came: an end is not equal to itself as a number.
fn bits(series: &[Series]) -> Vec<Vec<u8>> {
    series.iter().map(Message::encode_to_vec).collect()
}

fn label<'a>(series: &'a Series, name: &str) -> &'a str {
    series.labels.iter().find(|label| label.name == name).map_or("", |label| &label.value)
}

fn capture(id: &str) -> Capture {
    let staying = Player { fps: 60, joins: Duration::ZERO, leaves: Duration::from_secs(1 << 20) };
    let leaving = Player { fps: 30, joins: Duration::from_millis(1500), leaves: Duration::from_millis(3700) };
    play(id, "5f3c8a52-host", Duration::from_secs(6), &[staying, leaving], 1).capture
}

fn store_of(captures: &[Capture]) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("captures"), StoreOptions::default()).unwrap();
    for capture in captures {
        store.save(capture).unwrap();
    }
    (dir, store)
}

#[test]
fn a_recording_is_served_as_it_was_exported() {
    let capture = capture(ID);
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let all = ask(&store, vec![equal("source", "recording"), equal("recording", ID)]);
    assert!((60..=90).contains(&all.len()), "{}", all.len());
    let names = ["punktfunk_recording_start_seconds", "punktfunk_recording_duration_seconds"];
    let timeless = |series: &&Series| names.contains(&label(series, "__name__"));
    assert_eq!(all.iter().filter(timeless).count(), 2);
    for series in all.iter().filter(|series| !timeless(series)) {
        assert_eq!((label(series, "recording"), label(series, "capture_id")), (ID, ID));
        assert!(series.labels.windows(2).all(|pair| pair[0].name < pair[1].name), "{:?}", series.labels);
        let times: Vec<i64> =
            series.samples.iter().map(|s| s.at).chain(series.histograms.iter().map(|h| h.at)).collect();
        assert!(times.windows(2).all(|pair| pair[0] < pair[1]), "{times:?}");
        let stale = series.samples.last().map(|s| s.value).or(series.histograms.last().map(|h| h.sum)).unwrap();
        assert_eq!(stale.to_bits(), 0x7ff0_0000_0000_0002, "{:?}", series.labels);
    }
    // Every count that the recording says it proved.
    for check in &capture.provenance.counts {
        let found = all.iter().find(|series| match check.stage.as_str() {
            "host" => label(series, "__name__") == "punktfunk_frame_host_duration_seconds",
            stage => {
                label(series, "__name__") == "punktfunk_frame_stage_duration_seconds" && label(series, "stage") == stage
            }
        } && label(series, "session_id") == check.session_id);
        let histograms = &found.unwrap().histograms;
        assert_eq!(histograms[histograms.len() - 2].count, check.histogram, "{check:?}");
    }
    let sent: f64 = all
        .iter()
        .filter(|series| label(series, "__name__") == "punktfunk_frame_sent_total")
        .map(|series| series.samples[series.samples.len() - 2].value)
        .sum();
    assert_eq!(sent, capture.samples.iter().map(|sample| sample.frames as f64).sum::<f64>());
}

#[test]
fn matchers_choose_and_a_range_cuts() {
    let capture = capture(ID);
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let stage = |m: Matcher| {
        ask(&store, vec![equal("__name__", "punktfunk_frame_stage_duration_seconds"), equal("session_id", "s1"), m])
            .len()
    };
    assert_eq!(stage(equal("stage", "encode")), 1);
    assert_eq!(stage(matcher(2, "stage", "enc.*|queue")), 2);
    assert_eq!(stage(matcher(3, "stage", "enc.*|queue")), 3);
    assert_eq!(stage(matcher(1, "stage", "")), 5);
    assert_eq!(stage(matcher(2, "nothing", ".+")), 0);
    let middle = capture.samples[capture.samples.len() / 2].step_unix_ms as i64;
    let query = Query { start: middle, end: middle, ..of(vec![equal("recording", ID), equal("stage", "encode")]) };
    let cut = ask_with(&store, query, Limits::default()).unwrap();
    assert!(cut.iter().all(|series| series.samples.len() + series.histograms.len() == 1), "{cut:?}");
    let before = Query { start: 0, end: capture.meta.started_unix_ms as i64 - 1, ..of(vec![equal("recording", ID)]) };
    let before = ask_with(&store, before, Limits::default()).unwrap();
    let names: Vec<&str> = before.iter().map(|series| label(series, "__name__")).collect();
    assert_eq!(names, ["punktfunk_recording_start_seconds", "punktfunk_recording_duration_seconds"]);
    assert_eq!(before[0].samples[0].value, capture.meta.started_unix_ms as f64 / 1e3);
}

#[test]
fn ten_years_of_everything_are_the_recordings_there_are() {
    let others = ["2026-06-27T20-14-03Z", "2026-06-28T20-14-03Z"].map(capture);
    let (dir, store) = store_of(&others);
    std::fs::write(dir.path().join("captures/2026-06-29T20-14-03Z.json"), "{\"schema_version\":1,\"meta\":{").unwrap();
    let found = ask(&store, vec![equal("source", "recording"), equal("__name__", "punktfunk_capture_info")]);
    assert_eq!(found.len(), 2, "a damaged recording costs itself only");
    // Damaged behind its head.
    let path = store.path_of(&others[0].meta.id);
    let mut bytes = std::fs::read(&path).unwrap();
    let samples = bytes.windows(9).position(|window| window == b"\"samples\"").unwrap();
    bytes[samples + 20] = 0xff;
    std::fs::write(&path, bytes).unwrap();
    assert_eq!(ask(&store, vec![equal("__name__", "punktfunk_capture_info")]).len(), 1);
    assert_eq!(ask(&store, vec![equal("recording", "../../etc/passwd")]).len(), 0);
    assert_eq!(ask(&store, vec![equal("recording", "2026-06-30T20-14-03Z")]).len(), 0);
    assert_eq!(ask(&store, vec![equal("source", "live")]).len(), 0);
}

#[test]
fn labels_alone_cost_no_samples() {
    let capture = capture(ID);
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let matchers = vec![equal("source", "recording"), matcher(1, "recording", "")];
    let query = Query { hints: Some(Hints { func: "series".to_owned(), ..Hints::default() }), ..of(matchers) };
    let tight = Limits { samples: 0, ..Limits::default() };
    let series = ask_with(&store, query, tight).unwrap();
    assert!(series.len() > 60 && series.iter().all(|series| series.samples.is_empty() && series.histograms.is_empty()));
}

#[test]
fn of_a_query_for_the_last_value_only_that_is_sent() {
    let capture = capture(ID);
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let stage = || vec![equal("stage", "encode"), matcher(2, "__name__", ".*_(stage_duration_seconds|late_total)")];
    let hinted = |func: &str, step: i64| {
        let hints = Some(Hints { func: func.to_owned(), step, range: 3_600_000 });
        ask_with(&store, Query { hints, ..of(stage()) }, Limits::default()).unwrap()
    };
    let whole = hinted("rate", 0);
    assert_eq!(whole.len(), 4);
    // One with several steps needs what was last at each of them.
    assert_eq!(bits(&hinted("last_over_time", 1000)), bits(&whole));
    let last = hinted("last_over_time", 0);
    let cut = whole.into_iter().map(|mut series| {
        // The very last says that the series ended.
        series.samples = series.samples.iter().rev().skip(1).take(1).cloned().collect();
        series.histograms = series.histograms.iter().rev().skip(1).take(1).cloned().collect();
        series
    });
    assert_eq!(last, cut.collect::<Vec<_>>());
}

#[test]
fn what_stays_open_is_the_recording_as_it_is_now() {
    let capture = capture(ID);
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let remote = RemoteRead::new(store.clone(), Limits::default());
    let info = || ask_again(&remote, of(vec![equal("recording", ID)])).unwrap();
    let first = info();
    assert!(bits(&info()) == bits(&first), "asked again, out of what is open");
    let renamed = |series: &[Series]| series.iter().any(|series| label(series, "label") == "renamed");
    assert!(!renamed(&first));
    let patch = MetaPatch { label: Some("renamed".to_owned()), ..MetaPatch::default() };
    store.update(&capture.meta.id, None, patch).unwrap();
    assert!(renamed(&info()));
    remote.close_idle(Duration::ZERO);
    assert!(renamed(&info()));
    store.delete(&capture.meta.id, None).unwrap();
    assert!(info().is_empty());
}

#[test]
fn a_recording_that_is_deleted_while_it_is_read_is_there_whole_or_not_at_all() {
    let capture = capture(ID);
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let ask_all = || ask(&store, vec![equal("recording", ID)]);
    let whole = bits(&ask_all());
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                store.delete(&capture.meta.id, None).unwrap();
                store.save(&capture).unwrap();
            }
        });
        let (mut seen, begun) = ([0; 2], Instant::now());
        while seen.contains(&0) || seen[0] + seen[1] < 200 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{seen:?}");
            let answer = ask_all();
            // When it was and how long stands in its head, which may have been read before it went.
            let nothing = answer.iter().all(|series| label(series, "__name__").starts_with("punktfunk_recording_"));
            assert!(nothing || bits(&answer) == whole, "{} series of {}", answer.len(), whole.len());
            seen[usize::from(nothing)] += 1;
        }
        over.store(true, Ordering::Relaxed);
    });
}

#[test]
fn what_users_typed_comes_back_as_it_was() {
    let mut capture = capture(ID);
    let wild = format!("a \"quoted\" \\ line\nfeed \u{1F3AE} {}", "x".repeat(10_000));
    capture.meta.label = wild.clone();
    let marker =
        |t_ms, text: &str| Marker { t_ms, session_id: None, kind: MarkerKind::Operator, text: text.to_owned() };
    capture.markers = vec![marker(1000, &wild), marker(1000, &wild), marker(2500, &wild)];
    let (_dir, store) = store_of(std::slice::from_ref(&capture));
    let info = ask(&store, vec![equal("__name__", "punktfunk_capture_info")]);
    assert_eq!(label(&info[0], "label"), wild);
    let markers = ask(&store, vec![equal("__name__", "punktfunk_recording_marker_timestamp_seconds")]);
    assert_eq!((markers.len(), label(&markers[0], "text")), (1, wild.as_str()));
    let at = |ms: u64| (capture.meta.started_unix_ms + ms) as i64;
    let times: Vec<i64> = markers[0].samples.iter().map(|sample| sample.at).collect();
    assert_eq!(times, [at(1000), at(2500), at(62_500)]);
    assert_eq!(markers[0].samples[0].value, at(1000) as f64 / 1e3);
}

#[test]
fn one_request_costs_no_more_than_its_limits() {
    let (_dir, store) = store_of(&[capture(ID)]);
    let refused = |limits: Limits| ask_with(&store, of(vec![]), limits).unwrap_err().to_string();
    assert!(refused(Limits { series: 5, ..Limits::default() }).contains("series"));
    assert!(refused(Limits { samples: 5, ..Limits::default() }).contains("samples"));
    assert!(refused(Limits { answer_bytes: 5, ..Limits::default() }).contains("bytes"));
    assert!(refused(Limits { time: Duration::ZERO, ..Limits::default() }).contains("took more than"));
    let many = Request { queries: vec![of(vec![]); 17], types: vec![] };
    assert!(matches!(answer(&store, &packed(&many), Limits::default()), Err(ReadError::TooMuch { .. })));
}

#[test]
fn what_is_no_request_is_refused_at_no_cost() {
    let (_dir, store) = store_of(&[]);
    let refused = |body: &[u8]| answer(&store, body, Limits::default()).unwrap_err();
    assert!(matches!(refused(b"garbage"), ReadError::Compression(_)));
    assert!(matches!(refused(b""), ReadError::Compression(_)));
    let bomb = snap::raw::Encoder::new().compress_vec(&vec![0; 1 << 26]).unwrap();
    assert!(bomb.len() < 4 << 20 && matches!(refused(&bomb), ReadError::TooMuch { .. }));
    let noise = snap::raw::Encoder::new().compress_vec(&[0xff; 100]).unwrap();
    assert!(matches!(refused(&noise), ReadError::Protocol(_)));
    let chunks = Request { queries: vec![], types: vec![1] };
    assert!(matches!(refused(&packed(&chunks)), ReadError::ResponseType));
    let million = Request { queries: vec![of(vec![Matcher::default(); 1_000_000])], types: vec![] };
    assert!(matches!(refused(&packed(&million)), ReadError::TooMuch { .. }));
    let unknown = Request { queries: vec![of(vec![matcher(9, "a", "b")])], types: vec![] };
    assert!(matches!(refused(&packed(&unknown)), ReadError::Matcher { .. }));
    let bomb = Request { queries: vec![of(vec![matcher(2, "a", "((a{1000}){1000}){1000}")])], types: vec![] };
    assert!(matches!(refused(&packed(&bomb)), ReadError::Matcher { .. }));
}

#[test]
fn a_query_that_names_a_recording_opens_no_other() {
    let named = capture(ID);
    let (dir, store) = store_of(std::slice::from_ref(&named));
    // A listing would have to look at this, and fail: opening a pipe that nobody writes to never returns.
    let pipe = dir.path().join("captures/2026-06-30T20-14-03Z.json");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let unreadable: RecordingId = "2026-06-30T20-14-03Z".parse().unwrap();
    assert!(store.meta(&unreadable).is_err());
    assert!(!ask(&store, vec![equal("recording", ID)]).is_empty());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_body_is_answered_or_refused(body in prop::collection::vec(any::<u8>(), 0..300), wrap in any::<bool>()) {
        let (_dir, store) = store_of(&[]);
        let body = if wrap { snap::raw::Encoder::new().compress_vec(&body).unwrap() } else { body };
        let _answered = answer(&store, &body, Limits::default()).is_ok();
    }
}
