//! The service over a real recorder, a real store and real frames.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use punktfunk_captures::{
    CaptureService, CaptureState, Cursor, LiveEvent, MarkerError, StartError, StartRequest, StopError,
};
use punktfunk_recordings::{HostMeta, ListQuery, Listed, MarkerKind, Store, StoreOptions};
use punktfunk_stats::{FrameInfo, Recorder, RecorderConfig, SessionInfo, SessionSpec, StageSet, StageSpec};
use tempfile::TempDir;

/// Longest that anything here may take.
const PATIENCE: Duration = Duration::from_secs(20);

struct Host {
    service: CaptureService,
    recorder: Recorder,
    dir: TempDir,
}

fn host() -> Host {
    // Short windows: many samples in little time.
    let config = RecorderConfig {
        sample_interval: Duration::from_millis(100),
        drain_interval: Duration::from_millis(10),
        ..RecorderConfig::default()
    };
    let recorder = Recorder::spawn(config).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let service = CaptureService::new(recorder.clone(), store, HostMeta::default(), None, None);
    Host { service, recorder, dir }
}

/// A stream loop that runs until it is dropped.
struct Player {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Host {
    fn play(&self, protocol: &'static str) -> Player {
        let stages = StageSet::new(&[StageSpec { name: "work", share: 0.9, queued: false }]).unwrap();
        let info = SessionInfo { width: 640, height: 360, fps: 200, client: "Deck".into(), ..SessionInfo::default() };
        let session = self.recorder.session(SessionSpec { protocol, stages, info, known: &[] }).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = std::thread::spawn(move || {
            let (mut gate, mut sink, _counters) = session.split();
            for number in 0.. {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let mut trace = gate.begin();
                std::thread::sleep(Duration::from_millis(2));
                trace.leave(0);
                sink.record(&trace, FrameInfo { number, media_bytes: 500, packets: 1, ..FrameInfo::default() });
            }
        });
        Player { stop, thread: Some(thread) }
    }

    fn wait_for(&self, what: &str, done: impl Fn(&CaptureService) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        while !done(&self.service) {
            assert!(Instant::now() < deadline, "{what} did not come; {:?}", self.service.status());
            std::thread::yield_now();
        }
    }

