//! A certificate as pairing needs it: its own signature, and the key that it speaks for.

use punktfunk_pairing::Fingerprint;
use ring::signature::{RSA_PKCS1_2048_8192_SHA256, UnparsedPublicKey};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_parser::prelude::{FromDer as _, X509Certificate};

/// Longest certificate in PEM form that is read. The stock clients' have 1 kB.
const MAX_PEM_BYTES: usize = 8192;

/// Bytes are no certificate that pairing can use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a certificate in PEM form")]
pub struct InvalidCertificate;

/// A certificate, read.
#[derive(Debug, Clone)]
pub struct Certificate {
    der: CertificateDer<'static>,
    signature: Vec<u8>,
    public_key: Vec<u8>,
}

impl Certificate {
    /// Reads the first certificate of a PEM text.
    ///
    /// # Errors
    /// [`InvalidCertificate`].
    pub fn from_pem(pem: &[u8]) -> Result<Self, InvalidCertificate> {
        if pem.len() > MAX_PEM_BYTES {
            return Err(InvalidCertificate);
        }
        Self::from_der(CertificateDer::from_pem_slice(pem).map_err(|_not_pem| InvalidCertificate)?)
    }

    /// Reads a certificate.
    ///
    /// # Errors
    /// [`InvalidCertificate`].
    pub fn from_der(der: CertificateDer<'static>) -> Result<Self, InvalidCertificate> {
        let (signature, public_key) = {
            let (rest, read) = X509Certificate::from_der(&der).map_err(|_not_x509| InvalidCertificate)?;
            if !rest.is_empty() {
                return Err(InvalidCertificate);
            }
            (read.signature_value.data.to_vec(), read.public_key().subject_public_key.data.to_vec())
        };
        Ok(Self { der, signature, public_key })
    }

    /// The certificate's bytes.
    pub fn der(&self) -> &CertificateDer<'static> {
        &self.der
    }

    /// What it is known by.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint::of(&self.der)
    }

    /// The signature under it: both ends mix it into what they hash at pairing.
    pub fn signature(&self) -> &[u8] {
        &self.signature
    }

    /// Whether the holder of its key signed `message`: RSA, PKCS #1 1.5, SHA-256.
    pub fn verifies(&self, message: &[u8], signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, &self.public_key).verify(message, signature).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_strangers_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let framed = format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", String::from_utf8_lossy(&bytes));
            prop_assert!(Certificate::from_pem(&bytes).is_err());
            prop_assert!(Certificate::from_pem(framed.as_bytes()).is_err());
            prop_assert!(Certificate::from_der(CertificateDer::from(bytes)).is_err());
        }
    }

    #[test]
    fn a_long_text_is_not_read() {
        assert!(Certificate::from_pem(&vec![b'A'; MAX_PEM_BYTES + 1]).is_err());
    }
}
