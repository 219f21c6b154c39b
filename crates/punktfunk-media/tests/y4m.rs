//! Replaying files, whole and broken ones.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::error::Error as _;
use std::fs;
use std::path::Path;

use punktfunk_media::{FrameOrigin, FrameSource, OpenY4mError, RawFrame, SourceError, VideoMode, Y4m};

const HEADER: &str = "YUV4MPEG2 W16 H16 F50:1 Ip C420mpeg2\n";
const FRAME_BYTES: usize = 16 * 16 * 3 / 2;

/// Writes a file with one frame for each shade, ending as told.
fn file(directory: &Path, shades: &[u8], tail: &[u8]) -> std::path::PathBuf {
    let mut bytes = HEADER.as_bytes().to_vec();
    for shade in shades {
        bytes.extend(b"FRAME\n");
        bytes.extend([*shade; FRAME_BYTES]);
    }
    bytes.extend(tail);
    let path = directory.join("clip.y4m");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn frames_come_in_order_and_start_again_at_the_end() {
    let directory = tempfile::tempdir().unwrap();
    let mut source = Y4m::open(file(directory.path(), &[10, 20, 20, 30], b"")).unwrap();
    assert_eq!(source.mode(), VideoMode { width: 16, height: 16, fps: 50 });
    let mut frame = RawFrame::new();
    let mut next = || {
        let origin = source.capture(&mut frame).unwrap();
        assert!(frame.bytes().iter().all(|byte| *byte == frame.bytes()[0]));
        (frame.bytes()[0], origin)
    };
    let found: Vec<_> = (0..6).map(|_| next()).collect();
    let (new, repeat) = (FrameOrigin::New, FrameOrigin::Repeat);
    assert_eq!(found, [(10, new), (20, new), (20, repeat), (30, new), (10, new), (20, new)]);
}

#[test]
fn a_file_that_ends_within_a_frame_is_an_error_that_names_the_frame() {
    let directory = tempfile::tempdir().unwrap();
    let mut source = Y4m::open(file(directory.path(), &[1, 2], b"FRAME\nshort")).unwrap();
    let mut frame = RawFrame::new();
    source.capture(&mut frame).unwrap();
    source.capture(&mut frame).unwrap();
    let error = source.capture(&mut frame).unwrap_err();
    assert!(matches!(error, SourceError::Replay { frame: 2, .. }));
    assert_eq!(error.source().unwrap().to_string(), "the file ends within the frame");
}

#[test]
fn rubbish_between_frames_is_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let rubbish = [b'x'; 5000];
    let mut source = Y4m::open(file(directory.path(), &[1], &rubbish)).unwrap();
    let mut frame = RawFrame::new();
    source.capture(&mut frame).unwrap();
    let error = source.capture(&mut frame).unwrap_err();
    assert_eq!(error.source().unwrap().to_string(), "no frame header where one is due");
}

#[test]
fn a_file_without_a_whole_frame_is_not_opened() {
    let directory = tempfile::tempdir().unwrap();
    assert!(matches!(Y4m::open(file(directory.path(), &[], b"FRAME\nshort")), Err(OpenY4mError::Empty { .. })));
    let path = directory.path().join("empty.y4m");
    fs::write(&path, b"").unwrap();
    assert!(matches!(Y4m::open(path), Err(OpenY4mError::Header { .. })));
    let missing = Y4m::open(directory.path().join("missing.y4m")).unwrap_err();
    assert!(missing.to_string().ends_with("missing.y4m: cannot be read"));
}
