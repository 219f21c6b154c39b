//! Saved recordings for Prometheus, by its remote-read protocol: snappy-compressed protobuf, answered with plain samples.
//! <https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>
//!
//! ```text
//! body ─▶ decompress, decode ─▶ matchers ─▶ heads of recordings ─▶ samples of those that match ─▶ encode, compress
//! ```
//!
//! Series have the names and labels of the live metrics, and `source="recording"`, `recording="<id>"`. A query that names one
//! recording opens one file; any other looks at the heads, which the store keeps, and opens what they let through. One that
//! only asks for labels (Grafana's variables), or for when a recording was, opens none. A recording that cannot be read is left out, and said in the log.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prost::Message as _;
use punktfunk_recordings::{CaptureMeta, GetError, ListError, ListQuery, Listed, Marker, RecordingId, Store};
use punktfunk_stats::catalogue::attribute;

mod labels;
mod matcher;
mod opened;
mod points;
mod recording;
mod wire;

use self::labels::{can_match, matches};
use self::matcher::Matcher;
use self::opened::{OpenError, Shelf};
use self::points::{Points, Wanted, ms};
use self::wire::{Label, Query, QueryResult, ReadRequest, ReadResponse, SAMPLES, Sample, TimeSeries};

/// How long a marker's series shows it, ms: any dashboard's step meets it.
const MARKER_MS: i64 = 60_000;

/// Marker series of a recording.
const MAX_MARKERS: usize = 500;

/// The function by which Prometheus says that only labels are asked for.
const LABELS_ONLY: &str = "series";

/// The function that looks at nothing but the last value of its range.
const LAST_ONLY: &str = "last_over_time";

/// What one request may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Decompressed request, bytes.
    pub request_bytes: usize,
    /// Queries in a request.
    pub queries: usize,
    /// Matchers of a query.
    pub matchers: usize,
    /// Series of an answer.
    pub series: usize,
    /// Samples of an answer.
    pub samples: usize,
    /// Answer before it is compressed, bytes. Twice as much memory is needed while it is put together.
    pub answer_bytes: usize,
    /// Time from the first query to the last byte.
    pub time: Duration,
}

impl Default for Limits {
    /// Room for everything of three hours of four sessions: 125 series, 1.3 million samples.
    fn default() -> Self {
        Self {
            request_bytes: 1 << 20,
            queries: 16,
            matchers: 64,
            series: 10_000,
            samples: 2_000_000,
            answer_bytes: 256 << 20,
            time: Duration::from_secs(30),
        }
    }
}

/// Why a request is not answered. What it says goes to the asker, who finds it as a warning beside the query's result.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// It is not snappy.
    #[error("the body is not compressed with snappy (block format): {0}")]
    Compression(#[source] snap::Error),
    /// More than a limit.
    #[error("{what} of more than {limit}; ask for less at once")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: usize,
    },
    /// It took longer than it may.
    #[error("reading took more than {} s; ask for less at once", .limit.as_secs())]
    TooLong {
        /// The limit.
        limit: Duration,
    },
    /// It is not the protocol's.
    #[error("the body is not a remote-read request: {0}")]
    Protocol(#[source] prost::DecodeError),
    /// The asker takes no samples.
    #[error("only the response type SAMPLES is served")]
    ResponseType,
    /// A condition on a label cannot be used.
    #[error("the matcher of `{label}` cannot be used: {reason}")]
    Matcher {
        /// The label.
        label: String,
        /// Why.
        reason: String,
    },
    /// The directory cannot be read.
    #[error(transparent)]
    List(#[from] ListError),
}

/// Answers remote-read requests out of the recordings of a store.
#[derive(Debug)]
pub struct RemoteRead {
    store: Store,
    limits: Limits,
    shelf: Shelf,
}

impl RemoteRead {
    /// Reads this store's recordings.
    pub fn new(store: Store, limits: Limits) -> Self {
        Self { store, limits, shelf: Shelf::default() }
    }

    /// Answers one request. What it opened stays open for those that follow: see [`RemoteRead::close_idle`].
    ///
    /// # Errors
    /// [`ReadError`]: the request cannot be read, or asks for more than its limits.
    pub fn answer(&self, body: &[u8]) -> Result<Vec<u8>, ReadError> {
        let limits = &self.limits;
        // The length is declared in front, so that nothing is allocated for a bomb.
        let length = snap::raw::decompress_len(body).map_err(ReadError::Compression)?;
        if length > limits.request_bytes {
            return Err(ReadError::TooMuch { what: "a decompressed request (bytes)", limit: limits.request_bytes });
        }
        let request = snap::raw::Decoder::new().decompress_vec(body).map_err(ReadError::Compression)?;
        let request = ReadRequest::decode(request.as_slice()).map_err(ReadError::Protocol)?;
        let types = &request.accepted_response_types;
        if !types.is_empty() && !types.contains(&SAMPLES) {
            return Err(ReadError::ResponseType);
        }
        if request.queries.len() > limits.queries {
            return Err(ReadError::TooMuch { what: "a number of queries", limit: limits.queries });
        }
        let mut reading = Reading { with: self, begun: Instant::now(), series: 0, samples: 0, bytes: 0 };
        let results = request.queries.into_iter().map(|query| reading.query(query)).collect::<Result<_, _>>()?;
        let answer = ReadResponse { results }.encode_to_vec();
        snap::raw::Encoder::new().compress_vec(&answer).map_err(ReadError::Compression)
    }

    /// Gives back the memory of recordings that nobody has asked for during `idle`.
    pub fn close_idle(&self, idle: Duration) {
        self.shelf.close_idle(idle);
    }
}

/// One request being answered, and what it has cost so far.
struct Reading<'a> {
    with: &'a RemoteRead,
    begun: Instant,
    series: usize,
    samples: usize,
    bytes: usize,
}

