//! What each path answers: the requests of stock clients (`NvHTTP`), and what they read of the replies.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use punktfunk_pairing::{ClientStore, Fingerprint};

use super::query::{BadParameter, Query};
use super::xml::Reply;
use crate::certificate::Certificate;
use crate::hex;
use crate::identity::HostIdentity;
use crate::pairing::{PairError, Pairing};
use crate::session::{LaunchError, Sessions};

/// The version that clients take their dialect from. A negative last part says that this host reports on repair.
const APP_VERSION: &str = "7.1.431.-1";

/// The only thing to be launched.
const APP_ID: u32 = 1;

/// What clients show for it. 600×800 pixels, as they draw it.
const BOX_ART: &[u8] = include_bytes!("../../assets/desktop.png");

/// What is answered.
pub(super) enum Answer {
    Document(Reply),
    /// PNG.
    Picture(&'static [u8]),
}

/// A request, as far as it matters here.
pub(super) struct Asked<'a> {
    pub(super) path: &'a str,
    pub(super) query: Query<'a>,
    pub(super) from: SocketAddr,
    /// The host's address as the client sees it.
    pub(super) host: IpAddr,
    /// Over HTTPS only: the certificate that the client proved to have the key of, if it showed one.
    pub(super) certificate: Option<Fingerprint>,
    pub(super) secure: bool,
}

/// What the answers are made of.
pub(crate) struct Desk {
    pub(crate) identity: Arc<HostIdentity>,
    pub(crate) clients: ClientStore,
    pub(crate) pairing: Pairing,
    pub(crate) sessions: Arc<Sessions>,
    pub(crate) host_name: String,
    pub(crate) http_port: u16,
    pub(crate) https_port: u16,
    pub(crate) rtsp_port: u16,
}

impl Desk {
    /// `None`: there is no such thing.
    pub(super) async fn answer(&self, asked: &Asked<'_>) -> Option<Answer> {
        let paired = asked.certificate.filter(|fingerprint| self.clients.contains(*fingerprint));
        let reply = match asked.path {
            "/serverinfo" => self.server_info(asked, paired),
            "/pair" => self.pair(asked, paired).await,
            "/unpair" => self.unpair(asked, paired).await,
            "/applist" | "/appasset" | "/launch" | "/resume" | "/cancel" => match paired {
                Some(client) => return self.serve(asked, client),
                None => {
                    tracing::warn!(peer = %asked.from, path = asked.path, "an unpaired GameStream client was refused");
                    Reply::refused(401, "The client is not authorized. Certificate verification failed.")
                }
            },
            _ => return None,
        };
        Some(Answer::Document(reply))
    }

    fn server_info(&self, asked: &Asked<'_>, paired: Option<Fingerprint>) -> Reply {
        let busy = self.sessions.is_busy();
        Reply::ok()
            .with("hostname", &self.host_name)
            .with("appversion", APP_VERSION)
            .with("GfeVersion", "3.23.0.74")
            .with("uniqueid", self.identity.unique_id())
            .with("HttpsPort", self.https_port)
            .with("ExternalPort", self.http_port)
            .with("mac", "00:00:00:00:00:00")
            .with("LocalIP", asked.host)
            .with("MaxLumaPixelsHEVC", 0)
            .with("ServerCodecModeSupport", 1)
            .with("PairStatus", u8::from(paired.is_some()))
            .with("currentgame", if busy { APP_ID } else { 0 })
            .with("state", if busy { "PUNKTFUNK_SERVER_BUSY" } else { "PUNKTFUNK_SERVER_FREE" })
    }

    /// What a paired client may ask for.
    fn serve(&self, asked: &Asked<'_>, client: Fingerprint) -> Option<Answer> {
        let reply = match asked.path {
            "/applist" => {
                let desktop = Reply::ok().with("AppTitle", "Desktop").with("ID", APP_ID).with("IsHdrSupported", 0);
                Reply::ok().group("App", desktop)
            }
            "/launch" => self.launch(asked, client, "gamesession"),
            "/resume" => self.launch(asked, client, "resume"),
            "/cancel" => match self.sessions.cancel(client) {
                Ok(()) => Reply::ok().with("cancel", 1),
                Err(error) => {
                    tracing::warn!(peer = %asked.from, %error, "a GameStream client may not end the session");
                    Reply::refused(503, &error.to_string()).with("cancel", 0)
                }
            },
            "/appasset" => {
                let is_desktop = asked.query.get("appid").is_some_and(|id| id.parse() == Ok(APP_ID));
                return is_desktop.then_some(Answer::Picture(BOX_ART));
            }
            _ => return None,
        };
        Some(Answer::Document(reply))
    }

