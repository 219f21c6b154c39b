//! Puts frames together again: shards in any order, missing ones repaired with parity, frames handed out in order, each
//! number exactly once as complete or as lost.
//!
//! Time is the caller's. Memory is bounded: at most [`MAX_FRAMES`] frames are held, and only shards that were opened with
//! the session's key come here. Buffers are reused.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use punktfunk_net::fec::BlockDecoder;
use punktfunk_net::layout::{FrameLayout, MAX_BLOCK_SHARDS, MAX_PARITY_SHARDS};

use crate::packet::{FIRST_FRAME, FrameHeader, ShardHeader};

/// Frames held incomplete, or complete behind an incomplete one. Half a second at 60 frames a second.
pub const MAX_FRAMES: usize = 32;

/// What comes out, in the order of frame numbers.
#[derive(Debug, PartialEq, Eq)]
pub enum Delivery {
    /// A frame with all its bytes. Give its buffer back with [`Reassembler::recycle`].
    Complete(Frame),
    /// `count` frames from number `first` on will not come any more.
    Lost {
        /// The first of them.
        first: u64,
        /// How many.
        count: u64,
    },
}

/// A complete frame.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame {
    /// What the host said of it.
    pub header: FrameHeader,
    /// The access unit.
    pub data: Vec<u8>,
}

/// What became of a shard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Inserted {
    /// It was new.
    Stored,
    /// Its frame was handed out already, its block needs no more, or it is here twice.
    Unneeded,
    /// It contradicts what earlier shards said of its frame.
    Contradictory,
}

/// Puts the frames of one stream together.
#[derive(Debug)]
pub struct Reassembler {
    grace: Duration,
    next: u64,
    frames: BTreeMap<u64, Partial>,
    spare: Vec<Partial>,
    spare_data: Vec<Vec<u8>>,
    code: BlockDecoder,
    recovered: u64,
}

impl Reassembler {
    /// A reassembler that expects the stream's first frame. A frame is given up `grace` after the first shard of a later
    /// one came: longer forgives more reordering, shorter shows a loss sooner.
    pub fn new(grace: Duration) -> Self {
        Self {
            grace,
            next: FIRST_FRAME,
            frames: BTreeMap::new(),
            spare: Vec::new(),
            spare_data: Vec::new(),
            code: BlockDecoder::new(),
            recovered: 0,
        }
    }

    /// Data shards rebuilt from parity so far.
    pub fn recovered(&self) -> u64 {
        self.recovered
    }

    /// Takes one shard that came at `now`.
    pub fn insert(&mut self, now: Instant, header: &ShardHeader, bytes: &[u8]) -> Inserted {
        let number = header.frame.number;
        if number < self.next {
            return Inserted::Unneeded;
        }
        let spare = &mut self.spare;
        let partial = self.frames.entry(number).or_insert_with(|| {
            let mut partial = spare.pop().unwrap_or_else(|| Partial::new(now, header));
            partial.begin(now, header);
            partial
        });
        let inserted = partial.insert(header, bytes);
        if inserted == Inserted::Stored {
            self.recovered += partial.repair(header.block, &mut self.code);
        }
        inserted
    }

    /// The next frame that is complete, or lost for good, at `now`. Call until it gives nothing.
    pub fn poll(&mut self, now: Instant) -> Option<Delivery> {
        let (&oldest, partial) = self.frames.first_key_value()?;
        if oldest == self.next && partial.is_complete() {
            return Some(self.hand_out(oldest));
        }
        let overfull = self.frames.len() > MAX_FRAMES;
        if !overfull && self.next_loss().is_none_or(|at| now < at) {
            return None;
        }
        let first = self.next;
        if oldest > first {
            self.next = oldest;
        } else {
            self.drop_partial(oldest);
            self.next = oldest + 1;
        }
        Some(Delivery::Lost { first, count: self.next - first })
    }

    /// When the frame that is waited for will be given up, if nothing more comes.
    pub fn next_loss(&self) -> Option<Instant> {
        // The first shard of any later frame proves that the awaited one has been sent.
        let later = self.frames.range(self.next + 1..).map(|(_, partial)| partial.first_shard).min()?;
        Some(later + self.grace)
    }

    /// Gives up everything that is not complete: the stream has ended. Call until it gives nothing.
    pub fn flush(&mut self) -> Option<Delivery> {
        let (&oldest, partial) = self.frames.first_key_value()?;
        if oldest > self.next {
            let first = self.next;
            self.next = oldest;
            return Some(Delivery::Lost { first, count: oldest - first });
        }
        if partial.is_complete() {
            return Some(self.hand_out(oldest));
        }
        self.drop_partial(oldest);
        self.next = oldest + 1;
        Some(Delivery::Lost { first: oldest, count: 1 })
    }

