//! A running stream allocates nothing for its packets, in clear or encrypted: counted, not believed.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::Duration;

use punktfunk_gamestream::video::{FecConfig, FrameHead, FrameKind, PacketSize, Packetizer, VideoKey};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counter allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[test]
fn packets_are_made_without_an_allocation_each() {
    let picture = vec![7; 400_000];
    for key in [None, Some(VideoKey::new([1; 16]))] {
        let fec = FecConfig { percent: 20, minimum: 2 };
        let mut packetizer = Packetizer::new(PacketSize::new(1024).unwrap(), fec, key.as_ref());
        let (mut made, mut counted) = (0, 0);
        for index in 1..=600_u32 {
            // Once the longest frame and the largest block have been seen, nothing grows.
            let bytes = match index {
                1 => picture.len(),
                2 => 212 * 1008 - 8,
                _ => 500 + index as usize * 6_151 % 350_000,
            };
            let kind = if index == 1 { FrameKind::Idr } else { FrameKind::Predicted };
            let head = FrameHead { index, kind, latency: Duration::ZERO, since_start: Duration::ZERO };
            let before = ALLOCATIONS.get();
            let count = packetizer.packetize(head, &picture[..bytes]).unwrap().count();
            if index > 2 {
                counted += ALLOCATIONS.get() - before;
                made += count;
            }
        }
        assert!(made > 100_000);
        assert_eq!(counted, 0, "making {made} packets allocated");
    }
}
