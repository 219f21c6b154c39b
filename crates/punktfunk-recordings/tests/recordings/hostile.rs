//! Files that somebody else has written, or that a disk has damaged: parsers of them end with a value or a reason, whatever
//! the bytes, and what was read can be summed up and exported.

use std::fs;
use std::io::sink;

use proptest::prelude::*;
use proptest::sample::Index;
use punktfunk_recordings::export::{kept_frames_csv, samples_csv};
use punktfunk_recordings::{
    Capture, GetError, JournalEntry, KeptFrame, KeptFrames, KeptReason, KeptSpan, ListQuery, Listed, Marker,
    MarkerKind, MetaPatch, RecordingId, Store, StoreOptions, summarize,
};
use tempfile::TempDir;

use crate::fixture::{QUICK, capture, meta, run, session};

const ID: &str = "2026-06-26T20-14-03Z_1280x720";

/// One thing that happens to bytes.
#[derive(Debug, Clone)]
enum Damage {
    /// Nothing comes behind it.
    Cut(Index),
    /// One bit is another.
    Flip(Index, u8),
    /// Something else stands in the midst.
    Insert(Index, Vec<u8>),
    /// A part is missing.
    Remove(Index, Index),
    /// A part stands once more, somewhere else.
    Copy(Index, Index, Index),
    /// A number is another one.
    Number(Index, &'static str),
}

/// Numbers at the edges of types, and some that are none.
const NUMBERS: [&str; 16] = [
    "0",
    "-0",
    "-1",
    "1",
    "0.5",
    "1e308",
    "-1e308",
    "1e-320",
    "1e999",
    "255",
    "4294967296",
    "9007199254740993",
    "9223372036854775807",
    "-9223372036854775808",
    "18446744073709551615",
    "null",
];

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<Index>;
    prop_oneof![
        1 => at().prop_map(Damage::Cut),
        3 => (at(), 0..8_u8).prop_map(|(at, bit)| Damage::Flip(at, bit)),
        2 => (at(), prop::collection::vec(any::<u8>(), 1..20)).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        2 => (at(), "[\\[\\]{}\",:0-9eE.+-]{1,8}").prop_map(|(at, text)| Damage::Insert(at, text.into_bytes())),
        1 => (at(), at()).prop_map(|(from, to)| Damage::Remove(from, to)),
        2 => (at(), at(), at()).prop_map(|(from, to, at)| Damage::Copy(from, to, at)),
        8 => (at(), prop::sample::select(&NUMBERS[..])).prop_map(|(at, number)| Damage::Number(at, number)),
    ]
}