    /// Takes a frame's buffer back for a later frame.
    pub fn recycle(&mut self, data: Vec<u8>) {
        if self.spare_data.len() < MAX_FRAMES {
            self.spare_data.push(data);
        }
    }

    fn hand_out(&mut self, number: u64) -> Delivery {
        let mut partial = self.frames.remove(&number).expect("the caller saw the frame");
        self.next = number + 1;
        let mut data = std::mem::replace(&mut partial.data, self.spare_data.pop().unwrap_or_default());
        data.truncate(partial.layout.frame_bytes());
        let header = partial.header;
        self.spare.push(partial);
        Delivery::Complete(Frame { header, data })
    }

    fn drop_partial(&mut self, number: u64) {
        self.spare.extend(self.frames.remove(&number));
    }
}

/// Which shards of a block are here.
#[derive(Debug, Clone, Copy, Default)]
struct BlockState {
    /// Parity shards that the sender made for the block, once a shard has said so.
    m: Option<usize>,
    data: u128,
    parity: u128,
    done: bool,
}

// The bit sets above hold every index of a block.
const _: () = assert!(MAX_BLOCK_SHARDS <= 128 && MAX_PARITY_SHARDS <= 128);

/// A frame of which something has come.
#[derive(Debug)]
struct Partial {
    header: FrameHeader,
    layout: FrameLayout,
    first_shard: Instant,
    /// All data shards, each at its place.
    data: Vec<u8>,
    /// Parity shards in the order in which they came, and where each belongs.
    parity: Vec<u8>,
    parity_places: Vec<(usize, usize)>,
    blocks: Vec<BlockState>,
    blocks_left: usize,
}

impl Partial {
    /// A frame without buffers; they grow with what comes.
    fn new(now: Instant, header: &ShardHeader) -> Self {
        Self {
            header: header.frame,
            layout: header.layout,
            first_shard: now,
            data: Vec::new(),
            parity: Vec::new(),
            parity_places: Vec::new(),
            blocks: Vec::new(),
            blocks_left: 0,
        }
    }

    fn begin(&mut self, now: Instant, header: &ShardHeader) {
        let layout = header.layout;
        self.header = header.frame;
        self.layout = layout;
        self.first_shard = now;
        self.data.resize(layout.data_shards() * layout.shard_bytes(), 0);
        self.parity.clear();
        self.parity_places.clear();
        self.blocks.clear();
        self.blocks.resize(layout.blocks(), BlockState::default());
        self.blocks_left = layout.blocks();
    }

    fn is_complete(&self) -> bool {
        self.blocks_left == 0
    }

    fn insert(&mut self, header: &ShardHeader, bytes: &[u8]) -> Inserted {
        let layout = self.layout;
        let Some(block) = self.blocks.get_mut(header.block) else { return Inserted::Contradictory };
        if header.frame != self.header || header.layout != layout || block.m.is_some_and(|m| m != header.m) {
            return Inserted::Contradictory;
        }
        block.m = Some(header.m);
        let (set, index) = if header.shard < header.k {
            (&mut block.data, header.shard)
        } else {
            (&mut block.parity, header.shard - header.k)
        };
        if block.done || *set & 1 << index != 0 {
            return Inserted::Unneeded;
        }
        *set |= 1 << index;
        if header.shard < header.k {
            let at = (layout.block(header.block).start + index) * layout.shard_bytes();
            self.data[at..at + layout.shard_bytes()].copy_from_slice(bytes);
        } else {
            self.parity.extend_from_slice(bytes);
            self.parity_places.push((header.block, index));
        }
        Inserted::Stored
    }

