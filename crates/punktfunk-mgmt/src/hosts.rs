//! By which name the host was addressed.
//!
//! A page of another origin can point its own name at this address and would then count as our origin (DNS rebinding). So a
//! request must name an address of ours, `localhost`, or a name that the operator has allowed. Ports are not compared:
//! whoever forwards one has another, and an attacker gains nothing by it.

use std::net::IpAddr;

use axum::http::uri::Authority;
use axum::http::{HeaderMap, StatusCode, Uri, header};

use crate::error::ApiError;

/// The names that are ours.
#[derive(Debug, Clone)]
pub(crate) struct Hosts {
    bind: IpAddr,
    allowed: Vec<String>,
}

impl Hosts {
    /// `bind`: the address that the server listens on. `allowed`: further names or addresses, without ports.
    pub(crate) fn new(bind: IpAddr, allowed: &[String]) -> Self {
        let allowed = allowed.iter().map(|name| plain(name).to_ascii_lowercase()).collect();
        Self { bind, allowed }
    }

    /// Refuses a request that was meant for somebody else.
    pub(crate) fn check(&self, uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
        let mut values = headers.get_all(header::HOST).iter();
        let (first, second) = (values.next(), values.next());
        // The authority of an absolute target stands above the header (RFC 9112, section 3.2.2).
        let named = match uri.authority() {
            Some(authority) => Some(authority.clone()),
            None => first.and_then(|value| Authority::try_from(value.as_bytes()).ok()),
        };
        let Some(named) = named.filter(|_| second.is_none()) else {
            return Err(ApiError::new(
                StatusCode::BAD_REQUEST,
                "a request names its host in exactly one `Host` header",
            ));
        };
        if self.is_ours(named.host()) {
            return Ok(());
        }
        let message = "this host is not known by that name: use its address, or add the name to `allowed_hosts`";
        Err(ApiError::new(StatusCode::MISDIRECTED_REQUEST, message))
    }

    fn is_ours(&self, host: &str) -> bool {
        let host = plain(host);
        match host.parse::<IpAddr>() {
            // An address cannot be rebound; on all interfaces we do not know which are ours.
            Ok(ip) if ip.is_loopback() || ip == self.bind || self.bind.is_unspecified() => true,
            _ => host.eq_ignore_ascii_case("localhost") || self.allowed.contains(&host.to_ascii_lowercase()),
        }
    }
}

/// Without the brackets of an IPv6 address and the dot behind a full name.
fn plain(host: &str) -> &str {
    let inner = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    inner.strip_suffix('.').unwrap_or(inner)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn status(hosts: &Hosts, uri: &'static str, names: &[&'static str]) -> u16 {
        let mut headers = HeaderMap::new();
        for name in names {
            headers.append(header::HOST, HeaderValue::from_static(name));
        }
        match hosts.check(&Uri::from_static(uri), &headers) {
            Ok(()) => 200,
            Err(error) => error.status().as_u16(),
        }
    }

    #[test]
    fn own_addresses_localhost_and_allowed_names_pass() {
        let hosts = Hosts::new("192.168.1.5".parse().unwrap(), &["Tower.lan".into(), "fd00::7".into()]);
        for ours in
            ["192.168.1.5", "192.168.1.5:47990", "127.0.0.1:8080", "[::1]:1", "LOCALHOST", "tower.LAN.:9", "[fd00::7]"]
        {
            assert_eq!(status(&hosts, "/", &[ours]), 200, "{ours}");
        }
        for foreign in ["evil.example", "192.168.1.6", "localhost.evil.example", "tower.lan.evil.example", "0.0.0.0"] {
            assert_eq!(status(&hosts, "/", &[foreign]), 421, "{foreign}");
        }
        let everywhere = Hosts::new("0.0.0.0".parse().unwrap(), &[]);
        assert_eq!(status(&everywhere, "/", &["192.168.1.6:1"]), 200);
        assert_eq!(status(&everywhere, "/", &["evil.example"]), 421);
    }

    #[test]
    fn a_request_names_one_host() {
        let hosts = Hosts::new("127.0.0.1".parse().unwrap(), &[]);
        assert_eq!(status(&hosts, "/", &[]), 400);
        assert_eq!(status(&hosts, "/", &["localhost", "evil.example"]), 400);
        assert_eq!(status(&hosts, "/", &["not a host"]), 400);
        assert_eq!(status(&hosts, "http://evil.example/", &["localhost"]), 421);
    }

    proptest! {
        #[test]
        fn no_name_passes_that_is_not_ours(bytes in prop::collection::vec(any::<u8>(), 0..40), text in "[a-z0-9.:@\\[\\]%-]{0,24}") {
            let hosts = Hosts::new("192.168.1.5".parse().unwrap(), &[]);
            for value in [bytes, text.into_bytes()] {
                let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
                let mut headers = HeaderMap::new();
                headers.insert(header::HOST, value.clone());
                if hosts.check(&Uri::from_static("/"), &headers).is_ok() {
                    let text = value.to_str().unwrap().to_ascii_lowercase();
                    let ours = ["localhost", "192.168.1.5", "127.", "[::1]", "[::ffff:", "[0"];
                    prop_assert!(ours.iter().any(|name| text.rsplit('@').next().unwrap().starts_with(name)), "{text}");
                }
            }
        }
    }
}
