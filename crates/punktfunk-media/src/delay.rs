//! Known faults: how long which stage of the path is held up, and when.
//!
//! A [`DelaySchedule`] is pure: time since the start and a frame number in, a duration out. [`DelayedSource`] and
//! [`DelayedEncoder`] sleep by it; the packetizer, sender and queue are the stream loop's own, which asks [`Delays`].
//! Nothing here measures: that the measurement finds these delays is what they are for.

use std::ops::Range;
use std::time::{Duration, Instant};

use crate::encoder::{EncodeError, EncodedFrame, Encoder};
use crate::frame::{RawFrame, VideoMode};
use crate::source::{FrameOrigin, FrameSource, SourceError};

/// A place on the path that can be held up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DelayStage {
    /// Taking the picture.
    Source,
    /// Converting it to what the encoder takes.
    Conversion,
    /// Encoding it.
    Encoder,
    /// Cutting the access unit into packets.
    Packetizer,
    /// Handing packets to the network.
    Sender,
    /// Waiting between the encoder and the sender.
    Queue,
}

impl DelayStage {
    /// Every stage, in the order a picture passes them but for the queue, which comes last.
    pub const ALL: [Self; 6] =
        [Self::Source, Self::Conversion, Self::Encoder, Self::Packetizer, Self::Sender, Self::Queue];
}

/// How long a stage is held up, as a function of time and frame number. Parts add up; the default has none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DelaySchedule {
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq)]
enum Part {
    Constant(Duration),
    Burst { during: Range<Duration>, delay: Duration },
    Random { seed: u64, share: f64, range: Range<Duration> },
}

impl DelaySchedule {
    /// No delay, ever.
    pub fn none() -> Self {
        Self::default()
    }

    /// The same delay for every frame.
    pub fn constant(delay: Duration) -> Self {
        Self { parts: vec![Part::Constant(delay)] }
    }

    /// A delay for each frame that comes within `during`, counted from the start; its end is not part of it.
    pub fn burst(during: Range<Duration>, delay: Duration) -> Self {
        Self { parts: vec![Part::Burst { during, delay }] }
    }

    /// A delay from `range` for about `share` (0 to 1) of the frames, evenly spread. The same seed and frame number
    /// give the same delay whatever the time. An empty range always gives its start.
    pub fn random(seed: u64, share: f64, range: Range<Duration>) -> Self {
        Self { parts: vec![Part::Random { seed, share, range }] }
    }

    /// Both schedules at once: their delays add up.
    #[must_use]
    pub fn plus(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        self
    }

    /// How long the frame is held up. `frame` counts what the stage has seen, from 0.
    pub fn delay(&self, since_start: Duration, frame: u64) -> Duration {
        self.parts.iter().fold(Duration::ZERO, |sum, part| sum.saturating_add(part.delay(since_start, frame)))
    }

    /// True when no frame is ever held up.
    pub fn is_none(&self) -> bool {
        self.parts.is_empty()
    }
}

impl Part {
    fn delay(&self, since_start: Duration, frame: u64) -> Duration {
        match self {
            Self::Constant(delay) => *delay,
            Self::Burst { during, delay } if during.contains(&since_start) => *delay,
            Self::Burst { .. } => Duration::ZERO,
            Self::Random { seed, share, range } => {
                let chosen = mix(seed ^ mix(frame));
                if unit(chosen) >= *share {
                    return Duration::ZERO;
                }
                let width = range.end.saturating_sub(range.start);
                range.start.saturating_add(width.mul_f64(unit(mix(chosen))))
            }
        }
    }
}

/// The finaliser of SplitMix64: neighbouring inputs give unrelated outputs.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 up to, but not including, 1: the upper 53 bits are exact in an `f64`.
fn unit(value: u64) -> f64 {
    (value >> 11) as f64 / (1_u64 << 53) as f64
}

/// Which stage is held up by which schedule. The default holds up none.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Delays {
    schedules: [DelaySchedule; DelayStage::ALL.len()],
}

impl Delays {
    /// No stage is held up.
    pub fn none() -> Self {
        Self::default()
    }

    /// Adds a schedule to what already holds up a stage.
    #[must_use]
    pub fn with(mut self, stage: DelayStage, schedule: DelaySchedule) -> Self {
        let slot = &mut self.schedules[stage as usize];
        *slot = std::mem::take(slot).plus(schedule);
        self
    }

