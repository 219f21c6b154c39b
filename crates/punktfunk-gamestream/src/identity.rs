//! Who the host is to Moonlight clients: an RSA certificate made at first start, and an id that follows from it.
//!
//! The protocol asks for RSA with 2048 bits. The `rsa` crate makes the key and does nothing else; it is used by `ring`,
//! whose operations take the same time whatever the key.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use punktfunk_pairing::private_file::{self, Existing};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{RSA_PKCS1_SHA256, RsaKeyPair};
use rsa::pkcs8::EncodePrivateKey as _;
use rsa::rand_core::{TryCryptoRng, TryRng};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use crate::certificate::{Certificate, InvalidCertificate};

/// Name of the file in the configuration directory.
const FILE: &str = "gamestream.pem";

/// Bits of the key; stock clients expect these.
const KEY_BITS: usize = 2048;

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The file is there and holds no RSA certificate with its key.
    #[error("{path}: not an RSA certificate with its key in PEM form", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The key could not be made.
    #[error("no RSA key could be made: {0}")]
    Key(String),
    /// The certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Certificate(#[from] rcgen::Error),
}

/// The host's certificate with its key.
pub struct HostIdentity {
    pem: String,
    certificate: Certificate,
    key: PrivatePkcs8KeyDer<'static>,
    signer: RsaKeyPair,
}

impl fmt::Debug for HostIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HostIdentity").field("unique_id", &self.unique_id()).finish_non_exhaustive()
    }
}

impl HostIdentity {
    /// Reads the identity kept in the configuration directory `dir`, or makes it: that takes about a second, once.
    ///
    /// # Errors
    /// [`IdentityError`].
    pub fn load_or_create(dir: &Path) -> Result<Self, IdentityError> {
        let path = dir.join(FILE);
        let failed = |source| IdentityError::File { path: path.clone(), source };
        let pem = match private_file::read(&path).map_err(failed)? {
            Some(pem) => pem,
            None => {
                let pem = make()?.into_bytes();
                match private_file::write(&path, &pem, Existing::Keep) {
                    Ok(()) => pem,
                    // Another process was faster: its identity is the one.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        private_file::read(&path).map_err(failed)?.unwrap_or_default()
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        Self::read(&pem).ok_or(IdentityError::Content { path })
    }

    fn read(pem: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(pem).ok()?;
        let at = text.find("-----BEGIN CERTIFICATE")?;
        let der = CertificateDer::from_pem_slice(pem).ok()?;
        let certificate = Certificate::from_der(der).map_err(|InvalidCertificate| ()).ok()?;
        let key = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        let signer = RsaKeyPair::from_pkcs8(key.secret_pkcs8_der()).ok()?;
        Some(Self { pem: text[at..].to_owned(), certificate, key, signer })
    }

    /// The certificate as clients get it: PEM.
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The certificate.
    pub fn certificate(&self) -> &Certificate {
        &self.certificate
    }

    /// By what clients tell hosts apart: 16 digits of the certificate's fingerprint.
    pub fn unique_id(&self) -> String {
        self.certificate.fingerprint().to_string()[..16].to_ascii_uppercase()
    }

    /// Signs: RSA, PKCS #1 1.5, SHA-256. `None` if the system gave no randomness (blinding needs it).
    pub(crate) fn sign(&self, message: &[u8]) -> Option<Vec<u8>> {
        let mut signature = vec![0; self.signer.public().modulus_len()];
        self.signer.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message, &mut signature).ok()?;
        Some(signature)
    }

    /// Certificate and key, as rustls takes them.
    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.der().clone()], PrivateKeyDer::Pkcs8(self.key.clone_key()))
    }
}

/// A new key and a self-signed certificate for it, in PEM form, the key first.
fn make() -> Result<String, IdentityError> {
    let failed = |error: &dyn fmt::Display| IdentityError::Key(error.to_string());
    let key = rsa::PrivateKey::new(&mut SystemRng(SystemRandom::new()), KEY_BITS).map_err(|error| failed(&error))?;
    let der = key.to_pkcs8_der().map_err(|error| failed(&error))?;
    let der = PrivatePkcs8KeyDer::from(der.as_bytes());
    let key = rcgen::KeyPair::from_pkcs8_der_and_sign_algo(&der, &rcgen::PKCS_RSA_SHA256)?;
    let mut parameters = rcgen::CertificateParams::new(Vec::new())?;
    parameters.distinguished_name.push(rcgen::DnType::CommonName, "Punktfunk GameStream host");
    Ok(key.serialize_pem() + &parameters.self_signed(&key)?.pem())
}

/// The system's random source under the name that `rsa` knows it by.
struct SystemRng(SystemRandom);

/// The system gave no randomness.
#[derive(Debug, thiserror::Error)]
#[error("the system gave no randomness")]
struct NoRandomness;

impl TryRng for SystemRng {
    type Error = NoRandomness;

    fn try_next_u32(&mut self) -> Result<u32, NoRandomness> {
        let mut bytes = [0; 4];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u32::from_ne_bytes(bytes))
    }

    fn try_next_u64(&mut self) -> Result<u64, NoRandomness> {
        let mut bytes = [0; 8];
        self.try_fill_bytes(&mut bytes)?;
        Ok(u64::from_ne_bytes(bytes))
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), NoRandomness> {
        self.0.fill(bytes).map_err(|_unspecified| NoRandomness)
    }
}

impl TryCryptoRng for SystemRng {}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn an_identity_is_made_once_kept_private_and_signs_what_its_certificate_verifies() {
        let dir = tempfile::tempdir().unwrap();
        let first = HostIdentity::load_or_create(dir.path()).unwrap();
        let again = HostIdentity::load_or_create(dir.path()).unwrap();
        assert_eq!(first.unique_id(), again.unique_id());
        assert_eq!(first.pem(), again.pem());
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert!(first.pem().starts_with("-----BEGIN CERTIFICATE") && !first.pem().contains("PRIVATE"));
        let known = Certificate::from_pem(first.pem().as_bytes()).unwrap();
        assert_eq!(known.signature().len(), 256);
        let signature = again.sign(b"message").unwrap();
        assert!(known.verifies(b"message", &signature) && !known.verifies(b"massage", &signature));
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(FILE), "damaged").unwrap();
        let error = HostIdentity::load_or_create(dir.path()).unwrap_err().to_string();
        assert!(error.contains(FILE), "{error}");
        assert_eq!(fs::read(dir.path().join(FILE)).unwrap(), b"damaged");
    }
}
