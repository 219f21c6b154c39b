//! Control messages on QUIC streams. Reading can be abandoned and taken up again without losing a byte.

use std::time::Duration;

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::message::{self, DecodeError, MessageTooLong};

/// Bytes read at once.
const CHUNK: usize = 2048;

/// Why no message was read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The connection or the stream broke off.
    #[error("the connection is gone: {0}")]
    Connection(#[from] quinn::ReadError),
    /// What came is no message.
    #[error(transparent)]
    Message(#[from] DecodeError),
    /// The other end said no more, or stopped within a message.
    #[error("the other end has closed the conversation")]
    Closed,
    /// It took too long.
    #[error("the other end said nothing in time")]
    TimedOut,
}

/// Why a message was not sent.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The connection or the stream broke off.
    #[error("the connection is gone: {0}")]
    Connection(#[from] quinn::WriteError),
    /// Some text in it is too long.
    #[error(transparent)]
    Message(#[from] MessageTooLong),
    /// The other end does not read.
    #[error("the other end does not take its messages")]
    TimedOut,
}

/// Messages as they come.
pub(crate) struct MessageReader {
    stream: quinn::RecvStream,
    buffer: Vec<u8>,
}

impl MessageReader {
    pub(crate) fn new(stream: quinn::RecvStream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next message. Dropping the future loses nothing.
    pub(crate) async fn next<M: DeserializeOwned>(&mut self) -> Result<M, ReadError> {
        loop {
            // Never grows beyond one message and a chunk: a length that is too large is refused before it is waited for.
            if let Some(message) = message::take(&mut self.buffer)? {
                return Ok(message);
            }
            match self.stream.read_chunk(CHUNK, true).await? {
                Some(chunk) => self.buffer.extend_from_slice(&chunk.bytes),
                None => return Err(ReadError::Closed),
            }
        }
    }

    /// The next message, if it comes in time.
    pub(crate) async fn next_within<M: DeserializeOwned>(&mut self, patience: Duration) -> Result<M, ReadError> {
        tokio::time::timeout(patience, self.next()).await.unwrap_or(Err(ReadError::TimedOut))
    }
}

/// Messages as they go.
pub(crate) struct MessageWriter {
    stream: quinn::SendStream,
    patience: Duration,
}

impl MessageWriter {
    /// A message must be taken within `patience`.
    pub(crate) fn new(stream: quinn::SendStream, patience: Duration) -> Self {
        Self { stream, patience }
    }

    /// Sends a message. Must not be abandoned: a part of it may be gone.
    pub(crate) async fn send<M: Serialize>(&mut self, message: &M) -> Result<(), WriteError> {
        let bytes = message::encode(message)?;
        match tokio::time::timeout(self.patience, self.stream.write_all(&bytes)).await {
            Ok(written) => Ok(written?),
            Err(_elapsed) => Err(WriteError::TimedOut),
        }
    }

    /// Says that no more comes, and waits until the other end has it all, is gone, or takes too long.
    pub(crate) async fn finish(mut self) {
        if self.stream.finish().is_ok() && tokio::time::timeout(self.patience, self.stream.stopped()).await.is_err() {
            tracing::debug!("the other end did not acknowledge the last message");
        }
    }
}
