//! What a certificate is known by.

use std::fmt;
use std::str::FromStr;

use rustls_pki_types::CertificateDer;

/// SHA-256 of a certificate.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// The fingerprint of a certificate.
    pub fn of(certificate: &CertificateDer<'_>) -> Self {
        let digest = ring::digest::digest(&ring::digest::SHA256, certificate);
        Self(*digest.as_ref().first_chunk().expect("SHA-256 gives 32 bytes"))
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

/// A text that is no fingerprint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 64 hexadecimal digits")]
pub struct ParseFingerprintError;

impl FromStr for Fingerprint {
    type Err = ParseFingerprintError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let digits: Vec<u8> = text
            .chars()
            .map(|digit| digit.to_digit(16).and_then(|digit| u8::try_from(digit).ok()).ok_or(ParseFingerprintError))
            .collect::<Result<_, _>>()?;
        let pairs: Vec<u8> = digits.chunks_exact(2).map(|pair| pair[0] << 4 | pair[1]).collect();
        let whole = digits.len() == 64;
        whole.then(|| pairs.first_chunk().copied()).flatten().map(Self).ok_or(ParseFingerprintError)
    }
}

/// A fingerprint in a file or message: its digits.
pub mod as_text {
    use serde::{Deserialize, Deserializer, Serializer, de};

    use super::Fingerprint;

    /// Writes the digits.
    ///
    /// # Errors
    /// What the serializer's are.
    pub fn serialize<S: Serializer>(fingerprint: &Fingerprint, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(fingerprint)
    }

    /// Reads the digits.
    ///
    /// # Errors
    /// When they are no fingerprint.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Fingerprint, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fingerprints_read_as_they_are_shown() {
        let fingerprint = Fingerprint::of(&CertificateDer::from(b"a certificate".to_vec()));
        assert_eq!(fingerprint.to_string().parse(), Ok(fingerprint));
        for bad in ["", "00", &"g".repeat(64), &"0".repeat(65)] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(ParseFingerprintError));
        }
    }
}
