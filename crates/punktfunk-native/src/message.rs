//! What client and host say to each other over the control connection: the messages, and how one becomes bytes.
//!
//! A message on the wire is its length (four bytes, big-endian, at most [`MAX_MESSAGE_BYTES`]) and then JSON. The
//! version in [`Hello`] covers all of it: both ends speak the same one or part. Nothing here reads or writes a stream.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Version of the control messages. Ends that speak different ones part at the hello.
pub const VERSION: u32 = 1;

/// Longest message, bytes of JSON. The longest genuine one is below 1 kB.
pub const MAX_MESSAGE_BYTES: usize = 8 * 1024;

/// Bytes of the length in front of each message.
pub const LENGTH_BYTES: usize = 4;

/// The first thing that each end says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// [`VERSION`] of the one who speaks.
    pub version: u32,
    /// What it calls itself.
    pub name: String,
}

/// A stream as a client would like it. The grant says what it gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamRequest {
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// Bits a second that the encoder should start with.
    pub bitrate_bps: u64,
}

/// A stream as the host gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamGrant {
    /// The host's name of the session (`s3`), as in its recordings.
    pub session_id: String,
    /// Id of the stream on the wire. The control server chooses it and binds the keys to it.
    pub stream_id: u32,
    /// Pixels.
    pub width: u32,
    /// Pixels.
    pub height: u32,
    /// Frames a second.
    pub fps: u32,
    /// Bits a second that the encoder starts with.
    pub bitrate_bps: u64,
    /// Short name of the codec.
    pub codec: String,
    /// Parity in percent of a block's data.
    pub fec_percent: u8,
    /// UDP port of the host that frames come from and contacts go to.
    pub data_port: u16,
}

/// All that a client says on a control connection.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromClient {
    /// First, and once.
    Hello(Hello),
    /// Asks for a stream. One at a time.
    Start(StreamRequest),
    /// About the stream that runs.
    Stream(ClientMessage),
}

/// All that a host says on a control connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FromHost {
    /// Answers the hello.
    Welcome(Hello),
    /// Answers a start: the stream begins with the client's first contact on the data port.
    Granted(StreamGrant),
    /// Answers a start that is not granted. The connection stays; another one may be.
    Refused {
        /// For the user.
        reason: String,
    },
    /// The stream is over.
    Ended {
        /// For the user.
        reason: String,
    },
}

/// What a client says while its stream runs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// The picture is broken: the next frame should be an IDR.
    RequestIdr,
    /// The encoder should aim at this rate.
    SetBitrate {
        /// Bits a second.
        bps: u64,
    },
    /// Figures of the client's last window.
    Report(ClientReport),
    /// The stream is no longer wanted.
    Stop,
}

/// What a client measured in one window. A figure that it cannot know stays `None`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClientReport {
    /// Length of the window, µs.
    pub window_us: u64,
    /// Packets received.
    pub received: u64,
    /// Packets missing.
    pub lost: u64,
    /// Data shards rebuilt from parity.
    pub recovered: u64,
    /// Frames that came whole and can be decoded.
    pub frames_complete: u64,
    /// Frames that did not come whole, or came after one that they refer to was lost.
    pub frames_lost: u64,
    /// Round-trip time, µs.
    pub rtt_us: Option<f64>,
    /// Median way from capture to complete arrival, above the shortest one of the stream, µs.
    pub one_way_us: Option<f64>,
    /// Median time to decode a frame, µs.
    pub decode_p50_us: Option<f64>,
    /// 99th percentile of the time to decode a frame, µs.
    pub decode_p99_us: Option<f64>,
}

/// Why bytes are not a message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It is longer than any message may be.
    #[error("a message of {length} bytes; {MAX_MESSAGE_BYTES} are the most")]
    TooLong {
        /// What its length says.
        length: usize,
    },
    /// It is not JSON, or not of the right shape.
    #[error("not a message: {0}")]
    Json(#[from] serde_json::Error),
}

/// Some text in a message is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a message of {length} bytes cannot be sent; {MAX_MESSAGE_BYTES} are the most")]
pub struct MessageTooLong {
    /// How long it would be.
    pub length: usize,
}

/// A message with its length in front.
///
/// # Errors
/// When it is longer than [`MAX_MESSAGE_BYTES`].
pub fn encode<M: Serialize>(message: &M) -> Result<Vec<u8>, MessageTooLong> {
    let json = serde_json::to_vec(message).expect("messages have string keys only");
    let length = json.len();
    let prefix = u32::try_from(length).ok().filter(|_| length <= MAX_MESSAGE_BYTES).ok_or(MessageTooLong { length })?;
    Ok([prefix.to_be_bytes().as_slice(), &json].concat())
}

/// Takes the first whole message from `buffer`; `None` if more bytes are needed.
///
/// # Errors
/// When it is too long, which its length says before it has come, or not a message.
pub fn take<M: DeserializeOwned>(buffer: &mut Vec<u8>) -> Result<Option<M>, DecodeError> {
    let Some(prefix) = buffer.first_chunk::<LENGTH_BYTES>() else { return Ok(None) };
    let length = usize::try_from(u32::from_be_bytes(*prefix)).unwrap_or(usize::MAX);
    if length > MAX_MESSAGE_BYTES {
        return Err(DecodeError::TooLong { length });
    }
    let end = LENGTH_BYTES + length;
    if buffer.len() < end {
        return Ok(None);
    }
    let message = serde_json::from_slice(&buffer[LENGTH_BYTES..end])?;
    buffer.drain(..end);
    Ok(Some(message))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn messages_come_out_as_they_went_in() {
        let message = FromClient::Stream(ClientMessage::SetBitrate { bps: 8_000_000 });
        let mut buffer = encode(&message).unwrap();
        buffer.extend(encode(&FromClient::Stream(ClientMessage::Stop)).unwrap());
        assert_eq!(take::<FromClient>(&mut buffer).unwrap(), Some(message));
        assert_eq!(take::<FromClient>(&mut buffer).unwrap(), Some(FromClient::Stream(ClientMessage::Stop)));
        assert_eq!(take::<FromClient>(&mut buffer).unwrap(), None);
    }

    #[test]
    fn a_length_that_is_too_large_is_refused_before_it_is_waited_for() {
        let mut buffer = u32::MAX.to_be_bytes().to_vec();
        assert!(matches!(take::<FromClient>(&mut buffer), Err(DecodeError::TooLong { .. })));
        assert!(encode(&"x".repeat(MAX_MESSAGE_BYTES)).is_err());
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_waited_for(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut buffer = bytes.clone();
            match take::<FromClient>(&mut buffer) {
                Ok(Some(_)) => prop_assert!(buffer.len() < bytes.len()),
                Ok(None) => prop_assert_eq!(buffer, bytes),
                Err(_) => {}
            }
        }
    }
}
