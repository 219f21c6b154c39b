//! A native and a GameStream session in one capture: each keeps its own stages, figures and verdict, and what keeps and
//! exports recordings needs to know neither path.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::UdpSocket;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use punktfunk_captures::{StartRequest, assemble};
use punktfunk_gamestream::stream as gamestream;
use punktfunk_media::{DelaySchedule, DelayStage, Delays, OpenH264, Synthetic, VideoMode};
use punktfunk_native::client::{ClientStream, ClientStreamConfig};
use punktfunk_native::{DataKeys, stream as native};
use punktfunk_recordings::{Capture, CaptureKind, HostMeta, RecordingId, Store, StoreOptions, VerdictKind, export};
use punktfunk_stats::{Anchor, ArmOptions, CaptureEvent, Recorder, RecorderConfig};

const SOON: Duration = Duration::from_secs(30);
const SECONDS: Duration = Duration::from_secs(3);
const BITRATE_BPS: u64 = 3_000_000;

fn mode() -> VideoMode {
    VideoMode::new(640, 360, 30).unwrap()
}

fn native_session(recorder: &Recorder) -> (native::Stream, ClientStream) {
    let keys = DataKeys::from_exported(&[3; DataKeys::BYTES]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let address = socket.local_addr().unwrap();
    let (control, messages) = crossbeam_channel::unbounded();
    let parts = native::StreamParts {
        source: Box::new(Synthetic::new(mode()).unwrap()),
        encoder: Box::new(OpenH264::new(mode(), BITRATE_BPS).unwrap()),
        socket,
        keys: keys.clone(),
        delays: Delays::none(),
        delays_from: Instant::now(),
        messages,
    };
    let stream =
        native::Stream::start(native::StreamConfig::new(1, BITRATE_BPS, "native client"), parts, recorder).unwrap();
    (stream, ClientStream::start(ClientStreamConfig::new(1, keys, address), control).unwrap())
}

/// A session whose packetizer is slow, to a client that does not look at what it gets.
fn gamestream_session(recorder: &Recorder) -> (gamestream::Stream, UdpSocket) {
    let delays = Delays::none().with(DelayStage::Packetizer, DelaySchedule::constant(Duration::from_millis(90)));
    let open = move |mode, bps| {
        Ok(gamestream::Video {
            source: Box::new(Synthetic::new(mode)?),
            encoder: Box::new(OpenH264::new(mode, bps)?),
            delays: delays.clone(),
            delays_from: Instant::now(),
        })
    };
    let host = gamestream::StreamHost::new(recorder.clone(), Box::new(open));
    let config = gamestream::StreamConfig {
        width: 640,
        height: 360,
        fps: 30,
        bitrate_kbps: 3_000,
        packet_size: 1024,
        min_fec_packets: 2,
        fec_percent: 20,
        video_key: None,
        client: "Moonlight".to_owned(),
    };
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    let to = client.local_addr().unwrap();
    let stream = gamestream::Stream::start(&host, config, UdpSocket::bind("127.0.0.1:0").unwrap(), to).unwrap();
    (stream, client)
}

fn capture() -> Capture {
    let recorder = Recorder::spawn(RecorderConfig { host_id: "test".to_owned(), ..RecorderConfig::default() }).unwrap();
    let options =
        ArmOptions { capture_id: "test".to_owned(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    let events: mpsc::Receiver<CaptureEvent> = recorder.arm(options).unwrap();
    let (native, client) = native_session(&recorder);
    let (gamestream, _client) = gamestream_session(&recorder);
    let from = Instant::now();
    while from.elapsed() < SECONDS {
        if let Some(received) = client.next_frame(SOON).unwrap() {
            client.done_with(received.frame, None);
        }
    }
    recorder.disarm();
    let mut all = Vec::new();
    while !matches!(all.last(), Some(CaptureEvent::Finished(_))) {
        all.push(events.recv_timeout(SOON).unwrap());
    }
    gamestream.stop();
    native.stop();
    native.join();
    client.stop();
    assemble(RecordingId::new(0, None), StartRequest::default(), HostMeta::default(), None, all).unwrap()
}

#[test]
fn a_capture_of_both_paths_is_mixed_and_each_session_has_its_own_stages_and_verdict() {
    let capture = capture();
    assert_eq!(capture.meta.kind, Some(CaptureKind::Mixed));
    assert_eq!(capture.provenance.verified, Some(true));
    let of = |protocol: &str| capture.meta.sessions.iter().find(|session| session.protocol == protocol).unwrap();
    let expected = [
        (of("native"), ["capture", "submit", "encode", "send"], "native client"),
        (of("gamestream"), ["capture", "encode", "packetize", "send"], "Moonlight"),
    ];
    for (session, stages, client) in expected {
        assert_eq!(session.client, client);
        assert_eq!(session.stages.iter().map(|stage| stage.name.as_str()).collect::<Vec<_>>(), stages);
        let samples = capture.samples.iter().filter(|sample| sample.session_id == session.id && sample.frames > 0);
        let mut counted = 0;
        for sample in samples {
            let names: Vec<_> = sample.stages.iter().map(|stage| stage.name.as_str()).collect();
            assert_eq!(names, [&stages[..], &["queue"]].concat());
            counted += 1;
        }
        assert!(counted >= 3, "{client}: {counted} samples");
        for stage in stages {
            let check =
                capture.provenance.counts.iter().find(|check| check.session_id == session.id && check.stage == stage);
            assert!(check.is_some_and(|check| check.histogram > 0), "{client}: {stage}");
        }
    }

    let verdict_of = |id: &str| &capture.summary.sessions.iter().find(|one| one.session_id == id).unwrap().verdict;
    // What the other session suffers is not said of this one, however busy the machine.
    assert_ne!(verdict_of(&of("native").id).stage.as_deref(), Some("packetize"));
    for verdict in [verdict_of(&of("gamestream").id), &capture.summary.verdict] {
        assert_eq!((verdict.kind, verdict.stage.as_deref()), (VerdictKind::Stage, Some("packetize")));
    }

    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path(), StoreOptions::default()).unwrap();
    store.save(&capture).unwrap();
    assert_eq!(store.get(&capture.meta.id).unwrap().capture.samples, capture.samples);
    let mut csv = Vec::new();
    export::samples_csv(&capture, &mut csv).unwrap();
    let csv = String::from_utf8(csv).unwrap();
    let head = csv.lines().next().unwrap();
    assert!(["submit", "packetize"].iter().all(|stage| head.contains(stage)), "{head}");
}
