//! What a capture holds of each session: its counters as last seen, its frames of the open window, its figures so far.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use super::attribution::{Attribution, QUEUE, RunningMedian, nanos};
use super::instruments::SessionInstruments;
use super::kept::Keeper;
use super::window::distribution;
use crate::MAX_STAGES;
use crate::counters::{Counter, DropReason};
use crate::recorder::Anchor;
use crate::report::{KeptFrame, SessionReport, WindowReport};
use crate::session::{FrameRecord, SessionShared, SessionSpec};

/// An interval over this many times the running median is a stutter.
const STUTTER_FACTOR: u64 = 2;

/// Intervals that the median must stand on before one can be called a stutter.
const STUTTER_MIN_INTERVALS: usize = 16;

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
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct Seen {
    counts: [u64; Counter::COUNT],
    dropped: [u64; DropReason::ALL.len()],
    ring_overflow: u64,
    events_lost: u64,
}

impl Seen {
    pub(super) fn now(shared: &SessionShared) -> Self {
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
pub(super) struct Member {
    pub(super) shared: Arc<SessionShared>,
    pub(super) seen: Seen,
    pub(super) at_start: Seen,
    pub(super) joined: Option<Box<Joined>>,
}

/// A session that has sent a measured frame.
pub(super) struct Joined {
    instruments: SessionInstruments,
    attribution: Attribution,
    target_ns: u64,
    intervals: RunningMedian,
    keeper: Keeper,
    /// Frames of the open window and later, in order of their last packet.
    pub(super) frames: Vec<FrameFigures>,
    /// Where the open window starts for this session: its own first frame in its first window.
    pub(super) window_from: Duration,
    pub(super) last_sent: Option<Instant>,
    last_captured: Option<Instant>,
    /// Records taken from the ring, those of windows that are still to close included.
    taken: u64,
    /// First and last number of the frames in closed windows.
    numbers: Option<(u64, u64)>,
    /// Frames in closed windows.
    records: u64,
    pub(super) samples: usize,
    /// The sample limit was reached: what follows is not measured.
    pub(super) full: bool,
    pub(super) left: bool,
}

impl Member {
    pub(super) fn report(self, generation: u64) -> Option<SessionReport> {
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
    /// A session whose first measured frame began at `from`, and is late beyond `target`.
    pub(super) fn new(instruments: SessionInstruments, spec: &SessionSpec, target: Duration, from: Duration) -> Self {
        Self {
            instruments,
            attribution: Attribution::new(&spec.stages, target),
            target_ns: nanos(target),
            intervals: RunningMedian::new(),
            keeper: Keeper::default(),
            frames: Vec::new(),
            window_from: from,
            last_sent: None,
            last_captured: None,
            taken: 0,
            numbers: None,
            records: 0,
            samples: 0,
            full: false,
            left: false,
        }
    }

    /// Turns the stamps of a record into durations and files it under the open window.
    pub(super) fn record(&mut self, shared: &SessionShared, record: &FrameRecord, anchor: Anchor) {
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
    pub(super) fn window(
        &mut self,
        shared: &SessionShared,
        seen: &mut Seen,
        end: Duration,
        step_end: SystemTime,
        count: usize,
    ) -> WindowReport {
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
            step_end,
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