impl Damage {
    fn to(&self, bytes: &mut Vec<u8>) {
        if bytes.is_empty() {
            return;
        }
        let span = |from: &Index, to: &Index| {
            let (a, b) = (from.index(bytes.len()), to.index(bytes.len()));
            a.min(b)..a.max(b)
        };
        match self {
            Self::Cut(at) => bytes.truncate(at.index(bytes.len())),
            Self::Flip(at, bit) => {
                let at = at.index(bytes.len());
                bytes[at] ^= 1 << bit;
            }
            Self::Insert(at, new) => {
                let at = at.index(bytes.len());
                bytes.splice(at..at, new.iter().copied());
            }
            Self::Remove(from, to) => drop(bytes.drain(span(from, to))),
            Self::Copy(from, to, at) => {
                // A few lines of a journal at most.
                let part: Vec<u8> = bytes[span(from, to)].iter().copied().take(4096).collect();
                let at = at.index(bytes.len());
                bytes.splice(at..at, part);
            }
            Self::Number(at, number) => {
                let digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'-' | b'.');
                let starts: Vec<usize> =
                    (1..bytes.len()).filter(|&at| digit(&bytes[at]) && !digit(&bytes[at - 1])).collect();
                if starts.is_empty() {
                    return;
                }
                let start = starts[at.index(starts.len())];
                let end =
                    bytes[start..].iter().position(|byte| !digit(byte)).map_or(bytes.len(), |length| start + length);
                bytes.splice(start..end, number.bytes());
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Vec<Damage>> {
    prop::collection::vec(damage(), 1..6)
}

fn open() -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    (dir, store)
}

/// A recording with something in every list.
fn full() -> Capture {
    let mut capture = capture(ID, 4);
    let text = "boss".to_owned();
    capture.markers.push(Marker { t_ms: 7, session_id: Some("s1".to_owned()), kind: MarkerKind::Operator, text });
    capture.kept_frames.push(KeptFrames {
        session_id: "s1".to_owned(),
        stages: vec!["capture".to_owned(), "encode".to_owned()],
        spans: vec![KeptSpan { reason: KeptReason::WorstTenSeconds, from_ms: 0, to_ms: 4000 }],
        frames: vec![KeptFrame {
            n: 1,
            t_ms: 16.667,
            host_us: 10_560.123,
            stages_us: vec![Some(1.5), None],
            waits_us: vec![0.0, 41.0],
            pace_us: 0.0,
            interval_us: None,
            bytes: 20_480,
            idr: true,
            repeat: false,
            late: None,
        }],
    });
    capture
}

/// Everything that is done with a recording that was read.
fn use_all_of(capture: &Capture) {
    let (samples, sessions) = (&capture.samples, &capture.meta.sessions);
    for range in [None, Some((0, u64::MAX)), Some((1000, 3000)), Some((u64::MAX, 0))] {
        let summary = summarize(samples, sessions, range);
        assert!(!summary.verdict.text.is_empty());
        serde_json::to_vec(&summary).unwrap();
    }
    samples_csv(capture, sink()).unwrap();
    kept_frames_csv(capture, sink()).unwrap();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_damaged_recording_is_read_or_says_why_not(damages in damages()) {
        let (_dir, store) = open();
        let id: RecordingId = ID.parse().unwrap();
        let mut bytes = serde_json::to_vec(&full()).unwrap();
        bytes.push(b'\n');
        damages.iter().for_each(|damage| damage.to(&mut bytes));
        fs::write(store.path_of(&id), &bytes).unwrap();

        let listing = store.list(&ListQuery::default()).unwrap();
        prop_assert_eq!(listing.entries.len(), 1);
        match store.get(&id) {
            Ok(stored) => {
                // What can be read whole is listed with the same head.
                let listed = matches!(&listing.entries[0],
                    Listed::Readable { meta, revision } if **meta == stored.capture.meta && *revision == stored.revision);
                prop_assert!(listed, "{:?}", &listing.entries[0]);
                use_all_of(&stored.capture);
            }
            Err(error) => prop_assert!(matches!(error, GetError::Unreadable { .. }), "{error:?}"),
        }
        // An edit is made, and then found, or leaves every byte as it is.
        let patch = MetaPatch { note: Some("seen".to_owned()), ..MetaPatch::default() };
        match store.update(&id, None, patch) {
            Ok(updated) => prop_assert_eq!(&updated.meta.note, "seen"),
            Err(_) => prop_assert!(fs::read(store.path_of(&id)).unwrap() == bytes),
        }
    }

    #[test]
    fn a_damaged_journal_gives_back_what_can_be_read_and_is_not_thrown_away_unread(damages in damages()) {
        let (dir, store) = open();
        let id: RecordingId = ID.parse().unwrap();
        let mut armed = meta(ID);
        armed.sessions.clear();
        let mut journal = store.journal(&armed).unwrap();
        let mark = Marker { t_ms: 7, session_id: None, kind: MarkerKind::Operator, text: "boss".to_owned() };
        let samples = run("s1", 4, |_| QUICK).into_iter().map(JournalEntry::Sample);
        let entries: Vec<_> =
            [JournalEntry::Session(session("s1")), JournalEntry::Marker(mark)].into_iter().chain(samples).collect();
        journal.append_all(&entries).unwrap();
        drop((journal, store));
        let path = dir.path().join(".journal").join(format!("{ID}.ndjson"));
        let mut bytes = fs::read(&path).unwrap();
        damages.iter().for_each(|damage| damage.to(&mut bytes));
        fs::write(&path, &bytes).unwrap();

        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let [recovered] = &store.recover()[..] else { panic!("one journal was left") };
        match &recovered.outcome {
            Ok(Some(meta)) => {
                let stored = store.get(&id).unwrap();
                prop_assert_eq!(&stored.capture.meta, meta);
                prop_assert_eq!(stored.capture.samples.len(), recovered.samples);
                prop_assert!(meta.interrupted && !path.exists());
                use_all_of(&stored.capture);
            }
            Ok(None) => prop_assert!(!path.exists() && recovered.samples == 0),
            Err(_) => prop_assert!(path.exists() && fs::read(&path).unwrap() == bytes),
        }
    }

    #[test]
    fn an_id_with_something_else_in_it_is_refused_or_stays_one_file_in_the_directory(damages in damages()) {
        let mut bytes = ID.as_bytes().to_vec();
        damages.iter().for_each(|damage| damage.to(&mut bytes));
        let (_dir, store) = open();
        if let Ok(id) = String::from_utf8_lossy(&bytes).parse::<RecordingId>() {
            let path = store.path_of(&id);
            prop_assert_eq!(path.parent(), Some(store.dir()));
            prop_assert!(matches!(store.get(&id), Err(GetError::NotFound { .. })), "{id}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn a_journal_of_any_bytes_does_no_harm(bytes in prop::collection::vec(any::<u8>(), 0..400), lines in "[\\[\\]{}\":,a-c0-9 \n-]{0,80}") {
        for content in [bytes, lines.into_bytes()] {
            let (dir, store) = open();
            let path = dir.path().join(".journal").join(format!("{ID}.ndjson"));
            fs::create_dir(dir.path().join(".journal")).unwrap();
            fs::write(&path, content).unwrap();
            let recovered = store.recover();
            prop_assert_eq!(recovered.len(), 1);
            prop_assert_eq!(recovered[0].samples, 0);
            prop_assert_eq!(store.list(&ListQuery::default()).unwrap().total, 0);
        }
    }
}
