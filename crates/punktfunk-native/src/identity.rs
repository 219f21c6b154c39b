//! Who a host or client is: a self-signed certificate made at first start, known to others by its fingerprint.
//!
//! There is no authority and no name to check. Whoever holds the key of a pinned certificate is who it was at pairing.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use punktfunk_pairing::private_file::{self, Existing};

pub use punktfunk_pairing::{Fingerprint, ParseFingerprintError};

/// Why there is no identity.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// A file could not be read or written.
    #[error("{path}: {source}", path = path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file is there and holds no certificate or key.
    #[error("{path}: not a certificate or key in PEM form", path = path.display())]
    Content {
        /// The file.
        path: PathBuf,
    },
    /// The key or certificate could not be made.
    #[error("no certificate could be made: {0}")]
    Make(#[from] rcgen::Error),
}

/// A certificate with its key.
pub struct Identity {
    certificate: CertificateDer<'static>,
    key: PrivateKeyDer<'static>,
}

impl Clone for Identity {
    fn clone(&self) -> Self {
        Self { certificate: self.certificate.clone(), key: self.key.clone_key() }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}

impl Identity {
    /// A new identity that lives in memory only.
    ///
    /// # Errors
    /// [`IdentityError::Make`] when the random source fails.
    pub fn generate() -> Result<Self, IdentityError> {
        let (certificate, key) = make()?;
        let content = |_| IdentityError::Content { path: PathBuf::new() };
        Ok(Self {
            certificate: CertificateDer::from_pem_slice(certificate.as_bytes()).map_err(content)?,
            key: PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(content)?,
        })
    }

    /// The identity kept in `dir` as `<name>.pem`, made at the first call. The file is readable by its owner only.
    ///
    /// # Errors
    /// [`IdentityError`] names the file. A damaged file is never replaced: every pairing would be lost with it.
    pub fn load_or_create(dir: &Path, name: &str) -> Result<Self, IdentityError> {
        let path = dir.join(format!("{name}.pem"));
        let failed = |source| IdentityError::File { path: path.clone(), source };
        let pem = match private_file::read(&path).map_err(failed)? {
            Some(pem) => pem,
            None => {
                let (certificate, key) = make()?;
                let pem = [certificate, key].concat().into_bytes();
                match private_file::write(&path, &pem, Existing::Keep) {
                    Ok(()) => pem,
                    // Two processes start at once: the first one's identity stands.
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        private_file::read(&path).map_err(failed)?.unwrap_or_default()
                    }
                    Err(error) => return Err(failed(error)),
                }
            }
        };
        let certificate = CertificateDer::from_pem_slice(&pem);
        let key = PrivateKeyDer::from_pem_slice(&pem);
        match (certificate, key) {
            (Ok(certificate), Ok(key)) => Ok(Self { certificate, key }),
            _ => Err(IdentityError::Content { path }),
        }
    }

    /// What others know it by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.certificate)
    }

    /// Certificate and key, as rustls takes them.
    pub(crate) fn parts(&self) -> (Vec<CertificateDer<'static>>, PrivateKeyDer<'static>) {
        (vec![self.certificate.clone()], self.key.clone_key())
    }
}

fn make() -> Result<(String, String), rcgen::Error> {
    let made = rcgen::generate_simple_self_signed([SERVER_NAME.to_owned()])?;
    Ok((made.cert.pem(), made.signing_key.serialize_pem()))
}

/// The name in every certificate. It identifies nobody; TLS wants one.
pub(crate) const SERVER_NAME: &str = "punktfunk";

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_identity_is_made_once_and_kept_private() {
        let dir = tempfile::tempdir().unwrap();
        let first = Identity::load_or_create(dir.path(), "host").unwrap();
        let again = Identity::load_or_create(dir.path(), "host").unwrap();
        assert_eq!(first.fingerprint(), again.fingerprint());
        assert_ne!(first.fingerprint(), Identity::load_or_create(dir.path(), "client").unwrap().fingerprint());
        let mode = fs::metadata(dir.path().join("host.pem")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
    }

    #[test]
    fn a_damaged_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("host.pem"), "damaged").unwrap();
        let error = Identity::load_or_create(dir.path(), "host").unwrap_err();
        assert!(error.to_string().contains("host.pem"), "{error}");
        assert_eq!(fs::read(dir.path().join("host.pem")).unwrap(), b"damaged");
    }
}
