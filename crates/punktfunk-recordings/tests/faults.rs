//! The store on disks that fail, among files that are not its own. Every fault is a real one: a full file system, one that
//! is read-only, a directory that somebody else holds.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fixture;

use std::fs;
use std::io::ErrorKind;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::sync::Barrier;
use std::time::{Duration, SystemTime};

use proptest::prelude::*;
use punktfunk_recordings::{
    GetError, JournalEntry, ListQuery, Listed, MAX_BYTES, MetaPatch, OpenError, RecordingId, SaveError, Store,
    StoreOptions, Unreadable, UpdateError,
};
use testkit::SmallDisk;

fn open(dir: &Path) -> Store {
    Store::open(dir, StoreOptions::default()).unwrap()
}

/// What the directory holds but the lock and the folder of the journals.
fn files(dir: &Path) -> Vec<String> {
    let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| !matches!(name.as_str(), ".lock" | ".journal")).collect();
    names.sort();
    names
}

#[test]
fn a_full_disk_at_stop_costs_nothing_and_stop_can_be_repeated() {
    let Some(disk) = SmallDisk::mount("1m") else { return };
    let store = open(&disk.path().join("captures"));
    let id = store.new_id(1_782_504_843_000, Some((1280, 720)));
    let capture = fixture::recording(&id, 60);
    disk.fill();

    let error = store.save(&capture).unwrap_err();
    assert!(matches!(&error, SaveError::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{error:?}");
    assert!(error.to_string().contains(store.path_of(&id).to_str().unwrap()), "{error}");
    assert_eq!(files(store.dir()), [""; 0], "what could not be written whole is not there at all");

    disk.empty();
    let revision = store.save(&capture).unwrap();
    let stored = store.get(&id).unwrap();
    assert_eq!(stored.revision, revision);
    assert!(stored.capture == capture, "what is read is not what was saved");
}

#[test]
fn an_edit_on_a_full_disk_leaves_the_recording_as_it_was() {
    let Some(disk) = SmallDisk::mount("1m") else { return };
    let store = open(disk.path());
    let id = store.new_id(1_782_504_843_000, None);
    let capture = fixture::recording(&id, 10);
    let revision = store.save(&capture).unwrap();
    disk.fill();
    let patch = MetaPatch { label: Some("another".to_owned()), ..MetaPatch::default() };
    let error = store.update(&id, Some(&revision), patch).unwrap_err();
    assert!(matches!(&error, UpdateError::Io { source, .. } if source.kind() == ErrorKind::StorageFull), "{error:?}");
    assert!(store.get(&id).unwrap().capture == capture, "the recording has changed");
    assert_eq!(store.list(&ListQuery::default()).unwrap().entries.len(), 1);
}

#[test]
fn a_journal_on_a_full_disk_keeps_what_it_had_and_goes_on_when_there_is_room() {
    let Some(disk) = SmallDisk::mount("1m") else { return };
    let store = open(disk.path());
    let id = store.new_id(1_782_504_843_000, None);
    let mut journal = store.journal(&fixture::meta(&id)).unwrap();
    journal.append(&JournalEntry::Session(fixture::session("s1"))).unwrap();
    journal.append(&JournalEntry::Sample(fixture::sample("s1", 0))).unwrap();
    disk.fill();
    // The room that is left in the journal's last page takes the beginning of the batch.
    let batch: Vec<_> = (1..20).map(|n| JournalEntry::Sample(fixture::sample("s1", n))).collect();
    let error = journal.append_all(&batch).unwrap_err();
    assert_eq!(error.source.kind(), ErrorKind::StorageFull);
    disk.empty();
    journal.append(&JournalEntry::Sample(fixture::sample("s1", 20))).unwrap();
    drop(journal);
    drop(store);

    let store = open(disk.path());
    let [recovered] = &store.recover()[..] else { panic!("one journal was left") };
    assert_eq!((&recovered.id, recovered.samples, recovered.lines_lost), (&id, 2, 0));
    let times: Vec<u64> = store.get(&id).unwrap().capture.samples.iter().map(|sample| sample.t_ms).collect();
    assert_eq!(times, [1_000, 21_000]);
}

#[test]
fn a_journal_stays_until_there_is_room_for_its_recording() {
    let Some(disk) = SmallDisk::mount("1m") else { return };
    let id: RecordingId = "2026-06-26T20-14-03Z".parse().unwrap();
    {
        let store = open(disk.path());
        let mut journal = store.journal(&fixture::meta(&id)).unwrap();
        journal.append(&JournalEntry::Session(fixture::session("s1"))).unwrap();
        journal
            .append_all(&(0..30).map(|n| JournalEntry::Sample(fixture::sample("s1", n))).collect::<Vec<_>>())
            .unwrap();
    }
    disk.fill();
    let store = open(disk.path());
    assert!(store.recover()[0].outcome.is_err());
    assert!(matches!(store.get(&id), Err(GetError::NotFound { .. })));
    disk.empty();
    let recovered = store.recover();
    let meta = recovered[0].outcome.as_ref().unwrap().as_ref().unwrap();
    assert!(meta.interrupted && meta.verdict.is_some());
    assert_eq!((meta.sample_count, meta.duration_ms), (30, 30_000));
    assert!(store.recover().is_empty(), "a recording that is durable needs no journal");
}

#[test]
fn a_disk_that_turns_read_only_is_named_in_the_error_and_loses_nothing() {
    let Some(disk) = SmallDisk::mount("4m") else { return };
    let store = open(disk.path());
    let id = store.new_id(1_782_504_843_000, None);
    let earlier = fixture::recording(&id, 10);
    let revision = store.save(&earlier).unwrap();
    disk.read_only(true);
    let another = fixture::recording(&store.new_id(1_782_504_843_000, None), 10);
    let error = store.save(&another).unwrap_err();
    assert!(
        matches!(&error, SaveError::Io { source, .. } if source.kind() == ErrorKind::ReadOnlyFilesystem),
        "{error:?}"
    );
    assert!(error.to_string().contains(disk.path().to_str().unwrap()), "{error}");
    assert!(store.delete(&id, Some(&revision)).is_err());
    assert!(store.get(&id).unwrap().capture == earlier, "the recording has changed");
    disk.read_only(false);
    store.save(&another).unwrap();
    assert_eq!(store.list(&ListQuery::default()).unwrap().total, 2);
}

#[test]
fn a_directory_that_cannot_be_written_to_is_refused_with_its_path() {
    let Some(disk) = SmallDisk::mount("1m") else { return };
    disk.read_only(true);
    let dir = disk.path().join("captures");
    let error = Store::open(&dir, StoreOptions::default()).unwrap_err();
    assert!(error.to_string().contains(dir.to_str().unwrap()), "{error}");
}

#[test]
fn a_second_host_on_the_same_directory_is_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let first = open(dir.path());
    let error = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    assert!(matches!(&error, OpenError::InUse { dir: named } if named == dir.path()), "{error:?}");
    assert!(error.to_string().contains("another host"), "{error}");
    let clone = first.clone();
    drop(first);
    assert!(Store::open(dir.path(), StoreOptions::default()).is_err(), "a clone still holds it");
    drop(clone);
    open(dir.path());
}

#[test]
fn nobody_else_can_read_what_the_store_writes() {
    let base = tempfile::tempdir().unwrap();
    let dir = base.path().join("a/captures");
    let store = open(&dir);
    let id = store.new_id(1_782_504_843_000, None);
    let mut journal = store.journal(&fixture::meta(&id)).unwrap();
    journal.append(&JournalEntry::Sample(fixture::sample("s1", 0))).unwrap();
    store.save(&fixture::recording(&id, 2)).unwrap();
    let mut folders = vec![dir];
    let mut seen = 0;
    while let Some(folder) = folders.pop() {
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700, "{}", folder.display());
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600, "{}", path.display());
                seen += 1;
            }
        }
    }
    assert_eq!(seen, 3, "the lock, the journal, the recording");
}

