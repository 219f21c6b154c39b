//! What browsers load: the console and the API's documentation page, embedded by `build.rs`.
//!
//! Nothing here needs a token: it is the same for everybody, and holds no secret. Every path that no route has and that does
//! not lie in the API is the console's: its own routes are drawn from `index.html`.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};

use crate::encoding::Accepted;
use crate::error::ApiError;

/// An embedded file.
struct File {
    /// Below the root, without a slash in front.
    path: &'static str,
    kind: &'static str,
    /// Entity tag, in quotes.
    tag: &'static str,
    plain: &'static [u8],
    gzip: Option<&'static [u8]>,
    brotli: Option<&'static [u8]>,
}

/// Sorted by path.
static FILES: &[File] = include!(concat!(env!("OUT_DIR"), "/console.rs"));

/// What the console's pages may do: load our own scripts, styles, fonts and pictures, talk to this host, and nothing else.
pub(crate) const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
    font-src 'self'; connect-src 'self'; manifest-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Where names hold a hash of what is in them.
const HASHED: &str = "assets/";

/// Folders whose files are there or not; the console draws nothing below them.
const FOLDERS: [&str; 2] = [HASHED, "docs/"];

/// Whether a path that no route has is the console's, and may be read by everybody.
pub(crate) fn is_console(path: &str) -> bool {
    path != "/api" && !path.starts_with("/api/")
}

/// Answers what no route does.
pub(crate) async fn fallback(request: Request) -> Response {
    let path = request.uri().path();
    if !is_console(path) || !matches!(*request.method(), Method::GET | Method::HEAD) {
        return ApiError::new(StatusCode::NOT_FOUND, "there is no such route").into_response();
    }
    let wanted = path.trim_start_matches('/');
    let wanted = if matches!(wanted, "docs" | "docs/") { "docs/index.html" } else { wanted };
    let found = if FOLDERS.iter().any(|folder| wanted.starts_with(folder)) {
        find(wanted)
    } else {
        find(wanted).or_else(|| find("index.html"))
    };
    match found {
        Some(file) => file.answer(&request),
        None if wanted.starts_with(HASHED) => {
            ApiError::new(StatusCode::NOT_FOUND, "the console has no such file: load its page anew").into_response()
        }
        None => page([(header::CACHE_CONTROL, "no-cache")], Html(missing())),
    }
}

fn find(path: &str) -> Option<&'static File> {
    FILES.binary_search_by(|file| file.path.cmp(path)).ok().map(|at| &FILES[at])
}

impl File {
    fn answer(&self, request: &Request) -> Response {
        let accepted = request.extensions().get::<Accepted>().copied().unwrap_or_default();
        // Whoever has an old page may load what it names; a page itself is asked for anew each time.
        let kept = if self.path.starts_with(HASHED) { "public, max-age=31536000, immutable" } else { "no-cache" };
        let fields = [(header::CACHE_CONTROL, kept), (header::ETAG, self.tag), (header::VARY, "accept-encoding")];
        if knows(request.headers(), self.tag) {
            return page(fields, StatusCode::NOT_MODIFIED);
        }
        let (coding, bytes) = match (self.brotli, self.gzip) {
            (Some(bytes), _) if accepted.brotli => (Some("br"), bytes),
            (_, Some(bytes)) if accepted.gzip => (Some("gzip"), bytes),
            _ => (None, self.plain),
        };
        let mut response = page(fields, ([(header::CONTENT_TYPE, self.kind)], bytes));
        if let Some(coding) = coding {
            response.headers_mut().insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding));
        }
        response
    }
}

/// Whether the caller has the bytes of this tag. Compared without regard to `W/` (RFC 9110, section 13.1.2).
fn knows(headers: &HeaderMap, tag: &str) -> bool {
    let fields = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|field| field.to_str().ok());
    fields.flat_map(|field| field.split(',')).any(|one| {
        let one = one.trim();
        one == "*" || one.strip_prefix("W/").unwrap_or(one) == tag
    })
}

fn page<const N: usize>(fields: [(header::HeaderName, &'static str); N], body: impl IntoResponse) -> Response {
    (fields, [(header::CONTENT_SECURITY_POLICY, PAGE_POLICY)], body).into_response()
}

/// What stands where the console was not built.
fn missing() -> &'static str {
    concat!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Punktfunk</title></head><body>",
        "<h1>This host was built without its console</h1>",
        "<p>Its API runs. For the console and <code>/docs</code>, install Node (with npm) and run <code>make run</code>, or ",
        "<code>scripts/console</code> before <code>cargo build --release -p punktfunk-host</code>.</p>",
        "<p>Without it, everything is there by <code>punktfunk-host ctl</code>.</p></body></html>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_embedded_files_are_sorted_and_small_enough_when_packed() {
        assert!(FILES.is_sorted_by(|a, b| a.path < b.path));
        for file in FILES {
            for packed in [file.gzip, file.brotli].into_iter().flatten() {
                assert!(packed.len() < file.plain.len(), "{}", file.path);
            }
        }
    }

    #[test]
    fn nothing_of_the_api_is_the_consoles() {
        for ours in ["/", "/recordings/x", "/apis", "/assets/x.js", "/docs"] {
            assert!(is_console(ours), "{ours}");
        }
        for api in ["/api", "/api/", "/api/v1/nope"] {
            assert!(!is_console(api), "{api}");
        }
    }
}
