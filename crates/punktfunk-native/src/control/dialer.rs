//! The client's end, for callers that block: connects, asks for a stream, passes on what the data plane says.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread::JoinHandle;
use std::time::Duration;

use crossbeam_channel::{Receiver, bounded};
use quinn::{Connection, ConnectionError, Endpoint};
use tokio::runtime::{Builder, Handle, Runtime};

use super::tls::{self, Accept};
use super::wire::{MessageReader, MessageWriter, ReadError, WriteError};
use super::{ALPN, CloseCode};
use crate::client::{ClientStreamConfig, Dial, Granted, ReceiverConfig};
use crate::identity::{Fingerprint, Identity, SERVER_NAME};
use crate::message::{ClientMessage, FromClient, FromHost, Hello, StreamGrant, StreamRequest, VERSION};

/// Time that a host has to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Time that a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(1);

/// Silence after which a connection is given up.
const IDLE: Duration = Duration::from_secs(10);

/// Messages that wait for the connection.
const WAITING_MESSAGES: usize = 64;

/// Whom to call, as whom, and for what.
#[derive(Debug, Clone)]
pub struct DialerConfig {
    /// The host's control address, `name:port`.
    pub host: String,
    /// What the client calls itself.
    pub name: String,
    /// Who the client is.
    pub identity: Identity,
    /// The certificate that the host must show.
    pub pinned: Fingerprint,
    /// The stream to ask for.
    pub request: StreamRequest,
    /// How to receive it.
    pub receiver: ReceiverConfig,
}

/// Why there is no stream.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// The name does not lead to an address.
    #[error("{host}: {source}")]
    Name {
        /// What was to be called.
        host: String,
        /// What the resolver says.
        source: io::Error,
    },
    /// The client's own socket or identity cannot be used.
    #[error("no call can be made: {0}")]
    Local(String),
    /// Nobody answered, or not as the host that was paired with.
    #[error("no connection: {0}")]
    Connection(#[from] ConnectionError),
    /// Nobody answered in time.
    #[error("the host did not answer in time")]
    TimedOut,
    /// The host does not know this client, or no longer.
    #[error("this client is not paired with the host: pair first")]
    NotPaired,
    /// The host answered and gives no stream.
    #[error("the host gives no stream: {0}")]
    Refused(String),
    /// What the host said could not be understood, or it hung up.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The host could not be told anything.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The host said something that does not belong there.
    #[error("the host speaks another version of the protocol")]
    Protocol,
}

/// Calls one host, as often as need be. Dropping it waits, for a moment, until goodbyes are said.
#[derive(Debug)]
pub struct Dialer {
    config: DialerConfig,
    runtime: Runtime,
    endpoint: Option<Endpoint>,
    speakers: Vec<JoinHandle<()>>,
}

impl Dialer {
    /// A dialer with a small runtime of its own.
    ///
    /// # Errors
    /// When no runtime can be had.
    pub fn new(config: DialerConfig) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("control").enable_all().build()?;
        Ok(Self { config, runtime, endpoint: None, speakers: Vec::new() })
    }

    fn endpoint(&mut self, to: SocketAddr) -> Result<Endpoint, DialError> {
        if let Some(endpoint) = &self.endpoint {
            return Ok(endpoint.clone());
        }
        // An endpoint lives on the runtime that it is made on.
        let _entered = self.runtime.enter();
        let endpoint = client_endpoint(to, &self.config.identity, Accept::Only(self.config.pinned), ALPN)?;
        self.endpoint = Some(endpoint.clone());
        Ok(endpoint)
    }
}

/// A client's endpoint for one protocol. Needs a runtime.
pub(crate) fn client_endpoint(
    to: SocketAddr,
    identity: &Identity,
    accept: Accept,
    alpn: &[u8],
) -> Result<Endpoint, DialError> {
    let local = |error: &dyn std::fmt::Display| DialError::Local(error.to_string());
    let config = tls::client_config(identity, accept, alpn, IDLE).map_err(|error| local(&error))?;
    let any: SocketAddr = if to.is_ipv4() { ([0; 4], 0).into() } else { ([0; 16], 0).into() };
    let mut endpoint = Endpoint::client(any).map_err(|error| local(&error))?;
    endpoint.set_default_client_config(config);
    Ok(endpoint)
}

