//! Who may ask, and what bad requests hear.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use axum::body::Body;
use axum::http::{Method, Request};
use punktfunk_mgmt::RequestLimits;
use serde_json::Value;

mod support;

use support::Rig;

/// Every operation of the document: method, path with its `{id}` filled in, and the operation itself.
fn operations() -> Vec<(Method, String, Value)> {
    let document = serde_json::to_value(punktfunk_mgmt::openapi()).unwrap();
    let mut operations = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            operations.push((method, path.replace("{id}", "x"), operation.clone()));
        }
    }
    assert!(operations.len() >= 20);
    operations
}

#[tokio::test]
async fn whoever_has_no_valid_token_hears_the_same_before_anything_else_is_looked_at() {
    let rig = Rig::new();
    let long = "x".repeat(64);
    let wrong = [
        "",
        "Bearer",
        "Bearer ",
        "Bearer wrong",
        "Basic abc",
        &format!("Bearer {long}"),
        &format!("Bearer {}x", rig.operator()),
    ];
    let mut said = std::collections::BTreeSet::new();
    for (method, path, operation) in operations() {
        let nothing = serde_json::json!({});
        let public = operation["security"].as_array().is_some_and(|schemes| schemes == std::slice::from_ref(&nothing));
        let without = operation["security"].as_array().is_some_and(|schemes| schemes.contains(&nothing));
        for value in wrong {
            if without && !public && value.is_empty() {
                // A one-time link is used up here; tests/sign_in.rs has what it hears.
                continue;
            }
            let mut request = Request::builder().method(&method).uri(format!("{path}?unknown=1"));
            if !value.is_empty() {
                request = request.header("authorization", value);
            }
            let answer = rig.send(request.body(Body::from("{not json")).unwrap()).await;
            if public {
                assert_eq!(answer.status, 200, "{path}");
            } else {
                said.insert(answer.refusal(401));
                assert_eq!(answer.header("www-authenticate"), "Bearer");
            }
        }
    }
    for path in ["/api", "/api/v1/nope", "/api/v1/health/x"] {
        said.insert(rig.send(Request::builder().uri(path).body(Body::empty()).unwrap()).await.refusal(401));
    }
    assert_eq!(said.len(), 1, "no hint: {said:?}");
}

#[tokio::test]
async fn the_read_only_token_opens_what_the_document_says_and_nothing_else() {
    let rig = Rig::new();
    let bearer = format!("Bearer {}", rig.state.tokens.reader().reveal());
    let mut opened = Vec::new();
    for (method, path, operation) in operations() {
        let request = Request::builder().method(&method).uri(&path).header("authorization", &bearer);
        let answer = rig.send(request.body(Body::empty()).unwrap()).await;
        let schemes = operation["security"].as_array().cloned().unwrap_or_default();
        let documented =
            schemes.iter().any(|scheme| scheme.get("reader").is_some() || scheme == &serde_json::json!({}));
        assert_eq!(answer.status != 403, documented, "{method} {path}: {}", answer.status);
        if documented {
            opened.push(path);
        }
    }
    opened.sort();
    opened.dedup();
    assert_eq!(opened, ["/api/v1/auth/session", "/api/v1/health", "/api/v1/read", "/metrics"]);
}

#[tokio::test]
async fn ids_that_cannot_be_ours_are_not_found() {
    let rig = Rig::new();
    let long = "a".repeat(300);
    let hostile = [
        "%2e%2e",
        "..",
        "..%2fx",
        "%2e%2e%2f%2e%2e%2fetc%2fpasswd",
        "a:b",
        "CON",
        "con.json",
        "nul",
        "a%00b",
        "%ff",
        " ",
        "%20",
        ".lock",
        "..%5cx",
        &long,
    ];
    for id in hostile.map(|id| id.replace(' ', "%20")) {
        for (method, part) in [
            (Method::GET, ""),
            (Method::PATCH, ""),
            (Method::DELETE, ""),
            (Method::GET, "/summary"),
            (Method::GET, "/csv"),
        ] {
            let body = (method == Method::PATCH).then_some("{}");
            rig.ask(method, &format!("/api/v1/stats/recordings/{id}{part}"), body).await.refusal(404);
        }
    }
    for path in [
        "/api/v1/stats/recordings/",
        "/api/v1/stats/recordings//csv",
        "/api/v1/stats/recordings/a/b",
        "/api/v1/clients/",
    ] {
        rig.get(path).await.refusal(404);
    }
}

