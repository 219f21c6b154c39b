//! The PIN that an operator and a client share at first contact.

use std::fmt;
use std::str::FromStr;

use ring::rand::{SecureRandom, SystemRandom};

/// Shortest PIN, digits. With three guesses a request, each one has a chance of at most 1 in 10,000.
pub const MIN_PIN_DIGITS: usize = 4;

/// Longest PIN, digits.
pub const MAX_PIN_DIGITS: usize = 16;

/// What the operator shows and the user types: digits. `Debug` hides it, `Display` does not.
#[derive(Clone, PartialEq, Eq)]
pub struct Pin(String);

/// A text is no PIN.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a PIN has {MIN_PIN_DIGITS} to {MAX_PIN_DIGITS} digits")]
pub struct InvalidPin;

/// The system gave no randomness.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no randomness")]
pub struct NoRandomness;

impl Pin {
    /// Six random digits, each PIN as likely as any other.
    ///
    /// # Errors
    /// [`NoRandomness`].
    pub fn random() -> Result<Self, NoRandomness> {
        const PINS: u32 = 1_000_000;
        // Values beyond the last whole multiple would favour small PINs.
        const FAIR: u32 = u32::MAX - u32::MAX % PINS;
        loop {
            let mut bytes = [0; 4];
            SystemRandom::new().fill(&mut bytes).map_err(|_unspecified| NoRandomness)?;
            let value = u32::from_be_bytes(bytes);
            if value < FAIR {
                return Ok(Self(format!("{:06}", value % PINS)));
            }
        }
    }

    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Pin {
    type Err = InvalidPin;

    /// Spaces and dashes between digits are how people write, and do not count.
    fn from_str(text: &str) -> Result<Self, InvalidPin> {
        let digits: String =
            text.chars().filter(|letter| !matches!(letter, ' ' | '-')).take(MAX_PIN_DIGITS + 1).collect();
        let length = MIN_PIN_DIGITS..=MAX_PIN_DIGITS;
        match length.contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit()) {
            true => Ok(Self(digits)),
            false => Err(InvalidPin),
        }
    }
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pin(..)")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn random_pins_have_six_digits_and_differ() {
        let pins: Vec<_> = (0..20).map(|_| Pin::random().unwrap()).collect();
        assert!(pins.iter().all(|pin| pin.as_str().len() == 6 && pin.as_str().parse() == Ok(pin.clone())));
        assert!(pins.iter().any(|pin| *pin != pins[0]));
    }

    proptest! {
        #[test]
        fn only_digits_are_a_pin(text in "\\PC{0,20}") {
            let digits: String = text.chars().filter(|letter| !matches!(letter, ' ' | '-')).collect();
            let good = (4..=16).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
            prop_assert_eq!(text.parse::<Pin>().is_ok(), good);
        }
    }
}
