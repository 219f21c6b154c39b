//! The headless native client: connects, receives, repairs, reports, dumps.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod args;
mod pair;
mod report;
mod run;
mod show;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Parser as _;
use punktfunk_native::control::{Dialer, DialerConfig};
use punktfunk_native::identity::Identity;
use punktfunk_native::message::StreamRequest;
use punktfunk_native::pairing::KnownHosts;
use tracing_subscriber::EnvFilter;

use crate::args::{Cli, Command, Connect};

/// Name of the client's identity in its configuration directory.
const IDENTITY: &str = "probe";

fn main() -> ExitCode {
    let cli = Cli::parse();
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter(EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn")))
        .init();
    let Some(directory) = cli.config_dir.or_else(default_directory) else {
        return run::fail("no place for the client's identity: set PUNKTFUNK_CONFIG_DIR or HOME", run::LOCAL);
    };
    let opened = Identity::load_or_create(&directory, IDENTITY).map_err(|error| error.to_string());
    let known = KnownHosts::open(&directory).map_err(|error| error.to_string());
    let (identity, known) = match opened.and_then(|identity| Ok((identity, known?))) {
        Ok(opened) => opened,
        Err(error) => return run::fail(&error, run::LOCAL),
    };
    match cli.command {
        Command::Pair(args) => pair::pair(&args, &identity, known),
        Command::Connect(args) => connect(&args, identity, &known),
    }
}

fn default_directory() -> Option<PathBuf> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let base = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|home| home.join(".config")));
    base.map(|base| base.join("punktfunk"))
}

fn connect(args: &Connect, identity: Identity, known: &KnownHosts) -> ExitCode {
    let Some(pinned) = known.get(&args.host) else {
        return run::fail(
            &format!("not paired with {0}: run `punktfunk-probe pair {0}` first", args.host),
            run::NO_STREAM,
        );
    };
    let interrupt = Arc::new(AtomicBool::new(false));
    let runtime = match interruptible(&interrupt) {
        Ok(runtime) => runtime,
        Err(error) => return run::fail(&format!("signals cannot be caught: {error}"), run::LOCAL),
    };
    let config = DialerConfig {
        host: args.host.clone(),
        name: IDENTITY.to_owned(),
        identity,
        pinned,
        request: StreamRequest {
            width: args.width,
            height: args.height,
            fps: args.fps,
            bitrate_bps: u64::from(args.bitrate_kbps) * 1000,
        },
        receiver: run::receiver(args),
    };
    let mut dialer = match Dialer::new(config) {
        Ok(dialer) => dialer,
        Err(error) => return run::fail(&error.to_string(), run::LOCAL),
    };
    let code = run::connect(args, &mut dialer, interrupt, &mut std::io::stdout().lock());
    drop(dialer);
    runtime.shutdown_background();
    code
}

/// Ctrl-C and SIGTERM end the run as if its goal were reached: the report is printed.
fn interruptible(interrupt: &Arc<AtomicBool>) -> std::io::Result<tokio::runtime::Runtime> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let (mut interrupted, mut terminated) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    drop(entered);
    let interrupt = Arc::clone(interrupt);
    runtime.spawn(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
        interrupt.store(true, Ordering::Relaxed);
    });
    Ok(runtime)
}
