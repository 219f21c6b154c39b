//! One run in memory: everything that its recording will hold, as it comes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use punktfunk_recordings::{
    Capture, CaptureKind, CaptureMeta, HostMeta, KeptFrames, Marker, MarkerKind, RecordingId, StatsSample,
};
use punktfunk_stats::{CaptureEvent, CaptureReport, SessionSpec};

use crate::convert;
use crate::status::{LiveEvent, MarkerError, StartRequest};

/// Markers that one capture keeps; automatic ones beyond are left out, the operator's are refused.
const MAX_MARKERS: usize = 10_000;

/// What can happen to a run that others want to know of.
pub(crate) enum Heard {
    /// Nothing to write down.
    Nothing,
    /// A session joined; the index is its place.
    Session(usize),
    /// A sample or marker was added.
    Event(LiveEvent),
    /// The last measured session has ended.
    LastSessionLeft(LiveEvent),
    /// The report is in.
    Finished(Box<CaptureReport>),
}

/// A capture that was started.
pub(crate) struct Run {
    pub(crate) meta: CaptureMeta,
    pub(crate) request: StartRequest,
    /// When it was armed, for the elapsed time.
    pub(crate) armed_at: Instant,
    pub(crate) markers: Vec<Marker>,
    /// Samples and markers in the order in which they came.
    pub(crate) log: Vec<LiveEvent>,
    pub(crate) samples: Vec<Arc<StatsSample>>,
    /// The run in a trace, from its start to its recording; what follows from it (saving, its snapshot) lies inside.
    pub(crate) span: tracing::Span,
    latency_target: Option<Duration>,
}

impl Run {
    pub(crate) fn new(
        id: RecordingId,
        request: StartRequest,
        host: HostMeta,
        started_unix_ms: u64,
        latency_target: Option<Duration>,
    ) -> Self {
        let span = tracing::info_span!("capture", %id);
        let meta = CaptureMeta {
            label: request.label.clone().unwrap_or_default(),
            note: request.note.clone().unwrap_or_default(),
            ..CaptureMeta::new(id, started_unix_ms, host)
        };
        Self {
            meta,
            request,
            armed_at: Instant::now(),
            markers: Vec::new(),
            log: Vec::new(),
            samples: Vec::new(),
            span,
            latency_target,
        }
    }

    /// Takes one event of the recorder.
    pub(crate) fn hear(&mut self, event: CaptureEvent) -> Heard {
        match event {
            CaptureEvent::Armed { step, .. } => {
                self.meta.step_ms = convert::millis(step);
                Heard::Nothing
            }
            CaptureEvent::SessionJoined { session_id, spec, at } => self.join(&session_id, &spec, at),
            CaptureEvent::Window(window) => {
                let sample = Arc::new(convert::sample(&window));
                self.meta.records_lost += sample.records_lost;
                self.samples.push(Arc::clone(&sample));
                self.note(LiveEvent::Sample(sample))
            }
            CaptureEvent::Event { session_id, at, event } => self.mark(convert::marker(&session_id, at, event)),
            CaptureEvent::SessionLeft { session_id, at } => self.leave(&session_id, at),
            CaptureEvent::Finished(report) => Heard::Finished(report),
        }
    }

    fn join(&mut self, id: &str, spec: &SessionSpec, at: Duration) -> Heard {
        let session =
            convert::session_meta(id, spec, at, self.latency_target.unwrap_or(convert::two_frames(spec.info.fps)));
        let client = if session.client.is_empty() { id } else { session.client.as_str() };
        let text = format!("{client} joined ({}x{}@{})", session.width, session.height, session.fps);
        let marker = Marker { t_ms: session.joined_ms, session_id: Some(id.to_owned()), kind: MarkerKind::Join, text };
        self.meta.sessions.push(session);
        self.meta.kind = CaptureKind::of(self.meta.sessions.iter().map(|session| session.protocol.as_str()));
        self.mark(marker);
        Heard::Session(self.meta.sessions.len() - 1)
    }

    fn leave(&mut self, id: &str, at: Duration) -> Heard {
        let t_ms = convert::millis(at);
        let Some(session) = self.meta.sessions.iter_mut().find(|session| session.id == id) else {
            return Heard::Nothing;
        };
        session.left_ms = Some(t_ms);
        let client = if session.client.is_empty() { id } else { session.client.as_str() };
        let text = format!("{client} left");
        let marker = Marker { t_ms, session_id: Some(id.to_owned()), kind: MarkerKind::Leave, text };
        let heard = self.mark(marker);
        match heard {
            Heard::Event(event) if self.meta.sessions.iter().all(|session| session.left_ms.is_some()) => {
                Heard::LastSessionLeft(event)
            }
            other => other,
        }
    }

    fn mark(&mut self, marker: Marker) -> Heard {
        if self.markers.len() >= MAX_MARKERS {
            return Heard::Nothing;
        }
        self.markers.push(marker.clone());
        self.note(LiveEvent::Marker(marker))
    }

    fn note(&mut self, event: LiveEvent) -> Heard {
        self.log.push(event.clone());
        Heard::Event(event)
    }

    /// Sets the operator's marker.
    pub(crate) fn operator_marker(&mut self, text: String) -> Result<Marker, MarkerError> {
        if self.markers.len() >= MAX_MARKERS {
            return Err(MarkerError::TooMany);
        }
        let t_ms = convert::millis(self.armed_at.elapsed());
        let marker = Marker { t_ms, session_id: None, kind: MarkerKind::Operator, text };
        self.mark(marker.clone());
        Ok(marker)
    }

    /// The recording of a run that has ended.
    pub(crate) fn finish(&mut self, report: &CaptureReport) -> Capture {
        let mut kept_frames: Vec<KeptFrames> = Vec::new();
        for session_report in &report.sessions {
            let meta = self.meta.sessions.iter_mut().find(|session| session.id == session_report.session_id);
            if let Some(meta) = meta {
                convert::complete_session(meta, session_report);
                kept_frames.push(convert::kept_frames(meta, session_report));
            }
        }
        self.meta.duration_ms = convert::millis(report.duration);
        self.meta.truncated = report.truncated;
        self.meta.records_lost = report.sessions.iter().map(|session| session.records_lost).sum();
        let provenance = convert::provenance(self.samples.iter().map(Arc::as_ref), report);
        let samples = self.samples.iter().map(|sample| StatsSample::clone(sample)).collect();
        Capture::assemble(self.meta.clone(), samples, self.markers.clone(), provenance, kept_frames)
    }
}

/// Makes a recording of a whole capture's events, for hosts that arm the recorder themselves and for replays. `None` if the
/// events end without a report.
pub fn assemble(
    id: RecordingId,
    request: StartRequest,
    host: HostMeta,
    latency_target: Option<Duration>,
    events: impl IntoIterator<Item = CaptureEvent>,
) -> Option<Capture> {
    let mut run = Run::new(id, request, host, 0, latency_target);
    for event in events {
        if let CaptureEvent::Armed { started, .. } = &event {
            run.meta.started_unix_ms = convert::unix_ms(*started);
        }
        if let Heard::Finished(report) = run.hear(event) {
            return Some(run.finish(&report));
        }
    }
    None
}
