//! A server of somebody else's as a child process that does not outlive the test.

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{LazyLock, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{self, Id, WaitPidFlag};
use nix::unistd::{self, Pid};
use parking_lot::Mutex;

/// How long a server may take until it answers; a warm one takes a tenth of a second.
const PATIENCE: Duration = Duration::from_secs(60);
/// How often it is asked.
const POLL: Duration = Duration::from_millis(10);
/// Below Linux' ephemeral ports: a connection that somebody opens meanwhile does not take one of these.
const PORTS: std::ops::Range<u16> = 12_000..32_000;

/// A program with its arguments, and the process that runs it at the moment.
#[derive(Debug)]
pub(crate) struct Process {
    program: PathBuf,
    arguments: Vec<OsString>,
    log: PathBuf,
    child: Mutex<Option<Child>>,
}

impl Process {
    /// Starts a program and waits until `ready`; what it writes goes to the end of `log`.
    ///
    /// # Panics
    ///
    /// If it does not start, ends, or is not ready in time; with the end of its log.
    pub(crate) fn start(program: PathBuf, arguments: Vec<OsString>, log: PathBuf, ready: impl Fn() -> bool) -> Self {
        let process = Self { program, arguments, log, child: Mutex::new(None) };
        process.run(ready);
        process
    }

    /// Runs the program again, with the same arguments.
    pub(crate) fn run(&self, ready: impl Fn() -> bool) {
        self.kill();
        let log = OpenOptions::new().create(true).append(true).open(&self.log).expect("the log can be opened");
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be doubled")).stderr(log);
        let child = spawn(command).unwrap_or_else(|error| panic!("{} does not start: {error}", self.program.display()));
        *self.child.lock() = Some(child);
        wait_until(&format!("{} is ready", self.program.display()), || {
            let ended = self.child.lock().as_mut().and_then(|child| child.try_wait().expect("the child is ours"));
            if let Some(status) = ended {
                panic!("{} ended with {status}:\n{}", self.program.display(), self.log_tail());
            }
            ready()
        });
    }

    /// Everything that it has written.
    pub(crate) fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.log).expect("the log is there")).into_owned()
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }

    /// SIGKILL; returns when the process is gone. Nothing happens to one that does not run.
    pub(crate) fn kill(&self) {
        if let Some(mut child) = self.child.lock().take() {
            child.kill().expect("the child is ours");
            child.wait().expect("the child is ours");
        }
    }

    /// SIGCONT, after [`stop`](Self::stop).
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub(crate) fn go_on(&self) {
        signal::kill(self.running(), Signal::SIGCONT).expect("the child is ours");
    }

    /// Stops it by SIGSTOP. A signal is sent and not waited for, so its threads run on for a moment: they stand still when
    /// this returns.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub(crate) fn stop(&self) {
        let running = self.running();
        signal::kill(running, Signal::SIGSTOP).expect("the child is ours");
        wait::waitid(Id::Pid(running), WaitPidFlag::WSTOPPED).expect("the child is ours");
    }

    fn running(&self) -> Pid {
        pid(self.child.lock().as_ref().expect("the process runs").id())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits for something that happens in another process.
///
/// # Panics
///
/// After a minute.
pub(crate) fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited {PATIENCE:?} in vain: {what}");
        thread::sleep(POLL);
    }
}

/// A loopback port that nobody listens on. For servers that must be told theirs, and must find it again after a restart.
pub(crate) fn free_port() -> u16 {
    loop {
        // The standard library's only source of chance: a new hasher's keys.
        let random = RandomState::new().build_hasher().finish();
        let port = PORTS.start + (random % PORTS.len() as u64) as u16;
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Whether somebody listens on a loopback port.
pub(crate) fn listens(port: u16) -> bool {
    std::net::TcpStream::connect(("127.0.0.1", port)).is_ok()
}

/// The arguments of a program, from text.
pub(crate) fn arguments<'a>(arguments: impl IntoIterator<Item = &'a str>) -> Vec<OsString> {
    arguments.into_iter().map(OsString::from).collect()
}

/// `--name=path`.
pub(crate) fn path_argument(name: &str, path: &Path) -> OsString {
    let mut argument = OsString::from(format!("--{name}="));
    argument.push(path);
    argument
}

/// Starts a process that the kernel kills when this one ends, however it ends.
///
/// The kernel means the thread that started it, and a test's thread ends before the process does; so all are started by one
/// thread that stays.
fn spawn(mut command: Command) -> io::Result<Child> {
    type Order = (Command, mpsc::Sender<io::Result<Child>>);
    static STARTER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
        let (sender, orders) = mpsc::channel::<Order>();
        let start = move || {
            for (mut command, answer) in orders {
                answer.send(command.spawn()).expect("whoever ordered waits");
            }
        };
        thread::Builder::new().name("testkit-starter".to_owned()).spawn(start).expect("a thread can be started");
        sender
    });

    let parent = unistd::getpid();
    let die_with_parent = move || {
        prctl::set_pdeathsig(Signal::SIGKILL)?;
        // It may have ended before the line above.
        if unistd::getppid() == parent { Ok(()) } else { Err(io::ErrorKind::BrokenPipe.into()) }
    };
    // SAFETY: between fork and exec only async-signal-safe calls are allowed; prctl and getppid are bare system calls, and
    // neither arm allocates.
    unsafe { command.pre_exec(die_with_parent) };
    let (answer, child) = mpsc::channel();
    STARTER.send((command, answer)).expect("the thread that starts processes runs as long as this process");
    child.recv().expect("each order is answered")
}

fn pid(id: u32) -> Pid {
    Pid::from_raw(i32::try_from(id).expect("process ids are positive i32"))
}
