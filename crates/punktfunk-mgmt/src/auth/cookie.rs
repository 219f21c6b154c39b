//! The session's cookie (RFC 6265).
//!
//! Browsers keep cookies by host and not by port, so its name holds the port: two hosts on one machine do not sign each
//! other out. Under TLS it is `Secure` and its name begins with `__Host-`: no other host may set one over it.

use axum::http::{HeaderMap, HeaderValue, header};

use super::sign_in::SESSION_LIFETIME;
use crate::served::Served;
use crate::tokens::Token;

/// The name of the cookie of a host that is served like this.
pub(crate) fn name(served: Option<Served>) -> String {
    match served {
        Some(Served { address, tls: true }) => format!("__Host-punktfunk-{}", address.port()),
        Some(Served { address, tls: false }) => format!("punktfunk-{}", address.port()),
        None => "punktfunk".to_owned(),
    }
}

/// Values of all cookies of this name: a page on another port of this host can add one, and must not hide ours by it.
pub(crate) fn values<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a [u8]> {
    let fields = headers.get_all(header::COOKIE).into_iter();
    fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';')).filter_map(move |pair| {
        let (key, value) = pair.trim_ascii().split_at_checked(name.len())?;
        let value = value.strip_prefix(b"=")?;
        (key == name.as_bytes()).then_some(value)
    })
}

/// `Set-Cookie` that keeps a session's secret where no script can read it and no other site can send it.
pub(crate) fn keep(served: Option<Served>, secret: &Token) -> HeaderValue {
    set(served, secret.reveal(), SESSION_LIFETIME.as_secs())
}

/// `Set-Cookie` that forgets it.
pub(crate) fn forget(served: Option<Served>) -> HeaderValue {
    set(served, "", 0)
}

fn set(served: Option<Served>, value: &str, max_age: u64) -> HeaderValue {
    let secure = if served.is_some_and(|served| served.tls) { "; Secure" } else { "" };
    let name = name(served);
    let text = format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={max_age}{secure}");
    let mut value = HeaderValue::try_from(text).expect("our names and tokens are printable ASCII");
    // Nothing that shows headers is to show this one.
    value.set_sensitive(true);
    value
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn found(fields: &[&'static str]) -> Vec<Vec<u8>> {
        let mut headers = HeaderMap::new();
        for field in fields {
            headers.append(header::COOKIE, HeaderValue::from_static(field));
        }
        values(&headers, "punktfunk-1").map(<[u8]>::to_vec).collect()
    }

    #[test]
    fn every_cookie_of_the_name_is_found_and_no_other() {
        assert_eq!(found(&["a=b; punktfunk-1=x;punktfunk-1=y", "punktfunk-1="]), [&b"x"[..], b"y", b""]);
        assert_eq!(found(&["punktfunk-12=x; xpunktfunk-1=y; punktfunk-1", "", ";;="]), Vec::<Vec<u8>>::new());
    }

    proptest! {
        #[test]
        fn any_header_is_read(field in prop::collection::vec(32_u8..127, 0..80)) {
            let mut headers = HeaderMap::new();
            headers.insert(header::COOKIE, HeaderValue::from_bytes(&field).unwrap());
            prop_assert!(values(&headers, "punktfunk-1").all(|value| value.len() < field.len()));
        }
    }
}
