//! What tests share: a lossy link in virtual time, the same for the same seed.
//!
//! Not for production code: it holds everything in memory and trusts its caller.

pub mod link;

pub use link::{Link, LinkConfig, LinkTally};
