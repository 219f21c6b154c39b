//! A client that streams: its control, its pings, and what it makes of the packets that come.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::assembler::{Assembler, Event, Tally};
use super::moonlight::Moonlight;
use super::moonlight::control::{Control, Told};
use super::moonlight::rtsp::{self, Agreed, Wish};
use punktfunk_media::decode::Decoder;
use punktfunk_net::batch::{BatchReceiver, size_buffers};
use testkit::{Link, LinkConfig};

/// Time without a packet after which the stream is given up.
const SILENCE: Duration = Duration::from_secs(20);

/// How often clients ping.
const PING_EVERY: Duration = Duration::from_millis(500);

pub struct Viewer {
    pub control: Control,
    pub agreed: Agreed,
    pub rtsp: std::net::SocketAddr,
    socket: UdpSocket,
    receiver: BatchReceiver,
    assembler: Assembler,
    link: Link<Vec<u8>>,
    decoder: Decoder,
    pinged: Option<Instant>,
    pings: u32,
    /// Sizes of the pictures that were decoded, and how many.
    pub size: (usize, usize),
    pub pictures: u64,
    /// The newest frame's time on RTP's clock, 90 kHz.
    pub clock: u32,
}

impl Viewer {
    /// Launches, agrees and connects; loses this part of the packets.
    pub fn launch(client: &Moonlight, wish: Wish, loss: f64) -> Self {
        Self::begin(client, "launch", wish, loss)
    }

    pub fn resume(client: &Moonlight, wish: Wish) -> Self {
        Self::begin(client, "resume", wish, 0.0)
    }

    fn begin(client: &Moonlight, verb: &str, wish: Wish, loss: f64) -> Self {
        let (rtsp, key) = client.launch(verb, "640x360x30").unwrap();
        let agreed = rtsp::agree(rtsp, wish).unwrap();
        let mut control = Control::connect(&agreed, &key).connected();
        control.send(0x0302, &[0, 0]);
        control.send(0x0307, &[0]);
        let socket = UdpSocket::bind((agreed.video.ip(), 0)).unwrap();
        size_buffers(&socket, 1 << 16, 4 << 20).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        let sealed = (wish.encryption & 2 != 0).then_some(key);
        Self {
            control,
            agreed,
            rtsp,
            socket,
            receiver: BatchReceiver::new(),
            assembler: Assembler::new(wish.packet_size as usize, sealed),
            link: Link::new(LinkConfig { seed: 7, loss, ..LinkConfig::default() }),
            decoder: Decoder::new().unwrap(),
            pinged: None,
            pings: 0,
            size: (0, 0),
            pictures: 0,
            clock: 0,
        }
    }

    pub fn tally(&self) -> Tally {
        self.assembler.tally()
    }

    pub fn lost(&self) -> u64 {
        self.link.tally().lost
    }

    /// Tells the host where video is to go, as often as clients do.
    fn ping(&mut self) {
        if self.pinged.is_none_or(|at| at.elapsed() >= PING_EVERY) {
            self.pinged = Some(Instant::now());
            self.pings += 1;
            let ping = [self.agreed.ping_payload.as_bytes(), &self.pings.to_be_bytes()].concat();
            self.socket.send_to(&ping, self.agreed.video).unwrap();
        }
    }

    /// Plays until `done`.
    pub fn play_until(&mut self, done: impl Fn(&Self) -> bool) {
        let mut heard = Instant::now();
        while !done(self) {
            self.ping();
            let Self { receiver, socket, link, .. } = self;
            let count = receiver.receive(socket, |datagram| link.send(Duration::ZERO, datagram.to_vec())).unwrap();
            if count > 0 {
                heard = Instant::now();
            }
            assert!(heard.elapsed() < SILENCE, "the stream is silent: {:?}", self.assembler.tally());
            while let Some((_, datagram)) = self.link.receive(Duration::ZERO) {
                for event in self.assembler.push(&datagram) {
                    self.handle(event);
                }
            }
        }
    }

    fn handle(&mut self, event: Event) {
        match event {
            Event::FecStatus(bytes) => self.control.report(&bytes),
            Event::RequestIdr => self.control.send(0x0302, &[0, 0]),
            Event::Frame { timestamp, access_unit, decodable, .. } => {
                self.clock = timestamp;
                if decodable {
                    let picture =
                        self.decoder.decode(&access_unit).unwrap().expect("every access unit gives a picture");
                    self.size = (picture.width(), picture.height());
                    self.pictures += 1;
                }
            }
        }
    }

    /// Goes on pinging until the host says that it is over; what it said last.
    pub fn until_over(&mut self) -> Option<(u16, Vec<u8>)> {
        let mut last = None;
        loop {
            match self.control.told() {
                Told::Message(kind, payload) => last = Some((kind, payload)),
                Told::Gone => return last,
                Told::Connected => {}
            }
        }
    }
}
