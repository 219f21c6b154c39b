//! The authorities of a configured file: the one thing that this crate reads from a disk.

use std::path::Path;

use rustls::RootCertStore;
use ureq::tls::{Certificate, PemItem, parse_pem};

use super::StartError;

/// The certificates of a PEM file, each of which can vouch for a backend.
pub(super) struct Authorities {
    pub(super) certificates: Vec<Certificate<'static>>,
    /// The file as it stands.
    pub(super) pem: Vec<u8>,
}

impl Authorities {
    pub(super) fn read(path: &Path) -> Result<Self, StartError> {
        let unreadable = |source| StartError::Unreadable { path: path.to_owned(), source };
        let unusable = || StartError::Certificate { path: path.to_owned() };
        let pem = std::fs::read(path).map_err(unreadable)?;
        let mut usable = RootCertStore::empty();
        let mut certificates = Vec::new();
        for item in parse_pem(&pem) {
            if let PemItem::Certificate(certificate) = item.map_err(|_| unusable())? {
                usable.add(certificate.der().to_vec().into()).map_err(|_| unusable())?;
                certificates.push(certificate);
            }
        }
        if certificates.is_empty() { Err(unusable()) } else { Ok(Self { certificates, pem }) }
    }
}
