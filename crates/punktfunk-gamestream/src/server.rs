//! What ties the protocols together: ports, who may come in, the session.

use std::fmt;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;

use punktfunk_pairing::ClientStore;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

use crate::audio::SilentAudio;
use crate::discovery::{Discovery, DiscoveryError};
use crate::grant::SessionLimits;
use crate::identity::HostIdentity;
use crate::nvhttp::{self, Desk};
use crate::pairing::Pairing;
use crate::rtsp::{self, MediaPorts};
use crate::session::Sessions;
use crate::stream::StreamHost;

/// Where the other ports lie, seen from the HTTP port; as all hosts of the protocol have them.
const HTTPS: i32 = -5;
const VIDEO: i32 = 9;
const CONTROL: i32 = 10;
const AUDIO: i32 = 11;
const RTSP: i32 = 21;

/// How the host is reached and what it calls itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerConfig {
    /// Address of HTTP; default `0.0.0.0:47989`. The other ports lie at the protocol's distances from it; with port 0 all of
    /// them are free ones.
    pub bind: SocketAddr,
    /// What clients show.
    pub host_name: String,
    /// Whether the host is announced in the local network (mDNS); default off. Adding it by address always works.
    pub announce: bool,
    /// Limits of sessions.
    pub limits: SessionLimits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            bind: SocketAddr::from(([0, 0, 0, 0], 47989)),
            host_name: "Punktfunk".to_owned(),
            announce: false,
            limits: SessionLimits::default(),
        }
    }
}

/// Why the host cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A port cannot be had.
    #[error("{address} for {what}: {source}")]
    Port {
        /// Of which protocol.
        what: &'static str,
        /// The address.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The other ports would lie outside of the range.
    #[error("the ports around {0} are not all between 1 and 65535")]
    Range(u16),
    /// The certificate cannot be used.
    #[error("the host's certificate cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// It cannot be announced.
    #[error(transparent)]
    Discovery(#[from] DiscoveryError),
}

/// A host that clients can reach. Dropping it without [`shutdown`](Self::shutdown) ends it too.
pub struct Server {
    http: SocketAddr,
    pairing: Pairing,
    sessions: Arc<Sessions>,
    tasks: JoinSet<()>,
    _audio: SilentAudio,
    _discovery: Option<Discovery>,
}

impl fmt::Debug for Server {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("http", &self.http).finish_non_exhaustive()
    }
}

impl Server {
    /// Binds every port and serves. Needs a Tokio runtime.
    ///
    /// # Errors
    /// [`BindError`]; nothing is bound then.
    pub async fn bind(
        config: ServerConfig,
        identity: HostIdentity,
        clients: ClientStore,
        host: StreamHost,
    ) -> Result<Self, BindError> {
        let at = |offset: i32| port_at(config.bind, offset);
        let (http, http_address) = listen("HTTP", config.bind).await?;
        let (https, https_address) = listen("HTTPS", at(HTTPS)?).await?;
        let (rtsp, rtsp_address) = listen("RTSP", at(RTSP)?).await?;
        let (video, video_port) = datagrams("video", at(VIDEO)?)?;
        let (control, control_port) = datagrams("control", at(CONTROL)?)?;
        let address = at(AUDIO)?;
        let failed = |source| BindError::Port { what: "audio", address, source };
        let audio = SilentAudio::bind(address).map_err(failed)?;
        let ports = MediaPorts { video: video_port, control: control_port, audio: audio.port().map_err(failed)? };
        let acceptor = TlsAcceptor::from(nvhttp::tls_config(&identity)?);

        let identity = Arc::new(identity);
        let discovery = match config.announce {
            true => Some(Discovery::announce(&config.host_name, http_address.port())?),
            false => None,
        };
        let pairing = Pairing::new(Arc::clone(&identity), clients.clone());
        let sessions = Arc::new(Sessions::new(clients.clone(), Arc::new(host), config.limits, video, control));
        let desk = Arc::new(Desk {
            identity,
            clients,
            pairing: pairing.clone(),
            sessions: Arc::clone(&sessions),
            host_name: config.host_name,
            http_port: http_address.port(),
            https_port: https_address.port(),
            rtsp_port: rtsp_address.port(),
        });
        let mut tasks = JoinSet::new();
        tasks.spawn(nvhttp::serve(http, None, Arc::clone(&desk)));
        tasks.spawn(nvhttp::serve(https, Some(acceptor), desk));
        tasks.spawn(rtsp::serve(rtsp, Arc::clone(&sessions), ports));
        Ok(Self { http: http_address, pairing, sessions, tasks, _audio: audio, _discovery: discovery })
    }

    /// Where HTTP is served: what a client is given to find the host.
    pub fn address(&self) -> SocketAddr {
        self.http
    }

    /// Requests to be paired, and their answers.
    pub fn pairing(&self) -> Pairing {
        self.pairing.clone()
    }

    /// Takes nobody more, ends the session, and tells its client.
    pub async fn shutdown(mut self) {
        self.tasks.shutdown().await;
        let sessions = Arc::clone(&self.sessions);
        if tokio::task::spawn_blocking(move || sessions.shut_down()).await.is_err() {
            tracing::error!("a GameStream session could not be ended");
        }
    }
}

/// A port at a distance from that of HTTP; a free one if that is free.
fn port_at(bind: SocketAddr, offset: i32) -> Result<SocketAddr, BindError> {
    let port = match bind.port() {
        0 => 0,
        port => u16::try_from(i32::from(port) + offset).ok().filter(|port| *port > 0).ok_or(BindError::Range(port))?,
    };
    Ok(SocketAddr::new(bind.ip(), port))
}

async fn listen(what: &'static str, address: SocketAddr) -> Result<(TcpListener, SocketAddr), BindError> {
    let failed = |source| BindError::Port { what, address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

fn datagrams(what: &'static str, address: SocketAddr) -> Result<(UdpSocket, u16), BindError> {
    let failed = |source| BindError::Port { what, address, source };
    let socket = UdpSocket::bind(address).map_err(failed)?;
    let port = socket.local_addr().map_err(failed)?.port();
    Ok((socket, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_lie_where_the_protocol_has_them() {
        let bind = ServerConfig::default().bind;
        let ports = [HTTPS, VIDEO, CONTROL, AUDIO, RTSP].map(|offset| port_at(bind, offset).unwrap().port());
        assert_eq!(ports, [47984, 47998, 47999, 48000, 48010]);
        let free = SocketAddr::from(([127, 0, 0, 1], 0));
        assert_eq!(port_at(free, RTSP).unwrap(), free);
        for port in [5, 65530] {
            let bind = SocketAddr::from(([127, 0, 0, 1], port));
            let offset = if port == 5 { HTTPS } else { RTSP };
            assert!(matches!(port_at(bind, offset), Err(BindError::Range(_))));
        }
    }
}
