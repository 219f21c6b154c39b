//! What remote read costs: a recording of three hours, one stage of it and everything; one recording among ten thousand.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed benchmark")]
#![allow(missing_docs, reason = "criterion's macros document nothing")]

#[path = "../tests/support/mod.rs"]
mod support;

#[path = "../tests/proto/mod.rs"]
mod proto;

use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use punktfunk_prometheus::remote_read::{Limits, RemoteRead};
use punktfunk_recordings::{RecordingId, Store, StoreOptions};

use self::proto::{Matcher, equal, of, packed_query};
use self::support::{Player, play};

const ID: &str = "2026-06-26T20-14-03Z_1280x720";

/// By a reader that has nothing open.
fn read(store: &Store, matchers: Vec<Matcher>) -> usize {
    again(&RemoteRead::new(store.clone(), Limits::default()), matchers)
}

fn again(remote: &RemoteRead, matchers: Vec<Matcher>) -> usize {
    remote.answer(&packed_query(of(matchers))).unwrap().len()
}

fn remote_read(criterion: &mut Criterion) {
    let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let player = Player { fps: 60, joins: Duration::ZERO, leaves: Duration::from_secs(1 << 20) };
    let long = play(ID, "bench", Duration::from_secs(3 * 3600), &[player], 1).capture;
    store.save(&long).unwrap();
    drop(long);
    let short = play("2026-06-27T20-14-03Z", "bench", Duration::from_secs(10), &[player], 1).capture;
    store.save(&short).unwrap();
    let text = std::fs::read_to_string(store.path_of(&short.meta.id)).unwrap();
    for n in 1..10_000_u64 {
        let other: RecordingId = store.new_id(1_782_504_843_000 + n * 60_000, None);
        std::fs::write(store.path_of(&other), text.replace(short.meta.id.as_str(), other.as_str())).unwrap();
    }
    let named = |more: Vec<Matcher>| [vec![equal("source", "recording"), equal("recording", ID)], more].concat();
    let stage = || vec![equal("__name__", "punktfunk_frame_stage_duration_seconds"), equal("stage", "encode")];
    let mut group = criterion.benchmark_group("remote read of 3 h among 10,000 recordings");
    group.sample_size(10);
    group.bench_function("one stage", |bencher| bencher.iter(|| read(&store, named(stage()))));
    group.bench_function("everything", |bencher| bencher.iter(|| read(&store, named(Vec::new()))));
    group.bench_function("one short recording", |bencher| {
        bencher.iter(|| read(&store, vec![equal("recording", "2026-06-27T20-14-03Z")]))
    });
    group.finish();

    // What the queries of a dashboard find open.
    let hour_id = "2026-06-28T20-14-03Z_1280x720";
    let hour = play(hour_id, "bench", Duration::from_secs(3600), &[player], 1).capture;
    store.save(&hour).unwrap();
    drop(hour);
    let remote = RemoteRead::new(store, Limits::default());
    let mut group = criterion.benchmark_group("remote read of one stage of 1 h");
    group.sample_size(10);
    let of_hour = || [vec![equal("recording", hour_id)], stage()].concat();
    group.bench_function("open", |bencher| bencher.iter(|| again(&remote, of_hour())));
    group.bench_function("closed", |bencher| {
        bencher.iter(|| {
            remote.close_idle(Duration::ZERO);
            again(&remote, of_hour())
        });
    });
    group.finish();
}

criterion_group!(benches, remote_read);
criterion_main!(benches);
