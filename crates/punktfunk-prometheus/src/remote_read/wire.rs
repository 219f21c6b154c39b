//! The messages of Prometheus' remote-read protocol, as far as they are used here: `prompb/remote.proto` and
//! `prompb/types.proto` of Prometheus 3 (<https://prometheus.io/docs/prometheus/latest/querying/remote_read_api/>).
//!
//! What repeats thousands of times (series, histograms) is declared as bytes: an embedded message and bytes have one wire form
//! (<https://protobuf.dev/programming-guides/encoding/#length-types>), so each is encoded as soon as it is made.

use bytes::Bytes;
use prost::{Enumeration, Message, Oneof};

/// Response type `SAMPLES`.
pub(super) const SAMPLES: i32 = 0;

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadRequest {
    #[prost(message, repeated, tag = "1")]
    pub(super) queries: Vec<Query>,
    /// What the asker takes, most wanted first; empty means samples.
    #[prost(int32, repeated, tag = "2")]
    pub(super) accepted_response_types: Vec<i32>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct Query {
    #[prost(int64, tag = "1")]
    pub(super) start_ms: i64,
    #[prost(int64, tag = "2")]
    pub(super) end_ms: i64,
    #[prost(message, repeated, tag = "3")]
    pub(super) matchers: Vec<LabelMatcher>,
    #[prost(message, optional, tag = "4")]
    pub(super) hints: Option<ReadHints>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct LabelMatcher {
    #[prost(enumeration = "MatcherType", tag = "1")]
    pub(super) kind: i32,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(string, tag = "3")]
    pub(super) value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Enumeration)]
#[repr(i32)]
pub(super) enum MatcherType {
    Equal = 0,
    NotEqual = 1,
    Regex = 2,
    NotRegex = 3,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadHints {
    /// Between two steps of the query; 0 if it has only one.
    #[prost(int64, tag = "1")]
    pub(super) step_ms: i64,
    /// The function around the selector; `series` if only labels are asked for.
    #[prost(string, tag = "2")]
    pub(super) func: String,
    /// Of a range selector; 0 without one.
    #[prost(int64, tag = "7")]
    pub(super) range_ms: i64,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct ReadResponse {
    /// One [`QueryResult`] a query, encoded.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) results: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct QueryResult {
    /// [`TimeSeries`], encoded.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub(super) timeseries: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
pub(super) struct TimeSeries {
    /// In order of their names.
    #[prost(message, repeated, tag = "1")]
    pub(super) labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub(super) samples: Vec<Sample>,
    /// [`Histogram`]s, encoded.
    #[prost(bytes = "bytes", repeated, tag = "4")]
    pub(super) histograms: Vec<Bytes>,
}

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Message)]
pub(super) struct Label {
    #[prost(string, tag = "1")]
    pub(super) name: String,
    #[prost(string, tag = "2")]
    pub(super) value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct Sample {
    #[prost(double, tag = "1")]
    pub(super) value: f64,
    #[prost(int64, tag = "2")]
    pub(super) timestamp_ms: i64,
}

/// A native histogram of integer counts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Histogram {
    #[prost(oneof = "Count", tags = "1")]
    pub(super) count: Option<Count>,
    #[prost(double, tag = "3")]
    pub(super) sum: f64,
    #[prost(sint32, tag = "4")]
    pub(super) schema: i32,
    #[prost(double, tag = "5")]
    pub(super) zero_threshold: f64,
    #[prost(message, repeated, tag = "11")]
    pub(super) positive_spans: Vec<BucketSpan>,
    /// The first count, then each one's distance to the one before.
    #[prost(sint64, repeated, tag = "12")]
    pub(super) positive_deltas: Vec<i64>,
    #[prost(int64, tag = "15")]
    pub(super) timestamp_ms: i64,
}

/// Written even when it is 0: it says that the counts are integers.
#[derive(Clone, Copy, PartialEq, Oneof)]
pub(super) enum Count {
    #[prost(uint64, tag = "1")]
    Integer(u64),
}

#[derive(Clone, Copy, PartialEq, Message)]
pub(super) struct BucketSpan {
    /// Of the first span: its first bucket; of the others: the gap to the span before.
    #[prost(sint32, tag = "1")]
    pub(super) offset: i32,
    #[prost(uint32, tag = "2")]
    pub(super) length: u32,
}
