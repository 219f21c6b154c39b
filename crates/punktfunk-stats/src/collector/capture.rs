//! One armed capture: its sessions, their open windows, and the report at its end.

use std::sync::Arc;
use std::sync::mpsc::Sender;
use std::time::{Duration, Instant, SystemTime};

use super::attribution::{Attribution, QUEUE, RunningMedian, nanos};
use super::close_gate;
use super::instruments::{Instruments, SessionInstruments};
use super::kept::Keeper;
use super::window::distribution;
use crate::MAX_STAGES;
use crate::counters::{Counter, DropReason};
use crate::recorder::{Anchor, ArmOptions, RecorderConfig};
use crate::report::{CaptureEvent, CaptureReport, KeptFrame, SessionReport, WindowReport};
use crate::session::{FrameRecord, SessionShared};
use crate::trace::Stamps;

/// Without a target of its own, a session's frames are late after this many frame times: one for the picture on its way,
/// one for what can be absorbed before the client shows a picture twice.
const TARGET_FRAME_TIMES: u32 = 2;

/// An interval over this many times the running median is a stutter.
const STUTTER_FACTOR: u64 = 2;

/// Intervals that the median must stand on before one can be called a stutter.
const STUTTER_MIN_INTERVALS: usize = 16;

/// A first window shorter than this part of the interval is merged with the next: two frames make no rate.
const MIN_FIRST_WINDOW: u32 = 10;

/// A frame's durations.
pub(super) struct FrameFigures {
    pub(super) kept: KeptFrame,
    pub(super) queue_ns: u64,
    pub(super) captured_interval_ns: Option<u64>,
    stutter: bool,
    fec_bytes: u32,
    overhead_bytes: u32,
    packets: u32,
}

/// Values of a session's counters when they were last looked at.
#[derive(Clone, Default)]
struct Seen {
    counts: [u64; 5],
    dropped: [u64; DropReason::ALL.len()],
    ring_overflow: u64,
    events_lost: u64,
}

impl Seen {
    fn now(shared: &SessionShared) -> Self {
        let counters = &shared.counters;
        Self {
            counts: std::array::from_fn(|i| counters.counts[i].get()),
            dropped: std::array::from_fn(|i| counters.dropped[i].get()),
            ring_overflow: counters.ring_overflow.get(),
            events_lost: counters.events_lost.get(),
        }
    }
}

/// A session that was let in; it joins with its first record.
struct Member {
    shared: Arc<SessionShared>,
    seen: Seen,
    at_start: Seen,
    joined: Option<Box<Joined>>,
}

