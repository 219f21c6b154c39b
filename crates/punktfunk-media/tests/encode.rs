//! What the encoder puts out, looked at: its NAL units, its rate, and what a decoder makes of it.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use proptest::prelude::*;
use punktfunk_media::convert::to_i420;
use punktfunk_media::decode::{Decoder, Plane};
use punktfunk_media::{
    EncodeError, EncodedFrame, Encoder, FrameSource, OpenEncoderError, OpenH264, PixelFormat, RawFrame, Synthetic,
    VideoMode,
};

const SLICE: u8 = 1;
const IDR_SLICE: u8 = 5;
const SPS: u8 = 7;
const PPS: u8 = 8;

/// Targets in bits a second that 640×360 can meet at any rate used here: far enough from those at which the library's
/// finest and coarsest quantisers (12 and 42) decide.
const TARGETS: [u64; 3] = [2_000_000, 1_000_000, 3_000_000];

/// A source and an encoder of one mode, run in step.
struct Path<E = OpenH264> {
    source: Synthetic,
    encoder: E,
    frame: RawFrame,
    encoded: EncodedFrame,
}

impl Path {
    fn new(width: u32, height: u32, fps: u32, bps: u64) -> Self {
        let mode = VideoMode::new(width, height, fps).unwrap();
        Self::with(mode, OpenH264::new(mode, bps).unwrap())
    }
}

impl<E: Encoder> Path<E> {
    fn with(mode: VideoMode, encoder: E) -> Self {
        let source = Synthetic::new(mode).unwrap();
        Self { source, encoder, frame: RawFrame::new(), encoded: EncodedFrame::default() }
    }

    fn next(&mut self) -> &EncodedFrame {
        self.source.capture(&mut self.frame).unwrap();
        self.encoder.submit(&self.frame).unwrap();
        assert!(self.encoder.encode(&mut self.encoded).unwrap(), "a picture was skipped");
        &self.encoded
    }

    /// Bits of the next `pictures` pictures.
    fn bits(&mut self, pictures: u32) -> f64 {
        (0..pictures).map(|_| self.next().data.len() as f64 * 8.0).sum()
    }
}

/// The types of the NAL units of an Annex B stream, in order (ITU-T H.264, table 7-1).
fn nal_types(annex_b: &[u8]) -> Vec<u8> {
    assert!(annex_b.starts_with(&[0, 0, 0, 1]), "an access unit starts with a start code");
    annex_b.windows(4).filter(|bytes| bytes[..3] == [0, 0, 1]).map(|bytes| bytes[3] & 0x1f).collect()
}

#[cfg(target_arch = "x86_64")]
#[test]
fn the_library_was_built_with_assembly() {
    assert!(
        OpenH264::has_assembly(),
        "install nasm, then run `cargo clean --release -p openh264-sys2` and build again"
    );
}

#[test]
fn the_first_picture_is_an_idr_with_parameter_sets_and_the_others_are_two_slices() {
    let mut path = Path::new(640, 360, 60, 4_000_000);
    assert!(path.next().idr);
    assert_eq!(nal_types(&path.encoded.data), [SPS, PPS, IDR_SLICE, IDR_SLICE]);
    for _ in 0..300 {
        assert!(!path.next().idr);
        assert_eq!(nal_types(&path.encoded.data), [SLICE, SLICE]);
    }
}

#[test]
fn a_request_makes_the_next_picture_an_idr_and_only_that_one() {
    let mut path = Path::new(640, 360, 60, 4_000_000);
    for _ in 0..10 {
        path.next();
    }
    path.encoder.request_idr();
    path.encoder.request_idr();
    assert!(path.next().idr);
    assert_eq!(nal_types(&path.encoded.data), [SPS, PPS, IDR_SLICE, IDR_SLICE]);
    assert!(!path.next().idr);
}

#[test]
fn a_stream_can_be_joined_at_a_requested_idr() {
    let mut path = Path::new(320, 180, 60, 2_000_000);
    for _ in 0..5 {
        path.next();
    }
    path.encoder.request_idr();
    let mut decoder = Decoder::new().unwrap();
    for _ in 0..5 {
        let access_unit = &path.next().data;
        assert!(decoder.decode(access_unit).unwrap().is_some());
    }
}

