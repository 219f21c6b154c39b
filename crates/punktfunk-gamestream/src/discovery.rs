//! The host announces itself in the local network: service `_nvstream._tcp` over mDNS.

use std::time::Duration;

use mdns_sd::{ServiceDaemon, ServiceInfo};

/// What clients look for.
const SERVICE: &str = "_nvstream._tcp.local.";

/// Longest label of a name in DNS, bytes (RFC 1035, section 2.3.4).
const MAX_LABEL: usize = 63;

/// Time for the announcement to be taken back.
const FAREWELL: Duration = Duration::from_millis(500);

/// The host cannot be announced.
#[derive(Debug, thiserror::Error)]
#[error("the host cannot be announced in the local network: {0}")]
pub struct DiscoveryError(#[from] mdns_sd::Error);

/// An announcement. Dropping it takes it back, which takes a moment.
pub(crate) struct Discovery(ServiceDaemon);

impl Discovery {
    pub(crate) fn announce(name: &str, port: u16) -> Result<Self, DiscoveryError> {
        let daemon = ServiceDaemon::new()?;
        let label = label(name);
        // No addresses: those of all interfaces, as they come and go.
        let service = ServiceInfo::new(SERVICE, &label, &format!("{label}.local."), "", port, None)?.enable_addr_auto();
        daemon.register(service)?;
        Ok(Self(daemon))
    }
}

/// A name as DNS has it: letters, digits and dashes, not too many.
fn label(name: &str) -> String {
    let dashed = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '-' };
    let label: String = name.chars().take(MAX_LABEL).map(dashed).collect();
    if label.is_empty() { "punktfunk".to_owned() } else { label }
}

impl Drop for Discovery {
    fn drop(&mut self) {
        // Clients are told that the host is gone before its process is.
        let told = self.0.shutdown().map(|done| done.recv_timeout(FAREWELL).is_ok());
        if !told.is_ok_and(|told| told) {
            tracing::debug!("the announcement could not be taken back");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_name_becomes_a_label() {
        assert_eq!(label("living room.lan"), "living-room-lan");
        assert_eq!(label(&"ä".repeat(100)), "-".repeat(MAX_LABEL));
        assert_eq!(label(""), "punktfunk");
    }
}
