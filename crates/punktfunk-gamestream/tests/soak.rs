//! A session of twenty seconds (`GAMESTREAM_SOAK_SECONDS`; half an hour under `make soak`) to a client that loses packets:
//! memory stays where it is, RTP's clock runs as fast as the wall's, and the client keeps its picture.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stdout, reason = "a soak shows its course")]

mod support;

use std::time::{Duration, Instant};

use punktfunk_gamestream::SessionLimits;
use support::gamehost::GameHost;
use support::moonlight::rtsp::WISH;
use support::viewer::Viewer;
use testkit::{CountingAllocator, live_bytes, memory_kb};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator;

/// What the heap may grow by once the session runs: frames of either end differ in size.
const GROWTH_BYTES: usize = 1 << 20;

/// What the process may grow by: the encoder and the decoder are not Rust's, and their allocator keeps some.
const GROWTH_KB: u64 = 4096;

/// How far RTP's clock may be from the wall's at the end. A frame's time is that of its capture, which varies by as much as
/// frames are late.
const DRIFT: Duration = Duration::from_millis(50);

/// Frames whose middle one stands for a moment.
const FRAMES: usize = 31;

/// How far the wall's clock is ahead of RTP's, counted from the first frame, in seconds: the middle one of some frames.
struct Ahead {
    start: Instant,
    first: u32,
    wraps: u64,
    newest: u32,
}

impl Ahead {
    fn of(&mut self, viewer: &mut Viewer) -> f64 {
        let mut seen: Vec<f64> = (0..FRAMES)
            .map(|_| {
                let before = viewer.clock;
                viewer.play_until(|viewer| viewer.clock != before);
                self.wraps += u64::from(viewer.clock < self.newest);
                self.newest = viewer.clock;
                let ticks = (self.wraps << 32) + u64::from(viewer.clock) - u64::from(self.first);
                self.start.elapsed().as_secs_f64() - ticks as f64 / 90_000.0
            })
            .collect();
        seen.sort_by(f64::total_cmp);
        seen[FRAMES / 2]
    }
}

#[test]
fn over_a_long_session_memory_stays_and_the_clock_does_not_drift() {
    let length = std::env::var("GAMESTREAM_SOAK_SECONDS").map_or(20, |seconds| seconds.parse().unwrap());
    let length = Duration::from_secs(length);
    let host = GameHost::start(SessionLimits::default());
    let client = host.paired(0, "Deck");
    let mut viewer = Viewer::launch(&client, WISH, 0.01);
    viewer.play_until(|viewer| viewer.pictures >= 30);
    let mut ahead = Ahead { start: Instant::now(), first: viewer.clock, wraps: 0, newest: viewer.clock };
    let began = ahead.of(&mut viewer);

    // The first third shows what a session needs, the rest that it needs no more.
    let (mut early, mut late) = ((0, 0), (0, 0));
    while ahead.start.elapsed() < length {
        let seen = (live_bytes(), memory_kb("VmRSS"));
        let most = if ahead.start.elapsed() < length / 3 { &mut early } else { &mut late };
        *most = (most.0.max(seen.0), most.1.max(seen.1));
        ahead.of(&mut viewer);
    }
    let ended = ahead.of(&mut viewer);

    let tally = viewer.tally();
    println!("heap {} and {} bytes, resident {} and {} kB", early.0, late.0, early.1, late.1);
    println!("RTP's clock: {:.1} ms off at the end; {} pictures, {tally:?}", (ended - began) * 1e3, viewer.pictures);
    assert!(late.0 <= early.0 + GROWTH_BYTES, "the heap grew from {} to {} bytes", early.0, late.0);
    assert!(late.1 <= early.1 + GROWTH_KB, "memory grew from {} to {} kB", early.1, late.1);
    assert!((ended - began).abs() <= DRIFT.as_secs_f64(), "the clock drifted by {} s", ended - began);
    assert!(tally.recovered > 0 && viewer.pictures * 10 >= tally.frames * 9, "{} pictures, {tally:?}", viewer.pictures);
    drop(viewer);
    host.until_free(&client);
}
