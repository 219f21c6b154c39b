//! Signing a browser in and out, and links for another one.

use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Response};
use axum::{Extension, Json};
use qrcode::QrCode;
use qrcode::render::svg;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::auth::sign_in::{LINK_LIFETIME, SignedIn};
use crate::auth::{Caller, cookie, origin, unauthorized};
use crate::error::ApiError;
use crate::extract::{OptionalBody, check_length};
use crate::served::Served;
use crate::state::App;
use crate::tokens::Role;

/// How a browser signs in without a token in a header.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(example = json!({ "one_time_token": "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" }))]
pub(crate) struct SignInRequest {
    /// What stands behind `#signin=` in a link. Used up by this request; worth nothing after ten minutes.
    #[schema(max_length = 512)]
    one_time_token: Option<String>,
}

/// Who asks.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "role": "operator", "csrf_token": "1b4f0e98…", "expires_in_s": 604_800 }))]
pub(crate) struct Identity {
    /// What the caller may: `operator` everything, `reader` only `/metrics`.
    role: Role,
    /// Goes with every change of this session as `X-CSRF-Token`; `null` for a caller with a token, who needs none.
    csrf_token: Option<String>,
    /// When the session ends at the latest, seconds from now; a day without a request ends it, too. `null` without one.
    expires_in_s: Option<u64>,
}

impl Identity {
    fn of(role: Role, session: Option<SignedIn>) -> Self {
        Self {
            role,
            expires_in_s: session.as_ref().map(|session| session.remaining.as_secs()),
            csrf_token: session.map(|session| session.csrf_token),
        }
    }
}

/// Signs a browser in.
///
/// By a token in `Authorization`, whose role the session has, or by the one-time token of a link in the body. Sets the
/// session's cookie: `HttpOnly`, `SameSite=Strict`, under TLS `Secure`. It takes the place of the session that the request
/// showed, which ends. Sessions end with the host.
#[utoipa::path(
    post, path = "/auth/session", operation_id = "auth_session_create", tag = "auth",
    security(("operator" = []), ("reader" = []), ()),
    request_body(content = Option<SignInRequest>),
    responses(
        (status = 200, description = "Signed in", body = Identity,
            headers(("Set-Cookie" = String, description = "The session's cookie"))),
        (status = 403, description = "A page of another origin asks", body = crate::ErrorBody),
    )
)]
pub(super) async fn auth_session_create(
    State(app): State<App>,
    caller: Option<Extension<Caller>>,
    served: Option<Extension<Served>>,
    headers: HeaderMap,
    OptionalBody(request): OptionalBody<SignInRequest>,
) -> Result<Response, ApiError> {
    check_length("one_time_token", request.one_time_token.as_ref(), 512)?;
    let now = Instant::now();
    let role = match (caller, request.one_time_token) {
        (Some(Extension(caller)), _) => caller.role,
        (None, Some(token)) => app.sign_in.redeem(token.as_bytes(), now).ok_or_else(|| {
            ApiError::new(StatusCode::UNAUTHORIZED, "this link was used or has expired: make another, or use a token")
                .with_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
        })?,
        (None, None) => return Err(unauthorized()),
    };
    let served = served.map(|Extension(served)| served);
    let former = crate::auth::session(&app, &headers, served);
    let (secret, session) = app.sign_in.open(role, now).map_err(ApiError::internal)?;
    if let Some((former, _)) = former {
        app.sign_in.close(&former);
    }
    let cookie = cookie::keep(served, &secret);
    Ok((AppendHeaders([(header::SET_COOKIE, cookie)]), Json(Identity::of(role, Some(session)))).into_response())
}

/// Says who asks.
#[utoipa::path(
    get, path = "/auth/session", operation_id = "auth_session_get", tag = "auth",
    security(("operator" = []), ("reader" = []), ("session" = [])),
    responses(
        (status = 200, description = "The caller", body = Identity),
        (status = 403, description = "A page of another origin asks", body = crate::ErrorBody),
    )
)]
pub(super) async fn auth_session_get(Extension(caller): Extension<Caller>) -> Json<Identity> {
    Json(Identity::of(caller.role, caller.session))
}

/// Signs a browser out.
///
/// A caller with a token has no session, and hears the same.
#[utoipa::path(
    delete, path = "/auth/session", operation_id = "auth_session_delete", tag = "auth",
    security(("operator" = []), ("reader" = []), ("session" = [])),
    responses(
        (status = 204, description = "Signed out"),
        (status = 403, description = "The CSRF token is missing, or a page of another origin asks",
            body = crate::ErrorBody),
    )
)]
pub(super) async fn auth_session_delete(State(app): State<App>, request: Request) -> Response {
    let served = request.extensions().get::<Served>().copied();
    if let Some((secret, _)) = crate::auth::session(&app, request.headers(), served) {
        app.sign_in.close(&secret);
    }
    (StatusCode::NO_CONTENT, AppendHeaders([(header::SET_COOKIE, cookie::forget(served))])).into_response()
}

/// A link that signs one browser in.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({
    "url": "https://192.168.1.10:47990/#signin=9f86d081…", "svg": "<svg …>", "expires_in_s": 600, "this_machine_only": false
}))]
pub(crate) struct SignInLink {
    /// The link. What lets in stands behind `#`, which browsers send to nobody.
    url: String,
    /// The same as a QR code, black on white, as an SVG document.
    svg: String,
    /// How long it can be used, seconds.
    expires_in_s: u64,
    /// The host listens on the loopback: a phone cannot open it.
    this_machine_only: bool,
}

/// Makes a link that signs another browser in.
///
/// A phone, by the QR code. It lets in once, as the operator.
#[utoipa::path(
    post, path = "/auth/links", operation_id = "auth_link_create", tag = "auth",
    responses((status = 201, description = "The link", body = SignInLink))
)]
pub(super) async fn auth_link_create(
    State(app): State<App>,
    served: Option<Extension<Served>>,
    request: Request,
) -> Result<(StatusCode, Json<SignInLink>), ApiError> {
    let served = served.map(|Extension(served)| served);
    let base = base(served, &request);
    let token = app.sign_in.link().map_err(ApiError::internal)?;
    let url = format!("{base}/#signin={}", token.reveal());
    let code = QrCode::new(&url).map_err(ApiError::internal)?;
    let svg = code.render::<svg::Color<'_>>().min_dimensions(240, 240).build();
    let this_machine_only = served.is_none_or(|served| served.address.ip().is_loopback());
    let link = SignInLink { url, svg, expires_in_s: LINK_LIFETIME.as_secs(), this_machine_only };
    Ok((StatusCode::CREATED, Json(link)))
}

/// How another browser reaches this host: by the name that was used just now, which works for somebody at least; by the
/// address towards the network where that was the loopback's.
fn base(served: Option<Served>, request: &Request) -> String {
    let named = origin::addressed(request.uri(), request.headers());
    let is_local = |host: &str| {
        let ip = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host.eq_ignore_ascii_case("localhost") || ip.is_ok_and(|ip| ip.is_loopback())
    };
    match (named, served) {
        (Some(named), Some(served)) if is_local(named.host()) && served.address.ip().is_unspecified() => served.url(),
        (Some(named), served) => format!("{}://{named}", served.map_or("http", Served::scheme)),
        (None, Some(served)) => served.url(),
        (None, None) => "http://localhost".to_owned(),
    }
}
