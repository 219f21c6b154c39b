//! Whatever a request is made of: it is answered with a success or a refusal, never with a failure of the host.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use axum::body::Body;
use axum::http::{HeaderValue, Method, Request};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use punktfunk_mgmt::RequestLimits;
use tokio::runtime::Runtime;

mod support;

use support::{Answer, Rig, wire};

/// A host that holds a recording and runs a capture, and what drives it.
fn rig() -> (Runtime, Rig, String) {
    let runtime = Runtime::new().unwrap();
    let rig = Rig::with_limits(RequestLimits::default());
    let id = runtime.block_on(rig.record("x"));
    (runtime, rig, id)
}

/// Neither a failure nor a refusal without words.
fn sound(answer: &Answer) -> Result<(), TestCaseError> {
    let status = answer.status.as_u16();
    prop_assert!(status < 500, "{status}: {}", answer.text());
    if status >= 400 {
        prop_assert!(!answer.refusal(status).is_empty());
    }
    Ok(())
}

/// Text as it may stand in an address: what must be is escaped, and some of what need not be.
fn escaped(bytes: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~=&+%;,:@!$'()*/?".contains(&byte);
    bytes.iter().map(|&byte| if plain(byte) { char::from(byte).into() } else { format!("%{byte:02x}") }).collect()
}

fn query() -> impl Strategy<Value = String> {
    let name = select(vec!["limit", "cursor", "distributions", "from_ms", "to_ms", "of", "session", "from_ms[]", ""]);
    let value = prop_oneof![
        select(vec![
            "",
            "0",
            "-1",
            "1",
            "1e3",
            "true",
            "frames",
            "s1",
            "18446744073709551616",
            "9007199254740991",
            "00"
        ])
        .prop_map(str::to_owned),
        "[0-9a-f]{0,12}",
        prop::collection::vec(any::<u8>(), 0..24).prop_map(|bytes| escaped(&bytes)),
    ];
    let pairs = prop::collection::vec((name, value), 0..4);
    prop_oneof![
        3 => pairs.prop_map(|pairs| pairs.iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>().join("&")),
        1 => prop::collection::vec(any::<u8>(), 0..60).prop_map(|bytes| escaped(&bytes)),
    ]
}

#[test]
fn any_query_and_any_id_is_answered() {
    let (runtime, rig, id) = rig();
    let ids = prop_oneof![
        2 => Just(id.clone()),
        1 => prop::collection::vec(any::<u8>(), 1..40).prop_map(|bytes| escaped(&bytes).replace(['/', '?'], "-")),
        1 => (any::<Index>(), any::<u8>()).prop_map(move |(at, byte)| {
            let mut bytes = id.clone().into_bytes();
            let at = at.index(bytes.len());
            bytes[at] = byte;
            escaped(&bytes).replace(['/', '?'], "-")
        }),
    ];
    let paths = vec![
        "recordings",
        "recordings/{}",
        "recordings/{}/summary",
        "recordings/{}/csv",
        "capture/live",
        "capture/status",
    ];
    proptest!(ProptestConfig::with_cases(1500), |(path in select(paths), id in ids, query in query())| {
        let path = format!("/api/v1/stats/{}?{query}", path.replace("{}", &id));
        let Ok(request) = rig.request(Method::GET, &path).body(Body::empty()) else { return Ok(()) };
        sound(&runtime.block_on(rig.send(request)))?;
    });
}

#[test]
fn any_header_is_read_or_left_unread() {
    let (runtime, rig, id) = rig();
    let names = vec![
        "if-none-match",
        "if-match",
        "accept-encoding",
        "content-type",
        "accept",
        "range",
        "authorization",
        "cookie",
        "expect",
        "x-forwarded-host",
        "content-length",
        "last-event-id",
    ];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        "(W/)?\"?[0-9a-f-]{0,20}\"?( ?, ?(W/)?\"[0-9a-f-]{0,20}\"|\\*){0,3}".prop_map(String::into_bytes),
        "(gzip|identity|br|\\*)?(;q=[0-9.]{0,5})?(, ?(gzip|identity|\\*)(;q=[0-9.]{0,4})?){0,3}"
            .prop_map(String::into_bytes),
        "(bytes=)?[0-9]{0,6}-[0-9]{0,20}(,[0-9]{0,3}-)?".prop_map(String::into_bytes),
    ];
    let headers = prop::collection::vec((select(names), value), 1..4);
    let methods = select(vec![Method::GET, Method::HEAD, Method::PATCH, Method::POST]);
    proptest!(ProptestConfig::with_cases(1500), |(method in methods, headers in headers)| {
        let mut request = rig.request(method.clone(), &format!("/api/v1/stats/recordings/{id}"));
        for (name, value) in headers {
            let Ok(value) = HeaderValue::from_bytes(&value) else { continue };
            request = request.header(name, value);
        }
        let answer = runtime.block_on(rig.send(request.body(Body::from("{}")).unwrap()));
        prop_assert!(answer.status.as_u16() < 500, "{}", answer.status);
        if answer.status.is_client_error() && method != Method::HEAD && !answer.headers.contains_key("content-encoding") {
            sound(&answer)?;
        }
    });
}

