//! TLS of the management API with the host's own certificate: the serving end, and `ctl`, which pins it.

use std::path::Path;
use std::sync::Arc;

use punktfunk_native::control::pinned_client;
use punktfunk_native::identity::Fingerprint;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;

use crate::host::{HostError, IDENTITY};

fn pem(directory: &Path) -> std::path::PathBuf {
    directory.join(format!("{IDENTITY}.pem"))
}

/// The serving end.
///
/// # Errors
/// When the host's identity cannot be read or used.
pub fn server(directory: &Path) -> Result<Arc<ServerConfig>, HostError> {
    let path = pem(directory);
    let pem = std::fs::read(&path).map_err(|source| HostError::Directory { path, source })?;
    Ok(punktfunk_mgmt::tls_config(&pem, &pem)?)
}

/// The asking end: accepts exactly the certificate that stands in the configuration directory.
///
/// # Errors
/// When it cannot be read.
pub fn connector(directory: &Path) -> Result<TlsConnector, Box<dyn std::error::Error>> {
    let pinned = CertificateDer::from_pem_slice(&std::fs::read(pem(directory))?)?;
    Ok(Arc::new(pinned_client(Fingerprint::of(&pinned))?).into())
}
