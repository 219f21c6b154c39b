//! The directory of recordings: one file each, written whole or not at all, owned by one host at a time.
//!
//! All calls block on the disk. What is on the disk is the truth: the store keeps nothing but a cache of heads, so an
//! operator may delete, copy and restore files while it runs.

use std::collections::HashSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use serde_json::{Map, Value};

use crate::fs::{TEMPORARY, private_dir, private_file, remove, replace};
use crate::head::{self, Unreadable};
use crate::id::RecordingId;
use crate::import::ImportError;
use crate::journal::{Journal, JournalError, Recovered};
use crate::listing::{Cache, ListError, ListQuery, Listed, Listing, MAX_BYTES, Revision, id_of, name_of, scan};
use crate::schema::{Capture, CaptureMeta};

mod error;

pub use error::{DeleteError, GetError, OpenError, SaveError, UpdateError};

/// Name of the file that the host holds a lock on.
const LOCK: &str = ".lock";

/// Name of the file that holds the baseline's id. Hidden, so no listing takes it for a recording.
const BASELINE: &str = ".baseline";

/// Largest metadata that an edit may leave, bytes: well within the head that a listing reads.
const MAX_PATCHED: usize = 512 << 10;

/// Settings of a store.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StoreOptions {
    /// Above this many bytes, saving makes room by deleting the oldest recordings that are not pinned; never the one just
    /// saved. Off by default: what was recorded stays.
    pub quota_bytes: Option<u64>,
}

/// The directory of recordings. Clones share it; it is released with the last one.
#[derive(Debug, Clone)]
pub struct Store(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    dir: PathBuf,
    options: StoreOptions,
    cache: Mutex<Cache>,
    /// Held while files are replaced or deleted, so that comparing a revision and acting on it are one step.
    writing: Mutex<()>,
    /// Ids that were given and may not have a file yet.
    reserved: Mutex<HashSet<RecordingId>>,
    lock: File,
}

impl Drop for Inner {
    fn drop(&mut self) {
        // Closing would not do: a process that is being started may have inherited the file, and with it the lock.
        if let Err(error) = self.lock.unlock() {
            tracing::warn!(dir = %self.dir.display(), %error, "the recordings stay locked until the host ends");
        }
    }
}

/// A recording that was read.
#[derive(Debug, Clone, PartialEq)]
pub struct Stored {
    /// The recording.
    pub capture: Capture,
    /// State of its file.
    pub revision: Revision,
}

/// What may be changed about a recording afterwards; `None` leaves it as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MetaPatch {
    /// What the operator calls it.
    pub label: Option<String>,
    /// What the operator notes.
    pub note: Option<String>,
    /// Whether it is kept when the quota makes room.
    pub pinned: Option<bool>,
}

/// A recording whose metadata was changed.
#[derive(Debug, Clone, PartialEq)]
pub struct Updated {
    /// The metadata as it is now.
    pub meta: CaptureMeta,
    /// State of the file.
    pub revision: Revision,
}

/// How much there is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Files named like recordings.
    pub recordings: u64,
    /// Bytes of all files in the directory that are not hidden.
    pub bytes: u64,
}

impl Store {
    /// Opens `dir`, which is created if it does not exist, for this host alone.
    ///
    /// # Errors
    /// [`OpenError::InUse`] if another host has it open; [`OpenError::Io`] if it cannot be created or written to.
    pub fn open(dir: impl Into<PathBuf>, options: StoreOptions) -> Result<Self, OpenError> {
        let dir = dir.into();
        let io = |path: &Path| {
            let path = path.to_owned();
            move |source| OpenError::Io { path, source }
        };
        private_dir(&dir).map_err(io(&dir))?;
        let path = dir.join(LOCK);
        match private_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(io(&path)(error)),
            _ => {}
        }
        // Open for reading only: otherwise no administrator could make the file system read-only under a running host.
        let lock = File::open(&path).map_err(io(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(OpenError::InUse { dir }),
            Err(TryLockError::Error(source)) => return Err(OpenError::Io { path, source }),
        }
        remove_unfinished(&dir).map_err(io(&dir))?;
        Ok(Self(Arc::new(Inner {
            dir,
            options,
            cache: Mutex::default(),
            writing: Mutex::default(),
            reserved: Mutex::default(),
            lock,
        })))
    }

