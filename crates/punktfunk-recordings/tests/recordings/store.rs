//! Saving, listing, changing and deleting on a healthy disk.

use std::fs;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use punktfunk_recordings::{
    DeleteError, GetError, ListQuery, Listed, MetaPatch, RecordingId, Revision, Store, StoreOptions, UpdateError, Usage,
};
use tempfile::TempDir;

use crate::fixture::capture;

fn open(quota_bytes: Option<u64>) -> (TempDir, Store) {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path().join("captures"), StoreOptions { quota_bytes }).unwrap();
    (dir, store)
}

fn ids(entries: &[Listed]) -> Vec<String> {
    let id = |entry: &Listed| match entry {
        Listed::Readable { meta, .. } => meta.id.to_string(),
        Listed::Unreadable { name, reason, .. } => format!("{name}: {reason}"),
    };
    entries.iter().map(id).collect()
}

fn all(store: &Store) -> Vec<String> {
    ids(&store.list(&ListQuery::default()).unwrap().entries)
}

fn label(text: &str) -> MetaPatch {
    MetaPatch { label: Some(text.to_owned()), ..MetaPatch::default() }
}

#[test]
fn what_was_saved_is_read_back_equal() {
    let (_dir, store) = open(None);
    let capture = capture("2026-06-26T20-14-03Z_1280x720", 20);
    let revision = store.save(&capture).unwrap();
    let stored = store.get(&capture.meta.id).unwrap();
    assert_eq!((&stored.capture, stored.revision), (&capture, revision));
}

#[test]
fn ids_are_unique_within_a_second_before_anything_is_saved() {
    let (_dir, store) = open(None);
    let now = 1_782_504_843_000;
    let first = store.new_id(now, Some((1280, 720)));
    let second = store.new_id(now, Some((1280, 720)));
    assert_eq!((first.as_str(), second.as_str()), ("2026-06-26T20-14-03Z_1280x720", "2026-06-26T20-14-03Z_1280x720-2"));
    store.save(&capture(second.as_str(), 1)).unwrap();
    assert_eq!(store.new_id(now, Some((1280, 720))).as_str(), "2026-06-26T20-14-03Z_1280x720-3");
}

#[test]
fn pages_are_newest_first_and_survive_a_deletion_in_between() {
    let (_dir, store) = open(None);
    for day in 1..=5 {
        store.save(&capture(&format!("2026-06-0{day}T00-00-00Z"), 1)).unwrap();
    }
    let page = |after| store.list(&ListQuery { limit: Some(2), after }).unwrap();
    let first = page(None);
    assert_eq!(
        (ids(&first.entries), first.total),
        (vec!["2026-06-05T00-00-00Z".to_owned(), "2026-06-04T00-00-00Z".to_owned()], 5)
    );
    store.delete(&"2026-06-04T00-00-00Z".parse().unwrap(), None).unwrap();
    let second = page(first.next);
    assert_eq!(ids(&second.entries), ["2026-06-03T00-00-00Z", "2026-06-02T00-00-00Z"]);
    let third = page(second.next);
    assert_eq!((ids(&third.entries), third.next), (vec!["2026-06-01T00-00-00Z".to_owned()], None));
}

#[test]
fn an_edit_changes_the_revision_and_nothing_but_what_was_asked_for() {
    let (_dir, store) = open(None);
    let capture = capture("2026-06-26T20-14-03Z", 3);
    let first = store.save(&capture).unwrap();
    // The same length, at once: clocks of file systems are coarse.
    let second = store.update(&capture.meta.id, Some(&first), label("morning")).unwrap().revision;
    let third = store.update(&capture.meta.id, Some(&second), label("evening")).unwrap();
    assert!(first != second && second != third.revision && first != third.revision);
    let stored = store.get(&capture.meta.id).unwrap();
    assert_eq!((&stored.capture, stored.revision, &third.meta), (&capture, third.revision, &capture.meta));
    let Listed::Readable { meta, revision } = &store.list(&ListQuery::default()).unwrap().entries[0] else { panic!() };
    assert_eq!((&**meta, *revision), (&capture.meta, third.revision));
}

#[test]
fn an_edit_keeps_what_a_later_version_wrote() {
    let (_dir, store) = open(None);
    let capture = capture("2026-06-26T20-14-03Z", 1);
    store.save(&capture).unwrap();
    let path = store.path_of(&capture.meta.id);
    let text = fs::read_to_string(&path).unwrap();
    let later = text.replacen("\"label\"", "\"mood\":\"good\",\"label\"", 1).replacen(
        "\"samples\"",
        "\"tea\":[1.50],\"samples\"",
        1,
    );
    fs::write(&path, later).unwrap();
    let pinned = MetaPatch { note: Some("mine".to_owned()), pinned: Some(true), ..MetaPatch::default() };
    let updated = store.update(&capture.meta.id, None, pinned).unwrap();
    assert_eq!(
        (updated.meta.note.as_str(), updated.meta.pinned, updated.meta.label.as_str()),
        ("mine", true, "evening")
    );
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains("\"mood\":\"good\"") && text.contains("\"tea\":[1.50]"), "{}", &text[..400]);
}

