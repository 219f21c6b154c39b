//! Streams from a host that a [`Dial`] leads to, shows how it goes, and reports.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use punktfunk_native::client::{Consumer, Dial, Goal, ReceiverConfig, RunError, RunReport, SeededLoss, run};

use crate::args::Connect;
use crate::report::Report;
use crate::show::Show;

/// A local failure: a file, a socket, the decoder.
pub const LOCAL: u8 = 1;
/// The host gave no stream.
pub const NO_STREAM: u8 = 3;
/// Contact was lost and not had again.
pub const LOST_CONTACT: u8 = 4;
/// The host did not pair.
pub const NOT_PAIRED: u8 = 5;

/// How the command line wants the stream received.
pub fn receiver(args: &Connect) -> ReceiverConfig {
    ReceiverConfig {
        loss: (args.loss > 0.0).then(|| SeededLoss::new(args.loss, args.seed)),
        ..ReceiverConfig::default()
    }
}

/// Streams until the goal of `args` or the interrupt. The report goes to `out`, everything else to standard error.
pub fn connect<D: Dial>(args: &Connect, dial: &mut D, interrupt: Arc<AtomicBool>, out: &mut impl Write) -> ExitCode {
    let goal =
        Goal { frames: args.frames, duration: args.seconds.map(Duration::from_secs_f64), interrupt, ..Goal::default() };
    let mut consumer = match open(args) {
        Ok(consumer) => consumer,
        Err(error) => return fail(&error, LOCAL),
    };
    let (mut show, mut report) = (Show::new(&goal, &args.host), RunReport::default());
    let result = run(dial, &goal, &mut consumer, |progress| show.update(progress), &mut report);
    show.finish();
    let error = result.as_ref().err().map(ToString::to_string);
    let report = Report::new(&report, consumer.tally(), error);
    let printed = if args.json { json(&report, out) } else { out.write_all(report.text().as_bytes()) };
    if let Err(error) = printed.and_then(|()| out.flush()) {
        return fail(&format!("the report could not be printed: {error}"), LOCAL);
    }
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error @ RunError::Dial(_)) => fail(&error.to_string(), NO_STREAM),
        Err(error @ (RunError::Silent | RunError::LostContact)) => fail(&error.to_string(), LOST_CONTACT),
        Err(error @ (RunError::Socket(_) | RunError::Dump(_))) => fail(&error.to_string(), LOCAL),
    }
}

fn open(args: &Connect) -> Result<Consumer, String> {
    let dump = match &args.dump {
        None => None,
        Some(path) => {
            let file = File::create(path).map_err(|error| format!("{}: {error}", path.display()))?;
            Some(Box::new(BufWriter::new(file)) as Box<dyn Write + Send>)
        }
    };
    Consumer::new(dump, args.decode).map_err(|error| error.to_string())
}

fn json(report: &Report<'_>, out: &mut impl Write) -> io::Result<()> {
    serde_json::to_writer(&mut *out, report)?;
    out.write_all(b"\n")
}

/// Says what went wrong, and gives the exit code that says it to programs.
#[expect(clippy::print_stderr, reason = "the last word to whoever runs the probe")]
pub fn fail(error: &str, code: u8) -> ExitCode {
    eprintln!("punktfunk-probe: {error}");
    ExitCode::from(code)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::net::UdpSocket;
    use std::time::Instant;

    use clap::Parser;
    use crossbeam_channel::unbounded;
    use punktfunk_media::decode::Decoder;
    use punktfunk_media::{Delays, OpenH264, Synthetic, VideoMode};
    use punktfunk_native::DataKeys;
    use punktfunk_native::client::{ClientStreamConfig, Granted};
    use punktfunk_native::stream::{Stream, StreamConfig, StreamParts};
    use punktfunk_stats::{Recorder, RecorderConfig};

    use super::*;
    use crate::args::{Cli, Command};

    /// A host in this process.
    struct Here {
        recorder: Recorder,
        streams: Vec<Stream>,
    }

    impl Dial for Here {
        type Error = Infallible;

        fn dial(&mut self) -> Result<Granted, Infallible> {
            let (mode, keys) = (VideoMode::new(320, 180, 60).unwrap(), DataKeys::from_exported(&[6; DataKeys::BYTES]));
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let stream = ClientStreamConfig::new(1, keys.clone(), socket.local_addr().unwrap());
            let (control, messages) = unbounded();
            let parts = StreamParts {
                source: Box::new(Synthetic::new(mode).unwrap()),
                encoder: Box::new(OpenH264::new(mode, 2_000_000).unwrap()),
                socket,
                keys,
                delays: Delays::none(),
                delays_from: Instant::now(),
                messages,
            };
            self.streams.push(Stream::start(StreamConfig::new(1, 2_000_000, "test"), parts, &self.recorder).unwrap());
            Ok(Granted { stream, control, rtt: Box::new(|| None) })
        }
    }

    fn args(options: &[&str]) -> Connect {
        let line = ["probe", "connect", "here:1"].iter().chain(options);
        match Cli::try_parse_from(line).unwrap().command {
            Command::Connect(args) => args,
            Command::Pair(_) => unreachable!("the command is connect"),
        }
    }

    fn streamed(options: &[&str]) -> (ExitCode, String) {
        let recorder =
            Recorder::spawn(RecorderConfig { host_id: "test".to_owned(), ..RecorderConfig::default() }).unwrap();
        let (mut here, mut out) = (Here { recorder, streams: Vec::new() }, Vec::new());
        let code = connect(&args(options), &mut here, Arc::default(), &mut out);
        for stream in here.streams {
            stream.join();
        }
        (code, String::from_utf8(out).unwrap())
    }

    #[test]
    fn a_dump_holds_every_frame_and_decodes_from_the_start() {
        let dir = tempfile::tempdir().unwrap();
        let dump = dir.path().join("dump.h264");
        let (code, text) = streamed(&["--frames", "30", "--json", "--decode", "--dump", dump.to_str().unwrap()]);
        assert_eq!(code, ExitCode::SUCCESS, "{text}");
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(report["consumer"]["pictures"], 30);
        assert_eq!(report["consumer"]["picture_size"], serde_json::json!([320, 180]));
        assert_eq!(report["streams"][0]["over"], "stopped");
        let bytes = std::fs::read(&dump).unwrap();
        assert_eq!(report["consumer"]["dumped_bytes"], bytes.len());
        assert!(Decoder::new().unwrap().decode(&bytes).is_ok());
    }

    #[test]
    fn people_get_a_table() {
        let (code, text) = streamed(&["--seconds", "0.2"]);
        assert_eq!(code, ExitCode::SUCCESS);
        assert!(text.starts_with("frames") && text.contains("packets"), "{text}");
    }

    #[test]
    fn a_dump_that_cannot_be_made_is_a_local_failure_and_named() {
        let (code, _) = streamed(&["--frames", "1", "--dump", "/nonexistent/dump.h264"]);
        assert_eq!(code, ExitCode::from(LOCAL));
        let error = open(&args(&["--dump", "/nonexistent/dump.h264"])).unwrap_err();
        assert!(error.contains("/nonexistent/dump.h264"), "{error}");
    }
}
