//! Browsers that sign in, over real HTTP: what a session may, and what pages of other origins may not.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::net::SocketAddr;

use axum::http::Method;
use http_body_util::Full;
use hyper::Request;
use hyper::body::Bytes;
use punktfunk_mgmt::Running;
use serde_json::{Value, json};

mod support;

use support::wire::{self, Events, connect, whole};
use support::{Answer, Rig};

const SESSION: &str = "/api/v1/auth/session";
const STATUS: &str = "/api/v1/stats/capture/status";
const MARKERS: &str = "/api/v1/stats/capture/markers";

/// One request of a browser: its method, path, header fields and body.
async fn ask(server: &Running, method: Method, path: &str, fields: &[(&str, &str)], body: Option<&str>) -> Answer {
    let address: SocketAddr = server.address();
    let mut request = Request::builder().method(method).uri(path).header("host", address.to_string());
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    if body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = Full::new(Bytes::from(body.unwrap_or_default().to_owned()));
    whole(connect(address).await, request.body(body).unwrap()).await.unwrap()
}

/// A signed-in browser: its cookie and its CSRF token.
struct Browser {
    cookie: String,
    csrf: String,
}

impl Browser {
    fn of(answer: &Answer) -> Self {
        assert_eq!(answer.status, 200, "{}", answer.text());
        let cookie = answer.header("set-cookie").split(';').next().unwrap().to_owned();
        Self { cookie, csrf: answer.json()["csrf_token"].as_str().unwrap().to_owned() }
    }

    async fn by_token(server: &Running, token: &str) -> Self {
        let bearer = format!("Bearer {token}");
        Self::of(&ask(server, Method::POST, SESSION, &[("authorization", &bearer)], None).await)
    }

    fn secret(&self) -> &str {
        self.cookie.split_once('=').unwrap().1
    }
}

#[tokio::test]
async fn a_browser_signs_in_by_a_token_reads_changes_and_signs_out() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let bearer = format!("Bearer {}", rig.operator());
    let answer = ask(&server, Method::POST, SESSION, &[("authorization", &bearer)], None).await;
    let cookie = answer.header("set-cookie").to_owned();
    let name = format!("punktfunk-{}=", server.address().port());
    assert!(cookie.starts_with(&name), "{cookie}");
    for part in ["; HttpOnly", "; SameSite=Strict", "; Path=/", "; Max-Age=604800"] {
        assert!(cookie.contains(part), "{cookie}");
    }
    assert!(!cookie.contains("Secure") && !cookie.contains("Domain"), "{cookie}");

    let browser = Browser::of(&answer);
    assert!(!answer.text().contains(browser.secret()), "no script sees the cookie");
    let me = ask(&server, Method::GET, SESSION, &[("cookie", &browser.cookie)], None).await.json();
    assert_eq!((&me["role"], &me["csrf_token"]), (&json!("operator"), &json!(browser.csrf)));
    assert_eq!(ask(&server, Method::GET, STATUS, &[("cookie", &browser.cookie)], None).await.status, 200);

    let change = [("cookie", browser.cookie.as_str()), ("x-csrf-token", &browser.csrf)];
    assert_eq!(ask(&server, Method::POST, "/api/v1/stats/capture/start", &change, Some("{}")).await.status, 200);
    assert_eq!(ask(&server, Method::POST, MARKERS, &change, Some("{\"text\":\"x\"}")).await.status, 201);

    let out = ask(&server, Method::DELETE, SESSION, &change, None).await;
    assert_eq!((out.status.as_u16(), out.header("set-cookie").contains("Max-Age=0")), (204, true));
    ask(&server, Method::GET, STATUS, &[("cookie", &browser.cookie)], None).await.refusal(401);
}

#[tokio::test]
async fn signing_in_anew_ends_the_browser_s_former_session_and_no_other() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let other = Browser::by_token(&server, rig.operator()).await;
    let former = Browser::by_token(&server, rig.operator()).await;
    let status = async |browser: &Browser| {
        ask(&server, Method::GET, STATUS, &[("cookie", &browser.cookie)], None).await.status.as_u16()
    };
    let bearer = format!("Bearer {}", rig.operator());
    let wrong = [("cookie", former.cookie.as_str()), ("authorization", "Bearer wrong")];
    ask(&server, Method::POST, SESSION, &wrong, None).await.refusal(401);
    assert_eq!(status(&former).await, 200);
    let right = [("cookie", former.cookie.as_str()), ("authorization", &bearer)];
    let anew = Browser::of(&ask(&server, Method::POST, SESSION, &right, None).await);
    assert_eq!([status(&former).await, status(&anew).await, status(&other).await], [401, 200, 200]);
}

