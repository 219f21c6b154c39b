//! Recordings from files, over real HTTP.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use punktfunk_mgmt::{RequestLimits, Running};
use serde_json::{Value, json};

mod support;

use support::wire::{self, connect, whole};
use support::{Answer, Rig};

const RECORDINGS: &str = "/api/v1/stats/recordings";

async fn import(rig: &Rig, server: &Running, body: impl Into<Bytes>) -> Answer {
    let request = Request::post(RECORDINGS)
        .header("host", "localhost")
        .header("authorization", format!("Bearer {}", rig.operator()))
        .header("content-type", "application/json")
        .body(Full::new(body.into()));
    whole(connect(server.address()).await, request.unwrap()).await.unwrap()
}

async fn get(rig: &Rig, server: &Running, path: &str) -> Answer {
    whole(connect(server.address()).await, wire::get(rig, path)).await.unwrap()
}

#[tokio::test]
async fn a_recording_that_was_exported_is_taken_in_beside_the_one_that_is_there() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let id = rig.record("evening").await;
    let exported = get(&rig, &server, &format!("{RECORDINGS}/{id}")).await;
    let taken = import(&rig, &server, exported.body.clone()).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    let copy = taken.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(copy, format!("{id}-2"));
    assert_eq!(taken.header("location"), format!("{RECORDINGS}/{copy}"));

    let (was, is) = (exported.json(), get(&rig, &server, taken.header("location")).await.json());
    for same in ["samples", "markers", "kept_frames", "summary"] {
        assert_eq!(is[same], was[same], "{same}");
    }
    assert_eq!(is["provenance"]["imported"]["id"], id);
    assert_eq!(was["provenance"]["imported"], Value::Null);
    assert_eq!(get(&rig, &server, &format!("{RECORDINGS}/{id}")).await.body, exported.body, "nothing is overwritten");

    rig.ask(axum::http::Method::DELETE, &format!("{RECORDINGS}/{id}"), None).await;
    assert_eq!(import(&rig, &server, exported.body).await.json()["id"], id, "a free id is kept");
}

#[tokio::test]
async fn figures_of_a_whole_run_are_made_from_its_samples_and_absent_without_distributions() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let id = rig.record("").await;
    let mut lies = get(&rig, &server, &format!("{RECORDINGS}/{id}")).await.json();
    let true_p99 = lies["summary"]["all"]["host"]["p99_us"].clone();
    lies["summary"]["all"]["host"]["p99_us"] = json!(1.0);
    lies["meta"]["host_p99_us"] = json!(1.0);
    lies["meta"]["sample_count"] = json!(99_999);
    lies["meta"]["pinned"] = json!(true);
    let taken = import(&rig, &server, lies.to_string()).await.json();
    assert_eq!(taken["host_p99_us"], true_p99);
    assert_eq!(
        (&taken["sample_count"], &taken["pinned"]),
        (&json!(lies["samples"].as_array().unwrap().len()), &json!(false))
    );

    let plain = get(&rig, &server, &format!("{RECORDINGS}/{id}?distributions=false")).await;
    let taken = import(&rig, &server, plain.body).await.json();
    assert_eq!(taken["host_p99_us"], Value::Null, "not a guess");
}

#[tokio::test]
async fn what_no_host_can_have_made_is_refused_with_what_is_wrong() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let id = rig.record("").await;
    let good = get(&rig, &server, &format!("{RECORDINGS}/{id}")).await.json();
    let changes: [(&str, Value, &str); 12] = [
        ("/schema_version", json!(2), "schema version 2"),
        ("/meta/id", json!("../../x"), "id"),
        ("/meta/label", json!("x".repeat(10_001)), "10000 characters"),
        ("/meta/started_unix_ms", json!(u64::MAX), "9999"),
        ("/meta/sessions", json!([]), "no session"),
        ("/samples/0/session_id", json!("s77"), "no session"),
        ("/samples/0/window_ms", json!(-1.0), "cannot be"),
        ("/samples/0/late", json!(1_000_000), "late"),
        ("/samples/0/host/p50_us", json!(1e12), "do not rise"),
        ("/samples/0/host/hist", json!([0, 1]), "other frames"),
        ("/samples/0/host/hist", json!([-5000, 1, -9_223_372_036_854_775_808_i64, 1]), ""),
        ("/samples/0/frames", json!(-1), "invalid"),
    ];
    for (place, value, said) in changes {
        let mut bad = good.clone();
        *bad.pointer_mut(place).unwrap() = value;
        let message = import(&rig, &server, bad.to_string()).await.refusal(422);
        assert!(message.contains(said), "{place}: {message}");
    }
    for bytes in ["", "{", "null", "[]", "{}", "{\"schema_version\":1}", "\u{0}"] {
        import(&rig, &server, bytes).await.refusal(422);
    }
    let cut = good.to_string();
    import(&rig, &server, cut[..cut.len() / 2].to_owned()).await.refusal(422);
    assert_eq!(get(&rig, &server, RECORDINGS).await.json()["total"], 1, "nothing is left behind");
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_however_it_comes() {
    let limits = RequestLimits { import_bytes: 200 << 10, ..RequestLimits::default() };
    let rig = Rig::with_limits(limits);
    let server = rig.serve(|_| ()).await;
    import(&rig, &server, " ".repeat((200 << 10) + 1)).await.refusal(413);
    // Larger than other bodies may be, and as large as it may be.
    import(&rig, &server, " ".repeat(200 << 10)).await.refusal(422);
    // Without saying so beforehand.
    let mut chunked = wire::head(&rig, &format!("POST {RECORDINGS}")).into_bytes();
    chunked.extend(b"content-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..4 {
        chunked.extend(b"10000\r\n");
        chunked.extend([b' '; 0x10000]);
        chunked.extend(b"\r\n");
    }
    wire::raw(server.address(), &chunked).await.refusal(413);
    let untyped = wire::head(&rig, &format!("POST {RECORDINGS}")) + "connection: close\r\ncontent-length: 2\r\n\r\n{}";
    wire::raw(server.address(), untyped.as_bytes()).await.refusal(415);
}
