//! What the protocol's ports have in common: TCP connections within limits, UDP without what an earlier session left.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// Connections that one port serves at a time. Further ones wait to be accepted.
const CONNECTIONS: usize = 64;

/// Datagrams that a socket's queue may hold: more than its buffer has room for, however small they are.
const QUEUED: usize = 4096;

/// Pause after the system refused a connection, for want of descriptors as a rule.
const REFUSED_PAUSE: Duration = Duration::from_millis(100);

/// Gives each connection to `serve`, and cuts it when `life` is over. Never returns; dropped, it cuts all of them.
pub(crate) async fn each<F, C>(listener: TcpListener, life: Duration, serve: F)
where
    F: Fn(TcpStream, SocketAddr) -> C,
    C: Future<Output = ()> + Send + 'static,
{
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
        match listener.accept().await {
            Ok((stream, from)) => {
                let connection = serve(stream, from);
                connections.spawn(async move {
                    if tokio::time::timeout(life, connection).await.is_err() {
                        tracing::debug!(peer = %from, "a connection took too long and was cut");
                    }
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "the system refused a connection");
                tokio::time::sleep(REFUSED_PAUSE).await;
            }
        }
        // Finished connections are forgotten.
        while connections.try_join_next().is_some() {}
    }
}

/// IPv4 addresses as such, also on a socket that takes both kinds.
pub(crate) fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// Empties a socket's queue: what an earlier session left there is not the next one's. A flood is not waited out.
pub(crate) fn discard(socket: &UdpSocket) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    for _ in 0..QUEUED {
        // An error says that nothing is left.
        if socket.recv_from(&mut [0]).is_err() {
            break;
        }
    }
    socket.set_nonblocking(false)
}
