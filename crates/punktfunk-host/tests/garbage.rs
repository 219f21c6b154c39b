//! Strangers at the host's UDP ports while a client streams: noise, genuine datagrams said again, cut short or altered,
//! from the client's own address and from others.
//!
//! The client is led over a relay on another loopback address, which hears both directions and can speak as either end.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod support;

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::Value;

use self::support::{Client, Host, PATIENCE, directories, outcomes};

/// Genuine datagrams that are kept of each direction: the handshake and some seconds of streaming.
const KEPT: usize = 400;

/// Datagrams of pure noise to one port from one address.
const NOISE: usize = 600;

/// Sent in one go, and the rest after it: 4000 datagrams a second, so that noise is all that they are, and not a flood
/// in which the client's own drown.
const BURST: (usize, Duration) = (20, Duration::from_millis(5));

/// Lines that a host may write about thousands of datagrams.
const LINES: usize = 20;

/// Stands between a client, which takes it for the host, and a port of the host, which takes it for the client.
struct Relay {
    to_host: UdpSocket,
    to_client: UdpSocket,
    heard: Arc<Heard>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Heard {
    from_client: Mutex<Vec<Vec<u8>>>,
    from_host: Mutex<Vec<Vec<u8>>>,
    client: Mutex<Option<SocketAddr>>,
    over: AtomicBool,
}

impl Relay {
    fn before(host_port: u16) -> Self {
        let to_host = UdpSocket::bind("127.0.0.1:0").unwrap();
        to_host.connect(("127.0.0.1", host_port)).unwrap();
        let to_client = UdpSocket::bind(("127.0.0.2", host_port)).unwrap();
        let heard = Arc::new(Heard::default());
        let mut relay = Self { to_host, to_client, heard, threads: Vec::new() };
        relay.pass_on(&relay.to_client.try_clone().unwrap(), &relay.to_host.try_clone().unwrap(), true);
        relay.pass_on(&relay.to_host.try_clone().unwrap(), &relay.to_client.try_clone().unwrap(), false);
        relay
    }

    fn pass_on(&mut self, from: &UdpSocket, to: &UdpSocket, is_client: bool) {
        let (from, to, heard) = (from.try_clone().unwrap(), to.try_clone().unwrap(), Arc::clone(&self.heard));
        from.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        self.threads.push(std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while !heard.over.load(Ordering::Relaxed) {
                // Nothing within the time-out, or an ICMP answer: an end that is not there yet, or not any more.
                let Ok((length, sender)) = from.recv_from(&mut buffer) else { continue };
                let datagram = &buffer[..length];
                let sent = if is_client {
                    *heard.client.lock() = Some(sender);
                    to.send(datagram).is_ok()
                } else {
                    let client = *heard.client.lock();
                    client.is_some_and(|client| to.send_to(datagram, client).is_ok())
                };
                let mut kept = if is_client { heard.from_client.lock() } else { heard.from_host.lock() };
                if sent && kept.len() < KEPT {
                    kept.push(datagram.to_vec());
                }
            }
        }));
    }

    fn heard_of_client(&self) -> Vec<Vec<u8>> {
        self.heard.from_client.lock().clone()
    }

    fn heard_of_host(&self) -> Vec<Vec<u8>> {
        self.heard.from_host.lock().clone()
    }

    /// Says this to the client as the host.
    fn as_host(&self, datagram: &[u8]) {
        let client = self.heard.client.lock().unwrap();
        self.to_client.send_to(datagram, client).unwrap();
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.heard.over.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            thread.join().unwrap();
        }
    }
}

/// Every UDP port of a process, as the kernel knows them.
fn udp_ports(process: u32) -> BTreeSet<u16> {
    let descriptors = std::fs::read_dir(format!("/proc/{process}/fd")).unwrap();
    // A descriptor may be closed while this looks.
    let links = descriptors.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    let own: BTreeSet<String> = links.map(|link| link.to_string_lossy().into_owned()).collect();
    let tables = ["udp", "udp6"].map(|table| std::fs::read_to_string(format!("/proc/{process}/net/{table}")).unwrap());
    let sockets = tables.iter().flat_map(|table| table.lines().skip(1)).filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = u16::from_str_radix(fields[1].rsplit(':').next().unwrap(), 16).unwrap();
        own.contains(&format!("socket:[{}]", fields[9])).then_some(port)
    });
    sockets.collect()
}

/// Noise, and each genuine datagram whole, cut short, with one bit altered, and with something behind it.
fn badly_said(genuine: &[Vec<u8>], seed: u64) -> Vec<Vec<u8>> {
    let mut rng = rand_pcg::Pcg64Mcg::seed_from_u64(seed);
    let mut noise = |length: usize| (0..length).map(|_| rng.random::<u8>()).collect::<Vec<u8>>();
    let mut all: Vec<Vec<u8>> = (0..NOISE).map(|i| noise(i * 1472 / NOISE)).collect();
    for datagram in genuine {
        all.push(datagram.clone());
        all.push([datagram.as_slice(), &noise(7)].concat());
    }
    for datagram in genuine {
        if datagram.is_empty() {
            continue;
        }
        all.push(datagram[..rng.random_range(0..datagram.len())].to_vec());
        let mut altered = datagram.clone();
        altered[rng.random_range(0..datagram.len())] ^= 1 << rng.random_range(0..8);
        all.push(altered);
    }
    if let Some(shortest) = genuine.iter().min_by_key(|datagram| datagram.len()) {
        all.extend((0..shortest.len()).map(|length| shortest[..length].to_vec()));
    }
    all
}

