//! The management API's view of the native path's pairing. Types change here; rules stand in `punktfunk-native`.

use std::io;

use punktfunk_mgmt::{PairError, PairRequestInfo, PairedClientInfo, Pairing, RevokeError};
use punktfunk_native::pairing::{self, ApproveError, ClientStore};

/// Pairing of the native path.
pub struct NativePairing {
    requests: pairing::Pairing,
    clients: ClientStore,
}

impl NativePairing {
    /// Over the control server's requests and the list of paired clients.
    pub fn new(requests: pairing::Pairing, clients: ClientStore) -> Self {
        Self { requests, clients }
    }
}

impl Pairing for NativePairing {
    fn requests(&self) -> Vec<PairRequestInfo> {
        let open = self.requests.requests().into_iter().filter(|request| !request.approved);
        open.map(|request| PairRequestInfo {
            id: request.id,
            protocol: "native".to_owned(),
            address: request.address.to_string(),
            fingerprint: request.fingerprint.to_string(),
            name: request.name,
            age_s: request.age.as_secs(),
        })
        .collect()
    }

    fn approve(&self, id: &str, pin: Option<&str>, name: Option<&str>) -> Result<String, PairError> {
        let pin = self.requests.approve(id, pin, name).map_err(|error| match error {
            ApproveError::NotFound { id } => PairError::NotFound { id },
            ApproveError::AlreadyApproved { id } => PairError::Busy { id },
            ApproveError::InvalidPin(error) => PairError::Invalid(error.to_string()),
            ApproveError::NoRandomness(error) => PairError::Store(io::Error::other(error)),
        })?;
        Ok(pin.as_str().to_owned())
    }

    fn clients(&self) -> Vec<PairedClientInfo> {
        let clients = self.clients.list().into_iter();
        clients
            .map(|client| PairedClientInfo {
                id: client.id,
                name: client.name,
                fingerprint: client.fingerprint.to_string(),
                added_unix_ms: client.added_unix_ms,
                last_seen_unix_ms: client.last_seen_unix_ms,
                connected: client.connected,
            })
            .collect()
    }

    fn revoke(&self, id: &str) -> Result<(), RevokeError> {
        self.clients.revoke(id).map(drop).map_err(|error| match error {
            pairing::RevokeError::NotFound { id } => RevokeError::NotFound { id },
            error => RevokeError::Store(io::Error::other(error)),
        })
    }
}
