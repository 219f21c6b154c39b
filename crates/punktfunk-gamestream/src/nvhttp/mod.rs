//! What clients ask over HTTP and HTTPS: what this host is, pairing, and the launch of a stream.
//!
//! Requests have no body; one that comes with one is refused without it being read. Connections are limited in number and
//! time, and are closed after their answer.

mod query;
mod routes;
mod tls;
mod xml;

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Body as _, Bytes, Incoming};
use hyper::header::{CONNECTION, CONTENT_TYPE};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use punktfunk_pairing::Fingerprint;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use query::Query;
use routes::{Answer, Asked};

pub(crate) use query::LaunchRequest;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use query::fuzz as fuzz_query;
pub(crate) use routes::Desk;
pub(crate) use tls::server as tls_config;

use crate::listen;

/// Time for a TLS handshake and the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest life of a connection. Pairing waits for the operator for at most two minutes.
const LIFE: Duration = Duration::from_secs(180);

/// Room for the head of a request. A client's certificate comes in the address: 2.5 kB.
const HEAD_BYTES: usize = 16 << 10;

/// Serves the listener, over TLS if there is an acceptor, until the task is aborted.
pub(crate) async fn serve(listener: TcpListener, acceptor: Option<TlsAcceptor>, desk: Arc<Desk>) {
    listen::each(listener, LIFE, move |stream, from| connection(stream, from, acceptor.clone(), Arc::clone(&desk)))
        .await;
}

async fn connection(stream: TcpStream, from: SocketAddr, acceptor: Option<TlsAcceptor>, desk: Arc<Desk>) {
    let Ok(local) = stream.local_addr() else { return };
    let answering = Answering { desk, from: listen::canonical(from), host: local.ip().to_canonical() };
    let Some(acceptor) = acceptor else { return http(stream, answering, None, false).await };
    match tokio::time::timeout(HEAD_TIMEOUT, acceptor.accept(stream)).await {
        Ok(Ok(stream)) => {
            let shown = stream.get_ref().1.peer_certificates().and_then(|shown| shown.first());
            let certificate = shown.map(Fingerprint::of);
            http(stream, answering, certificate, true).await;
        }
        Ok(Err(error)) => tracing::debug!(%error, peer = %from, "a TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %from, "a TLS handshake took too long"),
    }
}

#[derive(Clone)]
struct Answering {
    desk: Arc<Desk>,
    from: SocketAddr,
    host: IpAddr,
}

async fn http<S>(stream: S, answering: Answering, certificate: Option<Fingerprint>, secure: bool)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let answering = answering.clone();
        async move { Ok::<_, Infallible>(answering.answer(&request, certificate, secure).await) }
    });
    let served = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_buf_size(HEAD_BYTES)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service)
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, peer = %answering.from, "a connection ended early");
    }
}

impl Answering {
    async fn answer(
        &self,
        request: &Request<Incoming>,
        certificate: Option<Fingerprint>,
        secure: bool,
    ) -> Response<Full<Bytes>> {
        if !request.body().is_end_stream() {
            tracing::warn!(peer = %self.from, "a GameStream request with a body was refused");
            let refusal = xml::Reply::refused(413, "requests have no body here");
            return respond(StatusCode::PAYLOAD_TOO_LARGE, &refusal);
        }
        let asked = Asked {
            path: request.uri().path(),
            query: Query::new(request.uri().query()),
            from: self.from,
            host: self.host,
            certificate,
            secure,
        };
        let reply = match *request.method() {
            Method::GET => self.desk.answer(&asked).await,
            _ => None,
        };
        match reply {
            Some(Answer::Document(reply)) => respond(StatusCode::OK, &reply),
            Some(Answer::Picture(png)) => send(StatusCode::OK, "image/png", Bytes::from_static(png)),
            None => respond(StatusCode::NOT_FOUND, &xml::Reply::refused(404, "there is nothing here")),
        }
    }
}

fn respond(status: StatusCode, reply: &xml::Reply) -> Response<Full<Bytes>> {
    send(status, "application/xml", Bytes::from(reply.document()))
}

fn send(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    Response::builder()
        .status(status)
        .header(CONTENT_TYPE, kind)
        .header(CONNECTION, "close")
        .body(Full::new(body))
        .expect("a status and two fixed headers are valid")
}
