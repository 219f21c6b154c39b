//! The client: receives, opens, repairs, notices loss, asks for an IDR when it must, reports each window.
//!
//! [`receiver`] is the whole of it as a pure step machine; [`stream`] gives it a socket and a thread; [`session`] dials
//! and, when contact is lost, dials again; [`consume`] decodes and dumps on the caller's thread.

pub mod consume;
pub mod loss;
pub mod outcomes;
pub mod receiver;
pub mod session;
pub mod stream;

pub use consume::{Consumed, Consumer, ConsumerTally};
pub use loss::SeededLoss;
pub use outcomes::{Outcome, OutcomeLog};
pub use receiver::{ClientEvent, Receiver, ReceiverConfig, Refused, Tally};
pub use session::{Dial, Goal, Granted, Progress, RunError, RunReport, run};
pub use stream::{ClientStream, ClientStreamConfig, ReceivedFrame, StreamOver, Summary};
