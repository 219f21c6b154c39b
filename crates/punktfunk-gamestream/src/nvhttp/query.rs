//! What a request asks for: parameters of a URL, taken apart into what the protocol knows.

use percent_encoding::percent_decode_str;

use crate::{grant, hex};

/// The query of a request: names and values as they were sent. The first of a name counts.
#[derive(Debug, Clone, Copy)]
pub(super) struct Query<'a>(&'a str);

/// A parameter is missing, has the wrong form or is out of range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the parameter {0} is missing, has the wrong form or is out of range")]
pub(super) struct BadParameter(pub(super) &'static str);

/// What `launch` and `resume` ask for.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct LaunchRequest {
    /// Key of everything that is encrypted in the session.
    pub(crate) key: [u8; 16],
}

impl<'a> Query<'a> {
    pub(super) fn new(query: Option<&'a str>) -> Self {
        Self(query.unwrap_or_default())
    }

    /// A parameter's value.
    pub(super) fn get(&self, name: &str) -> Option<String> {
        let value = self.0.split('&').find_map(|pair| match pair.split_once('=') {
            Some((key, value)) => (key == name).then_some(value),
            None => (pair == name).then_some(""),
        })?;
        percent_decode_str(value).decode_utf8().ok().map(Into::into)
    }

    /// Bytes in hexadecimal digits.
    pub(super) fn bytes(&self, name: &'static str) -> Result<Vec<u8>, BadParameter> {
        self.get(name).and_then(|text| hex::decode(&text)).ok_or(BadParameter(name))
    }

    /// Exactly so many bytes.
    pub(super) fn array<const N: usize>(&self, name: &'static str) -> Result<[u8; N], BadParameter> {
        self.get(name).and_then(|text| hex::decode_array(&text)).ok_or(BadParameter(name))
    }

    /// A launch. The mode is checked here because a client that asks for none is to be told at once; the one that is
    /// granted follows from what RTSP asks for.
    pub(super) fn launch(&self) -> Result<LaunchRequest, BadParameter> {
        if let Some(wish) = self.get("mode") {
            let numbers: Option<Vec<u32>> = wish.split('x').map(|number| number.parse().ok()).collect();
            let possible = numbers.is_some_and(
                |numbers| matches!(*numbers, [width, height, fps] if grant::is_possible(width, height, fps)),
            );
            if !possible {
                return Err(BadParameter("mode"));
            }
        }
        // It names the key of audio, which is silent here; what is no number is no launch all the same.
        if self.get("rikeyid").is_none_or(|id| id.parse::<i64>().is_err()) {
            return Err(BadParameter("rikeyid"));
        }
        Ok(LaunchRequest { key: self.array("rikey")? })
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let query = Query::new(Some(text));
    let longest = text.len() / 2;
    assert!(query.bytes("salt").map_or(0, |salt| salt.len()) <= longest);
    if let Ok(launch) = query.launch() {
        assert_eq!(query.array("rikey"), Ok(launch.key));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LAUNCH: &str = "uniqueid=1&mode=1280x720x60&rikey=000102030405060708090a0b0c0d0e0f&rikeyid=-5";

    #[test]
    fn a_launch_of_a_stock_client_is_read() {
        let launch = Query::new(Some(LAUNCH)).launch().map_err(|bad| bad.0);
        assert!(launch.is_ok_and(|launch| launch.key[15] == 15));
    }

    #[test]
    fn a_launch_without_a_mode_or_key_is_refused() {
        for (from, to, bad) in [
            ("1280x720x60", "0x0x0", "mode"),
            ("1280x720x60", "1280x720", "mode"),
            ("1280x720x60", "-1x720x60", "mode"),
            ("1280x720x60", "99999999999x1x1", "mode"),
            ("1280x720x60", "100000x100000x1000", "mode"),
            ("0e0f", "0e", "rikey"),
            ("0e0f", "0e0g", "rikey"),
            ("rikeyid=-5", "rikeyid=x", "rikeyid"),
        ] {
            let query = LAUNCH.replace(from, to);
            assert_eq!(Query::new(Some(&query)).launch().err(), Some(BadParameter(bad)), "{query}");
        }
    }

    proptest! {
        #[test]
        fn a_strangers_query_is_read_or_refused(text in "\\PC{0,200}", tail in "[a-z0-9=&%x-]{0,80}") {
            for text in [text, format!("{LAUNCH}&{tail}"), format!("{tail}&{LAUNCH}"), tail] {
                let query = Query::new(Some(&text));
                if let Ok(launch) = query.launch() {
                    prop_assert_eq!(query.bytes("rikey"), Ok(launch.key.to_vec()));
                }
            }
        }
    }
}
