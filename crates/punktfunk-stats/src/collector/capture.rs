//! One armed capture: its sessions, their open windows, and the report at its end.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use opentelemetry_sdk::metrics::data::ResourceMetrics;

use super::attribution::nanos;
use super::close_gate;
use super::instruments::{Instruments, totals};
use super::member::{Joined, Member, Seen};
use crate::recorder::{Anchor, ArmOptions, RecorderConfig};
use crate::report::{CaptureEvent, CaptureReport};
use crate::session::{FrameRecord, SessionShared};
use crate::snapshot::MetricSnapshot;
use crate::trace::Stamps;

/// Without a target of its own, a session's frames are late after this many frame times: one for the picture on its way,
/// one for what can be absorbed before the client shows a picture twice.
const TARGET_FRAME_TIMES: u32 = 2;

/// A first window shorter than this part of the interval is merged with the next: two frames make no rate.
const MIN_FIRST_WINDOW: u32 = 10;

/// Backends keep time stamps in whole milliseconds.
const STAMP_RESOLUTION: Duration = Duration::from_millis(1);

/// The capture that is armed.
pub(super) struct Capture {
    config: RecorderConfig,
    generation: u64,
    anchor: Anchor,
    latency_target: Option<Duration>,
    events: Sender<CaptureEvent>,
    instruments: Instruments,
    members: Vec<Member>,
    /// Order in which members joined, as indices.
    join_order: Vec<usize>,
    truncated: bool,
    window_from: Duration,
    window_end: Instant,
    capture_id: String,
    /// Stamp of the last snapshot that was handed out.
    handed_out: Option<SystemTime>,
}

impl Capture {
    pub(super) fn begin(
        config: &RecorderConfig,
        generation: u64,
        options: ArmOptions,
        events: Sender<CaptureEvent>,
    ) -> Self {
        let instruments = Instruments::new(config, &options.capture_id, &options.label);
        let first = first_window(options.anchor.wall, config.sample_interval);
        let capture = Self {
            config: config.clone(),
            generation,
            anchor: options.anchor,
            latency_target: options.latency_target,
            events,
            instruments,
            members: Vec::new(),
            join_order: Vec::new(),
            truncated: false,
            window_from: Duration::ZERO,
            window_end: options.anchor.monotonic + first,
            capture_id: options.capture_id,
            handed_out: None,
        };
        capture.tell(CaptureEvent::Armed { started: options.anchor.wall, step: capture.config.sample_interval });
        capture
    }

    /// Lets a session in; `false` if the capture has as many as it takes.
    pub(super) fn admit(&mut self, shared: &Arc<SessionShared>) -> bool {
        if self.members.len() >= self.config.max_sessions {
            self.truncated = true;
            return false;
        }
        let seen = Seen::now(shared);
        // What happened before belongs to nobody.
        *shared.rare.lock() = crate::counters::Rare::default();
        self.members.push(Member { shared: Arc::clone(shared), at_start: seen.clone(), seen, joined: None });
        true
    }

    pub(super) fn window_end(&self) -> Instant {
        self.window_end
    }

    /// Takes one record of this capture's generation.
    pub(super) fn record(&mut self, shared: &Arc<SessionShared>, record: &FrameRecord) {
        let Some(index) = self.members.iter().position(|member| Arc::ptr_eq(&member.shared, shared)) else { return };
        if record.stamps.seen == 0 {
            return;
        }
        if self.members[index].joined.is_none() {
            self.join(index, &record.stamps);
        }
        let anchor = self.anchor;
        if let Some(joined) = &mut self.members[index].joined
            && !joined.full
        {
            joined.record(shared, record, anchor);
        }
    }

    fn join(&mut self, index: usize, stamps: &Stamps) {
        let member = &mut self.members[index];
        let spec = &member.shared.spec;
        // The frame rate is above 0: the recorder checked it when the session was registered.
        let target = self.latency_target.unwrap_or(Duration::from_secs(1) * TARGET_FRAME_TIMES / spec.info.fps);
        let at = stamps.start.saturating_duration_since(self.anchor.monotonic);
        let instruments = self.instruments.bind(&member.shared.id, spec, target);
        member.joined = Some(Box::new(Joined::new(instruments, spec, target, at.max(self.window_from))));
        self.join_order.push(index);
        let (session_id, spec) = (member.shared.id.clone(), spec.clone());
        self.tell(CaptureEvent::SessionJoined { session_id, spec, at });
    }

    /// Closes every window that ended by `now`.
    pub(super) fn close_windows(&mut self, now: Instant) {
        while self.window_end <= now {
            let end = self.window_end - self.anchor.monotonic;
            let metrics =
                self.close_window(end, |joined| joined.frames.partition_point(|frame| frame.kept.end_ns < nanos(end)));
            self.hand_out(self.step_end(), false, metrics);
            self.window_end += self.config.sample_interval;
        }
    }

    /// End of the step that the open window lies in.
    fn step_end(&self) -> SystemTime {
        self.wall(self.window_end)
    }

    /// A moment on the capture's own clock.
    fn wall(&self, at: Instant) -> SystemTime {
        self.anchor.wall + at.saturating_duration_since(self.anchor.monotonic)
    }

