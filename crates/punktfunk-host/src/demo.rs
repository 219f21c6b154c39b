//! `demo`: the host with one client over loopback, a capture with a known fault in its middle third, and what it says.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use punktfunk_captures::{SnapshotPhase, StartError, StartRequest, StopError};
use punktfunk_media::{DelaySchedule, DelayStage, Delays};
use punktfunk_native::client::{self, Consumer, Goal, ReceiverConfig, RunReport};
use punktfunk_native::control::{Dialer, DialerConfig};
use punktfunk_native::identity::{Identity, IdentityError};
use punktfunk_native::message::StreamRequest;
use punktfunk_native::pairing::StoreError;
use punktfunk_recordings::{CaptureMeta, GetError, RecordingId};

use crate::config::HostConfig;
use crate::host::{self, Host, HostError};
use crate::render;

/// The client's name, here and in `clients.json`.
const CLIENT: &str = "demo";

/// Time from the client's start to the capture's: the stream has settled by then.
const SETTLE: Duration = Duration::from_secs(2);

/// Time between two lines of progress while a snapshot is taken.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);

/// How much longer than the backend may settle a snapshot is waited for: its queries.
const SNAPSHOT_GRACE: Duration = Duration::from_secs(5);

/// Longest wait for the first frame.
const PATIENCE: Duration = Duration::from_secs(20);

/// Bit rate that the client asks for.
const BITRATE_BPS: u64 = 10_000_000;

/// Where the fault is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Fault {
    /// Nowhere: everything should be within budget.
    None,
    /// The source delivers late: stage `capture`.
    Source,
    /// Colour conversion is slow: stage `submit`.
    Conversion,
    /// The encoder is slow: stage `encode`.
    Encoder,
    /// Packets are cut slowly: stage `send`.
    Packetizer,
    /// Packets are sent slowly: stage `send`.
    Sender,
    /// Frames lie between encoder and sender: stage `queue`.
    Queue,
}

impl Fault {
    fn stage(self) -> Option<DelayStage> {
        Some(match self {
            Self::None => return None,
            Self::Source => DelayStage::Source,
            Self::Conversion => DelayStage::Conversion,
            Self::Encoder => DelayStage::Encoder,
            Self::Packetizer => DelayStage::Packetizer,
            Self::Sender => DelayStage::Sender,
            Self::Queue => DelayStage::Queue,
        })
    }
}

/// What the demo is to show.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Length of the capture, seconds
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(3..=3600))]
    seconds: u64,
    /// Where the middle third is delayed
    #[arg(long, value_enum, default_value_t = Fault::Encoder)]
    fault: Fault,
    /// By how much, milliseconds
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(1..=1000))]
    delay_ms: u64,
    /// End after the figures instead of staying up for `ctl`
    #[arg(long)]
    exit: bool,
}

