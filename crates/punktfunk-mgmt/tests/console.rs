//! What browsers load, over real HTTP. The console and the documentation page are there where Node was when the crate was
//! built; what holds in either case is asked in either case.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use http_body_util::Full;
use hyper::Request;
use punktfunk_mgmt::Running;

mod support;

use support::wire::{connect, whole};
use support::{Answer, Rig};

/// A request without any token.
async fn load(server: &Running, path: &str, fields: &[(&str, &str)]) -> Answer {
    let mut request = Request::get(path).header("host", "localhost");
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    whole(connect(server.address()).await, request.body(Full::default()).unwrap()).await.unwrap()
}

#[tokio::test]
async fn the_console_needs_no_token_and_may_load_only_what_is_ours() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    for path in ["/", "/recordings", "/recordings/2026-06-26T20-14-03Z_1280x720?from=1", "/anything/at/all"] {
        let answer = load(&server, path, &[]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.header("content-type")),
            (200, "text/html; charset=utf-8"),
            "{path}"
        );
        assert_eq!(answer.header("cache-control"), "no-cache", "{path}");
        let policy = answer.header("content-security-policy");
        for part in ["default-src 'none'", "script-src 'self'", "connect-src 'self'", "frame-ancestors 'none'"] {
            assert!(policy.contains(part), "{policy}");
        }
        assert!(!policy.contains("unsafe") && !policy.contains("http"), "{policy}");
        assert_eq!(
            (answer.header("referrer-policy"), answer.header("x-content-type-options")),
            ("no-referrer", "nosniff")
        );
    }
    load(&server, "/assets/no-such-file.js", &[]).await.refusal(404);
    load(&server, "/assets/../../etc/passwd", &[]).await.refusal(404);
}

#[tokio::test]
async fn what_is_not_the_consoles_still_needs_a_token() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    for path in ["/api", "/api/v1/nope", "/api/v1/openapi.json", "/metrics"] {
        load(&server, path, &[]).await.refusal(401);
    }
    for path in ["//api/v1/version", "/./api/v1/version", "/%61pi/v1/version", "/API/v1/version", "/api\\v1"] {
        let answer = load(&server, path, &[]).await;
        assert!(!answer.text().contains("recording_schema"), "{path}");
    }
}

#[tokio::test]
async fn a_page_is_asked_for_anew_and_sent_once() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let page = load(&server, "/docs", &[]).await;
    if !page.text().contains("swagger-ui-bundle.js") {
        assert!(page.text().contains("npm"), "without the files, the page says how they come to be there");
        return;
    }
    let script = load(&server, "/docs/swagger-ui-bundle.js", &[]).await;
    assert_eq!(script.header("content-type"), "text/javascript; charset=utf-8");
    let mut sizes = vec![script.body.len()];
    for (accepts, coding) in [("gzip", "gzip"), ("gzip, br", "br"), ("br;q=0, gzip", "gzip")] {
        let packed = load(&server, "/docs/swagger-ui-bundle.js", &[("accept-encoding", accepts)]).await;
        assert_eq!((packed.header("content-encoding"), packed.header("vary")), (coding, "accept-encoding"));
        sizes.push(packed.body.len());
        let tag = packed.header("etag").to_owned();
        let again = load(&server, "/docs/swagger-ui-bundle.js", &[("if-none-match", &tag)]).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0));
    }
    assert!(sizes[0] > 2 * sizes[1] && sizes[1] > sizes[2] && sizes[1] == sizes[3], "{sizes:?}");
    // Its licences travel with it.
    assert!(load(&server, "/docs/LICENSE.txt", &[]).await.text().contains("Apache License"));
}
