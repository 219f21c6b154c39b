//! A client on a real socket: whole requests by hyper, raw bytes for those who do not keep to the protocol, and the events
//! of a stream.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderMap, Request, StatusCode};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::{Answer, Rig};

/// Longer than any answer takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(20);

/// Waits for what must come.
pub async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, what).await.expect("it comes in time")
}

pub async fn connect(address: SocketAddr) -> TcpStream {
    TcpStream::connect(address).await.unwrap()
}

/// Sends one request on a connection of its own; the head of the answer, and its body as it comes.
pub async fn ask<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<hyper::Response<Incoming>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    tokio::spawn(connection);
    soon(sender.send_request(request)).await
}

/// The same with the whole body.
pub async fn whole<S>(stream: S, request: Request<Full<Bytes>>) -> hyper::Result<Answer>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (parts, body) = ask(stream, request).await?.into_parts();
    let body = soon(body.collect()).await?.to_bytes().to_vec();
    Ok(Answer { status: parts.status, headers: parts.headers, body })
}

/// A request of the operator's.
pub fn get(rig: &Rig, path: &str) -> Request<Full<Bytes>> {
    let bearer = format!("Bearer {}", rig.operator());
    Request::get(path).header("host", "localhost").header("authorization", bearer).body(Full::default()).unwrap()
}

/// The head of a request as text, open for further fields.
pub fn head(rig: &Rig, start: &str) -> String {
    format!("{start} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {}\r\n", rig.operator())
}

/// Everything that the server sends until it closes; a reset is an end as well.
pub async fn rest(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
    let mut bytes = Vec::new();
    soon(stream.read_to_end(&mut bytes)).await.ok();
    bytes
}

/// Sends raw bytes on a connection of its own and takes what the server says before it closes.
pub async fn raw(address: SocketAddr, bytes: &[u8]) -> Answer {
    said(address, bytes).await.expect("the server answers before it closes")
}

/// The same; `None` if it closes without a word.
pub async fn said(address: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    let mut stream = connect(address).await;
    // The server may have answered and closed before it has read everything.
    stream.write_all(bytes).await.ok();
    let heard = rest(&mut stream).await;
    (!heard.is_empty()).then(|| parse(&heard))
}

/// An answer as it was on the wire.
pub fn parse(bytes: &[u8]) -> Answer {
    let text = String::from_utf8_lossy(bytes);
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
    let mut headers = HeaderMap::new();
    for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
        headers.insert(name.parse::<axum::http::HeaderName>().unwrap(), value.parse().unwrap());
    }
    let status = StatusCode::from_u16(status.unwrap()).unwrap();
    Answer { status, headers, body: body.as_bytes().to_vec() }
}

/// An open event stream.
pub struct Events {
    body: Incoming,
    buffer: String,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    pub name: String,
    pub id: String,
    pub data: Value,
}

impl Event {
    /// Place in the capture: how many samples and markers stand before and with it.
    pub fn place(&self) -> usize {
        self.id.rsplit_once('/').unwrap().1.parse().unwrap()
    }

    /// The capture that it belongs to.
    pub fn capture(&self) -> &str {
        self.id.rsplit_once('/').unwrap().0
    }

    pub fn is(&self, name: &str) -> bool {
        self.name == name
    }
}

impl Events {
    /// Opens the stream, behind `last` if it is given.
    pub async fn open(rig: &Rig, address: SocketAddr, last: Option<&str>) -> Self {
        let mut request = get(rig, "/api/v1/stats/capture/stream");
        if let Some(last) = last {
            request.headers_mut().insert("last-event-id", last.parse().unwrap());
        }
        Self::of(ask(connect(address).await, request).await.unwrap())
    }

    /// The stream that an answer is.
    pub fn of(response: hyper::Response<Incoming>) -> Self {
        assert_eq!(
            (response.status(), &response.headers()["content-type"]),
            (StatusCode::OK, &"text/event-stream".parse().unwrap())
        );
        assert!(!response.headers().contains_key("content-encoding"));
        Self { body: response.into_body(), buffer: String::new() }
    }

    /// The next event; `None` if the server has ended the stream. Comments are passed by.
    pub async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some((block, behind)) = self.buffer.split_once("\n\n") {
                let field = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
                let event = field("data").map(|data| Event {
                    name: field("event").unwrap().to_owned(),
                    id: field("id").unwrap().to_owned(),
                    data: serde_json::from_str(data).unwrap(),
                });
                self.buffer = behind.to_owned();
                if event.is_some() {
                    return event;
                }
                continue;
            }
            let frame = soon(self.body.frame()).await?.unwrap();
            self.buffer.push_str(std::str::from_utf8(frame.data_ref().unwrap()).unwrap());
        }
    }

    /// Events up to and with the first that is wanted.
    pub async fn until(&mut self, wanted: impl Fn(&Event) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        loop {
            let event = self.next().await.expect("the stream goes on");
            let found = wanted(&event);
            events.push(event);
            if found {
                return events;
            }
        }
    }
}
