//! The exchange that proves that both ends were given the same PIN, as a pure step machine.
//!
//! SPAKE2 over edwards25519, then one confirmation each way: HMAC-SHA-256 under the common key, over a transcript of
//! both certificates, the TLS session and both shares. The client confirms first, so a host tells a guesser nothing
//! but "wrong".
//!
//! A wrong PIN gives no error before the confirmations, only different keys; that is how a PAKE works.

use std::fmt;

use punktfunk_pairing::Pin;
use ring::hmac;
use spake2::{Ed25519Group, Identity as Party, Password, Spake2};

use crate::identity::Fingerprint;

/// Bytes of a share as it is sent.
pub const SHARE_BYTES: usize = 33;

/// Bytes of a confirmation.
pub const CONFIRMATION_BYTES: usize = 32;

/// What an exchange is bound to, as one end sees it. If the two ends see different ones, the confirmations fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Binding {
    /// The client's certificate.
    pub client: Fingerprint,
    /// The host's certificate.
    pub host: Fingerprint,
    /// Bytes exported from the TLS session.
    pub session: [u8; 32],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Client,
    Host,
}

/// One end of an exchange whose share is on its way.
pub struct Exchange {
    side: Side,
    state: Spake2<Ed25519Group>,
    share: Vec<u8>,
    binding: Binding,
}

/// The other end's share is no point of the group, or its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the other end sent no valid share")]
pub struct InvalidShare;

/// The other end has another PIN, another session, or another certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the PINs do not agree")]
pub struct WrongPin;

impl Exchange {
    /// The client's end.
    pub fn client(pin: &Pin, binding: Binding) -> Self {
        Self::new(Side::Client, pin, binding)
    }

    /// The host's end.
    pub fn host(pin: &Pin, binding: Binding) -> Self {
        Self::new(Side::Host, pin, binding)
    }

    fn new(side: Side, pin: &Pin, binding: Binding) -> Self {
        let password = Password::new(pin.as_str());
        let (client, host) = (Party::new(binding.client.as_bytes()), Party::new(binding.host.as_bytes()));
        let (state, share) = match side {
            Side::Client => Spake2::start_a(&password, &client, &host),
            Side::Host => Spake2::start_b(&password, &client, &host),
        };
        Self { side, state, share, binding }
    }

    /// What the other end must be sent.
    pub fn share(&self) -> &[u8] {
        &self.share
    }

    /// Takes the other end's share.
    ///
    /// # Errors
    /// [`InvalidShare`].
    pub fn finish(self, theirs: &[u8]) -> Result<Confirmations, InvalidShare> {
        if theirs.len() != SHARE_BYTES {
            return Err(InvalidShare);
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, &self.state.finish(theirs).map_err(|_error| InvalidShare)?);
        let (a, b) = match self.side {
            Side::Client => (self.share.as_slice(), theirs),
            Side::Host => (theirs, self.share.as_slice()),
        };
        // Every part but the first has a fixed length, so no two transcripts read the same.
        let transcript = [
            b"punktfunk-pair/1".as_slice(),
            self.binding.client.as_bytes(),
            self.binding.host.as_bytes(),
            &self.binding.session,
            a,
            b,
        ]
        .concat();
        Ok(Confirmations { side: self.side, key, transcript })
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").field("side", &self.side).finish_non_exhaustive()
    }
}

/// A finished exchange: what to send as proof, and how to check the other end's.
pub struct Confirmations {
    side: Side,
    key: hmac::Key,
    transcript: Vec<u8>,
}

impl Confirmations {
    /// Proof for the other end.
    pub fn mine(&self) -> [u8; CONFIRMATION_BYTES] {
        let tag = hmac::sign(&self.key, &self.message(self.side));
        *tag.as_ref().first_chunk().expect("HMAC-SHA-256 gives 32 bytes")
    }

    /// Checks the other end's proof, in constant time.
    ///
    /// # Errors
    /// [`WrongPin`].
    pub fn check(&self, theirs: &[u8]) -> Result<(), WrongPin> {
        let other = match self.side {
            Side::Client => Side::Host,
            Side::Host => Side::Client,
        };
        hmac::verify(&self.key, &self.message(other), theirs).map_err(|_unspecified| WrongPin)
    }

    /// The two directions differ, so a proof cannot be sent back as one's own.
    fn message(&self, side: Side) -> Vec<u8> {
        let direction: &[u8] = match side {
            Side::Client => b"client",
            Side::Host => b"host..",
        };
        [direction, &self.transcript].concat()
    }
}

impl fmt::Debug for Confirmations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Confirmations").field("side", &self.side).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn binding(session: u8) -> Binding {
        let fingerprint = |digit: &str| digit.repeat(64).parse().unwrap();
        Binding { client: fingerprint("a"), host: fingerprint("b"), session: [session; 32] }
    }

    fn pin(text: &str) -> Pin {
        text.parse().unwrap()
    }

    fn exchange(client: (&str, Binding), host: (&str, Binding)) -> (Confirmations, Confirmations) {
        let (client, host) = (Exchange::client(&pin(client.0), client.1), Exchange::host(&pin(host.0), host.1));
        let (from_client, from_host) = (client.share().to_vec(), host.share().to_vec());
        (client.finish(&from_host).unwrap(), host.finish(&from_client).unwrap())
    }

    fn agree(client: (&str, Binding), host: (&str, Binding)) -> bool {
        let (client, host) = exchange(client, host);
        let (one, other) = (host.check(&client.mine()).is_ok(), client.check(&host.mine()).is_ok());
        assert_eq!(one, other);
        one
    }

    #[test]
    fn the_same_pin_agrees() {
        assert!(agree(("123456", binding(1)), ("123 456", binding(1))));
    }

    #[test]
    fn another_pin_session_or_certificate_does_not() {
        let ours = binding(1);
        let other_host = Binding { host: ours.client, ..ours };
        let other_client = Binding { client: ours.host, ..ours };
        assert!(!agree(("123456", ours), ("123457", ours)));
        for theirs in [binding(2), other_host, other_client] {
            assert!(!agree(("123456", ours), ("123456", theirs)), "{theirs:?}");
        }
    }

    #[test]
    fn a_proof_sent_back_is_no_proof() {
        let (client, host) = exchange(("123456", binding(1)), ("123456", binding(1)));
        assert!(client.check(&client.mine()).is_err() && host.check(&host.mine()).is_err());
    }

    #[test]
    fn ones_own_share_sent_back_is_refused() {
        let client = Exchange::client(&pin("1234"), binding(1));
        let share = client.share().to_vec();
        assert_eq!(client.finish(&share).unwrap_err(), InvalidShare);
    }

    #[test]
    fn nothing_secret_is_shown() {
        let exchange = Exchange::client(&pin("9876"), binding(1));
        assert!(!format!("{exchange:?} {:?}", pin("9876")).contains("9876"));
    }

    proptest! {
        #[test]
        fn a_strangers_share_and_proof_never_panic(share in proptest::collection::vec(any::<u8>(), 0..70), proof: Vec<u8>) {
            let host = Exchange::host(&pin("1234"), binding(1));
            if let Ok(confirmations) = host.finish(&share) {
                prop_assert!(confirmations.check(&proof).is_err());
            }
            let mut framed = [vec![b'A'], share].concat();
            framed.resize(SHARE_BYTES, 7);
            if let Ok(confirmations) = Exchange::host(&pin("1234"), binding(1)).finish(&framed) {
                prop_assert!(confirmations.check(&proof).is_err());
            }
        }
    }
}
