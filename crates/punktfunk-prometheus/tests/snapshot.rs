//! Windows that went by OTLP into a real Prometheus, and come back: verified, or refused for a reason that is named.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::ops::ControlFlow;
use std::time::Duration;

use punktfunk_prometheus::{Client, PrometheusConfig, snapshot};
use punktfunk_recordings::{BackendCheck, BackendOutcome, Capture, SnapshotState, Source};
use testkit::{Behaviour, Misbehaving, Prometheus, PrometheusOptions, ToolSet, tools};

use self::support::{Played, Player, export, play};

const HOST: &str = "5f3c8a52-host";
const ID: &str = "2026-06-26T20-14-03Z_1280x720";
const SECOND: Duration = Duration::from_secs(1);
/// Longer than any capture here.
const FOREVER: Duration = Duration::from_secs(1 << 20);

/// Stays from the start to the end.
fn staying(fps: u32) -> Player {
    Player { fps, joins: Duration::ZERO, leaves: FOREVER }
}

fn client(url: &str) -> Client {
    client_with(url, |_| {})
}

fn client_with(url: &str, adjust: impl FnOnce(&mut PrometheusConfig)) -> Client {
    let mut config =
        PrometheusConfig { url: url.to_owned(), settle_timeout_ms: 2000, query_timeout_ms: 5000, ..Default::default() };
    adjust(&mut config);
    Client::new(&config).unwrap().unwrap()
}

fn take(client: &Client, local: &Capture) -> Capture {
    snapshot(client, local, &|_| ControlFlow::Continue(())).unwrap()
}

fn check(capture: &Capture) -> &BackendCheck {
    capture.provenance.backend.as_ref().unwrap()
}

/// A Prometheus that holds `played`.
fn holding(options: &PrometheusOptions, played: &mut Played) -> Prometheus {
    let prometheus = Prometheus::start(options);
    export(&prometheus.otlp_url(), HOST, std::mem::take(&mut played.snapshots));
    prometheus
}

/// What was kept says why, and is the local recording in everything else.
fn assert_kept(kept: &Capture, local: &Capture, outcome: BackendOutcome, reason: &str) {
    assert_eq!(check(kept).outcome, outcome, "{}", check(kept).reason);
    assert!(check(kept).reason.contains(reason), "{}", check(kept).reason);
    assert_eq!((kept.meta.snapshot, kept.provenance.source), (Some(SnapshotState::Kept), Source::Local));
    assert_eq!((&kept.samples, &kept.summary), (&local.samples, &local.summary));
}

fn verified(mut played: Played, options: &PrometheusOptions) -> Capture {
    let prometheus = holding(options, &mut played);
    let local = &played.capture;
    let taken = take(&client(prometheus.url()), local);
    let check = check(&taken);
    assert_eq!(check.outcome, BackendOutcome::Verified, "{} {:#?}", check.reason, check.differences);
    assert_eq!((taken.meta.snapshot, taken.provenance.source), (Some(SnapshotState::Verified), Source::Prometheus));
    assert_eq!(check.differing, 0);
    assert_eq!(taken.samples.len(), local.samples.len());
    for (taken, local) in taken.samples.iter().zip(&local.samples) {
        assert_eq!((taken.frames, taken.late, taken.stutters), (local.frames, local.late, local.stutters));
        assert!((taken.mbps - local.mbps).abs() < 0.002, "{} {}", taken.mbps, local.mbps);
        assert_eq!((taken.rtt_us, taken.bitrate_kbps), (local.rtt_us, local.bitrate_kbps));
        for (taken, local) in taken.stages.iter().chain(&taken.host).zip(local.stages.iter().chain(&local.host)) {
            assert_eq!((&taken.name, taken.count, &taken.hist), (&local.name, local.count, &local.hist));
            for (a, b) in [(taken.p50_us, local.p50_us), (taken.p95_us, local.p95_us), (taken.p99_us, local.p99_us)] {
                assert!((a / b - 1.0).abs() <= 0.011 || b < 1.0, "{}: {a} for {b}", local.name);
            }
        }
    }
    assert_eq!(taken.summary, local.summary);
    taken
}

#[test]
fn a_window_comes_back_count_for_count() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let played = play(ID, HOST, 20 * SECOND, &[staying(60)], 1);
    let taken = verified(played, &PrometheusOptions::default());
    let check = check(&taken);
    assert!(check.server.as_deref().unwrap().contains("3.16"), "{:?}", check.server);
    // Five stages, host, interval, and the counters, in each of 21 steps.
    assert!(check.compared >= 21 * 7, "{}", check.compared);
    assert!(check.warnings.is_empty(), "{:?}", check.warnings);
    let moved = taken.samples.iter().flat_map(|sample| &sample.stages).any(|stats| stats.p50_us.fract() != 0.0);
    assert!(moved, "the percentiles are the backend's");
}