#[test]
fn files_that_are_no_recordings_are_listed_with_their_reason() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let good = store.new_id(1_782_504_843_000, Some((1280, 720)));
    store.save(&fixture::recording(&good, 5)).unwrap();
    let text = fs::read_to_string(store.path_of(&good)).unwrap();
    let put = |name: &str, content: &[u8]| fs::write(dir.path().join(name), content).unwrap();
    put("a-foreign.json", b"{\"name\": \"left-pad\", \"version\": \"1.0.0\"}");
    put("b-empty.json", b"");
    put("c-binary.json", &[0xff; 4096]);
    put("d-array.json", b"[1,2,3]");
    put("e-future.json", text.replacen("\"schema_version\":1", "\"schema_version\":7", 1).as_bytes());
    put("f-renamed.json", text.as_bytes());
    put("g nice name.json", text.as_bytes());
    put("h-deep.json", "[".repeat(100_000).as_bytes());
    put("notes.txt", b"buy milk");
    fs::create_dir(dir.path().join("i-folder.json")).unwrap();
    symlink("/etc/passwd", dir.path().join("j-link.json")).unwrap();
    let huge = fs::File::create(dir.path().join("k-huge.json")).unwrap();
    huge.set_len(MAX_BYTES + 1).unwrap();

    let listing = store.list(&ListQuery::default()).unwrap();
    let reason = |name: &str| {
        let found = listing.entries.iter().find_map(|entry| match entry {
            Listed::Unreadable { name: file, reason, .. } if file == name => Some(reason.clone()),
            _ => None,
        });
        found.unwrap_or_else(|| panic!("{name} is not listed as unreadable"))
    };
    assert!(matches!(reason("a-foreign.json"), Unreadable::Foreign(_)));
    assert!(matches!(reason("c-binary.json"), Unreadable::Foreign(_)));
    assert!(matches!(reason("d-array.json"), Unreadable::Foreign(_)));
    assert_eq!(reason("e-future.json"), Unreadable::FutureSchema { version: 7 });
    assert_eq!(reason("f-renamed.json"), Unreadable::Renamed { holds: good.to_string() });
    assert_eq!(reason("g nice name.json"), Unreadable::ForeignName);
    assert_eq!(reason("i-folder.json"), Unreadable::NotAFile);
    assert_eq!(reason("j-link.json"), Unreadable::NotAFile);
    assert_eq!(reason("k-huge.json"), Unreadable::TooLarge { limit: MAX_BYTES });
    for name in ["b-empty.json", "h-deep.json", "notes.txt"] {
        assert!(!reason(name).to_string().is_empty());
    }
    let readable: Vec<_> = listing
        .entries
        .iter()
        .filter_map(|entry| match entry {
            Listed::Readable { meta, .. } => Some(meta.id.clone()),
            Listed::Unreadable { .. } => None,
        })
        .collect();
    assert_eq!(readable, [good]);
    for name in [
        "a-foreign",
        "b-empty",
        "c-binary",
        "d-array",
        "e-future",
        "f-renamed",
        "h-deep",
        "i-folder",
        "j-link",
        "k-huge",
    ] {
        let error = store.get(&name.parse().unwrap()).unwrap_err();
        assert!(matches!(error, GetError::Unreadable { .. }), "{name}: {error:?}");
    }
}

