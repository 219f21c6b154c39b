//! The host's binary: configuration, wiring, and the commands.

mod cli;
mod config;
mod ctl;
mod demo;
mod host;
mod pairing;
mod render;
mod sessions;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
