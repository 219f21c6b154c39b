//! A client from first contact to its goal: dials, receives, and dials again when contact is lost.

use std::error::Error;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossbeam_channel::Sender;

use crate::client::consume::{Consumed, Consumer};
use crate::client::receiver::Tally;
use crate::client::stream::{ClientStream, ClientStreamConfig, StreamOver, Summary};
use crate::message::ClientMessage;

/// Longest wait for a frame before progress is shown and the goal is looked at again.
const TICK: Duration = Duration::from_millis(100);

/// A granted stream: what the control connection says, and the way to talk back.
pub struct Granted {
    /// How to receive it.
    pub stream: ClientStreamConfig,
    /// Where requests and reports go. The stream ends at the host when every sender is gone or `Stop` was sent.
    pub control: Sender<ClientMessage>,
    /// The newest round-trip time that the control connection measured.
    pub rtt: Box<dyn Fn() -> Option<Duration> + Send>,
}

/// Gets a stream from a host. Each call is a new one, with new keys.
pub trait Dial {
    /// Why no stream was granted.
    type Error: Error;

    /// Connects and asks for a stream; may block.
    ///
    /// # Errors
    /// Whatever stands against it.
    fn dial(&mut self) -> Result<Granted, Self::Error>;
}

/// When a client is content, and how patient it is.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Frames to receive, over all streams.
    pub frames: Option<u64>,
    /// How long to receive, from the first frame on.
    pub duration: Option<Duration>,
    /// Times to dial again in a row after contact was lost; default 5.
    pub redials: u32,
    /// Wait before the first of them, doubled each time; default 250 ms.
    pub redial_after: Duration,
    /// Set from outside to end at once.
    pub interrupt: Arc<AtomicBool>,
}

impl Default for Goal {
    fn default() -> Self {
        Self {
            frames: None,
            duration: None,
            redials: 5,
            redial_after: Duration::from_millis(250),
            interrupt: Arc::new(AtomicBool::new(false)),
        }
    }
}

/// What a client can show while it runs.
#[derive(Debug, Clone, Copy)]
pub struct Progress {
    /// Totals of the stream that runs.
    pub tally: Tally,
    /// Frames received over all streams.
    pub frames: u64,
    /// Time since the first frame.
    pub elapsed: Duration,
    /// Streams so far, this one included.
    pub streams: usize,
}

/// Why a client's run ended short of its goal.
#[derive(Debug, thiserror::Error)]
pub enum RunError<E: Error> {
    /// The host gave no stream.
    #[error("no stream: {0}")]
    Dial(E),
    /// The socket could not be set up.
    #[error("the data socket: {0}")]
    Socket(#[source] io::Error),
    /// The dump could not be written.
    #[error("the dump: {0}")]
    Dump(#[source] io::Error),
    /// No frame came within the patience for silence, on any dial.
    #[error("the host granted a stream and sent nothing")]
    Silent,
    /// Contact was lost again and again.
    #[error("contact was lost and could not be had again")]
    LostContact,
}

/// What a run was.
#[derive(Debug, Default)]
pub struct RunReport {
    /// Each stream in turn.
    pub streams: Vec<Summary>,
    /// Frames received over all streams.
    pub frames: u64,
    /// Frames that were no repeats.
    pub new_frames: u64,
    /// From the first frame to the last.
    pub span: Duration,
}

impl RunReport {
    /// Frames a second that showed a new picture, from the first frame to the last.
    pub fn new_fps(&self) -> Option<f64> {
        // n frames span n − 1 intervals.
        (self.new_frames > 1 && !self.span.is_zero()).then(|| (self.new_frames - 1) as f64 / self.span.as_secs_f64())
    }
}

/// Runs a client until its goal. The report is filled as far as it came, also when the run fails.
///
/// # Errors
/// [`RunError`].
pub fn run<D: Dial>(
    dial: &mut D,
    goal: &Goal,
    consumer: &mut Consumer,
    mut progress: impl FnMut(&Progress),
    report: &mut RunReport,
) -> Result<(), RunError<D::Error>> {
    let mut run = Run { goal, consumer, report, first: None };
    let mut redials = 0;
    loop {
        let before = run.report.frames;
        let result = match dial.dial() {
            Ok(granted) => run.stream(granted, &mut progress)?,
            Err(error) if run.report.streams.is_empty() => return Err(RunError::Dial(error)),
            Err(error) => {
                tracing::info!(%error, "the host cannot be reached yet");
                StreamOver::LostContact
            }
        };
        if result == StreamOver::Stopped {
            return run.consumer.finish().map_err(RunError::Dump);
        }
        redials = if run.report.frames > before { 1 } else { redials + 1 };
        if redials > goal.redials {
            return Err(if run.report.frames == 0 { RunError::Silent } else { RunError::LostContact });
        }
        tracing::info!(redials, "contact was lost; dialling again");
        std::thread::sleep(goal.redial_after * 2_u32.saturating_pow(redials - 1));
    }
}

struct Run<'a> {
    goal: &'a Goal,
    consumer: &'a mut Consumer,
    report: &'a mut RunReport,
    first: Option<Instant>,
}

impl Run<'_> {
    fn stream<E: Error>(
        &mut self,
        granted: Granted,
        progress: &mut impl FnMut(&Progress),
    ) -> Result<StreamOver, RunError<E>> {
        let Granted { stream, control, rtt } = granted;
        let stream = ClientStream::start(stream, control.clone()).map_err(RunError::Socket)?;
        let result = self.receive(&stream, &rtt, progress);
        if control.try_send(ClientMessage::Stop).is_err() {
            tracing::debug!("the control connection did not take the goodbye; the host will notice the silence");
        }
        let mut summary = stream.stop();
        if matches!(result, Ok(StreamOver::Stopped)) {
            summary.over = StreamOver::Stopped;
        }
        let over = summary.over;
        self.report.streams.push(summary);
        result.map(|_| over)
    }

    fn receive<E: Error>(
        &mut self,
        stream: &ClientStream,
        rtt: &dyn Fn() -> Option<Duration>,
        progress: &mut impl FnMut(&Progress),
    ) -> Result<StreamOver, RunError<E>> {
        loop {
            if self.is_content() {
                return Ok(StreamOver::Stopped);
            }
            if let Some(rtt) = rtt() {
                stream.set_rtt(rtt);
            }
            match stream.next_frame(TICK) {
                Ok(Some(received)) => {
                    let now = Instant::now();
                    let first = *self.first.get_or_insert(now);
                    self.report.frames += 1;
                    self.report.new_frames += u64::from(!received.frame.header.repeat);
                    self.report.span = now.duration_since(first);
                    let decode = match self.consumer.take(&received).map_err(RunError::Dump)? {
                        Consumed::Taken => None,
                        Consumed::Decoded(took) => Some(took),
                        Consumed::Broken => {
                            stream.broke_off();
                            None
                        }
                    };
                    stream.done_with(received.frame, decode);
                }
                Ok(None) => {}
                Err(_over) => return Ok(StreamOver::LostContact),
            }
            progress(&Progress {
                tally: stream.tally(),
                frames: self.report.frames,
                elapsed: self.first.map_or(Duration::ZERO, |first| first.elapsed()),
                streams: self.report.streams.len() + 1,
            });
        }
    }

    fn is_content(&self) -> bool {
        let frames = self.goal.frames.is_some_and(|frames| self.report.frames >= frames);
        let time = self.goal.duration.zip(self.first).is_some_and(|(duration, first)| first.elapsed() >= duration);
        // Relaxed: a wish on its own.
        frames || time || self.goal.interrupt.load(Ordering::Relaxed)
    }
}
