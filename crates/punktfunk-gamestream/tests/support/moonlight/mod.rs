//! A GameStream client as far as the picture: pairing, launch, RTSP and control, written from the protocol and not from the
//! host. Nothing of the host's crate is used here.

pub mod control;
pub mod pair;
pub mod rtsp;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use ring::signature::RsaKeyPair;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned};

/// Long enough for anything that should happen soon on a busy machine.
const PATIENCE: Duration = Duration::from_secs(30);

/// What a client keeps: its key and certificate.
pub struct Identity {
    pub pem: String,
    pub der: CertificateDer<'static>,
    pub signature: Vec<u8>,
    pub signer: RsaKeyPair,
    key: PrivatePkcs8KeyDer<'static>,
}

impl Identity {
    pub fn new() -> Self {
        use rsa::pkcs8::EncodePrivateKey;
        let mut random = Random;
        let key = rsa::PrivateKey::new(&mut random, 2048).unwrap();
        let key = PrivatePkcs8KeyDer::from(key.to_pkcs8_der().unwrap().as_bytes().to_vec());
        let pair = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&key, &rcgen::PKCS_RSA_SHA256).unwrap();
        let mut parameters = rcgen::CertificateParams::new(Vec::new()).unwrap();
        parameters.distinguished_name.push(rcgen::DnType::CommonName, "NVIDIA GameStream Client");
        let made = parameters.self_signed(&pair).unwrap();
        let signer = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).unwrap();
        Self { pem: made.pem(), der: made.der().clone(), signature: signature_of(made.der()), signer, key }
    }

    /// Two that many tests share: keys are slow to make.
    pub fn shared(which: usize) -> Arc<Self> {
        static MADE: [OnceLock<Arc<Identity>>; 2] = [OnceLock::new(), OnceLock::new()];
        Arc::clone(MADE[which].get_or_init(|| Arc::new(Self::new())))
    }
}

struct Random;

impl rsa::rand_core::TryRng for Random {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes).map(|()| u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes).map(|()| u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        use ring::rand::SecureRandom;
        ring::rand::SystemRandom::new().fill(bytes).unwrap();
        Ok(())
    }
}

impl rsa::rand_core::TryCryptoRng for Random {}

pub fn random<const N: usize>() -> [u8; N] {
    use rsa::rand_core::TryRng;
    let mut bytes = [0; N];
    Random.try_fill_bytes(&mut bytes).unwrap();
    bytes
}

/// The signature under a certificate.
pub fn signature_of(der: &[u8]) -> Vec<u8> {
    use x509_parser::prelude::FromDer;
    x509_parser::certificate::X509Certificate::from_der(der).unwrap().1.signature_value.data.to_vec()
}

/// A client and the host that it knows.
#[derive(Clone)]
pub struct Moonlight {
    pub identity: Arc<Identity>,
    pub http: SocketAddr,
    /// The host's certificate, once paired.
    pub pinned: Option<CertificateDer<'static>>,
}

/// An XML reply: its status and text.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub text: String,
}

impl Reply {
    fn read(bytes: &[u8]) -> Self {
        let text = String::from_utf8(bytes.to_vec()).unwrap();
        let status = text.split("status_code=\"").nth(1).and_then(|rest| rest.split('"').next());
        Self { status: status.unwrap_or("0").parse().unwrap(), text }
    }

    /// The text of an element.
    pub fn get(&self, name: &str) -> Option<String> {
        let (_, rest) = self.text.split_once(&format!("<{name}>"))?;
        Some(rest.split_once(&format!("</{name}>"))?.0.to_owned())
    }
}

impl Moonlight {
    pub fn new(identity: Arc<Identity>, http: SocketAddr) -> Self {
        Self { identity, http, pinned: None }
    }

    pub fn http(&self, path: &str) -> Reply {
        let stream = TcpStream::connect(self.http).unwrap();
        Reply::read(&exchange(stream, path))
    }

    /// With the client's certificate.
    pub fn https(&self, path: &str) -> Reply {
        Reply::read(&self.https_bytes(path))
    }

    /// The same, head and body as they came.
    pub fn https_bytes(&self, path: &str) -> Vec<u8> {
        self.try_https(path).unwrap()
    }

    fn try_https(&self, path: &str) -> Result<Vec<u8>, rustls::Error> {
        let port = self.http("/serverinfo").get("HttpsPort").unwrap().parse().unwrap();
        let stream = TcpStream::connect((self.http.ip(), port)).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()?
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Pinned(self.pinned.clone(), provider)))
            .with_client_auth_cert(
                vec![self.identity.der.clone()],
                PrivateKeyDer::Pkcs8(self.identity.key.clone_key()),
            )?;
        let name = ServerName::from(self.http.ip());
        Ok(exchange(StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream), path))
    }

    /// Launches, or resumes; the RTSP address and the session's key.
    pub fn launch(&self, verb: &str, mode: &str) -> Result<(SocketAddr, [u8; 16]), Reply> {
        self.launch_by(&random::<16>(), verb, mode)
    }

    /// The same with this key.
    pub fn launch_by(&self, key: &[u8; 16], verb: &str, mode: &str) -> Result<(SocketAddr, [u8; 16]), Reply> {
        let path = format!(
            "/{verb}?uniqueid=0123456789ABCDEF&appid=1&mode={mode}&additionalStates=1&sops=0&rikey={}&rikeyid=-17&localAudioPlayMode=0&corever=0",
            hex(key)
        );
        let reply = self.https(&path);
        let done = if verb == "launch" { "gamesession" } else { "resume" };
        match reply.get(done).as_deref() {
            Some("1") if reply.status == 200 => {
                let url = reply.get("sessionUrl0").unwrap();
                Ok((url.strip_prefix("rtsp://").unwrap().parse().unwrap(), *key))
            }
            _ => Err(reply),
        }
    }
}

fn exchange(mut stream: impl Read + Write, path: &str) -> Vec<u8> {
    let request = format!("GET {path} HTTP/1.1\r\nHost: host\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    if let Err(error) = stream.read_to_end(&mut bytes) {
        // A host that closes without TLS's goodbye has still answered.
        assert!(error.kind() == std::io::ErrorKind::UnexpectedEof && !bytes.is_empty(), "{path}: {error}");
    }
    bytes
}

pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

pub fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

/// Takes any host before pairing, and only the known one after it.
#[derive(Debug)]
struct Pinned(Option<CertificateDer<'static>>, Arc<rustls::crypto::CryptoProvider>);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        assert!(self.0.as_ref().is_none_or(|pinned| pinned == shown), "another host answers");
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls12_signature(message, shown, signed, &self.1.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        rustls::crypto::verify_tls13_signature(message, shown, signed, &self.1.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.signature_verification_algorithms.supported_schemes()
    }
}
