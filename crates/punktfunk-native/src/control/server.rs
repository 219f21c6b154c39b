//! The host's end: accepts connections, tells paired clients from strangers, and keeps the two apart.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use quinn::{Connection, Endpoint, Incoming};
use tokio::sync::Semaphore;

use super::session::{self, Grants};
use super::{ALPN, CloseCode, ControlConfig, PAIRING_ALPN, SessionHandler, tls};
use crate::identity::{Fingerprint, Identity};
use crate::pairing::{ClientStore, Pairing};

/// Longest wait for goodbyes. A connection that still shakes hands would take three seconds: its round-trip time is a guess.
const GOODBYE: Duration = Duration::from_secs(1);

/// Why the host cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// The identity cannot be used.
    #[error("the host's identity cannot be used: {0}")]
    Tls(#[from] rustls::Error),
    /// The address cannot be had.
    #[error("cannot listen on {address}: {source}")]
    Address {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
}

/// A control server that listens. Its tasks live until [`shutdown`](Self::shutdown), or until the runtime ends.
#[derive(Debug)]
pub struct ControlServer {
    endpoint: Endpoint,
    address: SocketAddr,
    pairing: Pairing,
}

/// What all connections share.
struct Host {
    config: ControlConfig,
    clients: ClientStore,
    grants: Grants,
    pairing: Pairing,
    fingerprint: Fingerprint,
    paired: Semaphore,
    strangers: Arc<Semaphore>,
}

impl ControlServer {
    /// Listens, on the Tokio runtime that it is called on.
    ///
    /// # Errors
    /// [`BindError`].
    pub fn bind(
        address: SocketAddr,
        identity: &Identity,
        clients: ClientStore,
        handler: Arc<dyn SessionHandler>,
        config: ControlConfig,
    ) -> Result<Self, BindError> {
        let server = tls::server_config(identity, config.idle_timeout)?;
        let failed = |source| BindError::Address { address, source };
        let endpoint = Endpoint::server(server, address).map_err(failed)?;
        let address = endpoint.local_addr().map_err(failed)?;
        let pairing = Pairing::new(config.pairing.clone(), clients.clone());
        let host = Host {
            clients,
            grants: Grants::new(handler),
            pairing: pairing.clone(),
            fingerprint: identity.fingerprint(),
            paired: Semaphore::new(config.max_clients),
            strangers: Arc::new(Semaphore::new(config.max_strangers)),
            config,
        };
        tokio::spawn(accept(endpoint.clone(), Arc::new(host)));
        Ok(Self { endpoint, address, pairing })
    }

    /// The address that clients call, with the port that was taken.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Who asks to be paired, and the answers.
    pub fn pairing(&self) -> Pairing {
        self.pairing.clone()
    }

    /// Ends every connection, and with it every stream; waits until all have been told, but not for long.
    pub async fn shutdown(self) {
        self.endpoint.close(CloseCode::Shutdown.code(), b"the host shuts down");
        if tokio::time::timeout(GOODBYE, self.endpoint.wait_idle()).await.is_err() {
            tracing::debug!("not every client acknowledged that the host shuts down");
        }
    }
}

async fn accept(endpoint: Endpoint, host: Arc<Host>) {
    while let Some(incoming) = endpoint.accept().await {
        // Everybody is a stranger until the handshake has shown a pinned certificate.
        let Ok(place) = Arc::clone(&host.strangers).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let host = Arc::clone(&host);
        tokio::spawn(async move {
            let peer = incoming.remote_address();
            let Some(connection) = handshake(incoming, &host.config).await else { return };
            let Some(fingerprint) = tls::peer_fingerprint(&connection) else { return };
            match tls::protocol(&connection).as_deref() {
                Some(ALPN) => {
                    drop(place);
                    host.paired(connection, fingerprint).await;
                }
                Some(PAIRING_ALPN) => {
                    let (patience, own) = (host.config.patience, host.fingerprint);
                    if let Err(error) = host.pairing.serve(&connection, fingerprint, own, patience).await {
                        tracing::info!(%peer, %error, "a client was not paired");
                    }
                }
                // The handshake lets no other protocol through.
                _ => connection.close(CloseCode::BadMessage.code(), b""),
            }
        });
    }
}

async fn handshake(incoming: Incoming, config: &ControlConfig) -> Option<Connection> {
    let peer = incoming.remote_address();
    match tokio::time::timeout(config.patience, async { incoming.await }).await {
        Ok(Ok(connection)) => Some(connection),
        Ok(Err(error)) => {
            tracing::debug!(%peer, %error, "a handshake failed");
            None
        }
        Err(_elapsed) => None,
    }
}

impl Host {
    /// Serves a client that claims to be paired.
    async fn paired(&self, connection: Connection, fingerprint: Fingerprint) {
        let peer = connection.remote_address();
        let Some(attachment) = self.clients.attach(fingerprint) else {
            tracing::info!(%peer, %fingerprint, "a client that is not paired was turned away");
            connection.close(CloseCode::NotPaired.code(), b"not paired");
            return;
        };
        let Ok(_place) = self.paired.try_acquire() else {
            connection.close(CloseCode::Busy.code(), b"too many clients");
            return;
        };
        let served = tokio::select! {
            served = session::serve(&connection, &attachment.client, &self.grants, &self.config) => served,
            () = attachment.revoked() => {
                tracing::info!(%peer, client = %attachment.client.name, "a client was revoked and is cut off");
                connection.close(CloseCode::NotPaired.code(), b"revoked");
                return;
            }
        };
        match served {
            Ok(()) => connection.close(CloseCode::Done.code(), b""),
            Err(error) => {
                tracing::info!(%peer, client = %attachment.client.name, %error, "a client was cut off");
                connection.close(CloseCode::BadMessage.code(), b"");
            }
        }
        drop(attachment);
        let clients = self.clients.clone();
        if tokio::task::spawn_blocking(move || clients.save_seen()).await.is_err() {
            tracing::warn!("when a client was seen last could not be saved");
        }
    }
}
