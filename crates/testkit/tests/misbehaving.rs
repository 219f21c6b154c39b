//! The misbehaving server misbehaves as told.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::io::Read as _;
use std::time::Duration;

use testkit::{Behaviour, Misbehaving};
use ureq::Agent;

fn agent() -> Agent {
    let config = Agent::config_builder().http_status_as_error(false).max_redirects(0).max_redirects_will_error(false);
    config.timeout_recv_response(Some(Duration::from_millis(200))).build().into()
}

fn get(server: &Misbehaving) -> (u16, String, String) {
    let mut response = agent().get(format!("{}/path?a=b", server.url())).call().unwrap();
    let content_type = response.headers().get("content-type").map(|value| value.to_str().unwrap().to_owned());
    (response.status().as_u16(), content_type.unwrap_or_default(), response.body_mut().read_to_string().unwrap())
}

#[test]
fn the_behaviour_changes_while_it_runs() {
    let server = Misbehaving::start(Behaviour::status(503, "busy"));
    assert_eq!(get(&server), (503, "text/plain".to_owned(), "busy".to_owned()));
    server.set(Behaviour::html());
    let (status, content_type, body) = get(&server);
    assert_eq!((status, content_type.as_str()), (200, "text/html; charset=utf-8"));
    assert!(body.starts_with("<!doctype html>"));
    let requests = server.requests();
    assert_eq!(requests.len(), 2);
    assert_eq!((requests[1].method.as_str(), requests[1].path.as_str()), ("GET", "/path?a=b"));
}

#[test]
fn a_redirect_keeps_the_method() {
    let server = Misbehaving::start(Behaviour::Redirect { location: "http://127.0.0.1:9/".to_owned() });
    let response = agent().post(server.url()).send("body").unwrap();
    assert_eq!(
        (response.status().as_u16(), &response.headers()["location"]),
        (307, &"http://127.0.0.1:9/".parse().unwrap())
    );
}

#[test]
fn silence_lasts_until_the_client_gives_up() {
    let server = Misbehaving::start(Behaviour::Silence);
    let error = agent().get(server.url()).call().unwrap_err();
    assert!(matches!(error, ureq::Error::Timeout(_)), "{error}");
    assert_eq!(server.requests().len(), 1);
}

#[test]
fn an_endless_body_goes_on_past_any_limit() {
    let server = Misbehaving::start(Behaviour::EndlessBody { pause: Duration::ZERO });
    let response = agent().get(server.url()).call().unwrap();
    let mut body = response.into_body().into_reader().take(32 << 20);
    assert_eq!(std::io::copy(&mut body, &mut std::io::sink()).unwrap(), 32 << 20);
}

#[test]
fn an_answer_is_handed_on_and_rewritten() {
    let upstream = Misbehaving::start(Behaviour::status(422, "one two"));
    let server = Misbehaving::start(Behaviour::pass_through(&upstream.url()));
    assert_eq!(get(&server), (422, "text/plain".to_owned(), "one two".to_owned()));

    server.set(Behaviour::rewriting(&upstream.url(), |request, body| {
        assert_eq!(request.path, "/api/v1/query");
        String::from_utf8(body).unwrap().replace("two", "three").into_bytes()
    }));
    let mut response =
        agent().post(format!("{}/api/v1/query", server.url())).header("traceparent", "t").send_form([("query", "up")]);
    assert_eq!(response.as_mut().unwrap().body_mut().read_to_string().unwrap(), "one three");
    let seen = upstream.requests().pop().unwrap();
    assert_eq!(
        (seen.method.as_str(), seen.body.as_slice(), seen.header("traceparent")),
        ("POST", b"query=up".as_slice(), Some("t"))
    );

    let gone = upstream.url();
    drop(upstream);
    server.set(Behaviour::pass_through(&gone));
    assert_eq!(get(&server).0, 502);
}

#[test]
fn chunks_are_put_together() {
    let server = Misbehaving::start(Behaviour::status(200, ""));
    let mut parts = std::io::Cursor::new(vec![b'x'; 100_000]);
    agent().post(server.url()).send(ureq::SendBody::from_reader(&mut parts)).unwrap();
    let request = server.requests().pop().unwrap();
    assert_eq!((request.header("transfer-encoding"), request.body.len()), (Some("chunked"), 100_000));
}
