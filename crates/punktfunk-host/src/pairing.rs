//! The management API's view of pairing on every path. Types change here; rules stand with the paths.

use std::io;

use punktfunk_gamestream::pairing::AnswerError;
use punktfunk_mgmt::{PairError, PairRequestInfo, PairedClientInfo, Pairing, RevokeError};
use punktfunk_pairing::{ApproveError, ClientStore, PairRequest};

/// Pairing of the paths that this host serves. The ids of their requests differ; so do those of their clients, for they are
/// of certificates.
pub struct HostPairing {
    native: punktfunk_native::pairing::Pairing,
    native_clients: ClientStore,
    gamestream: Option<(punktfunk_gamestream::pairing::Pairing, ClientStore)>,
}

impl HostPairing {
    /// Over each path's requests and its list of paired clients.
    pub fn new(
        native: punktfunk_native::pairing::Pairing,
        native_clients: ClientStore,
        gamestream: Option<(punktfunk_gamestream::pairing::Pairing, ClientStore)>,
    ) -> Self {
        Self { native, native_clients, gamestream }
    }
}

impl Pairing for HostPairing {
    fn requests(&self) -> Vec<PairRequestInfo> {
        let gamestream = self.gamestream.as_ref().map(|(requests, _)| requests.requests()).unwrap_or_default();
        let native = self.native.requests().into_iter().map(|request| info("native", request));
        let mut all: Vec<_> =
            native.chain(gamestream.into_iter().map(|request| info("gamestream", request))).flatten().collect();
        all.sort_by_key(|request| std::cmp::Reverse(request.age_s));
        all
    }

    fn approve(&self, id: &str, pin: Option<&str>, name: Option<&str>) -> Result<String, PairError> {
        let theirs = self.gamestream.as_ref().map(|(requests, _)| requests);
        match theirs.filter(|requests| requests.requests().iter().any(|request| request.id == id)) {
            Some(requests) => requests.approve(id, pin, name).map_err(|error| match error {
                error @ AnswerError::PinNeeded => PairError::Invalid(error.to_string()),
                AnswerError::Approve(error) => refused(error),
            }),
            None => Ok(self.native.approve(id, pin, name).map_err(refused)?.as_str().to_owned()),
        }
    }

    fn clients(&self) -> Vec<PairedClientInfo> {
        let theirs = self.gamestream.as_ref().map(|(_, clients)| ("gamestream", clients));
        let stores = [("native", &self.native_clients)].into_iter().chain(theirs);
        stores
            .flat_map(|(protocol, clients)| clients.list().into_iter().map(move |client| (protocol, client)))
            .map(|(protocol, client)| PairedClientInfo {
                id: client.id,
                protocol: protocol.to_owned(),
                name: client.name,
                fingerprint: client.fingerprint.to_string(),
                added_unix_ms: client.added_unix_ms,
                last_seen_unix_ms: client.last_seen_unix_ms,
                connected: client.connected,
            })
            .collect()
    }

    fn revoke(&self, id: &str) -> Result<(), RevokeError> {
        let theirs = self.gamestream.as_ref().map(|(_, clients)| clients);
        let theirs = theirs.filter(|clients| clients.list().iter().any(|client| client.id == id));
        theirs.unwrap_or(&self.native_clients).revoke(id).map(drop).map_err(|error| match error {
            punktfunk_pairing::RevokeError::NotFound { id } => RevokeError::NotFound { id },
            error => RevokeError::Store(io::Error::other(error)),
        })
    }
}

/// A request that nobody has answered yet.
fn info(protocol: &str, request: PairRequest) -> Option<PairRequestInfo> {
    (!request.approved).then(|| PairRequestInfo {
        id: request.id,
        protocol: protocol.to_owned(),
        address: request.address.to_string(),
        fingerprint: request.fingerprint.to_string(),
        name: request.name,
        age_s: request.age.as_secs(),
    })
}

fn refused(error: ApproveError) -> PairError {
    match error {
        ApproveError::NotFound { id } => PairError::NotFound { id },
        ApproveError::AlreadyApproved { id } => PairError::Busy { id },
        ApproveError::InvalidPin(error) => PairError::Invalid(error.to_string()),
        ApproveError::NoRandomness(error) => PairError::Store(io::Error::other(error)),
    }
}
