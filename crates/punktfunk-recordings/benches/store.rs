//! What an operator waits for: stop → saved and durable with an hour of samples, and with the most that is usual; and the
//! list of ten thousand recordings.
//!
//! The directory is that of `CARGO_TARGET_TMPDIR`'s file system, so that fsync is a real one; a tmpfs would flatter.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed benchmark")]
#![allow(missing_docs, reason = "criterion's macros document nothing")]

#[path = "../tests/fixture/mod.rs"]
mod fixture;

use std::fs;
use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use punktfunk_recordings::{Capture, JournalEntry, ListQuery, Listed, RecordingId, Store, StoreOptions, summarize};

const HOUR_S: u64 = 3600;

const RECORDINGS: usize = 10_000;

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default()).unwrap()
}

fn id() -> RecordingId {
    RecordingId::new(1_782_504_843_000, Some((1280, 720)))
}

/// What a stop waits for: the whole run's figures, its file, and that it is durable. One sample a second and session.
fn stop(criterion: &mut Criterion) {
    let dir = directory();
    let store = open(dir.path());
    for (name, sessions, seconds) in [("1 h of one session", 1, HOUR_S), ("3 h of four sessions", 4, 3 * HOUR_S)] {
        let Capture { meta, samples, provenance, kept_frames, .. } = fixture::recording_of(&id(), sessions, seconds);
        let parts = || (meta.clone(), samples.clone(), provenance.clone(), kept_frames.clone());
        let save = |(meta, samples, provenance, kept): (_, _, _, _)| {
            let capture = Capture::assemble(meta, samples, Vec::new(), provenance, kept);
            store.save(&capture).unwrap()
        };
        let bytes = save(parts()).bytes();

        let mut group = criterion.benchmark_group(format!("{name} ({} MB)", bytes / 1_000_000));
        group.sample_size(10).throughput(Throughput::Bytes(bytes));
        // Copying the samples is not part of a stop.
        group.bench_function("stop: assemble, serialise, fsync", |bencher| {
            bencher.iter_custom(|iterations| {
                (0..iterations).fold(Duration::ZERO, |sum, _| {
                    let parts = parts();
                    let start = Instant::now();
                    save(parts);
                    sum + start.elapsed()
                })
            });
        });
        let sum_up = || summarize(black_box(&samples), &meta.sessions, None);
        group.bench_function("summarize", |bencher| bencher.iter(sum_up));
        group.bench_function("read", |bencher| bencher.iter(|| store.get(&id()).unwrap()));
        group.finish();
    }
}

/// One line of the journal, durable.
fn journal(criterion: &mut Criterion) {
    let dir = directory();
    let store = open(dir.path());
    let mut journal = store.journal(&fixture::meta(&id())).unwrap();
    let sample = JournalEntry::Sample(fixture::sample("s1", 0));
    criterion.bench_function("journal/append", |bencher| bencher.iter(|| journal.append(&sample).unwrap()));
}

/// Ten thousand recordings of a minute with one session each.
fn list(criterion: &mut Criterion) {
    let dir = directory();
    {
        let store = open(dir.path());
        let first = store.new_id(1_782_504_843_000, Some((1280, 720)));
        store.save(&fixture::recording(&first, 60)).unwrap();
        let text = fs::read_to_string(store.path_of(&first)).unwrap();
        for n in 1..RECORDINGS as u64 {
            let other = store.new_id(1_782_504_843_000 + n * 60_000, Some((1280, 720)));
            fs::write(store.path_of(&other), text.replacen(first.as_str(), other.as_str(), 1)).unwrap();
        }
    }
    let page = ListQuery { limit: Some(100), after: None };
    let mut group = criterion.benchmark_group(format!("list of {RECORDINGS}"));
    group.sample_size(20);
    group.bench_function("all, first time", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations).fold(Duration::ZERO, |sum, _| {
                let store = open(dir.path());
                let start = Instant::now();
                let listing = store.list(&ListQuery::default()).unwrap();
                let elapsed = start.elapsed();
                assert!(listing.entries.iter().all(|entry| matches!(entry, Listed::Readable { .. })));
                assert_eq!(listing.entries.len(), RECORDINGS);
                sum + elapsed
            })
        });
    });
    group.bench_function("first page, first time", |bencher| {
        bencher.iter_custom(|iterations| {
            (0..iterations).fold(Duration::ZERO, |sum, _| {
                let store = open(dir.path());
                let start = Instant::now();
                assert_eq!(store.list(&page).unwrap().entries.len(), 100);
                sum + start.elapsed()
            })
        });
    });
    let store = open(dir.path());
    store.list(&ListQuery::default()).unwrap();
    group.bench_function("all, again", |bencher| bencher.iter(|| store.list(&ListQuery::default()).unwrap()));
    group.bench_function("first page, again", |bencher| bencher.iter(|| store.list(&page).unwrap()));
    group.finish();
}

criterion_group!(benches, stop, journal, list);
criterion_main!(benches);