#[test]
fn sessions_that_join_and_leave_inside_the_window_come_back_too() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let players = [
        staying(60),
        Player { fps: 30, joins: Duration::from_millis(4_310), leaves: Duration::from_millis(11_777) },
        Player { fps: 120, joins: Duration::from_millis(9_100), leaves: FOREVER },
    ];
    let options = PrometheusOptions { experimental_functions: true, ..PrometheusOptions::default() };
    let taken = verified(play(ID, HOST, 20 * SECOND, &players, 2), &options);
    assert_eq!(taken.meta.sessions.len(), 3);
    assert!(check(&taken).queries.iter().any(|query| query.starts_with("histogram_quantiles(")));
}

#[test]
fn a_series_that_was_deleted_is_named() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let mut played = play(ID, HOST, 10 * SECOND, &[staying(60)], 3);
    let prometheus = holding(&PrometheusOptions { admin_api: true, ..PrometheusOptions::default() }, &mut played);
    prometheus.delete_series("punktfunk_frame_stage_duration_seconds{stage=\"encode\"}");
    let kept = take(&client(prometheus.url()), &played.capture);
    assert_kept(&kept, &played.capture, BackendOutcome::Incomplete, "stage=\"encode\"");
    let differences = &check(&kept).differences;
    assert!(differences.iter().all(|d| d.series.contains("encode") && d.backend.is_none()), "{differences:?}");

    // A counter has no part in the totals that are waited for, but in the comparison of steps.
    let mut played = play(ID, HOST, 10 * SECOND, &[staying(60)], 3);
    let prometheus = holding(&PrometheusOptions { admin_api: true, ..PrometheusOptions::default() }, &mut played);
    prometheus.delete_series("punktfunk_frame_sent_total{frame_origin=\"new\"}");
    let kept = take(&client(prometheus.url()), &played.capture);
    assert_kept(&kept, &played.capture, BackendOutcome::Differs, "punktfunk_frame_sent_total{frame_origin=\"new\"}");
}

#[test]
fn a_step_that_was_corrupted_on_the_way_is_named_with_both_numbers() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let mut played = play(ID, HOST, 10 * SECOND, &[staying(60)], 4);
    let prometheus = holding(&PrometheusOptions::default(), &mut played);
    // By the end of one step, one series is a frame short.
    let proxy = Misbehaving::start(Behaviour::rewriting(prometheus.url(), |request, body| {
        let Ok(mut answer) = serde_json::from_slice::<serde_json::Value>(&body) else { return body };
        let result = answer["data"]["result"].as_array_mut().into_iter().flatten();
        // Counters keep their name.
        let mut distributions = result.filter(|series| series["metric"]["metric"].is_null());
        if request.path.ends_with("query_range")
            && let Some(series) = distributions.find(|series| series["metric"]["stage"] == "encode")
            && let Some(count) = series["values"][4][1].as_str().and_then(|count| count.parse::<u64>().ok())
        {
            series["values"][4][1] = (count - 1).to_string().into();
        }
        answer.to_string().into_bytes()
    }));
    let kept = take(&client(&proxy.url()), &played.capture);
    assert_kept(&kept, &played.capture, BackendOutcome::Differs, "in the backend");
    // The frame that one step lacks, the next one has too many.
    let [short, long] = check(&kept).differences.as_slice() else { panic!("{:?}", check(&kept).differences) };
    assert_eq!((short.backend, long.backend), (Some(short.local - 1.0), Some(long.local + 1.0)));
    assert!([short, long].iter().all(|d| d.series.contains("encode") && d.step_unix_ms.is_some()));
}

#[test]
fn a_step_that_was_never_exported_is_named() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let mut played = play(ID, HOST, 10 * SECOND, &[staying(60)], 5);
    let lost = played.snapshots.remove(4);
    let at = u64::try_from(lost.at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()).unwrap();
    let prometheus = holding(&PrometheusOptions::default(), &mut played);
    let kept = take(&client(prometheus.url()), &played.capture);
    assert_kept(&kept, &played.capture, BackendOutcome::Differs, "");
    let mut steps: Vec<_> = check(&kept).differences.iter().filter_map(|d| d.step_unix_ms).collect();
    steps.dedup();
    assert!(steps.contains(&at), "{steps:?} without {at}");
}

#[test]
fn totals_that_never_come_are_said() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let mut played = play(ID, HOST, 10 * SECOND, &[staying(60)], 6);
    played.snapshots.truncate(8);
    let prometheus = holding(&PrometheusOptions::default(), &mut played);
    let kept = take(&client(prometheus.url()), &played.capture);
    assert_kept(&kept, &played.capture, BackendOutcome::Incomplete, "never held every count");
    assert!(check(&kept).waited_ms >= 1500, "{}", check(&kept).waited_ms);
}

