//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// A headless client of a punktfunk host: connects, receives, repairs, reports, dumps.
///
/// Exit codes: 0 goal reached (or interrupted), 1 a local failure (a file, a socket, the decoder), 2 wrong usage,
/// 3 the host gave no stream (not reachable, not paired, refused), 4 contact lost and not had again, 5 pairing refused.
#[derive(Debug, Parser)]
#[command(version, about, verbatim_doc_comment)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
    /// Where the client's identity and known hosts are kept; default: `~/.config/punktfunk`.
    #[arg(long, env = "PUNKTFUNK_CONFIG_DIR", global = true)]
    pub config_dir: Option<PathBuf>,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Streams from a host that this client is paired with.
    Connect(Connect),
    /// Pairs with a host, by the PIN that it shows.
    Pair(Pair),
}

/// Streams from a host.
#[derive(Debug, Clone, Args)]
pub struct Connect {
    /// The host's control address.
    #[arg(value_name = "HOST:PORT")]
    pub host: String,
    /// Stop after this many frames.
    #[arg(long)]
    pub frames: Option<u64>,
    /// Stop this many seconds after the first frame.
    #[arg(long, value_parser = seconds)]
    pub seconds: Option<f64>,
    /// Picture width to ask for, pixels.
    #[arg(long, default_value_t = 1280)]
    pub width: u32,
    /// Picture height to ask for, pixels.
    #[arg(long, default_value_t = 720)]
    pub height: u32,
    /// Frames a second to ask for.
    #[arg(long, default_value_t = 60)]
    pub fps: u32,
    /// Bit rate to ask for, kb/s.
    #[arg(long, default_value_t = 10_000)]
    pub bitrate_kbps: u32,
    /// Drop this share of the packets on arrival, 0–1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub loss: f64,
    /// Seed of `--loss`: the same packets are dropped for the same seed.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Write the received access units to this file.
    #[arg(long, value_name = "FILE.h264")]
    pub dump: Option<PathBuf>,
    /// Decode what is received, and report how long that takes.
    #[arg(long)]
    pub decode: bool,
    /// Print the report as JSON on standard output.
    #[arg(long)]
    pub json: bool,
}

/// Pairs with a host.
#[derive(Debug, Clone, Args)]
pub struct Pair {
    /// The host's control address.
    #[arg(value_name = "HOST:PORT")]
    pub host: String,
    /// The PIN that the host shows; asked for if it is not given.
    #[arg(long)]
    pub pin: Option<String>,
    /// What the host should call this client.
    #[arg(long, default_value = "probe")]
    pub name: String,
}

fn share(text: &str) -> Result<f64, String> {
    text.parse().ok().filter(|share| (0.0..=1.0).contains(share)).ok_or_else(|| "a share is from 0 to 1".to_owned())
}

fn seconds(text: &str) -> Result<f64, String> {
    let valid = |seconds: &f64| (0.001..=31_536_000.0).contains(seconds);
    text.parse().ok().filter(valid).ok_or_else(|| "seconds are from 0.001 to a year".to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn shares_and_seconds_out_of_range_are_refused() {
        for bad in ["-0.1", "1.1", "NaN", "x", "inf"] {
            assert!(share(bad).is_err(), "{bad}");
        }
        assert!(seconds("0").is_err() && seconds("inf").is_err() && seconds("-1").is_err());
        assert_eq!((share("0.03"), seconds("10")), (Ok(0.03), Ok(10.0)));
    }
}
