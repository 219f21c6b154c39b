//! A host that is killed while a capture is armed: its next start offers the run, up to the last batch that was written.
//!
//! The host is this program, started again by itself as a process of its own: nothing less than a killed process shows that
//! locks are released and that what `append` promised is on the disk. It has no test harness, for it must know its
//! arguments.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod fixture;

use std::fs::{self, File};
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};

use punktfunk_recordings::{
    JournalEntry, ListQuery, Listed, Marker, MarkerKind, OpenError, RecordingId, Store, StoreOptions, VerdictKind,
};

/// What a process that was killed by SIGKILL reports.
const SIGKILL: i32 = 9;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match &arguments[1..] {
        [host, dir] if host == "host" => host_until_killed(Path::new(dir)),
        [saver, dir] if saver == "saver" => save_until_killed(Path::new(dir)),
        // What test runners ask for.
        [list, ..] if list == "--list" => say("a_killed_host_loses_nothing: test"),
        _ => {
            a_killed_host_offers_its_run_at_the_next_start();
            a_host_killed_between_saving_and_tidying_leaves_one_recording();
            a_host_killed_while_it_saves_leaves_the_old_recording_or_the_new_one();
            say("3 passed: a killed host loses nothing that was journalled or saved");
        }
    }
}

fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}").unwrap();
    out.flush().unwrap();
}

/// Arms, journals a batch for each line that it is sent, and answers each with the count of samples that are safe.
fn host_until_killed(dir: &Path) {
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let id = store.new_id(1_782_504_843_000, Some((1280, 720)));
    let mut journal = store.journal(&fixture::meta(&id)).unwrap();
    journal.append(&JournalEntry::Session(fixture::session("s1"))).unwrap();
    say(id.as_str());
    let mut safe = 0;
    for line in std::io::stdin().lines() {
        if line.unwrap() == "save" {
            store.save(&fixture::recording(&id, safe)).unwrap();
            say("saved");
            continue;
        }
        let slow = [1.0, 1.0, 8.0, 1.0];
        let batch: Vec<_> = (safe..safe + 5).map(|n| JournalEntry::Sample(fixture::slowed("s1", n, slow))).collect();
        journal.append_all(&batch).unwrap();
        safe += 5;
        say(&safe.to_string());
    }
}

/// Replaces one recording by ever longer ones, and says so after each.
fn save_until_killed(dir: &Path) {
    let store = Store::open(dir, StoreOptions::default()).unwrap();
    let id = store.new_id(1_782_504_843_000, None);
    say(id.as_str());
    for seconds in 1.. {
        store.save(&fixture::recording(&id, seconds)).unwrap();
        say(&seconds.to_string());
    }
}

/// A host in a process of its own.
struct Host {
    process: Child,
    answers: std::io::Lines<BufReader<ChildStdout>>,
    id: RecordingId,
}

impl Host {
    fn start(role: &str, dir: &Path) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .arg(role)
            .arg(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut answers = BufReader::new(process.stdout.take().unwrap()).lines();
        let id = answers.next().unwrap().unwrap().parse().unwrap();
        Self { process, answers, id }
    }

    fn ask(&mut self, line: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{line}").unwrap();
        self.answers.next().unwrap().unwrap()
    }

    fn kill(mut self) -> RecordingId {
        self.process.kill().unwrap();
        assert_eq!(self.process.wait().unwrap().signal(), Some(SIGKILL));
        self.id
    }
}

fn a_killed_host_offers_its_run_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start("host", dir.path());
    for batch in 1..=8 {
        assert_eq!(host.ask("more"), (batch * 5).to_string());
    }
    let refused = Store::open(dir.path(), StoreOptions::default()).unwrap_err();
    assert!(matches!(refused, OpenError::InUse { .. }), "a living host holds its directory: {refused:?}");
    let id = host.kill();
    // It was killed in the middle of a write, and while it was saving another recording.
    let journal = dir.path().join(".journal").join(format!("{id}.ndjson"));
    File::options().append(true).open(&journal).unwrap().write_all(b"{\"sample\":{\"t_ms\":41000,\"wind").unwrap();
    fs::write(dir.path().join(".writing-x1y2z3"), b"{\"schema_version\":1,").unwrap();

    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    assert_ne!(store.new_id(1_782_504_843_000, Some((1280, 720))), id, "its id is taken");
    let recovered = store.recover();
    assert_eq!(recovered.len(), 1);
    assert_eq!((&recovered[0].id, recovered[0].samples, recovered[0].lines_lost), (&id, 40, 1));
    let stored = store.get(&id).unwrap().capture;
    assert!(stored.meta.interrupted && !stored.meta.truncated);
    assert_eq!((stored.meta.duration_ms, stored.meta.sample_count, stored.meta.width), (40_000, 40, Some(1280)));
    let verdict = &stored.summary.verdict;
    assert_eq!((verdict.kind, verdict.stage.as_deref()), (VerdictKind::Stage, Some("encode")), "{}", verdict.text);
    assert_eq!(stored.provenance.verified, None, "nobody has proven the counts of a run without an end");
    let listing = store.list(&ListQuery::default()).unwrap();
    assert!(matches!(&listing.entries[..], [Listed::Readable { meta, .. }] if meta.interrupted));
    assert!(!dir.path().join(".writing-x1y2z3").exists(), "what was half written is gone");
    assert!(!journal.exists());
    assert!(store.recover().is_empty());
}

fn a_host_killed_between_saving_and_tidying_leaves_one_recording() {
    let dir = tempfile::tempdir().unwrap();
    let mut host = Host::start("host", dir.path());
    host.ask("more");
    assert_eq!(host.ask("save"), "saved");
    let id = host.kill();

    let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
    // A capture of this host, armed before the recovery of the old one.
    let marker = Marker { t_ms: 1, session_id: None, kind: MarkerKind::Operator, text: "now".to_owned() };
    let own = store.new_id(1_782_504_843_000, Some((1280, 720)));
    let mut journal = store.journal(&fixture::meta(&own)).unwrap();
    journal.append(&JournalEntry::Marker(marker)).unwrap();

    let recovered = store.recover();
    let of_killed: Vec<_> = recovered.iter().filter(|recovered| recovered.id == id).collect();
    assert!(matches!(of_killed[..], [one] if matches!(one.outcome, Ok(None))), "{recovered:?}");
    assert!(!store.get(&id).unwrap().capture.meta.interrupted, "what was saved whole is not replaced");
    assert_eq!(store.usage().unwrap().recordings, 1, "a capture that is armed is not left over: {recovered:?}");
    assert!(recovered.iter().all(|recovered| recovered.id != own));
}

/// The kill falls wherever it falls: into serialising, writing, synchronising, renaming.
fn a_host_killed_while_it_saves_leaves_the_old_recording_or_the_new_one() {
    for round in 0..20 {
        let dir = tempfile::tempdir().unwrap();
        let mut host = Host::start("saver", dir.path());
        let saved = host.answers.nth(round % 7).unwrap().unwrap();
        let id = host.kill();
        let store = Store::open(dir.path(), StoreOptions::default()).unwrap();
        let seconds: usize = saved.parse().unwrap();
        let found = store.get(&id).unwrap().capture;
        assert!(found.samples.len() >= seconds, "{} of {seconds} seconds that were saved", found.samples.len());
        assert_eq!(found.samples.len(), found.meta.sample_count);
        let left: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "the lock and the recording: {left:?}");
    }
}
