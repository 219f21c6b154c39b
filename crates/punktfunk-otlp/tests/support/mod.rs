//! A recorder whose clock the test owns, and a real HTTP server whose answers the test writes.
#![allow(dead_code, reason = "each test binary uses a part of it")]

pub mod authority;
pub mod grpc_server;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use prost::Message;
use punktfunk_otlp::{Identity, OtlpConfig, Resolved};
use punktfunk_stats::{
    Anchor, ArmOptions, CaptureEvent, Collector, FrameGate, FrameInfo, FrameSink, MetricSnapshot, Recorder,
    RecorderConfig, SessionCounters, SessionInfo, SessionSpec, SnapshotSender, StageSet, StageSpec,
};

pub const MS: Duration = Duration::from_millis(1);
/// Longer than anything here takes; a test that waits this long has failed.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A recorder in virtual time with one session.
pub struct Lab {
    pub recorder: Recorder,
    collector: Collector,
    now: Instant,
    events: Option<Receiver<CaptureEvent>>,
    gate: FrameGate,
    sink: FrameSink,
    _counters: SessionCounters,
    number: u64,
}

impl Lab {
    pub fn new(snapshots: SnapshotSender) -> Self {
        let config = RecorderConfig { snapshots: Some(snapshots), host_id: "h1".into(), ..RecorderConfig::default() };
        let (recorder, mut collector) = Recorder::new(config);
        let stage = |name, share, queued| StageSpec { name, share, queued };
        let stages = [stage("capture", 0.2, false), stage("encode", 0.4, true), stage("send", 0.3, true)];
        let spec = SessionSpec {
            protocol: "native",
            stages: StageSet::new(&stages).unwrap(),
            info: SessionInfo { width: 640, height: 360, fps: 50, codec: "h264".into(), ..SessionInfo::default() },
            known: &[],
        };
        let now = Instant::now();
        let session = recorder.session(spec).unwrap();
        collector.step(now);
        let (gate, sink, counters) = session.split();
        Self { recorder, collector, now, events: None, gate, sink, _counters: counters, number: 0 }
    }

    /// Arms at `wall`.
    pub fn arm(&mut self, capture_id: &str, wall: SystemTime) {
        let options = ArmOptions {
            capture_id: capture_id.into(),
            label: String::new(),
            anchor: Anchor { monotonic: self.now, wall },
            latency_target: None,
        };
        self.events = Some(self.recorder.arm(options).unwrap());
        self.collector.step(self.now);
    }

    /// Plays this many seconds at 50 frames each; every frame spends 9 ms.
    pub fn play(&mut self, seconds: u32) {
        for _ in 0..seconds * 50 {
            let (start, mut trace) = (self.now, self.gate.begin_at(self.now));
            let stamps = [(0, 0, 1), (1, 1, 7), (2, 8, 9)];
            for (stage, enter, leave) in stamps {
                trace.enter_at(stage, start + enter * MS);
                trace.leave_at(stage, start + leave * MS);
            }
            self.number += 1;
            let info = FrameInfo { number: self.number, media_bytes: 1000, packets: 1, ..FrameInfo::default() };
            self.sink.record(&trace, info);
            self.now += 20 * MS;
            self.collector.step(self.now);
        }
    }

    pub fn stop(&mut self) {
        self.recorder.disarm_at(self.now);
        self.collector.step(self.now);
    }

    /// Windows that the capture has told of since it was armed.
    pub fn windows(&self) -> usize {
        let events = self.events.iter().flat_map(|events| events.try_iter());
        events.filter(|event| matches!(event, CaptureEvent::Window(_))).count()
    }
}

/// A moment a quarter of a second past a full second.
pub fn some_time() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)
}

/// The snapshots of a capture of so many seconds.
pub fn snapshots(seconds: u32) -> Vec<MetricSnapshot> {
    let (sender, receiver) = SnapshotSender::bounded(10_000);
    let mut lab = Lab::new(sender);
    lab.arm("c1", some_time());
    lab.play(seconds);
    lab.stop();
    receiver.try_iter().collect()
}

pub fn identity() -> Identity {
    Identity { host_id: "h1".into(), version: "1.2.3".into() }
}

/// Waits until `condition` holds, for what no other end announces.
pub fn until(condition: impl Fn() -> bool) {
    let from = Instant::now();
    while !condition() {
        assert!(from.elapsed() < PATIENCE, "it never came to hold");
        std::thread::park_timeout(MS);
    }
}

