//! The client's end of first contact.

use quinn::ConnectionError;

use punktfunk_pairing::Pin;

use super::pake::{Binding, Exchange, InvalidShare, WrongPin};
use super::wire::{FromClient, FromHost};
use super::{PAIRING_LABEL, finish};
use crate::control::PAIRING_ALPN;
use crate::control::dialer::{DialError, client_endpoint, resolve};
use crate::control::tls::{self, Accept};
use crate::control::wire::{MessageReader, MessageWriter, ReadError, WriteError};
use crate::identity::{Fingerprint, Identity, SERVER_NAME};
use crate::message::{Hello, VERSION};

/// How often a PIN is typed for one request, as often as a host by default allows.
const MAX_PROMPTS: u32 = 3;

/// Why a client is not paired.
#[derive(Debug, thiserror::Error)]
pub enum PairError {
    /// The host could not be reached.
    #[error(transparent)]
    Dial(#[from] DialError),
    /// The connection broke off.
    #[error("no connection: {0}")]
    Connection(#[from] ConnectionError),
    /// What the host said could not be understood, or it hung up.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The host could not be told anything.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// The host said no.
    #[error("the host did not pair: {0}")]
    Refused(String),
    /// The host asks again and again. Whoever stands between learns by each PIN that is typed whether it guessed right.
    #[error("the host asked for the PIN more than {MAX_PROMPTS} times: ask to be paired anew")]
    TooManyPrompts,
    /// The user gave no PIN.
    #[error("no PIN was given")]
    NoPin,
    /// What answers has no certificate, or speaks something else.
    #[error("this is no host, or one of another version")]
    Protocol,
    /// What answers does not know the PIN: somebody may stand between.
    #[error("the host could not prove that it knows the PIN: somebody may stand between you and it")]
    Impostor,
    /// The host's share is no point of the group.
    #[error(transparent)]
    Share(#[from] InvalidShare),
}

/// What is asked of the user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// The request is listed at the host under this id; the operator must answer.
    Waiting {
        /// Id of the request.
        request: String,
    },
    /// The PIN is to be typed.
    Pin {
        /// `Some` after a wrong one: how often it may be tried again.
        attempts_left: Option<u32>,
    },
}

/// Pairs with the host at `host` (`name:port`) and gives the certificate to pin. `ask` is called off the async threads: its
/// answer counts for [`Ask::Pin`] only.
///
/// # Errors
/// [`PairError`].
///
/// # Panics
/// On a Tokio runtime of a single thread, which `ask` would hold up.
pub async fn pair(
    host: &str,
    identity: &Identity,
    name: &str,
    mut ask: impl FnMut(Ask) -> Option<Pin> + Send,
) -> Result<Fingerprint, PairError> {
    let address = resolve(host)?;
    let endpoint = client_endpoint(address, identity, Accept::Anybody, PAIRING_ALPN)?;
    let connecting = endpoint.connect(address, SERVER_NAME).map_err(|_error| PairError::Protocol)?;
    let connection = connecting.await?;
    let fingerprint = tls::peer_fingerprint(&connection).ok_or(PairError::Protocol)?;
    let session = tls::export(&connection, PAIRING_LABEL, b"");
    let binding = Binding { client: identity.fingerprint(), host: fingerprint, session };
    let (send, receive) = connection.open_bi().await?;
    let mut reader = MessageReader::new(receive);
    let mut writer = MessageWriter::new(send, std::time::Duration::from_secs(10));
    writer.send(&FromClient::Hello(Hello { version: VERSION, name: name.to_owned() })).await?;
    let mut prompts = 0;
    let mut exchange = None;
    let mut confirmations = None;
    let paired = loop {
        match reader.next::<FromHost>().await? {
            FromHost::Waiting { request } => {
                tokio::task::block_in_place(|| ask(Ask::Waiting { request }));
            }
            step @ (FromHost::EnterPin | FromHost::WrongPin { .. }) => {
                prompts += 1;
                if prompts > MAX_PROMPTS {
                    break Err(PairError::TooManyPrompts);
                }
                let attempts_left = match step {
                    FromHost::WrongPin { attempts_left } => Some(attempts_left),
                    _ => None,
                };
                let pin = tokio::task::block_in_place(|| ask(Ask::Pin { attempts_left })).ok_or(PairError::NoPin)?;
                let begun = Exchange::client(&pin, binding);
                writer.send(&FromClient::Share(begun.share().to_vec())).await?;
                exchange = Some(begun);
            }
            FromHost::Share(share) => {
                let finished = exchange.take().ok_or(PairError::Protocol)?.finish(&share)?;
                writer.send(&FromClient::Confirm(finished.mine().to_vec())).await?;
                confirmations = Some(finished);
            }
            FromHost::Confirm(proof) => {
                let finished = confirmations.take().ok_or(PairError::Protocol)?;
                break finished.check(&proof).map_err(|WrongPin| PairError::Impostor).map(|()| fingerprint);
            }
            FromHost::Refused { reason } => break Err(PairError::Refused(reason)),
        }
    };
    finish(&connection, writer).await;
    endpoint.wait_idle().await;
    paired
}
