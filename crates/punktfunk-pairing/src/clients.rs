//! Clients that a host has paired: who they are, which are connected, and the file that remembers them.
//!
//! Changes are written before they count: a client that could not be stored is not paired, and one that could not be
//! struck off is still let in, and says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::fingerprint::{Fingerprint, as_text};
use crate::name::clean_name;
use crate::private_file::{self, Existing};

/// Version of the file's shape.
const VERSION: u32 = 1;

/// A client that may ask for streams.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PairedClient {
    /// The first 16 digits of its fingerprint.
    pub id: String,
    /// What the operator, or else the client, calls it.
    pub name: String,
    /// Its certificate.
    pub fingerprint: Fingerprint,
    /// When it was paired, ms since 1970.
    pub added_unix_ms: u64,
    /// When it was connected last, ms since 1970.
    pub last_seen_unix_ms: Option<u64>,
    /// Whether it is connected now.
    pub connected: bool,
}

/// Why the file of paired clients is of no use, or could not be written.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It could not be read.
    #[error("{path}: the paired clients could not be read: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It holds something else. It is left as it is.
    #[error("{path}: not a list of paired clients: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It could not be written; nothing has changed.
    #[error("{path}: the paired clients could not be saved: {source}", path = path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Why a client was not struck off.
#[derive(Debug, thiserror::Error)]
pub enum RevokeError {
    /// There is none of this id.
    #[error("there is no paired client {id}")]
    NotFound {
        /// The id.
        id: String,
    },
    /// The list could not be written: the client is still let in.
    #[error(transparent)]
    Store(#[from] StoreError),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Record {
    name: String,
    #[serde(with = "as_text")]
    fingerprint: Fingerprint,
    added_unix_ms: u64,
    last_seen_unix_ms: Option<u64>,
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    version: u32,
    clients: Vec<Record>,
}

#[derive(Debug)]
struct Entry {
    record: Record,
    /// Holds `true` once the client is revoked; each live connection has a receiver.
    revoked: watch::Sender<bool>,
}

#[derive(Debug)]
struct Inner {
    /// `None`: in memory only.
    path: Option<PathBuf>,
    /// Held while the file is written, and never by those who only look.
    writing: Mutex<()>,
    entries: Mutex<Vec<Entry>>,
}

/// The paired clients. Clones share one list.
#[derive(Debug, Clone)]
pub struct ClientStore(Arc<Inner>);

impl ClientStore {
    /// A list that lives in memory only.
    pub fn in_memory() -> Self {
        Self::with(None, Vec::new())
    }

    /// The list kept in this file of the configuration directory `dir`; empty if there is none yet. Each path has its own:
    /// who was let in by one has no right on another.
    ///
    /// # Errors
    /// [`StoreError::Read`], [`StoreError::Invalid`].
    pub fn open(dir: &Path, file: &str) -> Result<Self, StoreError> {
        let path = dir.join(file);
        let bytes = private_file::read(&path).map_err(|source| StoreError::Read { path: path.clone(), source })?;
        let Some(bytes) = bytes else { return Ok(Self::with(Some(path), Vec::new())) };
        match serde_json::from_slice::<File>(&bytes) {
            Ok(File { version: VERSION, clients }) => Ok(Self::with(Some(path), clients)),
            Ok(File { version, .. }) => {
                Err(StoreError::Invalid { path, reason: format!("version {version}; this program knows {VERSION}") })
            }
            Err(error) => Err(StoreError::Invalid { path, reason: error.to_string() }),
        }
    }

    fn with(path: Option<PathBuf>, records: Vec<Record>) -> Self {
        let entries = records.into_iter().map(Entry::new).collect();
        Self(Arc::new(Inner { path, writing: Mutex::new(()), entries: Mutex::new(entries) }))
    }

    /// All of them, in the order of their pairing.
    pub fn list(&self) -> Vec<PairedClient> {
        self.0.entries.lock().iter().map(Entry::client).collect()
    }

    /// Whether a client is let in.
    pub fn contains(&self, fingerprint: Fingerprint) -> bool {
        self.0.entries.lock().iter().any(|entry| entry.record.fingerprint == fingerprint)
    }

