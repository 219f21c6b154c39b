//! The remote-read protocol as a client would write it, apart from the code under test.
#![allow(dead_code, reason = "shared by a test and a benchmark")]
#![allow(missing_docs, reason = "the protocol's own documentation says it")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use prost::Message;

#[derive(Clone, PartialEq, Message)]
pub struct Request {
    #[prost(message, repeated, tag = "1")]
    pub queries: Vec<Query>,
    #[prost(int32, repeated, tag = "2")]
    pub types: Vec<i32>,
}
#[derive(Clone, PartialEq, Message)]
pub struct Query {
    #[prost(int64, tag = "1")]
    pub start: i64,
    #[prost(int64, tag = "2")]
    pub end: i64,
    #[prost(message, repeated, tag = "3")]
    pub matchers: Vec<Matcher>,
    #[prost(message, optional, tag = "4")]
    pub hints: Option<Hints>,
}
#[derive(Clone, PartialEq, Message)]
pub struct Matcher {
    #[prost(int32, tag = "1")]
    pub kind: i32,
    #[prost(string, tag = "2")]
    pub name: String,
    #[prost(string, tag = "3")]
    pub value: String,
}
#[derive(Clone, PartialEq, Message)]
pub struct Hints {
    #[prost(int64, tag = "1")]
    pub step: i64,
    #[prost(string, tag = "2")]
    pub func: String,
    #[prost(int64, tag = "7")]
    pub range: i64,
}
#[derive(Clone, PartialEq, Message)]
pub struct Response {
    #[prost(message, repeated, tag = "1")]
    pub results: Vec<Result>,
}
#[derive(Clone, PartialEq, Message)]
pub struct Result {
    #[prost(message, repeated, tag = "1")]
    pub series: Vec<Series>,
}
#[derive(Clone, PartialEq, Message)]
pub struct Series {
    #[prost(message, repeated, tag = "1")]
    pub labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    pub samples: Vec<Sample>,
    #[prost(message, repeated, tag = "4")]
    pub histograms: Vec<Histogram>,
}
#[derive(Clone, PartialEq, Message)]
pub struct Label {
    #[prost(string, tag = "1")]
    pub name: String,
    #[prost(string, tag = "2")]
    pub value: String,
}
#[derive(Clone, PartialEq, Message)]
pub struct Sample {
    #[prost(double, tag = "1")]
    pub value: f64,
    #[prost(int64, tag = "2")]
    pub at: i64,
}
#[derive(Clone, PartialEq, Message)]
pub struct Histogram {
    #[prost(uint64, tag = "1")]
    pub count: u64,
    #[prost(double, tag = "3")]
    pub sum: f64,
    #[prost(int64, tag = "15")]
    pub at: i64,
}

pub fn matcher(kind: i32, name: &str, value: &str) -> Matcher {
    Matcher { kind, name: name.to_owned(), value: value.to_owned() }
}

pub fn equal(name: &str, value: &str) -> Matcher {
    matcher(0, name, value)
}

pub fn of(matchers: Vec<Matcher>) -> Query {
    Query { start: 0, end: i64::MAX, matchers, hints: None }
}

pub fn packed(request: &Request) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(&request.encode_to_vec()).unwrap()
}

pub fn packed_query(query: Query) -> Vec<u8> {
    packed(&Request { queries: vec![query], types: vec![1, 0] })
}
