//! A small file system of its own, to be filled and made read-only.

use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::process::Command;
use std::sync::Once;

use tempfile::TempDir;

/// Takes up all the room.
const BALLAST: &str = ".ballast";

/// A mounted tmpfs; unmounted when dropped.
#[derive(Debug)]
pub struct SmallDisk(TempDir);

impl SmallDisk {
    /// Mounts one of `size`. `None`, said loudly, for who may not mount; in continuous integration that is a failure.
    pub fn mount(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().expect("there is room for a directory");
        let options = format!("size={size},mode=700");
        let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(dir.path()).output();
        match mounted {
            Ok(output) if output.status.success() => return Some(Self(dir)),
            outcome => {
                let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
                assert!(!in_ci, "cannot mount a tmpfs, which these tests need: {outcome:?}");
            }
        }
        // Past the test harness, which keeps what a passing test prints to itself.
        static SAID: Once = Once::new();
        SAID.call_once(|| {
            let line = "\nNOT RUN: tests that fill a file system of their own, because only root may mount one\n";
            std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
        });
        None
    }

    /// Where it is mounted.
    pub fn path(&self) -> &Path {
        self.0.path()
    }

    /// Leaves no byte.
    pub fn fill(&self) {
        let mut ballast = File::create(self.path().join(BALLAST)).expect("an empty file needs no room");
        for chunk in [64 << 10, 1 << 10, 1] {
            while ballast.write_all(&vec![0; chunk]).is_ok() {}
        }
    }

    /// Makes room again.
    pub fn empty(&self) {
        fs::remove_file(self.path().join(BALLAST)).expect("it was filled before");
    }

    /// Remounts it read-only, or back.
    pub fn read_only(&self, read_only: bool) {
        let option = if read_only { "remount,ro" } else { "remount,rw" };
        let mounted = Command::new("mount").args(["-o", option]).arg(self.path()).status();
        assert!(mounted.is_ok_and(|status| status.success()), "the tmpfs could not be remounted");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: a test that failed may still have files open.
        let unmounted = Command::new("umount").arg("-l").arg(self.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking(), "the tmpfs stays mounted");
    }
}