    /// Lets a client in from now on. One that is paired already keeps its place and gets the new name. Writes to the disk.
    ///
    /// # Errors
    /// [`StoreError::Write`]; the client is not let in then.
    pub fn add(&self, fingerprint: Fingerprint, name: &str) -> Result<PairedClient, StoreError> {
        let _writing = self.0.writing.lock();
        let name = clean_name(name);
        let mut records = self.records();
        let added = match records.iter_mut().find(|record| record.fingerprint == fingerprint) {
            Some(record) => {
                record.name = name;
                record.clone()
            }
            None => {
                let new = Record { name, fingerprint, added_unix_ms: unix_ms(), last_seen_unix_ms: None };
                records.push(new.clone());
                new
            }
        };
        self.write(records)?;
        let mut entries = self.0.entries.lock();
        match entries.iter_mut().find(|entry| entry.record.fingerprint == fingerprint) {
            Some(entry) => {
                entry.record.name = added.name;
                Ok(entry.client())
            }
            None => {
                let entry = Entry::new(added);
                let client = entry.client();
                entries.push(entry);
                Ok(client)
            }
        }
    }

    /// Lets a client in no more and closes its connections. Writes to the disk.
    ///
    /// # Errors
    /// [`RevokeError`].
    pub fn revoke(&self, id: &str) -> Result<PairedClient, RevokeError> {
        let _writing = self.0.writing.lock();
        let mut records = self.records();
        let position = records.iter().position(|record| id_of(&record.fingerprint) == id);
        let Some(position) = position else { return Err(RevokeError::NotFound { id: clean_name(id) }) };
        let fingerprint = records.remove(position).fingerprint;
        self.write(records)?;
        let mut entries = self.0.entries.lock();
        let position = entries.iter().position(|entry| entry.record.fingerprint == fingerprint);
        let entry = entries.remove(position.expect("only writers remove entries, and there is one at a time"));
        let client = entry.client();
        // Also when nobody listens.
        entry.revoked.send_replace(true);
        Ok(client)
    }

    /// Counts a connection of a paired client for as long as the result lives. `None`: it is not paired.
    pub fn attach(&self, fingerprint: Fingerprint) -> Option<Attachment> {
        let mut entries = self.0.entries.lock();
        let entry = entries.iter_mut().find(|entry| entry.record.fingerprint == fingerprint)?;
        entry.record.last_seen_unix_ms = Some(unix_ms());
        let revoked = entry.revoked.subscribe();
        Some(Attachment { client: entry.client(), store: self.clone(), revoked })
    }

    /// Writes down when clients were seen. That is a courtesy: a failure is logged and no more.
    pub fn save_seen(&self) {
        let _writing = self.0.writing.lock();
        if let Err(error) = self.write(self.records()) {
            tracing::warn!(%error, "when a client was seen last could not be saved");
        }
    }

    fn records(&self) -> Vec<Record> {
        self.0.entries.lock().iter().map(|entry| entry.record.clone()).collect()
    }

    fn write(&self, clients: Vec<Record>) -> Result<(), StoreError> {
        let Some(path) = &self.0.path else { return Ok(()) };
        let mut bytes =
            serde_json::to_vec_pretty(&File { version: VERSION, clients }).expect("records have string keys only");
        bytes.push(b'\n');
        private_file::write(path, &bytes, Existing::Replace)
            .map_err(|source| StoreError::Write { path: path.clone(), source })
    }
}

impl Entry {
    fn new(record: Record) -> Self {
        Self { record, revoked: watch::Sender::new(false) }
    }

