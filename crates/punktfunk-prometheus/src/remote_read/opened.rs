//! Recordings that are open: parsed once, each of their series made once, and kept for a while, because a dashboard asks some
//! fifty times for one or two of them.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use punktfunk_recordings::{CaptureMeta, GetError, Marker, RecordingId, Revision, Store};
use self_cell::self_cell;

use super::labels::{self, Content, Spec};
use super::points::{Points, Timeline};
use super::recording::{self, Recording};
use super::wire::Label;

/// Files that are kept open, bytes together: three hours of one session. Their series need as much again, and half.
const MAX_KEPT_BYTES: u64 = 32 << 20;

/// Why a recording cannot be opened.
#[derive(Debug)]
pub(super) enum OpenError {
    /// Its file cannot be read.
    Get(GetError),
    /// What is in it is no recording.
    Content(String),
}

impl From<GetError> for OpenError {
    fn from(error: GetError) -> Self {
        Self::Get(error)
    }
}

self_cell! {
    /// What was read, beside the text that it points into.
    struct Parsed {
        owner: Vec<u8>,
        #[covariant]
        dependent: Recording,
    }
    impl { Debug }
}

/// One recording, in one state of its file.
#[derive(Debug)]
pub(super) struct Opened {
    revision: Revision,
    parsed: Parsed,
    series: Vec<(Spec, OnceLock<Option<Points>>)>,
}

impl Opened {
    fn read(store: &Store, id: &RecordingId) -> Result<Self, OpenError> {
        let (bytes, revision) = store.read_raw(id)?;
        let parsed = Parsed::try_new(bytes, |bytes| recording::parse(bytes, id)).map_err(OpenError::Content)?;
        let specs = labels::series(&parsed.borrow_dependent().meta);
        let series = specs.into_iter().map(|spec| (spec, OnceLock::new())).collect();
        Ok(Self { revision, parsed, series })
    }

    pub(super) fn meta(&self) -> &CaptureMeta {
        &self.parsed.borrow_dependent().meta
    }

    pub(super) fn markers(&self) -> &[Marker] {
        &self.parsed.borrow_dependent().markers
    }

    /// The series that are wanted and have points.
    pub(super) fn series(&self, wanted: impl Fn(&Spec) -> bool) -> impl Iterator<Item = (&[Label], &Points)> {
        // Made when the first series is that was not asked for before.
        let timeline = OnceLock::new();
        self.series.iter().filter(move |(spec, _)| wanted(spec)).filter_map(move |(spec, points)| {
            let points = points.get_or_init(|| {
                let timeline = timeline.get_or_init(|| Timeline::new(self.parsed.borrow_dependent()));
                let session = if spec.content == Content::CaptureInfo { None } else { spec.session };
                timeline.points(&spec.content, session)
            });
            Some((spec.labels.as_slice(), points.as_ref()?))
        })
    }
}

/// The recordings that were asked for last.
#[derive(Debug, Default)]
pub(super) struct Shelf(Mutex<Vec<Kept>>);

#[derive(Debug)]
struct Kept {
    id: RecordingId,
    opened: Arc<Opened>,
    used: Instant,
}

impl Shelf {
    /// A recording as its file is now. Files are read one after the other, so that what this needs is bounded by the largest.
    pub(super) fn open(&self, store: &Store, id: &RecordingId) -> Result<Arc<Opened>, OpenError> {
        let mut shelf = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = store.revision(id)?;
        if let Some(kept) = shelf.iter_mut().find(|kept| kept.id == *id && kept.opened.revision == revision) {
            kept.used = Instant::now();
            return Ok(Arc::clone(&kept.opened));
        }
        shelf.retain(|kept| kept.id != *id);
        let opened = Arc::new(Opened::read(store, id)?);
        let bytes = |opened: &Opened| opened.revision.bytes();
        if bytes(&opened) <= MAX_KEPT_BYTES {
            // The one that was used last is at the end.
            shelf.sort_by_key(|kept| kept.used);
            while shelf.iter().map(|kept| bytes(&kept.opened)).sum::<u64>() + bytes(&opened) > MAX_KEPT_BYTES {
                shelf.remove(0);
            }
            shelf.push(Kept { id: id.clone(), opened: Arc::clone(&opened), used: Instant::now() });
        }
        Ok(opened)
    }

    /// Forgets those that were not asked for during `idle`.
    pub(super) fn close_idle(&self, idle: Duration) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|kept| kept.used.elapsed() < idle);
    }
}
