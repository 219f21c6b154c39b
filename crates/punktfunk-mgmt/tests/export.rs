//! OpenMetrics and reports over real HTTP, read by the programs that they are for, with text in them that means harm.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};

mod support;

use support::Rig;

const RECORDINGS: &str = "/api/v1/stats/recordings";

/// Text that strangers may send: markup, a script, text that runs from right to left, pictures, an unusual length.
fn hostile() -> Vec<String> {
    vec![
        "<img src=x onerror=alert(1)>".into(),
        "</style><script>alert(1)</script>".into(),
        "\"'><svg onload=alert(1)>".into(),
        "\u{202e}gnirts gnorw\u{2066}".into(),
        "שלום عالم 🎮🔥".into(),
        "a\\b\nc\"d{}".into(),
        "x".repeat(10_000),
    ]
}

/// A recording in which everything that people may choose is this text.
async fn recording_with(rig: &Rig, id: &str, text: &str) -> String {
    let mut recording = rig.get(&format!("{RECORDINGS}/{id}")).await.json();
    recording["meta"]["label"] = json!(text);
    recording["meta"]["note"] = json!(text);
    recording["meta"]["host"]["cpu"] = json!(text);
    recording["meta"]["host"]["id"] = json!(text);
    for name in ["client", "codec", "encoder", "source_kind", "protocol"] {
        recording["meta"]["sessions"][0][name] = json!(text);
    }
    recording["markers"]
        .as_array_mut()
        .unwrap()
        .push(json!({ "t_ms": 1, "session_id": null, "kind": "operator", "text": text }));
    // Stages have names, too.
    recording["meta"]["sessions"][0]["stages"][0]["name"] = json!(text);
    for sample in recording["samples"].as_array_mut().unwrap() {
        for stage in sample["stages"].as_array_mut().unwrap() {
            if stage["name"] == "capture" {
                stage["name"] = json!(text);
            }
        }
    }
    recording["kept_frames"] = Value::Array(Vec::new());
    let taken = rig.post(RECORDINGS, &recording.to_string()).await;
    assert_eq!(taken.status, 201, "{}", taken.text());
    taken.json()["id"].as_str().unwrap().to_owned()
}

/// That a page holds nothing that runs, and nothing that loads.
fn assert_harmless(page: &str) {
    let tags: Vec<&str> = page.split('<').skip(1).map(|rest| rest.split(['>', ' ', '/']).next().unwrap()).collect();
    for tag in ["script", "img", "iframe", "link", "object", "base", "form", "a"] {
        assert!(!tags.contains(&tag), "<{tag}>");
    }
    // Attributes, of which none is an event's or names another place.
    for tag in page.split('<').skip(1).filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag) {
        for attribute in [" on", " href=", " src=", " xlink:", " style="] {
            assert!(!tag.contains(attribute), "{tag}");
        }
    }
    assert!(
        !page.contains("http://") && !page.contains("https://") && !page.contains("url(") && !page.contains("@import")
    );
    assert!(
        page.contains("Content-Security-Policy") && page.contains("default-src &#39;none&#39;")
            || page.contains("default-src 'none'")
    );
}

#[tokio::test]
async fn a_report_is_one_file_with_graphs_tables_and_nothing_that_runs() {
    let rig = Rig::new();
    let id = rig.record("evening").await;
    let answer = rig.get(&format!("{RECORDINGS}/{id}/report")).await;
    assert_eq!((answer.status.as_u16(), answer.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none';") && policy.contains("sandbox"), "{policy}");
    let page = answer.text();
    assert_harmless(&page);
    for part in
        ["<!DOCTYPE html>", "evening", &id, "Where the time went", "<svg", "encode mean", "p99.9", "class=\"verdict\""]
    {
        assert!(page.contains(part), "{part}");
    }
    rig.get(&format!("{RECORDINGS}/nope/report")).await.refusal(404);
    rig.get(&format!("{RECORDINGS}/nope/openmetrics")).await.refusal(404);

    let compared = rig.get(&format!("/api/v1/stats/compare/report?ids={id},{id}")).await;
    assert_eq!(compared.status, 200);
    assert_harmless(&compared.text());
    assert!(compared.text().contains("B against A"));
    rig.get(&format!("/api/v1/stats/compare/report?ids={id}")).await.refusal(400);

    for (path, title) in [
        (format!("{RECORDINGS}/{id}/report?language="), "Woher die Zahlen kommen"),
        (format!("/api/v1/stats/compare/report?ids={id},{id}&language="), "Vergleich von 2 Aufnahmen"),
    ] {
        let german = rig.get(&format!("{path}de")).await.text();
        assert_harmless(&german);
        assert!(german.contains("<html lang=\"de\">") && german.contains(title), "{title}");
        assert!(!rig.get(&format!("{path}en")).await.text().contains(title));
        rig.get(&format!("{path}tlh")).await.refusal(400);
    }
}

#[tokio::test]
async fn no_text_of_a_stranger_becomes_part_of_a_page() {
    let rig = Rig::new();
    let id = rig.record("").await;
    for text in hostile() {
        let copy = recording_with(&rig, &id, &text).await;
        // What is longer is cut.
        let shown: String = text.chars().take(80).collect();
        let escaped = shown.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
        for path in [format!("{RECORDINGS}/{copy}/report"), format!("/api/v1/stats/compare/report?ids={id},{copy}")] {
            let page = rig.get(&path).await.text();
            assert_harmless(&page);
            assert!(page.contains(&format!("<bdi>{escaped}")), "{path}: {escaped}");
        }
    }
}

#[tokio::test]
async fn promtool_makes_blocks_of_a_recording() {
    let rig = Rig::new();
    let id = rig.record("").await;
    let mut ids = vec![id.clone()];
    for text in hostile() {
        ids.push(recording_with(&rig, &id, &text).await);
    }
    for id in ids {
        let answer = rig.get(&format!("{RECORDINGS}/{id}/openmetrics")).await;
        assert_eq!(answer.header("content-type"), "application/openmetrics-text; version=1.0.0; charset=utf-8");
        let text = answer.text();
        assert!(text.ends_with("# EOF\n") && text.contains("source=\"recording\""), "{text}");
        let count =
            text.lines().filter(|line| line.starts_with("punktfunk_frame_host_duration_seconds_count{")).count();
        assert!(count >= 2, "a point a window");
        let Some(mut promtool) = testkit::promtool() else { return };
        let directory = tempfile::tempdir().unwrap();
        let (file, blocks) = (directory.path().join("om"), directory.path().join("blocks"));
        std::fs::write(&file, &text).unwrap();
        let made =
            promtool.args(["tsdb", "create-blocks-from", "openmetrics"]).arg(&file).arg(&blocks).output().unwrap();
        let said = String::from_utf8_lossy(&made.stderr).into_owned();
        assert!(made.status.success() && std::fs::read_dir(&blocks).unwrap().count() > 0, "{said}");
    }
}