    fn launch(&self, asked: &Asked<'_>, client: Fingerprint, done: &str) -> Reply {
        let refused = |status, message: &str| {
            tracing::warn!(peer = %asked.from, path = asked.path, message, "a GameStream launch was refused");
            Reply::refused(status, message).with(done, 0)
        };
        let request = match asked.query.launch() {
            Ok(request) => request,
            Err(bad) => return refused(400, &bad.to_string()),
        };
        match self.sessions.launch(client, asked.from.ip(), request) {
            Ok(()) => {
                let rtsp = SocketAddr::new(asked.host, self.rtsp_port);
                Reply::ok().with("sessionUrl0", format!("rtsp://{rtsp}")).with(done, 1)
            }
            Err(error @ LaunchError::Busy) => refused(503, &error.to_string()),
            Err(error @ LaunchError::KeyUsed) => refused(400, &error.to_string()),
            Err(error @ LaunchError::NotPaired) => refused(401, &error.to_string()),
            Err(error @ LaunchError::NoRandomness) => refused(500, &error.to_string()),
        }
    }

    async fn pair(&self, asked: &Asked<'_>, paired: Option<Fingerprint>) -> Reply {
        match self.phase(asked, paired).await {
            Ok(reply) => reply.with("paired", 1),
            Err(error) => {
                tracing::warn!(peer = %asked.from, %error, "a GameStream client was not paired");
                // What the host's own disk says is not for strangers.
                let message = match &error {
                    PhaseRefusal::Pair(PairError::Store(_)) => "the host could not save it".to_owned(),
                    error => error.to_string(),
                };
                Reply::refused(400, &message).with("paired", 0)
            }
        }
    }

    /// Whichever phase of pairing it is.
    async fn phase(&self, asked: &Asked<'_>, paired: Option<Fingerprint>) -> Result<Reply, PhaseRefusal> {
        let (query, ip) = (asked.query, asked.from.ip());
        let phrase = query.get("phrase");
        if phrase.as_deref() == Some("getservercert") {
            let certificate = query.bytes("clientcert")?;
            let certificate = Certificate::from_pem(&certificate).map_err(|_invalid| BadParameter("clientcert"))?;
            self.pairing.begin(asked.from, query.array("salt")?, certificate).await?;
            return Ok(Reply::ok().with("plaincert", hex::encode(self.identity.pem().as_bytes())));
        }
        if phrase.as_deref() == Some("pairchallenge") {
            return paired.map(|_client| Reply::ok()).ok_or(PhaseRefusal::Stranger);
        }
        if query.get("clientchallenge").is_some() {
            let reply = self.pairing.challenge(ip, &query.bytes("clientchallenge")?)?;
            return Ok(Reply::ok().with("challengeresponse", hex::encode(&reply)));
        }
        if query.get("serverchallengeresp").is_some() {
            let reply = self.pairing.response(ip, &query.bytes("serverchallengeresp")?)?;
            return Ok(Reply::ok().with("pairingsecret", hex::encode(&reply)));
        }
        let told = query.bytes("clientpairingsecret")?;
        let pairing = self.pairing.clone();
        // It writes to the disk.
        tokio::task::spawn_blocking(move || pairing.finish(ip, &told))
            .await
            .map_err(|_panicked| PhaseRefusal::Internal)??;
        Ok(Reply::ok())
    }

    /// Over HTTP this says only that a client gives up pairing: anybody could ask for more. Over HTTPS a client may strike
    /// itself off.
    async fn unpair(&self, asked: &Asked<'_>, paired: Option<Fingerprint>) -> Reply {
        self.pairing.drop_exchange(asked.from.ip());
        if let Some(client) = paired.filter(|_| asked.secure) {
            let clients = self.clients.clone();
            let struck = tokio::task::spawn_blocking(move || {
                let id = clients.list().into_iter().find(|known| known.fingerprint == client).map(|known| known.id);
                id.map(|id| clients.revoke(&id)).transpose()
            });
            if !struck.await.is_ok_and(|done| done.is_ok()) {
                return Reply::refused(500, "the host could not save it");
            }
        }
        Reply::ok()
    }
}

/// Why a phase was refused.
#[derive(Debug, thiserror::Error)]
enum PhaseRefusal {
    #[error(transparent)]
    Parameter(#[from] BadParameter),
    #[error(transparent)]
    Pair(#[from] PairError),
    #[error("the client is not paired")]
    Stranger,
    #[error("the host failed")]
    Internal,
}