    /// The schedule of a stage.
    pub fn schedule(&self, stage: DelayStage) -> &DelaySchedule {
        &self.schedules[stage as usize]
    }

    /// How long a frame is held up at a stage.
    pub fn delay(&self, stage: DelayStage, since_start: Duration, frame: u64) -> Duration {
        self.schedule(stage).delay(since_start, frame)
    }

    /// True when no stage is ever held up.
    pub fn is_none(&self) -> bool {
        self.schedules.iter().all(DelaySchedule::is_none)
    }
}

/// A source whose captures take longer by the schedule of [`DelayStage::Source`].
#[derive(Debug)]
pub struct DelayedSource<S> {
    inner: S,
    schedule: DelaySchedule,
    start: Instant,
    frame: u64,
}

impl<S: FrameSource> DelayedSource<S> {
    /// Wraps a source; bursts are counted from `start`.
    pub fn new(inner: S, delays: &Delays, start: Instant) -> Self {
        Self { inner, schedule: delays.schedule(DelayStage::Source).clone(), start, frame: 0 }
    }
}

impl<S: FrameSource> FrameSource for DelayedSource<S> {
    fn mode(&self) -> VideoMode {
        self.inner.mode()
    }

    fn kind(&self) -> &'static str {
        self.inner.kind()
    }

    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError> {
        hold_up(&self.schedule, self.start, self.frame);
        self.frame += 1;
        self.inner.capture(into)
    }
}

/// An encoder whose `submit` takes longer by the schedule of [`DelayStage::Conversion`] and whose `encode` by that of
/// [`DelayStage::Encoder`].
#[derive(Debug)]
pub struct DelayedEncoder<E> {
    inner: E,
    conversion: DelaySchedule,
    encoder: DelaySchedule,
    start: Instant,
    submitted: u64,
    encoded: u64,
}

impl<E: Encoder> DelayedEncoder<E> {
    /// Wraps an encoder; bursts are counted from `start`.
    pub fn new(inner: E, delays: &Delays, start: Instant) -> Self {
        Self {
            inner,
            conversion: delays.schedule(DelayStage::Conversion).clone(),
            encoder: delays.schedule(DelayStage::Encoder).clone(),
            start,
            submitted: 0,
            encoded: 0,
        }
    }
}

impl<E: Encoder> Encoder for DelayedEncoder<E> {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn submit(&mut self, frame: &RawFrame) -> Result<(), EncodeError> {
        hold_up(&self.conversion, self.start, self.submitted);
        self.submitted += 1;
        self.inner.submit(frame)
    }

    fn encode(&mut self, out: &mut EncodedFrame) -> Result<bool, EncodeError> {
        hold_up(&self.encoder, self.start, self.encoded);
        self.encoded += 1;
        self.inner.encode(out)
    }

    fn request_idr(&mut self) {
        self.inner.request_idr();
    }

    fn set_bitrate(&mut self, bps: u64) -> Result<(), EncodeError> {
        self.inner.set_bitrate(bps)
    }
}