/// A session that has sent a measured frame.
struct Joined {
    instruments: SessionInstruments,
    attribution: Attribution,
    target_ns: u64,
    intervals: RunningMedian,
    keeper: Keeper,
    /// Frames of the open window and later, in order of their last packet.
    frames: Vec<FrameFigures>,
    /// Where the open window starts for this session: its own first frame in its first window.
    window_from: Duration,
    last_sent: Option<Instant>,
    last_captured: Option<Instant>,
    /// Records taken from the ring, those of windows that are still to close included.
    taken: u64,
    /// First and last number of the frames in closed windows.
    numbers: Option<(u64, u64)>,
    /// Frames in closed windows.
    records: u64,
    samples: usize,
    /// The sample limit was reached: what follows is not measured.
    full: bool,
    left: bool,
}

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
        };
        capture.tell(CaptureEvent::Armed { started: options.anchor.wall });
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
        member.joined = Some(Box::new(Joined {
            instruments: self.instruments.bind(&member.shared.id, spec),
            attribution: Attribution::new(&spec.stages, target),
            target_ns: nanos(target),
            intervals: RunningMedian::new(),
            keeper: Keeper::default(),
            frames: Vec::new(),
            window_from: at.max(self.window_from),
            last_sent: None,
            last_captured: None,
            taken: 0,
            numbers: None,
            records: 0,
            samples: 0,
            full: false,
            left: false,
        }));
        self.join_order.push(index);
        let (session_id, spec) = (member.shared.id.clone(), spec.clone());
        self.tell(CaptureEvent::SessionJoined { session_id, spec, at });
    }

    /// Closes every window that ended by `now`.
    pub(super) fn close_windows(&mut self, now: Instant) {
        while self.window_end <= now {
            let end = self.window_end - self.anchor.monotonic;
            self.close_window(end, |joined| joined.frames.partition_point(|frame| frame.kept.end_ns < nanos(end)));
            self.window_end += self.config.sample_interval;
        }
    }

    /// Closes the open window at `end`. `take` says how many of a session's waiting frames are in it.
    fn close_window(&mut self, end: Duration, take: impl Fn(&Joined) -> usize) {
        let mut windows = Vec::new();
        let mut owners = Vec::new();
        for &index in &self.join_order {
            let member = &mut self.members[index];
            let Some(joined) = &mut member.joined else { continue };
            if joined.full || joined.left {
                continue;
            }
            let count = take(joined);
            windows.push(joined.window(&member.shared, &mut member.seen, end, count));
            owners.push(index);
        }
        self.instruments.fill_buckets(&mut windows);
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
        if !joined.frames.is_empty() {
            let count = joined.frames.len();
            last.push(joined.window(&member.shared, &mut member.seen, at, count));
        }
        joined.left = true;
        self.instruments.fill_buckets(&mut last);
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
        self.close_window(duration, |joined| joined.frames.len());
        let totals = self.instruments.totals();
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

impl Member {
    fn report(self, generation: u64) -> Option<SessionReport> {
        let joined = self.joined?;
        let records_lost = self.seen.ring_overflow - self.at_start.ring_overflow;
        let dropped: u64 = self.seen.dropped.iter().zip(&self.at_start.dropped).map(|(now, before)| now - before).sum();
        let begun = self.shared.gate.begun_under(generation);
        let (kept_frames, kept_spans) = joined.keeper.finish();
        Some(SessionReport {
            session_id: self.shared.id.clone(),
            frames: joined.numbers,
            records: joined.records,
            gaps: joined.numbers.map_or(0, |(first, last)| (last - first + 1).saturating_sub(joined.records)),
            records_lost,
            in_flight: begun.saturating_sub(joined.taken + records_lost + dropped),
            events_lost: self.seen.events_lost - self.at_start.events_lost,
            kept_frames,
            kept_spans,
        })
    }
}

impl Joined {
    /// Turns the stamps of a record into durations and files it under the open window.
    fn record(&mut self, shared: &SessionShared, record: &FrameRecord, anchor: Anchor) {
        let FrameRecord { stamps, info } = record;
        let mut stage_ns = [None; MAX_STAGES];
        let mut wait_ns = [0; MAX_STAGES];
        let mut left = stamps.start;
        for i in (0..MAX_STAGES).filter(|i| stamps.seen & 1 << i != 0) {
            wait_ns[i] = nanos(stamps.entered[i].saturating_duration_since(left));
            stage_ns[i] = Some(nanos(stamps.left[i].saturating_duration_since(stamps.entered[i])));
            left = stamps.left[i];
        }
        let host_ns = nanos(left.saturating_duration_since(stamps.start));
        let captured = (stamps.seen & 1 != 0).then(|| stamps.left[0]);
        let interval_ns = self.last_sent.map(|before| nanos(left.saturating_duration_since(before)));
        let captured_interval_ns =
            captured.zip(self.last_captured).map(|(now, before)| nanos(now.saturating_duration_since(before)));
        let charge = self.attribution.frame(stamps, host_ns);
        let names = shared.spec.stages.as_slice();
        let late_stage = charge.map(|stage| match stage {
            Some(QUEUE) => "queue",
            Some(stage) => names[stage].name,
            None => "none",
        });
        let stutter = interval_ns.is_some_and(|interval| self.is_stutter(interval));
        self.frames.push(FrameFigures {
            kept: KeptFrame {
                number: info.number,
                end_ns: nanos(left.saturating_duration_since(anchor.monotonic)),
                host_ns,
                stage_ns,
                wait_ns,
                pace_ns: nanos(stamps.pace),
                interval_ns,
                media_bytes: info.media_bytes,
                idr: info.idr,
                repeat: info.repeat,
                late_stage,
            },
            queue_ns: wait_ns.iter().sum(),
            captured_interval_ns,
            stutter,
            fec_bytes: info.fec_bytes,
            overhead_bytes: info.overhead_bytes,
            packets: info.packets,
        });
        self.taken += 1;
        self.last_sent = Some(left);
        self.last_captured = captured.or(self.last_captured);
    }

    fn is_stutter(&mut self, interval: u64) -> bool {
        let stutter = self.intervals.len() >= STUTTER_MIN_INTERVALS && interval > STUTTER_FACTOR * self.intervals.get();
        self.intervals.push(interval);
        stutter
    }

    /// Closes the open window over its first `count` waiting frames.
    fn window(&mut self, shared: &SessionShared, seen: &mut Seen, end: Duration, count: usize) -> WindowReport {
        let frames: Vec<FrameFigures> = self.frames.drain(..count).collect();
        let now = Seen::now(shared);
        let known = |counter: Counter| {
            let delta = now.counts[counter as usize] - seen.counts[counter as usize];
            shared.spec.known.contains(&counter).then_some(delta)
        };
        let values = |figure: &dyn Fn(&FrameFigures) -> Option<u64>| {
            distribution(&mut frames.iter().filter_map(figure).collect::<Vec<_>>())
        };
        let total = |figure: fn(&FrameFigures) -> u64| frames.iter().map(figure).sum();
        let from = self.window_from;
        let names = shared.spec.stages.as_slice();
        let late_of = |name| frames.iter().filter(|frame| frame.kept.late_stage == Some(name)).count() as u64;
        let window = WindowReport {
            session_id: shared.id.clone(),
            end,
            length: end.saturating_sub(from),
            stages: (0..names.len()).map(|i| (names[i].name, values(&|frame| frame.kept.stage_ns[i]))).collect(),
            queue: values(&|frame| Some(frame.queue_ns)),
            host: values(&|frame| Some(frame.kept.host_ns)),
            pace: values(&|frame| Some(frame.kept.pace_ns)),
            sent_interval: values(&|frame| frame.kept.interval_ns),
            new_frames: total(|frame| u64::from(!frame.kept.repeat)),
            repeat_frames: total(|frame| u64::from(frame.kept.repeat)),
            late: total(|frame| u64::from(frame.kept.late_stage.is_some())),
            late_by_stage: names
                .iter()
                .map(|stage| stage.name)
                .chain(["queue", "none"])
                .map(|name| (name, late_of(name)))
                .filter(|(_, count)| *count > 0)
                .collect(),
            stutters: total(|frame| u64::from(frame.stutter)),
            media_bytes: total(|frame| u64::from(frame.kept.media_bytes)),
            fec_bytes: total(|frame| u64::from(frame.fec_bytes)),
            overhead_bytes: total(|frame| u64::from(frame.overhead_bytes)),
            packets_sent: total(|frame| u64::from(frame.packets)),
            dropped: DropReason::ALL
                .into_iter()
                .map(|reason| (reason, now.dropped[reason as usize] - seen.dropped[reason as usize]))
                .filter(|(_, count)| *count > 0)
                .collect(),
            records_lost: now.ring_overflow - seen.ring_overflow,
            packets_lost: known(Counter::PacketsLost),
            send_dropped: known(Counter::SendDropped),
            fec_recovered: known(Counter::FecRecovered),
            idr_requests: known(Counter::IdrRequests),
            rfi_requests: known(Counter::RfiRequests),
            target_rate_bps: shared.counters.target_rate_bps(),
            rtt: shared.counters.rtt(),
            client: shared.rare.lock().client.take(),
        };
        for frame in &frames {
            self.instruments.frame(frame);
            self.keeper.frame(frame.kept, frame.kept.host_ns.saturating_sub(self.target_ns), frame.stutter);
        }
        self.instruments.window(&window);
        self.records += frames.len() as u64;
        for frame in &frames {
            let number = frame.kept.number;
            self.numbers = Some(self.numbers.map_or((number, number), |(first, last)| (first, last.max(number))));
        }
        self.keeper.close_window(from, end);
        self.window_from = end;
        *seen = now;
        window
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