/// Why the demo ended early.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The host.
    #[error(transparent)]
    Host(#[from] HostError),
    /// The client's certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The client could not be paired.
    #[error(transparent)]
    Clients(#[from] StoreError),
    /// The client ended early.
    #[error("the demo's client: {0}")]
    Client(String),
    /// No frame came.
    #[error("no frame reached the client within {} s", PATIENCE.as_secs())]
    Silent,
    /// The capture was not started.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The capture was not saved.
    #[error(transparent)]
    Stop(#[from] StopError),
    /// The recording could not be read back.
    #[error(transparent)]
    Recording(#[from] GetError),
    /// The capture gave no recording: somebody else stopped it.
    #[error("the capture was stopped from elsewhere; see `ctl recordings list`")]
    Stopped,
    /// Work on a thread was cut off.
    #[error("the demo was cut off: {0}")]
    Cut(#[from] tokio::task::JoinError),
}

/// Prints one line.
#[allow(clippy::print_stdout, reason = "the demo talks to the person who ran it")]
fn say(text: &str) {
    println!("{text}");
}

/// Runs the demo; stays up afterwards until a signal comes. A signal before that ends it, too: what was captured by then
/// is saved.
///
/// # Errors
/// When a part of it could not be started, or the recording could not be saved.
pub async fn run(args: Args, mut config: HostConfig, directory: PathBuf) -> Result<(), DemoError> {
    let ending = host::ending()?;
    // Nobody else is to connect to a demo.
    config.native.bind = ([127, 0, 0, 1], 0).into();
    let host = Host::start(&config, &directory).await?;
    let shown = let_client_in(&args, &config, &host, &directory, ending).await;
    // Whatever became of the show, the host ends as it should.
    let stopped = host.stop().await;
    shown?;
    Ok(stopped?)
}

/// Pairs a client of the demo's own with the host, for the demo only.
async fn let_client_in(
    args: &Args,
    config: &HostConfig,
    host: &Host,
    directory: &Path,
    ending: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let (width, height, fps) = (config.source.width, config.source.height, config.source.fps);
    say(&format!(
        "punktfunk demo: {width}x{height}@{fps} to one client over loopback; API on http://{}",
        host.management_address()
    ));
    let identity = Identity::load_or_create(directory, "demo-client")?;
    let paired = host.clients.add(identity.fingerprint(), CLIENT)?;
    let request = StreamRequest { width, height, fps, bitrate_bps: BITRATE_BPS };
    let shown = stream(args, config, host, identity, request, ending).await;
    if let Err(error) = host.clients.revoke(&paired.id) {
        tracing::warn!(%error, "the demo's client could not be revoked; see `ctl clients list`");
    }
    shown
}

/// Streams to the client while there is something to be seen.
async fn stream(
    args: &Args,
    config: &HostConfig,
    host: &Host,
    identity: Identity,
    request: StreamRequest,
    ending: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let capture = Duration::from_secs(args.seconds);
    if let Some(stage) = args.fault.stage() {
        let burst = SETTLE + capture / 3..SETTLE + capture * 2 / 3;
        say(&format!(
            "fault: {:?} delayed by {} ms from {:.1} s to {:.1} s of the capture",
            args.fault,
            args.delay_ms,
            (burst.start - SETTLE).as_secs_f64(),
            (burst.end - SETTLE).as_secs_f64()
        ));
        let schedule = DelaySchedule::burst(burst, Duration::from_millis(args.delay_ms));
        host.media.delay(Delays::none().with(stage, schedule));
    }
    let settled = Instant::now() + SETTLE;
    let client = DemoClient::start(host, identity, request)?;
    let shown = attend(args, config, host, &client, settled, ending).await;
    let ended = client.stop().await;
    shown.and(ended)
}

/// Shows, and stays until a signal comes; a capture that runs then is saved while the client still streams.
async fn attend(
    args: &Args,
    config: &HostConfig,
    host: &Host,
    client: &DemoClient,
    settled: Instant,
    ending: impl Future<Output = ()>,
) -> Result<(), DemoError> {
    let mut ending = pin!(ending);
    tokio::select! {
        shown = show(args, config, host, client, settled) => shown?,
        () = &mut ending => {
            say("\ninterrupted");
            stop_capture(host).await?;
            if let Some(id) = host.captures.status().last_recording {
                say_path(host, &id);
            }
            return Ok(());
        }
    }
    if !args.exit {
        say("\nThe host stays up.");
        if let Some(link) = host::console_link_for_a_terminal(host) {
            say(&format!("In a browser, once and within ten minutes:\n  {link}"));
        }
        say("In another terminal:");
        say("  punktfunk-host ctl console");
        say("  punktfunk-host ctl recordings list");
        say("  punktfunk-host ctl start && sleep 5 && punktfunk-host ctl stop");
        say("Ctrl-C ends it.");
        ending.await;
        if let Some(meta) = stop_capture(host).await? {
            say_path(host, &meta.id);
        }
    }
    Ok(())
}

/// Captures and prints.
async fn show(
    args: &Args,
    config: &HostConfig,
    host: &Host,
    client: &DemoClient,
    settled: Instant,
) -> Result<(), DemoError> {
    client.wait_for_frames().await?;
    tokio::time::sleep_until(settled.into()).await;
    let request =
        StartRequest { label: Some(format!("demo: {:?}", args.fault).to_lowercase()), ..StartRequest::default() };
    host.captures.start(request)?;
    let progress = Progress::new();
    for second in 1..=args.seconds {
        let status = host.captures.status();
        progress.show(&format!(
            "capturing {second}/{} s, {} samples, {} frames received",
            args.seconds,
            status.sample_count,
            client.frames()
        ));
        tokio::time::sleep_until((settled + Duration::from_secs(second)).into()).await;
    }
    drop(progress);
    let meta = stop_capture(host).await?.ok_or(DemoError::Stopped)?;
    if meta.snapshot.is_some() {
        let settling = Duration::from_millis(config.prometheus.settle_timeout_ms);
        wait_for_snapshot(host, settling + SNAPSHOT_GRACE).await;
    }
    let recording = host.captures.store().get(&meta.id)?.capture;
    say(&format!("\n{}", render::capture(&recording)));
    say_path(host, &meta.id);
    Ok(())
}

/// Stops and saves what runs: the recording's meta, or `None` if nothing did.
async fn stop_capture(host: &Host) -> Result<Option<CaptureMeta>, DemoError> {
    let captures = host.captures.clone();
    Ok(tokio::task::spawn_blocking(move || captures.stop()).await??)
}

fn say_path(host: &Host, id: &RecordingId) {
    say(&format!("  Recording: {}", host.captures.store().path_of(id).display()));
}

/// Waits until the recording has been held against the metrics backend, or `limit` has passed: it is safe all the while,
/// and says itself how far that is.
async fn wait_for_snapshot(host: &Host, limit: Duration) {
    let deadline = Instant::now() + limit;
    let mut changed = host.captures.subscribe();
    let progress = Progress::new();
    let mut shown: Option<Instant> = None;
    while let Some(snapshot) = host.captures.status().snapshot.filter(|_| Instant::now() < deadline) {
        if shown.is_none_or(|shown| shown.elapsed() >= PROGRESS_EVERY) {
            shown = Some(Instant::now());
            progress.show(&match snapshot.phase {
                SnapshotPhase::Queued => "saved; to be held against the metrics backend".to_owned(),
                SnapshotPhase::Waiting => {
                    format!("saved; the metrics backend holds {} of {} counts", snapshot.done, snapshot.total)
                }
                SnapshotPhase::Querying => {
                    format!("saved; the metrics backend answered {} of {} queries", snapshot.done, snapshot.total)
                }
                SnapshotPhase::Storing => "saved; storing the metrics backend's figures".to_owned(),
            });
        }
        // Out of time is as good a reason to look again as a change.
        tokio::time::timeout(PROGRESS_EVERY, changed.changed()).await.ok();
    }
}

/// One line that is written over on a terminal, a line each elsewhere.
struct Progress {
    terminal: bool,
}

impl Progress {
    fn new() -> Self {
        Self { terminal: std::io::stdout().is_terminal() }
    }

    #[allow(clippy::print_stdout, reason = "the demo talks to the person who ran it")]
    fn show(&self, text: &str) {
        if self.terminal {
            print!("\r\u{1b}[2K{text}");
            // A terminal that is gone needs no progress.
            std::io::stdout().flush().ok();
        } else {
            println!("{text}");
        }
    }
}

impl Drop for Progress {
    #[allow(clippy::print_stdout, reason = "the demo talks to the person who ran it")]
    fn drop(&mut self) {
        if self.terminal {
            print!("\r\u{1b}[2K");
        }
    }
}

/// The client: a thread that receives until it is told to stop.
struct DemoClient {
    interrupt: Arc<AtomicBool>,
    frames: Arc<AtomicU64>,
    thread: JoinHandle<Result<(), String>>,
}

impl DemoClient {
    /// Lets the client receive.
    fn start(host: &Host, identity: Identity, request: StreamRequest) -> Result<Self, DemoError> {
        let config = DialerConfig {
            host: host.native_address().to_string(),
            name: CLIENT.to_owned(),
            identity,
            pinned: host.identity.fingerprint(),
            request,
            receiver: ReceiverConfig::default(),
        };
        let interrupt = Arc::new(AtomicBool::new(false));
        let frames = Arc::new(AtomicU64::new(0));
        let goal = Goal { interrupt: Arc::clone(&interrupt), ..Goal::default() };
        let counted = Arc::clone(&frames);
        let receive = move || {
            let mut dialer = Dialer::new(config).map_err(|error| error.to_string())?;
            let mut consumer = Consumer::new(None, false).map_err(|error| error.to_string())?;
            let mut report = RunReport::default();
            let progress = |progress: &client::Progress| counted.store(progress.frames, Ordering::Relaxed);
            client::run(&mut dialer, &goal, &mut consumer, progress, &mut report).map_err(|error| error.to_string())
        };
        let thread = std::thread::Builder::new().name("demo-client".into()).spawn(receive);
        let thread = thread.map_err(|error| DemoError::Client(error.to_string()))?;
        Ok(Self { interrupt, frames, thread })
    }

    fn frames(&self) -> u64 {
        self.frames.load(Ordering::Relaxed)
    }

    async fn wait_for_frames(&self) -> Result<(), DemoError> {
        let deadline = Instant::now() + PATIENCE;
        while self.frames() == 0 {
            if self.thread.is_finished() || Instant::now() > deadline {
                return Err(DemoError::Silent);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn stop(self) -> Result<(), DemoError> {
        self.interrupt.store(true, Ordering::Relaxed);
        let ended = tokio::task::spawn_blocking(move || self.thread.join()).await?;
        match ended {
            Ok(result) => result.map_err(DemoError::Client),
            Err(_) => Err(DemoError::Client("its thread panicked".into())),
        }
    }
}