#[test]
fn a_second_host_under_the_same_id_is_noticed() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    // Another capture at the same time: its figures are its own, but the mistake is said.
    let mut ours = play(ID, HOST, 10 * SECOND, &[staying(60)], 7);
    let theirs = play("2026-06-26T20-14-04Z_1280x720", HOST, 10 * SECOND, &[staying(30)], 8);
    let prometheus = holding(&PrometheusOptions::default(), &mut ours);
    export(&prometheus.otlp_url(), HOST, theirs.snapshots);
    let taken = take(&client(prometheus.url()), &ours.capture);
    assert_eq!(check(&taken).outcome, BackendOutcome::Verified, "{}", check(&taken).reason);
    assert!(
        check(&taken).warnings.iter().any(|warning| warning.contains("same host.id")),
        "{:?}",
        check(&taken).warnings
    );

    // The very same capture, from a host that was started from a copy of the directory: as another instance.
    let mut ours = play(ID, HOST, 10 * SECOND, &[staying(60)], 7);
    let theirs = play(ID, HOST, 10 * SECOND, &[staying(60)], 9);
    let prometheus = holding(&PrometheusOptions::default(), &mut ours);
    export(&prometheus.otlp_url(), "another-instance", theirs.snapshots);
    let kept = take(&client(prometheus.url()), &ours.capture);
    assert_kept(&kept, &ours.capture, BackendOutcome::Differs, "more than was measured");
    assert!(check(&kept).reason.contains("same host.id"), "{}", check(&kept).reason);
}

#[test]
fn a_backend_that_misbehaves_leaves_the_local_recording_and_is_named() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let played = play(ID, HOST, 5 * SECOND, &[staying(60)], 10);
    let local = &played.capture;
    let server = Misbehaving::start(Behaviour::Silence);
    let impatient = client_with(&server.url(), |config| {
        config.settle_timeout_ms = 300;
        config.query_timeout_ms = 300;
    });
    let error = r#"{"status":"error","errorType":"execution","error":"too many samples"}"#;
    let cases = [
        (Behaviour::status(422, error), "answered 422: too many samples"),
        (Behaviour::status(503, "busy"), "answered 503: busy"),
        (Behaviour::status(401, "who are you"), "answered 401: who are you"),
        (Behaviour::html(), "an HTML page"),
        (Behaviour::status(200, "{\"status\":\"success\"}"), "does not answer as Prometheus"),
        (Behaviour::EndlessBody { pause: Duration::from_millis(5) }, "cannot be reached: timeout"),
        (Behaviour::Redirect { location: "http://127.0.0.1:1/".to_owned() }, "a redirect, which is not followed"),
        (Behaviour::Silence, "cannot be reached: timeout"),
    ];
    for (behaviour, reason) in cases {
        server.set(behaviour);
        assert_kept(&take(&impatient, local), local, BackendOutcome::Unavailable, reason);
    }
    let url = server.url();
    drop(server);
    let gone = client_with(&url, |config| config.settle_timeout_ms = 300);
    assert_kept(&take(&gone, local), local, BackendOutcome::Unavailable, "cannot be reached");
}

#[test]
fn an_endless_answer_is_cut_at_its_limit() {
    let played = play(ID, HOST, 5 * SECOND, &[staying(60)], 10);
    let server = Misbehaving::start(Behaviour::EndlessBody { pause: Duration::ZERO });
    let patient = client_with(&server.url(), |config| config.query_timeout_ms = 60_000);
    assert_kept(&take(&patient, &played.capture), &played.capture, BackendOutcome::Unavailable, "sent more than");
}

#[test]
fn a_prometheus_that_stalls_and_comes_back_is_waited_for() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let mut played = play(ID, HOST, 5 * SECOND, &[staying(60)], 11);
    let prometheus = holding(&PrometheusOptions::default(), &mut played);
    prometheus.stop_signal();
    let patient = client_with(prometheus.url(), |config| {
        config.settle_timeout_ms = 20_000;
        config.query_timeout_ms = 300;
    });
    let local = &played.capture;
    let woken = std::sync::atomic::AtomicBool::new(false);
    let taken = snapshot(&patient, local, &|_| {
        // The first look timed out.
        if !woken.swap(true, std::sync::atomic::Ordering::Relaxed) {
            prometheus.cont_signal();
        }
        ControlFlow::Continue(())
    });
    assert_eq!(check(&taken.unwrap()).outcome, BackendOutcome::Verified);
}

#[test]
fn a_snapshot_that_is_given_up_leaves_nothing() {
    let played = play(ID, HOST, 5 * SECOND, &[staying(60)], 12);
    let server = Misbehaving::start(Behaviour::status(503, "busy"));
    assert!(snapshot(&client(&server.url()), &played.capture, &|_| ControlFlow::Break(())).is_none());
}

#[test]
fn what_cannot_be_compared_is_not_asked_for() {
    let mut played = play(ID, HOST, 5 * SECOND, &[staying(60)], 13);
    played.capture.meta.interrupted = true;
    let server = Misbehaving::start(Behaviour::Silence);
    let kept = take(&client(&server.url()), &played.capture);
    assert_kept(&kept, &played.capture, BackendOutcome::NotComparable, "killed");
    assert!(server.requests().is_empty());
}
