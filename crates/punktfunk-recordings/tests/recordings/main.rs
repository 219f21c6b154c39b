//! The crate through its public interface, on real directories.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod compare;
mod export;
mod fixture;
mod hostile;
mod import;
mod journal;
mod replace;
mod report;
mod store;
mod summary;
mod verdict;
