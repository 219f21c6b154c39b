//! TLS as both ends use it: version 1.3, the `ring` provider, self-signed certificates that are known by fingerprint.

use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::{IdleTimeout, TransportConfig, VarInt};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerIncompatible, SignatureScheme, version,
};

use crate::control::{ALPN, PAIRING_ALPN};
use crate::identity::{Fingerprint, Identity};
use crate::keys::DataKeys;

/// Label of the data-plane keys. The context is the stream's id, big-endian.
const DATA_LABEL: &[u8] = b"EXPORTER-punktfunk-data-1";

/// Longest certificate that is looked at: a genuine one has below 500 bytes.
const MAX_CERTIFICATE_BYTES: usize = 4096;

/// Whom an end accepts in the handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Accept {
    /// Whoever proves to have the key of the certificate that it shows. Who that is must be asked afterwards.
    Anybody,
    /// The one with this certificate.
    Only(Fingerprint),
}

#[derive(Debug)]
struct Pinned {
    accept: Accept,
    provider: Arc<CryptoProvider>,
}

impl Pinned {
    fn check(&self, certificate: &CertificateDer<'_>) -> Result<(), Error> {
        let known = match self.accept {
            Accept::Anybody => certificate.len() <= MAX_CERTIFICATE_BYTES,
            Accept::Only(fingerprint) => Fingerprint::of(certificate) == fingerprint,
        };
        if known { Ok(()) } else { Err(CertificateError::ApplicationVerificationFailure.into()) }
    }

    fn signed(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signature, &self.provider.signature_verification_algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// TLS 1.2 is not offered, so nobody gets here.
fn no_tls12() -> Result<HandshakeSignatureValid, Error> {
    Err(PeerIncompatible::Tls12NotOffered.into())
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _name: &ServerName<'_>,
        _ocsp: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        self.check(certificate).map(|()| ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Pinned {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        self.check(certificate).map(|()| ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        no_tls12()
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signed(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}

/// One stream at a time for the peer, small windows, keep-alives at a quarter of the idle timeout.
fn transport(idle: Duration) -> Arc<TransportConfig> {
    let mut transport = TransportConfig::default();
    transport
        .max_concurrent_bidi_streams(VarInt::from_u32(1))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(64 * 1024))
        .receive_window(VarInt::from_u32(64 * 1024))
        .send_window(64 * 1024)
        .max_idle_timeout(IdleTimeout::try_from(idle).ok())
        .keep_alive_interval(Some(idle / 4));
    Arc::new(transport)
}

/// The host's side: takes both protocols and every certificate; who may do what is decided after the handshake.
pub(crate) fn server_config(identity: &Identity, idle: Duration) -> Result<quinn::ServerConfig, Error> {
    let provider = provider();
    let (certificates, key) = identity.parts();
    let verifier = Arc::new(Pinned { accept: Accept::Anybody, provider: Arc::clone(&provider) });
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(certificates, key)?;
    tls.alpn_protocols = vec![ALPN.to_vec(), PAIRING_ALPN.to_vec()];
    // A resumed session would skip the certificates.
    tls.send_tls13_tickets = 0;
    let tls = QuicServerConfig::try_from(tls).map_err(|error| Error::General(error.to_string()))?;
    let mut config = quinn::ServerConfig::with_crypto(Arc::new(tls));
    config.transport_config(transport(idle));
    Ok(config)
}

/// The client's side.
pub(crate) fn client_config(
    identity: &Identity,
    accept: Accept,
    alpn: &[u8],
    idle: Duration,
) -> Result<quinn::ClientConfig, Error> {
    let provider = provider();
    let (certificates, key) = identity.parts();
    let verifier = Arc::new(Pinned { accept, provider: Arc::clone(&provider) });
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_client_auth_cert(certificates, key)?;
    tls.alpn_protocols = vec![alpn.to_vec()];
    tls.resumption = rustls::client::Resumption::disabled();
    let tls = QuicClientConfig::try_from(tls).map_err(|error| Error::General(error.to_string()))?;
    let mut config = quinn::ClientConfig::new(Arc::new(tls));
    config.transport_config(transport(idle));
    Ok(config)
}

/// The asking end of TLS over TCP to a host, for its other interfaces: the one with this certificate is accepted, and
/// nobody else, whatever the name. TLS 1.3 only; shows no certificate of its own.
///
/// # Errors
/// When the provider lacks what TLS 1.3 needs.
pub fn pinned_client(host: Fingerprint) -> Result<rustls::ClientConfig, Error> {
    let provider = provider();
    let verifier = Arc::new(Pinned { accept: Accept::Only(host), provider: Arc::clone(&provider) });
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&version::TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(config)
}

/// The certificate that the other end proved to have the key of.
pub(crate) fn peer_fingerprint(connection: &quinn::Connection) -> Option<Fingerprint> {
    let certificates = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    certificates.first().map(Fingerprint::of)
}

/// The protocol that both ends chose.
pub(crate) fn protocol(connection: &quinn::Connection) -> Option<Vec<u8>> {
    connection.handshake_data()?.downcast::<quinn::crypto::rustls::HandshakeData>().ok()?.protocol
}

/// Secret bytes that only the two ends of this connection have. Different for each label and context.
pub(crate) fn export<const N: usize>(connection: &quinn::Connection, label: &[u8], context: &[u8]) -> [u8; N] {
    let mut secret = [0; N];
    connection
        .export_keying_material(&mut secret, label, context)
        .expect("the exporter fails only for outputs that are far longer");
    secret
}

/// The keys of one stream of this connection.
pub(crate) fn data_keys(connection: &quinn::Connection, stream_id: u32) -> DataKeys {
    DataKeys::from_exported(&export(connection, DATA_LABEL, &stream_id.to_be_bytes()))
}
