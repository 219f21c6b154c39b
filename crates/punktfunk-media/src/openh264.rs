//! The `openh264` encoder: H.264 constrained baseline in software, set up for a picture out at once for each one in.
//!
//! It talks to the library's raw interface. The safe wrapper fixes the maximum bitrate at the target, so that the rate
//! cannot rise, and always codes one slice, so that a second thread has nothing to do.

use std::sync::Once;

use openh264_sys2 as sys;

use crate::convert::to_i420;
use crate::encoder::{EncodeError, EncodedFrame, Encoder, OpenEncoderError};
use crate::frame::{PixelFormat, RawFrame, VideoMode};

const NAME: &str = "openh264";

/// The highest rate that the library's rate control knows, in pictures a second.
const LIBRARY_MAX_FPS: u32 = 60;

/// Largest picture the library encodes, in pixels: the frame size of level 5.2, 36 864 macroblocks.
const MAX_PIXELS: u64 = 36_864 * 256;

/// An H.264 encoder on two slices and two threads. Only the first and the requested pictures are IDR.
///
/// It meets its target within a few percent as long as that lies between what the library's coarsest and finest
/// quantisers (42 and 12) make of the pictures: 640×360@60 in motion comes no lower than about 0.6 Mb/s.
#[derive(Debug)]
pub struct OpenH264 {
    library: Library,
    mode: VideoMode,
    picture: RawFrame,
    submitted: bool,
    idr_requested: bool,
    frames: u64,
}

impl OpenH264 {
    /// Lowest target rate in bits a second. Below it no picture is worth looking at.
    pub const MIN_BITRATE: u64 = 50_000;
    /// Highest target rate in bits a second; the library counts in 32 bits and multiplies.
    pub const MAX_BITRATE: u64 = 200_000_000;

    /// Opens an encoder for a mode and a target rate in bits a second
    /// ([`OpenH264::MIN_BITRATE`] to [`OpenH264::MAX_BITRATE`]).
    ///
    /// # Errors
    /// [`OpenEncoderError`] says which value is out of range or which call of the library failed.
    pub fn new(mode: VideoMode, bps: u64) -> Result<Self, OpenEncoderError> {
        mode.validate()?;
        if u64::from(mode.width) * u64::from(mode.height) > MAX_PIXELS {
            let reason = "the picture has more than 36,864 macroblocks";
            return Err(OpenEncoderError::Unsupported { encoder: NAME, mode, reason });
        }
        let rate = library_rate(mode, bps).ok_or(OpenEncoderError::Bitrate {
            bps,
            min: Self::MIN_BITRATE,
            max: Self::MAX_BITRATE,
        })?;
        static SAID: Once = Once::new();
        if cfg!(target_arch = "x86_64") && !Self::has_assembly() {
            SAID.call_once(|| {
                tracing::warn!(
                    "openh264 was built without assembly and is about three times slower: install nasm, then \
                     `cargo clean -p openh264-sys2` and build again"
                );
            });
        }
        let library = Library::open(mode, rate).map_err(|Failed { call, code }| OpenEncoderError::Library {
            encoder: NAME,
            call,
            code: code.into(),
        })?;
        let mut picture = RawFrame::new();
        picture.reset(PixelFormat::I420, mode.width, mode.height);
        Ok(Self { library, mode, picture, submitted: false, idr_requested: false, frames: 0 })
    }

    /// Whether the library found vector instructions that it was built to use. On x86-64 every processor has some, so
    /// false there means that nasm was missing when the library was built: its build script goes on without a word.
    pub fn has_assembly() -> bool {
        let mut logical_processors = 0;
        // SAFETY: the library is linked into every program that links this crate; the function reads the processor's
        // identification and writes at most one number to where we point it.
        unsafe { cpu_features(&raw mut logical_processors) != 0 }
    }
}

unsafe extern "C" {
    /// Internal to the library, whose interface does not tell how it was built: always 0 in a build without assembly.
    /// Should a release rename it, linking fails and says so.
    #[link_name = "WelsCPUFeatureDetect"]
    fn cpu_features(logical_processors: *mut i32) -> u32;
}

/// What the library is told so that `bps` come out: it spreads the rate over at most 60 pictures a second and knows
/// nothing of those beyond. `None` when `bps` is out of range.
fn library_rate(mode: VideoMode, bps: u64) -> Option<i32> {
    if !(OpenH264::MIN_BITRATE..=OpenH264::MAX_BITRATE).contains(&bps) {
        return None;
    }
    let scaled = bps * u64::from(LIBRARY_MAX_FPS) / u64::from(mode.fps.max(LIBRARY_MAX_FPS));
    i32::try_from(scaled).ok()
}

