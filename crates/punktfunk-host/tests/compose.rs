//! The client of compose's demo profile: its script, with the two binaries, against a host.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use self::support::{Host, directories, probe};

#[test]
fn the_demo_pairs_streams_and_captures_again_and_again() {
    let (own, theirs) = directories();
    let host = Host::start(own.path());
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../deploy/compose/demo.sh");
    let binaries = probe().parent().unwrap().to_owned();
    let path = std::env::join_paths(
        [binaries].into_iter().chain(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default())),
    );
    // As in its container: the operator's directory is the host's, and a process group of its own ends with it.
    let demo = Command::new("sh")
        .arg(script)
        .env("PATH", path.unwrap())
        .envs([("PUNKTFUNK_CONFIG_DIR", own.path()), ("DEMO_DIRECTORY", theirs.path())])
        .envs([("PUNKTFUNK_MGMT_BIND", host.management.as_str()), ("DEMO_HOST", &host.native), ("DEMO_SECONDS", "2")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .unwrap();
    let group = Group(demo);
    let recordings = host.until(&["recordings", "list"], |found| found["recordings"].as_array().unwrap().len() >= 2);
    drop(group);
    for recording in recordings["recordings"].as_array().unwrap() {
        assert_eq!(
            (&recording["meta"]["label"], &recording["meta"]["client"]),
            (&"demo".into(), &"demo".into()),
            "{recording}"
        );
        assert!(recording["meta"]["sample_count"].as_u64().unwrap() >= 2, "{recording}");
    }
    assert!(host.terminate());
}

/// A script with its children; ends when dropped.
struct Group(std::process::Child);

impl Drop for Group {
    fn drop(&mut self) {
        Command::new("kill").args(["-TERM", "--", &format!("-{}", self.0.id())]).status().unwrap();
        self.0.wait().unwrap();
    }
}