#[tokio::test]
async fn a_change_by_a_session_needs_its_own_csrf_token() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let browser = Browser::by_token(&server, rig.operator()).await;
    let other = Browser::by_token(&server, rig.operator()).await;
    for wrong in ["", "x", &other.csrf, &browser.csrf.to_uppercase(), browser.secret()] {
        for (method, path) in [
            (Method::POST, "/api/v1/stats/capture/start"),
            (Method::POST, "/api/v1/auth/links"),
            (Method::DELETE, SESSION),
            (Method::DELETE, "/api/v1/clients/c1"),
            (Method::PATCH, "/api/v1/stats/recordings/x"),
            (Method::PUT, "/api/v1/nope"),
        ] {
            let fields = [("cookie", browser.cookie.as_str()), ("x-csrf-token", wrong)];
            let message = ask(&server, method, path, &fields, Some("{}")).await.refusal(403);
            assert!(message.contains("X-CSRF-Token"), "{message}");
        }
    }
    assert_eq!(rig.state.pairing.clients().len(), 1);
    let still = ask(&server, Method::GET, STATUS, &[("cookie", &browser.cookie)], None).await;
    assert_eq!(still.json()["armed"], false);
}

#[tokio::test]
async fn a_page_of_another_origin_can_neither_read_nor_change_anything() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let browser = Browser::by_token(&server, rig.operator()).await;
    let own = format!("http://{}", server.address());
    let elsewhere: [&[(&str, &str)]; 7] = [
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-site")],
        &[("sec-fetch-site", "cross-site"), ("origin", &own)],
        &[("origin", "https://evil.example")],
        &[("origin", "http://127.0.0.1:1")],
        &[("origin", "null")],
        &[("origin", &own), ("origin", "https://evil.example")],
    ];
    for fields in elsewhere {
        // It has got hold of everything that a browser would add.
        let mut all = fields.to_vec();
        all.extend([("cookie", browser.cookie.as_str()), ("x-csrf-token", &browser.csrf)]);
        for (method, path, body) in [
            (Method::GET, STATUS, None),
            (Method::GET, SESSION, None),
            (Method::GET, "/api/v1/stats/capture/stream", None),
            (Method::GET, "/metrics", None),
            (Method::POST, "/api/v1/stats/capture/start", Some("{}")),
            (Method::POST, "/api/v1/auth/links", None),
            (Method::DELETE, SESSION, None),
        ] {
            let answer = ask(&server, method.clone(), path, &all, body).await;
            answer.refusal(403);
            let allowed = answer.headers.keys().filter(|name| name.as_str().starts_with("access-control"));
            assert_eq!(allowed.count(), 0, "no CORS");
        }
        // Nor can it use up a link that it has found.
        let link = rig.state.sign_in.link().unwrap();
        let body = json!({ "one_time_token": link.reveal() }).to_string();
        ask(&server, Method::POST, SESSION, fields, Some(&body)).await.refusal(403);
        assert_eq!(ask(&server, Method::POST, SESSION, &[], Some(&body)).await.status, 200);
    }
    // A preflight finds nothing that lets it on.
    let preflight = [("origin", "https://evil.example"), ("access-control-request-method", "POST")];
    ask(&server, Method::OPTIONS, "/api/v1/stats/capture/start", &preflight, None).await.refusal(401);
    // A form, the one thing that needs no preflight, is no JSON.
    let form = [
        ("cookie", browser.cookie.as_str()),
        ("x-csrf-token", &browser.csrf),
        ("content-type", "application/x-www-form-urlencoded"),
    ];
    let answer = ask(&server, Method::POST, MARKERS, &form, None).await;
    assert!(answer.status.is_client_error(), "{}", answer.status);
    let typed = [("cookie", browser.cookie.as_str()), ("sec-fetch-site", "none")];
    assert_eq!(ask(&server, Method::GET, STATUS, &typed, None).await.status, 200, "the address bar may read");
    assert_eq!(ask(&server, Method::GET, STATUS, &[("cookie", &browser.cookie)], None).await.json()["armed"], false);
}