    /// Closes the open window at `end`. `take` says how many of a session's waiting frames are in it.
    fn close_window(&mut self, end: Duration, take: impl Fn(&Joined) -> usize) -> ResourceMetrics {
        let step_end = self.step_end();
        let mut windows = Vec::new();
        let mut owners = Vec::new();
        for &index in &self.join_order {
            let member = &mut self.members[index];
            let Some(joined) = &mut member.joined else { continue };
            if joined.full || joined.left {
                continue;
            }
            let count = take(joined);
            windows.push(joined.window(&member.shared, &mut member.seen, end, step_end, count));
            owners.push(index);
        }
        let metrics = self.instruments.collect(&mut windows);
        for (window, index) in windows.into_iter().zip(owners) {
            self.tell_events(index);
            self.tell(CaptureEvent::Window(Box::new(window)));
            if let Some(joined) = &mut self.members[index].joined {
                joined.samples += 1;
                if joined.samples >= self.config.max_samples {
                    joined.full = true;
                    self.truncated = true;
                    close_gate(&self.members[index].shared, self.config.perf);
                }
            }
        }
        self.window_from = end;
        metrics
    }

    /// Gives a snapshot to the exporter, if there is one.
    fn hand_out(&mut self, at: SystemTime, last: bool, metrics: ResourceMetrics) {
        let Some(snapshots) = &self.config.snapshots else { return };
        // A capture stopped right after a window closed would stamp two snapshots with one millisecond, which backends
        // refuse.
        let at = self.handed_out.map_or(at, |before| at.max(before + STAMP_RESOLUTION));
        let step_end = self.step_end().max(at);
        let capture_id = self.capture_id.clone();
        snapshots.send(MetricSnapshot { capture_id, at, step_end, last, metrics });
        self.handed_out = Some(at);
    }

    fn tell_events(&self, index: usize) {
        let shared = &self.members[index].shared;
        let events = std::mem::take(&mut shared.rare.lock().events);
        for (at, event) in events {
            let at = at.saturating_duration_since(self.anchor.monotonic);
            self.tell(CaptureEvent::Event { session_id: shared.id.clone(), at, event });
        }
    }

    /// A session has ended and all its records have been taken: its last, partial window closes now.
    pub(super) fn leave(&mut self, shared: &Arc<SessionShared>) {
        let Some(index) = self.members.iter().position(|member| Arc::ptr_eq(&member.shared, shared)) else { return };
        let step_end = self.step_end();
        let member = &mut self.members[index];
        let Some(joined) = &mut member.joined else {
            // It never sent a measured frame: its place is free again.
            self.members.remove(index);
            self.join_order.iter_mut().filter(|i| **i > index).for_each(|i| *i -= 1);
            return;
        };
        if joined.full || joined.left {
            joined.left = true;
            return;
        }
        let last_sent = joined.last_sent.unwrap_or(self.anchor.monotonic);
        let at = last_sent.saturating_duration_since(self.anchor.monotonic);
        let mut last = Vec::new();
        // Without a frame, what was dropped or lost since the last window is still to be told.
        if !joined.frames.is_empty() || Seen::now(&member.shared) != member.seen {
            let (end, count) = (at.max(joined.window_from), joined.frames.len());
            last.push(joined.window(&member.shared, &mut member.seen, end, step_end, count));
        }
        joined.left = true;
        self.instruments.collect(&mut last);
        self.tell_events(index);
        for window in last {
            self.tell(CaptureEvent::Window(Box::new(window)));
        }
        let session_id = shared.id.clone();
        self.tell(CaptureEvent::SessionLeft { session_id, at });
    }

    /// Closes the last window and reports.
    pub(super) fn finish(mut self, at: Instant) {
        self.close_windows(at);
        let duration = at.saturating_duration_since(self.anchor.monotonic);
        let metrics = self.close_window(duration, |joined| joined.frames.len());
        let totals = totals(&metrics);
        self.hand_out(self.wall(at), true, metrics);
        let (generation, events, truncated) = (self.generation, self.events, self.truncated);
        let mut members: Vec<Option<Member>> = self.members.into_iter().map(Some).collect();
        let sessions = self
            .join_order
            .iter()
            .filter_map(|&index| members[index].take())
            .filter_map(|member| member.report(generation))
            .collect();
        let report = CaptureReport { duration, truncated, sessions, totals };
        if events.send(CaptureEvent::Finished(Box::new(report))).is_err() {
            tracing::warn!("a capture was finished and nobody took its report");
        }
    }

    fn tell(&self, event: CaptureEvent) {
        if self.events.send(event).is_err() {
            tracing::debug!("nobody listens to the capture any more");
        }
    }
}

/// Time from `wall` to the end of the first window, which ends on a multiple of `interval` in wall time.
fn first_window(wall: SystemTime, interval: Duration) -> Duration {
    let since_epoch = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let interval_ns = interval.as_nanos().max(1);
    // Below the interval, which is itself a Duration of some seconds.
    let rest = interval_ns - since_epoch.as_nanos() % interval_ns;
    let rest = Duration::from_nanos(u64::try_from(rest).unwrap_or(u64::MAX));
    if rest < interval / MIN_FIRST_WINDOW { rest + interval } else { rest }
}
