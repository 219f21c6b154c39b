//! The host side of the protocol in one process, on free ports of loopback.

use std::net::SocketAddr;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use punktfunk_gamestream::identity::HostIdentity;
use punktfunk_gamestream::pairing::Pairing;
use punktfunk_gamestream::stream::{StreamHost, Video};
use punktfunk_gamestream::{Server, ServerConfig, SessionLimits};
use punktfunk_media::{Delays, OpenH264, Synthetic, VideoMode};
use punktfunk_pairing::ClientStore;
use punktfunk_stats::Recorder;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use super::moonlight::pair::Pairing as Exchange;
use super::moonlight::{Identity, Moonlight};
use super::{SOON, recorder};

pub const PIN: &str = "4711";

pub struct GameHost {
    directory: TempDir,
    config: ServerConfig,
    runtime: Runtime,
    server: Option<Server>,
    address: SocketAddr,
    pub pairing: Pairing,
    pub clients: ClientStore,
    pub recorder: Recorder,
}

/// Synthetic pictures of at most 640×360, 30 a second.
fn stream_host(recorder: &Recorder) -> StreamHost {
    StreamHost::new(
        recorder.clone(),
        Box::new(|asked, bps| {
            let mode = VideoMode::new(asked.width.min(640), asked.height.min(360), asked.fps.min(30))?;
            Ok(Video {
                source: Box::new(Synthetic::new(mode)?),
                encoder: Box::new(OpenH264::new(mode, bps)?),
                delays: Delays::none(),
                delays_from: Instant::now(),
            })
        }),
    )
}

impl GameHost {
    pub fn start(limits: SessionLimits) -> Self {
        Self::start_as(ServerConfig { limits, ..ServerConfig::default() })
    }

    /// With this configuration, on free ports of loopback.
    pub fn start_as(config: ServerConfig) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), config)
    }

    fn start_in(directory: TempDir, config: ServerConfig) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let identity = HostIdentity::load_or_create(directory.path()).unwrap();
        let clients = ClientStore::open(directory.path(), "gamestream-clients.json").unwrap();
        let recorder = recorder();
        let config = ServerConfig { bind: SocketAddr::from(([127, 0, 0, 1], 0)), ..config };
        let server = Server::bind(config.clone(), identity, clients.clone(), stream_host(&recorder));
        let server = runtime.block_on(server).unwrap();
        let (address, pairing) = (server.address(), server.pairing());
        Self { directory, config, runtime, server: Some(server), address, pairing, clients, recorder }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// A client that knows nothing yet.
    pub fn client(&self, identity: usize) -> Moonlight {
        Moonlight::new(Identity::shared(identity), self.address)
    }

    /// Answers the oldest request as soon as there is one, and gives its id.
    pub fn answer(&self, pin: &str, name: &str) -> String {
        let deadline = Instant::now() + SOON;
        loop {
            if let Some(request) = self.pairing.requests().into_iter().find(|request| !request.approved) {
                self.pairing.approve(&request.id, Some(pin), Some(name)).unwrap();
                return request.id;
            }
            assert!(Instant::now() < deadline, "no client asks");
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// An exchange whose PIN the operator has typed, right or wrong.
    pub fn answered(&self, client: &Moonlight, shown: &str, typed: &str) -> Exchange {
        let (client, shown) = (client.clone(), shown.to_owned());
        let asking = std::thread::spawn(move || Exchange::begin(&client, &shown).map_err(|reply| reply.text));
        self.answer(typed, "Deck");
        asking.join().unwrap().unwrap()
    }

    /// A client that was let in under this name.
    pub fn paired(&self, identity: usize, name: &str) -> Moonlight {
        let mut client = self.client(identity);
        let (give, take) = channel();
        let asking = std::thread::spawn(move || {
            give.send(client.pair(PIN)).unwrap();
            client
        });
        self.answer(PIN, name);
        assert!(take.recv_timeout(SOON).unwrap(), "{name} was not paired");
        asking.join().unwrap()
    }

    /// Waits until nobody has the host.
    pub fn until_free(&self, client: &Moonlight) {
        let deadline = Instant::now() + SOON;
        while !client.http("/serverinfo").get("state").unwrap().ends_with("_SERVER_FREE") {
            assert!(Instant::now() < deadline, "the host stays busy");
            std::thread::sleep(Duration::from_millis(10));
        }
        assert!(self.recorder.sessions().is_empty(), "a session of the recorder was left");
        assert!(self.clients.list().iter().all(|client| !client.connected) || self.clients.list().is_empty());
    }

    pub fn stop(&mut self) {
        if let Some(server) = self.server.take() {
            self.runtime.block_on(server.shutdown());
        }
    }

    /// The same directory in a new process, as far as a test can have one.
    pub fn restarted(mut self) -> Self {
        self.stop();
        let Self { directory, config, runtime, .. } = self;
        drop(runtime);
        Self::start_in(directory, config)
    }
}
