//! The server: a listener, TLS where the network can reach it, and limits that no client can talk its way around.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use hyper::body::Incoming;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls;

use crate::hosts::Hosts;
use crate::limits::ConnectionLimits;
use crate::metrics::RequestCounts;
use crate::served::Served;
use crate::state::Shutdown;

mod gate;
mod patient;
mod tls;

use gate::Gate;
use patient::Patient;
pub use tls::{TlsError, tls_config};

/// Pause after the system refused a connection (for want of file descriptors, say), so that the loop does not spin.
const REFUSED_PAUSE: Duration = Duration::from_millis(50);

/// Where and how to serve.
#[derive(Debug, Clone)]
pub struct ServerConfig {
    /// Address to listen on; port 0 takes a free one.
    pub bind: SocketAddr,
    /// Certificate and key, made by [`tls_config`].
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// Serve without TLS although the network can reach it.
    pub insecure: bool,
    /// Names under which the host may be addressed, beside its own addresses and `localhost`.
    pub allowed_hosts: Vec<String>,
    /// Limits of a connection.
    pub limits: ConnectionLimits,
    /// Counts what is answered.
    pub requests: RequestCounts,
}

impl ServerConfig {
    /// Defaults for an address: no TLS, no further names.
    pub fn new(bind: SocketAddr) -> Self {
        Self {
            bind,
            tls: None,
            insecure: false,
            allowed_hosts: Vec::new(),
            limits: ConnectionLimits::default(),
            requests: RequestCounts::default(),
        }
    }
}

/// The server did not start.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// The token would cross the network in the clear.
    #[error("{bind} can be reached from the network: serve it with TLS, or say --insecure if you know what listens")]
    NeedsTls {
        /// The address.
        bind: SocketAddr,
    },
    /// The system refused the address.
    #[error("cannot listen on {bind}: {source}")]
    Bind {
        /// The address.
        bind: SocketAddr,
        /// Why.
        source: io::Error,
    },
}

/// A server that runs.
#[derive(Debug)]
pub struct Running {
    served: Served,
    task: tokio::task::JoinHandle<()>,
}

impl Running {
    /// The address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.served.address
    }

    /// The address for a browser: that of the interface towards the network where it listens on all of them.
    pub fn url(&self) -> String {
        self.served.url()
    }

    /// Returns when the server has ended after its shutdown was triggered.
    pub async fn ended(self) {
        if let Err(error) = self.task.await {
            tracing::error!(%error, "the management server ended early");
        }
    }
}

/// Serves `router` until `shutdown` is triggered: then connections finish what they answer, event streams end, and what
/// is left after the grace period is cut. Needs a Tokio runtime.
///
/// # Errors
/// When the address cannot be listened on, or would be served to the network without TLS.
pub async fn serve(config: ServerConfig, router: axum::Router, shutdown: Shutdown) -> Result<Running, ServeError> {
    let ServerConfig { bind, tls, insecure, allowed_hosts, limits, requests } = config;
    if !bind.ip().is_loopback() && tls.is_none() && !insecure {
        return Err(ServeError::NeedsTls { bind });
    }
    let refused = |source| ServeError::Bind { bind, source };
    let listener = TcpListener::bind(bind).await.map_err(refused)?;
    let address = listener.local_addr().map_err(refused)?;
    let served = Served { address, tls: tls.is_some() };
    let gate = Gate { hosts: Hosts::new(bind.ip(), &allowed_hosts), limits, requests, served, router };
    let server = Server { gate: Arc::new(gate), tls: tls.map(TlsAcceptor::from), limits };
    let task = tokio::spawn(server.run(listener, shutdown));
    Ok(Running { served, task })
}

struct Server {
    gate: Arc<Gate>,
    tls: Option<TlsAcceptor>,
    limits: ConnectionLimits,
}

impl Server {
    async fn run(self, listener: TcpListener, shutdown: Shutdown) {
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = shutdown.triggered() => break,
                accepted = self.accept(&listener, &slots) => accepted,
                // Finished connections are forgotten as they end.
                Some(_) = connections.join_next() => continue,
            };
            match accepted {
                Ok((stream, slot)) => {
                    let connection = self.connection(stream, graceful.watcher());
                    connections.spawn(async move {
                        connection.await;
                        drop(slot);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "the system refused a connection");
                    tokio::time::sleep(REFUSED_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(self.limits.grace, graceful.shutdown()).await.is_err() {
            tracing::warn!(left = connections.len(), "connections did not end in time and are cut");
        }
        connections.shutdown().await;
    }

    /// A connection and its slot, as soon as both are there.
    async fn accept(
        &self,
        listener: &TcpListener,
        slots: &Arc<Semaphore>,
    ) -> io::Result<(TcpStream, OwnedSemaphorePermit)> {
        let slot = Arc::clone(slots).acquire_owned().await.expect("the semaphore is never closed");
        let (stream, _) = listener.accept().await?;
        // Events are small and should leave at once. A socket that refuses this is about to fail anyway.
        stream.set_nodelay(true).ok();
        Ok((stream, slot))
    }

    /// Serves one connection; every error on it is the client's and ends it.
    fn connection(&self, stream: TcpStream, watcher: Watcher) -> impl Future<Output = ()> + Send + use<> {
        let (gate, tls, limits) = (Arc::clone(&self.gate), self.tls.clone(), self.limits);
        async move {
            let stream = Patient::new(stream, limits.write_timeout);
            let outcome = match tls {
                None => http(stream, gate, limits, watcher).await,
                Some(acceptor) => match tokio::time::timeout(limits.header_timeout, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => http(stream, gate, limits, watcher).await,
                    Ok(Err(error)) => return tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => return tracing::debug!("a TLS handshake took too long"),
                },
            };
            if let Err(error) = outcome {
                tracing::debug!(%error, "a connection ended early");
            }
        }
    }
}

async fn http<S>(stream: S, gate: Arc<Gate>, limits: ConnectionLimits, watcher: Watcher) -> hyper::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let gate = Arc::clone(&gate);
        async move { Ok::<Response, Infallible>(gate.answer(request.map(axum::body::Body::new)).await) }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        // Up to here the gate answers with the envelope; beyond it, hyper without one.
        .max_buf_size(64 << 10)
        .max_headers(256)
        .serve_connection(TokioIo::new(stream), service);
    watcher.watch(connection).await
}
