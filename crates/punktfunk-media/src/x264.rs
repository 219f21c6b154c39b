//! The `x264` encoder: the system's libx264 behind the cargo feature of the same name, for comparison with openh264.
//!
//! It talks to the library's raw interface: the safe wrappers can neither ask for an IDR nor change the rate of a
//! running encoder. Off by default, because libx264 is under the GPL and so is every program that links it.

use std::mem::MaybeUninit;
use std::ptr::NonNull;

use x264_sys as sys;

use crate::convert::to_i420;
use crate::encoder::{EncodeError, EncodedFrame, Encoder, OpenEncoderError};
use crate::frame::{PixelFormat, RawFrame, VideoMode};

const NAME: &str = "x264";

/// How much of a second's bits the decoder's model may hold. Small, so that no picture takes long to send.
const BUFFER_S: f64 = 0.1;

/// An H.264 encoder on two slices and two threads. Only the first and the requested pictures are IDR.
pub struct X264 {
    object: NonNull<sys::x264_t>,
    settings: Box<sys::x264_param_t>,
    mode: VideoMode,
    picture: RawFrame,
    submitted: bool,
    idr_requested: bool,
    frames: i64,
}

// SAFETY: the library binds an encoder to no thread; it is only used through `&mut X264`, by one at a time. What
// `settings` points to is static or belongs to it.
unsafe impl Send for X264 {}

impl std::fmt::Debug for X264 {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("X264").field("mode", &self.mode).finish_non_exhaustive()
    }
}

impl X264 {
    /// Lowest target rate in bits a second. Below it no picture is worth looking at.
    pub const MIN_BITRATE: u64 = 50_000;
    /// Highest target rate in bits a second.
    pub const MAX_BITRATE: u64 = 200_000_000;

    /// Opens an encoder for a mode and a target rate in bits a second
    /// ([`X264::MIN_BITRATE`] to [`X264::MAX_BITRATE`]).
    ///
    /// # Errors
    /// [`OpenEncoderError`] says which value is out of range or which call of the library failed.
    pub fn new(mode: VideoMode, bps: u64) -> Result<Self, OpenEncoderError> {
        mode.validate()?;
        let (min, max) = (Self::MIN_BITRATE, Self::MAX_BITRATE);
        let rate_kbps = library_rate(bps).ok_or(OpenEncoderError::Bitrate { bps, min, max })?;
        let failed = |call, code: i32| OpenEncoderError::Library { encoder: NAME, call, code: code.into() };

        let mut settings = Box::new(MaybeUninit::uninit());
        // SAFETY: the function fills what we point it to; both names are strings that end in a zero byte.
        let code = unsafe {
            sys::x264_param_default_preset(settings.as_mut_ptr(), c"superfast".as_ptr(), c"zerolatency".as_ptr())
        };
        if code != 0 {
            return Err(failed("x264_param_default_preset", code));
        }
        // SAFETY: the call succeeded, and it begins by filling the whole struct with defaults.
        let mut settings = unsafe { settings.assume_init() };
        apply(&mut settings, mode, rate_kbps);
        // SAFETY: the settings are initialised; the name ends in a zero byte.
        let code = unsafe { sys::x264_param_apply_profile(&raw mut *settings, c"baseline".as_ptr()) };
        if code != 0 {
            return Err(failed("x264_param_apply_profile", code));
        }
        // SAFETY: the settings are initialised, and the library copies them.
        let object = NonNull::new(unsafe { sys::x264_encoder_open(&raw mut *settings) });
        let object = object.ok_or_else(|| failed("x264_encoder_open", -1))?;
        let mut picture = RawFrame::new();
        picture.reset(PixelFormat::I420, mode.width, mode.height);
        Ok(Self { object, settings, mode, picture, submitted: false, idr_requested: false, frames: 0 })
    }

    /// The submitted picture as the library takes it. It points into `self.picture`.
    fn input(&mut self) -> sys::x264_picture_t {
        let mut input = MaybeUninit::uninit();
        // SAFETY: the function fills what we point it to, the whole struct.
        let mut input: sys::x264_picture_t = unsafe {
            sys::x264_picture_init(input.as_mut_ptr());
            input.assume_init()
        };
        let planes = self.picture.planes_mut().expect("the encoder's own picture is I420");
        // Sides are bounded by `VideoMode::MAX_SIDE`, so they fit.
        let width = self.mode.width as i32;
        input.img.i_csp = sys::X264_CSP_I420 as i32;
        input.img.i_plane = 3;
        input.img.i_stride = [width, width / 2, width / 2, 0];
        input.img.plane = [planes.y.as_mut_ptr(), planes.u.as_mut_ptr(), planes.v.as_mut_ptr(), std::ptr::null_mut()];
        input.i_type = if self.idr_requested { sys::X264_TYPE_IDR } else { sys::X264_TYPE_AUTO } as i32;
        input.i_pts = self.frames;
        input
    }
}

