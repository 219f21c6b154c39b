//! The GameStream client that the path's own tests have.
#![allow(dead_code, reason = "each test file uses a part of it")]

#[path = "../../../punktfunk-gamestream/tests/support/assembler.rs"]
pub mod assembler;
#[path = "../../../punktfunk-gamestream/tests/support/field.rs"]
pub mod field;
#[path = "../../../punktfunk-gamestream/tests/support/moonlight/mod.rs"]
pub mod moonlight;
#[path = "../../../punktfunk-gamestream/tests/support/viewer.rs"]
pub mod viewer;
