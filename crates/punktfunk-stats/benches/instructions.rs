//! Instructions a frame, counted by valgrind's callgrind: the same total each time, whatever else the machine does.
//!
//! Run without arguments it runs itself under valgrind once a case and prints a table; it fails when a promise is broken.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a benchmark prints its table")]
#![allow(missing_docs, reason = "the macro of a benchmark harness has no documentation")]

use std::hint::black_box;
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use punktfunk_stats::{
    Anchor, ArmOptions, FrameGate, FrameInfo, FrameSink, Recorder, RecorderConfig, SessionInfo, SessionSpec, StageSet,
    StageSpec,
};

const FRAMES: u64 = 10_000;

/// Instructions a frame that a disarmed recorder may add to a loop.
const DISARMED_LIMIT: f64 = 5.0;

/// What a stage does, as far as the loop can see: a call that the optimiser cannot look into.
#[inline(never)]
fn stage(work: u64) -> u64 {
    black_box(work)
}

#[inline(never)]
fn loop_without_recorder(frames: u64) -> u64 {
    let mut sum = 0;
    for number in 0..frames {
        sum += stage(number);
        sum += stage(number);
        sum += stage(number);
        sum += stage(number);
    }
    sum
}

#[inline(never)]
fn loop_with_recorder(gate: &mut FrameGate, sink: &mut FrameSink, frames: u64) -> u64 {
    let mut sum = 0;
    for number in 0..frames {
        let mut trace = gate.begin();
        sum += stage(number);
        trace.advance(0);
        sum += stage(number);
        trace.advance(1);
        sum += stage(number);
        trace.advance(2);
        sum += stage(number);
        trace.leave(3);
        sink.record(&trace, FrameInfo { number, ..FrameInfo::default() });
    }
    sum
}

/// The armed loop with the clock reads taken out: instants are handed in.
#[inline(never)]
fn armed_loop_without_clock(gate: &mut FrameGate, sink: &mut FrameSink, now: Instant, frames: u64) -> u64 {
    let mut sum = 0;
    for number in 0..frames {
        let mut trace = gate.begin_at(now);
        sum += stage(number);
        trace.leave_at(0, now);
        trace.enter_at(1, now);
        sum += stage(number);
        trace.leave_at(1, now);
        trace.enter_at(2, now);
        sum += stage(number);
        trace.leave_at(2, now);
        trace.enter_at(3, now);
        sum += stage(number);
        trace.leave_at(3, now);
        sink.record(&trace, FrameInfo { number, ..FrameInfo::default() });
    }
    sum
}

fn player(recorder: &Recorder) -> Result<(FrameGate, FrameSink), Box<dyn std::error::Error>> {
    let stage = |name, queued| StageSpec { name, share: 0.25, queued };
    let stages =
        StageSet::new(&[stage("capture", false), stage("submit", true), stage("encode", false), stage("send", true)])?;
    let info = SessionInfo { fps: 240, ..SessionInfo::default() };
    let (gate, sink, _) = recorder.session(SessionSpec { protocol: "native", stages, info, known: &[] })?.split();
    Ok((gate, sink))
}

/// One case, inside valgrind.
fn child(case: &str) -> Result<(), Box<dyn std::error::Error>> {
    // The ring takes every frame, so that none meets the overflow path.
    let config = RecorderConfig { ring_capacity: FRAMES as usize + 1, ..RecorderConfig::default() };
    let (recorder, mut collector) = Recorder::new(config);
    let now = Instant::now();
    let options =
        ArmOptions { capture_id: "bench".into(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    if case == "none" {
        black_box(loop_without_recorder(FRAMES));
        return Ok(());
    }
    let threads = if case == "armed8" { 8 } else { 1 };
    let mut players = Vec::new();
    for _ in 0..threads {
        players.push(player(&recorder)?);
    }
    let _events = case.starts_with("armed").then(|| recorder.arm(options)).transpose()?;
    collector.step(now);
    if case == "disarmed" {
        let (mut gate, mut sink) = players.remove(0);
        black_box(loop_with_recorder(&mut gate, &mut sink, FRAMES));
        return Ok(());
    }
    let recorded = Arc::new(AtomicU64::new(0));
    std::thread::scope(|scope| {
        for (mut gate, mut sink) in players {
            let recorded = Arc::clone(&recorded);
            scope.spawn(move || {
                recorded.fetch_add(armed_loop_without_clock(&mut gate, &mut sink, now, FRAMES), Ordering::Relaxed);
            });
        }
    });
    black_box(recorded.load(Ordering::Relaxed));
    Ok(())
}

/// Instructions of one case in all its threads, a frame.
fn count(case: &str, function: &str, threads: u64) -> Result<f64, Box<dyn std::error::Error>> {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(format!("--toggle-collect=*{function}*"))
        .arg(std::env::current_exe()?)
        .arg(format!("--case={case}"))
        .output()
        .map_err(|error| format!("valgrind could not be run ({error}): apt-get install valgrind"))?;
    let log = String::from_utf8_lossy(&output.stderr);
    let collected = log.lines().find_map(|line| line.split("Collected :").nth(1)?.trim().parse::<f64>().ok());
    let total = collected.filter(|&total| total > 0.0).ok_or_else(|| format!("callgrind counted nothing:\n{log}"))?;
    Ok(total / (FRAMES * threads) as f64)
}

fn table() -> Result<bool, Box<dyn std::error::Error>> {
    let bare = count("none", "loop_without_recorder", 1)?;
    let disarmed = count("disarmed", "loop_with_recorder", 1)? - bare;
    let armed = count("armed1", "armed_loop_without_clock", 1)? - bare;
    let armed8 = count("armed8", "armed_loop_without_clock", 8)? - bare;
    println!("| instructions a frame, beyond a loop of four stages without a recorder | |\n|---|---|");
    println!("| disarmed | {disarmed:.2} |");
    println!("| armed, beside its clock reads, one thread | {armed:.2} |");
    println!("| armed, beside its clock reads, eight threads | {armed8:.2} |");
    let kept = disarmed <= DISARMED_LIMIT && (armed8 - armed).abs() < 0.5;
    if !kept {
        eprintln!("broken: disarmed at most {DISARMED_LIMIT}, eight threads the same as one");
    }
    Ok(kept)
}

fn main() -> ExitCode {
    let case = std::env::args().find_map(|arg| arg.strip_prefix("--case=").map(str::to_owned));
    let result = match case {
        Some(case) => child(&case).map(|()| true),
        None => table(),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
