//! libFuzzer around one target, named by `FUZZ_TARGET`; `scripts/fuzz` runs all of them.
#![no_main]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::OnceLock;

use punktfunk_gamestream::fuzzing::{TARGETS, Target};

/// Largest allocation that an input may cause, bytes: no parser here needs more than some ten thousand.
const MOST_BYTES: usize = 16 << 20;

/// The system's allocator, with that limit: without a sanitizer libFuzzer sees no allocation that is never touched.
struct Bounded;

// SAFETY: every call is passed on to the system's allocator unchanged, or the process ends.
unsafe impl GlobalAlloc for Bounded {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if layout.size() > MOST_BYTES {
            std::process::abort();
        }
        // SAFETY: the caller keeps `alloc`'s contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Bounded = Bounded;

fn target() -> Target {
    let wanted = std::env::var("FUZZ_TARGET").expect("FUZZ_TARGET names a target");
    *TARGETS.iter().find(|(name, _)| *name == wanted).unwrap_or_else(|| panic!("there is no target {wanted}"))
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    static TARGET: OnceLock<Target> = OnceLock::new();
    (TARGET.get_or_init(target).1)(bytes);
});
