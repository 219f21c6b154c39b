//! The GameStream path's place in the host: its clients, its streams' pictures, its server. Off unless it is configured.

use std::path::Path;
use std::sync::Arc;

use punktfunk_gamestream::identity::HostIdentity;
use punktfunk_gamestream::stream::StreamHost;
use punktfunk_gamestream::{Server, ServerConfig, SessionLimits};
use punktfunk_pairing::ClientStore;
use punktfunk_stats::Recorder;

use crate::config::GameStreamConfig;
use crate::host::HostError;
use crate::media::Media;

/// Name of the file of paired clients in the configuration directory. Who was let in here has no right on the native path.
const CLIENTS: &str = "gamestream-clients.json";

/// A server that runs, and who may come in.
pub struct GameStream {
    /// The server.
    pub server: Server,
    /// Clients that may stream.
    pub clients: ClientStore,
}

/// Starts the path, if it is configured. Needs a Tokio runtime.
///
/// # Errors
/// When its identity or clients cannot be read, or a port is taken.
pub async fn start(
    config: &GameStreamConfig,
    directory: &Path,
    recorder: Recorder,
    media: Arc<Media>,
) -> Result<Option<GameStream>, HostError> {
    if !config.enabled {
        return Ok(None);
    }
    let own = directory.to_owned();
    // Its first start makes an RSA key: up to some seconds of work.
    let identity = tokio::task::spawn_blocking(move || HostIdentity::load_or_create(&own)).await;
    let identity = identity.map_err(|failed| HostError::Runtime(failed.into()))??;
    let clients = ClientStore::open(directory, CLIENTS)?;
    let (least, most) = media.bitrate_kbps();
    let kbps = |rate: u64| u32::try_from(rate).unwrap_or(u32::MAX);
    let server = ServerConfig {
        bind: config.bind,
        host_name: host_name(),
        announce: config.announce,
        limits: SessionLimits { bitrate_kbps: (kbps(least), kbps(most)), ..SessionLimits::default() },
    };
    let open =
        Box::new(move |mode: punktfunk_media::VideoMode, bps| media.open(mode.width, mode.height, mode.fps, bps));
    let server = Server::bind(server, identity, clients.clone(), StreamHost::new(recorder, open)).await?;
    Ok(Some(GameStream { server, clients }))
}

/// The machine's name, as clients show it.
fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let name = read.map(|name| punktfunk_pairing::clean_name(&name)).unwrap_or_default();
    if name.is_empty() { "Punktfunk".to_owned() } else { name }
}