    /// The directory.
    pub fn dir(&self) -> &Path {
        &self.0.dir
    }

    /// Bytes that all recordings together may have before the oldest are deleted.
    pub fn quota_bytes(&self) -> Option<u64> {
        self.0.options.quota_bytes
    }

    /// The file of a recording, whether it exists or not.
    pub fn path_of(&self, id: &RecordingId) -> PathBuf {
        self.0.dir.join(name_of(id))
    }

    /// Gives the id of a capture that starts now, different from every other one in this directory, on its way to it, or
    /// left over in a journal.
    pub fn new_id(&self, started_unix_ms: u64, resolution: Option<(u32, u32)>) -> RecordingId {
        self.reserve(RecordingId::new(started_unix_ms, resolution))
    }

    /// This id if it is free, or else the first free one made of it.
    fn reserve(&self, first: RecordingId) -> RecordingId {
        let mut reserved = lock(&self.0.reserved);
        let others = (2..=u32::MAX).map(|n| first.with_suffix(n));
        let taken = |id: &RecordingId| {
            // A file that cannot be looked at may exist.
            let exists = |path: PathBuf| {
                fs::symlink_metadata(path).map_or_else(|e| e.kind() != io::ErrorKind::NotFound, |_| true)
            };
            reserved.contains(id) || exists(self.path_of(id)) || exists(crate::journal::path_of(&self.0.dir, id))
        };
        let id = std::iter::once(first.clone()).chain(others).find(|id| !taken(id)).unwrap_or(first);
        reserved.insert(id.clone());
        id
    }

    /// Saves a recording durably, over an earlier file of the same id if there is one. When this returns, it outlives a
    /// power cut. Makes room afterwards, if a quota is set.
    ///
    /// # Errors
    /// [`SaveError`] names the path. Nothing is left behind and an earlier file is untouched, so it can be repeated.
    pub fn save(&self, capture: &Capture) -> Result<Revision, SaveError> {
        let path = self.path_of(&capture.meta.id);
        let mut bytes = serde_json::to_vec(capture).map_err(|source| SaveError::Serialize { source })?;
        // The last byte of a whole file.
        bytes.push(b'\n');
        if bytes.len() as u64 > MAX_BYTES {
            return Err(SaveError::TooLarge { bytes: bytes.len() as u64, limit: MAX_BYTES });
        }
        let _writing = lock(&self.0.writing);
        let revision = write(&path, &[&bytes]).map_err(|source| SaveError::Io { path, source })?;
        self.make_room(&capture.meta.id);
        Ok(revision)
    }

    /// Takes in a recording from elsewhere, under its own id or, if that is taken, one made of it. `now_unix_ms`: the time.
    ///
    /// # Errors
    /// [`ImportError`] says what is wrong with it, or that it could not be written. No other recording is touched.
    pub fn import(&self, bytes: impl AsRef<[u8]>, now_unix_ms: u64) -> Result<Updated, ImportError> {
        let mut capture = crate::import::read(bytes.as_ref(), now_unix_ms)?;
        // As large as what was made of them, and of no use any more.
        drop(bytes);
        capture.meta.id = self.reserve(capture.meta.id.with_room());
        let revision = self.save(&capture)?;
        Ok(Updated { meta: capture.meta, revision })
    }

    /// Lists a page, newest first. Reads only the heads of files that it has not read before.
    ///
    /// # Errors
    /// [`ListError`] if the directory cannot be read. A file that cannot be read is an entry that says why.
    pub fn list(&self, query: &ListQuery) -> Result<Listing, ListError> {
        lock(&self.0.cache).list(&self.0.dir, query)
    }

