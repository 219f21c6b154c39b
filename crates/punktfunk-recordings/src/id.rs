//! Ids of recordings: when and at which resolution, as a name that is a valid file stem everywhere.

use std::fmt;
use std::str::FromStr;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Longest id that is accepted: file systems take 255 bytes, and a suffix and an ending must fit.
const MAX_LEN: usize = 128;

/// Longest suffix: a dash and ten digits.
const MAX_SUFFIX: usize = 11;

/// Names that Windows keeps for devices, whatever ending follows.
const DEVICES: [&str; 6] = ["CON", "PRN", "AUX", "NUL", "COM", "LPT"];

/// Id of a recording, such as `2026-06-26T20-14-03Z_1280x720`. It is also the stem of its file's name, so parsing one is
/// the only way to a file: `^[A-Za-z0-9._-]+$`, no `..`, no dot at either end, no name of a Windows device, at most 128
/// characters.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RecordingId(String);

/// The text is not an id that this project gives or accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not the id of a recording")]
pub struct InvalidId;

impl RecordingId {
    /// Names a capture by its start and the resolution of its first session, if one is live.
    pub fn new(started_unix_ms: u64, resolution: Option<(u32, u32)>) -> Self {
        let ms = i64::try_from(started_unix_ms).unwrap_or(i64::MAX);
        let started = Timestamp::from_millisecond(ms).unwrap_or(Timestamp::MAX);
        let mut id = started.strftime("%Y-%m-%dT%H-%M-%SZ").to_string();
        if let Some((width, height)) = resolution {
            id.push_str(&format!("_{width}x{height}"));
        }
        Self(id)
    }

    /// The same moment's `n`-th capture, for `n` from 2.
    #[must_use]
    pub fn with_suffix(&self, n: u32) -> Self {
        Self(format!("{}-{n}", self.0))
    }

    /// The id, shortened if a suffix would make it too long.
    #[must_use]
    pub(crate) fn with_room(&self) -> Self {
        // ASCII, so any place is between two characters.
        let kept = &self.0[..self.0.len().min(MAX_LEN - MAX_SUFFIX)];
        Self(kept.trim_end_matches('.').to_owned())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RecordingId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let plain = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'));
        let dots = text.contains("..") || text.starts_with('.') || text.ends_with('.');
        let stem = text.split('.').next().unwrap_or(text).to_ascii_uppercase();
        let device = DEVICES.iter().any(|device| match stem.strip_prefix(device) {
            Some("") => true,
            Some(rest) => matches!(*device, "COM" | "LPT") && rest.len() == 1 && rest.as_bytes()[0].is_ascii_digit(),
            None => false,
        });
        if text.is_empty() || text.len() > MAX_LEN || !plain || dots || device {
            return Err(InvalidId);
        }
        Ok(Self(text.to_owned()))
    }
}

impl TryFrom<String> for RecordingId {
    type Error = InvalidId;

    fn try_from(text: String) -> Result<Self, InvalidId> {
        text.parse()
    }
}

impl From<RecordingId> for String {
    fn from(id: RecordingId) -> Self {
        id.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_id_says_when_and_at_which_resolution() {
        let id = RecordingId::new(1_782_504_843_000, Some((5120, 1440)));
        assert_eq!(id.as_str(), "2026-06-26T20-14-03Z_5120x1440");
        assert_eq!(RecordingId::new(1_782_504_843_999, None).with_suffix(2).as_str(), "2026-06-26T20-14-03Z-2");
    }

    #[test]
    fn whatever_could_leave_the_directory_or_confuse_a_file_system_is_refused() {
        let long = "a".repeat(300);
        for text in [
            "", "..", ".", "../x", "a/b", "a\\b", "%2e%2e", "a:b", "CON", "con.json", "nul", "COM1", "lpt9.x",
            ".hidden", "a.", "a..b", "ä", "a b", "a\0", &long,
        ] {
            assert_eq!(text.parse::<RecordingId>(), Err(InvalidId), "{text:?}");
        }
        for text in ["COM", "COM10", "console", "a.b-c_d", "0"] {
            assert_eq!(text.parse::<RecordingId>().is_ok(), text != "COM", "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn an_id_with_a_suffix_is_one_however_long_it_was(text in "[a-z0-9._-]{1,128}", n in any::<u32>()) {
            if let Ok(id) = text.parse::<RecordingId>() {
                let longer = id.with_room().with_suffix(n);
                prop_assert_eq!(longer.as_str().parse::<RecordingId>(), Ok(longer.clone()));
            }
        }

        #[test]
        fn every_id_that_is_made_parses(ms in any::<u64>(), resolution in proptest::option::of(any::<(u32, u32)>()), n in any::<u32>()) {
            let id = RecordingId::new(ms, resolution).with_suffix(n);
            prop_assert_eq!(id.as_str().parse::<RecordingId>(), Ok(id.clone()));
        }

        #[test]
        fn an_accepted_id_is_one_plain_file_name(text in ".*") {
            if let Ok(id) = text.parse::<RecordingId>() {
                let path = std::path::Path::new(id.as_str());
                prop_assert_eq!(path.components().count(), 1);
                prop_assert_eq!(path.file_name().and_then(|name| name.to_str()), Some(text.as_str()));
            }
        }
    }
}
