//! What ANNOUNCE says that the client wants: lines `a=name:value`, of which a few matter here.

use crate::grant;
use crate::video::{PacketSize, PacketSizeError};

/// Bit of `encryptionEnabled`: control messages are sealed. Always needed here.
pub(crate) const SEALED_CONTROL: u32 = 1;

/// Bit of `encryptionEnabled`: video is sealed.
pub(crate) const SEALED_VIDEO: u32 = 2;

/// What a client wants, unclamped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Announced {
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) fps: u32,
    pub(crate) bitrate_kbps: u32,
    pub(crate) packet_size: usize,
    pub(crate) min_fec_packets: u32,
    pub(crate) sealed_video: bool,
}

/// Why it cannot be had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum AnnounceError {
    #[error("{0} is missing or no number")]
    Missing(&'static str),
    #[error("only H.264 is streamed")]
    Codec,
    #[error("control messages must be sealed")]
    Unsealed,
    #[error("a picture of {0}×{1} at {2} frames a second cannot be")]
    Mode(u32, u32, u32),
    #[error(transparent)]
    PacketSize(#[from] PacketSizeError),
}

impl Announced {
    /// Reads the body of ANNOUNCE. Of a name that comes twice, the first counts.
    pub(super) fn parse(body: &str) -> Result<Self, AnnounceError> {
        let find = |name: &'static str| {
            body.lines().find_map(|line| {
                let (key, value) = line.strip_prefix("a=")?.split_once(':')?;
                (key == name).then(|| value.trim())
            })
        };
        let number = |name: &'static str| {
            let value = find(name).and_then(|value| value.parse::<u32>().ok());
            value.ok_or(AnnounceError::Missing(name))
        };
        if find("x-nv-vqos[0].bitStreamFormat").is_some_and(|format| format != "0") {
            return Err(AnnounceError::Codec);
        }
        let sealed = number("x-ss-general.encryptionEnabled")?;
        if sealed & SEALED_CONTROL == 0 {
            return Err(AnnounceError::Unsealed);
        }
        let announced = Self {
            width: number("x-nv-video[0].clientViewportWd")?,
            height: number("x-nv-video[0].clientViewportHt")?,
            fps: number("x-nv-video[0].maxFPS")?,
            bitrate_kbps: number("x-nv-vqos[0].bw.maximumBitrateKbps")?,
            packet_size: number("x-nv-video[0].packetSize")? as usize,
            min_fec_packets: number("x-nv-vqos[0].fec.minRequiredFecPackets").unwrap_or(0),
            sealed_video: sealed & SEALED_VIDEO != 0,
        };
        let (width, height, fps) = (announced.width, announced.height, announced.fps);
        if !grant::is_possible(width, height, fps) {
            return Err(AnnounceError::Mode(width, height, fps));
        }
        PacketSize::new(announced.packet_size)?;
        Ok(announced)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    if let Ok(text) = std::str::from_utf8(bytes)
        && let Ok(announced) = Announced::parse(text)
    {
        assert!(grant::is_possible(announced.width, announced.height, announced.fps));
        assert!(PacketSize::new(announced.packet_size).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const BODY: &str = "v=0\r\no=android 0 14 IN IPv4 10.0.0.1\r\ns=NVIDIA Streaming Client\r\n\
        a=x-ss-general.encryptionEnabled:1 \r\na=x-nv-video[0].clientViewportWd:1280 \r\n\
        a=x-nv-video[0].clientViewportHt:720 \r\na=x-nv-video[0].maxFPS:60 \r\na=x-nv-video[0].packetSize:1392 \r\n\
        a=x-nv-vqos[0].bw.maximumBitrateKbps:8000 \r\na=x-nv-vqos[0].fec.minRequiredFecPackets:2 \r\n\
        a=x-nv-vqos[0].bitStreamFormat:0 \r\nt=0 0\r\nm=video 47998  \r\n";

    #[test]
    fn what_a_stock_client_announces_is_read() {
        let expected = Announced {
            width: 1280,
            height: 720,
            fps: 60,
            bitrate_kbps: 8000,
            packet_size: 1392,
            min_fec_packets: 2,
            sealed_video: false,
        };
        assert_eq!(Announced::parse(BODY), Ok(expected));
        let sealed = BODY.replace("encryptionEnabled:1", "encryptionEnabled:3");
        assert_eq!(Announced::parse(&sealed), Ok(Announced { sealed_video: true, ..expected }));
    }

    #[test]
    fn what_cannot_be_had_is_refused() {
        for (from, to, error) in [
            ("encryptionEnabled:1", "encryptionEnabled:2", AnnounceError::Unsealed),
            ("bitStreamFormat:0", "bitStreamFormat:1", AnnounceError::Codec),
            ("Wd:1280", "Wd:0", AnnounceError::Mode(0, 720, 60)),
            ("Ht:720", "Ht:100000", AnnounceError::Mode(1280, 100_000, 60)),
            ("maxFPS:60", "maxFPS:10000", AnnounceError::Mode(1280, 720, 10_000)),
            ("packetSize:1392", "packetSize:60000", AnnounceError::PacketSize(PacketSize::new(60_000).unwrap_err())),
            ("packetSize:1392", "packetSize:-1", AnnounceError::Missing("x-nv-video[0].packetSize")),
        ] {
            assert_eq!(Announced::parse(&BODY.replace(from, to)), Err(error));
        }
    }

    proptest! {
        #[test]
        fn a_strangers_lines_are_read_or_refused(text in "\\PC{0,300}", at in 0_usize..BODY.len()) {
            prop_assert!(Announced::parse(&text).is_err());
            let (head, tail) = BODY.split_at(at);
            let spliced = Announced::parse(&format!("{head}{text}{tail}"));
            prop_assert!(spliced.is_ok_and(|read| read.width > 0) || !text.is_empty());
        }
    }
}