    /// Reads a recording.
    ///
    /// # Errors
    /// [`GetError::NotFound`], or why its file cannot be read.
    pub fn get(&self, id: &RecordingId) -> Result<Stored, GetError> {
        let (bytes, revision) = self.read_raw(id)?;
        let unreadable = |reason| GetError::Unreadable { id: id.clone(), reason };
        // Says it better than a missing field does.
        head::find(&bytes).map_err(unreadable)?;
        let capture: Capture =
            serde_json::from_slice(&bytes).map_err(|error| unreadable(head::reason(&bytes, &error)))?;
        if capture.meta.id != *id {
            return Err(unreadable(Unreadable::Renamed { holds: capture.meta.id.to_string() }));
        }
        Ok(Stored { capture, revision })
    }

    /// Reads the head of a recording's file: nothing of its samples, and no other file.
    ///
    /// # Errors
    /// [`GetError::NotFound`], or why its file cannot be read.
    pub fn meta(&self, id: &RecordingId) -> Result<CaptureMeta, GetError> {
        let (file, revision) = self.open_file(id)?;
        let unreadable = |reason| GetError::Unreadable { id: id.clone(), reason };
        let head = head::read(&file, revision.bytes(), &mut Vec::new());
        let meta = head.map_err(|source| self.get_error(id, source))?.map_err(unreadable)?;
        if meta.id != *id {
            return Err(unreadable(Unreadable::Renamed { holds: meta.id.to_string() }));
        }
        Ok(meta)
    }

