//! Datagram plumbing that every stream path needs: sealing, parity, batched sending and receiving, pacing.
//!
//! Nothing here knows what a video frame shows or which protocol frames it. The path brings bytes and a clock:
//!
//! | module | gives | costs once running |
//! |---|---|---|
//! | [`seal`] | an AEAD per datagram, a packet number that is never reused, a replay window | no allocation |
//! | [`layout`] | how a frame is cut into blocks and shards: a pure function of its length | no allocation |
//! | [`fec`] | Reed–Solomon parity per block | no allocation once its working memory has grown |
//! | [`cauchy`] | the Reed–Solomon parity that GameStream clients repair with | as `fec` |
//! | [`batch`] | UDP in batches: segmentation offload, else `sendmmsg`, else one by one; counted, never blocking for ever | one small allocation a batch |
//! | [`paced`] | a frame's datagrams in paced bursts, given up once the frame cannot arrive | as `batch` |
//! | [`pacer`] | when each burst of a frame leaves; sleeps, never spins | no allocation |
#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test"))]

pub mod batch;
pub mod cauchy;
pub mod fec;
pub mod layout;
pub mod paced;
pub mod pacer;
pub mod seal;