fn hold_up(schedule: &DelaySchedule, start: Instant, frame: u64) {
    if schedule.is_none() {
        return;
    }
    let delay = schedule.delay(start.elapsed(), frame);
    if !delay.is_zero() {
        std::thread::sleep(delay);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::synthetic::Synthetic;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_constant_delay_holds_for_every_frame() {
        let schedule = DelaySchedule::constant(5 * MS);
        assert!([0, 1, 1_000_000].iter().all(|frame| schedule.delay(Duration::MAX, *frame) == 5 * MS));
    }

    #[test]
    fn a_burst_begins_at_its_start_and_is_over_at_its_end() {
        let schedule = DelaySchedule::burst(100 * MS..200 * MS, 7 * MS);
        let at = |ms: u32| schedule.delay(ms * MS, 0);
        assert_eq!([at(99), at(100), at(199), at(200)], [Duration::ZERO, 7 * MS, 7 * MS, Duration::ZERO]);
    }

    #[test]
    fn parts_of_a_schedule_add_up() {
        let schedule = DelaySchedule::constant(2 * MS).plus(DelaySchedule::burst(Duration::ZERO..10 * MS, 3 * MS));
        assert_eq!(schedule.delay(Duration::ZERO, 0), 5 * MS);
        assert_eq!(schedule.delay(10 * MS, 0), 2 * MS);
    }

    #[test]
    fn each_stage_is_held_up_by_its_own_schedule() {
        for stage in DelayStage::ALL {
            let delays =
                Delays::none().with(stage, DelaySchedule::constant(MS)).with(stage, DelaySchedule::constant(MS));
            for other in DelayStage::ALL {
                let expected = if other == stage { 2 * MS } else { Duration::ZERO };
                assert_eq!(delays.delay(other, Duration::ZERO, 0), expected);
            }
        }
    }

    #[test]
    fn a_held_up_source_takes_at_least_its_delay_and_gives_the_same_pictures() {
        let mode = VideoMode::new(64, 64, 60).unwrap();
        let delays = Delays::none().with(DelayStage::Source, DelaySchedule::constant(20 * MS));
        let start = Instant::now();
        let mut delayed = DelayedSource::new(Synthetic::new(mode).unwrap(), &delays, start);
        let mut plain = Synthetic::new(mode).unwrap();
        let (mut one, mut other) = (RawFrame::new(), RawFrame::new());
        delayed.capture(&mut one).unwrap();
        assert!(start.elapsed() >= 20 * MS);
        plain.capture(&mut other).unwrap();
        assert!(one.bytes() == other.bytes());
    }

    #[test]
    fn a_held_up_encoder_is_slow_where_it_was_told_to_be() {
        let mode = VideoMode::new(64, 64, 60).unwrap();
        let mut frame = RawFrame::new();
        Synthetic::new(mode).unwrap().capture(&mut frame).unwrap();
        for stage in [DelayStage::Conversion, DelayStage::Encoder] {
            let delays = Delays::none().with(stage, DelaySchedule::constant(60 * MS));
            let inner = crate::OpenH264::new(mode, 1_000_000).unwrap();
            let mut encoder = DelayedEncoder::new(inner, &delays, Instant::now());
            let start = Instant::now();
            encoder.submit(&frame).unwrap();
            let submitted = start.elapsed();
            encoder.encode(&mut EncodedFrame::default()).unwrap();
            let encoded = start.elapsed() - submitted;
            let slow = if stage == DelayStage::Conversion { submitted } else { encoded };
            assert!(slow >= 60 * MS, "{stage:?} took {slow:?}");
        }
    }

    fn millis(upper: u64) -> impl Strategy<Value = Duration> {
        (0..upper).prop_map(Duration::from_millis)
    }

    proptest! {
        #[test]
        fn a_random_delay_stays_in_its_range_and_depends_on_seed_and_frame_alone(
            seed: u64, frame: u64, share in 0.0..=1.0, from in millis(50), width in millis(50), at in millis(1_000),
        ) {
            let schedule = DelaySchedule::random(seed, share, from..from + width);
            let delay = schedule.delay(at, frame);
            prop_assert!(delay.is_zero() || (from..=from + width).contains(&delay));
            prop_assert_eq!(delay, schedule.delay(Duration::ZERO, frame));
        }

        #[test]
        fn a_random_delay_meets_about_its_share_of_the_frames(seed: u64, share in 0.0..=1.0) {
            let schedule = DelaySchedule::random(seed, share, MS..2 * MS);
            let met = (0..4_000).filter(|frame| !schedule.delay(Duration::ZERO, *frame).is_zero()).count();
            prop_assert!((met as f64 / 4_000.0 - share).abs() < 0.05);
        }

        #[test]
        fn two_schedules_at_once_delay_by_the_sum_whatever_their_order(
            seed: u64, frame: u64, constant in millis(100), until in millis(1_000), at in millis(1_000),
        ) {
            let burst = DelaySchedule::burst(Duration::ZERO..until, constant);
            let random = DelaySchedule::random(seed, 0.5, MS..9 * MS);
            let sum = burst.delay(at, frame) + random.delay(at, frame);
            prop_assert_eq!(burst.clone().plus(random.clone()).delay(at, frame), sum);
            prop_assert_eq!(random.plus(burst).delay(at, frame), sum);
        }
    }
}
