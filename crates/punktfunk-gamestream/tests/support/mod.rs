//! A GameStream client and a host in one process, over loopback UDP.
#![allow(dead_code, reason = "each test file uses a part of it")]

pub mod assembler;
pub mod field;
