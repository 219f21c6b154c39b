//! OTLP over HTTP/1.1: <https://opentelemetry.io/docs/specs/otlp/#otlphttp>.

use std::io::Read;
use std::sync::Arc;
use std::time::SystemTime;

use bytes::Bytes;
use prost::Message;
use ureq::http::header::{CONTENT_TYPE, LOCATION, RETRY_AFTER};
use ureq::http::{HeaderMap, Response, StatusCode, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Error};

use super::answer::{self, plain, refused};
use super::authorities::Authorities;
use super::{Failure, Service, StartError};
use crate::config::{Compression, Limits, Target, redacted};

const PROTOBUF: &str = "application/x-protobuf";

/// The HTTP side of a target.
pub(crate) struct Http {
    agent: Agent,
    service: Service,
    url: Uri,
    shown: String,
    headers: HeaderMap,
    compression: Compression,
    answer_bytes: u64,
}

impl Http {
    pub(super) fn new(target: &Target, service: Service, limits: &Limits) -> Result<Self, StartError> {
        let tls = (target.url.scheme_str() == Some("https")).then(|| tls(target)).transpose()?;
        let agent = Agent::config_builder()
            .timeout_global(Some(target.timeout))
            // An answer is an answer: what it means is decided here.
            .http_status_as_error(false)
            // A request with secrets in its headers goes where it was configured to go.
            .max_redirects(0)
            .max_redirects_will_error(false)
            // What the URL names is what is connected to, as over gRPC; HTTP_PROXY and its kin are for browsers.
            .proxy(None)
            .max_idle_connections(1)
            .user_agent(concat!("punktfunk/", env!("CARGO_PKG_VERSION")))
            .tls_config(tls.unwrap_or_default())
            .build()
            .new_agent();
        Ok(Self {
            agent,
            service,
            url: target.url.clone(),
            shown: target.shown(),
            headers: target.headers.clone(),
            compression: target.compression,
            answer_bytes: limits.answer_bytes,
        })
    }

    pub(super) fn shown(&self) -> &str {
        &self.shown
    }

    pub(super) fn send(&self, body: &Bytes) -> Result<(), Failure> {
        let mut request = self.agent.post(&self.url).header(CONTENT_TYPE, PROTOBUF);
        if self.compression == Compression::Gzip {
            request = request.header("content-encoding", "gzip");
        }
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        let mut answer = request.send(&body[..]).map_err(failed)?;
        let body = self.read(&mut answer)?;
        let status = answer.status();
        if status.is_success() {
            return if body.is_empty() {
                Ok(())
            } else if is_protobuf(&answer) {
                answer::taken(self.service, &body)
            } else {
                Err(refused(format!("{status}, but the answer is not OTLP: is this the URL of an OTLP receiver?")))
            };
        }
        let message = said(&answer, &body);
        match status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::BAD_GATEWAY
            | StatusCode::SERVICE_UNAVAILABLE
            | StatusCode::GATEWAY_TIMEOUT => {
                let asked = answer.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let asked = asked.and_then(|value| answer::retry_after(value, SystemTime::now()));
                Err(Failure::Unavailable { message, asked })
            }
            _ => Err(refused(message)),
        }
    }

    /// Reads the answer's body: all of one that says the request was taken, a part of any other.
    fn read(&self, answer: &mut Response<Body>) -> Result<Vec<u8>, Failure> {
        let status = answer.status();
        let mut body = Vec::new();
        let read = answer.body_mut().as_reader().take(self.answer_bytes + 1).read_to_end(&mut body);
        if !status.is_success() {
            // The status says enough.
            return Ok(body);
        }
        read.map_err(|error| {
            let message = format!("{status}, but the answer broke off: {}", plain(&error.to_string()));
            Failure::Unavailable { message, asked: None }
        })?;
        if body.len() as u64 > self.answer_bytes {
            return Err(refused(format!(
                "{status}, but the answer is longer than {} bytes: is this the URL of an OTLP receiver?",
                self.answer_bytes
            )));
        }
        Ok(body)
    }
}

fn is_protobuf(answer: &Response<Body>) -> bool {
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case(PROTOBUF))
}

/// What an answer that is not a success says, in one line.
fn said(answer: &Response<Body>, body: &[u8]) -> String {
    let status = answer.status();
    if status.is_redirection() {
        let to = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok()).unwrap_or("elsewhere");
        return format!("{status}: redirects are not followed; configure the URL itself, {}", plain(&redacted(to)));
    }
    let kind = answer.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let message = if kind.starts_with("text/html") {
        "an HTML page".to_owned()
    } else if is_protobuf(answer) {
        answer::Status::decode(body).map(|status| plain(&status.message)).unwrap_or_default()
    } else {
        plain(&String::from_utf8_lossy(body))
    };
    if message.is_empty() { status.to_string() } else { format!("{status}: {message}") }
}

/// No answer at all. Whether it is a wall or a broken wire, time may mend it.
fn failed(error: Error) -> Failure {
    let message = match &error {
        Error::Timeout(_) => "no answer in time".to_owned(),
        error => plain(&error.to_string()),
    };
    Failure::Unavailable { message, asked: None }
}

fn tls(target: &Target) -> Result<TlsConfig, StartError> {
    let roots = match &target.ca_file {
        Some(path) => Authorities::read(path)?.certificates,
        None => {
            let native = rustls_native_certs::load_native_certs().certs;
            native.iter().map(|der| Certificate::from_der(der).to_owned()).collect()
        }
    };
    if roots.is_empty() {
        return Err(StartError::NoAuthorities);
    }
    Ok(TlsConfig::builder()
        .root_certs(RootCerts::from(roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build())
}
