//! One connection of a paired client: hello, then streams, one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crossbeam_channel::{Sender, TrySendError, bounded};
use quinn::Connection;
use tokio::sync::oneshot;

use super::wire::{MessageReader, MessageWriter, ReadError, WriteError};
use super::{ControlConfig, HostSender, Refusal, SessionHandler, SessionStart, tls};
use crate::message::{ClientMessage, FromClient, FromHost, Hello, StreamGrant, StreamRequest, VERSION};
use crate::pairing::PairedClient;

/// Why a connection was ended early.
#[derive(Debug, thiserror::Error)]
pub(super) enum ServeError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the connection is gone: {0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("the client said nothing in time")]
    Silent,
    #[error("the client speaks version {0} of the control messages")]
    Version(u32),
    #[error("the client spoke out of turn")]
    OutOfTurn,
}

/// Starts streams, each with an id that nobody else has.
pub(super) struct Grants {
    handler: Arc<dyn SessionHandler>,
    next_stream: AtomicU32,
}

/// A stream that was granted, as its connection holds it.
struct Running {
    grant: StreamGrant,
    messages: Sender<ClientMessage>,
    ended: oneshot::Receiver<String>,
}

impl Grants {
    pub(super) fn new(handler: Arc<dyn SessionHandler>) -> Self {
        Self { handler, next_stream: AtomicU32::new(1) }
    }

    async fn start(
        &self,
        connection: &Connection,
        client: &PairedClient,
        request: StreamRequest,
        waiting: usize,
    ) -> Result<Running, Refusal> {
        // Relaxed: a number that nobody else gets, publishing nothing.
        let stream_id = self.next_stream.fetch_add(1, Ordering::Relaxed);
        let (messages, inbox) = bounded(waiting);
        let (out, ended) = HostSender::new();
        let start = SessionStart {
            client: client.clone(),
            request,
            stream_id,
            keys: tls::data_keys(connection, stream_id),
            peer: connection.remote_address(),
            messages: inbox,
            out,
        };
        let handler = Arc::clone(&self.handler);
        match tokio::task::spawn_blocking(move || handler.start(start)).await {
            Ok(granted) => granted.map(|grant| Running { grant, messages, ended }),
            Err(error) => {
                tracing::error!(%error, "starting a stream failed");
                Err(Refusal::new("the host could not start the stream; its log says why"))
            }
        }
    }
}

/// Talks with a client until it says no more.
pub(super) async fn serve(
    connection: &Connection,
    client: &PairedClient,
    grants: &Grants,
    config: &ControlConfig,
) -> Result<(), ServeError> {
    let opened = tokio::time::timeout(config.patience, connection.accept_bi()).await;
    let (send, receive) = opened.map_err(|_elapsed| ServeError::Silent)??;
    let mut reader = MessageReader::new(receive);
    let mut writer = MessageWriter::new(send, config.patience);
    match reader.next_within::<FromClient>(config.patience).await? {
        FromClient::Hello(hello) if hello.version == VERSION => {}
        FromClient::Hello(hello) => return Err(ServeError::Version(hello.version)),
        _ => return Err(ServeError::OutOfTurn),
    }
    writer.send(&FromHost::Welcome(Hello { version: VERSION, name: config.name.clone() })).await?;
    loop {
        let request = match reader.next().await {
            Ok(FromClient::Start(request)) => request,
            // About a stream that has just ended.
            Ok(FromClient::Stream(_)) => continue,
            Ok(FromClient::Hello(_)) => return Err(ServeError::OutOfTurn),
            Err(ReadError::Closed) => return Ok(()),
            Err(error) => return Err(error.into()),
        };
        match grants.start(connection, client, request, config.waiting_messages).await {
            Err(refusal) => writer.send(&FromHost::Refused { reason: refusal.reason }).await?,
            Ok(running) => {
                writer.send(&FromHost::Granted(running.grant.clone())).await?;
                if !relay(connection, &mut reader, &mut writer, running).await? {
                    return Ok(());
                }
            }
        }
    }
}

/// Passes a stream's messages on until it is over; `false` once the client says no more. Leaving closes the channel, which
/// ends the stream.
async fn relay(
    connection: &Connection,
    reader: &mut MessageReader,
    writer: &mut MessageWriter,
    mut running: Running,
) -> Result<bool, ServeError> {
    loop {
        tokio::select! {
            ended = &mut running.ended => {
                let reason = ended.unwrap_or_else(|_dropped| "the stream is over".to_owned());
                writer.send(&FromHost::Ended { reason }).await?;
                return Ok(true);
            }
            message = reader.next::<FromClient>() => match message {
                Ok(FromClient::Stream(message)) => pass_on(connection, &running.messages, message),
                Ok(_) => return Err(ServeError::OutOfTurn),
                Err(ReadError::Closed) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

fn pass_on(connection: &Connection, messages: &Sender<ClientMessage>, mut message: ClientMessage) {
    if let ClientMessage::Report(report) = &mut message {
        // What the client says of it is not asked.
        report.rtt_us = Some(connection.rtt().as_secs_f64() * 1e6);
    }
    match messages.try_send(message) {
        // A stream that ends takes no more messages; that it has ended is told apart.
        Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        Err(TrySendError::Full(_)) => tracing::debug!("a client talks faster than its stream listens"),
    }
}