impl Reading<'_> {
    /// The encoded result of a query.
    fn query(&mut self, query: Query) -> Result<Vec<u8>, ReadError> {
        if query.matchers.len() > self.with.limits.matchers {
            return Err(ReadError::TooMuch { what: "a number of matchers", limit: self.with.limits.matchers });
        }
        let matchers = query.matchers.into_iter().map(Matcher::new).collect::<Result<Vec<_>, _>>()?;
        let hints = query.hints.unwrap_or_default();
        // Of one step: a query with several needs what was last at each of them.
        let last = hints.func == LAST_ONLY && hints.step_ms == 0 && hints.range_ms > 0;
        let wanted = Wanted { range: (query.start_ms, query.end_ms), last };
        let labels_only = hints.func == LABELS_ONLY;
        let mut result = QueryResult::default();
        for meta in self.candidates(&matchers)? {
            self.recording(&meta, &matchers, wanted, labels_only, &mut result)?;
        }
        Ok(result.encode_to_vec())
    }

    /// The recordings whose heads do not exclude them.
    fn candidates(&self, matchers: &[Matcher]) -> Result<Vec<Arc<CaptureMeta>>, ReadError> {
        let named = |label: &str| matchers.iter().find(|matcher| matcher.name() == label).and_then(Matcher::only);
        let capture = crate::query::label(attribute::CAPTURE_ID);
        let mut found = match named(attribute::RECORDING).or_else(|| named(&capture)) {
            Some(name) => {
                // What is no id names no recording.
                let id: Option<RecordingId> = name.parse().ok();
                let meta = id.and_then(|id| self.with.store.meta(&id).map_err(|error| left_out(&id, &error)).ok());
                meta.map(Arc::new).into_iter().collect()
            }
            None => {
                let entries = self.with.store.list(&ListQuery::default())?.entries;
                let readable = |entry| match entry {
                    Listed::Readable { meta, .. } => Some(meta),
                    Listed::Unreadable { .. } => None,
                };
                entries.into_iter().filter_map(readable).collect::<Vec<_>>()
            }
        };
        found.retain(|meta| can_match(meta, matchers));
        Ok(found)
    }

    fn recording(
        &mut self,
        meta: &CaptureMeta,
        matchers: &[Matcher],
        wanted: Wanted,
        labels_only: bool,
        result: &mut QueryResult,
    ) -> Result<(), ReadError> {
        for (labels, value) in labels::timeless(meta) {
            if matches(&labels, matchers) {
                let now = vec![Sample { value, timestamp_ms: wanted.range.1 }];
                self.push(labels, (!labels_only).then_some(Points::Floats(now)), result)?;
            }
        }
        if !overlaps(meta, wanted.range) {
            return Ok(());
        }
        let mut specs = labels::series(meta);
        specs.retain(|spec| spec.matches(matchers));
        if labels_only {
            return specs.into_iter().try_for_each(|spec| self.push(spec.labels, None, result));
        }
        let marker_name = punktfunk_stats::catalogue::RECORDING_MARKER.prometheus_name();
        let wants_markers = matchers.iter().filter(|m| m.name() == "__name__").all(|m| m.matches(&marker_name));
        if specs.is_empty() && !wants_markers {
            return Ok(());
        }
        let opened = match self.with.shelf.open(&self.with.store, &meta.id) {
            Ok(opened) => opened,
            Err(OpenError::Get(error)) => {
                left_out(&meta.id, &error);
                return Ok(());
            }
            Err(OpenError::Content(reason)) => {
                tracing::warn!(id = %meta.id, reason, "a recording is left out of an answer to Prometheus");
                return Ok(());
            }
        };
        // It may have been edited since its head was read; what is sent is one state of it.
        for (labels, points) in opened.series(|spec| spec.matches(matchers)) {
            let points = points.only(wanted);
            if points.len() > 0 {
                self.push(labels.to_vec(), Some(points), result)?;
            }
        }
        if wants_markers {
            for (labels, points) in markers(opened.meta(), opened.markers()) {
                let points = points.only(wanted);
                if points.len() > 0 && matches(&labels, matchers) {
                    self.push(labels, Some(points), result)?;
                }
            }
        }
        Ok(())
    }

    /// Encodes a series and counts it.
    fn push(&mut self, labels: Vec<Label>, points: Option<Points>, result: &mut QueryResult) -> Result<(), ReadError> {
        let limits = &self.with.limits;
        let mut series = TimeSeries { labels, ..TimeSeries::default() };
        self.series += 1;
        self.samples += points.as_ref().map_or(0, Points::len);
        match points {
            Some(Points::Floats(samples)) => series.samples = samples,
            Some(Points::Histograms(histograms)) => {
                series.histograms = histograms.into_iter().map(|encoded| encoded.bytes).collect();
            }
            None => {}
        }
        let encoded = series.encode_to_vec();
        self.bytes += encoded.len();
        result.timeseries.push(encoded);
        if self.series > limits.series {
            return Err(ReadError::TooMuch { what: "an answer (series)", limit: limits.series });
        }
        if self.samples > limits.samples {
            return Err(ReadError::TooMuch { what: "an answer (samples)", limit: limits.samples });
        }
        if self.bytes > limits.answer_bytes {
            return Err(ReadError::TooMuch { what: "an answer (bytes)", limit: limits.answer_bytes });
        }
        if self.begun.elapsed() > limits.time {
            return Err(ReadError::TooLong { limit: limits.time });
        }
        Ok(())
    }
}