    /// Completes the block if enough of it is here. Returns how many data shards came from parity.
    fn repair(&mut self, index: usize, code: &mut BlockDecoder) -> u64 {
        let layout = self.layout;
        let (size, shards) = (layout.shard_bytes(), layout.block(index));
        let block = &mut self.blocks[index];
        let (k, have) = (shards.len(), block.data.count_ones() as usize);
        if block.done || have + (block.parity.count_ones() as usize) < k {
            return 0;
        }
        let missing = k - have;
        let here = block.data;
        if missing > 0 {
            let (block_data, parity) = (&mut self.data[shards.start * size..shards.end * size], &self.parity);
            let data = block_data.chunks_exact(size).enumerate().filter(|(i, _)| here & 1 << i != 0);
            let repair = parity
                .chunks_exact(size)
                .zip(&self.parity_places)
                .filter(|(_, (of, _))| *of == index)
                .map(|(shard, (_, at))| (*at, shard))
                .take(missing);
            match code.restore((k, block.m.unwrap_or_default()), size, data, repair) {
                Ok(restored) => {
                    for (i, shard) in restored.shards() {
                        block_data[i * size..(i + 1) * size].copy_from_slice(shard);
                    }
                }
                Err(error) => {
                    // Sizes, counts and indices were checked on the way in, so this is not expected; the frame is then
                    // given up like any other that stays incomplete.
                    tracing::warn!(%error, frame = self.header.number, "a block could not be repaired");
                    return 0;
                }
            }
        }
        block.done = true;
        self.blocks_left -= 1;
        missing as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn shard(number: u64, bytes: usize, index: usize) -> (ShardHeader, Vec<u8>) {
        let layout = FrameLayout::of(bytes).unwrap();
        let frame = FrameHeader { number, captured_us: 0, idr: false, repeat: false };
        let header = ShardHeader { frame, layout, block: 0, shard: index, k: layout.block(0).len(), m: 2 };
        (header, vec![index as u8; layout.shard_bytes()])
    }

    fn insert(reassembler: &mut Reassembler, now: Instant, (header, bytes): (ShardHeader, Vec<u8>)) -> Inserted {
        reassembler.insert(now, &header, &bytes)
    }

    fn number(delivery: Option<Delivery>) -> Option<u64> {
        match delivery {
            Some(Delivery::Complete(frame)) => Some(frame.header.number),
            _ => None,
        }
    }

    #[test]
    fn a_frame_waits_for_the_one_before_it_and_no_longer_than_the_grace() {
        let (mut reassembler, start) = (Reassembler::new(10 * MS), Instant::now());
        assert_eq!(insert(&mut reassembler, start, shard(1, 2000, 0)), Inserted::Stored);
        assert_eq!(insert(&mut reassembler, start + 5 * MS, shard(2, 100, 0)), Inserted::Stored);
        assert_eq!(reassembler.poll(start + 14 * MS), None);
        assert_eq!(reassembler.next_loss(), Some(start + 15 * MS));
        assert_eq!(reassembler.poll(start + 15 * MS), Some(Delivery::Lost { first: 1, count: 1 }));
        assert_eq!(number(reassembler.poll(start + 15 * MS)), Some(2));
        assert_eq!(insert(&mut reassembler, start + 16 * MS, shard(1, 2000, 1)), Inserted::Unneeded);
    }

    #[test]
    fn a_frame_without_a_later_one_is_waited_for_without_limit() {
        let (mut reassembler, start) = (Reassembler::new(10 * MS), Instant::now());
        insert(&mut reassembler, start, shard(1, 2000, 0));
        assert_eq!(reassembler.poll(start + 10_000 * MS), None);
        insert(&mut reassembler, start + 10_000 * MS, shard(1, 2000, 1));
        assert_eq!(number(reassembler.poll(start + 10_000 * MS)), Some(1));
    }

    #[test]
    fn a_gap_of_any_length_is_one_loss() {
        let (mut reassembler, start) = (Reassembler::new(10 * MS), Instant::now());
        let far = u64::MAX - 5;
        insert(&mut reassembler, start, shard(far, 100, 0));
        assert_eq!(reassembler.poll(start + 10 * MS), Some(Delivery::Lost { first: 1, count: far - 1 }));
        assert_eq!(number(reassembler.poll(start + 10 * MS)), Some(far));
    }

    #[test]
    fn shards_that_contradict_the_first_one_are_refused() {
        let (mut reassembler, start) = (Reassembler::new(10 * MS), Instant::now());
        insert(&mut reassembler, start, shard(1, 5000, 0));
        assert_eq!(insert(&mut reassembler, start, shard(1, 5000, 0)), Inserted::Unneeded);
        assert_eq!(insert(&mut reassembler, start, shard(1, 5002, 1)), Inserted::Contradictory);
        let (mut header, bytes) = shard(1, 5000, 1);
        header.m = 3;
        assert_eq!(reassembler.insert(start, &header, &bytes), Inserted::Contradictory);
        let (mut header, bytes) = shard(1, 5000, 1);
        header.frame.idr = true;
        assert_eq!(reassembler.insert(start, &header, &bytes), Inserted::Contradictory);
    }

    #[test]
    fn only_so_many_frames_are_held() {
        let (mut reassembler, start) = (Reassembler::new(10_000 * MS), Instant::now());
        for number in 1..=500 {
            insert(&mut reassembler, start, shard(number, 2000, 0));
            while let Some(delivery) = reassembler.poll(start) {
                assert!(matches!(delivery, Delivery::Lost { count: 1, .. }));
            }
        }
        assert_eq!(reassembler.frames.len(), MAX_FRAMES);
        assert!(reassembler.spare.len() <= 1);
    }
}
