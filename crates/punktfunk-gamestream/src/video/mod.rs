//! Video as it travels: an access unit becomes datagrams that any Moonlight client puts together again.
//!
//! One frame is a prefix of 8 bytes and the access unit, cut into packets of equal size, in one to four blocks that have
//! parity each:
//!
//! ```text
//!  datagram: [ sealing prefix 32, if encrypted ][ RTP 12 ][ 4 zero bytes ][ NV header 16 ][ payload, packet size − 16 ]
//!                                               └────────────── under parity, and encrypted ───────────────────────┘
//! ```
//!
//! The layouts are those of the stock client library, moonlight-common-c (`Video.h`, `RtpVideoQueue.c`,
//! `VideoDepacketizer.c`); every one of them was held against it on the wire. Nothing here reads a clock or a socket.

mod cut;
mod header;
mod packetizer;
mod seal;
mod status;

pub use cut::{FecConfig, FrameTooLong};
pub use header::{FrameKind, MAX_PACKET_SIZE, MIN_PACKET_SIZE, PacketSize, PacketSizeError};
pub use packetizer::{FrameHead, PacketizeError, Packetizer, VideoPackets};
pub use seal::VideoKey;
pub use status::{FecStatus, FecStatusError, Repair};
