//! Where the servers that `scripts/tools` builds are. That script alone knows what they are built from.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Programs that are built together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolSet {
    /// `prometheus`, `promtool` and `otelcol`: what `make test` runs against.
    Prometheus,
    /// `thanos`: what `make test-cluster` runs against.
    Thanos,
}

impl ToolSet {
    /// Its name for `scripts/tools`.
    fn name(self) -> &'static str {
        match self {
            Self::Prometheus => "prometheus",
            Self::Thanos => "thanos",
        }
    }
}

/// The directory with the programs of a set. `None`, said once and loudly, where they are not built: the test then returns.
///
/// # Panics
///
/// Under `CI=true` if they are not built: there no test is left out.
pub fn tools(set: ToolSet) -> Option<PathBuf> {
    static FOUND: [OnceLock<Option<PathBuf>>; 2] = [const { OnceLock::new() }; 2];
    FOUND[set as usize].get_or_init(|| find(set)).clone()
}

/// `promtool`, to be given its arguments; `None` as for [`tools`].
pub fn promtool() -> Option<Command> {
    Some(Command::new(tools(ToolSet::Prometheus)?.join("promtool")))
}

/// One program of a set.
///
/// # Panics
///
/// If the set is not built: the test did not ask [`tools`] first.
pub(crate) fn tool(set: ToolSet, program: &str) -> PathBuf {
    let directory = tools(set).unwrap_or_else(|| panic!("{program} is not built: ask testkit::tools() first"));
    directory.join(program)
}

/// A file below `deploy/`.
pub(crate) fn deployed(path: &str) -> PathBuf {
    workspace().join("deploy").join(path)
}

fn workspace() -> &'static Path {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this crate is in crates/");
    crates.parent().expect("crates/ is in the workspace")
}

fn find(set: ToolSet) -> Option<PathBuf> {
    let script = workspace().join("scripts/tools");
    let output = Command::new(script).args(["--path", set.name()]).output().expect("scripts/tools runs");
    if output.status.success() {
        let path = String::from_utf8(output.stdout).expect("the path of the cache is UTF-8");
        return Some(PathBuf::from(path.trim_end()));
    }
    let reason = String::from_utf8_lossy(&output.stderr);
    let in_ci = std::env::var_os("CI").is_some_and(|ci| ci == "true");
    assert!(!in_ci, "{reason}");
    // Past the test harness, which keeps what a passing test prints to itself.
    let line = format!("\nNOT RUN: tests against real servers ({}): {}\n", set.name(), reason.trim_end());
    std::io::stderr().write_all(line.as_bytes()).expect("standard error is open");
    None
}
