//! `pair`: first contact with a host, at a terminal.

use std::io::{BufRead as _, Write as _};
use std::process::ExitCode;

use punktfunk_native::identity::Identity;
use punktfunk_native::pairing::{Ask, KnownHosts, PairError, Pin, pair as pair_with};

use crate::args::Pair;
use crate::run::{LOCAL, NO_STREAM, NOT_PAIRED, fail};

/// Pairs with the host and remembers its certificate.
pub fn pair(args: &Pair, identity: &Identity, mut known: KnownHosts) -> ExitCode {
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error.to_string(), LOCAL),
    };
    let paired = runtime
        .block_on(async { pair_with(&args.host, identity, &args.name, |ask| answer(ask, args.pin.as_deref())).await });
    match paired {
        Ok(fingerprint) => match known.remember(&args.host, fingerprint) {
            Ok(()) => {
                say(&format!("paired with {}; its fingerprint is {fingerprint}", args.host));
                ExitCode::SUCCESS
            }
            Err(error) => fail(&error.to_string(), LOCAL),
        },
        Err(error @ (PairError::Dial(_) | PairError::Connection(_))) => fail(&error.to_string(), NO_STREAM),
        Err(error) => fail(&error.to_string(), NOT_PAIRED),
    }
}

/// Asks whoever sits there. A PIN from the command line is tried once.
fn answer(ask: Ask, given: Option<&str>) -> Option<Pin> {
    match ask {
        Ask::Waiting { request } => {
            say(&format!(
                "the host lists this client as {request}; let it in there: punktfunk-host ctl pair {request}"
            ));
            None
        }
        Ask::Pin { attempts_left: None } if given.is_some() => given?.parse().ok(),
        Ask::Pin { attempts_left: Some(_) } if given.is_some() => None,
        Ask::Pin { attempts_left } => {
            if let Some(left) = attempts_left {
                say(&format!("that was not it; {left} more attempts"));
            }
            loop {
                let line = prompt("PIN shown at the host: ")?;
                match line.trim().parse() {
                    Ok(pin) => return Some(pin),
                    Err(error) => say(&format!("{error}")),
                }
            }
        }
    }
}

#[expect(clippy::print_stdout, reason = "talks to whoever runs the probe")]
fn say(text: &str) {
    println!("{text}");
}

/// One line from the terminal; `None` when there is no more.
#[expect(clippy::print_stdout, reason = "talks to whoever runs the probe")]
fn prompt(text: &str) -> Option<String> {
    print!("{text}");
    std::io::stdout().flush().ok()?;
    let mut line = String::new();
    let read = std::io::stdin().lock().read_line(&mut line).ok()?;
    (read > 0).then_some(line)
}