impl Encoder for OpenH264 {
    fn name(&self) -> &'static str {
        NAME
    }

    fn submit(&mut self, frame: &RawFrame) -> Result<(), EncodeError> {
        self.submitted = false;
        self.mode.check_size(frame)?;
        to_i420(frame, &mut self.picture)?;
        self.submitted = true;
        Ok(())
    }

    fn encode(&mut self, out: &mut EncodedFrame) -> Result<bool, EncodeError> {
        out.data.clear();
        out.idr = false;
        if !std::mem::take(&mut self.submitted) {
            return Err(EncodeError::NothingSubmitted);
        }
        if self.idr_requested {
            self.library.force_idr().map_err(encode_failed)?;
        }
        let timestamp_ms = self.frames * 1000 / u64::from(self.mode.fps);
        self.frames += 1;
        out.idr = self.library.encode(&mut self.picture, timestamp_ms, &mut out.data).map_err(encode_failed)?;
        // A request stays until an IDR has really come out.
        self.idr_requested &= !out.idr;
        Ok(!out.data.is_empty())
    }

    fn request_idr(&mut self) {
        self.idr_requested = true;
    }

    fn set_bitrate(&mut self, bps: u64) -> Result<(), EncodeError> {
        let rate = library_rate(self.mode, bps).ok_or(EncodeError::Bitrate {
            bps,
            min: Self::MIN_BITRATE,
            max: Self::MAX_BITRATE,
        })?;
        self.library.set_bitrate(rate).map_err(encode_failed)
    }
}

fn encode_failed(Failed { call, code }: Failed) -> EncodeError {
    EncodeError::Library { encoder: NAME, call, code: code.into() }
}

/// A call of the library that did not return 0.
#[derive(Debug)]
struct Failed {
    call: &'static str,
    code: i32,
}

fn check(call: &'static str, code: i32) -> Result<(), Failed> {
    if code == 0 { Ok(()) } else { Err(Failed { call, code }) }
}

/// An encoder object of the library. Non-null, initialised, and destroyed with this value.
#[derive(Debug)]
struct Library {
    object: *mut sys::ISVCEncoder,
}

// SAFETY: the library binds an encoder object to no thread; it is only used through `&mut Library`, by one at a time.
unsafe impl Send for Library {}

/// The function of the object's table; a build of the library without it is a failed call.
macro_rules! method {
    ($library:expr, $name:ident) => {{
        // SAFETY: `object` points to a live object, whose first word points to its function table.
        let table = unsafe { &**$library.object };
        table.$name.ok_or(Failed { call: stringify!($name), code: -1 })?
    }};
}

impl Library {
    fn open(mode: VideoMode, rate: i32) -> Result<Self, Failed> {
        let mut object = std::ptr::null_mut();
        // SAFETY: the function writes one pointer to where we point it.
        check("WelsCreateSVCEncoder", unsafe { sys::source::APILoader::WelsCreateSVCEncoder(&raw mut object) })?;
        if object.is_null() {
            return Err(Failed { call: "WelsCreateSVCEncoder", code: -1 });
        }
        let mut library = Self { object };
        // Before anything else: the library logs to stderr, and what goes wrong comes back as a code anyway.
        let mut level: i32 = sys::WELS_LOG_QUIET;
        library.set_option(sys::ENCODER_OPTION_TRACE_LEVEL, &mut level)?;

        let mut settings = sys::SEncParamExt::default();
        let defaults = method!(library, GetDefaultParams);
        // SAFETY: the object is live and `settings` is of the type the function fills.
        check("GetDefaultParams", unsafe { defaults(library.object, &raw mut settings) })?;
        apply(&mut settings, mode, rate);
        let initialize = method!(library, InitializeExt);
        // SAFETY: the object is live; the function copies what `settings` holds.
        check("InitializeExt", unsafe { initialize(library.object, &raw const settings) })?;
        let mut format: i32 = sys::videoFormatI420;
        library.set_option(sys::ENCODER_OPTION_DATAFORMAT, &mut format)?;
        Ok(library)
    }

    /// `value` must be of the type that the header documents for `option`.
    fn set_option<T>(&mut self, option: sys::ENCODER_OPTION, value: &mut T) -> Result<(), Failed> {
        let set_option = method!(self, SetOption);
        // SAFETY: the object is live; callers in this file pass the documented type; it is copied before the return.
        check("SetOption", unsafe { set_option(self.object, option, std::ptr::from_mut(value).cast()) })
    }

    fn set_bitrate(&mut self, rate: i32) -> Result<(), Failed> {
        let mut info = sys::SBitrateInfo { iLayer: sys::SPATIAL_LAYER_ALL, iBitrate: rate };
        self.set_option(sys::ENCODER_OPTION_BITRATE, &mut info)
    }

    fn force_idr(&mut self) -> Result<(), Failed> {
        let force = method!(self, ForceIntraFrame);
        // SAFETY: the object is live and initialised.
        check("ForceIntraFrame", unsafe { force(self.object, true) })
    }

