//! The list of recordings, newest first: names are read from the directory; files are looked at only for the entries that
//! are asked for, and their heads are read only once per revision.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, DirEntry, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::Arc;

use crate::fs::TEMPORARY;
use crate::head::{self, Unreadable};
use crate::id::RecordingId;
use crate::schema::CaptureMeta;

/// Largest file that is read, bytes. Three hours of eight sessions at one sample a second are about 170 MB.
pub const MAX_BYTES: u64 = 512 << 20;

/// Ending of a recording's file name.
const ENDING: &str = ".json";

/// Threads that look at files at most.
const MAX_READERS: usize = 4;

/// Files that are worth a thread.
const MIN_SHARE: usize = 256;

/// Identifies one state of a recording's file, also after a restart: changes with every edit. Fit for an ETag (without its
/// quotes): digits, letters and `-`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Revision {
    modified_ns: i128,
    bytes: u64,
}

/// The text is not a revision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the revision of a recording")]
pub struct InvalidRevision;

impl Revision {
    pub(crate) fn of(metadata: &Metadata) -> Self {
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Self { modified_ns, bytes: metadata.len() }
    }

    /// Size of the file, bytes.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }
}

impl fmt::Display for Revision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.modified_ns, self.bytes)
    }
}

impl FromStr for Revision {
    type Err = InvalidRevision;

    fn from_str(text: &str) -> Result<Self, InvalidRevision> {
        let (modified, bytes) = text.split_once('-').ok_or(InvalidRevision)?;
        let modified_ns = i128::from_str_radix(modified, 16).map_err(|_| InvalidRevision)?;
        let bytes = u64::from_str_radix(bytes, 16).map_err(|_| InvalidRevision)?;
        Ok(Self { modified_ns, bytes })
    }
}

/// Which part of the list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListQuery {
    /// How many entries at most; all without.
    pub limit: Option<usize>,
    /// Continue after this entry: [`Listing::next`] of the page before. It may be gone by now.
    pub after: Option<String>,
}

/// A page of the list, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Listing {
    /// The page.
    pub entries: Vec<Listed>,
    /// Where the next page continues; `None` on the last one.
    pub next: Option<String>,
    /// How many entries there are on all pages.
    pub total: usize,
}

/// One file of the directory.
#[derive(Debug, Clone, PartialEq)]
pub enum Listed {
    /// A recording.
    Readable {
        /// What its head says; shared with the store, which keeps it for the next list.
        meta: Arc<CaptureMeta>,
        /// State of the file.
        revision: Revision,
    },
    /// Something else, or a recording that this build cannot read.
    Unreadable {
        /// Name of the file.
        name: String,
        /// Its id, if the name is one: it can be deleted by it.
        id: Option<RecordingId>,
        /// Why.
        reason: Unreadable,
        /// Size of the file, bytes.
        bytes: u64,
    },
}

impl Listed {
    /// Size of the file, bytes.
    pub fn bytes(&self) -> u64 {
        match self {
            Self::Readable { revision, .. } => revision.bytes,
            Self::Unreadable { bytes, .. } => *bytes,
        }
    }
}

