//! `demo`: the host with one client over loopback, a capture with a known fault in its middle third, and what it says.

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use clap::ValueEnum;
use punktfunk_captures::{StartError, StartRequest, StopError};
use punktfunk_media::{DelaySchedule, DelayStage, Delays};
use punktfunk_native::client::{self, Consumer, Goal, ReceiverConfig, RunReport};
use punktfunk_native::control::{Dialer, DialerConfig};
use punktfunk_native::identity::{Identity, IdentityError};
use punktfunk_native::message::StreamRequest;
use punktfunk_native::pairing::StoreError;
use punktfunk_recordings::GetError;

use crate::config::HostConfig;
use crate::host::{self, Host, HostError};
use crate::render;

/// The client's name, here and in `clients.json`.
const CLIENT: &str = "demo";

/// Time from the client's start to the capture's: the stream has settled by then.
const SETTLE: Duration = Duration::from_secs(2);

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

/// Runs the demo; stays up afterwards until a signal comes.
///
/// # Errors
/// When a part of it could not be started, or the recording could not be saved.
pub async fn run(args: Args, mut config: HostConfig, directory: PathBuf) -> Result<(), DemoError> {
    let ending = host::ending()?;
    // Nobody else is to connect to a demo.
    config.native.bind = ([127, 0, 0, 1], 0).into();
    let host = Host::start(&config, &directory).await?;
    let (width, height, fps) = (config.source.width, config.source.height, config.source.fps);
    say(&format!(
        "punktfunk demo: {width}x{height}@{fps} to one client over loopback; API on http://{}",
        host.management_address()
    ));

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
        host.sessions.delay(Delays::none().with(stage, schedule));
    }
    let settled = Instant::now() + SETTLE;
    let client =
        DemoClient::start(&host, StreamRequest { width, height, fps, bitrate_bps: BITRATE_BPS }, &directory).await?;
    let shown = tokio::select! {
        shown = show(&args, &host, &client, settled) => shown,
        () = ending => Ok(()),
    };
    if shown.is_ok() && !args.exit {
        say("\nThe host stays up. In another terminal:");
        say("  punktfunk-host ctl recordings list");
        say("  punktfunk-host ctl start && sleep 5 && punktfunk-host ctl stop");
        say("Ctrl-C ends it.");
        host::ending()?.await;
    }
    client.stop().await?;
    revoke_client(&host);
    host.stop().await?;
    shown
}

/// Captures and prints.
async fn show(args: &Args, host: &Host, client: &DemoClient, settled: Instant) -> Result<(), DemoError> {
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
    progress.clear();
    let captures = host.captures.clone();
    let meta = tokio::task::spawn_blocking(move || captures.stop()).await??.ok_or(DemoError::Stopped)?;
    let recording = host.captures.store().get(&meta.id)?.capture;
    say(&format!("\n{}", render::capture(&recording)));
    say(&format!("  Recording: {}", host.captures.store().path_of(&meta.id).display()));
    Ok(())
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

    #[allow(clippy::print_stdout, reason = "the demo talks to the person who ran it")]
    fn clear(&self) {
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
    /// Pairs a client of the demo's own with the host and lets it receive.
    async fn start(host: &Host, request: StreamRequest, directory: &std::path::Path) -> Result<Self, DemoError> {
        let identity = Identity::load_or_create(directory, "demo-client")?;
        host.clients.add(identity.fingerprint(), CLIENT)?;
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

/// The demo's client is let in for the demo only.
fn revoke_client(host: &Host) {
    for client in host.clients.list().into_iter().filter(|client| client.name == CLIENT) {
        if let Err(error) = host.clients.revoke(&client.id) {
            tracing::warn!(%error, "the demo's client could not be revoked; see `ctl clients list`");
        }
    }
}
