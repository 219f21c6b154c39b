//! A small HTTP client for the host's own API: one connection a request, the operator's token, the host's certificate.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::TcpStream;
use tokio_rustls::rustls::pki_types::ServerName;

use crate::config::HostConfig;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum CtlError {
    /// There is no token: no host has run with this directory.
    #[error("{path}: {source}; has a host been started with this configuration directory?")]
    Token {
        /// The token's file.
        path: String,
        /// Why it cannot be read.
        source: std::io::Error,
    },
    /// Nobody answers.
    #[error("no host answers at {address} ({source}); is `punktfunk-host serve` running?")]
    Unreachable {
        /// Where it was looked for.
        address: SocketAddr,
        /// Why it failed.
        source: std::io::Error,
    },
    /// TLS failed.
    #[error("the host at {address} does not show its certificate ({reason})")]
    Tls {
        /// Where.
        address: SocketAddr,
        /// What is wrong.
        reason: String,
    },
    /// The connection broke.
    #[error("the connection to the host broke: {0}")]
    Broken(#[from] hyper::Error),
    /// The host refused.
    #[error("{message} ({status})")]
    Refused {
        /// Its status.
        status: StatusCode,
        /// Its words.
        message: String,
    },
    /// The host answered something else than its API promises.
    #[error("the host's answer cannot be read: {0}; do host and ctl have the same version?")]
    Answer(String),
    /// A query of `ctl query`.
    #[error("{0}")]
    Query(String),
    /// The answer could not be written.
    #[error("{path}: {source}")]
    Output {
        /// Where to.
        path: String,
        /// Why not.
        source: std::io::Error,
    },
}

/// Where the host is and what lets us in.
pub(super) struct Client {
    address: SocketAddr,
    token: String,
    tls: Option<tokio_rustls::TlsConnector>,
}

/// A whole answer.
pub(super) struct Answer(Bytes);

impl Answer {
    pub(super) fn of(value: &serde_json::Value) -> Self {
        Self(Bytes::from(value.to_string()))
    }

    pub(super) fn parse<T: DeserializeOwned>(&self) -> Result<T, CtlError> {
        parse(&self.0)
    }

    pub(super) fn text(&self) -> Result<&str, CtlError> {
        std::str::from_utf8(&self.0).map_err(|error| CtlError::Answer(error.to_string()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub(super) fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, CtlError> {
    serde_json::from_slice(bytes).map_err(|error| CtlError::Answer(error.to_string()))
}

/// Text as one segment of a path or one value of a query.
pub(super) fn segment(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(byte.into());
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}

impl Client {
    /// Looks for the host that this configuration describes.
    pub(super) fn new(config: &HostConfig, directory: &Path) -> Result<Self, CtlError> {
        let path = directory.join("mgmt-token");
        let token = std::fs::read_to_string(&path)
            .map_err(|source| CtlError::Token { path: path.display().to_string(), source })?
            .trim()
            .to_owned();
        let bind = config.mgmt.bind;
        let ip = match bind.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let address = SocketAddr::new(ip, bind.port());
        let tls = if bind.ip().is_loopback() || config.mgmt.insecure {
            None
        } else {
            Some(
                crate::tls::connector(directory)
                    .map_err(|reason| CtlError::Tls { address, reason: reason.to_string() })?,
            )
        };
        Ok(Self { address, token, tls })
    }

    pub(super) async fn get(&self, path: &str) -> Result<Answer, CtlError> {
        self.whole(Method::GET, path, None).await
    }

    pub(super) async fn delete(&self, path: &str) -> Result<Answer, CtlError> {
        self.whole(Method::DELETE, path, None).await
    }

    pub(super) async fn post<T: Serialize>(&self, path: &str, body: &T) -> Result<Answer, CtlError> {
        let body = serde_json::to_vec(body).map_err(|error| CtlError::Answer(error.to_string()))?;
        self.whole(Method::POST, path, Some(body)).await
    }

    pub(super) async fn put<T: Serialize>(&self, path: &str, body: &T) -> Result<Answer, CtlError> {
        let body = serde_json::to_vec(body).map_err(|error| CtlError::Answer(error.to_string()))?;
        self.whole(Method::PUT, path, Some(body)).await
    }

    /// Sends JSON as it is.
    pub(super) async fn post_bytes(&self, path: &str, body: Vec<u8>) -> Result<Answer, CtlError> {
        self.whole(Method::POST, path, Some(body)).await
    }

    /// Opens an event stream.
    pub(super) async fn events(&self, path: &str) -> Result<Events, CtlError> {
        let response = self.request(Method::GET, path, None).await?;
        Ok(Events { body: response.into_body(), buffer: Vec::new() })
    }

    async fn whole(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Answer, CtlError> {
        let response = self.request(method, path, body).await?;
        Ok(Answer(response.into_body().collect().await?.to_bytes()))
    }

    /// Sends a request; anything but success is an error with the host's own words.
    async fn request(&self, method: Method, path: &str, body: Option<Vec<u8>>) -> Result<Response<Incoming>, CtlError> {
        let unreachable = |source| CtlError::Unreachable { address: self.address, source };
        let stream = TcpStream::connect(self.address).await.map_err(unreachable)?;
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1/{path}"))
            .header(header::HOST, self.address.to_string())
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token));
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request
            .body(Full::new(Bytes::from(body.unwrap_or_default())))
            .map_err(|error| CtlError::Answer(error.to_string()))?;
        let response = match &self.tls {
            None => exchange(TokioIo::new(stream), request).await?,
            Some(connector) => {
                let name = ServerName::IpAddress(self.address.ip().into());
                let stream = connector.connect(name, stream).await;
                let stream =
                    stream.map_err(|error| CtlError::Tls { address: self.address, reason: error.to_string() })?;
                exchange(TokioIo::new(stream), request).await?
            }
        };
        let status = response.status();
        if status.is_success() {
            return Ok(response);
        }
        let body = response.into_body().collect().await?.to_bytes();
        let envelope: serde_json::Value = serde_json::from_slice(&body).unwrap_or_default();
        let message = envelope["error"].as_str().unwrap_or("the host gave no reason").to_owned();
        Err(CtlError::Refused { status, message })
    }
}

async fn exchange<I>(io: I, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, CtlError>
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await?;
    // The connection's own error reaches us through the response.
    tokio::spawn(connection);
    Ok(sender.send_request(request).await?)
}

/// One server-sent event.
pub(super) struct Event {
    pub(super) name: String,
    pub(super) data: String,
}

/// A stream of server-sent events (WHATWG HTML, "Server-sent events").
pub(super) struct Events {
    body: Incoming,
    buffer: Vec<u8>,
}

impl Events {
    /// The next event with data; `None` when the host ends the stream.
    pub(super) async fn next(&mut self) -> Result<Option<Event>, CtlError> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|pair| pair == b"\n\n") {
                let block: Vec<u8> = self.buffer.drain(..end + 2).collect();
                if let Some(event) = event(&String::from_utf8_lossy(&block)) {
                    return Ok(Some(event));
                }
                continue;
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame?.into_data() {
                        self.buffer.extend_from_slice(&data);
                    }
                }
            }
        }
    }
}

fn event(block: &str) -> Option<Event> {
    let mut event = Event { name: String::from("message"), data: String::new() };
    for line in block.lines() {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match field {
            "event" => event.name = value.to_owned(),
            "data" if event.data.is_empty() => event.data = value.to_owned(),
            "data" => event.data = format!("{}\n{value}", event.data),
            _ => {}
        }
    }
    (!event.data.is_empty()).then_some(event)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_name_and_its_lines_of_data() {
        let event = event("id: a/1\nevent: sample\ndata: {\ndata: }\n\n").unwrap();
        assert_eq!((event.name.as_str(), event.data.as_str()), ("sample", "{\n}"));
        assert!(super::event(": keep-alive\n\n").is_none());
    }

    #[test]
    fn segments_cannot_leave_their_place() {
        assert_eq!(segment("../a b?c#d%"), "..%2Fa%20b%3Fc%23d%25");
    }
}
