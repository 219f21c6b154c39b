//! What exporting costs a host that streams: processor time of the export threads, and frame times with and without, in
//! pairs. Eight sessions at 240 frames a second, in real time, into a real Prometheus. Prints the table that the README
//! quotes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed benchmark")]
#![allow(clippy::print_stdout, reason = "a benchmark prints its table")]

#[path = "../tests/support/load.rs"]
mod load;

use std::time::{Duration, Instant};

use punktfunk_otlp::{Exporter, Identity, OtlpConfig};
use punktfunk_stats::{Anchor, ArmOptions, Recorder, RecorderConfig, SnapshotSender};
use testkit::{Prometheus, PrometheusOptions, ToolSet, tools};

use load::{FrameTime, Load, Stamps};

const SESSIONS: usize = 8;
const FPS: u32 = 240;
const ROUNDS: usize = 12;
const ROUND: Duration = Duration::from_secs(5);

/// Processor time that threads whose name begins with `name` have used so far.
fn processor_time(name: &str) -> Duration {
    let threads = std::fs::read_dir("/proc/self/task").unwrap().map(|entry| entry.unwrap().path());
    let named =
        threads.filter(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm.starts_with(name)));
    let nanoseconds = |path: std::path::PathBuf| {
        let schedstat = std::fs::read_to_string(path.join("schedstat")).unwrap();
        schedstat.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    Duration::from_nanos(named.map(nanoseconds).sum())
}

/// One capture of [`ROUND`]; the frame times of its sessions and what the export threads took.
fn round(id: &str, otlp_url: Option<&str>) -> (Vec<FrameTime>, Duration) {
    let (snapshots, received) = SnapshotSender::bounded(8);
    let config = OtlpConfig { endpoint: otlp_url.map(str::to_owned), ..OtlpConfig::default() };
    let resolved = config.with_environment(|_| None).unwrap();
    let identity = Identity { host_id: "bench".into(), version: "0".into() };
    let exporter = Exporter::start(&resolved, &identity, received).unwrap();
    let snapshots = exporter.is_some().then_some(snapshots);
    let recorder =
        Recorder::spawn(RecorderConfig { snapshots, host_id: "bench".into(), ..RecorderConfig::default() }).unwrap();
    let load = Load::start(&recorder, SESSIONS, FPS, Stamps::Clock);
    let options =
        ArmOptions { capture_id: id.into(), label: String::new(), anchor: Anchor::now(), latency_target: None };
    let events = recorder.arm(options).unwrap();
    let start = Instant::now();
    std::thread::sleep(ROUND);
    recorder.disarm();
    let times = load.end();
    let used = processor_time("otlp") / u32::try_from(start.elapsed().as_secs()).unwrap();
    drop(events);
    if let Some(exporter) = exporter {
        assert!(exporter.shutdown(Duration::from_secs(20)), "{:?}", exporter.health());
        assert_eq!(exporter.health().failed, 0);
    }
    (times, used)
}

/// The order statistics of one side: late and work, each p50 and p99.
fn row(times: &[FrameTime]) -> [Duration; 4] {
    let at = |pick: fn(&FrameTime) -> Duration, share: usize| {
        let mut values: Vec<Duration> = times.iter().map(pick).collect();
        values.sort_unstable();
        values[values.len() * share / 100]
    };
    [at(|time| time.late, 50), at(|time| time.late, 99), at(|time| time.work, 50), at(|time| time.work, 99)]
}

fn main() {
    let Some(_) = tools(ToolSet::Prometheus) else { return };
    let prometheus = Prometheus::start(&PrometheusOptions::default());
    let (mut sides, mut used) = ([Vec::new(), Vec::new()], Vec::new());
    println!("frame times, {SESSIONS} sessions at {FPS} fps, {ROUNDS} pairs of {ROUND:?}, µs");
    println!("{:<8} {:>12} {:>12} {:>12} {:>12}", "export", "late p50", "late p99", "work p50", "work p99");
    for number in 0..ROUNDS {
        for exported in [number % 2 == 0, number % 2 != 0] {
            let url = prometheus.otlp_url();
            let (times, processor) = round(&format!("{number}-{exported}"), exported.then_some(&*url));
            if exported {
                used.push(processor);
            }
            let figures = row(&times);
            let [late, late_p99, work, work_p99] = figures.map(|time| time.as_secs_f64() * 1e6);
            let name = if exported { "on" } else { "off" };
            println!("{name:<8} {late:>12.2} {late_p99:>12.2} {work:>12.3} {work_p99:>12.3}");
            sides[usize::from(exported)].push(figures);
        }
    }
    let names = ["late p50", "late p99", "work p50", "work p99"];
    for (figure, name) in names.into_iter().enumerate() {
        let mut ratios: Vec<f64> = (0..ROUNDS)
            .map(|pair| sides[1][pair][figure].as_secs_f64() / sides[0][pair][figure].as_secs_f64())
            .collect();
        ratios.sort_unstable_by(f64::total_cmp);
        let middle = (ratios[(ROUNDS - 1) / 2] + ratios[ROUNDS / 2]) / 2.0;
        println!(
            "{name}: on/off {middle:.3} (middle of {ROUNDS} pairs; {:.3} to {:.3})",
            ratios[0],
            ratios[ROUNDS - 1]
        );
    }
    used.sort_unstable();
    let middle = used[used.len() / 2];
    println!("export threads: {middle:?} a second, {:.3} % of a core", middle.as_secs_f64() * 100.0);
}
