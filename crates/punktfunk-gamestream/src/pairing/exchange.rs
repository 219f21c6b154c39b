//! The four phases of pairing as a pure step machine: who proves what to whom with the PIN.
//!
//! ```text
//!  client                                             host
//!  1 salt, client certificate ─────────────────────▶ (waits for the operator's PIN)
//!                             ◀───────────────────── host certificate;  K = SHA-256(salt ‖ PIN)[..16]
//!  2 K{challenge} ─────────────────────────────────▶
//!                 ◀───────────────────────────────── K{SHA-256(challenge ‖ host signature ‖ S) ‖ C}
//!  3 K{H = SHA-256(C ‖ client signature ‖ s)} ─────▶ (keeps H)
//!                                             ◀───── S ‖ RSA(S)
//!  4 s ‖ RSA(s) ───────────────────────────────────▶ H as told before? signed by that certificate's key?
//! ```
//!
//! `K{…}` is AES-128-ECB without padding, `S`, `C` and `s` are 16 random bytes each, `signature` is the one under a
//! certificate. As `pairing.c` of moonlight-common-c does it. ECB and a PIN of four digits are what the protocol has; what
//! protects it is that a PIN answers one request and is tried once.

use aes::Aes128;
use aes::cipher::{Array, BlockCipherDecrypt as _, BlockCipherEncrypt as _, KeyInit as _};
use punktfunk_pairing::Pin;
use ring::digest::{Context, SHA256};
use ring::rand::{SecureRandom as _, SystemRandom};
use subtle::ConstantTimeEq as _;

use crate::certificate::Certificate;
use crate::identity::HostIdentity;

/// Bytes of a block, of a secret, of a challenge, of the salt.
const BLOCK: usize = 16;

/// Bytes of a hash.
const HASH: usize = 32;

/// Why a phase is refused. Each ends the exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhaseError {
    /// It came before the one that it follows, or again.
    #[error("a phase of pairing came out of turn")]
    OutOfTurn,
    /// What came has not the form of the phase.
    #[error("a phase of pairing has the wrong form")]
    Form,
    /// The PIN was another, or the certificate is not the client's own.
    #[error("the PIN is wrong, or the certificate is not the client's own")]
    Wrong,
    /// The system gave no randomness.
    #[error("the system gave no randomness")]
    NoRandomness,
}

/// What comes next.
#[derive(Debug, Clone, Copy)]
enum Step {
    Challenge,
    Response { secret: [u8; BLOCK], challenge: [u8; BLOCK] },
    Secret { challenge: [u8; BLOCK], hash: [u8; HASH] },
    Over,
}

/// An exchange whose first phase is over. `Debug` is left out: it holds keys.
pub(super) struct Exchange {
    cipher: Aes128,
    client: Certificate,
    step: Step,
}

impl Exchange {
    /// The operator has given the PIN.
    pub(super) fn new(salt: &[u8; BLOCK], pin: &Pin, client: Certificate) -> Self {
        let key = sha256(&[salt, pin.as_str().as_bytes()]);
        let key = key.first_chunk::<BLOCK>().expect("a hash has 32 bytes");
        Self { cipher: Aes128::new(&Array(*key)), client, step: Step::Challenge }
    }

    /// Phase 2: `clientchallenge` → `challengeresponse`.
    pub(super) fn challenge(&mut self, host: &HostIdentity, sealed: &[u8]) -> Result<Vec<u8>, PhaseError> {
        let Step::Challenge = self.take() else { return Err(PhaseError::OutOfTurn) };
        let challenge: [u8; BLOCK] = self.open(sealed)?;
        let (secret, own_challenge) = (random()?, random()?);
        let hash = sha256(&[&challenge, host.certificate().signature(), &secret]);
        self.step = Step::Response { secret, challenge: own_challenge };
        Ok(self.seal([&hash[..], &own_challenge].concat()))
    }

    /// Phase 3: `serverchallengeresp` → `pairingsecret`.
    pub(super) fn response(&mut self, host: &HostIdentity, sealed: &[u8]) -> Result<Vec<u8>, PhaseError> {
        let Step::Response { secret, challenge } = self.take() else { return Err(PhaseError::OutOfTurn) };
        let hash = self.open(sealed)?;
        self.step = Step::Secret { challenge, hash };
        Ok([secret.to_vec(), host.sign(&secret).ok_or(PhaseError::NoRandomness)?].concat())
    }

    /// Phase 4: `clientpairingsecret`. The client that gets through it may be let in.
    pub(super) fn secret(&mut self, told: &[u8]) -> Result<&Certificate, PhaseError> {
        let Step::Secret { challenge, hash } = self.take() else { return Err(PhaseError::OutOfTurn) };
        let Some((secret, signature)) = told.split_first_chunk::<BLOCK>() else { return Err(PhaseError::Form) };
        let expected = sha256(&[&challenge, self.client.signature(), secret]);
        if bool::from(expected.ct_eq(&hash)) && self.client.verifies(secret, signature) {
            Ok(&self.client)
        } else {
            Err(PhaseError::Wrong)
        }
    }

    /// The step that is due. Until a phase has succeeded, none is.
    fn take(&mut self) -> Step {
        std::mem::replace(&mut self.step, Step::Over)
    }

    fn seal(&self, mut plain: Vec<u8>) -> Vec<u8> {
        for block in plain.as_chunks_mut::<BLOCK>().0 {
            self.cipher.encrypt_block((&mut *block).into());
        }
        plain
    }

    fn open<const N: usize>(&self, sealed: &[u8]) -> Result<[u8; N], PhaseError> {
        let mut plain: [u8; N] = sealed.try_into().map_err(|_other_length| PhaseError::Form)?;
        for block in plain.as_chunks_mut::<BLOCK>().0 {
            self.cipher.decrypt_block((&mut *block).into());
        }
        Ok(plain)
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    // Keys take long to make.
    static HOST: std::sync::OnceLock<Option<HostIdentity>> = std::sync::OnceLock::new();
    let host = HOST.get_or_init(|| {
        let directory = std::env::temp_dir().join(format!("punktfunk-fuzz-{}", std::process::id()));
        std::fs::create_dir_all(&directory).ok()?;
        let host = HostIdentity::load_or_create(&directory).ok();
        std::fs::remove_dir_all(&directory).ok();
        host
    });
    let (Some(host), Ok(pin)) = (host, "1234".parse::<Pin>()) else { return };
    let mut exchange = Exchange::new(&[5; BLOCK], &pin, host.certificate().clone());
    let mut rest = bytes;
    let mut take = |length: usize| {
        let (head, tail) = rest.split_at(length.min(rest.len()));
        rest = tail;
        head
    };
    let answered = exchange.challenge(host, take(BLOCK)).is_ok() && exchange.response(host, take(HASH)).is_ok();
    let told = exchange.secret(take(usize::MAX));
    assert!(told.is_err(), "nobody without the PIN is let in");
    assert!(answered || matches!(told, Err(PhaseError::OutOfTurn)));
}

fn sha256(parts: &[&[u8]]) -> [u8; HASH] {
    let mut context = Context::new(&SHA256);
    parts.iter().for_each(|part| context.update(part));
    *context.finish().as_ref().first_chunk().expect("SHA-256 gives 32 bytes")
}

fn random() -> Result<[u8; BLOCK], PhaseError> {
    let mut bytes = [0; BLOCK];
    SystemRandom::new().fill(&mut bytes).map_err(|_unspecified| PhaseError::NoRandomness)?;
    Ok(bytes)
}
