//! Whether a browser says that a request came from our own page.
//!
//! `SameSite` does not tell ports apart: a page on another port of this machine is of the same site, and its requests carry
//! our cookie. Browsers say which page asks in `Sec-Fetch-Site` (<https://www.w3.org/TR/fetch-metadata/>) and `Origin`
//! (RFC 6454); no page can set either. Where a browser sends neither, `SameSite` and the CSRF token stand alone.

use axum::http::uri::Authority;
use axum::http::{HeaderMap, Uri, header};

/// Whether a request with our cookie may be answered. `reads`: it changes nothing, and may come from the address bar, too.
pub(crate) fn is_ours(uri: &Uri, headers: &HeaderMap, reads: bool) -> bool {
    let by_fetch = match one(headers, "sec-fetch-site") {
        Ok(None) | Ok(Some("same-origin")) => true,
        Ok(Some("none")) => reads,
        _ => false,
    };
    let by_origin = match one(headers, header::ORIGIN.as_str()) {
        Ok(None) => true,
        Ok(Some(origin)) => authority(origin).is_some_and(|origin| Some(origin) == addressed(uri, headers)),
        Err(()) => false,
    };
    by_fetch && by_origin
}

/// The only value of a header; an error if there are several, or it is no text.
fn one<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(None),
        (Some(value), None) => value.to_str().map(Some).map_err(drop),
        (Some(_), Some(_)) => Err(()),
    }
}

/// Host and port of an origin. Its scheme is ours already: one port serves one of the two.
fn authority(origin: &str) -> Option<Authority> {
    let host = origin.strip_prefix("https://").or_else(|| origin.strip_prefix("http://"))?;
    host.parse().ok()
}

/// By which name and port the request was addressed; which of them are ours was checked before.
pub(crate) fn addressed(uri: &Uri, headers: &HeaderMap) -> Option<Authority> {
    uri.authority().cloned().or_else(|| one(headers, header::HOST.as_str()).ok().flatten()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use axum::http::{HeaderName, HeaderValue};

    use super::*;

    fn ours(fields: &[(&'static str, &'static str)], reads: bool) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("127.0.0.1:47990"));
        for (name, value) in fields {
            headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
        }
        is_ours(&Uri::from_static("/api/v1/clients"), &headers, reads)
    }

    #[test]
    fn our_page_may_read_and_change_and_the_address_bar_may_read() {
        for reads in [true, false] {
            assert!(ours(&[], reads), "a browser that says nothing");
            assert!(ours(&[("sec-fetch-site", "same-origin")], reads));
            assert!(ours(&[("sec-fetch-site", "same-origin"), ("origin", "http://127.0.0.1:47990")], reads));
            assert!(ours(&[("origin", "https://127.0.0.1:47990")], reads));
            assert_eq!(ours(&[("sec-fetch-site", "none")], reads), reads);
        }
    }

    #[test]
    fn no_other_page_may() {
        for reads in [true, false] {
            for site in ["cross-site", "same-site", "", "Same-Origin "] {
                assert!(!ours(&[("sec-fetch-site", site)], reads), "{site}");
            }
            for origin in
                ["null", "", "http://127.0.0.1:3000", "http://127.0.0.1", "https://evil.example", "127.0.0.1:47990"]
            {
                assert!(!ours(&[("origin", origin)], reads), "{origin}");
            }
            assert!(!ours(&[("origin", "http://127.0.0.1:47990"), ("origin", "http://127.0.0.1:47990")], reads));
        }
    }
}
