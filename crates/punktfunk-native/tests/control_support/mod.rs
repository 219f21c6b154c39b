//! A control server on loopback, real clients, and a client that says whatever bytes a test wants.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crossbeam_channel::{Receiver, Sender, unbounded};
use punktfunk_native::client::ReceiverConfig;
use punktfunk_native::control::{
    ControlConfig, ControlServer, Dialer, DialerConfig, Refusal, SessionHandler, SessionStart,
};
use punktfunk_native::identity::{Fingerprint, Identity};
use punktfunk_native::message::{StreamGrant, StreamRequest};
use punktfunk_native::pairing::ClientStore;
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, DistinguishedName, Error, SignatureScheme};
use tokio::runtime::Runtime;

/// Long enough for anything that should happen soon on a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

pub const REQUEST: StreamRequest = StreamRequest { width: 640, height: 360, fps: 30, bitrate_bps: 4_000_000 };

/// Grants what is asked for and gives the test what a stream would get. Refuses pictures without height.
struct Streams(Sender<SessionStart>);

impl SessionHandler for Streams {
    fn start(&self, start: SessionStart) -> Result<StreamGrant, Refusal> {
        let (request, stream_id) = (start.request, start.stream_id);
        if request.height == 0 {
            return Err(Refusal::new("a picture has a height"));
        }
        self.0.send(start).unwrap();
        Ok(StreamGrant {
            session_id: format!("s{stream_id}"),
            stream_id,
            width: request.width,
            height: request.height,
            fps: request.fps,
            bitrate_bps: request.bitrate_bps,
            codec: "h264".to_owned(),
            fec_percent: 20,
            data_port: 9,
        })
    }
}

pub struct Host {
    pub runtime: Runtime,
    pub server: ControlServer,
    pub clients: ClientStore,
    pub fingerprint: Fingerprint,
    /// Streams in the order of their start.
    pub started: Receiver<SessionStart>,
}

pub fn host() -> Host {
    host_with(|_| ())
}

pub fn host_with(adjust: impl FnOnce(&mut ControlConfig)) -> Host {
    let runtime = Runtime::new().unwrap();
    let (identity, clients) = (Identity::generate().unwrap(), ClientStore::in_memory());
    let (starts, started) = unbounded();
    let mut config = ControlConfig::default();
    adjust(&mut config);
    let server = {
        let _entered = runtime.enter();
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        ControlServer::bind(any, &identity, clients.clone(), Arc::new(Streams(starts)), config).unwrap()
    };
    Host { runtime, server, clients, fingerprint: identity.fingerprint(), started }
}

impl Host {
    pub fn address(&self) -> SocketAddr {
        self.server.local_addr()
    }

    /// A client that is paired already.
    pub fn paired(&self, name: &str) -> Dialer {
        let identity = Identity::generate().unwrap();
        self.clients.add(identity.fingerprint(), name).unwrap();
        self.dialer(&identity)
    }

    pub fn dialer(&self, identity: &Identity) -> Dialer {
        self.dialer_for(identity, REQUEST)
    }

    pub fn dialer_for(&self, identity: &Identity, request: StreamRequest) -> Dialer {
        Dialer::new(DialerConfig {
            host: self.address().to_string(),
            name: "test".to_owned(),
            identity: identity.clone(),
            pinned: self.fingerprint,
            request,
            receiver: ReceiverConfig::default(),
        })
        .unwrap()
    }

    /// The next stream that was started.
    pub fn stream(&self) -> SessionStart {
        self.started.recv_timeout(SOON).unwrap()
    }

    /// A connection with a certificate of its own, paired or not, that says nothing by itself.
    pub fn raw(&self, alpn: &[u8], certificate: &Certificate) -> quinn::Connection {
        self.runtime.block_on(connect(self.address(), alpn, certificate)).unwrap()
    }

    /// Pairs a certificate without a word.
    pub fn pin(&self, certificate: &Certificate) {
        self.clients.add(Fingerprint::of(&certificate.certificate), "raw").unwrap();
    }

    /// Why the host closed a connection: its application code.
    pub fn close_code(&self, connection: &quinn::Connection) -> quinn::VarInt {
        match self.runtime.block_on(async { tokio::time::timeout(SOON, connection.closed()).await }).unwrap() {
            quinn::ConnectionError::ApplicationClosed(close) => close.error_code,
            error => panic!("{error}"),
        }
    }
}

/// A certificate and its key, without the care that an `Identity` takes of them.
pub struct Certificate {
    pub certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

pub fn certificate() -> Certificate {
    let made = rcgen::generate_simple_self_signed(["anybody".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    Certificate { certificate: made.cert.der().clone(), key }
}

/// Needs a runtime. The endpoint lives as long as the connection.
pub async fn connect(
    to: SocketAddr,
    alpn: &[u8],
    certificate: &Certificate,
) -> Result<quinn::Connection, quinn::ConnectionError> {
    let mut tls = rustls::ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(Anybody))
        .with_client_auth_cert(vec![certificate.certificate.clone()], certificate.key.clone_key())
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls).unwrap()));
    let endpoint = quinn::Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    endpoint.connect_with(config, to, "anybody").unwrap().await
}

/// An endpoint that takes any client. Needs a runtime.
pub fn listen(alpn: &[u8], certificate: &Certificate) -> quinn::Endpoint {
    let mut tls = rustls::ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(Arc::new(Anybody))
        .with_single_cert(vec![certificate.certificate.clone()], certificate.key.clone_key())
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let config = quinn::ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
    quinn::Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// Takes every certificate and every signature.
#[derive(Debug)]
struct Anybody;

type Signed = Result<rustls::client::danger::HandshakeSignatureValid, Error>;

impl rustls::client::danger::ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Signed {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Signed {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}

impl rustls::server::danger::ClientCertVerifier for Anybody {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: UnixTime,
    ) -> Result<rustls::server::danger::ClientCertVerified, Error> {
        Ok(rustls::server::danger::ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Signed {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(&self, _: &[u8], _: &CertificateDer<'_>, _: &DigitallySignedStruct) -> Signed {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        provider().signature_verification_algorithms.supported_schemes()
    }
}
