//! The hosts that a client has been paired with, by address, and the certificate of each.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use punktfunk_pairing::private_file::{self, Existing};

use crate::identity::Fingerprint;

/// Name of the file in the client's configuration directory.
const FILE: &str = "known-hosts.json";

/// The file could not be read or written.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}", path = path.display())]
pub struct KnownHostsError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// The hosts that a client knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHosts {
    path: PathBuf,
    hosts: BTreeMap<String, String>,
}

impl KnownHosts {
    /// The hosts kept in the configuration directory `dir`; none if there is no file yet.
    ///
    /// # Errors
    /// When the file cannot be read, or holds something else.
    pub fn open(dir: &Path) -> Result<Self, KnownHostsError> {
        let path = dir.join(FILE);
        let failed = |source| KnownHostsError { path: path.clone(), source };
        let hosts = match private_file::read(&path).map_err(failed)? {
            None => BTreeMap::new(),
            Some(bytes) => serde_json::from_slice(&bytes).map_err(|error| failed(error.into()))?,
        };
        Ok(Self { path, hosts })
    }

    /// The certificate of the host at `host`, if this client is paired with it.
    pub fn get(&self, host: &str) -> Option<Fingerprint> {
        self.hosts.get(host)?.parse().ok()
    }

    /// Remembers a host, in place of what was known of that address.
    ///
    /// # Errors
    /// When the file cannot be written; nothing is remembered then.
    pub fn remember(&mut self, host: &str, fingerprint: Fingerprint) -> Result<(), KnownHostsError> {
        let mut hosts = self.hosts.clone();
        hosts.insert(host.to_owned(), fingerprint.to_string());
        let mut bytes = serde_json::to_vec_pretty(&hosts).expect("the keys are strings");
        bytes.push(b'\n');
        private_file::write(&self.path, &bytes, Existing::Replace)
            .map_err(|source| KnownHostsError { path: self.path.clone(), source })?;
        self.hosts = hosts;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_remembered_by_its_address() {
        let dir = tempfile::tempdir().unwrap();
        let fingerprint: Fingerprint = "a".repeat(64).parse().unwrap();
        KnownHosts::open(dir.path()).unwrap().remember("den:47800", fingerprint).unwrap();
        let known = KnownHosts::open(dir.path()).unwrap();
        assert_eq!((known.get("den:47800"), known.get("attic:47800")), (Some(fingerprint), None));
    }
}