/// Kilobits a second, which the library counts in. `None` when `bps` is out of range.
fn library_rate(bps: u64) -> Option<i32> {
    (X264::MIN_BITRATE..=X264::MAX_BITRATE).contains(&bps).then(|| i32::try_from(bps / 1000).ok())?
}

impl Encoder for X264 {
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
        let mut input = self.input();
        self.frames += 1;
        let mut output = MaybeUninit::<sys::x264_picture_t>::uninit();
        let mut units = std::ptr::null_mut();
        let mut count = 0;
        // SAFETY: the encoder is live; the planes are as long as strides and the encoder's height say and outlive the
        // call, which copies them; the other arguments point to what the function fills.
        let bytes = unsafe {
            let object = self.object.as_ptr();
            sys::x264_encoder_encode(object, &raw mut units, &raw mut count, &raw mut input, output.as_mut_ptr())
        };
        let Ok(bytes) = usize::try_from(bytes) else {
            return Err(EncodeError::Library { encoder: NAME, call: "x264_encoder_encode", code: bytes.into() });
        };
        if bytes == 0 || units.is_null() {
            return Ok(false);
        }
        // SAFETY: with a positive result there is at least one unit, and the payloads of all units lie one after the
        // other, `bytes` in all, valid until the next call; `output` was filled.
        let (data, kind) =
            unsafe { (std::slice::from_raw_parts((*units).p_payload, bytes), (*output.as_ptr()).i_type) };
        out.data.extend_from_slice(data);
        out.idr = kind == sys::X264_TYPE_IDR as i32;
        // A request stays until an IDR has really come out.
        self.idr_requested &= !out.idr;
        Ok(true)
    }

    fn request_idr(&mut self) {
        self.idr_requested = true;
    }

    fn set_bitrate(&mut self, bps: u64) -> Result<(), EncodeError> {
        let (min, max) = (Self::MIN_BITRATE, Self::MAX_BITRATE);
        let rate_kbps = library_rate(bps).ok_or(EncodeError::Bitrate { bps, min, max })?;
        apply_rate(&mut self.settings, rate_kbps);
        // SAFETY: the encoder is live; the settings are the ones it was opened with but for the rate, and are copied.
        let code = unsafe { sys::x264_encoder_reconfig(self.object.as_ptr(), &raw mut *self.settings) };
        if code == 0 {
            return Ok(());
        }
        Err(EncodeError::Library { encoder: NAME, call: "x264_encoder_reconfig", code: code.into() })
    }
}

impl Drop for X264 {
    fn drop(&mut self) {
        // SAFETY: the encoder is live, nobody else has it, and it is not used after this.
        unsafe { sys::x264_encoder_close(self.object.as_ptr()) };
    }
}

/// Settings for game streaming, on top of the preset's: as those of openh264, so that the two compare.
fn apply(settings: &mut sys::x264_param_t, mode: VideoMode, rate_kbps: i32) {
    settings.i_log_level = sys::X264_LOG_NONE;
    settings.i_csp = sys::X264_CSP_I420 as i32;
    settings.i_width = mode.width as i32;
    settings.i_height = mode.height as i32;
    settings.i_fps_num = mode.fps;
    settings.i_fps_den = 1;
    settings.i_timebase_num = 1;
    settings.i_timebase_den = mode.fps;
    // Every picture lasts as long as any other, whatever its time stamp.
    settings.b_vfr_input = 0;
    // Two slices at once, rather than two pictures, which would hold one back.
    settings.i_threads = 2;
    settings.b_sliced_threads = 1;
    settings.i_slice_count = 2;
    settings.i_frame_reference = 1;
    // No periodic IDR, and none of the encoder's own choice.
    settings.i_keyint_max = sys::X264_KEYINT_MAX_INFINITE as i32;
    settings.i_scenecut_threshold = 0;
    // Each IDR repeats the parameter sets, so that a client may start at any.
    settings.b_repeat_headers = 1;
    settings.b_annexb = 1;
    settings.rc.i_rc_method = sys::X264_RC_ABR as i32;
    apply_rate(settings, rate_kbps);
    // As `convert` makes them; 1 stands for BT.709 (ITU-T H.264, tables E-3 to E-5).
    settings.vui.b_fullrange = 0;
    settings.vui.i_colorprim = 1;
    settings.vui.i_transfer = 1;
    settings.vui.i_colmatrix = 1;
}

fn apply_rate(settings: &mut sys::x264_param_t, rate_kbps: i32) {
    settings.rc.i_bitrate = rate_kbps;
    settings.rc.i_vbv_max_bitrate = rate_kbps;
    settings.rc.i_vbv_buffer_size = (f64::from(rate_kbps) * BUFFER_S) as i32;
}
