//! The host's binary: configuration, wiring, and the commands.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod backend;
mod cli;
mod config;
mod ctl;
mod demo;
mod gamestream;
mod host;
mod media;
mod pairing;
mod render;
mod sessions;
mod tls;

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main()
}