/// Wherever a copy was cut off: the list says so, and reading it says the same.
#[test]
fn a_recording_that_was_cut_off_anywhere_is_unreadable() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id(1_782_504_843_000, None);
    store.save(&fixture::recording(&id, 40)).unwrap();
    let whole = fs::read(store.path_of(&id)).unwrap();
    // Every byte near both ends and at the ends of objects, and a few hundred in between.
    let cuts = (1..whole.len() - 1)
        .filter(|&at| at < 64 || at + 64 > whole.len() || at % 997 == 0 || whole[at - 1] == b'}' && at % 7 == 0);
    for cut in cuts {
        fs::write(store.path_of(&id), &whole[..cut]).unwrap();
        let listing = store.list(&ListQuery::default()).unwrap();
        let Listed::Unreadable { reason, .. } = &listing.entries[0] else { panic!("cut at {cut} of {}", whole.len()) };
        assert_eq!(*reason, Unreadable::Truncated, "cut at {cut}");
        assert!(
            matches!(store.get(&id), Err(GetError::Unreadable { reason: Unreadable::Truncated, .. })),
            "cut at {cut}"
        );
    }
}

#[test]
fn a_recording_that_another_program_has_indented_is_still_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id(1_782_504_843_000, None);
    let capture = fixture::recording(&id, 5);
    store.save(&capture).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&fs::read(store.path_of(&id)).unwrap()).unwrap();
    fs::write(store.path_of(&id), serde_json::to_string_pretty(&value).unwrap()).unwrap();
    assert!(
        matches!(&store.list(&ListQuery::default()).unwrap().entries[0], Listed::Readable { meta, .. } if meta.id == id)
    );
    assert!(store.get(&id).unwrap().capture == capture, "the recording has changed");
}