#[test]
fn the_rate_follows_the_target_up_and_down_while_running() {
    let mut path = Path::new(640, 360, 60, TARGETS[0]);
    for target in TARGETS {
        path.encoder.set_bitrate(target).unwrap();
        path.bits(60);
        let share = path.bits(60) / target as f64;
        assert!((0.95..1.05).contains(&share), "{share:.2} of a target of {target} bit/s");
    }
}

#[test]
fn the_rate_is_met_above_the_highest_frame_rate_that_the_library_knows() {
    for fps in [30, 120, 240] {
        let mut path = Path::new(640, 360, fps, TARGETS[0]);
        path.bits(fps);
        let share = path.bits(fps) / TARGETS[0] as f64;
        assert!((0.95..1.05).contains(&share), "{share:.2} of the target at {fps} pictures a second");
    }
}

#[test]
fn a_decoded_picture_is_close_to_the_one_that_was_encoded() {
    assert_close_when_decoded(&mut Path::new(640, 360, 60, 8_000_000));
}

fn assert_close_when_decoded<E: Encoder>(path: &mut Path<E>) {
    let mut decoder = Decoder::new().unwrap();
    let mut original = RawFrame::new();
    for _ in 0..30 {
        path.next();
        let picture = decoder.decode(&path.encoded.data).unwrap().unwrap();
        to_i420(&path.frame, &mut original).unwrap();
        let planes = original.planes().unwrap();
        for (name, plane, decoded) in
            [("luma", planes.y, picture.y()), ("blue", planes.u, picture.u()), ("red", planes.v, picture.v())]
        {
            let psnr = psnr_db(plane, decoded);
            assert!(psnr > 30.0, "{name} at {psnr:.1} dB");
        }
    }
}

/// Peak signal-to-noise ratio of a plane in decibels.
fn psnr_db(original: &[u8], decoded: Plane<'_>) -> f64 {
    assert_eq!(original.len(), decoded.width * decoded.height);
    let rows = original.chunks_exact(decoded.width).zip(decoded.rows());
    let error: u64 = rows
        .flat_map(|(original, decoded)| original.iter().zip(decoded))
        .map(|(original, decoded)| u64::from(original.abs_diff(*decoded)).pow(2))
        .sum();
    10.0 * (255.0_f64.powi(2) * original.len() as f64 / (error as f64).max(1.0)).log10()
}

#[test]
fn sizes_that_are_no_multiple_of_a_macroblock_come_back_as_they_were() {
    for (width, height) in [(16, 16), (18, 34), (322, 182), (1366, 768)] {
        let mut path = Path::new(width, height, 60, 2_000_000);
        let mut decoder = Decoder::new().unwrap();
        for _ in 0..3 {
            let picture = decoder.decode(&path.next().data).unwrap().unwrap();
            assert_eq!((picture.width(), picture.height()), (width as usize, height as usize));
        }
    }
}

#[test]
fn a_picture_of_another_size_is_refused_and_not_encoded() {
    let mut path = Path::new(320, 180, 60, 2_000_000);
    path.frame.reset(PixelFormat::Bgra, 320, 182);
    let error = path.encoder.submit(&path.frame).unwrap_err();
    assert_eq!(error.to_string(), "the encoder takes 320×180, the picture is 320×182");
    assert!(matches!(path.encoder.encode(&mut path.encoded), Err(EncodeError::NothingSubmitted)));
    assert!(path.next().idr, "the encoder goes on after a refused picture");
}

