//! Putting a recording in the place of an earlier one, while others change the same file.

use punktfunk_recordings::{GetError, MetaPatch, SnapshotState, Source, Store, StoreOptions, UpdateError};

use crate::fixture::capture;

fn store() -> (tempfile::TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("captures"), StoreOptions::default()).unwrap();
    (dir, store)
}

#[test]
fn an_edit_made_meanwhile_is_merged_into_the_replacement() {
    let (_dir, store) = store();
    let mut capture = capture("2026-06-26T20-14-03Z_1280x720", 20);
    let before = store.save(&capture).unwrap();
    let id = capture.meta.id.clone();
    let edit = MetaPatch { label: Some("mine".into()), note: Some("kept".into()), pinned: Some(true) };
    store.update(&id, None, edit).unwrap();

    capture.provenance.source = Source::Prometheus;
    capture.meta.snapshot = Some(SnapshotState::Verified);
    let updated = store.replace(capture).unwrap();
    assert_ne!(updated.revision, before);
    let stored = store.get(&id).unwrap();
    let meta = &stored.capture.meta;
    assert_eq!((meta.label.as_str(), meta.note.as_str(), meta.pinned), ("mine", "kept", true));
    assert_eq!((meta.snapshot, stored.capture.provenance.source), (Some(SnapshotState::Verified), Source::Prometheus));
    assert_eq!(stored.revision, updated.revision);
}

#[test]
fn a_recording_deleted_meanwhile_stays_deleted() {
    let (_dir, store) = store();
    let capture = capture("2026-06-26T20-14-03Z_1280x720", 20);
    let id = capture.meta.id.clone();
    store.save(&capture).unwrap();
    store.delete(&id, None).unwrap();
    assert!(matches!(store.replace(capture), Err(UpdateError::Get(GetError::NotFound { .. }))));
    assert!(matches!(store.get(&id), Err(GetError::NotFound { .. })));
}
