//! What this process takes of the system's memory.

/// A figure of `/proc/self/status`, kB: `VmRSS` is what is resident now, `VmHWM` the most that was so far.
///
/// # Panics
///
/// If the system tells no such figure.
pub fn memory_kb(figure: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux tells a process about itself");
    let line = status.lines().find(|line| line.split(':').next() == Some(figure));
    let value = line.and_then(|line| line.split_whitespace().nth(1)).expect("the figure is a known one");
    value.parse().expect("it is a number of kB")
}
