//! The journal of a running capture: what was measured so far, on the disk, in case the host is killed.
//!
//! One line of JSON for the metadata, then one for each entry, appended and synchronised batch by batch. It does not hold
//! kept frames and histograms' totals: an interrupted recording lacks them and says so.

use std::fs::{self, File, TryLockError};
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::fs::{private_dir, private_file, remove, sync_dir};
use crate::id::RecordingId;
use crate::listing::MAX_BYTES;
use crate::schema::{
    Capture, CaptureMeta, Marker, MarkerKind, Provenance, SCHEMA_VERSION, SessionMeta, Source, StatsSample,
};
use crate::store::{GetError, SaveError, Store};

/// Folder of the journals in the recordings' directory. Hidden: listings pass it by.
const FOLDER: &str = ".journal";

/// Ending of a journal's file name.
const ENDING: &str = ".ndjson";

/// What is added to a journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(clippy::large_enum_variant, reason = "nearly every entry is a sample, and none outlives its being written")]
pub enum JournalEntry {
    /// A session joined, or more is known about it than before: the last entry of an id counts.
    Session(SessionMeta),
    /// A window closed.
    Sample(StatsSample),
    /// A marker was set.
    Marker(Marker),
}

/// First line of a journal.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    schema_version: u32,
    meta: CaptureMeta,
}

/// The journal of the capture that is armed. Dropping it leaves the file, to be recovered at the next start; call
/// [`remove`](Self::remove) once the recording is saved.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// Bytes that are whole lines.
    len: u64,
    /// A failed append left the beginning of a line behind.
    torn: bool,
    /// Reused for every batch.
    buffer: Vec<u8>,
}

/// The journal could not be written or removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write the journal {}: {source}", .path.display())]
pub struct JournalError {
    /// Its file.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

impl Journal {
    pub(crate) fn create(dir: &Path, meta: &CaptureMeta) -> Result<Self, JournalError> {
        let path = path_of(dir, &meta.id);
        let error = |source| JournalError { path: path.clone(), source };
        let folder = dir.join(FOLDER);
        private_dir(&folder).map_err(error)?;
        let file = private_file(&path).map_err(error)?;
        let mut journal = Self { file, path: path.clone(), len: 0, torn: false, buffer: Vec::new() };
        let begin = |journal: &mut Self| {
            serde_json::to_writer(&mut journal.buffer, &Header { schema_version: SCHEMA_VERSION, meta: meta.clone() })?;
            journal.buffer.push(b'\n');
            // Tells a running capture from a left-over one; the system lets go of it when the host dies.
            journal.file.try_lock()?;
            journal.write()?;
            // The names: of the folder in the directory, and of the file in the folder.
            sync_dir(dir)?;
            sync_dir(&folder)
        };
        match begin(&mut journal) {
            Ok(()) => Ok(journal),
            Err(source) => {
                // Empty or torn, it says nothing that would be missed; recovery passes it by if it cannot be removed.
                drop(remove(&path));
                Err(error(source))
            }
        }
    }

    /// Appends one entry durably.
    ///
    /// # Errors
    /// See [`append_all`](Self::append_all).
    pub fn append(&mut self, entry: &JournalEntry) -> Result<(), JournalError> {
        self.append_all(std::slice::from_ref(entry))
    }

    /// Appends entries durably, with one synchronisation for all of them.
    ///
    /// # Errors
    /// [`JournalError`] if the disk is full or gone: none of the entries is in the journal then, and later ones may be
    /// appended.
    pub fn append_all(&mut self, entries: &[JournalEntry]) -> Result<(), JournalError> {
        self.buffer.clear();
        if self.torn {
            self.buffer.push(b'\n');
        }
        let append = |journal: &mut Self| {
            for entry in entries {
                serde_json::to_writer(&mut journal.buffer, entry)?;
                journal.buffer.push(b'\n');
            }
            journal.write()
        };
        append(self).map_err(|source| JournalError { path: self.path.clone(), source })
    }

