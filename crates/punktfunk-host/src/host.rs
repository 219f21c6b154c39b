//! The wiring: recorder, recordings, capture service, both stream paths and management API, from start to a clean end.

use std::io::{self, IsTerminal as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use punktfunk_captures::{CaptureService, StopError};
use punktfunk_mgmt::{
    AppState, RequestCounts, RequestLimits, ServeError, ServerConfig, Shutdown, SignIn, TlsError, TokenError, Tokens,
};
use punktfunk_native::control::{BindError, ControlConfig, ControlServer, SessionHandler};
use punktfunk_native::identity::{Identity, IdentityError};
use punktfunk_otlp::{Exporter, Identity as Exported, Resolved};
use punktfunk_pairing::{ClientStore, StoreError};
use punktfunk_recordings::{HostMeta, OpenError, Store, StoreOptions};
use punktfunk_stats::{Recorder, RecorderConfig, SnapshotSender, SpawnError};

use crate::backend;
use crate::config::HostConfig;
use crate::gamestream::{self, GameStream};
use crate::media::Media;
use crate::pairing::HostPairing;
use crate::sessions::NativeSessions;

/// Name of the identity in the configuration directory: `host.pem`.
pub const IDENTITY: &str = "host";

/// Snapshots that may wait for the export thread, which takes them at once: room for a few seconds of a busy machine.
const SNAPSHOT_QUEUE: usize = 8;

/// How long the end of the host waits for what is still to be exported.
const EXPORT_DEADLINE: Duration = Duration::from_secs(3);

/// Why the host does not run.
#[derive(Debug, thiserror::Error)]
pub enum HostError {
    /// The configuration directory cannot be made.
    #[error("{path}: {source}", path = path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The host's own id cannot be kept.
    #[error("the host's id in {path}: {source}", path = path.display())]
    Id {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recorder.
    #[error(transparent)]
    Recorder(#[from] SpawnError),
    /// The recordings.
    #[error(transparent)]
    Recordings(#[from] OpenError),
    /// The tokens.
    #[error(transparent)]
    Tokens(#[from] TokenError),
    /// The certificate.
    #[error(transparent)]
    Identity(#[from] IdentityError),
    /// The paired clients.
    #[error(transparent)]
    Clients(#[from] StoreError),
    /// TLS of the management API.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The metrics backend.
    #[error(transparent)]
    Backend(#[from] punktfunk_prometheus::ConfigError),
    /// Where metrics and traces go.
    #[error(transparent)]
    ExportTarget(#[from] punktfunk_otlp::ConfigError),
    /// The exporter.
    #[error(transparent)]
    Export(#[from] punktfunk_otlp::StartError),
    /// The management API.
    #[error("management API: {0}; set mgmt.bind")]
    Management(#[from] ServeError),
    /// The native path.
    #[error("native path: {0}; set native.bind")]
    Native(#[from] BindError),
    /// The GameStream path.
    #[error("GameStream path: {0}; set gamestream.bind, or gamestream.enabled = false")]
    GameStream(#[from] punktfunk_gamestream::BindError),
    /// The GameStream path's certificate.
    #[error(transparent)]
    GameStreamIdentity(#[from] punktfunk_gamestream::identity::IdentityError),
    /// Work off the runtime failed.
    #[error("the host could not be started: {0}")]
    Runtime(#[source] io::Error),
    /// The signals.
    #[error("signals cannot be caught: {0}")]
    Signals(#[source] io::Error),
    /// The capture that ran at the end.
    #[error(transparent)]
    Unsaved(#[from] StopError),
}

/// A host that runs.
pub struct Host {
    /// Arms, stops, saves.
    pub captures: CaptureService,
    /// What streams are made of.
    pub media: Arc<Media>,
    /// Clients that may stream on the native path.
    pub clients: ClientStore,
    /// The host's certificate.
    pub identity: Identity,
    control: ControlServer,
    gamestream: Option<GameStream>,
    management: punktfunk_mgmt::Running,
    sign_in: SignIn,
    exporter: Option<Arc<Exporter>>,
    shutdown: Shutdown,
}

impl Host {
    /// Starts everything that the configuration asks for. Needs a Tokio runtime.
    ///
    /// # Errors
    /// The first part that cannot be started; nothing runs then.
    pub async fn start(config: &HostConfig, directory: &Path) -> Result<Self, HostError> {
        let (targets, identity) = telemetry(config, directory)?;
        let host_id = identity.host_id.clone();
        let (snapshots, received) = SnapshotSender::bounded(SNAPSHOT_QUEUE);
        let exporter = Exporter::start(&targets, &identity, received)?.map(Arc::new);
        let recorder_config = RecorderConfig {
            host_id: host_id.clone(),
            run_id: uuid::Uuid::new_v4().to_string(),
            snapshots: exporter.is_some().then(|| snapshots.clone()),
            perf: config.perf,
            ..RecorderConfig::default()
        };
        let recorder = Recorder::spawn(recorder_config)?;

        let options = StoreOptions { quota_bytes: config.captures.quota_bytes() };
        let store = Store::open(directory.join("captures"), options)?;
        for recovered in store.recover() {
            report(&recovered);
        }
        warn_of_eviction(&store);
        let backend = backend::connect(&config.prometheus)?;
        let captures =
            CaptureService::new(recorder.clone(), store, host_meta(host_id), config.captures.latency_target(), backend);

        let identity = Identity::load_or_create(directory, IDENTITY)?;
        let clients = ClientStore::open(directory, "clients.json")?;
        let media = Arc::new(Media::new(config.source.clone(), config.encoder.clone()));
        let sessions = NativeSessions::new(recorder.clone(), Arc::clone(&media), config.native.bind.ip());
        let handler = Arc::new(sessions) as Arc<dyn SessionHandler>;
        let control =
            ControlServer::bind(config.native.bind, &identity, clients.clone(), handler, ControlConfig::default())?;

        let gamestream = gamestream::start(&config.gamestream, directory, recorder, Arc::clone(&media)).await?;
        let theirs = gamestream.as_ref().map(|path| (path.server.pairing(), path.clients.clone()));

        let tokens = Tokens::load_or_create(directory)?;
        let shutdown = Shutdown::default();
        let requests = RequestCounts::default();
        let sign_in = SignIn::default();
        let router = punktfunk_mgmt::router(AppState {
            captures: captures.clone(),
            pairing: Arc::new(HostPairing::new(control.pairing(), clients.clone(), theirs)),
            requests: requests.clone(),
            sign_in: sign_in.clone(),
            tokens: Arc::new(tokens),
            shutdown: shutdown.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            limits: RequestLimits::default(),
            export: exporter.as_ref().map(|exporter| backend::figures(exporter, snapshots)),
        });
        let tls = if config.mgmt.bind.ip().is_loopback() || config.mgmt.insecure {
            None
        } else {
            Some(crate::tls::server(directory)?)
        };
        let server = ServerConfig {
            tls,
            insecure: config.mgmt.insecure,
            allowed_hosts: config.mgmt.allowed_hosts.clone(),
            requests,
            ..ServerConfig::new(config.mgmt.bind)
        };
        let management = punktfunk_mgmt::serve(server, router, shutdown.clone()).await?;
        Ok(Self { captures, media, clients, identity, control, gamestream, management, sign_in, exporter, shutdown })
    }

    /// Where the management API listens.
    pub fn management_address(&self) -> SocketAddr {
        self.management.address()
    }

    /// A link to the console that signs one browser in, once.
    ///
    /// # Errors
    /// When the system gives no random numbers.
    pub fn console_link(&self) -> io::Result<String> {
        Ok(format!("{}/#signin={}", self.management.url(), self.sign_in.link()?.reveal()))
    }

    /// Where the native path's control listens.
    pub fn native_address(&self) -> SocketAddr {
        self.control.local_addr()
    }

    /// Where GameStream clients find the host, if they are served.
    pub fn gamestream_address(&self) -> Option<SocketAddr> {
        self.gamestream.as_ref().map(|path| path.server.address())
    }

    /// Stops and saves what is armed, ends the sessions, then the API.
    ///
    /// # Errors
    /// When the capture could not be saved; its journal is offered at the next start.
    pub async fn stop(self) -> Result<(), HostError> {
        let captures = self.captures.clone();
        let stopped = tokio::task::spawn_blocking(move || captures.shut_down()).await;
        self.control.shutdown().await;
        if let Some(path) = self.gamestream {
            path.server.shutdown().await;
        }
        self.shutdown.trigger();
        self.management.ended().await;
        if let Some(exporter) = self.exporter {
            let sent = tokio::task::spawn_blocking(move || exporter.shutdown(EXPORT_DEADLINE)).await;
            if !sent.is_ok_and(|sent| sent) {
                tracing::warn!(
                    "the metrics backend did not take everything before the end; recordings are not affected"
                );
            }
        }
        match stopped {
            Ok(Ok(Some(meta))) => tracing::info!(id = %meta.id, "the capture that ran was saved"),
            Ok(Ok(None)) => {}
            Ok(Err(error)) => return Err(error.into()),
            Err(error) => tracing::error!(%error, "the capture could not be stopped"),
        }
        Ok(())
    }
}

/// Where metrics and traces go, and under what name.
///
/// # Errors
/// When a setting cannot be used, or the host's id cannot be kept.
pub fn telemetry(config: &HostConfig, directory: &Path) -> Result<(Resolved, Exported), HostError> {
    make_directory(directory)?;
    let targets = backend::export_targets(&config.otlp, &config.prometheus, |name| std::env::var(name).ok())?;
    Ok((targets, Exported { host_id: host_id(directory)?, version: env!("CARGO_PKG_VERSION").into() }))
}

/// `serve`: runs until a signal asks to end.
///
/// # Errors
/// When the host cannot be started, or the capture that runs at the end cannot be saved.
#[allow(clippy::print_stdout, reason = "the link is for the person at the terminal, and for no log")]
pub async fn serve(config: HostConfig, directory: PathBuf) -> Result<(), HostError> {
    let ending = ending()?;
    let host = Host::start(&config, &directory).await?;
    tracing::info!(management = %host.management_address(), native = %host.native_address(), "the host runs");
    tracing::info!(directory = %directory.display(), fingerprint = %host.identity.fingerprint(), "configuration");
    if let Some(gamestream) = host.gamestream_address() {
        tracing::info!(%gamestream, "Moonlight clients find the host here");
    }
    if let Some(link) = console_link_for_a_terminal(&host) {
        println!("console, once and within ten minutes: {link}");
    }
    ending.await;
    tracing::info!("shutting down");
    host.stop().await
}

/// A link to the console, if a person reads the output: it lets in, and does not belong in a file.
pub fn console_link_for_a_terminal(host: &Host) -> Option<String> {
    if !io::stdout().is_terminal() {
        return None;
    }
    host.console_link().inspect_err(|error| tracing::warn!(%error, "no link to the console could be made")).ok()
}

/// Completes with the first SIGINT or SIGTERM. Installed at once, so that no signal is lost during the start.
///
/// # Errors
/// When a handler cannot be installed.
pub fn ending() -> Result<impl Future<Output = ()>, HostError> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt()).map_err(HostError::Signals)?;
    let mut terminate = signal(SignalKind::terminate()).map_err(HostError::Signals)?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

fn make_directory(directory: &Path) -> Result<(), HostError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(directory);
    made.map_err(|source| HostError::Directory { path: directory.to_owned(), source })
}

/// The installation's stable id, made at its first start.
fn host_id(directory: &Path) -> Result<String, HostError> {
    let path = directory.join("host-id");
    let failed = |source| HostError::Id { path: path.clone(), source };
    match std::fs::read_to_string(&path) {
        Ok(text) if !text.trim().is_empty() => Ok(text.trim().to_owned()),
        Ok(_) => {
            Err(failed(io::Error::new(io::ErrorKind::InvalidData, "the file is empty; delete it to get a new id")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let id = uuid::Uuid::new_v4().to_string();
            std::fs::write(&path, format!("{id}\n")).map_err(failed)?;
            Ok(id)
        }
        Err(source) => Err(failed(source)),
    }
}

fn host_meta(id: String) -> HostMeta {
    let cpu = std::fs::read_to_string("/proc/cpuinfo").ok().and_then(|text| {
        let line = text.lines().find(|line| line.starts_with("model name"))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    });
    HostMeta {
        id,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        os: std::env::consts::OS.to_owned(),
        cpu,
        cpus: std::thread::available_parallelism().ok().and_then(|cpus| u32::try_from(cpus.get()).ok()),
    }
}

fn report(recovered: &punktfunk_recordings::Recovered) {
    match &recovered.outcome {
        Ok(Some(meta)) => {
            tracing::warn!(id = %meta.id, samples = meta.sample_count, "an interrupted capture was recovered")
        }
        Ok(None) => tracing::debug!(id = %recovered.id, "a left-over journal held nothing new"),
        Err(error) => tracing::error!(%error, "an interrupted capture could not be recovered; its journal is kept"),
    }
}

/// Says beforehand what the quota will cost.
fn warn_of_eviction(store: &Store) {
    match store.would_evict(0) {
        Ok(evicted) if !evicted.is_empty() => {
            tracing::warn!(recordings = evicted.len(), oldest = %evicted[0].id, "the quota is reached: the next capture deletes the oldest");
        }
        Ok(_) => {}
        Err(error) => tracing::warn!(%error, "the quota could not be checked"),
    }
}