#[tokio::test]
async fn bodies_that_are_not_what_is_expected_are_refused_with_their_status() {
    let rig = Rig::new();
    let start = "/api/v1/stats/capture/start";
    for malformed in ["{", "{\"label\":}", "nul", "{} {}", "{'label':1}", "\u{feff}{}"] {
        rig.post(start, malformed).await.refusal(400);
    }
    let long = format!("{{\"label\":\"{}\"}}", "ä".repeat(201));
    let wrong = [
        "[]",
        "[null,null]",
        "1",
        "\"x\"",
        "{\"label\":1}",
        "{\"labels\":\"x\"}",
        "{\"delay_s\":-1}",
        "{\"delay_s\":1.5}",
        "{\"delay_s\":86401}",
        "{\"max_duration_s\":0}",
        "{\"label\":\"a\",\"label\":\"b\"}",
        &long,
    ];
    for wrong in wrong {
        rig.post(start, wrong).await.refusal(422);
    }
    for (path, method) in [
        ("/api/v1/stats/capture/markers", Method::POST),
        ("/api/v1/pair", Method::POST),
        ("/api/v1/stats/recordings/x", Method::PATCH),
    ] {
        rig.ask(method.clone(), path, Some("")).await.refusal(400);
        rig.ask(method.clone(), path, Some("{\"unknown\":1}")).await.refusal(422);
        rig.ask(method, path, None).await.refusal(415);
    }
    for kind in
        ["text/plain", "application/x-www-form-urlencoded", "application/jsonx", "application/xml; a=application/json"]
    {
        let request = rig.request(Method::POST, start).header("content-type", kind).body(Body::from("{}")).unwrap();
        rig.send(request).await.refusal(415);
    }
    let with_charset = rig.request(Method::POST, start).header("content-type", "Application/JSON; charset=utf-8");
    assert_eq!(rig.send(with_charset.body(Body::from("{}")).unwrap()).await.status, 200);
    let note = format!("{{\"note\":\"{}\"}}", "x".repeat(10_001));
    rig.ask(Method::PATCH, "/api/v1/stats/recordings/x", Some(&note)).await.refusal(422);
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_longest_legal_one_is_not() {
    let rig = Rig::with_limits(RequestLimits::default());
    let start = "/api/v1/stats/capture/start";
    let limit = RequestLimits::default().body_bytes;
    rig.post(start, &" ".repeat(limit + 1)).await.refusal(413);
    // A character outside of the BMP escaped twice: twelve bytes.
    let note = format!("{{\"note\":\"{}\"}}", "\\ud83d\\ude00".repeat(10_000));
    assert!(note.len() < limit);
    assert_eq!(rig.post(start, &note).await.status, 200);
}

#[tokio::test]
async fn queries_that_are_not_declared_are_refused() {
    let rig = Rig::new();
    let list = "/api/v1/stats/recordings";
    let bad = [
        "?limit=0",
        "?limit=1001",
        "?limit=-1",
        "?limit=x",
        "?limit=",
        "?limit=1&limit=2",
        "?unknown=1",
        "?cursor=",
        "?cursor=xyz",
        "?cursor=6",
        "?cursor=AB",
    ];
    for query in bad {
        rig.get(&format!("{list}{query}")).await.refusal(400);
    }
    for path in [
        "/x?distributions=maybe",
        "/x/summary?from_ms=-1",
        "/x/summary?from_ms=1.5",
        "/x/summary?from_ms=",
        "/x/summary?to_ms=1&to_ms=2",
        "/x/summary?from_ms=9007199254740992",
        "/x/summary?to_ms=18446744073709551616",
        "/x/summary?to_ms=99999999999999999999999999999999999999999",
        "/x/summary?from_ms=2&to_ms=1",
        "/x/csv?of=null",
        "/x/csv?of=frames&x",
    ] {
        rig.get(&format!("{list}{path}")).await.refusal(400);
    }
    rig.get(&format!("/api/v1/stats/capture/live?session={}", "s".repeat(65))).await.refusal(400);
}

#[tokio::test]
async fn other_methods_are_refused_with_those_that_exist() {
    let rig = Rig::new();
    for (path, allow) in [
        ("/api/v1/stats/capture/start", "POST"),
        ("/api/v1/stats/recordings", "GET,HEAD,POST"),
        ("/api/v1/stats/recordings/x", "GET,HEAD,PATCH,DELETE"),
        ("/api/v1/health", "GET,HEAD"),
        ("/metrics", "GET,HEAD"),
    ] {
        for method in ["PUT", "OPTIONS", "TRACE", "QUERY"] {
            let answer = rig.ask(Method::from_bytes(method.as_bytes()).unwrap(), path, None).await;
            answer.refusal(405);
            assert_eq!(answer.header("allow"), allow, "{method} {path}");
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("access-control")), "no CORS");
        }
    }
    rig.get("/api/v1/nope").await.refusal(404);
    rig.post("/", "").await.refusal(404);
}

#[tokio::test]
async fn every_answer_forbids_guessing_and_keeping() {
    let rig = Rig::new();
    for path in ["/api/v1/health", "/api/v1/stats/capture/status", "/api/v1/nope", "/metrics"] {
        let answer = rig.get(path).await;
        assert_eq!((answer.header("x-content-type-options"), answer.header("cache-control")), ("nosniff", "no-store"));
        assert_eq!(answer.header("content-security-policy"), "default-src 'none'; frame-ancestors 'none'");
        assert_eq!(answer.header("referrer-policy"), "no-referrer");
        assert_eq!(answer.header("cross-origin-resource-policy"), "same-origin");
    }
}
