//! Encryption of video, where the client asks for it: AES-128-GCM over each whole shard, parity included.
//!
//! A sealed datagram is a prefix of 32 bytes and the ciphertext: the nonce (12), the frame (4, little-endian), the tag
//! (16). The nonce is a counter in 8 little-endian bytes, with `V` as its last byte: the other streams that use the same
//! key have other letters there.

use std::fmt;

use ring::aead::{AES_128_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::error::Unspecified;

/// Bytes before a sealed shard.
pub(crate) const SEAL_BYTES: usize = NONCE_LEN + 4 + 16;

/// The key of a session's video: the one that the client gave at launch. It is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct VideoKey([u8; 16]);

impl VideoKey {
    /// Takes a key over.
    pub fn new(key: [u8; 16]) -> Self {
        Self(key)
    }
}

impl fmt::Debug for VideoKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VideoKey(…)")
    }
}

/// Seals shards. A nonce is never used twice: the counter has 64 bits and begins anew with a key only.
pub(crate) struct VideoSealer {
    key: LessSafeKey,
    counter: u64,
}

impl fmt::Debug for VideoSealer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VideoSealer").field("counter", &self.counter).finish_non_exhaustive()
    }
}

impl VideoSealer {
    pub(crate) fn new(key: &VideoKey) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, &key.0).expect("16 bytes are an AES-128 key");
        Self { key: LessSafeKey::new(key), counter: 0 }
    }

    /// Writes `shard`, sealed, to `datagram`, which is [`SEAL_BYTES`] longer.
    pub(crate) fn seal(&mut self, frame: u32, shard: &[u8], datagram: &mut [u8]) -> Result<(), Unspecified> {
        let mut nonce = [0; NONCE_LEN];
        nonce[..8].copy_from_slice(&self.counter.to_le_bytes());
        nonce[NONCE_LEN - 1] = b'V';
        self.counter += 1;
        let (prefix, body) = datagram.split_at_mut(SEAL_BYTES);
        body.copy_from_slice(shard);
        let tag = self.key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::empty(), body)?;
        prefix[..NONCE_LEN].copy_from_slice(&nonce);
        prefix[NONCE_LEN..NONCE_LEN + 4].copy_from_slice(&frame.to_le_bytes());
        prefix[NONCE_LEN + 4..].copy_from_slice(tag.as_ref());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_never_printed() {
        assert_eq!(format!("{:?}", VideoKey::new([0xab; 16])), "VideoKey(…)");
    }

    #[test]
    fn each_shard_has_a_nonce_of_its_own_and_opens_to_what_was_sealed() {
        let key = VideoKey::new([7; 16]);
        let mut sealer = VideoSealer::new(&key);
        for counter in 0..3u8 {
            let mut datagram = [0; SEAL_BYTES + 20];
            sealer.seal(0x0102_0304, &[counter; 20], &mut datagram).unwrap();
            let nonce = [counter, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'V'];
            assert_eq!(datagram[..12], nonce);
            assert_eq!(datagram[12..16], [4, 3, 2, 1]);
            let opener = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key.0).unwrap());
            let mut sealed = [&datagram[32..], &datagram[16..32]].concat();
            let opened = opener.open_in_place(Nonce::assume_unique_for_key(nonce), Aad::empty(), &mut sealed).unwrap();
            assert_eq!(opened, [counter; 20]);
        }
    }
}