/// Whether anything of a recording can lie in the range. Its last stamp is within two steps of its end.
fn overlaps(meta: &CaptureMeta, (start, end): (i64, i64)) -> bool {
    let last = meta.started_unix_ms.saturating_add(meta.duration_ms).saturating_add(2 * meta.step_ms.max(1000));
    ms(meta.started_unix_ms) <= end && ms(last).saturating_add(MARKER_MS) >= start
}

fn left_out(id: &RecordingId, error: &GetError) {
    match error {
        // Deleted since it was listed, or never there.
        GetError::NotFound { .. } => {}
        error => tracing::warn!(%id, %error, "a recording is left out of an answer to Prometheus"),
    }
}

/// The markers by series: each is there from its moment for [`MARKER_MS`] or to the next of its series; its value is when it
/// was set.
fn markers(meta: &CaptureMeta, markers: &[Marker]) -> impl Iterator<Item = (Vec<Label>, Points)> {
    let mut series: BTreeMap<Vec<Label>, Vec<i64>> = BTreeMap::new();
    for marker in markers {
        let labels = labels::marker(meta, marker);
        if series.len() < MAX_MARKERS || series.contains_key(&labels) {
            series.entry(labels).or_default().push(ms(meta.started_unix_ms.saturating_add(marker.t_ms)));
        }
    }
    let points = |moments: Vec<i64>| {
        let mut points: Vec<Sample> = Vec::new();
        for (index, &at) in moments.iter().enumerate() {
            // Two in one millisecond are one.
            if moments.get(index + 1) != Some(&at) {
                points.push(Sample { value: at as f64 / 1e3, timestamp_ms: at });
            }
            if moments.get(index + 1).is_none_or(|next| *next > at.saturating_add(MARKER_MS)) {
                points.push(points::stale(at.saturating_add(MARKER_MS)));
            }
        }
        points
    };
    series.into_iter().map(move |(labels, moments)| (labels, Points::Floats(points(moments))))
}