    fn start(&self) {
        self.service.start(StartRequest::default()).unwrap();
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.take().unwrap().join().unwrap();
    }
}

fn recordings(service: &CaptureService) -> usize {
    service.store().list(&ListQuery::default()).unwrap().total
}

#[test]
fn a_capture_becomes_a_recording_whose_counts_are_proven() {
    let host = host();
    let _player = host.play("native");
    let request = StartRequest { label: Some("evening".into()), ..StartRequest::default() };
    let started = host.service.start(request).unwrap();
    assert!(!started.already_running && started.status.armed);
    host.wait_for("samples", |service| service.status().sample_count >= 5);
    let marker = host.service.add_marker("here it stuttered").unwrap();
    let meta = host.service.stop().unwrap().unwrap();
    let capture = host.service.store().get(&meta.id).unwrap().capture;
    assert_eq!(capture.meta, meta);
    assert_eq!((meta.label.as_str(), meta.width, meta.sample_count), ("evening", Some(640), capture.samples.len()));
    assert!(capture.markers.contains(&marker));
    assert!(capture.markers.iter().any(|marker| marker.kind == MarkerKind::Join));
    assert_eq!(capture.provenance.verified, Some(true));
    let host_count = capture.provenance.counts.iter().find(|check| check.stage == "host").unwrap();
    assert_eq!(host_count.samples, capture.meta.sessions[0].records);
    assert_eq!(capture.samples.iter().map(|sample| sample.frames).sum::<u64>(), host_count.histogram);
    assert!(!capture.kept_frames[0].frames.is_empty());
    assert_eq!(host.service.status().last_recording, Some(meta.id));
}

#[test]
fn starting_twice_changes_nothing_and_stopping_nothing_gives_nothing() {
    let host = host();
    assert_eq!(host.service.stop().unwrap(), None);
    host.start();
    let again = host.service.start(StartRequest::default()).unwrap();
    assert!(again.already_running);
    let meta = host.service.stop().unwrap().unwrap();
    assert_eq!(Some(meta.id), again.status.id);
    assert_eq!(host.service.stop().unwrap(), None);
}

#[test]
fn everybody_who_stops_hears_of_the_same_recording() {
    let host = host();
    let _player = host.play("native");
    host.start();
    host.wait_for("samples", |service| service.status().sample_count >= 2);
    let stops: Vec<_> = (0..4)
        .map(|_| {
            let service = host.service.clone();
            std::thread::spawn(move || service.stop().unwrap())
        })
        .collect();
    let metas: Vec<_> = stops.into_iter().filter_map(|stop| stop.join().unwrap()).collect();
    assert!(!metas.is_empty() && metas.iter().all(|meta| *meta == metas[0]));
    assert_eq!(recordings(&host.service), 1);
}

#[test]
fn two_captures_within_a_second_are_two_recordings() {
    let host = host();
    let ids: Vec<_> = (0..3)
        .map(|_| {
            host.start();
            host.service.stop().unwrap().unwrap().id
        })
        .collect();
    assert!(ids[0] != ids[1] && ids[1] != ids[2] && ids[0] != ids[2]);
    assert_eq!(recordings(&host.service), 3);
}

#[test]
fn a_capture_stops_by_itself_after_its_limit() {
    let host = host();
    let _player = host.play("native");
    host.service.start(StartRequest { max_duration_s: Some(1), ..StartRequest::default() }).unwrap();
    host.wait_for("the end", |service| service.status().last_recording.is_some());
    let listing = host.service.store().list(&ListQuery::default()).unwrap();
    let Listed::Readable { meta, .. } = &listing.entries[0] else { panic!("{listing:?}") };
    assert_eq!(meta.duration_ms, 1000);
}

#[test]
fn a_capture_stops_with_its_last_session() {
    let host = host();
    let (first, second) = (host.play("native"), host.play("gamestream"));
    host.service.start(StartRequest { stop_with_session: Some(true), ..StartRequest::default() }).unwrap();
    host.wait_for("both", |service| service.status().session_count == 2);
    drop(first);
    host.wait_for("one to leave", |service| service.live(None).markers.iter().any(|m| m.kind == MarkerKind::Leave));
    assert!(host.service.status().armed);
    drop(second);
    host.wait_for("the end", |service| service.status().last_recording.is_some());
    let id = host.service.status().last_recording.unwrap();
    let meta = host.service.store().get(&id).unwrap().capture.meta;
    assert!(meta.sessions.iter().all(|session| session.left_ms.is_some()));
    assert_eq!(serde_json::to_value(meta.kind).unwrap(), "mixed");
}

#[test]
fn a_delayed_start_can_be_cancelled() {
    let host = host();
    let started = host.service.start(StartRequest { delay_s: Some(3600), ..StartRequest::default() }).unwrap();
    assert_eq!((started.status.state, started.status.armed), (CaptureState::Scheduled, false));
    assert_eq!(host.service.stop().unwrap(), None);
    assert_eq!((host.service.status().state, recordings(&host.service)), (CaptureState::Idle, 0));
    host.service.start(StartRequest { delay_s: Some(1), ..StartRequest::default() }).unwrap();
    host.wait_for("the delay", |service| service.status().armed);
    assert!(host.service.stop().unwrap().is_some());
}

#[test]
fn values_out_of_their_limits_are_refused() {
    let host = host();
    for request in [
        StartRequest { label: Some("x".repeat(201)), ..StartRequest::default() },
        StartRequest { note: Some("x".repeat(10_001)), ..StartRequest::default() },
        StartRequest { delay_s: Some(86_401), ..StartRequest::default() },
        StartRequest { max_duration_s: Some(0), ..StartRequest::default() },
    ] {
        assert!(matches!(host.service.start(request), Err(StartError::Invalid(_))));
    }
    assert_eq!(host.service.add_marker("early"), Err(MarkerError::NotArmed));
    host.start();
    assert_eq!(host.service.add_marker(&"x".repeat(201)), Err(MarkerError::TooLong));
}

#[test]
fn a_run_that_cannot_be_written_stays_until_it_can() {
    let host = host();
    let _player = host.play("native");
    host.start();
    host.wait_for("samples", |service| service.status().sample_count >= 2);
    let blocked = block_writes(&host);
    let error = host.service.stop().unwrap_err();
    let dir = host.dir.path().display().to_string();
    assert!(matches!(error, StopError::Unsaved { .. }) && error.to_string().contains(&dir), "{error}");
    let status = host.service.status();
    assert_eq!(status.state, CaptureState::Unsaved);
    assert!(status.unsaved_reason.is_some());
    assert!(matches!(host.service.start(StartRequest::default()), Err(StartError::Unsaved { .. })));
    assert!(host.service.stop().is_err());

    drop(blocked);
    let meta = host.service.stop().unwrap().unwrap();
    assert_eq!(Some(meta.id), status.id);
    assert_eq!((meta.sample_count, recordings(&host.service)), (status.sample_count, 1));
}

/// Makes the directory refuse new files until the guard is dropped. Permissions do not bind root, so root mounts it
/// read-only instead.
fn block_writes(host: &Host) -> impl Drop {
    struct Unblock(std::path::PathBuf, bool);
    impl Drop for Unblock {
        fn drop(&mut self) {
            if self.1 {
                assert!(mount(&["-o", "remount,rw,bind"], &self.0));
                assert!(std::process::Command::new("umount").arg("-l").arg(&self.0).status().unwrap().success());
            } else {
                std::fs::set_permissions(&self.0, Permissions::from_mode(0o700)).unwrap();
            }
        }
    }
    let path = host.dir.path().to_owned();
    std::fs::set_permissions(&path, Permissions::from_mode(0o500)).unwrap();
    let root = tempfile::tempfile_in(&path).is_ok();
    if root {
        let own = path.display().to_string();
        assert!(mount(&["--bind", &own], &path) && mount(&["-o", "remount,ro,bind"], &path));
    }
    Unblock(path, root)
}

fn mount(arguments: &[&str], path: &std::path::Path) -> bool {
    std::process::Command::new("mount").args(arguments).arg(path).status().unwrap().success()
}

#[test]
fn a_reader_that_comes_back_gets_what_it_missed_once() {
    let host = host();
    let _player = host.play("native");
    host.start();
    host.wait_for("samples", |service| service.status().sample_count >= 3);
    let first = host.service.feed(&Cursor::default());
    let resumed: Cursor = first.cursor.to_string().parse().unwrap();
    host.wait_for("more", |service| service.status().sample_count >= 6);
    host.service.stop().unwrap();
    // The run is over; its last samples can still be had.
    let second = host.service.feed(&resumed);
    let samples = |events: &[(Cursor, LiveEvent)]| {
        events.iter().filter(|(_, event)| matches!(event, LiveEvent::Sample(_))).count()
    };
    let id = host.service.status().last_recording.unwrap();
    let saved = host.service.store().get(&id).unwrap().capture.meta.sample_count;
    assert_eq!(samples(&first.events) + samples(&second.events), saved);
    assert!(host.service.feed(&second.cursor).events.is_empty());
}

#[test]
fn a_change_wakes_those_who_wait() {
    let host = host();
    let mut changes = host.service.subscribe();
    changes.mark_unchanged();
    host.start();
    assert!(changes.has_changed().unwrap());
    host.service.stop().unwrap();
}

#[test]
fn shutting_down_saves_what_runs_and_starts_nothing_more() {
    let host = host();
    host.start();
    assert!(host.service.shut_down().unwrap().is_some());
    assert!(matches!(host.service.start(StartRequest::default()), Err(StartError::ShuttingDown)));
}