    /// Reads a recording's file as it is.
    ///
    /// # Errors
    /// [`GetError::NotFound`], or why its file cannot be read; what is in it is not looked at.
    pub fn read_raw(&self, id: &RecordingId) -> Result<(Vec<u8>, Revision), GetError> {
        let (file, revision) = self.open_file(id)?;
        let mut bytes = Vec::with_capacity(usize::try_from(revision.bytes()).unwrap_or_default());
        file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|source| self.get_error(id, source))?;
        Ok((bytes, revision))
    }

    /// The state of a recording's file, which no other state of it shares.
    ///
    /// # Errors
    /// [`GetError::NotFound`], or why its file cannot be opened.
    pub fn revision(&self, id: &RecordingId) -> Result<Revision, GetError> {
        self.open_file(id).map(|(_, revision)| revision)
    }

    /// Opens a recording's file, if it is a file and not too large.
    fn open_file(&self, id: &RecordingId) -> Result<(File, Revision), GetError> {
        let path = self.path_of(id);
        let error = |source| self.get_error(id, source);
        let unreadable = |reason| GetError::Unreadable { id: id.clone(), reason };
        if !fs::symlink_metadata(&path).map_err(error)?.is_file() {
            return Err(unreadable(Unreadable::NotAFile));
        }
        let file = File::open(&path).map_err(error)?;
        let revision = Revision::of(&file.metadata().map_err(error)?);
        if revision.bytes() > MAX_BYTES {
            return Err(unreadable(Unreadable::TooLarge { limit: MAX_BYTES }));
        }
        Ok((file, revision))
    }

    fn get_error(&self, id: &RecordingId, source: io::Error) -> GetError {
        match source.kind() {
            io::ErrorKind::NotFound => GetError::NotFound { id: id.clone() },
            _ => GetError::Io { path: self.path_of(id), source },
        }
    }

    /// Changes what an operator may change, if the file is still in the state `expected`; in any state without. Everything
    /// else in the file stays byte for byte, also what a later version wrote.
    ///
    /// # Errors
    /// [`UpdateError::Conflict`] says the current revision; on any error the file is untouched.
    pub fn update(
        &self,
        id: &RecordingId,
        expected: Option<&Revision>,
        patch: MetaPatch,
    ) -> Result<Updated, UpdateError> {
        let _writing = lock(&self.0.writing);
        let (bytes, current) = self.read_raw(id)?;
        if expected.is_some_and(|expected| *expected != current) {
            return Err(UpdateError::Conflict { current });
        }
        let unreadable = |reason| UpdateError::Get(GetError::Unreadable { id: id.clone(), reason });
        let head = head::find(&bytes).map_err(unreadable)?;
        let foreign = |error: serde_json::Error| unreadable(Unreadable::Foreign(error.to_string()));
        let mut meta: Map<String, Value> = serde_json::from_str(head.meta.get()).map_err(foreign)?;
        let mut set = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                meta.insert(name.to_owned(), value);
            }
        };
        set("label", patch.label.map(Value::from));
        set("note", patch.note.map(Value::from));
        set("pinned", patch.pinned.map(Value::from));
        let patched = serde_json::to_vec(&meta).map_err(foreign)?;
        let meta = serde_json::from_slice(&patched).map_err(foreign)?;
        if patched.len() > MAX_PATCHED {
            return Err(UpdateError::TooLarge { bytes: patched.len(), limit: MAX_PATCHED });
        }
        let start = head.meta.get().as_ptr().addr() - bytes.as_ptr().addr();
        let end = start + head.meta.get().len();
        let path = self.path_of(id);
        let revision = write(&path, &[&bytes[..start], &patched, &bytes[end..]])
            .map_err(|source| UpdateError::Io { path, source })?;
        Ok(Updated { meta, revision })
    }

    /// Puts `capture` in the place of the recording of its id. What an operator changed meanwhile (label, note, pin) is
    /// merged into it; a recording that was deleted meanwhile stays deleted.
    ///
    /// # Errors
    /// [`GetError::NotFound`] inside of [`UpdateError::Get`] if it was deleted; on any error the file is untouched.
    pub fn replace(&self, mut capture: Capture) -> Result<Updated, UpdateError> {
        let id = capture.meta.id.clone();
        let path = self.path_of(&id);
        let _writing = lock(&self.0.writing);
        let (bytes, _) = self.read_raw(&id)?;
        let unreadable = |reason| UpdateError::Get(GetError::Unreadable { id: id.clone(), reason });
        let head = head::find(&bytes).map_err(unreadable)?;
        let foreign = |error: serde_json::Error| unreadable(Unreadable::Foreign(error.to_string()));
        let current: CaptureMeta = serde_json::from_str(head.meta.get()).map_err(foreign)?;
        capture.meta.label = current.label;
        capture.meta.note = current.note;
        capture.meta.pinned = current.pinned;
        let mut bytes = serde_json::to_vec(&capture).map_err(foreign)?;
        bytes.push(b'\n');
        if bytes.len() as u64 > MAX_BYTES {
            return Err(UpdateError::TooLarge { bytes: bytes.len(), limit: MAX_BYTES as usize });
        }
        let revision = write(&path, &[&bytes]).map_err(|source| UpdateError::Io { path, source })?;
        Ok(Updated { meta: capture.meta, revision })
    }

    /// Deletes a recording, or whatever bears its name, if it is still in the state `expected`; in any state without.
    ///
    /// # Errors
    /// [`DeleteError::Conflict`] says the current revision; on any error the file is still there.
    pub fn delete(&self, id: &RecordingId, expected: Option<&Revision>) -> Result<(), DeleteError> {
        let _writing = lock(&self.0.writing);
        let path = self.path_of(id);
        let error = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => DeleteError::NotFound { id: id.clone() },
            _ => DeleteError::Io { path: path.clone(), source },
        };
        let current = Revision::of(&fs::symlink_metadata(&path).map_err(error)?);
        if expected.is_some_and(|expected| *expected != current) {
            return Err(DeleteError::Conflict { current });
        }
        remove(&path).map_err(error)?;
        lock(&self.0.reserved).remove(id);
        Ok(())
    }

    /// The recording that others are held against, if one is pinned and still there.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn baseline(&self) -> io::Result<Option<RecordingId>> {
        let text = match fs::read_to_string(self.0.dir.join(BASELINE)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        // Somebody may have written into it, or deleted the recording.
        Ok(text.trim().parse().ok().filter(|id| self.path_of(id).exists()))
    }

    /// Pins the recording that others are held against, or none.
    ///
    /// # Errors
    /// [`GetError::NotFound`] if there is no such recording; otherwise what the system says.
    pub fn set_baseline(&self, id: Option<&RecordingId>) -> Result<(), GetError> {
        let path = self.0.dir.join(BASELINE);
        let _writing = lock(&self.0.writing);
        let failed = |source| GetError::Io { path: path.clone(), source };
        match id {
            Some(id) if !self.path_of(id).is_file() => Err(GetError::NotFound { id: id.clone() }),
            Some(id) => replace(&path, &[id.as_str().as_bytes(), b"\n"], None).map(drop).map_err(failed),
            None => match remove(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(error)),
                _ => Ok(()),
            },
        }
    }

    /// Counts recordings and bytes without opening a file.
    ///
    /// # Errors
    /// [`ListError`] if the directory cannot be read.
    pub fn usage(&self) -> Result<Usage, ListError> {
        let mut usage = Usage::default();
        for entry in scan(&self.0.dir)? {
            let error = |source| ListError { path: self.0.dir.clone(), source };
            let Some(metadata) = entry.metadata().map_err(error)? else { continue };
            usage.recordings += u64::from(id_of(&entry.name).is_some());
            usage.bytes += metadata.len();
        }
        Ok(usage)
    }

    /// Says which recordings would be deleted, oldest first, if another one of `incoming_bytes` were saved now. Empty
    /// without a quota.
    ///
    /// # Errors
    /// [`ListError`] if the directory cannot be read.
    pub fn would_evict(&self, incoming_bytes: u64) -> Result<Vec<CaptureMeta>, ListError> {
        self.evictable(incoming_bytes, None)
    }

    /// `saved` counts, and stays.
    fn evictable(&self, incoming_bytes: u64, saved: Option<&RecordingId>) -> Result<Vec<CaptureMeta>, ListError> {
        let Some(quota) = self.0.options.quota_bytes else { return Ok(Vec::new()) };
        let listing = self.list(&ListQuery::default())?;
        let mut bytes = listing.entries.iter().fold(incoming_bytes, |sum, entry| sum.saturating_add(entry.bytes()));
        let mut evicted = Vec::new();
        for entry in listing.entries.into_iter().rev() {
            if bytes <= quota {
                break;
            }
            // What cannot be read may be pinned, or somebody else's: it counts, and stays.
            if let Listed::Readable { meta, revision } = entry
                && !meta.pinned
                && saved != Some(&meta.id)
            {
                bytes -= revision.bytes();
                evicted.push(Arc::unwrap_or_clone(meta));
            }
        }
        Ok(evicted)
    }

    /// Deletes what the quota does not hold, except `saved`. The new recording is safe; failing to make room does not take
    /// it back.
    fn make_room(&self, saved: &RecordingId) {
        let evicted = match self.evictable(0, Some(saved)) {
            Ok(evicted) => evicted,
            Err(error) => return tracing::warn!(%error, "the quota of the recordings was not applied"),
        };
        for meta in evicted {
            let path = self.path_of(&meta.id);
            match remove(&path) {
                Ok(()) => tracing::info!(id = %meta.id, "deleted the oldest recording to stay within the quota"),
                Err(error) => tracing::warn!(path = %path.display(), %error, "cannot make room for recordings"),
            }
        }
    }

    /// Begins the journal of a capture that was armed. See [`Journal`].
    ///
    /// # Errors
    /// [`JournalError`] names the path.
    pub fn journal(&self, meta: &CaptureMeta) -> Result<Journal, JournalError> {
        lock(&self.0.reserved).insert(meta.id.clone());
        Journal::create(&self.0.dir, meta)
    }

    /// Turns journals that a killed host left over into recordings that say `interrupted`; passes by the one that is being
    /// written. A journal is deleted only when its recording is durable.
    pub fn recover(&self) -> Vec<Recovered> {
        crate::journal::recover(self)
    }
}

/// Writes a file whose revision differs from that of the one it replaces.
fn write(path: &Path, parts: &[&[u8]]) -> io::Result<Revision> {
    let after: Option<SystemTime> = fs::symlink_metadata(path).and_then(|metadata| metadata.modified()).ok();
    replace(path, parts, after).map(|metadata| Revision::of(&metadata))
}

/// Files that were being written when an earlier host was killed. The lock is held, so nobody writes them any more.
fn remove_unfinished(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(TEMPORARY) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// A panic elsewhere leaves no half-done state behind these locks: the disk is the truth.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
