//! In which coding an answer may leave: gzip for those who want it, as it is for everybody else.
//!
//! The compressing layer answers 406 to whoever refuses every coding, after the handler has run and with its body. So what
//! was asked for is read here, and the layer sees `gzip` or nothing: an answer that nobody wanted plain is better than none
//! (RFC 9110, section 12.5.3, leaves the choice).

use axum::http::{HeaderMap, HeaderValue, header};

/// Codings that the caller takes; an extension of each request. Brotli is for what was packed beforehand only.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Accepted {
    pub(crate) gzip: bool,
    pub(crate) brotli: bool,
}

/// Leaves `gzip` in `Accept-Encoding`, or no such field; says what was in it.
pub(crate) fn negotiate(headers: &mut HeaderMap) -> Accepted {
    let accepted = Accepted { gzip: wants(headers, &["gzip", "x-gzip"]), brotli: wants(headers, &["br"]) };
    if accepted.gzip {
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
    } else {
        headers.remove(header::ACCEPT_ENCODING);
    }
    accepted
}

/// Whether a coding, by any of its names, is acceptable, and no less welcome than none.
fn wants(headers: &HeaderMap, names: &[&str]) -> bool {
    let (mut named, mut identity, mut other) = (None, None, None);
    let values = headers.get_all(header::ACCEPT_ENCODING).iter();
    for element in values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')) {
        let (coding, weight) = element.split_once(';').unwrap_or((element, "q=1"));
        let Some(weight) = quality(weight.trim()) else { continue };
        match coding.trim().to_ascii_lowercase().as_str() {
            name if names.contains(&name) => named = Some(weight),
            "identity" => identity = Some(weight),
            "*" => other = Some(weight),
            _ => {}
        }
    }
    let wanted = named.or(other).unwrap_or(0.0);
    wanted > 0.0 && wanted >= identity.or(other).unwrap_or(0.0)
}

/// The weight of `q=0.5`.
fn quality(text: &str) -> Option<f32> {
    let number = text.strip_prefix("q=").or_else(|| text.strip_prefix("Q="))?;
    number.parse().ok().filter(|weight| (0.0..=1.0).contains(weight))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn left(value: &str) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_str(value).unwrap());
        negotiate(&mut headers);
        headers.remove(header::ACCEPT_ENCODING)
    }

    #[test]
    fn gzip_is_for_those_who_want_it() {
        for yes in ["gzip", "x-gzip", "br, GZIP;q=0.5", "deflate, gzip, br", "*", "identity;q=0, *", "gzip ; q=1.000"] {
            assert_eq!(left(yes), Some(HeaderValue::from_static("gzip")), "{yes}");
        }
        for no in
            ["", "br", "identity", "gzip;q=0", "*;q=0", "identity, gzip;q=0.5", "gzip;q=2", "gzip;q=NaN", "*, gzip;q=0"]
        {
            assert_eq!(left(no), None, "{no}");
        }
    }

    #[test]
    fn whoever_refuses_everything_gets_the_answer_as_it_is() {
        for nothing in ["identity;q=0", "*;q=0", "identity;q=0, br", "gzip;q=0, identity;q=0"] {
            assert_eq!(left(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn brotli_is_known_beside_gzip() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("deflate, br;q=0.9"));
        assert_eq!(negotiate(&mut headers), Accepted { gzip: false, brotli: true });
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br;q=0"));
        assert_eq!(negotiate(&mut headers), Accepted { gzip: true, brotli: false });
    }

    proptest! {
        #[test]
        fn any_header_leaves_gzip_or_nothing(value in "[ -~]{0,80}") {
            let left = left(&value);
            prop_assert!(left.is_none_or(|left| left == "gzip"));
        }
    }
}