#[test]
fn any_body_is_taken_or_refused() {
    let (runtime, rig, id) = rig();
    let routes = vec![
        (Method::POST, "/api/v1/stats/capture/start".to_owned()),
        (Method::POST, "/api/v1/stats/capture/markers".to_owned()),
        (Method::POST, "/api/v1/pair".to_owned()),
        (Method::PATCH, format!("/api/v1/stats/recordings/{id}")),
    ];
    let value = || {
        prop_oneof![
            "[0-9eE.+-]{1,12}",
            "\"(\\\\u[0-9a-fA-F]{0,4}|[^\"\\\\]|\\\\[a-z\"]){0,12}\"?",
            select(vec!["null", "true", "[]", "{}", "1e999", "-0", "86400.0", "4294967296", "[[[[[["])
                .prop_map(str::to_owned),
        ]
    };
    let name =
        select(vec!["label", "note", "delay_s", "max_duration_s", "text", "request", "pin", "name", "pinned", "x"]);
    let body = prop_oneof![
        4 => prop::collection::vec((name, value()), 0..4).prop_map(|fields| {
            let fields: Vec<_> = fields.into_iter().map(|(name, value)| format!("\"{name}\":{value}")).collect();
            format!("{{{}}}", fields.join(",")).into_bytes()
        }),
        1 => prop::collection::vec(any::<u8>(), 0..60),
        1 => "[\\[\\]{}\":,a-c0-9 \n-]{0,80}".prop_map(String::into_bytes),
        1 => (1..60_000_usize, select(vec!["[", "{\"a\":"])).prop_map(|(depth, open)| open.repeat(depth).into_bytes()),
    ];
    proptest!(ProptestConfig::with_cases(1500), |((method, path) in select(routes), body in body)| {
        let request = rig.request(method, &path).header("content-type", "application/json").body(Body::from(body));
        sound(&runtime.block_on(rig.send(request.unwrap())))?;
        // Whatever was started ends: nobody has to wait a day for the next one.
        let stop = rig.request(Method::POST, "/api/v1/stats/capture/stop").body(Body::empty()).unwrap();
        if rig.state.captures.status().armed || rig.state.captures.status().starts_in_ms.is_some() {
            sound(&runtime.block_on(rig.send(stop)))?;
        }
    });
}

#[test]
fn any_bytes_on_the_socket_leave_the_server_as_it_was() {
    let (runtime, rig, _) = rig();
    let server =
        runtime.block_on(rig.serve(|config| config.limits.header_timeout = std::time::Duration::from_millis(300)));
    let valid = format!(
        "{}content-length: 2\r\nconnection: close\r\n\r\n{{}}",
        wire::head(&rig, "POST /api/v1/stats/capture/markers")
    );
    let damaged = (prop::collection::vec((any::<Index>(), any::<u8>()), 1..6), any::<Index>(), any::<bool>()).prop_map(
        move |(flips, cut, cuts)| {
            let mut bytes = valid.clone().into_bytes();
            for (at, byte) in flips {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            if cuts {
                bytes.truncate(cut.index(bytes.len()));
            }
            bytes
        },
    );
    let bytes = prop_oneof![prop::collection::vec(any::<u8>(), 0..300), damaged];
    let batches = prop::collection::vec(bytes, 16);
    proptest!(ProptestConfig::with_cases(24), |(batch in batches)| {
        // Side by side: some of them wait for their time to be up.
        let answers = runtime.block_on(async {
            let mut asked = tokio::task::JoinSet::new();
            for bytes in batch {
                let address = server.address();
                asked.spawn(async move { wire::said(address, &bytes).await });
            }
            asked.join_all().await
        });
        for answer in answers.into_iter().flatten() {
            prop_assert!(answer.status.as_u16() < 500, "{}: {}", answer.status, answer.text());
        }
    });
    let health =
        Request::get("/api/v1/health").header("host", "localhost").body(http_body_util::Full::default()).unwrap();
    let answer = runtime.block_on(async { wire::whole(wire::connect(server.address()).await, health).await });
    assert_eq!(answer.unwrap().status, 200);
}