    /// Appends the access unit to `out` and says whether it is an IDR.
    fn encode(&mut self, picture: &mut RawFrame, timestamp_ms: u64, out: &mut Vec<u8>) -> Result<bool, Failed> {
        let encode = method!(self, EncodeFrame);
        // Sides are bounded by `VideoMode::MAX_SIDE`, so they fit.
        let (width, height) = (picture.width() as i32, picture.height() as i32);
        let planes = picture.planes_mut().expect("the encoder's own picture is I420");
        let source = sys::SSourcePicture {
            iColorFormat: sys::videoFormatI420,
            iStride: [width, width / 2, width / 2, 0],
            pData: [planes.y.as_mut_ptr(), planes.u.as_mut_ptr(), planes.v.as_mut_ptr(), std::ptr::null_mut()],
            iPicWidth: width,
            iPicHeight: height,
            uiTimeStamp: timestamp_ms as i64,
            ..Default::default()
        };
        let mut info = sys::SFrameBSInfo::default();
        // SAFETY: the object is live and initialised for this size; the planes are as long as strides and height say
        // and outlive the call, after which the library keeps no pointer to them.
        check("EncodeFrame", unsafe { encode(self.object, &raw const source, &raw mut info) })?;
        if info.eFrameType == sys::videoFrameTypeSkip {
            return Ok(false);
        }
        for layer in info.sLayerInfo.iter().take(usize::try_from(info.iLayerNum).unwrap_or(0)) {
            let units = usize::try_from(layer.iNalCount).unwrap_or(0);
            if units == 0 || layer.pNalLengthInByte.is_null() || layer.pBsBuf.is_null() {
                continue;
            }
            // SAFETY: a layer that came out of `EncodeFrame` has `iNalCount` lengths, valid until the next call.
            let lengths = unsafe { std::slice::from_raw_parts(layer.pNalLengthInByte, units) };
            let bytes = lengths.iter().map(|length| usize::try_from(*length).unwrap_or(0)).sum();
            // SAFETY: the layer's units lie one after the other from `pBsBuf` on, valid until the next call.
            out.extend_from_slice(unsafe { std::slice::from_raw_parts(layer.pBsBuf, bytes) });
        }
        Ok(info.eFrameType == sys::videoFrameTypeIDR)
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        // SAFETY: the object is live, nobody else has it, and it is not used after this. Destroying also uninitialises.
        unsafe { sys::source::APILoader::WelsDestroySVCEncoder(self.object) };
    }
}

/// Settings for game streaming: no look-ahead, no reordering, no skipped or inserted pictures, a rate that can rise.
fn apply(settings: &mut sys::SEncParamExt, mode: VideoMode, rate: i32) {
    let (width, height) = (mode.width as i32, mode.height as i32);
    let fps = mode.fps.min(LIBRARY_MAX_FPS) as f32;
    // The usage for screens searches further and takes twice as long: too long for 60 pictures a second.
    settings.iUsageType = sys::CAMERA_VIDEO_REAL_TIME;
    settings.iPicWidth = width;
    settings.iPicHeight = height;
    settings.iTargetBitrate = rate;
    // Unlimited: a maximum would refuse a higher target later on.
    settings.iMaxBitrate = sys::UNSPECIFIED_BIT_RATE as i32;
    settings.iRCMode = sys::RC_BITRATE_MODE;
    settings.fMaxFrameRate = fps;
    settings.iComplexityMode = sys::LOW_COMPLEXITY;
    settings.iTemporalLayerNum = 1;
    settings.iSpatialLayerNum = 1;
    // No periodic IDR, and none of the encoder's own choice.
    settings.uiIntraPeriod = 0;
    settings.bEnableSceneChangeDetect = false;
    settings.bEnableLongTermReference = false;
    settings.iNumRefFrame = 1;
    // Each IDR repeats the same parameter sets, so that a client may start at any.
    settings.eSpsPpsIdStrategy = sys::CONSTANT_ID;
    settings.bEnableFrameSkip = false;
    settings.bEnableDenoise = false;
    settings.iMultipleThreadIdc = 2;

    let layer = &mut settings.sSpatialLayers[0];
    layer.iVideoWidth = width;
    layer.iVideoHeight = height;
    layer.fFrameRate = fps;
    layer.iSpatialBitrate = rate;
    layer.iMaxSpatialBitrate = sys::UNSPECIFIED_BIT_RATE as i32;
    layer.uiProfileIdc = sys::PRO_BASELINE;
    layer.uiLevelIdc = sys::LEVEL_UNKNOWN;
    layer.sSliceArgument.uiSliceMode = sys::SM_FIXEDSLCNUM_SLICE;
    layer.sSliceArgument.uiSliceNum = 2;
    // As `convert` makes them.
    layer.bVideoSignalTypePresent = true;
    layer.uiVideoFormat = sys::VF_UNDEF as u8;
    layer.bFullRange = false;
    layer.bColorDescriptionPresent = true;
    layer.uiColorPrimaries = sys::CP_BT709 as u8;
    layer.uiTransferCharacteristics = sys::TRC_BT709 as u8;
    layer.uiColorMatrix = sys::CM_BT709 as u8;
}
