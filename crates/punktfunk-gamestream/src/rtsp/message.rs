//! One RTSP request, out of bytes that a stranger sends; and a reply into bytes. No more of RFC 2326 than clients use.

use std::fmt::Write as _;

/// Longest head: first line and fields. Stock clients need 300 bytes.
pub(super) const MAX_HEAD_BYTES: usize = 4096;

/// Longest body. Stock clients' ANNOUNCE has 3 kB.
pub(super) const MAX_BODY_BYTES: usize = 16 << 10;

/// Most fields of a head.
const MAX_FIELDS: usize = 32;

/// Why bytes are no request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ParseError {
    #[error("the head of the request is longer than {MAX_HEAD_BYTES} bytes or has more than {MAX_FIELDS} fields")]
    Head,
    #[error("the body is longer than {MAX_BODY_BYTES} bytes")]
    Body,
    #[error("the request has the wrong form")]
    Form,
}

/// A request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: String,
    pub(super) target: String,
    /// Its number, to be echoed.
    pub(super) sequence: u32,
    pub(super) body: String,
}

impl Request {
    /// Reads the request at the front of `bytes`; `None` if more of it is to come.
    pub(super) fn parse(bytes: &[u8]) -> Result<Option<Self>, ParseError> {
        let head_bytes = bytes.windows(4).take(MAX_HEAD_BYTES).position(|end| end == b"\r\n\r\n");
        let Some(head_bytes) = head_bytes else {
            return if bytes.len() >= MAX_HEAD_BYTES { Err(ParseError::Head) } else { Ok(None) };
        };
        let head = std::str::from_utf8(&bytes[..head_bytes]).map_err(|_not_text| ParseError::Form)?;
        let mut lines = head.split("\r\n");
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (Some(method), Some(target), Some("RTSP/1.0"), None) =
            (first.next(), first.next(), first.next(), first.next())
        else {
            return Err(ParseError::Form);
        };
        let (mut sequence, mut length) = (None, 0);
        for (count, line) in lines.enumerate() {
            if count >= MAX_FIELDS {
                return Err(ParseError::Head);
            }
            let (name, value) = line.split_once(':').ok_or(ParseError::Form)?;
            let value = value.trim();
            if name.eq_ignore_ascii_case("CSeq") {
                sequence = Some(value.parse().map_err(|_no_number| ParseError::Form)?);
            } else if name.eq_ignore_ascii_case("Content-length") {
                length = value.parse().map_err(|_no_number| ParseError::Form)?;
            }
        }
        // Before any of it is waited for.
        if length > MAX_BODY_BYTES {
            return Err(ParseError::Body);
        }
        let start = head_bytes + 4;
        let Some(body) = bytes.get(start..start + length) else { return Ok(None) };
        Ok(Some(Self {
            method: method.to_owned(),
            target: target.to_owned(),
            sequence: sequence.ok_or(ParseError::Form)?,
            body: std::str::from_utf8(body).map_err(|_not_text| ParseError::Form)?.to_owned(),
        }))
    }
}

/// A reply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Response {
    pub(super) status: u16,
    pub(super) reason: &'static str,
    pub(super) fields: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn ok() -> Self {
        Self::status(200, "OK")
    }

    pub(super) fn status(status: u16, reason: &'static str) -> Self {
        Self { status, reason, fields: Vec::new(), body: String::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl std::fmt::Display) -> Self {
        self.fields.push((name, value.to_string()));
        self
    }

    /// The bytes. `sequence` is that of the request, if it could be read.
    pub(super) fn encode(&self, sequence: Option<u32>) -> Vec<u8> {
        let mut text = format!("RTSP/1.0 {} {}\r\n", self.status, self.reason);
        let mut field = |name: &str, value: &dyn std::fmt::Display| {
            write!(text, "{name}: {value}\r\n").expect("a string takes everything");
        };
        if let Some(sequence) = sequence {
            field("CSeq", &sequence);
        }
        self.fields.iter().for_each(|(name, value)| field(name, value));
        if !self.body.is_empty() {
            field("Content-length", &self.body.len());
        }
        text.push_str("\r\n");
        text.push_str(&self.body);
        text.into_bytes()
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn fuzz(bytes: &[u8]) {
    let whole = Request::parse(bytes);
    let half = Request::parse(&bytes[..bytes.len() / 2]);
    // What is a request already stays one when more comes.
    if let Ok(Some(half)) = half {
        assert_eq!(whole, Ok(Some(half)));
    }
    if let Ok(Some(request)) = whole {
        assert!(request.body.len() <= MAX_BODY_BYTES && request.body.len() < bytes.len());
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ANNOUNCE: &[u8] =
        b"ANNOUNCE streamid=control/13/0 RTSP/1.0\r\nCSeq: 6\r\nSession:  X\r\nContent-length: 5\r\n\r\nv=0\r\nrest";

    #[test]
    fn a_request_is_read_once_all_of_it_is_there() {
        let whole = ANNOUNCE.len() - 4;
        for end in 0..whole {
            assert_eq!(Request::parse(&ANNOUNCE[..end]), Ok(None), "{end}");
        }
        let request = Request::parse(ANNOUNCE).unwrap().unwrap();
        assert_eq!((request.method.as_str(), request.sequence, request.body.as_str()), ("ANNOUNCE", 6, "v=0\r\n"));
        assert_eq!(request.target, "streamid=control/13/0");
    }

    #[test]
    fn a_length_that_is_too_large_is_refused_before_it_is_waited_for() {
        for length in ["16385", "1073741824", "18446744073709551615"] {
            let bytes = format!("ANNOUNCE x RTSP/1.0\r\nCSeq: 1\r\nContent-length: {length}\r\n\r\n");
            assert_eq!(Request::parse(bytes.as_bytes()), Err(ParseError::Body), "{length}");
        }
        assert_eq!(Request::parse(&vec![b'A'; MAX_HEAD_BYTES]), Err(ParseError::Head));
        let fields = format!("PLAY / RTSP/1.0\r\n{}\r\n", "a: b\r\n".repeat(40));
        assert_eq!(Request::parse(fields.as_bytes()), Err(ParseError::Head));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for text in
            ["\r\n\r\n", "GET / HTTP/1.1\r\n\r\n", "PLAY / RTSP/1.0\r\n\r\n", "PLAY / RTSP/1.0\r\nCSeq: -1\r\n\r\n"]
        {
            assert_eq!(Request::parse(text.as_bytes()), Err(ParseError::Form), "{text}");
        }
    }

    proptest! {
        #[test]
        fn garbage_is_refused_or_waited_for(bytes in proptest::collection::vec(any::<u8>(), 0..300), cut in 0_usize..100) {
            for bytes in [bytes.clone(), [&ANNOUNCE[..cut.min(ANNOUNCE.len())], &bytes].concat()] {
                if let Ok(Some(request)) = Request::parse(&bytes) {
                    prop_assert!(request.body.len() + request.target.len() < bytes.len());
                }
            }
        }
    }
}
