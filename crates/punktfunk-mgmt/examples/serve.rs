//! A host without video, to try the API by hand or to let a fuzzer at it: one stream, one recording, one client, one that
//! asks to be paired. Everything is gone when it ends.
//!
//! ```sh
//! cargo run --release -p punktfunk-mgmt --example serve -- 127.0.0.1:48000
//! ```
//!
//! It prints the operator's token and the address to stderr and ends on Ctrl-C.
#![allow(clippy::unwrap_used, clippy::print_stderr, reason = "an example ends on any error, and says where it listens")]

use std::net::SocketAddr;
use std::time::Duration;

use punktfunk_captures::StartRequest;
use punktfunk_mgmt::{RequestLimits, ServerConfig, router, serve};

#[path = "../tests/support/mod.rs"]
mod support;

#[tokio::main]
async fn main() {
    let bind = std::env::args().nth(1).map_or(SocketAddr::from(([127, 0, 0, 1], 0)), |text| text.parse().unwrap());
    let directory = tempfile::tempdir().unwrap();
    let (state, recorder, _) = support::host(directory.path(), RequestLimits::default(), Duration::from_secs(1));
    let _player = support::Player::start(&recorder);

    let captures = state.captures.clone();
    let mut changes = captures.subscribe();
    captures.start(StartRequest { label: Some("seed".into()), ..StartRequest::default() }).unwrap();
    while captures.status().sample_count < 3 {
        changes.changed().await.unwrap();
    }
    let seed = captures.stop().unwrap().unwrap();

    let config = ServerConfig { requests: state.requests.clone(), ..ServerConfig::new(bind) };
    let shutdown = state.shutdown.clone();
    let token = state.tokens.operator().reveal().to_owned();
    let server = serve(config, router(state), shutdown.clone()).await.unwrap();
    eprintln!("token {token}\nrecording {}\nlistening on http://{}", seed.id, server.address());
    tokio::signal::ctrl_c().await.unwrap();
    shutdown.trigger();
    server.ended().await;
}
