//! A global allocator that counts, for tests that hold a loop to allocating nothing, or a process to keeping nothing.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::atomic::{AtomicUsize, Ordering};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Bytes that all threads have allocated and not given back.
static LIVE: AtomicUsize = AtomicUsize::new(0);

/// The system's allocator, counting. A test binary makes it its own by `#[global_allocator]`.
#[derive(Debug)]
pub struct CountingAllocator;

/// Allocations and reallocations of this thread so far, if [`CountingAllocator`] is the global one.
pub fn allocations() -> u64 {
    ALLOCATIONS.get()
}

/// Bytes that the whole process holds on the heap, if [`CountingAllocator`] is the global one. Unlike resident memory it does
/// not depend on what the system's allocator keeps for later.
pub fn live_bytes() -> usize {
    // A figure of its own.
    LIVE.load(Ordering::Relaxed)
}

// SAFETY: every call is passed on to the system's allocator unchanged; the counters are a thread-local cell without a
// destructor and an atomic, and allocate nothing.
unsafe impl GlobalAlloc for CountingAllocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        LIVE.fetch_add(bytes, Ordering::Relaxed);
        LIVE.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(pointer, layout, bytes) }
    }
}