    /// Writes the buffer, or takes back what was written of it.
    fn write(&mut self) -> io::Result<()> {
        let written = self.file.write_all(&self.buffer).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.len += self.buffer.len() as u64;
                self.torn = false;
            }
            Err(_) => self.torn = self.file.set_len(self.len).is_err(),
        }
        written
    }

    /// Deletes the journal: its capture is saved, or empty.
    ///
    /// # Errors
    /// [`JournalError`] if it is still there. It does no harm: recovery finds the recording saved.
    pub fn remove(self) -> Result<(), JournalError> {
        remove(&self.path).map_err(|source| JournalError { path: self.path.clone(), source })
    }
}

impl Drop for Journal {
    fn drop(&mut self) {
        // Closing would not do: a process that is being started may have inherited the file, and with it the lock. If this
        // fails, the journal counts as live until the host ends, and is recovered at the next start.
        self.file.unlock().ok();
    }
}

/// The file of a capture's journal.
pub(crate) fn path_of(dir: &Path, id: &RecordingId) -> PathBuf {
    dir.join(FOLDER).join(format!("{id}{ENDING}"))
}

/// What became of a journal that was left over.
#[derive(Debug)]
pub struct Recovered {
    /// The capture.
    pub id: RecordingId,
    /// Samples that were found.
    pub samples: usize,
    /// Lines that could not be read: one if the host was killed while it wrote.
    pub lines_lost: usize,
    /// The recording that it became; `None` if it had been saved already, or nothing had been measured.
    pub outcome: Result<Option<CaptureMeta>, RecoverError>,
}

