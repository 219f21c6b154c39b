//! Control messages under AES-128-GCM ("control-v2"), and what they hold.
//!
//! ```text
//!  message: LE16 0x0001 · LE16 length of what follows · LE32 number · tag 16 · sealed
//!  sealed:  LE16 type · LE16 length · payload
//!  nonce:   LE32 number · six zeroes · who sends ('C' or 'H') · 'C'
//! ```
//!
//! As `ControlStream.c` of moonlight-common-c has it.

use punktfunk_net::seal::ReplayWindow;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Bytes before the sealed ones.
const HEAD: usize = 8;

/// Bytes of a tag.
const TAG: usize = 16;

/// Longest message that is opened. Stock clients send less than 200 bytes, text that is typed included.
pub(super) const MAX_BYTES: usize = 4096;

/// Type of a sealed message.
const SEALED: [u8; 2] = [0x01, 0x00];

/// Who sends, as nonces have it.
#[derive(Debug, Clone, Copy)]
enum Sender {
    Client = b'C' as isize,
    Host = b'H' as isize,
}

/// Why a message is not one of the client's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum OpenError {
    #[error("a control message has the wrong form")]
    Form,
    #[error("a control message has a wrong tag")]
    Tag,
    #[error("a control message came again")]
    Replayed,
}

/// A message, opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) kind: u16,
    pub(super) payload: Vec<u8>,
}

/// Both directions of one session.
pub(super) struct Seal {
    key: LessSafeKey,
    seen: ReplayWindow,
    next: u32,
}

impl Seal {
    pub(super) fn new(key: &[u8; 16]) -> Self {
        let key = UnboundKey::new(&AES_128_GCM, key).expect("the key has the length of the algorithm's");
        Self { key: LessSafeKey::new(key), seen: ReplayWindow::default(), next: 0 }
    }

    /// Opens what the client sent.
    pub(super) fn open(&mut self, message: &[u8]) -> Result<Message, OpenError> {
        let Some((head, rest)) = message.split_first_chunk::<HEAD>() else { return Err(OpenError::Form) };
        let length = usize::from(u16::from_le_bytes([head[2], head[3]]));
        if message.len() > MAX_BYTES || head[..2] != SEALED || length != 4 + rest.len() || rest.len() < TAG + 4 {
            return Err(OpenError::Form);
        }
        let number = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
        self.seen.check(u64::from(number)).map_err(|_seen_or_old| OpenError::Replayed)?;
        let (tag, sealed) = rest.split_at(TAG);
        // ring wants the tag behind, the protocol has it in front.
        let mut bytes = [sealed, tag].concat();
        let plain = self
            .key
            .open_in_place(nonce(number, Sender::Client), Aad::empty(), &mut bytes)
            .map_err(|_unspecified| OpenError::Tag)?;
        self.seen.insert(u64::from(number));
        let Some((inner, payload)) = plain.split_first_chunk::<4>() else { return Err(OpenError::Form) };
        let length = usize::from(u16::from_le_bytes([inner[2], inner[3]]));
        let payload = payload.get(..length).ok_or(OpenError::Form)?.to_vec();
        Ok(Message { kind: u16::from_le_bytes([inner[0], inner[1]]), payload })
    }

    /// Seals what the host says. `payload` is of a few bytes.
    pub(super) fn seal(&mut self, kind: u16, payload: &[u8]) -> Vec<u8> {
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        let length = |bytes: usize| u16::try_from(bytes).expect("the host's messages are short").to_le_bytes();
        let mut plain = [&kind.to_le_bytes()[..], &length(payload.len()), payload].concat();
        let tag = self
            .key
            .seal_in_place_separate_tag(nonce(number, Sender::Host), Aad::empty(), &mut plain)
            .expect("a few bytes are within the algorithm's limit");
        let behind = length(4 + TAG + plain.len());
        [&SEALED[..], &behind, &number.to_le_bytes(), tag.as_ref(), &plain].concat()
    }
}

fn nonce(number: u32, sender: Sender) -> Nonce {
    let mut nonce = [0; 12];
    nonce[..4].copy_from_slice(&number.to_le_bytes());
    nonce[10] = sender as u8;
    nonce[11] = b'C';
    Nonce::assume_unique_for_key(nonce)
}

/// As a client whose key is sevens seals; `None` if it is too long for the protocol.
#[cfg(any(test, feature = "fuzzing"))]
fn sealed_by_client(number: u32, plain: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &[7; 16]).ok()?);
    let mut sealed = plain.to_vec();
    let tag = key.seal_in_place_separate_tag(nonce(number, Sender::Client), Aad::empty(), &mut sealed).ok()?;
    let length = u16::try_from(20 + sealed.len()).ok()?.to_le_bytes();
    Some([&SEALED[..], &length, &number.to_le_bytes(), tag.as_ref(), &sealed].concat())
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let mut seal = Seal::new(&[7; 16]);
    assert!(seal.open(bytes).is_err(), "nobody without the key says anything");
    // A client that has it may say what it likes.
    if let Some(sealed) = sealed_by_client(1, bytes)
        && let Ok(message) = seal.open(&sealed)
    {
        assert!(message.payload.len() + 4 <= bytes.len());
        assert_eq!(seal.open(&sealed), Err(OpenError::Replayed));
        if let Ok(status) = crate::video::FecStatus::parse(&message.payload) {
            status.repair();
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn from_client(number: u32, plain: &[u8]) -> Vec<u8> {
        sealed_by_client(number, plain).unwrap()
    }

    #[test]
    fn a_message_is_opened_once() {
        let mut seal = Seal::new(&[7; 16]);
        let message = from_client(3, &[0x02, 0x03, 2, 0, 8, 9]);
        assert_eq!(seal.open(&message), Ok(Message { kind: 0x0302, payload: vec![8, 9] }));
        assert_eq!(seal.open(&message), Err(OpenError::Replayed));
        assert!(seal.open(&from_client(1, &[0, 2, 0, 0])).is_ok(), "channels overtake each other");
    }

    #[test]
    fn what_is_not_the_clients_is_refused() {
        let mut seal = Seal::new(&[7; 16]);
        let message = from_client(3, &[0x02, 0x03, 0, 0]);
        let mut wrong = message.clone();
        wrong[10] ^= 1;
        assert_eq!(seal.open(&wrong), Err(OpenError::Tag));
        assert_eq!(seal.open(&message[..20]), Err(OpenError::Form));
        assert_eq!(seal.open(&from_client(4, &[0x02, 0x03, 9, 0])), Err(OpenError::Form));
        let own = Seal::new(&[7; 16]).seal(0x0109, &[1]);
        assert_eq!(seal.open(&own), Err(OpenError::Tag), "the host's own message sent back is none of the client's");
        assert!(seal.open(&message).is_ok());
    }

    proptest! {
        #[test]
        fn garbage_is_refused(bytes in proptest::collection::vec(any::<u8>(), 0..100), plain in proptest::collection::vec(any::<u8>(), 0..20)) {
            let mut seal = Seal::new(&[7; 16]);
            prop_assert!(seal.open(&bytes).is_err());
            if let Ok(message) = seal.open(&from_client(1, &plain)) {
                prop_assert!(message.payload.len() + 4 <= plain.len());
            }
        }
    }
}