#[test]
fn a_clock_that_was_set_back_does_not_bring_an_old_revision_back() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id(1_782_504_843_000, None);
    store.save(&fixture::recording(&id, 2)).unwrap();
    // The file is from before the step: its time is an hour ahead of the clock's.
    let ahead = SystemTime::now() + Duration::from_secs(3600);
    fs::File::options().append(true).open(store.path_of(&id)).unwrap().set_modified(ahead).unwrap();
    let mut revision = store.get(&id).unwrap().revision;
    for label in ["a", "b", "a", "b"] {
        let patch = MetaPatch { label: Some(label.to_owned()), ..MetaPatch::default() };
        let updated = store.update(&id, Some(&revision), patch).unwrap();
        assert!(updated.revision > revision);
        assert_eq!(store.get(&id).unwrap().revision, updated.revision);
        revision = updated.revision;
    }
}

#[test]
fn of_many_edits_of_one_revision_exactly_one_is_made() {
    const EDITORS: usize = 8;
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id(1_782_504_843_000, None);
    let mut revision = store.save(&fixture::recording(&id, 2)).unwrap();
    for _ in 0..20 {
        let barrier = Barrier::new(EDITORS);
        let edit = |n: usize| {
            barrier.wait();
            let patch = MetaPatch { label: Some(n.to_string()), ..MetaPatch::default() };
            store.update(&id, Some(&revision), patch)
        };
        let outcomes: Vec<_> = std::thread::scope(|scope| {
            let editors: Vec<_> = (0..EDITORS).map(|n| scope.spawn(move || edit(n))).collect();
            editors.into_iter().map(|editor| editor.join().unwrap()).collect()
        });
        let mut made = outcomes.iter().filter_map(|outcome| outcome.as_ref().ok());
        let won = made.next().unwrap();
        assert!(made.next().is_none(), "two edits of one revision were made");
        assert!(outcomes.iter().all(|outcome| match outcome {
            Ok(_) => true,
            Err(UpdateError::Conflict { current }) => *current == won.revision,
            Err(_) => false,
        }));
        assert_eq!(store.get(&id).unwrap().capture.meta.label, won.meta.label);
        revision = won.revision;
    }
}

#[test]
fn whoever_reads_while_a_recording_is_replaced_gets_a_whole_one() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let id = store.new_id(1_782_504_843_000, None);
    store.save(&fixture::recording(&id, 1)).unwrap();
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            for seconds in 2..60 {
                store.save(&fixture::recording(&id, seconds)).unwrap();
            }
        });
        while !writer.is_finished() {
            let capture = store.get(&id).unwrap().capture;
            assert_eq!(capture.samples.len(), capture.meta.sample_count);
            let listing = store.list(&ListQuery::default()).unwrap();
            assert!(matches!(&listing.entries[..], [Listed::Readable { .. }]), "{:?}", listing.entries);
        }
    });
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Cut anywhere, and with rubbish behind the cut: what was written before it is recovered, and the rest is counted.
    #[test]
    fn a_journal_that_was_torn_anywhere_gives_back_what_stands_before(
        part in 0.0..1.0_f64,
        rubbish in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let id: RecordingId = "2026-06-26T20-14-03Z".parse().unwrap();
        let path = dir.path().join(".journal/2026-06-26T20-14-03Z.ndjson");
        {
            let store = open(dir.path());
            let mut journal = store.journal(&fixture::meta(&id)).unwrap();
            let samples = (0..10).map(|n| JournalEntry::Sample(fixture::sample("s1", n)));
            let entries: Vec<_> = [JournalEntry::Session(fixture::session("s1"))].into_iter().chain(samples).collect();
            journal.append_all(&entries).unwrap();
        }
        let text = fs::read(&path).unwrap();
        let lines = |bytes: &[u8]| bytes.iter().filter(|&&byte| byte == b'\n').count();
        // Not before the end of the first line, which is on the disk before anything is measured.
        let header = text.iter().position(|&byte| byte == b'\n').unwrap() + 1;
        let cut = header + ((text.len() - header) as f64 * part) as usize;
        let torn = [&text[..cut], &rubbish].concat();
        fs::write(&path, &torn).unwrap();

        let store = open(dir.path());
        let recovered = store.recover();
        // The header and the session are no samples.
        let whole = lines(&text[..cut]).saturating_sub(2);
        prop_assert_eq!(recovered.len(), 1);
        prop_assert!(recovered[0].samples >= whole, "{} of {}", recovered[0].samples, whole);
        prop_assert!(recovered[0].lines_lost <= 1 + lines(&rubbish));
        if whole > 0 {
            let capture = store.get(&id).unwrap().capture;
            prop_assert!(capture.meta.interrupted);
            prop_assert_eq!(&capture.samples[0], &fixture::sample("s1", 0));
        }
    }
}