#[tokio::test]
async fn a_link_signs_one_browser_in_once() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let bearer = format!("Bearer {}", rig.operator());
    let made = ask(&server, Method::POST, "/api/v1/auth/links", &[("authorization", &bearer)], None).await;
    assert_eq!(made.status, 201);
    let link = made.json();
    let url = link["url"].as_str().unwrap();
    let (base, token) = url.split_once("/#signin=").unwrap();
    assert_eq!((base, token.len()), (format!("http://{}", server.address()).as_str(), 64));
    assert_eq!((&link["expires_in_s"], &link["this_machine_only"]), (&json!(600), &json!(true)));
    assert!(link["svg"].as_str().unwrap().contains("<svg") && !link["svg"].as_str().unwrap().contains("<script"));

    let body = json!({ "one_time_token": token }).to_string();
    let browser = Browser::of(&ask(&server, Method::POST, SESSION, &[], Some(&body)).await);
    let me = ask(&server, Method::GET, SESSION, &[("cookie", &browser.cookie)], None).await.json();
    assert_eq!(me["role"], "operator");
    let again = ask(&server, Method::POST, SESSION, &[], Some(&body)).await;
    assert!(again.refusal(401).contains("used or has expired"));
    for nothing in ["{}", "null", "{\"one_time_token\":null}", "{\"one_time_token\":\"\"}"] {
        ask(&server, Method::POST, SESSION, &[], Some(nothing)).await.refusal(401);
    }
    ask(&server, Method::POST, SESSION, &[], Some("{\"token\":\"x\"}")).await.refusal(422);
    let long = json!({ "one_time_token": "x".repeat(513) }).to_string();
    ask(&server, Method::POST, SESSION, &[], Some(&long)).await.refusal(422);
}

#[tokio::test]
async fn a_session_of_the_read_only_token_reads_metrics_and_nothing_else() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let browser = Browser::by_token(&server, rig.state.tokens.reader().reveal()).await;
    let change = [("cookie", browser.cookie.as_str()), ("x-csrf-token", &browser.csrf)];
    assert_eq!(ask(&server, Method::GET, "/metrics", &change, None).await.status, 200);
    assert_eq!(ask(&server, Method::GET, SESSION, &change, None).await.json()["role"], "reader");
    ask(&server, Method::GET, STATUS, &change, None).await.refusal(403);
    ask(&server, Method::POST, "/api/v1/auth/links", &change, None).await.refusal(403);
    assert_eq!(ask(&server, Method::DELETE, SESSION, &change, None).await.status, 204);
}

#[tokio::test]
async fn a_token_stands_above_a_cookie_and_needs_no_csrf_token() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let browser = Browser::by_token(&server, rig.operator()).await;
    let wrong = [("cookie", browser.cookie.as_str()), ("x-csrf-token", &browser.csrf), ("authorization", "Bearer no")];
    ask(&server, Method::GET, STATUS, &wrong, None).await.refusal(401);
    let bearer = format!("Bearer {}", rig.operator());
    let right = [("cookie", browser.cookie.as_str()), ("authorization", &bearer)];
    assert_eq!(ask(&server, Method::POST, "/api/v1/auth/links", &right, None).await.status, 201);
    let me = ask(&server, Method::GET, SESSION, &[("authorization", &bearer)], None).await.json();
    assert_eq!(me, json!({ "role": "operator", "csrf_token": Value::Null, "expires_in_s": Value::Null }));
}

#[tokio::test]
async fn a_cookie_that_another_page_of_this_machine_sets_does_not_hide_the_session() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let browser = Browser::by_token(&server, rig.operator()).await;
    let name = browser.cookie.split_once('=').unwrap().0;
    let both = format!("{name}=tossed; {}; other=1", browser.cookie);
    assert_eq!(ask(&server, Method::GET, STATUS, &[("cookie", &both)], None).await.status, 200);
    for wrong in [format!("{name}=tossed"), format!("{name}="), format!("x{}", browser.cookie), "\"".into()] {
        ask(&server, Method::GET, STATUS, &[("cookie", &wrong)], None).await.refusal(401);
    }
}

#[tokio::test]
async fn signing_out_ends_the_event_streams_of_that_session_and_no_other() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let (leaves, stays) =
        (Browser::by_token(&server, rig.operator()).await, Browser::by_token(&server, rig.operator()).await);
    let watch = async |browser: &Browser| {
        let request = Request::builder()
            .uri("/api/v1/stats/capture/stream")
            .header("host", server.address().to_string())
            .header("cookie", &browser.cookie)
            .body(Full::default());
        Events::of(wire::ask(connect(server.address()).await, request.unwrap()).await.unwrap())
    };
    let (mut ends, mut ends_too, mut goes_on) = (watch(&leaves).await, watch(&leaves).await, watch(&stays).await);
    let mut by_token = Events::open(&rig, server.address(), None).await;
    for events in [&mut ends, &mut ends_too, &mut goes_on, &mut by_token] {
        assert!(events.next().await.is_some());
    }
    let change = [("cookie", leaves.cookie.as_str()), ("x-csrf-token", &leaves.csrf)];
    assert_eq!(ask(&server, Method::DELETE, SESSION, &change, None).await.status, 204);
    assert!(ends.next().await.is_none() && ends_too.next().await.is_none());

    rig.post("/api/v1/stats/capture/start", "{}").await;
    for events in [&mut goes_on, &mut by_token] {
        assert_eq!(events.next().await.unwrap().data["state"], "armed");
    }
}
