//! Putting a recording together from what was measured.

use crate::id::RecordingId;
use crate::schema::{
    Capture, CaptureKind, CaptureMeta, HostMeta, KeptFrames, Marker, Provenance, SCHEMA_VERSION, StatsSample,
};
use crate::summary::{Summary, summarize};

impl Capture {
    /// Puts a recording together. What `meta` says is kept, except what follows from the rest: the count of samples, the
    /// kind, the fields of the first session, and the figures for listings.
    pub fn assemble(
        mut meta: CaptureMeta,
        mut samples: Vec<StatsSample>,
        mut markers: Vec<Marker>,
        provenance: Provenance,
        kept_frames: Vec<KeptFrames>,
    ) -> Self {
        samples.sort_by_key(|sample| sample.t_ms);
        markers.sort_by_key(|marker| marker.t_ms);
        let summary = summarize(&samples, &meta.sessions, None);
        meta.sample_count = samples.len();
        meta.kind = CaptureKind::of(meta.sessions.iter().map(|session| session.protocol.as_str()));
        if let Some(first) = meta.sessions.first() {
            meta.width = Some(first.width);
            meta.height = Some(first.height);
            meta.fps = Some(first.fps);
            meta.codec = Some(first.codec.clone());
            meta.client = Some(first.client.clone());
        }
        meta.show(&summary);
        Self { schema_version: SCHEMA_VERSION, meta, samples, summary, markers, provenance, kept_frames }
    }
}

impl CaptureMeta {
    /// A capture that begins: everything that is not known yet is empty.
    pub fn new(id: RecordingId, started_unix_ms: u64, host: HostMeta) -> Self {
        Self {
            id,
            label: String::new(),
            note: String::new(),
            started_unix_ms,
            duration_ms: 0,
            step_ms: 0,
            kind: None,
            width: None,
            height: None,
            fps: None,
            codec: None,
            client: None,
            sample_count: 0,
            truncated: false,
            interrupted: false,
            pinned: false,
            snapshot: None,
            records_lost: 0,
            verdict: None,
            host_p99_us: None,
            late_share: None,
            sessions: Vec::new(),
            host,
        }
    }

    /// Takes over what a listing shows of the summary.
    pub fn show(&mut self, summary: &Summary) {
        self.verdict = Some(summary.verdict.brief());
        self.host_p99_us = summary.all.host.as_ref().and_then(|host| host.p99_us);
        self.late_share = summary.all.late_share;
    }
}
