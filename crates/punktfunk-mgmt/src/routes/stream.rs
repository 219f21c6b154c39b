//! The running capture as server-sent events (WHATWG HTML, "Server-sent events").
//!
//! Each event carries the place in the capture that stands behind it. A client that lost its connection sends the last one
//! it saw and gets what came after it, nothing twice and nothing left out, for as long as the capture runs and until the
//! next one begins. A place in a capture that is over by then is none in the one that runs: the client hears which one that
//! is, and what comes from now on, so that nothing of it looks like a part of what was watched before.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::sse::{Event, KeepAlive};
use axum::response::{IntoResponse, Response, Sse};
use futures_util::stream;
use punktfunk_captures::{CaptureService, CaptureState, Cursor, LiveEvent, StatsStatus};
use serde::{Deserialize, Serialize};
use tokio::sync::{OwnedSemaphorePermit, watch};
use utoipa::IntoParams;

use crate::auth::Caller;
use crate::auth::sign_in::End;
use crate::error::ApiError;
use crate::extract::Params;
use crate::state::{App, Shutdown};

/// How often a silent stream sends a comment, so that both ends notice a dead connection.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// The header by which a browser resumes.
const LAST_EVENT_ID: &str = "last-event-id";

/// What a watcher asks for.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[serde(deny_unknown_fields, default)]
#[into_params(parameter_in = Query)]
pub(super) struct StreamParams {
    /// Whether samples carry their distributions (`hist`).
    #[param(default = false)]
    distributions: Option<bool>,
}

/// Streams the running capture.
///
/// Server-sent events: `status` (`StatsStatus`) at once and whenever it changes, `sample` (`StatsSample`) and `marker`
/// (`Marker`) as they come. The status that names a capture comes before the first event of it. A new stream begins with
/// everything that the running capture holds.
///
/// A stream that is resumed by `Last-Event-ID` goes on behind that event, also when the capture has ended meanwhile. If
/// another one has been started, it begins with the status that names it and goes on with what comes from now on: drop what
/// was shown, and open a stream without the header for the new capture from its beginning (a new `EventSource` does).
/// While nothing runs the id is `/0`; resumed by it, or by what is no id, a stream begins like a new one.
#[utoipa::path(
    get, path = "/stats/capture/stream", operation_id = "stats_capture_stream", tag = "stats",
    params(
        StreamParams,
        ("Last-Event-ID" = Option<String>, Header, description = "Id of the last event that was seen",
            example = "2026-06-26T20-14-03Z_1280x720/42"),
    ),
    responses(
        (status = 200, description = "Events until the host shuts down, or the browser's session ends", body = String, content_type = "text/event-stream",
            example = "event: status\nid: /0\ndata: {\"state\":\"idle\",\"armed\":false}\n\n"),
    )
)]
pub(super) async fn stats_capture_stream(
    State(app): State<App>,
    Params(params): Params<StreamParams>,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let busy = |_| ApiError::new(StatusCode::SERVICE_UNAVAILABLE, "too many event streams are open: close one");
    let permit = app.streams().try_acquire_owned().map_err(busy)?;
    let seen = headers.get(LAST_EVENT_ID).and_then(|id| id.to_str().ok()).and_then(|id| id.parse().ok());
    let seen = seen.unwrap_or_default();
    let watcher = Watcher {
        changes: app.captures.subscribe(),
        captures: app.captures.clone(),
        shutdown: app.shutdown.clone(),
        session: caller.session.map(|session| session.end),
        seen,
        status: None,
        waiting: VecDeque::new(),
        distributions: params.distributions == Some(true),
        ending: false,
        _permit: permit,
    };
    let events = stream::unfold(watcher, Watcher::next);
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(KEEP_ALIVE)).into_response())
}

/// One open stream.
struct Watcher {
    captures: CaptureService,
    changes: watch::Receiver<u64>,
    shutdown: Shutdown,
    /// The end of the session that opened it; a token has none.
    session: Option<End>,
    /// Behind the last event taken from the service; the default is before everything.
    seen: Cursor,
    /// The last status that was sent, without its clock.
    status: Option<StatsStatus>,
    /// Taken from the service, not yet sent. Samples are shared with it until they are written.
    waiting: VecDeque<(Cursor, Message)>,
    distributions: bool,
    /// The host shuts down: what waits is the last.
    ending: bool,
    _permit: OwnedSemaphorePermit,
}

enum Message {
    Status(Box<StatsStatus>),
    Live(LiveEvent),
}

impl Watcher {
    async fn next(mut self) -> Option<(Result<Event, Infallible>, Self)> {
        loop {
            if self.session.as_ref().is_some_and(End::has_come) {
                return None;
            }
            if let Some((cursor, message)) = self.waiting.pop_front() {
                let event = self.event(&cursor, &message);
                return Some((Ok(event), self));
            }
            if self.ending {
                return None;
            }
            if self.status.is_some() {
                tokio::select! {
                    changed = self.changes.changed() => changed.ok()?,
                    () = self.shutdown.triggered() => self.ending = true,
                    () = over(&mut self.session) => return None,
                }
            }
            self.take();
        }
    }

    /// Takes what is new.
    fn take(&mut self) {
        self.changes.mark_unchanged();
        let feed = self.captures.feed(&self.seen);
        let idle = feed.status.state == CaptureState::Idle;
        let begins = self.status.is_none();
        let same = capture(&feed.cursor) == capture(&self.seen);
        // Whoever comes when nothing runs has not asked for the last run; whoever watched another one has not missed this.
        let skips = begins && !same && (idle || self.seen != Cursor::default());
        let without_clock = StatsStatus { elapsed_ms: None, starts_in_ms: None, ..feed.status.clone() };
        let mut status = None;
        if self.status.as_ref() != Some(&without_clock) {
            self.status = Some(without_clock);
            status = Some(Message::Status(Box::new(feed.status)));
        }
        // Names the capture before its events; any other status tells what they have led to.
        if !idle && (begins || !same) {
            let before = if skips {
                &feed.cursor
            } else if same {
                &self.seen
            } else {
                &Cursor::default()
            };
            self.waiting.extend(status.take().map(|status| (before.clone(), status)));
        }
        if !skips {
            self.waiting.extend(feed.events.into_iter().map(|(cursor, event)| (cursor, Message::Live(event))));
        }
        let behind = if idle { Cursor::default() } else { feed.cursor.clone() };
        self.waiting.extend(status.map(|status| (behind, status)));
        self.seen = feed.cursor;
    }

    fn event(&self, cursor: &Cursor, message: &Message) -> Event {
        let (name, data) = match message {
            Message::Status(status) => ("status", json(status)),
            Message::Live(LiveEvent::Sample(sample)) if self.distributions => ("sample", json(sample)),
            Message::Live(LiveEvent::Sample(sample)) => {
                ("sample", json(&super::download::without_distributions(sample)))
            }
            Message::Live(LiveEvent::Marker(marker)) => ("marker", json(marker)),
        };
        Event::default().event(name).id(cursor.to_string()).data(data)
    }
}

/// Returns when the session ends; never without one.
async fn over(session: &mut Option<End>) {
    match session {
        Some(end) => end.comes().await,
        None => std::future::pending().await,
    }
}

/// The capture that a place is in.
fn capture(cursor: &Cursor) -> String {
    let mut place = cursor.to_string();
    // An id has no slash.
    place.truncate(place.rfind('/').unwrap_or_default());
    place
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data with string keys has a JSON form")
}
