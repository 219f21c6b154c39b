//! The binary as the owner of a Moonlight client runs it: pair by `ctl`, stream, capture, revoke.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;
mod theirs;

use std::net::SocketAddr;
use std::path::Path;

use self::support::{Host, directories};
use self::theirs::moonlight::rtsp::{WISH, Wish};
use self::theirs::moonlight::{Identity, Moonlight};
use self::theirs::viewer::Viewer;

const ON: [(&str, &str); 2] = [("PUNKTFUNK_GAMESTREAM_ENABLED", "true"), ("PUNKTFUNK_GAMESTREAM_BIND", "127.0.0.1:0")];

fn serve(directory: &Path) -> (Host, SocketAddr) {
    let host = Host::start_with(directory, &ON);
    let line = host.log().wait_for("Moonlight clients find the host here");
    let address = line.split("127.0.0.1:").nth(1).unwrap();
    let port: String = address.chars().take_while(char::is_ascii_digit).collect();
    (host, SocketAddr::from(([127, 0, 0, 1], port.parse().unwrap())))
}

/// Lets a client in by `ctl pair`, under this name.
fn pair(host: &Host, address: SocketAddr, name: &str) -> Moonlight {
    let mut client = Moonlight::new(Identity::shared(0), address);
    let asking = std::thread::spawn(move || (client.pair("0815"), client));
    let requests = host.until(&["pair"], |requests| !requests.as_array().unwrap().is_empty());
    assert_eq!(requests[0]["protocol"], "gamestream");
    let id = requests[0]["id"].as_str().unwrap();
    let unanswered = host.ctl(&["pair", id]);
    assert!(!unanswered.status.success(), "the client shows a PIN: without it there is no answer");
    let told = String::from_utf8(unanswered.stderr).unwrap();
    assert!(told.contains("--pin PIN") && told.contains("422"), "{told}");
    assert!(host.ctl(&["pair", id, "--pin", "0815", "--name", name]).status.success());
    let (paired, client) = asking.join().unwrap();
    assert!(paired);
    client
}

#[test]
fn a_moonlight_client_pairs_by_ctl_streams_and_is_captured() {
    let (own, _) = directories();
    let (host, address) = serve(own.path());
    let client = pair(&host, address, "Living room");
    let mut viewer = Viewer::launch(&client, Wish { width: 320, height: 180, ..WISH }, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 15);
    host.json(&["start", "--label", "evening"]);
    let frames = viewer.pictures + 120;
    viewer.play_until(|viewer| viewer.pictures >= frames);
    let meta = host.json(&["stop"]);
    let recording = host.json(&["recordings", "show", meta["id"].as_str().unwrap()]);
    assert_eq!(recording["meta"]["kind"], "gamestream", "{}", recording["meta"]);
    let session = &recording["meta"]["sessions"][0];
    assert_eq!((session["client"].as_str(), session["protocol"].as_str()), (Some("Living room"), Some("gamestream")));
    assert_eq!((session["width"].as_u64(), session["height"].as_u64()), (Some(320), Some(180)));
    assert!(session["records"].as_u64().unwrap() >= 60, "{session}");
    assert_eq!(session["audio"], "silent");

    let clients = host.json(&["clients", "list"]);
    assert_eq!((clients[0]["protocol"].as_str(), clients[0]["connected"].as_bool()), (Some("gamestream"), Some(true)));
    assert!(host.ctl(&["clients", "revoke", clients[0]["id"].as_str().unwrap()]).status.success());
    assert!(viewer.until_over().is_some(), "it is told that it is over");
    assert!(client.launch("launch", "320x180x30").is_err());
}

#[test]
fn without_the_setting_there_is_no_gamestream_path() {
    let (own, _) = directories();
    let host = Host::start(own.path());
    assert!(!own.path().join("gamestream.pem").exists());
    assert!(!host.log().text().contains("Moonlight"));
}

#[test]
fn a_host_that_is_ended_while_a_moonlight_client_streams_ends_well() {
    let (own, _) = directories();
    let (host, address) = serve(own.path());
    let client = pair(&host, address, "Deck");
    let mut viewer = Viewer::launch(&client, Wish { width: 320, height: 180, ..WISH }, 0.0);
    viewer.play_until(|viewer| viewer.pictures >= 5);
    assert!(host.terminate());
    assert!(viewer.until_over().is_some());
}
