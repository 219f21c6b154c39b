//! The client's video port: receives, loses by seed, decodes, and tells the host what a client would over the control
//! stream.

use std::net::{SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

use punktfunk_gamestream::stream::{Stream, StreamConfig};
use punktfunk_gamestream::video::FecStatus;
use punktfunk_media::decode::Decoder;
use punktfunk_net::batch::{BatchReceiver, size_buffers};
use testkit::{Link, LinkConfig};

use super::assembler::{Assembler, Event, Tally};

pub const KEY: [u8; 16] = [0x5a; 16];

/// Time without a packet after which the stream is given up.
const SILENCE: Duration = Duration::from_secs(10);

pub struct VideoClient {
    socket: UdpSocket,
    receiver: BatchReceiver,
    assembler: Assembler,
    link: Link<Vec<u8>>,
    /// Without one, nothing is decoded.
    decoder: Option<Decoder>,
    size: (usize, usize),
    /// Pictures that came out of the decoder.
    pub pictures: u64,
    /// Latency of each frame's header, 0.1 ms.
    pub latencies: Vec<(u32, u16)>,
}

impl VideoClient {
    /// A client of a stream like `config` that loses this part of what arrives.
    pub fn new(config: &StreamConfig, loss: f64, seed: u64) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        size_buffers(&socket, 1 << 16, 4 << 20).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
        Self {
            socket,
            receiver: BatchReceiver::new(),
            assembler: Assembler::new(config.packet_size, config.video_key.as_ref().map(|_| KEY)),
            link: Link::new(LinkConfig { seed, loss, ..LinkConfig::default() }),
            decoder: Some(Decoder::new().unwrap()),
            size: (config.width as usize, config.height as usize),
            pictures: 0,
            latencies: Vec::new(),
        }
    }

    pub fn decoding_nothing(mut self) -> Self {
        self.decoder = None;
        self
    }

    pub fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    pub fn tally(&self) -> Tally {
        self.assembler.tally()
    }

    pub fn lost(&self) -> u64 {
        self.link.tally().lost
    }

    /// Receives until `done`, and says to `stream` what follows from it.
    pub fn receive_until(&mut self, stream: &Stream, done: impl Fn(&Self) -> bool) {
        let mut heard = Instant::now();
        while !done(self) {
            let Self { receiver, socket, link, .. } = self;
            let count = receiver.receive(socket, |datagram| link.send(Duration::ZERO, datagram.to_vec())).unwrap();
            if count > 0 {
                heard = Instant::now();
            }
            assert!(heard.elapsed() < SILENCE, "the stream is silent: {:?}", self.tally());
            while let Some((_, datagram)) = self.link.receive(Duration::ZERO) {
                for event in self.assembler.push(&datagram) {
                    self.handle(stream, event);
                }
            }
        }
    }

    fn handle(&mut self, stream: &Stream, event: Event) {
        match event {
            Event::FecStatus(bytes) => stream.fec_status(FecStatus::parse(&bytes).unwrap()),
            Event::RequestIdr => stream.request_idr(),
            Event::Frame { index, idr, latency_tenths, access_unit, decodable, .. } => {
                self.latencies.push((index, latency_tenths));
                if idr {
                    // Sequence parameters first: a decoder can begin here.
                    assert_eq!(access_unit[..5].iter().position(|byte| *byte == 0x67), Some(4));
                }
                let Some(decoder) = self.decoder.as_mut().filter(|_| decodable) else { return };
                let picture = decoder.decode(&access_unit).unwrap().expect("every access unit gives a picture");
                assert_eq!((picture.width(), picture.height()), self.size);
                self.pictures += 1;
            }
        }
    }
}
