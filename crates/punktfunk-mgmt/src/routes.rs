//! The routes: parse, call, map. No logic stands here.

use axum::extract::{DefaultBodyLimit, Request};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use tower_http::CompressionLevel;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::error::ApiError;
use crate::state::{App, AppState};

mod auth;
mod captures;
mod clients;
mod compare;
mod download;
mod host;
mod import;
mod recordings;
mod remote_read;
mod report;
mod stream;

/// Where the API begins.
const PREFIX: &str = "/api/v1";

/// What a browser may do with an answer of the API that it takes for a page: nothing.
const DATA_POLICY: &str = "default-src 'none'; frame-ancestors 'none'";

/// All documented routes.
pub(crate) fn documented() -> OpenApiRouter<App> {
    let api = OpenApiRouter::new()
        .routes(routes!(captures::stats_capture_start))
        .routes(routes!(captures::stats_capture_stop))
        .routes(routes!(captures::stats_capture_status))
        .routes(routes!(captures::stats_capture_live))
        .routes(routes!(captures::stats_capture_marker_add))
        .routes(routes!(stream::stats_capture_stream))
        .routes(routes!(recordings::stats_recordings_list, import::stats_recording_import))
        .routes(routes!(
            recordings::stats_recording_get,
            recordings::stats_recording_update,
            recordings::stats_recording_delete
        ))
        .routes(routes!(recordings::stats_recording_snapshot))
        .routes(routes!(compare::stats_compare))
        .routes(routes!(compare::stats_baseline_get, compare::stats_baseline_set, compare::stats_baseline_delete))
        .routes(routes!(compare::stats_recording_check))
        .routes(routes!(download::stats_recording_summary))
        .routes(routes!(download::stats_recording_csv))
        .routes(routes!(report::stats_recording_openmetrics))
        .routes(routes!(report::stats_recording_report))
        .routes(routes!(report::stats_compare_report))
        .routes(routes!(auth::auth_session_create, auth::auth_session_get, auth::auth_session_delete))
        .routes(routes!(auth::auth_link_create))
        .routes(routes!(remote_read::remote_read))
        .routes(routes!(clients::pair_requests_list, clients::pair))
        .routes(routes!(clients::clients_list))
        .routes(routes!(clients::client_revoke))
        .routes(routes!(host::sessions_list))
        .routes(routes!(host::export_status))
        .routes(routes!(host::health))
        .routes(routes!(host::version))
        .routes(routes!(host::openapi_document));
    OpenApiRouter::with_openapi(crate::openapi::frame()).nest(PREFIX, api).routes(routes!(crate::metrics::metrics))
}

/// The API and `/metrics`, with authentication. Connection limits and the `Host` check are the server's
/// ([`serve`](crate::serve)).
pub fn router(state: AppState) -> axum::Router {
    let app = App::new(state);
    let (router, _) = documented().split_for_parts();
    router
        .fallback(crate::console::fallback)
        .method_not_allowed_fallback(async || {
            ApiError::new(StatusCode::METHOD_NOT_ALLOWED, "this route has other methods: see the `Allow` header")
        })
        .layer(DefaultBodyLimit::max(app.limits.body_bytes))
        // Fast: the processor belongs to the stream.
        .layer(CompressionLayer::new().quality(CompressionLevel::Fastest))
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn(crate::trace::request))
        .layer(from_fn_with_state(app.clone(), crate::auth::authenticate))
        .layer(from_fn(finish))
        .with_state(app)
}

/// What every answer says: no guessing of types, nothing kept by caches unless a route says otherwise. A compressed body
/// has a weak tag (RFC 9110, section 8.8.1): other bytes, the same recording. An answer that is current says what the whole
/// one would have said (section 15.4.5); those that have a tag are large enough to be compressed.
async fn finish(mut request: Request, next: Next) -> Response {
    let accepted = crate::encoding::negotiate(request.headers_mut());
    request.extensions_mut().insert(accepted);
    let mut response = next.run(request).await;
    let current = response.status() == StatusCode::NOT_MODIFIED;
    let headers = response.headers_mut();
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    // Nor may another page embed it, even without being able to read it.
    headers.insert("cross-origin-resource-policy", HeaderValue::from_static("same-origin"));
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(HeaderValue::from_static(DATA_POLICY));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    if current {
        headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    }
    if headers.contains_key(header::CONTENT_ENCODING) || current && accepted.gzip {
        weaken_tag(headers);
    }
    response
}

fn weaken_tag(headers: &mut HeaderMap) {
    if let Some(tag) = headers.get(header::ETAG).and_then(|tag| tag.to_str().ok())
        && tag.starts_with('"')
        && let Ok(weak) = HeaderValue::from_str(&format!("W/{tag}"))
    {
        headers.insert(header::ETAG, weak);
    }
}

/// A handler that panicked has logged why.
fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    ApiError::internal("a handler panicked").into_response()
}
