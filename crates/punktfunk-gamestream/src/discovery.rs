//! The host announces itself in the local network: service `_nvstream._tcp` over mDNS.

use mdns_sd::{ServiceDaemon, ServiceInfo};

/// What clients look for.
const SERVICE: &str = "_nvstream._tcp.local.";

/// The host cannot be announced.
#[derive(Debug, thiserror::Error)]
#[error("the host cannot be announced in the local network: {0}")]
pub struct DiscoveryError(#[from] mdns_sd::Error);

/// An announcement. Dropping it takes it back.
pub(crate) struct Discovery(ServiceDaemon);

impl Discovery {
    pub(crate) fn announce(name: &str, port: u16) -> Result<Self, DiscoveryError> {
        let daemon = ServiceDaemon::new()?;
        // A name in DNS: letters, digits and dashes.
        let label: String =
            name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '-' }).collect();
        let host = format!("{}.local.", if label.is_empty() { "punktfunk" } else { &label });
        // No addresses: those of all interfaces, as they come and go.
        let service = ServiceInfo::new(SERVICE, name, &host, "", port, None)?.enable_addr_auto();
        daemon.register(service)?;
        Ok(Self(daemon))
    }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown() {
            tracing::debug!(%error, "the announcement could not be taken back");
        }
    }
}
