//! Where and how a request reached this host, as the server knows it, and what address to give to others.

use std::net::{IpAddr, SocketAddr, UdpSocket};

/// How the server is reached; an extension of each of its requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Served {
    /// The address that it listens on.
    pub(crate) address: SocketAddr,
    /// Whether TLS is on it.
    pub(crate) tls: bool,
}

impl Served {
    /// The address for a browser: that of the interface towards the network where it listens on all of them.
    pub(crate) fn url(self) -> String {
        let ip = self.address.ip();
        let ip = if ip.is_unspecified() { towards_the_network(ip).unwrap_or(loopback(ip)) } else { ip };
        format!("{}://{}", self.scheme(), SocketAddr::new(ip, self.address.port()))
    }

    /// `http` or `https`.
    pub(crate) fn scheme(self) -> &'static str {
        if self.tls { "https" } else { "http" }
    }
}

fn loopback(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { IpAddr::from([127, 0, 0, 1]) } else { IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]) }
}

/// The address that packets to elsewhere would leave from. Nothing is sent: connecting a datagram socket asks the routing
/// table. The addresses are kept for documentation (RFC 5737, RFC 3849).
fn towards_the_network(bind: IpAddr) -> Option<IpAddr> {
    let ask = |from: &str, to: &str| {
        let socket = UdpSocket::bind(from).ok()?;
        socket.connect(to).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    };
    let v4 = || ask("0.0.0.0:0", "192.0.2.1:9");
    if bind.is_ipv4() { v4() } else { v4().or_else(|| ask("[::]:0", "[2001:db8::1]:9")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_for_browsers_is_never_that_of_all_interfaces() {
        let url = |address: &str, tls| Served { address: address.parse().unwrap(), tls }.url();
        assert_eq!(url("127.0.0.1:47990", false), "http://127.0.0.1:47990");
        assert_eq!(url("[fd00::2]:47990", true), "https://[fd00::2]:47990");
        for all in ["0.0.0.0:1", "[::]:1"] {
            let url = url(all, true);
            assert!(url.starts_with("https://") && !url.contains("//0.0.0.0") && !url.contains("//[::]"), "{url}");
        }
    }
}