    fn client(&self) -> PairedClient {
        PairedClient {
            id: id_of(&self.record.fingerprint),
            name: self.record.name.clone(),
            fingerprint: self.record.fingerprint,
            added_unix_ms: self.record.added_unix_ms,
            last_seen_unix_ms: self.record.last_seen_unix_ms,
            connected: self.revoked.receiver_count() > 0,
        }
    }
}

/// A live connection of a paired client.
#[derive(Debug)]
pub struct Attachment {
    /// Whose it is.
    pub client: PairedClient,
    store: ClientStore,
    revoked: watch::Receiver<bool>,
}

impl Attachment {
    /// Waits until the client is revoked.
    pub async fn revoked(&self) {
        if self.revoked.clone().wait_for(|&revoked| revoked).await.is_err() {
            // The list is gone, and with it every right.
            tracing::debug!("the list of paired clients is gone");
        }
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        let mut entries = self.store.0.entries.lock();
        if let Some(entry) = entries.iter_mut().find(|entry| entry.record.fingerprint == self.client.fingerprint) {
            entry.record.last_seen_unix_ms = Some(unix_ms());
        }
    }
}

fn id_of(fingerprint: &Fingerprint) -> String {
    fingerprint.to_string()[..16].to_owned()
}

fn unix_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    const FILE: &str = "clients.json";

    fn fingerprint(digit: &str) -> Fingerprint {
        digit.repeat(64).parse().unwrap()
    }

    #[test]
    fn paired_clients_are_remembered_in_a_private_file() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClientStore::open(dir.path(), FILE).unwrap();
        store.add(fingerprint("a"), "Den").unwrap();
        store.add(fingerprint("b"), "Attic\u{7}").unwrap();
        store.add(fingerprint("a"), "Living room").unwrap();
        let again = ClientStore::open(dir.path(), FILE).unwrap();
        assert_eq!(again.list(), store.list());
        let names: Vec<_> = again.list().into_iter().map(|client| (client.id, client.name)).collect();
        assert_eq!(names, [("a".repeat(16), "Living room".to_owned()), ("b".repeat(16), "Attic".to_owned())]);
        let mode = fs::metadata(dir.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_revoked_client_is_gone_for_good() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClientStore::open(dir.path(), FILE).unwrap();
        let id = store.add(fingerprint("a"), "Den").unwrap().id;
        store.revoke(&id).unwrap();
        assert!(matches!(store.revoke(&id), Err(RevokeError::NotFound { .. })));
        assert!(store.attach(fingerprint("a")).is_none());
        assert_eq!(ClientStore::open(dir.path(), FILE).unwrap().list(), []);
    }

    #[test]
    fn a_client_counts_as_connected_while_one_of_its_connections_lives() {
        let store = ClientStore::in_memory();
        assert_eq!(store.add(fingerprint("a"), "Den").unwrap().last_seen_unix_ms, None);
        let (one, two) = (store.attach(fingerprint("a")).unwrap(), store.attach(fingerprint("a")).unwrap());
        assert!(store.list()[0].connected && store.list()[0].last_seen_unix_ms.is_some());
        drop(one);
        assert!(store.list()[0].connected);
        drop(two);
        assert!(!store.list()[0].connected);
    }

    #[test]
    fn a_damaged_or_newer_file_is_named_and_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(FILE);
        for content in ["", "{", "[]", r#"{"version":2,"clients":[]}"#, r#"{"version":1,"clients":[{"name":"x"}]}"#] {
            fs::write(&path, content).unwrap();
            let error = ClientStore::open(dir.path(), FILE).unwrap_err();
            assert!(matches!(error, StoreError::Invalid { .. }) && error.to_string().contains(FILE), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), content);
        }
    }

    #[test]
    fn what_cannot_be_saved_does_not_count() {
        let dir = tempfile::tempdir().unwrap();
        let store = ClientStore::open(dir.path(), FILE).unwrap();
        let id = store.add(fingerprint("a"), "Den").unwrap().id;
        // A directory in the file's place cannot be replaced by a file.
        fs::remove_file(dir.path().join(FILE)).unwrap();
        fs::create_dir(dir.path().join(FILE)).unwrap();
        assert!(matches!(store.add(fingerprint("b"), "Attic"), Err(StoreError::Write { .. })));
        assert!(matches!(store.revoke(&id), Err(RevokeError::Store(StoreError::Write { .. }))));
        assert_eq!(store.list().len(), 1);
        assert!(store.attach(fingerprint("a")).is_some() && store.attach(fingerprint("b")).is_none());
    }
}
