//! First contact: a client asks, the operator types the PIN that it shows, and both prove that they have the same.
//!
//! Stock clients all send one `uniqueid`, and nothing but the address tells apart whose phase a request is. So one exchange
//! is under way for an address: a new one takes the place of an older one, whose PIN then answers nothing.

mod exchange;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use exchange::fuzz;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;
use punktfunk_pairing::requests::{AttemptError, OpenError, Progress};
use punktfunk_pairing::{ClientStore, Expired, PairRequest, PairingConfig, Requests, StoreError, answered};
use tokio::sync::Notify;

use crate::certificate::Certificate;
use crate::identity::HostIdentity;
use exchange::Exchange;
pub use exchange::PhaseError;

/// Why a client was not paired, or a phase was refused.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The request was not taken.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It was not answered in time, or another of the same address took its place.
    #[error("the pairing request was not answered, or another one took its place")]
    Expired,
    /// The PIN may not be tried.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// A phase failed.
    #[error(transparent)]
    Phase(#[from] PhaseError),
    /// The list of clients could not be written: the client is not let in.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a request was not answered by the operator.
#[derive(Debug, thiserror::Error)]
pub enum AnswerError {
    /// This protocol's clients make the PIN.
    #[error("a GameStream client shows the PIN: answer the request with it (`pin`; `ctl pair ID --pin PIN`)")]
    PinNeeded,
    /// The request is gone, has an answer already, or the PIN is none.
    #[error(transparent)]
    Approve(#[from] punktfunk_pairing::ApproveError),
}

/// An exchange and the request that it belongs to.
struct Running {
    request: String,
    exchange: Exchange,
}

struct Inner {
    host: Arc<HostIdentity>,
    clients: ClientStore,
    requests: Mutex<Requests>,
    exchanges: Mutex<HashMap<IpAddr, Running>>,
    /// Requests were answered, or have gone.
    changed: Notify,
}

/// Pairing of one host. Clones share it.
#[derive(Clone)]
pub struct Pairing(Arc<Inner>);

/// Takes its request off the list when the client goes away before the operator has answered.
struct Waiting<'a> {
    pairing: &'a Pairing,
    request: Option<String>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take() {
            self.pairing.0.requests.lock().close(&request);
        }
    }
}

impl Pairing {
    pub(crate) fn new(host: Arc<HostIdentity>, clients: ClientStore) -> Self {
        // A wrong PIN ends this protocol's exchange: the client shows another one.
        let config = PairingConfig { id_prefix: "g", attempts: 1, ..PairingConfig::default() };
        Self(Arc::new(Inner {
            host,
            clients,
            requests: Mutex::new(Requests::new(config)),
            exchanges: Mutex::new(HashMap::new()),
            changed: Notify::new(),
        }))
    }

    /// Requests that wait for a PIN or try one, oldest first.
    pub fn requests(&self) -> Vec<PairRequest> {
        self.0.requests.lock().list(Instant::now())
    }

    /// Answers a request with the PIN that the client shows, and names the client.
    ///
    /// # Errors
    /// [`AnswerError`].
    pub fn approve(&self, id: &str, pin: Option<&str>, name: Option<&str>) -> Result<String, AnswerError> {
        let pin = pin.ok_or(AnswerError::PinNeeded)?;
        let pin = self.0.requests.lock().approve(Instant::now(), id, Some(pin), name)?;
        self.0.changed.notify_waiters();
        Ok(pin.as_str().to_owned())
    }

    /// Phase 1. Waits until the operator has given the PIN; dropping the future withdraws the request.
    pub(crate) async fn begin(&self, from: SocketAddr, salt: [u8; 16], client: Certificate) -> Result<(), PairError> {
        self.drop_exchange(from.ip());
        let fingerprint = client.fingerprint();
        // What stock clients call themselves is the same for all of them, so a fingerprint says more.
        let request = self.0.requests.lock().open(Instant::now(), from, fingerprint, "")?;
        self.0.changed.notify_waiters();
        let mut waiting = Waiting { pairing: self, request: Some(request.clone()) };
        tracing::info!(%request, peer = %from, %fingerprint, "a GameStream client asks to be paired; type the PIN that it shows");
        answered(&self.0.requests, &self.0.changed, &request).await.map_err(|Expired| PairError::Expired)?;
        let (pin, _none_left) = self.0.requests.lock().attempt(Instant::now(), &request)?;
        let exchange = Exchange::new(&salt, &pin, client);
        // From here on the exchange stands for the request: it ends with it, or expires.
        waiting.request = None;
        let replaced = self.0.exchanges.lock().insert(from.ip(), Running { request, exchange });
        self.close(replaced);
        Ok(())
    }

    /// Phase 2: gives the reply. A phase that fails ends the exchange.
    pub(crate) fn challenge(&self, from: IpAddr, sealed: &[u8]) -> Result<Vec<u8>, PairError> {
        self.step(from, |host, exchange| exchange.challenge(host, sealed))
    }

    /// Phase 3: gives the reply.
    pub(crate) fn response(&self, from: IpAddr, sealed: &[u8]) -> Result<Vec<u8>, PairError> {
        self.step(from, |host, exchange| exchange.response(host, sealed))
    }

    /// Phase 4: lets the client in. Writes to the disk.
    pub(crate) fn finish(&self, from: IpAddr, told: &[u8]) -> Result<(), PairError> {
        let certificate = self.step(from, |_, exchange| exchange.secret(told).cloned())?;
        let running = self.0.exchanges.lock().remove(&from).ok_or(PairError::Expired)?;
        let name = self.0.requests.lock().succeed(Instant::now(), &running.request).ok_or(PairError::Expired)?;
        let added = self.0.clients.add(certificate.fingerprint(), &name)?;
        tracing::info!(client = %added.name, id = %added.id, "a GameStream client was paired");
        Ok(())
    }

    /// The client gives its exchange up.
    pub(crate) fn drop_exchange(&self, from: IpAddr) {
        let dropped = self.0.exchanges.lock().remove(&from);
        if dropped.is_some() {
            tracing::warn!(peer = %from, "a GameStream client gave up pairing; as a rule the PIN was wrong");
        }
        self.close(dropped);
    }

    fn step<T>(
        &self,
        from: IpAddr,
        step: impl FnOnce(&HostIdentity, &mut Exchange) -> Result<T, PhaseError>,
    ) -> Result<T, PairError> {
        let mut exchanges = self.0.exchanges.lock();
        let Some(running) = exchanges.get_mut(&from) else { return Err(PhaseError::OutOfTurn.into()) };
        let alive =
            matches!(self.0.requests.lock().progress(Instant::now(), &running.request), Progress::Approved { .. });
        let done = if alive {
            step(&self.0.host, &mut running.exchange).map_err(PairError::from)
        } else {
            Err(PairError::Expired)
        };
        if done.is_err() {
            let ended = exchanges.remove(&from);
            drop(exchanges);
            self.close(ended);
        }
        done
    }

    fn close(&self, ended: Option<Running>) {
        if let Some(ended) = ended {
            self.0.requests.lock().close(&ended.request);
        }
    }
}