#[test]
fn whoever_comes_second_gets_the_current_revision_instead_of_overwriting() {
    let (_dir, store) = open(None);
    let capture = capture("2026-06-26T20-14-03Z", 1);
    let seen = store.save(&capture).unwrap();
    let now = store.update(&capture.meta.id, Some(&seen), label("mine")).unwrap().revision;
    let update = store.update(&capture.meta.id, Some(&seen), label("theirs"));
    assert!(matches!(update, Err(UpdateError::Conflict { current }) if current == now));
    let delete = store.delete(&capture.meta.id, Some(&seen));
    assert!(matches!(delete, Err(DeleteError::Conflict { current }) if current == now));
    assert_eq!(store.get(&capture.meta.id).unwrap().capture.meta.label, "mine");
    store.delete(&capture.meta.id, Some(&now)).unwrap();
    assert!(matches!(store.get(&capture.meta.id), Err(GetError::NotFound { .. })));
    assert!(matches!(store.delete(&capture.meta.id, None), Err(DeleteError::NotFound { .. })));
}

#[test]
fn a_revision_outlives_a_restart_and_its_own_text() {
    let (_dir, store) = open(None);
    let revision = store.save(&capture("2026-06-26T20-14-03Z", 1)).unwrap();
    let dir = store.dir().to_owned();
    drop(store);
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let again = store.get(&"2026-06-26T20-14-03Z".parse().unwrap()).unwrap().revision;
    assert_eq!((again, revision.to_string().parse::<Revision>()), (revision, Ok(revision)));
}

#[test]
fn the_quota_takes_the_oldest_that_are_not_pinned_and_says_so_beforehand() {
    let size = {
        let (_dir, store) = open(None);
        store.save(&capture("2026-06-01T00-00-00Z", 1)).unwrap().bytes()
    };
    let (_dir, store) = open(Some(size * 7 / 2));
    for day in 1..=3 {
        store.save(&capture(&format!("2026-06-0{day}T00-00-00Z"), 1)).unwrap();
    }
    let pin = MetaPatch { pinned: Some(true), ..MetaPatch::default() };
    store.update(&"2026-06-01T00-00-00Z".parse().unwrap(), None, pin).unwrap();
    let foretold: Vec<_> = store.would_evict(size).unwrap().into_iter().map(|meta| meta.id.to_string()).collect();
    assert_eq!(foretold, ["2026-06-02T00-00-00Z"]);
    store.save(&capture("2026-06-04T00-00-00Z", 1)).unwrap();
    assert_eq!(all(&store), ["2026-06-04T00-00-00Z", "2026-06-03T00-00-00Z", "2026-06-01T00-00-00Z"]);
}

#[test]
fn the_quota_never_takes_what_was_just_saved() {
    let (_dir, store) = open(Some(1));
    store.save(&capture("2026-06-02T00-00-00Z", 1)).unwrap();
    store.save(&capture("2026-06-01T00-00-00Z", 1)).unwrap();
    assert_eq!(all(&store), ["2026-06-01T00-00-00Z"]);
}

#[test]
fn usage_counts_recordings_and_bytes() {
    let (_dir, store) = open(None);
    let bytes = store.save(&capture("2026-06-01T00-00-00Z", 1)).unwrap().bytes();
    fs::write(store.dir().join("notes.txt"), "12345").unwrap();
    assert_eq!(store.usage().unwrap(), Usage { recordings: 1, bytes: bytes + 5 });
}

#[test]
fn files_that_a_killed_host_was_writing_are_removed_at_the_next_start() {
    let (_dir, store) = open(None);
    let dir = store.dir().to_owned();
    drop(store);
    fs::write(dir.join(".writing-Ab12"), "{\"schema_").unwrap();
    let store = Store::open(&dir, StoreOptions::default()).unwrap();
    assert!(!dir.join(".writing-Ab12").exists());
    assert_eq!(store.usage().unwrap(), Usage::default());
}

#[test]
fn a_file_that_was_changed_by_hand_is_read_again() {
    let (_dir, store) = open(None);
    let capture = capture("2026-06-01T00-00-00Z", 1);
    store.save(&capture).unwrap();
    assert_eq!(all(&store), ["2026-06-01T00-00-00Z"]);
    let path = store.path_of(&capture.meta.id);
    let text = fs::read_to_string(&path).unwrap().replacen("\"evening\"", "\"morning\"", 1);
    fs::write(&path, text).unwrap();
    let later = SystemTime::now() + Duration::from_secs(5);
    fs::File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
    let Listed::Readable { meta, .. } = &store.list(&ListQuery::default()).unwrap().entries[0] else { panic!() };
    assert_eq!(meta.label, "morning");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A stranger's file is listed, and neither listing nor reading panics.
    #[test]
    fn any_bytes_are_an_entry_of_the_list(bytes in prop::collection::vec(any::<u8>(), 0..400), json in "[\\[\\]{}\":,a-c0-9 \n-]{0,80}") {
        let (_dir, store) = open(None);
        let id: RecordingId = "a".parse().unwrap();
        for content in [bytes, json.into_bytes()] {
            fs::write(store.path_of(&id), content).unwrap();
            prop_assert_eq!(store.list(&ListQuery::default()).unwrap().total, 1);
            prop_assert!(store.get(&id).is_err());
        }
    }

    #[test]
    fn any_text_is_a_revision_or_refused(text in ".*") {
        if let Ok(revision) = text.parse::<Revision>() {
            prop_assert_eq!(revision.to_string().parse::<Revision>(), Ok(revision));
        }
    }
}
