//! How a launched client learns the ports and says what it wants: a few RTSP requests, a connection for each.
//!
//! Without a launch there is nothing to be learnt, and the launch is the address's that made it.

mod announce;
mod message;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use announce::fuzz as fuzz_announce;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use message::fuzz as fuzz_message;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

pub(crate) use announce::Announced;
use message::{ParseError, Request, Response};

use crate::listen;
use crate::session::{Handshake, PlayError, Sessions};

/// Longest life of a connection.
const LIFE: Duration = Duration::from_secs(10);

/// What a refused client may still send before the connection is closed, so that it reads why.
const LAST_WORDS: Duration = Duration::from_millis(250);

/// Ports that SETUP tells.
#[derive(Debug, Clone, Copy)]
pub(crate) struct MediaPorts {
    pub(crate) video: u16,
    pub(crate) control: u16,
    pub(crate) audio: u16,
}

/// What this host can do, as DESCRIBE says it. H.264 alone, stereo; sealed control and video; no invalidation of reference
/// pictures, so that every loss is a request for an IDR.
const DESCRIPTION: &str = "a=x-ss-general.featureFlags:0\r\n\
    a=x-ss-general.encryptionSupported:3\r\n\
    a=x-ss-general.encryptionRequested:1\r\n\
    a=fmtp:97 surround-params=21101\r\n";

/// Serves the listener until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, sessions: Arc<Sessions>, ports: MediaPorts) {
    listen::each(listener, LIFE, move |stream, from| {
        connection(stream, listen::canonical(from), Arc::clone(&sessions), ports)
    })
    .await;
}

async fn connection(mut stream: TcpStream, from: SocketAddr, sessions: Arc<Sessions>, ports: MediaPorts) {
    let mut sequence = None;
    // Before a word is read: strangers have no say here.
    let answered = if sessions.expects(from.ip()) {
        match read(&mut stream).await {
            Ok(Some(request)) => {
                sequence = Some(request.sequence);
                answer(&request, &sessions, ports).await
            }
            Ok(None) => return,
            Err(error) => Err(error.into()),
        }
    } else {
        Err(Refusal::not_launched())
    };
    let response = answered.unwrap_or_else(|Refusal { status, reason, why }| {
        tracing::warn!(peer = %from, status, why, "an RTSP request was refused");
        Response::status(status, reason)
    });
    let sent = stream.write_all(&response.encode(sequence)).await;
    if let Err(error) = sent.and(stream.shutdown().await) {
        tracing::debug!(%error, peer = %from, "an RTSP client did not wait for its answer");
    }
    // Bytes left unread would make the system take the answer back.
    let mut rest = [0; 4096];
    let drained = async { while stream.read(&mut rest).await.is_ok_and(|count| count > 0) {} };
    if tokio::time::timeout(LAST_WORDS, drained).await.is_err() {
        tracing::debug!(peer = %from, "an RTSP client did not hang up");
    }
}

/// What a client gets instead of an answer, and why: the one is for the client, the other for the log.
struct Refusal {
    status: u16,
    reason: &'static str,
    why: String,
}

impl Refusal {
    fn new(status: u16, reason: &'static str, why: impl ToString) -> Self {
        Self { status, reason, why: why.to_string() }
    }

    fn not_launched() -> Self {
        Self::new(454, "Session Not Found", "nothing was launched from this address")
    }
}

impl From<ParseError> for Refusal {
    fn from(error: ParseError) -> Self {
        match error {
            ParseError::Head | ParseError::Form => Self::new(400, "Bad Request", error),
            ParseError::Body => Self::new(413, "Request Entity Too Large", error),
        }
    }
}

/// One request; `None` when the client went away.
async fn read(stream: &mut TcpStream) -> Result<Option<Request>, ParseError> {
    let mut bytes = Vec::with_capacity(1024);
    // The parser refuses before more than its limits are here.
    loop {
        if let Some(request) = Request::parse(&bytes)? {
            return Ok(Some(request));
        }
        match stream.read_buf(&mut bytes).await {
            Ok(0) | Err(_) => return Ok(None),
            Ok(_) => {}
        }
    }
}

async fn answer(request: &Request, sessions: &Arc<Sessions>, ports: MediaPorts) -> Result<Response, Refusal> {
    match request.method.as_str() {
        "OPTIONS" => Ok(Response::ok()),
        "DESCRIBE" => Ok(Response { body: DESCRIPTION.to_owned(), ..Response::ok() }),
        "SETUP" => {
            let Handshake { ping_payload, connect_data } = sessions.handshake().ok_or_else(Refusal::not_launched)?;
            setup(&request.target, ports, &ping_payload, connect_data)
        }
        "ANNOUNCE" => {
            let announced = Announced::parse(&request.body).map_err(|error| Refusal::new(400, "Bad Request", error))?;
            if sessions.announce(announced) { Ok(Response::ok()) } else { Err(Refusal::not_launched()) }
        }
        "PLAY" => {
            let refused = |error| Refusal::new(455, "Method Not Valid in This State", error);
            play(sessions).await.map(|()| Response::ok()).map_err(refused)
        }
        _ => Err(Refusal::new(501, "Not Implemented", "there is no such method")),
    }
}

/// It may wait for the end of an older session's thread.
async fn play(sessions: &Arc<Sessions>) -> Result<(), PlayError> {
    let sessions = Arc::clone(sessions);
    let played = tokio::task::spawn_blocking(move || sessions.play()).await;
    played.unwrap_or_else(|failed| Err(PlayError::Io(failed.into())))
}

fn setup(target: &str, ports: MediaPorts, ping_payload: &str, connect_data: u32) -> Result<Response, Refusal> {
    let reply = |port: u16| {
        Response::ok().with("Session", "PUNKTFUNK;timeout = 90").with("Transport", format!("server_port={port}"))
    };
    let stream = target.strip_prefix("streamid=").and_then(|stream| stream.split('/').next());
    match stream {
        Some("audio") => Ok(reply(ports.audio).with("X-SS-Ping-Payload", ping_payload)),
        Some("video") => Ok(reply(ports.video).with("X-SS-Ping-Payload", ping_payload)),
        Some("control") => Ok(reply(ports.control).with("X-SS-Connect-Data", connect_data)),
        _ => Err(Refusal::new(404, "Not Found", "there is no such stream")),
    }
}
