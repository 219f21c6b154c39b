//! The host's end of first contact: lists the request, waits for the operator, runs the exchange, pins the client.

use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use quinn::Connection;
use tokio::sync::Notify;

use super::pake::{Binding, Exchange, InvalidShare, WrongPin};
use super::wire::{FromClient, FromHost};
use super::{PAIRING_LABEL, finish};
use crate::control::tls;
use crate::control::wire::{MessageReader, MessageWriter, ReadError, WriteError};
use crate::identity::Fingerprint;
use crate::message::VERSION;
use punktfunk_pairing::requests::{AttemptError, OpenError, Progress};
use punktfunk_pairing::{
    ApproveError, ClientStore, Expired, PairRequest, PairingConfig, Pin, Requests, StoreError, answered,
};

/// Why a client was not paired.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PairingError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error("the connection is gone: {0}")]
    Connection(#[from] quinn::ConnectionError),
    #[error("the client said nothing in time")]
    Silent,
    #[error("the client spoke out of turn")]
    OutOfTurn,
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    #[error("the request has expired")]
    Expired,
    #[error(transparent)]
    Share(#[from] InvalidShare),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Who asks to be paired, and the answers. Clones share it.
#[derive(Debug, Clone)]
pub struct Pairing(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    requests: Mutex<Requests>,
    clients: ClientStore,
    answered: Notify,
}

/// Takes its request off the list when the client is gone.
struct Listed<'a> {
    pairing: &'a Pairing,
    id: String,
}

impl Drop for Listed<'_> {
    fn drop(&mut self) {
        self.pairing.0.requests.lock().close(&self.id);
    }
}

impl Pairing {
    pub(crate) fn new(config: PairingConfig, clients: ClientStore) -> Self {
        let requests = Mutex::new(Requests::new(config));
        Self(Arc::new(Inner { requests, clients, answered: Notify::new() }))
    }

    /// Requests that wait, oldest first.
    pub fn requests(&self) -> Vec<PairRequest> {
        self.0.requests.lock().list(Instant::now())
    }

    /// Answers a request with the PIN that the client shows, or with a new one, which is returned, to be typed there.
    ///
    /// # Errors
    /// [`ApproveError`].
    pub fn approve(&self, id: &str, pin: Option<&str>, name: Option<&str>) -> Result<Pin, ApproveError> {
        let pin = self.0.requests.lock().approve(Instant::now(), id, pin, name)?;
        self.0.answered.notify_waiters();
        Ok(pin)
    }

    /// Pairs with the client at the other end, or not.
    pub(crate) async fn serve(
        &self,
        connection: &Connection,
        client: Fingerprint,
        host: Fingerprint,
        patience: Duration,
    ) -> Result<(), PairingError> {
        let opened = tokio::time::timeout(patience, connection.accept_bi()).await;
        let (send, receive) = opened.map_err(|_elapsed| PairingError::Silent)??;
        let mut reader = MessageReader::new(receive);
        let mut writer = MessageWriter::new(send, patience);
        let binding = Binding { client, host, session: tls::export(connection, PAIRING_LABEL, b"") };
        let talk = self.talk(connection, &mut reader, &mut writer, binding, patience);
        let talked = talk.await;
        if let Err(error) = &talked {
            // Whoever is still there hears why. What the host's own disk says is not for strangers.
            let reason = if matches!(error, PairingError::Store(_)) {
                "the host could not save it".to_owned()
            } else {
                error.to_string()
            };
            if let Err(error) = writer.send(&FromHost::Refused { reason }).await {
                tracing::debug!(%error, "a client went away before it heard why it was not paired");
            }
        }
        finish(connection, writer).await;
        talked
    }

    async fn talk(
        &self,
        connection: &Connection,
        reader: &mut MessageReader,
        writer: &mut MessageWriter,
        binding: Binding,
        patience: Duration,
    ) -> Result<(), PairingError> {
        let FromClient::Hello(hello) = reader.next_within(patience).await? else { return Err(PairingError::OutOfTurn) };
        if hello.version != VERSION {
            return Err(PairingError::OutOfTurn);
        }
        let peer = connection.remote_address();
        let id = self.0.requests.lock().open(Instant::now(), peer, binding.client, &hello.name)?;
        let listed = Listed { pairing: self, id };
        tracing::info!(request = %listed.id, %peer, fingerprint = %binding.client, "a client asks to be paired");
        writer.send(&FromHost::Waiting { request: listed.id.clone() }).await?;
        let approved = answered(&self.0.requests, &self.0.answered, &listed.id);
        tokio::select! {
            approved = approved => approved.map_err(|Expired| PairingError::Expired)?,
            gone = connection.closed() => return Err(gone.into()),
        }
        writer.send(&FromHost::EnterPin).await?;
        loop {
            let left = match self.0.requests.lock().progress(Instant::now(), &listed.id) {
                Progress::Approved { expires_in } => expires_in,
                _ => return Err(PairingError::Expired),
            };
            let FromClient::Share(share) = reader.next_within(left).await? else { return Err(PairingError::OutOfTurn) };
            let (pin, attempts_left) = self.0.requests.lock().attempt(Instant::now(), &listed.id)?;
            let exchange = Exchange::host(&pin, binding);
            writer.send(&FromHost::Share(exchange.share().to_vec())).await?;
            let confirmations = exchange.finish(&share)?;
            let FromClient::Confirm(proof) = reader.next_within(patience).await? else {
                return Err(PairingError::OutOfTurn);
            };
            match confirmations.check(&proof) {
                Ok(()) => {
                    let name =
                        self.0.requests.lock().succeed(Instant::now(), &listed.id).ok_or(PairingError::Expired)?;
                    let (clients, fingerprint) = (self.0.clients.clone(), binding.client);
                    let added = tokio::task::spawn_blocking(move || clients.add(fingerprint, &name)).await;
                    let added = added.map_err(|_panicked| PairingError::Expired)??;
                    tracing::info!(client = %added.name, id = %added.id, "a client was paired");
                    writer.send(&FromHost::Confirm(confirmations.mine().to_vec())).await?;
                    return Ok(());
                }
                Err(WrongPin) if attempts_left == 0 => return Err(AttemptError::NoneLeft.into()),
                Err(WrongPin) => writer.send(&FromHost::WrongPin { attempts_left }).await?,
            }
        }
    }
}