/// The directory could not be read.
#[derive(Debug, thiserror::Error)]
#[error("cannot list the recordings in {}", .path.display())]
pub struct ListError {
    /// The directory.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// What the heads of files said, by file name, while their revision is the same.
#[derive(Debug, Default)]
pub(crate) struct Cache(HashMap<String, (Revision, Listed)>);

/// A name in the directory, and the way to what bears it.
pub(crate) struct Entry {
    pub(crate) name: String,
    found: DirEntry,
}

impl Entry {
    /// Its metadata; `None` if it has been deleted since the directory was read.
    pub(crate) fn metadata(&self) -> io::Result<Option<Metadata>> {
        match self.found.metadata() {
            Ok(metadata) => Ok(Some(metadata)),
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// What became of one entry of the page.
enum Looked {
    /// It is as it was.
    Known(Listed),
    /// It was read, in this revision.
    Read(Revision, Listed),
    /// The system refused. It may grant it the next time.
    Refused(Listed),
    /// It has been deleted.
    Gone,
}

/// Orders names by age: those of one second by their suffix, which the ending would put before the name without one.
fn age(name: &str) -> (&str, &str) {
    (name.strip_suffix(ENDING).unwrap_or(name), name)
}

/// Every name in the directory but hidden ones, newest first: names begin with the time.
pub(crate) fn scan(dir: &Path) -> Result<Vec<Entry>, ListError> {
    let error = |source| ListError { path: dir.to_owned(), source };
    let mut entries = Vec::new();
    for found in fs::read_dir(dir).map_err(error)? {
        let found = found.map_err(error)?;
        let name = found.file_name().to_string_lossy().into_owned();
        debug_assert!(TEMPORARY.starts_with('.'), "files that are being written are hidden");
        if !name.starts_with('.') {
            entries.push(Entry { name, found });
        }
    }
    entries.sort_unstable_by(|a, b| age(&b.name).cmp(&age(&a.name)));
    Ok(entries)
}

impl Cache {
    /// Reads the page that `query` asks for.
    pub(crate) fn list(&mut self, dir: &Path, query: &ListQuery) -> Result<Listing, ListError> {
        let entries = scan(dir)?;
        self.forget_all_but(&entries);
        let total = entries.len();
        let first =
            query.after.as_ref().map_or(0, |after| entries.partition_point(|entry| age(&entry.name) >= age(after)));
        let length = query.limit.unwrap_or(usize::MAX).min(total - first);
        let page = &entries[first..first + length];
        let mut listed = Vec::with_capacity(length);
        for (entry, looked) in page.iter().zip(self.look_at_all(dir, page)) {
            match looked {
                Looked::Known(known) => listed.push(known),
                Looked::Read(revision, read) => {
                    self.0.insert(entry.name.clone(), (revision, read.clone()));
                    listed.push(read);
                }
                Looked::Refused(refused) => listed.push(refused),
                Looked::Gone => drop(self.0.remove(&entry.name)),
            }
        }
        let end = first + length;
        let next = (end < total && end > first).then(|| entries[end - 1].name.clone());
        Ok(Listing { entries: listed, next, total })
    }

    /// Looks at the files of a page. That is mostly the system's work; a few threads share it when thousands are listed.
    fn look_at_all(&self, dir: &Path, page: &[Entry]) -> Vec<Looked> {
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_READERS);
        let share = page.len().div_ceil(threads).max(MIN_SHARE);
        let look_at = |entries: &[Entry]| {
            let mut buffer = Vec::new();
            entries.iter().map(|entry| self.look(dir, entry, &mut buffer)).collect::<Vec<_>>()
        };
        std::thread::scope(|scope| {
            let mut shares = page.chunks(share);
            let first = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|entries| scope.spawn(move || look_at(entries))).collect();
            let mut looked = look_at(first);
            for other in others {
                looked.extend(other.join().expect("reading a head does not panic, whatever is in the file"));
            }
            looked
        })
    }

    /// Reads the head of a file that is new or changed.
    fn look(&self, dir: &Path, entry: &Entry, buffer: &mut Vec<u8>) -> Looked {
        if let Some((known, listed)) = self.0.get(&entry.name)
            && matches!(entry.metadata(), Ok(Some(metadata)) if Revision::of(&metadata) == *known)
        {
            return Looked::Known(listed.clone());
        }
        let id = id_of(&entry.name);
        match read(dir, entry, id.as_ref(), buffer) {
            Ok((revision, Ok(meta))) => Looked::Read(revision, Listed::Readable { meta: Arc::new(meta), revision }),
            Ok((revision, Err(reason))) => {
                let bytes = revision.bytes;
                Looked::Read(revision, Listed::Unreadable { name: entry.name.clone(), id, reason, bytes })
            }
            Err(error) => match entry.metadata() {
                Ok(None) => Looked::Gone,
                metadata => {
                    let bytes = metadata.ok().flatten().map_or(0, |metadata| metadata.len());
                    let reason = Unreadable::Io(error.to_string());
                    Looked::Refused(Listed::Unreadable { name: entry.name.clone(), id, reason, bytes })
                }
            },
        }
    }

    /// Keeps memory bounded by the directory.
    fn forget_all_but(&mut self, entries: &[Entry]) {
        if self.0.len() > entries.len() {
            self.0.retain(|name, _| entries.binary_search_by(|entry| age(name).cmp(&age(&entry.name))).is_ok());
        }
    }
}

/// The id that a file name stands for.
pub(crate) fn id_of(name: &str) -> Option<RecordingId> {
    name.strip_suffix(ENDING)?.parse().ok()
}

/// The file name of an id.
pub(crate) fn name_of(id: &RecordingId) -> String {
    format!("{id}{ENDING}")
}

/// The metadata in a file, or why there is none, and the revision that was read.
///
/// # Errors
/// Whatever the system says, also that the file is gone.
fn read(
    dir: &Path,
    entry: &Entry,
    id: Option<&RecordingId>,
    buffer: &mut Vec<u8>,
) -> io::Result<(Revision, Result<CaptureMeta, Unreadable>)> {
    // The directory knows the kind, without a look at what bears the name.
    let regular = entry.found.file_type()?.is_file();
    let Some(id) = id.filter(|_| regular) else {
        let metadata = entry.found.metadata()?;
        let reason = if regular { Unreadable::ForeignName } else { Unreadable::NotAFile };
        return Ok((Revision::of(&metadata), Err(reason)));
    };
    let file = File::open(dir.join(&entry.name))?;
    let revision = Revision::of(&file.metadata()?);
    if revision.bytes > MAX_BYTES {
        return Ok((revision, Err(Unreadable::TooLarge { limit: MAX_BYTES })));
    }
    let meta = match head::read(&file, revision.bytes, buffer)? {
        Ok(meta) if meta.id != *id => Err(Unreadable::Renamed { holds: meta.id.to_string() }),
        found => found,
    };
    Ok((revision, meta))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_still_there_stays_known_when_something_else_is_deleted() {
        let dir = tempfile::tempdir().unwrap();
        // Two of one second: by their names alone, the second one would stand before the first.
        let names = ["2026-06-26T20-14-03Z.json", "2026-06-26T20-14-03Z-2.json", "2026-06-27T00-00-00Z.json"];
        names.iter().for_each(|name| fs::write(dir.path().join(name), "{}").unwrap());
        let mut cache = Cache::default();
        let names_of = |listing: &Listing| {
            listing
                .entries
                .iter()
                .map(|entry| match entry {
                    Listed::Unreadable { name, .. } => name.clone(),
                    Listed::Readable { meta, .. } => meta.id.to_string(),
                })
                .collect::<Vec<_>>()
        };
        assert_eq!(names_of(&cache.list(dir.path(), &ListQuery::default()).unwrap()), [names[2], names[1], names[0]]);
        fs::remove_file(dir.path().join(names[2])).unwrap();
        let page = cache.list(dir.path(), &ListQuery { limit: Some(0), after: None }).unwrap();
        assert_eq!((page.total, page.entries.len()), (2, 0));
        let mut known: Vec<_> = cache.0.into_keys().collect();
        known.sort();
        assert_eq!(known, [names[1], names[0]]);
    }
}
