//! What tests share: a lossy link in virtual time, the same for the same seed; real servers (Prometheus, Alertmanager, an
//! OpenTelemetry Collector, a Thanos cluster) on free loopback ports with the configuration of `deploy/`; an HTTP server that misbehaves; a
//! disk that can be filled; an allocator that counts; what a process logs, and what memory it takes.
//!
//! Not for production code: it holds everything in memory, trusts its caller, and panics where a test should fail.

pub mod link;

mod alertmanager;
mod allocations;
mod collector;
mod http;
mod log;
mod memory;
mod misbehaving;
mod process;
mod prometheus;
mod small_disk;
mod thanos;
mod tools;

pub use alertmanager::Alertmanager;
pub use allocations::{CountingAllocator, allocations, live_bytes};
pub use collector::Collector;
pub use link::{Link, LinkConfig, LinkTally};
pub use log::Log;
pub use memory::memory_kb;
pub use misbehaving::{Behaviour, Misbehaving, Request, Rewrite};
pub use prometheus::{Prometheus, PrometheusOptions};
pub use small_disk::SmallDisk;
pub use thanos::Thanos;
pub use tools::{ToolSet, promtool, tools};
