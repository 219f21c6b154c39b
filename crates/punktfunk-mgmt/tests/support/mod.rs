//! A host without video: the real recorder, capture service, store, tokens and router, in a directory that goes when it is
//! dropped. Frames come from a thread that plays the part of a stream.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, mpsc};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Response, StatusCode};
use punktfunk_captures::{CaptureService, StatsStatus};
use punktfunk_mgmt::{
    AppState, PairError, PairRequestInfo, PairedClientInfo, Pairing, RequestCounts, RequestLimits, RevokeError,
    Running, ServerConfig, Shutdown, SignIn, Tokens, router, serve,
};
use punktfunk_recordings::{HostMeta, Store, StoreOptions};
use punktfunk_stats::{Counter, FrameInfo, Recorder, RecorderConfig, SessionInfo, SessionSpec, StageSet, StageSpec};
use serde_json::Value;
use tokio::sync::watch;
use tower::ServiceExt as _;

pub mod wire;

/// Width of a window: short, so that samples come soon.
const WINDOW: Duration = Duration::from_millis(100);

pub struct Rig {
    pub state: AppState,
    pub recorder: Recorder,
    pub pairing: Arc<Desk>,
    pub directory: tempfile::TempDir,
}

impl Rig {
    pub fn new() -> Self {
        Self::with_limits(RequestLimits::default())
    }

    pub fn with_limits(limits: RequestLimits) -> Self {
        Self::within(tempfile::tempdir().unwrap(), limits)
    }

    /// On another file system than the usual one.
    pub fn on(disk: &Path) -> Self {
        Self::within(tempfile::tempdir_in(disk).unwrap(), RequestLimits::default())
    }

    fn within(directory: tempfile::TempDir, limits: RequestLimits) -> Self {
        let (state, recorder, pairing) = host(directory.path(), limits, WINDOW);
        Self { state, recorder, pairing, directory }
    }

    pub fn router(&self) -> Router {
        router(self.state.clone())
    }

    pub fn operator(&self) -> &str {
        self.state.tokens.operator().reveal()
    }