/// The first address of `name:port`.
pub(crate) fn resolve(host: &str) -> Result<SocketAddr, DialError> {
    let name = |source| DialError::Name { host: host.to_owned(), source };
    let first = host.to_socket_addrs().map_err(name)?.next();
    first.ok_or_else(|| name(io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

impl Dial for Dialer {
    type Error = DialError;

    fn dial(&mut self) -> Result<Granted, DialError> {
        let address = resolve(&self.config.host)?;
        let endpoint = self.endpoint(address)?;
        let call = call(&endpoint, address, &self.config);
        let called = self.runtime.block_on(async { tokio::time::timeout(PATIENCE, call).await });
        let (connection, reader, writer, grant) = called.map_err(|_elapsed| DialError::TimedOut)??;
        let keys = tls::data_keys(&connection, grant.stream_id);
        let data = SocketAddr::new(address.ip(), grant.data_port);
        let receiver = self.config.receiver.clone();
        let stream = ClientStreamConfig { receiver, ..ClientStreamConfig::new(grant.stream_id, keys, data) };
        let (control, messages) = bounded(WAITING_MESSAGES);
        let (handle, speaking) = (self.runtime.handle().clone(), connection.clone());
        self.runtime.spawn(listen(reader));
        let speaker = std::thread::Builder::new()
            .name("speak".to_owned())
            .spawn(move || speak(&handle, &speaking, writer, &messages))
            .map_err(|error| DialError::Local(error.to_string()))?;
        self.speakers.push(speaker);
        let rtt = Box::new(move || connection.close_reason().is_none().then(|| connection.rtt()));
        Ok(Granted { stream, control, rtt })
    }
}

impl Drop for Dialer {
    fn drop(&mut self) {
        for speaker in self.speakers.drain(..) {
            if speaker.join().is_err() {
                tracing::error!("a thread of the control connection panicked");
            }
        }
        if let Some(endpoint) = self.endpoint.take() {
            let idle = async { tokio::time::timeout(GOODBYE, endpoint.wait_idle()).await };
            if self.runtime.block_on(idle).is_err() {
                tracing::debug!("the host did not hear the goodbye; it will notice the silence");
            }
        }
    }
}

type Call = (Connection, MessageReader, MessageWriter, StreamGrant);

async fn call(endpoint: &Endpoint, address: SocketAddr, config: &DialerConfig) -> Result<Call, DialError> {
    let connecting = endpoint.connect(address, SERVER_NAME).map_err(|error| DialError::Local(error.to_string()))?;
    let connection = connecting.await?;
    match ask(&connection, config).await {
        Ok((reader, writer, grant)) => Ok((connection, reader, writer, grant)),
        // Under TLS 1.3 a client that is turned away has connected first; the close says why.
        Err(error) => Err(match connection.close_reason() {
            Some(ConnectionError::ApplicationClosed(close)) if close.error_code == CloseCode::NotPaired.code() => {
                DialError::NotPaired
            }
            _ => {
                connection.close(CloseCode::Done.code(), b"");
                error
            }
        }),
    }
}

async fn ask(
    connection: &Connection,
    config: &DialerConfig,
) -> Result<(MessageReader, MessageWriter, StreamGrant), DialError> {
    let (send, receive) = connection.open_bi().await?;
    let mut reader = MessageReader::new(receive);
    let mut writer = MessageWriter::new(send, PATIENCE);
    writer.send(&FromClient::Hello(Hello { version: VERSION, name: config.name.clone() })).await?;
    match reader.next::<FromHost>().await? {
        FromHost::Welcome(hello) if hello.version == VERSION => {}
        _ => return Err(DialError::Protocol),
    }
    writer.send(&FromClient::Start(config.request)).await?;
    match reader.next::<FromHost>().await? {
        FromHost::Granted(grant) => Ok((reader, writer, grant)),
        FromHost::Refused { reason } => Err(DialError::Refused(reason)),
        _ => Err(DialError::Protocol),
    }
}

/// Hears why the host ends the stream; that it has ended, the data plane notices by itself.
async fn listen(mut reader: MessageReader) {
    loop {
        match reader.next::<FromHost>().await {
            Ok(FromHost::Ended { reason }) => tracing::info!(%reason, "the host ended the stream"),
            Ok(_) => tracing::debug!("the host spoke out of turn"),
            Err(error) => {
                tracing::debug!(%error, "the host says no more");
                return;
            }
        }
    }
}

/// Passes messages on until `Stop` was said, nobody can say anything any more, or the connection is gone; then hangs up.
fn speak(handle: &Handle, connection: &Connection, mut writer: MessageWriter, messages: &Receiver<ClientMessage>) {
    for message in messages {
        let last = message == ClientMessage::Stop;
        if let Err(error) = handle.block_on(writer.send(&FromClient::Stream(message))) {
            tracing::debug!(%error, "the control connection is gone");
            break;
        }
        if last {
            break;
        }
    }
    let goodbye = async { tokio::time::timeout(GOODBYE, writer.finish()).await };
    if handle.block_on(goodbye).is_err() {
        tracing::debug!("the host did not acknowledge the goodbye");
    }
    connection.close(CloseCode::Done.code(), b"");
}
