//! Which answers are compressed, for whom, and what their entity tags say about it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::collections::HashMap;
use std::io::Read as _;

use axum::body::Body;
use axum::http::{Method, StatusCode};

mod support;

use support::{Answer, Rig};

const RECORDINGS: &str = "/api/v1/stats/recordings";

async fn coded(rig: &Rig, method: Method, path: &str, accepted: Option<&str>) -> Answer {
    let mut request = rig.request(method, path);
    if let Some(accepted) = accepted {
        request = request.header("accept-encoding", accepted);
    }
    rig.send(request.body(Body::empty()).unwrap()).await
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(answer.body.as_slice()).read_to_end(&mut plain).unwrap();
    plain
}

#[tokio::test]
async fn who_asks_for_gzip_gets_it_and_nobody_else() {
    let rig = Rig::new();
    let id = rig.record("x").await;
    for path in [format!("{RECORDINGS}/{id}"), format!("{RECORDINGS}/{id}/csv"), "/api/v1/openapi.json".into()] {
        let plain = coded(&rig, Method::GET, &path, None).await;
        for wanted in ["gzip", "x-gzip", "gzip, deflate, br, zstd", "*", "br;q=1.0, gzip;q=0.8, *;q=0.1"] {
            let small = coded(&rig, Method::GET, &path, Some(wanted)).await;
            assert_eq!(small.header("content-encoding"), "gzip", "{path}: {wanted}");
            assert_eq!(unpacked(&small), plain.body, "{path}: {wanted}");
            assert!(small.body.len() < plain.body.len() / 2, "{path}: {wanted}");
        }
        for unwanted in [None, Some(""), Some("identity"), Some("br"), Some("gzip;q=0"), Some("identity, gzip;q=0.5")] {
            let answer = coded(&rig, Method::GET, &path, unwanted).await;
            assert!(!answer.headers.contains_key("content-encoding"), "{path}: {unwanted:?}");
            assert_eq!(answer.body, plain.body);
        }
    }
}

#[tokio::test]
async fn whoever_refuses_every_coding_still_hears_what_became_of_the_request() {
    let rig = Rig::new();
    for nothing in ["identity;q=0", "*;q=0", "br, identity;q=0"] {
        let started = coded(&rig, Method::POST, "/api/v1/stats/capture/start", Some(nothing)).await;
        assert_eq!((started.status, &started.json()["armed"]), (StatusCode::OK, &true.into()), "{nothing}");
        let stopped = coded(&rig, Method::POST, "/api/v1/stats/capture/stop", Some(nothing)).await;
        assert_eq!(stopped.status, StatusCode::OK, "{nothing}");
        coded(&rig, Method::GET, "/api/v1/nope", Some(nothing)).await.refusal(404);
    }
}

#[tokio::test]
async fn a_strong_tag_stands_for_the_same_bytes_and_a_weak_one_for_the_same_state() {
    let rig = Rig::new();
    let path = format!("{RECORDINGS}/{}", rig.record("x").await);
    let mut bytes: HashMap<String, Vec<u8>> = HashMap::new();
    for accepted in [None, Some("gzip"), Some("identity"), Some("gzip;q=0.5"), Some("identity;q=0")] {
        for method in [Method::GET, Method::HEAD] {
            let answer = coded(&rig, method.clone(), &path, accepted).await;
            let tag = answer.header("etag").to_owned();
            let weak = tag.starts_with("W/\"");
            assert_eq!(answer.headers.contains_key("content-encoding"), weak, "{method} {accepted:?}: {tag}");
            assert!(answer.header("vary").to_ascii_lowercase().contains("accept-encoding"), "{method} {accepted:?}");
            if method == Method::GET && !weak {
                assert_eq!(*bytes.entry(tag).or_insert_with(|| answer.body.clone()), answer.body);
            }
        }
    }
    let [strong] = bytes.into_keys().collect::<Vec<_>>().try_into().unwrap();
    let weak = format!("W/{strong}");

    // Either tag is good for either coding: it is the same state.
    for (tag, accepted) in [(&strong, None), (&weak, None), (&strong, Some("gzip")), (&weak, Some("gzip"))] {
        let mut request = rig.request(Method::GET, &path).header("if-none-match", tag);
        if let Some(accepted) = accepted {
            request = request.header("accept-encoding", accepted);
        }
        let current = rig.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!((current.status, current.body.len()), (StatusCode::NOT_MODIFIED, 0), "{tag} {accepted:?}");
        // What a 200 would have said (RFC 9110, section 15.4.5).
        let whole = coded(&rig, Method::GET, &path, accepted).await;
        for name in ["etag", "vary", "cache-control"] {
            assert_eq!(current.header(name), whole.header(name), "{name} for {tag} {accepted:?}");
        }
        assert!(!current.headers.contains_key("content-encoding"));
    }

    // A client that was given a weak tag can edit by it, once.
    let patch = || {
        let request = rig.request(Method::PATCH, &path).header("if-match", &weak).header("accept-encoding", "gzip");
        request.header("content-type", "application/json").body(Body::from(r#"{"label":"edited"}"#)).unwrap()
    };
    let edited = rig.send(patch()).await;
    assert_eq!((edited.status, edited.header("content-encoding")), (StatusCode::OK, "gzip"));
    assert!(edited.header("etag").starts_with("W/\""));
    let late = rig.send(patch()).await;
    assert_eq!(late.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(late.header("etag").trim_start_matches("W/"), edited.header("etag").trim_start_matches("W/"));
}

#[tokio::test]
async fn what_gains_nothing_by_it_is_not_compressed() {
    let rig = Rig::new();
    let health = coded(&rig, Method::GET, "/api/v1/health", Some("gzip")).await;
    assert_eq!((health.status, health.header("content-encoding")), (StatusCode::OK, ""));
    let nothing = coded(&rig, Method::POST, "/api/v1/stats/capture/stop", Some("gzip")).await;
    assert_eq!((nothing.status, nothing.body.len()), (StatusCode::NO_CONTENT, 0));
    assert_eq!(nothing.header("content-encoding"), "");
}
