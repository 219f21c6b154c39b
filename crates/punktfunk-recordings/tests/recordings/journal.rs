//! What a killed host leaves behind, and what becomes of it.

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use punktfunk_recordings::{
    JournalEntry, ListQuery, Marker, MarkerKind, RecordingId, Store, StoreOptions, VerdictKind,
};

use crate::fixture::{QUICK, capture, meta, run, session};

const ID: &str = "2026-06-26T20-14-03Z_1280x720";

fn id() -> RecordingId {
    ID.parse().unwrap()
}

/// A directory in which a capture of `seconds` was journalled and the host was killed.
fn killed(seconds: u64) -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let mut armed = meta(ID);
    armed.sessions.clear();
    let mut journal = store.journal(&armed).unwrap();
    journal.append(&JournalEntry::Session(session("s1"))).unwrap();
    let slow = [2_000.0, 1_000.0, 60_000.0, 1_000.0];
    for sample in run("s1", seconds, |second| if second % 3 == 0 { slow } else { QUICK }) {
        journal.append(&JournalEntry::Sample(sample)).unwrap();
    }
    let text = "left".to_owned();
    let leave = Marker { t_ms: seconds * 1000, session_id: Some("s1".to_owned()), kind: MarkerKind::Leave, text };
    journal.append(&JournalEntry::Marker(leave)).unwrap();
    drop((journal, store));
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    (dir, store)
}

fn path(store: &Store) -> PathBuf {
    store.dir().join(".journal").join(format!("{ID}.ndjson"))
}

#[test]
fn a_killed_capture_becomes_an_interrupted_recording_with_its_verdict() {
    let (_dir, store) = killed(9);
    let [recovered] = &store.recover()[..] else { panic!("one journal was left") };
    assert_eq!((recovered.samples, recovered.lines_lost), (9, 0));
    let stored = store.get(&id()).unwrap().capture;
    assert_eq!(Some(&stored.meta), recovered.outcome.as_ref().unwrap().as_ref());
    assert!(stored.meta.interrupted);
    assert_eq!((stored.meta.duration_ms, stored.meta.sample_count, stored.meta.width), (9000, 9, Some(1280)));
    assert_eq!(
        (stored.summary.verdict.kind, stored.summary.verdict.stage.as_deref()),
        (VerdictKind::Stage, Some("encode"))
    );
    let session = &stored.meta.sessions[0];
    assert_eq!((session.records, session.left_ms), (600, Some(9000)));
    assert_eq!((stored.provenance.verified, stored.markers.len()), (None, 1));
    assert!(!path(&store).exists() && store.recover().is_empty());
}

#[test]
fn a_torn_last_line_costs_that_line_only() {
    for torn in [&b"{\"sample\":{\"t_ms\":9"[..], b"\0\0\0\0", b"\xff{}\n", b"{\"later\":1}\n", b"\n\n"] {
        let (_dir, store) = killed(5);
        fs::OpenOptions::new().append(true).open(path(&store)).unwrap().write_all(torn).unwrap();
        let [recovered] = &store.recover()[..] else { panic!("one journal was left") };
        assert_eq!((recovered.samples, recovered.lines_lost), (5, usize::from(torn != b"\n\n")));
        assert!(recovered.outcome.is_ok() && store.get(&id()).is_ok());
    }
}

#[test]
fn a_recording_that_was_saved_is_not_replaced_by_its_journal() {
    let (_dir, store) = killed(5);
    let saved = capture(ID, 60);
    store.save(&saved).unwrap();
    let [recovered] = &store.recover()[..] else { panic!("one journal was left") };
    assert!(matches!(recovered.outcome, Ok(None)));
    assert_eq!(store.get(&id()).unwrap().capture, saved);
    assert!(!path(&store).exists());
}

#[test]
fn a_journal_stays_if_a_file_that_cannot_be_read_bears_its_name() {
    let (_dir, store) = killed(5);
    fs::write(store.path_of(&id()), "{\"schema_version\":99}").unwrap();
    assert!(store.recover()[0].outcome.is_err());
    assert!(path(&store).exists());
    store.delete(&id(), None).unwrap();
    assert!(store.recover()[0].outcome.is_ok() && store.get(&id()).is_ok());
}

#[test]
fn a_capture_in_which_nothing_was_measured_leaves_nothing() {
    for first_line in ["", "{\"schema_ver"] {
        let (_dir, store) = killed(1);
        fs::write(path(&store), first_line).unwrap();
        assert!(matches!(store.recover()[0].outcome, Ok(None)));
        assert!(!path(&store).exists() && store.list(&ListQuery::default()).unwrap().total == 0);
    }
}

#[test]
fn a_journal_whose_first_line_is_damaged_is_left_for_a_human() {
    let (_dir, store) = killed(3);
    let text = fs::read_to_string(path(&store)).unwrap();
    fs::write(path(&store), text.replacen("schema_version", "x", 1)).unwrap();
    assert!(store.recover()[0].outcome.is_err());
    assert!(path(&store).exists());
}

#[test]
fn a_journal_takes_its_id_and_is_gone_once_removed() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    let journal = store.journal(&meta(ID)).unwrap();
    assert_eq!(store.new_id(1_782_504_843_000, Some((1280, 720))).as_str(), format!("{ID}-2"));
    assert!(store.journal(&meta(ID)).is_err(), "a capture has one journal");
    assert!(path(&store).exists());
    journal.remove().unwrap();
    assert!(store.recover().is_empty());
}