    /// A request of the operator's, in process.
    pub async fn ask(&self, method: Method, path: &str, body: Option<&str>) -> Answer {
        let request = self.request(method, path);
        let request = match body {
            Some(body) => request.header("content-type", "application/json").body(Body::from(body.to_owned())),
            None => request.body(Body::empty()),
        };
        self.send(request.unwrap()).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None).await
    }

    pub async fn post(&self, path: &str, body: &str) -> Answer {
        self.ask(Method::POST, path, Some(body)).await
    }

    pub fn request(&self, method: Method, path: &str) -> axum::http::request::Builder {
        let bearer = format!("Bearer {}", self.operator());
        Request::builder().method(method).uri(path).header("authorization", bearer)
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        Answer::of(self.router().oneshot(request).await.unwrap()).await
    }

    /// Streams until the player is dropped.
    pub fn play(&self) -> Player {
        Player::start(&self.recorder)
    }

    /// Waits for a state of the capture service.
    pub async fn until(&self, wanted: impl Fn(&StatsStatus) -> bool) -> StatsStatus {
        let mut changes = self.state.captures.subscribe();
        let wait = async {
            loop {
                let status = self.state.captures.status();
                if wanted(&status) {
                    return status;
                }
                changes.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the state comes")
    }

    /// A recording of a few windows; its id.
    pub async fn record(&self, label: &str) -> String {
        let _player = self.play();
        let body = serde_json::json!({ "label": label }).to_string();
        assert_eq!(self.post("/api/v1/stats/capture/start", &body).await.status, StatusCode::OK);
        self.until(|status| status.sample_count >= 3).await;
        let stopped = self.post("/api/v1/stats/capture/stop", "").await;
        assert_eq!(stopped.status, StatusCode::OK, "{}", stopped.text());
        stopped.json()["id"].as_str().unwrap().to_owned()
    }

    /// Serves on a free port of the loopback.
    pub async fn serve(&self, change: impl FnOnce(&mut ServerConfig)) -> Running {
        let mut config = ServerConfig::new(SocketAddr::from(([127, 0, 0, 1], 0)));
        config.requests = self.state.requests.clone();
        change(&mut config);
        serve(config, self.router(), self.state.shutdown.clone()).await.unwrap()
    }
}

/// The parts of a host that has its configuration in `directory`.
pub fn host(directory: &Path, limits: RequestLimits, window: Duration) -> (AppState, Recorder, Arc<Desk>) {
    let config = RecorderConfig { host_id: "test".into(), sample_interval: window, ..RecorderConfig::default() };
    let recorder = Recorder::spawn(config).unwrap();
    let store = Store::open(directory.join("captures"), StoreOptions::default()).unwrap();
    let meta = HostMeta { id: "test".into(), version: "0.0.0".into(), os: "linux".into(), cpu: None, cpus: None };
    let pairing = Arc::new(Desk::default());
    let state = AppState {
        captures: CaptureService::new(recorder.clone(), store, meta, None, None),
        pairing: Arc::clone(&pairing) as Arc<dyn Pairing>,
        tokens: Arc::new(Tokens::load_or_create(directory).unwrap()),
        requests: RequestCounts::default(),
        sign_in: SignIn::default(),
        shutdown: Shutdown::default(),
        version: "0.0.0".into(),
        export: None,
        limits,
    };
    (state, recorder, pairing)
}

pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    async fn of(response: Response<Body>) -> Self {
        let (parts, body) = response.into_parts();
        let body = axum::body::to_bytes(body, usize::MAX).await.unwrap().to_vec();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub fn text(&self) -> String {
        String::from_utf8(self.body.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The message of a refusal, after checking that it is one.
    pub fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/json");
        let json = self.json();
        let keys: Vec<_> = json.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["error"], "{json}");
        let message = json["error"].as_str().unwrap().to_owned();
        assert!(!message.is_empty());
        message
    }
}

/// A thread that sends frames of 8 ms, each with a little time in every stage.
pub struct Player {
    playing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Player {
    pub fn start(recorder: &Recorder) -> Self {
        let stage = |name, share, queued| StageSpec { name, share, queued };
        let stages = [
            stage("capture", 0.25, false),
            stage("submit", 0.10, false),
            stage("encode", 0.40, true),
            stage("send", 0.25, true),
        ];
        let info = SessionInfo {
            width: 1280,
            height: 720,
            fps: 120,
            codec: "h264".into(),
            encoder: "null".into(),
            client: "=cmd|'/c calc'!A0".into(),
            source_kind: "synthetic".into(),
            audio: None,
        };
        let stages = StageSet::new(&stages).unwrap();
        let known: &[Counter] = &[Counter::PacketsLost, Counter::SendDropped];
        let session = recorder.session(SessionSpec { protocol: "native", stages, info, known }).unwrap();
        let (mut gate, mut sink, counters) = session.split();
        let playing = Arc::new(AtomicBool::new(true));
        let (on, (pace, never)) = (Arc::clone(&playing), mpsc::channel::<()>());
        let stream = move || {
            let start = Instant::now();
            counters.set_target_rate_bps(10_000_000);
            let mut number = 0;
            // Only a flag: nothing else is handed over by it.
            while on.load(Ordering::Relaxed) {
                let mut frame = gate.begin();
                for stage in 0..4 {
                    frame.enter(stage);
                    frame.leave(stage);
                }
                number += 1;
                let info = FrameInfo { number, media_bytes: 20_000, packets: 18, ..FrameInfo::default() };
                sink.record(&frame, info);
                // The pace of the stream, not a wait for somebody: the channel stays silent.
                let due = Duration::from_millis(8) * u32::try_from(number).unwrap();
                never.recv_timeout((start + due).saturating_duration_since(Instant::now())).ok();
            }
            drop(pace);
        };
        let thread = std::thread::spawn(stream);
        Self { playing, thread: Some(thread) }
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.playing.store(false, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

/// Pairing in memory: one request and one client at the start.
pub struct Desk {
    /// How often it was asked for requests.
    asked: watch::Sender<u32>,
    requests: Mutex<Vec<PairRequestInfo>>,
    clients: Mutex<Vec<PairedClientInfo>>,
}

impl Default for Desk {
    fn default() -> Self {
        let fingerprint = "9f:86:d0:81:88:4c:7d:65".to_owned();
        let request = PairRequestInfo {
            id: "r1".into(),
            protocol: "native".into(),
            address: "127.0.0.1:50312".into(),
            fingerprint: fingerprint.clone(),
            name: "Living room".into(),
            age_s: 3,
        };
        let client = PairedClientInfo {
            id: "c1".into(),
            protocol: "native".to_owned(),
            name: "Desk".into(),
            fingerprint,
            added_unix_ms: 1_782_504_843_000,
            last_seen_unix_ms: None,
            connected: false,
        };
        Self { asked: watch::Sender::new(0), requests: Mutex::new(vec![request]), clients: Mutex::new(vec![client]) }
    }
}

impl Desk {
    /// Lets nobody see the requests until this is dropped.
    pub fn hold(&self) -> Held<'_> {
        Held { asked: self.asked.subscribe(), _requests: self.requests.lock().unwrap() }
    }
}

pub struct Held<'a> {
    asked: watch::Receiver<u32>,
    _requests: MutexGuard<'a, Vec<PairRequestInfo>>,
}

impl Held<'_> {
    /// Returns when somebody has asked for the requests, and waits.
    pub async fn asked(&mut self) {
        self.asked.changed().await.unwrap();
    }
}

impl Pairing for Desk {
    fn requests(&self) -> Vec<PairRequestInfo> {
        self.asked.send_modify(|times| *times += 1);
        self.requests.lock().unwrap().clone()
    }

    fn approve(&self, id: &str, pin: Option<&str>, name: Option<&str>) -> Result<String, PairError> {
        let pin = pin.unwrap_or("482913");
        let mut requests = self.requests.lock().unwrap();
        let Some(at) = requests.iter().position(|request| request.id == id) else {
            return Err(PairError::NotFound { id: id.to_owned() });
        };
        let request = requests.remove(at);
        self.clients.lock().unwrap().push(PairedClientInfo {
            id: "c2".into(),
            protocol: "native".to_owned(),
            name: name.unwrap_or(&request.name).to_owned(),
            fingerprint: request.fingerprint,
            added_unix_ms: 1_782_504_900_000,
            last_seen_unix_ms: None,
            connected: false,
        });
        Ok(pin.to_owned())
    }

    fn clients(&self) -> Vec<PairedClientInfo> {
        self.clients.lock().unwrap().clone()
    }

    fn revoke(&self, id: &str) -> Result<(), RevokeError> {
        let mut clients = self.clients.lock().unwrap();
        let at =
            clients.iter().position(|client| client.id == id).ok_or(RevokeError::NotFound { id: id.to_owned() })?;
        clients.remove(at);
        Ok(())
    }
}