/// A journal could not be turned into a recording. It stays where it is.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It could not be read or deleted.
    #[error("cannot recover {}: {source}", .path.display())]
    Io {
        /// The journal.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It does not begin as a journal that this version can read.
    #[error("{} is not a journal that this version can read", .path.display())]
    Foreign {
        /// The journal.
        path: PathBuf,
    },
    /// The recording could not be saved.
    #[error(transparent)]
    Save(#[from] SaveError),
    /// A file bears the recording's name and cannot be read, be it that it was just made of the journal.
    #[error(transparent)]
    Occupied(#[from] GetError),
}

/// See [`Store::recover`].
pub(crate) fn recover(store: &Store) -> Vec<Recovered> {
    let folder = store.dir().join(FOLDER);
    let names = match fs::read_dir(&folder) {
        Ok(entries) => entries.filter_map(|entry| Some(entry.ok()?.file_name().to_str()?.to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Vec::new(),
        Err(error) => {
            tracing::warn!(path = %folder.display(), %error, "cannot look for interrupted captures");
            return Vec::new();
        }
    };
    let mut ids: Vec<RecordingId> = names.filter_map(|name| name.strip_suffix(ENDING)?.parse().ok()).collect();
    ids.sort_unstable();
    ids.into_iter().filter(|id| !is_live(&path_of(store.dir(), id))).map(|id| recover_one(store, id)).collect()
}

/// Whether a capture of this host is writing it.
fn is_live(path: &Path) -> bool {
    File::open(path).is_ok_and(|file| matches!(file.try_lock(), Err(TryLockError::WouldBlock)))
}

fn recover_one(store: &Store, id: RecordingId) -> Recovered {
    let path = path_of(store.dir(), &id);
    let mut recovered = Recovered { id, samples: 0, lines_lost: 0, outcome: Ok(None) };
    recovered.outcome = (|| {
        let io = |source| RecoverError::Io { path: path.clone(), source };
        let found = read(&path)?;
        recovered.samples = found.samples.len();
        recovered.lines_lost = found.lines_lost;
        let saved = match store.get(&recovered.id) {
            Ok(_) => true,
            Err(GetError::NotFound { .. }) => false,
            Err(error) => return Err(error.into()),
        };
        let empty = found.samples.is_empty() && found.markers.is_empty();
        let Some(mut meta) = found.meta.filter(|_| !saved && !empty) else {
            if !saved && !empty {
                return Err(RecoverError::Foreign { path: path.clone() });
            }
            // The host may have been killed between renaming the recording and making its name durable.
            sync_dir(store.dir()).map_err(io)?;
            remove(&path).map_err(io)?;
            return Ok(None);
        };
        if meta.id != recovered.id {
            return Err(RecoverError::Foreign { path: path.clone() });
        }
        meta.interrupted = true;
        meta.duration_ms = found.samples.iter().map(|sample| sample.t_ms).max().unwrap_or_default();
        meta.sessions = found.sessions;
        complete(&mut meta.sessions, &found.samples, &found.markers);
        // An interrupted capture has no totals to compare with.
        let provenance =
            Provenance { source: Source::Local, verified: None, counts: Vec::new(), backend: None, imported: None };
        let capture = Capture::assemble(meta, found.samples, found.markers, provenance, Vec::new());
        store.save(&capture)?;
        // Damaged lines may hold anything; only what can be read again replaces them.
        store.get(&recovered.id)?;
        remove(&path).map_err(io)?;
        Ok(Some(capture.meta))
    })();
    recovered
}

/// Adds what the end of a capture would have told about its sessions, as far as samples and markers know.
fn complete(sessions: &mut [SessionMeta], samples: &[StatsSample], markers: &[Marker]) {
    for session in sessions {
        let own = samples.iter().filter(|sample| sample.session_id == session.id);
        let records = own.filter_map(|sample| sample.host.as_ref()).map(|host| host.count);
        session.records = session.records.max(records.fold(0, u64::saturating_add));
        let left = markers.iter().filter(|marker| marker.kind == MarkerKind::Leave);
        let left =
            left.filter(|marker| marker.session_id.as_ref() == Some(&session.id)).map(|marker| marker.t_ms).max();
        session.left_ms = session.left_ms.or(left);
    }
}

/// What a journal holds.
#[derive(Default)]
struct Found {
    meta: Option<CaptureMeta>,
    sessions: Vec<SessionMeta>,
    samples: Vec<StatsSample>,
    markers: Vec<Marker>,
    lines_lost: usize,
}

/// Reads what can be read: a killed host leaves the beginning of a line, a failing disk anything.
fn read(path: &Path) -> Result<Found, RecoverError> {
    let io = |source| RecoverError::Io { path: path.to_owned(), source };
    let mut reader = BufReader::new(File::open(path).map_err(io)?.take(MAX_BYTES));
    let mut found = Found::default();
    let mut line = Vec::new();
    let mut first = true;
    loop {
        line.clear();
        if reader.read_until(b'\n', &mut line).map_err(io)? == 0 {
            return Ok(found);
        }
        let is_header = std::mem::take(&mut first);
        if line == b"\n" {
            continue;
        }
        if is_header {
            match serde_json::from_slice::<Header>(&line) {
                Ok(header) if header.schema_version <= SCHEMA_VERSION => {
                    found.sessions.clone_from(&header.meta.sessions);
                    found.meta = Some(header.meta);
                }
                Ok(_) => return Err(RecoverError::Foreign { path: path.to_owned() }),
                Err(_) => found.lines_lost += 1,
            }
            continue;
        }
        match serde_json::from_slice(&line) {
            Ok(JournalEntry::Session(session)) => {
                match found.sessions.iter_mut().find(|known| known.id == session.id) {
                    Some(known) => *known = session,
                    None => found.sessions.push(session),
                }
            }
            Ok(JournalEntry::Sample(sample)) => found.samples.push(sample),
            Ok(JournalEntry::Marker(marker)) => found.markers.push(marker),
            Err(_) => found.lines_lost += 1,
        }
    }
}