fn slowly(datagrams: &[Vec<u8>], send: impl Fn(&[u8])) -> u64 {
    for burst in datagrams.chunks(BURST.0) {
        burst.iter().for_each(|datagram| send(datagram));
        std::thread::sleep(BURST.1);
    }
    datagrams.len() as u64
}

#[test]
fn garbage_replays_and_fragments_on_every_udp_port_disturb_neither_the_stream_nor_the_log() {
    let (own, theirs) = directories();
    let mut host = Host::start(own.path());
    let direct = host.native.clone();
    let control_port = direct.parse::<SocketAddr>().unwrap().port();
    assert_eq!(udp_ports(host.process.id()), BTreeSet::from([control_port]));
    let control = Relay::before(control_port);
    host.native = format!("127.0.0.2:{control_port}");
    host.pair(theirs.path());
    let client = Client::connect(&host, theirs.path(), &["--bitrate-kbps", "1500"]);

    // The client calls on the data port until the host answers, so the relay need not be there at once.
    let deadline = Instant::now() + PATIENCE;
    let data_port = loop {
        if let Some(port) = udp_ports(host.process.id()).into_iter().find(|&port| port != control_port) {
            break port;
        }
        assert!(Instant::now() < deadline, "the host opens no data port");
    };
    let data = Relay::before(data_port);
    host.json(&["start"]);
    let until_samples = |count: u64| {
        host.until(&["status"], |status| status["sample_count"].as_u64().unwrap() >= count);
    };
    // By then there is enough to be said again: the handshakes, contacts, reports, some seconds of pictures.
    until_samples(3);
    assert_eq!(udp_ports(host.process.id()), BTreeSet::from([control_port, data_port]), "these are all of its ports");

    let lines_before = host.log().count();
    let stranger = UdpSocket::bind("127.0.0.1:0").unwrap();
    // Who speaks to a port that is closed hears so at the next call; both are open as long as the host lives.
    let said = [(control_port, &control), (data_port, &data)].map(|(port, relay)| {
        let (genuine, other) = (relay.heard_of_client(), relay.heard_of_host());
        assert!(genuine.len() >= 4 && other.len() >= 4, "{} and {} datagrams", genuine.len(), other.len());
        // What the host said itself comes back to it, too.
        let echoes = &other[..other.len().min(50)];
        let as_stranger = |datagram: &[u8]| assert!(stranger.send_to(datagram, ("127.0.0.1", port)).is_ok());
        let as_client = |datagram: &[u8]| assert!(relay.to_host.send(datagram).is_ok());
        slowly(&badly_said(&genuine, 1), as_stranger)
            + slowly(echoes, as_stranger)
            + slowly(&badly_said(&genuine, 2), as_client)
            + slowly(echoes, as_client)
    });
    // And to the client, as if it came from the host.
    let pictures = data.heard_of_host();
    let to_client = slowly(&badly_said(&pictures[..pictures.len().min(200)], 3), |datagram| data.as_host(datagram));
    let after = host.json(&["status"])["sample_count"].as_u64().unwrap();
    until_samples(after + 2);
    let meta = host.json(&["stop"]);
    let lines = host.log().lines_from(lines_before);
    let report = client.interrupt();

    assert!(host.process.try_wait().unwrap().is_none(), "the host lives");
    assert!(lines.len() <= LINES, "{said:?} datagrams gave {} lines, the first: {:#?}", lines.len(), &lines[..LINES]);
    let ended = host.log().wait_for("datagrams of strangers were refused");
    let refused: u64 = ended.split("refused=").nth(1).unwrap().split_whitespace().next().unwrap().parse().unwrap();
    // The kernel drops some of them: the host looks at its small buffer each 20 ms.
    assert!(refused > said[1] / 4 && refused <= said[1], "{refused} of {} at the data port", said[1]);
    let tally = &report["streams"][0]["tally"];
    let refused: u64 = tally["refused"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(refused > to_client / 4 && refused <= to_client, "{refused} of {to_client} at the client: {tally}");

    let recording = host.json(&["recordings", "show", meta["id"].as_str().unwrap()]);
    let sessions = recording["meta"]["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), &recording["provenance"]["verified"]), (1, &Value::Bool(true)));
    let number = |value: &Value, name: &str| value[name].as_u64().unwrap();
    let (first, last) = (number(&sessions[0], "first_frame"), number(&sessions[0], "last_frame"));
    assert_eq!(number(&sessions[0], "gaps"), 0, "{}", sessions[0]);
    assert_eq!(outcomes(&report, first, last), [last - first + 1, 0, 0], "the client had every picture, once");
    let samples = recording["samples"].as_array().unwrap();
    let whole = samples.iter().filter(|sample| sample["window_ms"].as_f64().unwrap() > 900.0);
    let fps: Vec<f64> = whole.map(|sample| sample["fps"].as_f64().unwrap()).collect();
    assert!(fps.iter().all(|fps| (20.0..=40.0).contains(fps)), "{fps:?}");

    // And strangers did not take the places of those who are welcome.
    host.native = direct;
    let newcomer = tempfile::tempdir().unwrap();
    host.pair_as(newcomer.path(), "newcomer");
    let (report, well) = Client::connect(&host, newcomer.path(), &["--frames", "30"]).ended();
    assert!(well, "{report}");
}
