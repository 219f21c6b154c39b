//! Recordings held against each other over real HTTP: comparison, baseline and check.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use axum::http::{Method, StatusCode};
use serde_json::{Value, json};

mod support;

use support::Rig;

const BASELINE: &str = "/api/v1/stats/baseline";
const RECORDINGS: &str = "/api/v1/stats/recordings";

/// A recording that is long enough to be judged.
async fn record(rig: &Rig) -> String {
    let _player = rig.play();
    assert_eq!(rig.post("/api/v1/stats/capture/start", "{}").await.status, StatusCode::OK);
    rig.until(|status| status.sample_count >= 12).await;
    rig.post("/api/v1/stats/capture/stop", "").await.json()["id"].as_str().unwrap().to_owned()
}

/// A copy of a recording, changed, as one of its own.
async fn copy(rig: &Rig, id: &str, change: impl FnOnce(&mut Value)) -> String {
    let mut recording = rig.get(&format!("{RECORDINGS}/{id}")).await.json();
    change(&mut recording);
    let taken = rig.post(RECORDINGS, &recording.to_string()).await;
    assert_eq!(taken.status, StatusCode::CREATED, "{}", taken.text());
    taken.json()["id"].as_str().unwrap().to_owned()
}

/// Makes host and encode slower by 20 ms in every window: far beyond what the run's own frames took.
fn slower(recording: &mut Value) {
    for sample in recording["samples"].as_array_mut().unwrap() {
        let host = sample["host"].clone();
        if host.is_null() {
            continue;
        }
        let encode =
            sample["stages"].as_array_mut().unwrap().iter_mut().find(|stage| stage["name"] == "encode").cloned();
        let (mut host, mut encode) = (host, encode.unwrap());
        for stage in [&mut host, &mut encode] {
            for figure in ["p50_us", "p95_us", "p99_us", "max_us", "mean_us"] {
                stage[figure] = json!(20_000.0);
            }
            // 20 ms lies in bucket -362: (2^(-362/64), 2^(-361/64)] seconds.
            stage["hist"] = json!([-362, stage["count"]]);
        }
        let at = sample["stages"].as_array().unwrap().iter().position(|stage| stage["name"] == "encode").unwrap();
        sample["stages"][at] = encode;
        sample["host"] = host;
    }
}

#[tokio::test]
async fn a_recording_and_its_copy_do_not_differ_and_a_slower_one_does() {
    let rig = Rig::new();
    let id = record(&rig).await;
    let same = copy(&rig, &id, |_| ()).await;
    let slow = copy(&rig, &id, slower).await;
    let answer = rig.get(&format!("/api/v1/stats/compare?ids={id},{same},{slow}")).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    let compared = answer.json();
    assert_eq!(compared["runs"].as_array().unwrap().len(), 3);
    assert_eq!((&compared["comparable"], &compared["warnings"]), (&json!(true), &json!([])));
    let differences = compared["differences"].as_array().unwrap();
    assert_eq!(differences[0]["outcome"], "no_change", "{}", differences[0]["text"]);
    assert_eq!(differences[1]["outcome"], "worse", "{}", differences[1]["text"]);
    let text = differences[1]["text"].as_str().unwrap();
    assert!(text.contains("encode p99 +") && text.ends_with("the rest is noise."), "{text}");
    assert_eq!(
        rig.get(&format!("/api/v1/stats/compare?ids={id},{id}")).await.json()["differences"][0]["outcome"],
        "no_change"
    );
}

#[tokio::test]
async fn a_check_passes_fails_or_says_why_it_cannot_tell() {
    let rig = Rig::new();
    let id = record(&rig).await;
    let (slow, other) = (
        copy(&rig, &id, slower).await,
        copy(&rig, &id, |run| run["meta"]["sessions"][0]["height"] = json!(1080)).await,
    );
    let short = rig.record("short").await;
    let check = async |of: &str, query: &str| rig.get(&format!("{RECORDINGS}/{of}/check{query}")).await;

    check(&slow, "").await.refusal(409);
    let pinned = rig.ask(Method::PUT, BASELINE, Some(&json!({ "id": id }).to_string())).await;
    assert_eq!((pinned.status, &pinned.json()["id"]), (StatusCode::OK, &json!(id)));
    assert_eq!(check(&id, "").await.json()["outcome"], "pass");
    let failed = check(&slow, "").await.json();
    assert_eq!((&failed["outcome"], &failed["baseline"]), (&json!("fail"), &json!(id)));
    let named = failed["regressions"].as_array().unwrap();
    assert!(named.iter().any(|figure| figure["series"] == "encode" && figure["figure"] == "p99"), "{failed}");
    assert_eq!(failed["comparison"]["differences"][0]["outcome"], "worse");
    assert!(named.iter().all(|figure| ["encode", "host"].contains(&figure["series"].as_str().unwrap())), "{failed}");
    assert_eq!(check(&id, &format!("?baseline={slow}")).await.json()["outcome"], "pass", "faster is no regression");
    assert_eq!(check(&other, "").await.json()["outcome"], "not_comparable");
    assert_eq!(check(&short, "").await.json()["outcome"], "not_enough_data");
}

#[tokio::test]
async fn the_baseline_is_pinned_kept_and_forgotten_with_its_recording() {
    let rig = Rig::new();
    let id = rig.record("").await;
    assert_eq!(rig.get(BASELINE).await.json(), json!({ "id": null }));
    let put = async |id: &str| rig.ask(Method::PUT, BASELINE, Some(&json!({ "id": id }).to_string())).await;
    put("2020-01-01T00-00-00Z").await.refusal(404);
    put("../mgmt-token").await.refusal(404);
    assert_eq!(put(&id).await.status, StatusCode::OK);
    assert_eq!(rig.get(BASELINE).await.json(), json!({ "id": id }));
    assert_eq!(rig.get(RECORDINGS).await.json()["total"], 1, "it is no recording itself");
    for _ in 0..2 {
        assert_eq!(rig.ask(Method::DELETE, BASELINE, None).await.status, StatusCode::NO_CONTENT);
        assert_eq!(rig.get(BASELINE).await.json(), json!({ "id": null }));
    }
    put(&id).await;
    rig.ask(Method::DELETE, &format!("{RECORDINGS}/{id}"), None).await;
    assert_eq!(rig.get(BASELINE).await.json(), json!({ "id": null }));
}

#[tokio::test]
async fn what_cannot_be_compared_is_refused() {
    let rig = Rig::new();
    let id = rig.record("").await;
    for ids in ["", &id, "a,b,c,d,e", &format!("{id},{id},{id},{id},{id}")] {
        rig.get(&format!("/api/v1/stats/compare?ids={ids}")).await.refusal(400);
    }
    rig.get("/api/v1/stats/compare").await.refusal(400);
    for path in ["compare", "compare/report"] {
        rig.get(&format!("/api/v1/stats/{path}?ids={id},{id}&from_ms=2&to_ms=1")).await.refusal(400);
    }
    for ids in [format!("{id},nope"), format!("{id},"), format!("{id},..%2fx"), ",".into()] {
        rig.get(&format!("/api/v1/stats/compare?ids={ids}")).await.refusal(404);
    }
    for query in ["?max_regression_percent=-1", "?max_regression_percent=1e9", "?max_regression_percent=NaN", "?x=1"] {
        rig.get(&format!("{RECORDINGS}/{id}/check{query}")).await.refusal(400);
    }
    rig.get(&format!("{RECORDINGS}/{id}/check?baseline=nope")).await.refusal(404);
}
