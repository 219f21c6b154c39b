//! Headers as they are written in settings: their values are secrets and never shown.

use std::fmt;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde::Deserialize;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};

use crate::config::ConfigError;

/// What the transports set themselves; another value would break the protocol.
const RESERVED: &[&str] = &[
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "expect",
    "host",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// One header as it is written, `name=value`. Its `Debug` shows the name alone.
#[derive(Clone, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Header(String);

impl Header {
    /// One header from its parts, whatever characters the value holds.
    pub fn new(name: &str, value: &str) -> Self {
        Self(format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)))
    }
}

impl From<&str> for Header {
    fn from(text: &str) -> Self {
        Self(text.to_owned())
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.split_once('=') {
            Some((name, _)) => write!(f, "{}=…", name.trim()),
            None => f.write_str("…"),
        }
    }
}

impl AsRef<str> for Header {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// Reads `name=value` entries. Names are compared without regard to case; of two entries with one name the later wins.
pub(crate) fn parse<'a>(name: &str, entries: impl Iterator<Item = &'a str>) -> Result<HeaderMap, ConfigError> {
    let mut headers = HeaderMap::new();
    for (index, entry) in entries.enumerate() {
        let wrong = |reason: String| ConfigError::Entry { name: name.to_owned(), position: index + 1, reason };
        let (key, value) = pair(entry).map_err(|reason| wrong(reason.to_owned()))?;
        let key: HeaderName = key.parse().map_err(|_| wrong(format!("{key:?} cannot be the name of a header")))?;
        if RESERVED.contains(&key.as_str()) || key.as_str().starts_with("grpc-") {
            return Err(wrong(format!("{key} is set by the exporter itself: leave it out")));
        }
        let mut value = HeaderValue::from_str(&value)
            .map_err(|_| wrong(format!("the value of {key} holds a character that a header cannot carry")))?;
        value.set_sensitive(true);
        headers.insert(key, value);
    }
    Ok(headers)
}

/// `name=value`, spaces around both dropped, percent-decoded as in W3C baggage. The reason for a failure shows no value.
pub(crate) fn pair(entry: &str) -> Result<(String, String), &'static str> {
    let (key, value) = entry.split_once('=').ok_or("write it as name=value")?;
    let decode = |text: &str| {
        let text = percent_decode_str(text.trim()).decode_utf8();
        text.map(std::borrow::Cow::into_owned).map_err(|_| "what is percent-encoded is not UTF-8")
    };
    let key = decode(key)?;
    if key.is_empty() {
        return Err("the name in front of = is empty");
    }
    Ok((key, decode(value)?))
}

/// The entries of a list that is separated by commas; empty ones do not count.
pub(crate) fn entries(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|entry| !entry.is_empty())
}
