//! The command line: flags and what they start.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Args as _, Command, FromArgMatches as _, Subcommand as _};
use clap_complete::Shell;
use opentelemetry::trace::{Tracer, TracerProvider as _};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::{FilterExt as _, Targets, filter_fn};
use tracing_subscriber::layer::{Layer as _, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::config::{self, ConfigError, HostConfig, KEYS, Key, Shape};
use crate::{ctl, demo, host};

/// How long the end of the host waits for its last traces.
const TRACES_DEADLINE: Duration = Duration::from_secs(3);

/// Exit code of a wrong command line or configuration.
const MISUSE: u8 = 2;

/// Settings that `ctl` asks for: where the API is.
const FOR_CTL: &str = "mgmt.";

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Host(#[from] host::HostError),
    #[error(transparent)]
    Demo(#[from] demo::DemoError),
    #[error(transparent)]
    Ctl(#[from] ctl::CtlError),
    #[error("the async runtime could not be started: {0}")]
    Runtime(std::io::Error),
    #[error("standard output: {0}")]
    Output(std::io::Error),
}

/// Every setting as a flag.
fn settings(command: Command) -> Command {
    flags(command, KEYS.iter())
}

/// These settings as flags.
fn flags(command: Command, keys: impl Iterator<Item = &'static Key>) -> Command {
    keys.fold(command, |command, key| {
        let help = format!("{} [{}; default: {}]", key.help, key.variable(), key.default);
        let arg = Arg::new(key.path).long(key.flag()).help(help).help_heading("Settings");
        // A switch may stand alone.
        let arg = match key.shape {
            Shape::Switch => arg.num_args(0..=1).require_equals(true).default_missing_value("true").value_name("BOOL"),
            _ => arg.value_name("VALUE"),
        };
        command.arg(arg.action(ArgAction::Set))
    })
}

fn command() -> Command {
    let json =
        Arg::new("json").long("json").global(true).action(ArgAction::SetTrue).help("Print what the API says, as JSON");
    let ctl = ctl::Command::augment_subcommands(Command::new("ctl"))
        .about("Ask a running host: status, start, stop, watch, recordings, pair, console")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .arg(json);
    let completion = Command::new("completion")
        .about("Print the completion script of a shell")
        .arg(Arg::new("shell").required(true).value_parser(clap::value_parser!(Shell)));
    Command::new("punktfunk-host")
        .version(env!("CARGO_PKG_VERSION"))
        .about("A game-streaming host that says where the time of every frame went")
        .after_help(format!(
            "Settings also come from {}/config.toml and the environment; flags stand above both.",
            config::CONFIG_DIR
        ))
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(settings(Command::new("serve").about("Run the host in the foreground; logs to standard error")))
        .subcommand(settings(demo::Args::augment_args(
            Command::new("demo")
                .about("Run the host with one client and a fault, capture ten seconds, and say what was found"),
        )))
        .subcommand(
            flags(ctl, KEYS.iter().filter(|key| key.path.starts_with(FOR_CTL))).mut_args(|arg| arg.global(true)),
        )
        .subcommand(Command::new("openapi").about("Print the API's OpenAPI 3.1 document"))
        .subcommand(Command::new("metrics").about("Print the catalogue of metrics"))
        .subcommand(completion)
}

/// Runs the command that was given.
#[allow(clippy::print_stderr, reason = "the error of a command ends here")]
pub fn main() -> ExitCode {
    let matches = command().get_matches();
    match run(&matches) {
        Ok(code) => code,
        Err(failure) => {
            eprintln!("punktfunk-host: {failure}");
            ExitCode::from(if matches!(failure, Failure::Config(_)) { MISUSE } else { 1 })
        }
    }
}

fn run(matches: &ArgMatches) -> Result<ExitCode, Failure> {
    // clap requires one of the subcommands.
    let Some((name, matches)) = matches.subcommand() else { return Ok(ExitCode::from(MISUSE)) };
    match name {
        "openapi" => print_json(&punktfunk_mgmt::openapi()),
        "metrics" => print_json(&punktfunk_stats::catalogue::entries()),
        "completion" => {
            if let Some(shell) = matches.get_one::<Shell>("shell") {
                clap_complete::generate(*shell, &mut command(), "punktfunk-host", &mut std::io::stdout());
            }
            Ok(ExitCode::SUCCESS)
        }
        "ctl" => {
            let (config, directory) = configuration(matches)?;
            let asked = ctl::Command::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
            let json = matches.get_flag("json");
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::Runtime)?;
            Ok(runtime.block_on(ctl::run(asked, &config, &directory, json))?)
        }
        "demo" => {
            let (config, directory) = configuration(matches)?;
            let args = demo::Args::from_arg_matches(matches).unwrap_or_else(|error| error.exit());
            observed(true, &config.clone(), &directory.clone(), async {
                demo::run(args, config, directory).await.map_err(Failure::from)
            })
        }
        _ => {
            let (config, directory) = configuration(matches)?;
            observed(false, &config.clone(), &directory.clone(), async {
                host::serve(config, directory).await.map_err(Failure::from)
            })
        }
    }
}

fn runtime() -> Result<tokio::runtime::Runtime, Failure> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().map_err(Failure::Runtime)
}

/// The configuration from file, environment and flags, and the directory that it stands in.
fn configuration(matches: &ArgMatches) -> Result<(HostConfig, PathBuf), Failure> {
    let directory = config::directory(|name| std::env::var(name).ok())?;
    let flag =
        |key: &'static Key| matches.try_get_one::<String>(key.path).ok().flatten().map(|value| (key, value.clone()));
    let flags: Vec<_> = KEYS.iter().filter_map(flag).collect();
    // A variable that is no text is none of ours.
    let environment =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    Ok((config::load(&directory, environment, &flags)?, directory))
}

/// Runs a host with its log and, if they are to be exported, its traces.
fn observed(
    quiet: bool,
    config: &HostConfig,
    directory: &Path,
    host: impl Future<Output = Result<(), Failure>>,
) -> Result<ExitCode, Failure> {
    let (targets, identity) = host::telemetry(config, directory)?;
    let provider = punktfunk_otlp::tracer_provider(&targets, &identity).map_err(host::HostError::from)?;
    log(quiet, provider.as_ref().map(|provider| provider.tracer("punktfunk")));
    let outcome = runtime()?.block_on(host);
    if let Some(provider) = provider
        && let Err(error) = provider.shutdown_with_timeout(TRACES_DEADLINE)
    {
        tracing::warn!(%error, "the last traces were not taken");
    }
    outcome.map(|()| ExitCode::SUCCESS)
}

/// Logs to standard error; `RUST_LOG` says what. `quiet`: warnings and the performance log only. Our own spans go to
/// `tracer`, whatever is logged.
fn log<T>(quiet: bool, tracer: Option<T>)
where
    T: Tracer<Span: Send + Sync> + Send + Sync + 'static,
{
    let default = if quiet { "warn,punktfunk_stats=info" } else { "info" };
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(default));
    let log = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        // Spans are for traces; in front of every line of the log they would hide it.
        .with_filter(filter.and(filter_fn(|metadata| metadata.is_event())));
    let ours = Targets::new().with_target("punktfunk", tracing::Level::INFO);
    let traces = tracer.map(|tracer| tracing_opentelemetry::layer().with_tracer(tracer).with_filter(ours));
    tracing_subscriber::registry().with(log).with(traces).init();
}

fn print_json(value: &impl serde::Serialize) -> Result<ExitCode, Failure> {
    let mut text = serde_json::to_string_pretty(value).map_err(|error| Failure::Output(error.into()))?;
    text.push('\n');
    std::io::stdout().write_all(text.as_bytes()).map_err(Failure::Output)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_setting_is_in_the_readme() {
        let readme = include_str!("../../../README.md");
        for key in KEYS {
            let row = format!("| `{}` | `--{}` | `{}` | {} |", key.path, key.flag(), key.variable(), key.default);
            assert!(readme.contains(&row), "README.md lacks {row}");
        }
    }
}