/// Metrics to `url`, nothing from the environment.
pub fn to(url: &str) -> Resolved {
    let config = OtlpConfig { endpoint: Some(url.into()), ..OtlpConfig::default() };
    let mut resolved = config.with_environment(|_| None).unwrap();
    resolved.limits.first_pause = MS;
    resolved.limits.longest_pause = 5 * MS;
    resolved
}

/// A request as it came in, unpacked.
#[derive(Debug)]
pub struct Arrived {
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: Vec<u8>,
}

impl Arrived {
    pub fn metrics(&self) -> ExportMetricsServiceRequest {
        ExportMetricsServiceRequest::decode(&self.body[..]).unwrap()
    }
}

/// What the server does with a request.
pub enum Answer {
    /// Writes this and goes on with the connection.
    Whole(String),
    /// Writes this, then the chunk over and over until the other side has enough.
    Endless(String, Vec<u8>),
    /// Says nothing and keeps the connection.
    Hang,
}

pub fn answer(status: &str, kind: &str, body: &str) -> Answer {
    let length = body.len();
    Answer::Whole(format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n{body}"))
}

pub fn ok() -> Answer {
    answer("200 OK", "application/x-protobuf", "")
}

type Script = Arc<Mutex<dyn FnMut(usize) -> Answer + Send>>;

/// An HTTP/1.1 server on a free port. Its script says what to answer to the n-th request, from 0.
pub struct Backend {
    pub address: SocketAddr,
    pub arrived: Receiver<Arrived>,
    listener: TcpListener,
}

impl Backend {
    pub fn start(script: impl FnMut(usize) -> Answer + Send + 'static) -> Self {
        Self::start_wrapped(script, |stream| Some(Box::new(stream)))
    }

    /// `wrap` turns an accepted connection into what is spoken over, or drops it.
    pub fn start_wrapped<W>(script: impl FnMut(usize) -> Answer + Send + 'static, wrap: W) -> Self
    where
        W: Fn(TcpStream) -> Option<Box<dyn ReadWrite>> + Send + Sync + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, arrived) = mpsc::channel();
        let script: Script = Arc::new(Mutex::new(script));
        let (accepting, wrap) = (listener.try_clone().unwrap(), Arc::new(wrap));
        let count = Arc::new(Mutex::new(0));
        std::thread::spawn(move || {
            for stream in accepting.incoming().map_while(Result::ok) {
                let (tell, script, count, wrap) = (tell.clone(), script.clone(), count.clone(), wrap.clone());
                std::thread::spawn(move || {
                    if let Some(stream) = wrap(stream) {
                        serve(stream, &tell, &script, &count);
                    }
                });
            }
        });
        Self { address, arrived, listener }
    }

    pub fn url(&self) -> String {
        format!("http://{}/v1/metrics", self.address)
    }

    pub fn next(&self) -> Arrived {
        self.arrived.recv_timeout(PATIENCE).expect("a request arrives")
    }
}

pub trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

fn serve(stream: Box<dyn ReadWrite>, tell: &Sender<Arrived>, script: &Script, count: &Mutex<usize>) {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream) {
        let number = {
            let mut count = count.lock().unwrap();
            *count += 1;
            *count - 1
        };
        let answer = (script.lock().unwrap())(number);
        // A test that has seen enough has dropped its end.
        let _ = tell.send(request);
        let out = stream.get_mut();
        match answer {
            Answer::Whole(text) => {
                if out.write_all(text.as_bytes()).and_then(|()| out.flush()).is_err() {
                    return;
                }
            }
            Answer::Endless(head, chunk) => {
                if out.write_all(head.as_bytes()).is_ok() {
                    while out.write_all(&chunk).is_ok() {}
                }
                return;
            }
            Answer::Hang => {
                // Until the other side gives up.
                let _ = out.read(&mut [0; 1]);
                return;
            }
        }
    }
}

fn read_request(stream: &mut impl BufRead) -> Option<Arrived> {
    let mut line = String::new();
    stream.read_line(&mut line).ok().filter(|read| *read > 0)?;
    let path = line.split(' ').nth(1)?.to_owned();
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(": ") else { break };
        headers.insert(name.to_ascii_lowercase(), value.to_owned());
    }
    let mut body = vec![0; headers.get("content-length")?.parse().ok()?];
    stream.read_exact(&mut body).ok()?;
    if headers.get("content-encoding").is_some_and(|encoding| encoding == "gzip") {
        let mut plain = Vec::new();
        GzDecoder::new(&body[..]).read_to_end(&mut plain).ok()?;
        body = plain;
    }
    Some(Arrived { path, headers, body })
}
