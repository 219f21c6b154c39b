//! What each route answers, in process, on real captures and recordings.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use axum::body::Body;
use axum::http::{Method, StatusCode};
use serde_json::json;

mod support;

use support::Rig;
use testkit::SmallDisk;

const START: &str = "/api/v1/stats/capture/start";
const STOP: &str = "/api/v1/stats/capture/stop";
const RECORDINGS: &str = "/api/v1/stats/recordings";

#[tokio::test]
async fn a_capture_is_started_marked_watched_stopped_and_read() {
    let rig = Rig::new();
    let _player = rig.play();
    let started = rig.post(START, r#"{"label":"evening","note":"n","max_duration_s":600}"#).await;
    assert_eq!(started.status, StatusCode::OK);
    assert_eq!((&started.json()["state"], &started.json()["label"]), (&json!("armed"), &json!("evening")));
    let again = rig.post(START, r#"{"label":"another"}"#).await;
    assert_eq!(again.json()["label"], "evening", "a second start changes nothing");

    let marker = rig.post("/api/v1/stats/capture/markers", r#"{"text":"boss"}"#).await;
    assert_eq!((marker.status, &marker.json()["kind"]), (StatusCode::CREATED, &json!("operator")));
    rig.until(|status| status.sample_count >= 2).await;
    let live = rig.get("/api/v1/stats/capture/live").await.json();
    assert!(live["samples"].as_array().unwrap().len() >= 2);
    assert!(live["samples"][0]["host"]["hist"].is_null(), "distributions are left out unless asked for");
    assert!(live["markers"].as_array().unwrap().iter().any(|marker| marker["text"] == "boss"));
    let full = rig.get("/api/v1/stats/capture/live?distributions=true&session=s1").await.json();
    assert!(full["samples"][0]["host"]["hist"].is_array());
    let nobody = rig.get("/api/v1/stats/capture/live?session=s9").await.json();
    assert_eq!(nobody["samples"], json!([]));
    assert_eq!(rig.get("/api/v1/sessions").await.json()[0]["id"], "s1");
    assert_eq!(rig.get("/api/v1/stats/capture/status").await.json()["armed"], true);

    let meta = rig.post(STOP, "").await;
    assert_eq!(meta.status, StatusCode::OK);
    let id = meta.json()["id"].as_str().unwrap().to_owned();
    assert_eq!(rig.get(&format!("{RECORDINGS}/{id}")).await.json()["meta"], meta.json());
    assert_eq!(rig.post(STOP, "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn start_takes_no_body_and_null_too_and_a_delayed_start_is_called_off() {
    let rig = Rig::new();
    assert_eq!(rig.ask(Method::POST, START, None).await.json()["state"], "armed");
    assert_eq!(rig.ask(Method::POST, STOP, None).await.status, StatusCode::OK);
    assert_eq!(rig.post(START, "null").await.json()["state"], "armed");
    assert_eq!(rig.post(STOP, "").await.status, StatusCode::OK);
    let delayed = rig.post(START, r#"{"delay_s":3600}"#).await.json();
    assert_eq!((&delayed["state"], &delayed["armed"]), (&json!("scheduled"), &json!(false)));
    assert_eq!(rig.post(STOP, "").await.status, StatusCode::NO_CONTENT);
}

#[tokio::test]
async fn a_capture_that_cannot_be_saved_says_which_path_and_is_saved_by_the_next_stop() {
    let rig = Rig::new();
    assert_eq!(rig.post(START, r#"{"label":"kept"}"#).await.status, StatusCode::OK);
    // The directory is gone, whoever runs the test: permissions do not stop root.
    let (captures, aside) = (rig.directory.path().join("captures"), rig.directory.path().join("aside"));
    std::fs::rename(&captures, &aside).unwrap();
    let message = rig.post(STOP, "").await.refusal(500);
    assert!(message.contains(captures.to_str().unwrap()) && message.contains("stop again"), "{message}");
    assert_eq!(rig.get("/api/v1/stats/capture/status").await.json()["state"], "unsaved");
    let message = rig.post(START, "{}").await.refusal(409);
    assert!(message.contains("not saved yet"), "{message}");
    std::fs::rename(&aside, &captures).unwrap();
    let saved = rig.post(STOP, "").await;
    assert_eq!((saved.status, &saved.json()["label"]), (StatusCode::OK, &json!("kept")));
}

#[tokio::test]
async fn an_edit_on_a_full_disk_is_refused_with_507_and_changes_nothing() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let rig = Rig::on(disk.path());
    let path = format!("{RECORDINGS}/{}", rig.record("before").await);
    let read = rig.get(&path).await;
    disk.fill();
    let message = rig.ask(Method::PATCH, &path, Some(r#"{"label":"after"}"#)).await.refusal(507);
    assert!(message.contains(rig.directory.path().to_str().unwrap()), "{message}");
    let kept = rig.get(&path).await;
    assert_eq!((&kept.body, kept.header("etag")), (&read.body, read.header("etag")));
    disk.empty();
    let edited = rig.ask(Method::PATCH, &path, Some(r#"{"label":"after"}"#)).await;
    assert_eq!((edited.status, &edited.json()["label"]), (StatusCode::OK, &json!("after")));
}

#[tokio::test]
async fn a_stop_on_a_full_disk_is_refused_with_507_and_saves_everything_when_it_is_repeated() {
    let Some(disk) = SmallDisk::mount("2m") else { return };
    let rig = Rig::on(disk.path());
    let _player = rig.play();
    assert_eq!(rig.post(START, r#"{"label":"kept"}"#).await.status, StatusCode::OK);
    rig.until(|status| status.sample_count >= 3).await;
    disk.fill();
    for _ in 0..2 {
        let message = rig.post(STOP, "").await.refusal(507);
        assert!(message.contains(rig.directory.path().to_str().unwrap()), "{message}");
    }
    let status = rig.get("/api/v1/stats/capture/status").await.json();
    assert_eq!(status["state"], "unsaved");
    disk.empty();
    let saved = rig.post(STOP, "").await;
    assert_eq!((saved.status, &saved.json()["label"]), (StatusCode::OK, &json!("kept")));
    let recording = rig.get(&format!("{RECORDINGS}/{}", saved.json()["id"].as_str().unwrap())).await.json();
    assert_eq!(json!(recording["samples"].as_array().unwrap().len()), status["sample_count"]);
}

#[tokio::test]
async fn markers_need_a_capture() {
    let rig = Rig::new();
    rig.post("/api/v1/stats/capture/markers", r#"{"text":"x"}"#).await.refusal(409);
}

#[tokio::test]
async fn the_list_is_paged_newest_first_and_shows_what_cannot_be_read() {
    let rig = Rig::new();
    let first = rig.record("first").await;
    let second = rig.record("second").await;
    let captures = rig.directory.path().join("captures");
    std::fs::write(captures.join("2020-01-01T00-00-00Z.json"), "{\"schema_version\":1,").unwrap();
    let mut ids = Vec::new();
    let mut path = format!("{RECORDINGS}?limit=1");
    loop {
        let page = rig.get(&path).await.json();
        assert_eq!((page["recordings"].as_array().unwrap().len(), &page["total"]), (1, &json!(3)));
        ids.push(page["recordings"][0].clone());
        let Some(next) = page["next"].as_str() else { break };
        path = format!("{RECORDINGS}?limit=1&cursor={next}");
    }
    assert_eq!((&ids[0]["meta"]["id"], &ids[1]["meta"]["id"]), (&json!(second), &json!(first)));
    assert_eq!((&ids[2]["id"], &ids[2]["meta"]), (&json!("2020-01-01T00-00-00Z"), &json!(null)));
    assert!(ids[2]["reason"].is_string());

    let unreadable = format!("{RECORDINGS}/2020-01-01T00-00-00Z");
    for part in ["", "/summary", "/csv"] {
        let message = rig.get(&format!("{unreadable}{part}")).await.refusal(422);
        assert!(message.contains("cannot be read"), "{message}");
    }
    assert_eq!(rig.ask(Method::DELETE, &unreadable, None).await.status, StatusCode::NO_CONTENT);
    assert_eq!(rig.get(RECORDINGS).await.json()["total"], 2);
}

#[tokio::test]
async fn an_edit_is_bound_to_the_state_that_was_read() {
    let rig = Rig::new();
    let path = format!("{RECORDINGS}/{}", rig.record("before").await);
    let read = rig.get(&path).await;
    let etag = read.header("etag").to_owned();
    assert_eq!(read.header("cache-control"), "private, no-cache");
    let known = |tag: &str| rig.request(Method::GET, &path).header("if-none-match", tag).body(Body::empty()).unwrap();
    let current = rig.send(known(&format!("\"other\", W/{etag}"))).await;
    assert_eq!(
        (current.status, current.body.len(), current.header("etag")),
        (StatusCode::NOT_MODIFIED, 0, etag.as_str())
    );

    let patch = |tag: &str, body: &'static str| {
        let request =
            rig.request(Method::PATCH, &path).header("if-match", tag).header("content-type", "application/json");
        request.body(Body::from(body)).unwrap()
    };
    let patched = rig.send(patch(&etag, r#"{"label":"after","pinned":true}"#)).await;
    assert_eq!((patched.status, &patched.json()["label"]), (StatusCode::OK, &json!("after")));
    let newer = patched.header("etag").to_owned();
    assert_ne!(newer, etag);
    assert_eq!(rig.send(known(&etag)).await.status, StatusCode::OK);

    let late = rig.send(patch(&etag, r#"{"label":"late"}"#)).await;
    late.refusal(412);
    assert_eq!(late.header("etag"), newer);
    rig.send(patch("unquoted", r#"{"label":"late"}"#)).await.refusal(412);
    let delete = |tag: &str| rig.request(Method::DELETE, &path).header("if-match", tag).body(Body::empty()).unwrap();
    rig.send(delete(&etag)).await.refusal(412);
    let kept = rig.get(&path).await.json();
    assert_eq!((&kept["meta"]["label"], &kept["meta"]["pinned"]), (&json!("after"), &json!(true)));
    assert_eq!(rig.send(delete(&newer)).await.status, StatusCode::NO_CONTENT);
    rig.get(&path).await.refusal(404);
}

#[tokio::test]
async fn distributions_can_be_left_out_and_large_answers_are_compressed() {
    let rig = Rig::new();
    let path = format!("{RECORDINGS}/{}", rig.record("x").await);
    let full = rig.get(&path).await;
    let brief = rig.get(&format!("{path}?distributions=false")).await;
    assert!(full.text().contains("\"hist\"") && !brief.text().contains("\"hist\""));
    assert_eq!(full.json()["summary"], brief.json()["summary"]);
    let request = rig.request(Method::GET, &path).header("accept-encoding", "gzip").body(Body::empty()).unwrap();
    let small = rig.send(request).await;
    assert_eq!((small.header("content-encoding"), &small.body[..2]), ("gzip", &[0x1f, 0x8b][..]));
    assert!(small.body.len() < full.body.len());
    assert_eq!(small.header("etag"), format!("W/{}", full.header("etag")), "other bytes, the same recording");
}

#[tokio::test]
async fn a_range_has_its_own_summary_and_csv_is_harmless_to_spreadsheets() {
    let rig = Rig::new();
    let path = format!("{RECORDINGS}/{}", rig.record("x").await);
    let whole = rig.get(&format!("{path}/summary")).await.json();
    assert_eq!(whole, rig.get(&path).await.json()["summary"]);
    assert!(whole["verdict"]["kind"].is_string() && whole["verdict"]["text"].is_string());
    let part = rig.get(&format!("{path}/summary?from_ms=0&to_ms=150")).await.json();
    let frames = |summary: &serde_json::Value| summary["all"]["frames"].as_u64().unwrap();
    assert!(frames(&part) < frames(&whole));
    // Ranges that hold no window: one of no length, and some behind the end, whatever a counter of 32 bits makes of them.
    for empty in
        ["from_ms=5&to_ms=5", "from_ms=9000000", "from_ms=4294967296&to_ms=4294967446", "from_ms=9007199254740991"]
    {
        let nothing = rig.get(&format!("{path}/summary?{empty}")).await.json();
        assert_eq!((frames(&nothing), &nothing["verdict"]["kind"]), (0, &json!("not_enough_data")), "{empty}");
    }
    for everything in ["from_ms=0", "to_ms=4294967295", "to_ms=4294967296", "from_ms=0&to_ms=9007199254740991"] {
        let summary = rig.get(&format!("{path}/summary?{everything}")).await.json();
        assert_eq!(frames(&summary), frames(&whole), "{everything}");
    }
    let message = rig.get(&format!("{path}/summary?from_ms=9000000&to_ms=5")).await.refusal(400);
    assert!(message.contains("`from_ms` (9000000)") && message.contains("`to_ms` (5)"), "{message}");

    let csv = rig.get(&format!("{path}/csv")).await;
    assert_eq!(csv.header("content-type"), "text/csv; charset=utf-8");
    assert!(csv.header("content-disposition").ends_with(".csv\""));
    let mut reader = csv::Reader::from_reader(csv.body.as_slice());
    let column = reader.headers().unwrap().iter().position(|name| name == "client").unwrap();
    let row = reader.records().next().unwrap().unwrap();
    assert!(row[column].starts_with("'=cmd"), "{}", &row[column]);
    let frames = rig.get(&format!("{path}/csv?of=frames")).await;
    assert!(frames.text().starts_with("session_id,frame,"));
}

#[tokio::test]
async fn clients_are_let_in_and_shut_out() {
    let rig = Rig::new();
    assert_eq!(rig.get("/api/v1/pair").await.json()[0]["id"], "r1");
    rig.post("/api/v1/pair", r#"{"request":"r9"}"#).await.refusal(404);
    rig.post("/api/v1/pair", r#"{"request":"r1","pin":"12"}"#).await.refusal(422);
    let shown = rig.post("/api/v1/pair", r#"{"request":"r1","pin":"1234","name":"TV"}"#).await;
    assert_eq!(shown.json(), json!({ "pin": "1234" }));
    let clients = rig.get("/api/v1/clients").await.json();
    assert_eq!((&clients[1]["name"], clients.as_array().unwrap().len()), (&json!("TV"), 2));
    assert_eq!(rig.ask(Method::DELETE, "/api/v1/clients/c2", None).await.status, StatusCode::NO_CONTENT);
    rig.ask(Method::DELETE, "/api/v1/clients/c2", None).await.refusal(404);
}

#[tokio::test]
async fn metrics_have_the_always_on_names() {
    let rig = Rig::new();
    rig.record("x").await;
    let _player = rig.play();
    let metrics = rig.get("/metrics").await;
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let text = metrics.text();
    let lines = [
        "punktfunk_build_info{version=\"0.0.0\",host_id=\"test\"} 1",
        "punktfunk_capture_active 0",
        "punktfunk_recordings 1",
    ];
    for line in lines.into_iter().chain(["punktfunk_session_active{protocol=\"native\"} 1"]) {
        assert!(text.lines().any(|found| found == line), "{line} in {text}");
    }
}

#[tokio::test]
async fn the_host_says_its_version_and_its_document() {
    let rig = Rig::new();
    let version = rig.get("/api/v1/version").await.json();
    assert_eq!(version, json!({ "version": "0.0.0", "api": "v1", "recording_schema": 1 }));
    let document = rig.get("/api/v1/openapi.json").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(document, serde_json::to_value(punktfunk_mgmt::openapi()).unwrap());
}
