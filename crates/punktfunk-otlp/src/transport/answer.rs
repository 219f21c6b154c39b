//! What a backend's answers mean.

use std::time::{Duration, SystemTime};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;

use super::{Failure, Service};

/// Longest message that is kept of a backend's own words, characters.
const MESSAGE_CHARACTERS: usize = 200;

/// `google.rpc.Status`, as far as it is read: <https://github.com/googleapis/googleapis/blob/master/google/rpc/status.proto>.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Status {
    #[prost(string, tag = "2")]
    pub(super) message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    delay: Option<Delay>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, PartialEq, Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

impl Status {
    /// The pause that is asked for; `None` if the backend did not say that a repetition makes sense.
    pub(super) fn retry_info(&self) -> Option<Duration> {
        let info = self.details.iter().find(|detail| detail.type_url.ends_with("/google.rpc.RetryInfo"))?;
        let delay = RetryInfo::decode(&info.value[..]).ok()?.delay.unwrap_or_default();
        let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
        Duration::from_secs(seconds).checked_add(Duration::from_nanos(u64::from(nanos)))
    }
}

/// Reads the answer to a request that was taken: how much of it really was.
pub(super) fn taken(service: Service, body: &[u8]) -> Result<(), Failure> {
    let strange = |_| refused("the answer is not OTLP: is this the URL of an OTLP receiver?".to_owned());
    let (rejected, what, message) = match service {
        Service::Metrics => {
            let answer = ExportMetricsServiceResponse::decode(body).map_err(strange)?;
            let partial = answer.partial_success.unwrap_or_default();
            (partial.rejected_data_points, "data points", partial.error_message)
        }
        Service::Traces => {
            let answer = ExportTraceServiceResponse::decode(body).map_err(strange)?;
            let partial = answer.partial_success.unwrap_or_default();
            (partial.rejected_spans, "spans", partial.error_message)
        }
    };
    match u64::try_from(rejected) {
        Ok(0) | Err(_) => Ok(()),
        Ok(rejected) => {
            let message = format!("{rejected} {what} were rejected: {}", plain(&message));
            Err(Failure::Refused { message, rejected: Some(rejected) })
        }
    }
}

pub(super) fn refused(message: String) -> Failure {
    Failure::Refused { message, rejected: None }
}

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    let seconds = value.parse().ok().map(Duration::from_secs);
    seconds.or_else(|| httpdate::parse_http_date(value).ok().map(|date| date.duration_since(now).unwrap_or_default()))
}

/// A stranger's words in one short line: nothing in them can break a log or grow it.
pub(crate) fn plain(text: &str) -> String {
    let words = text.split(|c: char| c.is_control() || c.is_whitespace()).filter(|word| !word.is_empty());
    let mut line = String::new();
    for word in words {
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
        if line.len() > MESSAGE_CHARACTERS * 4 {
            break;
        }
    }
    match line.char_indices().nth(MESSAGE_CHARACTERS) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn no_answer_makes_a_reader_panic_or_a_message_grow(bytes in proptest::collection::vec(any::<u8>(), 0..500)) {
            for service in [Service::Metrics, Service::Traces] {
                if let Err(Failure::Refused { message, .. }) = taken(service, &bytes) {
                    prop_assert!(message.chars().count() < MESSAGE_CHARACTERS + 60);
                }
            }
            let text = String::from_utf8_lossy(&bytes);
            prop_assert!(plain(&text).chars().all(|c| !c.is_control()));
            drop(Status::decode(&bytes[..]).map(|status| status.retry_info()));
            let _ = retry_after(&text, SystemTime::UNIX_EPOCH);
        }
    }

    #[test]
    fn strange_words_become_one_short_line() {
        assert_eq!(plain("out of\r\norder \u{1b}[31m sample\0"), "out of order [31m sample");
        let long = plain(&"é".repeat(10_000));
        assert_eq!((long.chars().count(), long.ends_with('…')), (MESSAGE_CHARACTERS + 1, true));
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let seconds = |value| retry_after(value, now).map(|pause| pause.as_secs());
        assert_eq!(seconds("120"), Some(120));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:37 GMT"), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:49:00 GMT"), Some(0));
        assert_eq!(seconds("soon"), None);
    }
}