#[test]
fn rates_and_sizes_out_of_range_are_refused_by_name() {
    let mode = VideoMode::new(320, 180, 60).unwrap();
    assert!(matches!(OpenH264::new(mode, 0), Err(OpenEncoderError::Bitrate { bps: 0, .. })));
    assert!(matches!(OpenH264::new(mode, u64::MAX), Err(OpenEncoderError::Bitrate { bps: u64::MAX, .. })));
    let mut encoder = OpenH264::new(mode, OpenH264::MIN_BITRATE).unwrap();
    assert!(matches!(encoder.set_bitrate(1), Err(EncodeError::Bitrate { bps: 1, .. })));
    encoder.set_bitrate(OpenH264::MAX_BITRATE).unwrap();
    let odd = VideoMode { width: 321, ..mode };
    assert!(matches!(OpenH264::new(odd, 1_000_000), Err(OpenEncoderError::Mode(_))));
    let large = VideoMode::new(4096, 4096, 60).unwrap();
    assert!(matches!(OpenH264::new(large, 1_000_000), Err(OpenEncoderError::Unsupported { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_damaged_access_unit_is_an_error_or_a_picture_of_a_possible_size(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..20), cut: prop::sample::Index,
    ) {
        let mut path = Path::new(64, 64, 60, 500_000);
        let mut bytes = path.next().data.clone();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        bytes.truncate(1 + cut.index(bytes.len()));
        let mut decoder = Decoder::new().unwrap();
        if let Ok(Some(picture)) = decoder.decode(&bytes) {
            prop_assert_eq!(picture.y().rows().count(), picture.height());
        }
    }
}

#[test]
fn bytes_that_are_no_video_are_an_error_and_the_next_idr_decodes() {
    let mut path = Path::new(320, 180, 60, 2_000_000);
    let mut decoder = Decoder::new().unwrap();
    path.next();
    assert!(decoder.decode(&path.next().data.clone()).is_err(), "a picture before the first IDR");
    assert!(decoder.decode(&[0, 0, 0, 1, 0x65, 0xff, 0x12, 0x34]).is_err());
    path.encoder.request_idr();
    assert!(decoder.decode(&path.next().data).unwrap().is_some());
}

#[cfg(feature = "x264")]
mod x264 {
    use punktfunk_media::X264;

    use super::*;

    const SEI: u8 = 6;

    fn path(width: u32, height: u32, fps: u32, bps: u64) -> Path<X264> {
        let mode = VideoMode::new(width, height, fps).unwrap();
        Path::with(mode, X264::new(mode, bps).unwrap())
    }

    /// The types of the NAL units but for supplementary information, with which x264 signs a stream.
    fn types(path: &Path<X264>) -> Vec<u8> {
        nal_types(&path.encoded.data).into_iter().filter(|kind| *kind != SEI).collect()
    }

    #[test]
    fn only_the_first_and_the_requested_picture_are_idr_with_parameter_sets() {
        let mut path = path(640, 360, 60, 4_000_000);
        for number in 0..320 {
            if number == 300 {
                path.encoder.request_idr();
            }
            let idr = path.next().idr;
            assert_eq!(idr, number == 0 || number == 300, "picture {number}");
            let expected: &[u8] = if idr { &[SPS, PPS, IDR_SLICE, IDR_SLICE] } else { &[SLICE, SLICE] };
            assert_eq!(types(&path), expected, "picture {number}");
        }
    }

    #[test]
    fn the_rate_follows_the_target_up_and_down_while_running() {
        let mut path = path(640, 360, 60, TARGETS[0]);
        for target in TARGETS {
            path.encoder.set_bitrate(target).unwrap();
            path.bits(60);
            let share = path.bits(60) / target as f64;
            assert!((0.9..1.1).contains(&share), "{share:.2} of a target of {target} bit/s");
        }
    }

    #[test]
    fn a_decoded_picture_is_close_to_the_one_that_was_encoded() {
        assert_close_when_decoded(&mut path(640, 360, 60, 8_000_000));
    }

    #[test]
    fn what_is_out_of_range_is_refused_by_name() {
        let mode = VideoMode::new(320, 180, 60).unwrap();
        assert!(matches!(X264::new(mode, 0), Err(OpenEncoderError::Bitrate { bps: 0, .. })));
        assert!(matches!(X264::new(VideoMode { width: 321, ..mode }, 1_000_000), Err(OpenEncoderError::Mode(_))));
        let mut path = path(320, 180, 60, X264::MIN_BITRATE);
        path.encoder.set_bitrate(X264::MAX_BITRATE).unwrap();
        assert!(matches!(path.encoder.set_bitrate(u64::MAX), Err(EncodeError::Bitrate { bps: u64::MAX, .. })));
        path.frame.reset(PixelFormat::Bgra, 320, 182);
        assert!(matches!(path.encoder.submit(&path.frame), Err(EncodeError::WrongSize { height: 182, .. })));
        assert!(matches!(path.encoder.encode(&mut path.encoded), Err(EncodeError::NothingSubmitted)));
        assert!(path.next().idr, "the encoder goes on after a refused picture");
    }
}
