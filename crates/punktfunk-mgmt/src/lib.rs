//! The management API: an axum router under `/api/v1`, `/metrics`, authentication, the server for both, and the OpenAPI 3.1
//! document that describes them.
//!
//! ```text
//! TcpListener ─▶ limits, TLS ─▶ Host ─▶ token ─▶ route ─▶ CaptureService, Store, Pairing
//!                └────── serve ──────┘  └───── router ────┘
//! ```
//!
//! Handlers parse, call and map; what a capture is and where recordings live is known to the crates below. How frames are
//! made is not known here, nor how clients are paired: the host implements [`Pairing`].
//!
//! What a caller may ask and what it hears when it may not:
//!
//! - `GET /api/v1/health` needs no token and says nothing else. The read-only token opens `/metrics` and remote read, so
//!   that Prometheus holds no secret that opens more. Everything else is the operator's.
//! - A browser signs in by a token or a one-time link and holds a session by a cookie that no script reads. Its changes
//!   carry a CSRF token, and no page of another origin can use it.
//! - What lies neither in the API nor on a route is the console's and needs nothing: see `console`.
//! - Every refusal is `{"error": "<message>"}`. The one exception is what is not HTTP, or has a head over 64 KiB: hyper
//!   answers 400 or 431 without a body and closes, before there is a request.
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

mod auth;
mod console;
mod encoding;
mod error;
mod etag;
mod export;
mod extract;
mod hosts;
mod limits;
mod metrics;
mod openapi;
mod openmetrics;
mod pairing;
mod room;
mod routes;
mod served;
mod server;
mod state;
mod tokens;
mod trace;

pub use auth::sign_in::{LINK_LIFETIME, SignIn};
pub use error::{ApiError, ErrorBody};
pub use export::{Export, ExportFigures};
pub use limits::{ConnectionLimits, RequestLimits};
pub use metrics::RequestCounts;
pub use openapi::openapi;
pub use pairing::{PairError, PairRequestInfo, PairedClientInfo, Pairing, RevokeError};
pub use routes::router;
pub use server::{Running, ServeError, ServerConfig, TlsError, serve, tls_config};
pub use state::{AppState, Shutdown};
pub use tokens::{OPERATOR_FILE, READ_FILE, Role, Token, TokenError, Tokens};
