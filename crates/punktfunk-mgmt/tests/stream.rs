//! The event stream over a real socket, watched by a client that loses its connection.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use punktfunk_mgmt::RequestLimits;
use serde_json::{Value, json};

mod support;

use support::Rig;
use support::wire::{self, Event, Events, soon};

const START: &str = "/api/v1/stats/capture/start";
const STOP: &str = "/api/v1/stats/capture/stop";
const MARKERS: &str = "/api/v1/stats/capture/markers";

fn is_idle(event: &Event) -> bool {
    event.is("status") && event.data["state"] == "idle"
}

fn of<'a>(events: &'a [Event], name: &str) -> Vec<&'a Value> {
    events.iter().filter(|event| event.is(name)).map(|event| &event.data).collect()
}

/// Places of samples and markers.
fn places(events: &[Event]) -> Vec<usize> {
    events.iter().filter(|event| !event.is("status")).map(Event::place).collect()
}

#[tokio::test]
async fn a_watcher_hears_the_status_at_once_and_every_sample_and_marker_as_it_comes() {
    let rig = Rig::new();
    let _player = rig.play();
    let server = rig.serve(|_| ()).await;
    let mut events = Events::open(&rig, server.address(), None).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), first.id.as_str(), &first.data["state"]), ("status", "/0", &json!("idle")));

    let started = rig.post(START, r#"{"label":"evening"}"#).await.json();
    let armed = events.next().await.unwrap();
    assert_eq!((armed.name.as_str(), &armed.data["state"]), ("status", &json!("armed")));
    assert_eq!((&armed.data["id"], &armed.data["label"]), (&started["id"], &json!("evening")));
    let mut seen = events.until(|event| event.is("sample")).await;
    // The capture goes on for as long as nobody stops it: samples come while it runs, not at its end.
    assert_eq!(rig.state.captures.status().id.unwrap().to_string(), seen.last().unwrap().capture());
    rig.post(MARKERS, r#"{"text":"boss"}"#).await;
    seen.extend(events.until(|event| event.is("marker") && event.data["text"] == "boss").await);
    let meta = rig.post(STOP, "").await.json();
    seen.extend(events.until(is_idle).await);

    let path = format!("/api/v1/stats/recordings/{}?distributions=false", meta["id"].as_str().unwrap());
    let recording = rig.get(&path).await.json();
    assert_eq!(json!(of(&seen, "sample")), recording["samples"]);
    assert_eq!(json!(of(&seen, "marker")), recording["markers"]);
    assert_eq!(places(&seen), (1..=places(&seen).len()).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_stream_that_is_resumed_leaves_nothing_out_and_gives_nothing_twice() {
    let rig = Rig::new();
    let _player = rig.play();
    let server = rig.serve(|_| ()).await;
    assert_eq!(rig.post(START, "{}").await.status, 200);
    let mut seen: Vec<Event> = Vec::new();
    // It is cut after each event in turn, statuses too, and misses a little of the capture each time.
    for cut in 1..=8 {
        let last = seen.last().map(|event| event.id.clone());
        let mut events = Events::open(&rig, server.address(), last.as_deref()).await;
        let first = events.next().await.unwrap();
        assert!(first.is("status"), "{first:?}");
        assert_eq!(first.data["armed"], true);
        seen.push(first);
        for _ in 1..cut {
            seen.push(events.next().await.unwrap());
        }
        drop(events);
        let now = rig.state.captures.status().sample_count;
        rig.until(|status| status.sample_count > now).await;
    }
    // The last part is missed altogether: the capture has been stopped and saved before it is asked for.
    let meta = rig.post(STOP, "").await.json();
    rig.until(|status| !status.armed).await;
    let last = seen.last().unwrap().id.clone();
    seen.extend(Events::open(&rig, server.address(), Some(&last)).await.until(is_idle).await);

    assert_eq!(places(&seen), (1..=places(&seen).len()).collect::<Vec<_>>(), "no gap, nothing twice, in order");
    assert_eq!(json!(of(&seen, "sample").len()), meta["sample_count"]);
    let times =
        |samples: Vec<&Value>| samples.iter().map(|sample| sample["t_ms"].as_u64().unwrap()).collect::<Vec<_>>();
    let recording = rig.get(&format!("/api/v1/stats/recordings/{}", meta["id"].as_str().unwrap())).await.json();
    assert_eq!(times(of(&seen, "sample")), times(recording["samples"].as_array().unwrap().iter().collect()));
}

#[tokio::test]
async fn an_id_of_an_earlier_capture_hears_which_one_runs_and_what_comes_from_now_on() {
    let rig = Rig::new();
    let _player = rig.play();
    let server = rig.serve(|_| ()).await;
    rig.post(START, r#"{"label":"first"}"#).await;
    let mut events = Events::open(&rig, server.address(), None).await;
    let last = events.until(|event| event.is("sample")).await.pop().unwrap();
    drop(events);
    rig.post(STOP, "").await;

    let second = rig.post(START, r#"{"label":"second"}"#).await.json();
    rig.until(|status| status.sample_count >= 5).await;
    let mut events = Events::open(&rig, server.address(), Some(&last.id)).await;
    let first = events.next().await.unwrap();
    assert_eq!((first.name.as_str(), &first.data["id"]), ("status", &second["id"]));
    let held = first.place();
    assert!(held >= 5, "{first:?}");
    let next = events.until(|event| event.is("sample")).await;
    assert_eq!(places(&next)[0], held + 1, "nothing of what it holds already");
    // From there on it is a stream of the second capture like any other.
    let cut = next.last().unwrap().clone();
    assert_eq!(json!(cut.capture()), second["id"]);
    let mut events = Events::open(&rig, server.address(), Some(&cut.id)).await;
    assert_eq!(places(&events.until(|event| event.is("sample")).await)[0], cut.place() + 1);
    // And whoever wants all of it opens a new one.
    let mut events = Events::open(&rig, server.address(), None).await;
    let all = events.until(|event| !event.is("status") && event.place() > held).await;
    assert_eq!(places(&all), (1..=held + 1).collect::<Vec<_>>());

    rig.post(STOP, "").await;
    let mut events = Events::open(&rig, server.address(), Some(&last.id)).await;
    assert!(is_idle(&events.next().await.unwrap()), "the second one is over, and was not watched");
}

#[tokio::test]
async fn whoever_waited_for_a_capture_gets_it_from_its_beginning() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    rig.record("before").await;
    let mut idle = Events::open(&rig, server.address(), None).await;
    let waiting = idle.next().await.unwrap();
    assert_eq!((is_idle(&waiting), waiting.id.as_str()), (true, "/0"), "not the last run");
    drop(idle);

    let _player = rig.play();
    let started = rig.post(START, "{}").await.json();
    rig.until(|status| status.sample_count >= 3).await;
    // A place without a capture, and whatever is none at all, are before everything.
    for id in ["/0", "0", "", "nonsense", "/", "a/b/c", "18446744073709551616", "-1", "x/-1"] {
        let mut events = Events::open(&rig, server.address(), Some(id)).await;
        let heard = events.until(|event| event.is("sample")).await;
        assert_eq!((heard[0].name.as_str(), &heard[0].data["id"]), ("status", &started["id"]), "{id:?}");
        assert_eq!(places(&heard)[0], 1, "{id:?}");
    }
    // A place that the capture has not come to yet is its present end.
    let far = format!("{}/999999", started["id"].as_str().unwrap());
    let mut events = Events::open(&rig, server.address(), Some(&far)).await;
    let heard = events.until(|event| event.is("sample")).await;
    assert!(places(&heard)[0] >= 4, "{heard:?}");
}

#[tokio::test]
async fn one_stream_follows_capture_after_capture() {
    let rig = Rig::new();
    let server = rig.serve(|_| ()).await;
    let mut events = Events::open(&rig, server.address(), None).await;
    assert!(is_idle(&events.next().await.unwrap()));
    for label in ["first", "second", "third"] {
        let id = rig.record(label).await;
        let heard = events.until(is_idle).await;
        let status = &heard[0];
        assert_eq!(
            (status.name.as_str(), &status.data["label"], &status.data["id"]),
            ("status", &json!(label), &json!(id))
        );
        assert_eq!(places(&heard), (1..=places(&heard).len()).collect::<Vec<_>>());
        assert!(heard.iter().filter(|event| !event.is("status")).all(|event| event.capture() == id));
        assert!(of(&heard, "sample").len() >= 3);
    }
}

#[tokio::test]
async fn distributions_come_with_samples_only_when_asked_for() {
    let rig = Rig::new();
    let _player = rig.play();
    rig.post(START, "{}").await;
    rig.until(|status| status.sample_count >= 1).await;
    let server = rig.serve(|_| ()).await;
    for (query, there) in [("", false), ("?distributions=false", false), ("?distributions=true", true)] {
        let request = wire::get(&rig, &format!("/api/v1/stats/capture/stream{query}"));
        let response = wire::ask(wire::connect(server.address()).await, request).await.unwrap();
        let mut events = Events::of(response);
        let heard = events.until(|event| event.is("sample")).await;
        assert_eq!(heard.last().unwrap().data["host"]["hist"].is_array(), there, "{query}");
    }
}

#[tokio::test]
async fn one_stream_too_many_is_refused_until_another_is_closed() {
    let rig = Rig::with_limits(RequestLimits { streams: 2, ..RequestLimits::default() });
    let server = rig.serve(|_| ()).await;
    let (_first, second) =
        (Events::open(&rig, server.address(), None).await, Events::open(&rig, server.address(), None).await);
    let ask = async || {
        let request = wire::get(&rig, "/api/v1/stats/capture/stream");
        wire::ask(wire::connect(server.address()).await, request).await.unwrap()
    };
    assert_eq!(ask().await.status(), 503);
    drop(second);
    let freed = async {
        while ask().await.status() != 200 {
            tokio::task::yield_now().await;
        }
    };
    soon(freed).await;
}

#[tokio::test]
async fn a_shutdown_ends_the_streams_and_the_server() {
    let rig = Rig::new();
    let _player = rig.play();
    let server = rig.serve(|_| ()).await;
    rig.post(START, "{}").await;
    let mut events = Events::open(&rig, server.address(), None).await;
    events.until(|event| event.is("sample")).await;
    rig.state.shutdown.trigger();
    while soon(events.next()).await.is_some() {}
    soon(server.ended()).await;
}
