//! What a process logs, for tests that count the lines. There is one log a process: such a test is alone in its binary.

use std::fmt::Write as _;
use std::sync::Arc;

use parking_lot::Mutex;
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

/// Lines of one crate, `LEVEL message=… field=…`.
#[derive(Debug, Clone)]
pub struct Log {
    target: &'static str,
    lines: Arc<Mutex<Vec<String>>>,
}

struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn std::fmt::Debug) {
        write!(self.0, " {}={value:?}", field.name()).expect("a string takes everything");
    }
}

impl<S: Subscriber> Layer<S> for Log {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        if event.metadata().target().starts_with(self.target) {
            let mut line = Line(event.metadata().level().to_string());
            event.record(&mut line);
            self.lines.lock().push(line.0);
        }
    }
}

impl Log {
    /// Takes down what the crate of this name logs from now on.
    ///
    /// # Panics
    /// When the process has a log already.
    pub fn of(target: &'static str) -> Self {
        let log = Self { target, lines: Arc::default() };
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(log.clone()))
            .expect("a test that looks at the log is alone in its binary");
        log
    }

    /// What was logged since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.lines.lock())
    }
}
