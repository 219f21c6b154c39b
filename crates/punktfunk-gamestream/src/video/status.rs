//! What a client says of a block of packets that did not arrive whole: control message 0x5502.
//!
//! It comes once for each block that had to be repaired or was given up. Blocks that arrived whole are not spoken of, and
//! packets behind the last one received are not missed, so this gives what was *reported missing*, never the exact loss.

/// Bytes of the message, without the header that all control messages have.
const BYTES: usize = 21;

/// The message, as it is sent: big-endian (`SS_FRAME_FEC_STATUS` of moonlight-common-c).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FecStatus {
    /// The frame, as its packets name it.
    pub frame: u32,
    /// Highest sequence number that was received.
    pub highest_received: u16,
    /// The sequence number up to which nothing is missing.
    pub next_contiguous: u16,
    /// Packets missing before the highest received one.
    pub missing: u16,
    /// Data packets of the block.
    pub data: u16,
    /// Parity packets of the block.
    pub parity: u16,
    /// Data packets that arrived.
    pub data_received: u16,
    /// Parity packets that arrived.
    pub parity_received: u16,
    /// Percentage of parity, as the packets name it.
    pub percent: u8,
    /// The block in its frame, from 0.
    pub block: u8,
    /// Blocks of the frame.
    pub blocks: u8,
}

/// Why a message says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FecStatusError {
    /// It is too short.
    #[error("a report on repair of {0} bytes is too short: it has {BYTES}")]
    Short(usize),
    /// It tells of more packets than the block has.
    #[error("a report on repair contradicts itself: {0:?}")]
    Contradiction(FecStatus),
}

/// What became of the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repair {
    /// So many data packets were rebuilt.
    Recovered(u64),
    /// Too few packets arrived: the frame is lost, and what follows is of no use before an IDR.
    Lost,
}

impl FecStatus {
    /// Reads the message. Bytes behind it are left to later versions of the protocol.
    ///
    /// # Errors
    /// [`FecStatusError`].
    pub fn parse(message: &[u8]) -> Result<Self, FecStatusError> {
        let Some(bytes) = message.first_chunk::<BYTES>() else { return Err(FecStatusError::Short(message.len())) };
        let word = |at: usize| u16::from_be_bytes([bytes[at], bytes[at + 1]]);
        let status = Self {
            frame: u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]),
            highest_received: word(4),
            next_contiguous: word(6),
            missing: word(8),
            data: word(10),
            parity: word(12),
            data_received: word(14),
            parity_received: word(16),
            percent: bytes[18],
            block: bytes[19],
            blocks: bytes[20],
        };
        let more = status.data_received > status.data
            || status.parity_received > status.parity
            || u32::from(status.missing) > u32::from(status.data) + u32::from(status.parity);
        if more { Err(FecStatusError::Contradiction(status)) } else { Ok(status) }
    }

    /// What became of the block: any `data` of its packets give it back.
    pub fn repair(&self) -> Repair {
        if u32::from(self.data_received) + u32::from(self.parity_received) >= u32::from(self.data) {
            Repair::Recovered(u64::from(self.data.saturating_sub(self.data_received)))
        } else {
            Repair::Lost
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const REPAIRED: [u8; BYTES] = [0, 0, 1, 2, 0, 40, 0, 12, 0, 3, 0, 33, 0, 7, 0, 30, 0, 4, 20, 1, 2];

    #[test]
    fn a_message_of_the_wire_is_read() {
        let status = FecStatus::parse(&REPAIRED).unwrap();
        let expected = FecStatus {
            frame: 258,
            highest_received: 40,
            next_contiguous: 12,
            missing: 3,
            data: 33,
            parity: 7,
            data_received: 30,
            parity_received: 4,
            percent: 20,
            block: 1,
            blocks: 2,
        };
        assert_eq!(status, expected);
        assert_eq!(status.repair(), Repair::Recovered(3));
        assert_eq!(FecStatus { parity_received: 2, ..status }.repair(), Repair::Lost);
    }

    #[test]
    fn a_message_that_contradicts_itself_counts_nothing() {
        let mut message = REPAIRED;
        message[15] = 34;
        assert!(matches!(FecStatus::parse(&message), Err(FecStatusError::Contradiction(_))));
        message = REPAIRED;
        message[8] = 0xff;
        assert!(matches!(FecStatus::parse(&message), Err(FecStatusError::Contradiction(_))));
        assert_eq!(FecStatus::parse(&REPAIRED[..20]), Err(FecStatusError::Short(20)));
    }

    proptest! {
        #[test]
        fn whatever_a_client_sends_is_read_or_refused(message in proptest::collection::vec(any::<u8>(), 0..40)) {
            if let Ok(status) = FecStatus::parse(&message) {
                prop_assert!(message.len() >= BYTES);
                if let Repair::Recovered(shards) = status.repair() {
                    prop_assert!(shards <= u64::from(status.parity_received));
                }
            }
        }
    }
}
