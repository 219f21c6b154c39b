//! The list of recordings, newest first: file names are read from the directory, heads of files only for the entries that
//! are asked for, and only once per revision.

use std::collections::HashMap;
use std::fmt;
use std::fs::{self, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::fs::TEMPORARY;
use crate::head::{self, Unreadable};
use crate::id::RecordingId;
use crate::schema::CaptureMeta;

/// Largest file that is read, bytes. Three hours of eight sessions at one sample a second are about 170 MB.
pub const MAX_BYTES: u64 = 512 << 20;

/// Ending of a recording's file name.
const ENDING: &str = ".json";

/// Threads that read heads at most.
const MAX_READERS: usize = 4;

/// Heads that are worth a thread.
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
        /// What its head says.
        meta: Box<CaptureMeta>,
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

/// A file as the directory tells it.
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) revision: Revision,
    regular: bool,
}

/// Orders names by age: those of one second by their suffix, which the ending would put before the name without one.
fn age(name: &str) -> (&str, &str) {
    (name.strip_suffix(ENDING).unwrap_or(name), name)
}

/// Every file in the directory but hidden ones, newest first: names begin with the time.
pub(crate) fn scan(dir: &Path) -> Result<Vec<Entry>, ListError> {
    let error = |source| ListError { path: dir.to_owned(), source };
    let mut entries = Vec::new();
    for entry in fs::read_dir(dir).map_err(error)? {
        let entry = entry.map_err(error)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        debug_assert!(TEMPORARY.starts_with('.'), "files that are being written are hidden");
        if name.starts_with('.') {
            continue;
        }
        match entry.metadata() {
            Ok(metadata) => {
                entries.push(Entry { name, revision: Revision::of(&metadata), regular: metadata.is_file() })
            }
            // Deleted in between.
            Err(gone) if gone.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(error(source)),
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
        self.read_unknown(dir, page);
        let end = first + length;
        let next = (end < total && end > first).then(|| entries[end - 1].name.clone());
        let listed =
            page.iter().filter_map(|entry| self.0.get(&entry.name)).map(|(_, listed)| listed.clone()).collect();
        self.0.retain(|_, (_, listed)| {
            // What the system refused once may be granted the next time.
            !matches!(listed, Listed::Unreadable { reason: Unreadable::Io(_), .. })
        });
        Ok(Listing { entries: listed, next, total })
    }

    /// Reads the heads of files that are new or changed. Opening a file is most of the work, and the disk's; a few threads
    /// share it when a host that has just started lists thousands.
    fn read_unknown(&mut self, dir: &Path, page: &[Entry]) {
        let known = |entry: &&Entry| self.0.get(&entry.name).is_some_and(|(revision, _)| *revision == entry.revision);
        let unknown: Vec<&Entry> = page.iter().filter(|entry| !known(entry)).collect();
        let threads = std::thread::available_parallelism().map_or(1, usize::from).min(MAX_READERS);
        let share = unknown.len().div_ceil(threads).max(MIN_SHARE);
        let read_share = |entries: &[&Entry]| {
            let mut buffer = Vec::new();
            entries.iter().map(|entry| read(dir, entry, &mut buffer)).collect::<Vec<_>>()
        };
        let read: Vec<Option<(Revision, Listed)>> = std::thread::scope(|scope| {
            let mut shares = unknown.chunks(share);
            let first = shares.next().unwrap_or_default();
            let others: Vec<_> = shares.map(|entries| scope.spawn(move || read_share(entries))).collect();
            let mut read = read_share(first);
            for other in others {
                read.extend(other.join().expect("reading a head does not panic, whatever is in the file"));
            }
            read
        });
        for (entry, read) in unknown.into_iter().zip(read) {
            match read {
                Some(read) => drop(self.0.insert(entry.name.clone(), read)),
                None => drop(self.0.remove(&entry.name)),
            }
        }
    }

    /// Keeps memory bounded by the directory.
    fn forget_all_but(&mut self, entries: &[Entry]) {
        if self.0.len() > entries.len() {
            self.0.retain(|name, _| entries.binary_search_by(|entry| name.cmp(&entry.name)).is_ok());
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

/// What a file holds, and the revision in which it was read: since the directory was, it may have been replaced, or deleted
/// (`None`).
fn read(dir: &Path, entry: &Entry, buffer: &mut Vec<u8>) -> Option<(Revision, Listed)> {
    let id = id_of(&entry.name);
    let mut revision = entry.revision;
    let listed = match read_meta(dir, entry, id.as_ref(), &mut revision, buffer) {
        Err(Unreadable::Io(_)) if !dir.join(&entry.name).exists() => return None,
        Ok(meta) => Listed::Readable { meta: Box::new(meta), revision },
        Err(reason) => Listed::Unreadable { name: entry.name.clone(), id, reason, bytes: revision.bytes },
    };
    Some((revision, listed))
}

fn read_meta(
    dir: &Path,
    entry: &Entry,
    id: Option<&RecordingId>,
    revision: &mut Revision,
    buffer: &mut Vec<u8>,
) -> Result<CaptureMeta, Unreadable> {
    let io = |error: io::Error| Unreadable::Io(error.to_string());
    if !entry.regular {
        return Err(Unreadable::NotAFile);
    }
    let id = id.ok_or(Unreadable::ForeignName)?;
    let file = File::open(dir.join(&entry.name)).map_err(io)?;
    *revision = Revision::of(&file.metadata().map_err(io)?);
    if revision.bytes > MAX_BYTES {
        return Err(Unreadable::TooLarge { limit: MAX_BYTES });
    }
    let meta = head::read(&file, revision.bytes, buffer)?;
    if meta.id != *id {
        return Err(Unreadable::Renamed { holds: meta.id.to_string() });
    }
    Ok(meta)
}
