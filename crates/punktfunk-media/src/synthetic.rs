//! The `synthetic` source: pictures that move like a game's, the same ones in every run.
//!
//! A textured ground scrolls fast under objects that bounce at speeds of their own, so that an encoder has motion to
//! find and detail to spend bits on; every few seconds the ground is exchanged at once, which no motion explains.
//! All of it depends on the frame number alone. It draws no text and no clock.

use crate::frame::{ModeError, PixelFormat, RawFrame, VideoMode};
use crate::source::{FrameOrigin, FrameSource, SourceError};

/// Side of the square that the ground repeats, in pixels; a power of two.
const TILE: usize = 512;

/// Speed of the ground to the left, in pixels a second: at least a pixel a frame at the highest rate, so that no
/// picture equals the one before it.
const SCROLL_PER_S: u64 = VideoMode::MAX_FPS as u64;

/// How far the ground sways up and down, in pixels, and how many pixels a second.
const SWAY: u64 = 200;
const SWAY_PER_S: u64 = 90;

/// How long a scene lasts, in seconds.
const SCENE_S: u64 = 8;

const SPRITES: usize = 24;

/// Deterministic moving pictures in BGRA.
#[derive(Debug)]
pub struct Synthetic {
    mode: VideoMode,
    /// A ground for each scene, shown in turn.
    grounds: [Vec<u8>; 2],
    sprites: Vec<Sprite>,
    frame: u64,
}

impl Synthetic {
    /// The source for a mode. All pictures of a mode are the same in every run and on every machine.
    ///
    /// # Errors
    /// [`ModeError`] when the mode is out of range.
    pub fn new(mode: VideoMode) -> Result<Self, ModeError> {
        mode.validate()?;
        let mut dice = Dice(0x70_75_6e_6b_74);
        let first = ground(&tile(&mut dice, meadow), mode.width as usize);
        let sprites = (0..SPRITES).map(|_| Sprite::roll(&mut dice, mode)).collect();
        let second = ground(&tile(&mut dice, ice), mode.width as usize);
        Ok(Self { mode, grounds: [first, second], sprites, frame: 0 })
    }

    fn draw_ground(&self, into: &mut [u8]) {
        let ground = &self.grounds[self.moved(1) as usize / SCENE_S as usize % self.grounds.len()];
        let row_bytes = self.mode.width as usize * 4;
        let stride = row_bytes + TILE * 4;
        let left = self.moved(SCROLL_PER_S) as usize % TILE * 4;
        let top = bounce(self.moved(SWAY_PER_S), SWAY) as usize;
        for (y, row) in into.chunks_exact_mut(row_bytes).enumerate() {
            let start = (y + top) % TILE * stride + left;
            row.copy_from_slice(&ground[start..start + row_bytes]);
        }
    }

    /// How far something has come at a speed in pixels a second.
    fn moved(&self, per_s: u64) -> u64 {
        self.frame.wrapping_mul(per_s) / u64::from(self.mode.fps)
    }
}

impl FrameSource for Synthetic {
    fn mode(&self) -> VideoMode {
        self.mode
    }

    fn kind(&self) -> &'static str {
        "synthetic"
    }

    fn capture(&mut self, into: &mut RawFrame) -> Result<FrameOrigin, SourceError> {
        let VideoMode { width, height, .. } = self.mode;
        into.reset(PixelFormat::Bgra, width, height);
        self.draw_ground(into.bytes_mut());
        for sprite in &self.sprites {
            let x = bounce(sprite.x + self.moved(sprite.x_per_s), u64::from(width) - sprite.side as u64) as usize;
            let y = bounce(sprite.y + self.moved(sprite.y_per_s), u64::from(height) - sprite.side as u64) as usize;
            sprite.draw(into.bytes_mut(), width as usize, x, y);
        }
        self.frame += 1;
        Ok(FrameOrigin::New)
    }
}

/// There and back between 0 and `span`, both included.
fn bounce(way: u64, span: u64) -> u64 {
    if span == 0 {
        return 0;
    }
    let at = way % (2 * span);
    at.min(2 * span - at)
}

#[derive(Debug)]
struct Sprite {
    side: usize,
    pixels: Vec<u8>,
    x: u64,
    y: u64,
    x_per_s: u64,
    y_per_s: u64,
}

impl Sprite {
    fn roll(dice: &mut Dice, mode: VideoMode) -> Self {
        let largest = (mode.width.min(mode.height) / 8).max(4);
        let side = (largest / 2 + dice.below(largest / 2 + 1)) as usize;
        let colour = [dice.below(256) as u8, dice.below(256) as u8, dice.below(256) as u8];
        let mut pixels = Vec::with_capacity(side * side * 4);
        for y in 0..side {
            for x in 0..side {
                let rim = x.min(y).min(side - 1 - x).min(side - 1 - y) < side / 12 + 1;
                let shade = if rim { 32 } else { 128 + (x * 90 + y * 37) / side };
                pixels.extend(colour.map(|part| ((usize::from(part) * shade) >> 8) as u8));
                pixels.push(255);
            }
        }
        Self {
            side,
            pixels,
            x: dice.below(mode.width).into(),
            y: dice.below(mode.height).into(),
            x_per_s: u64::from(60 + dice.below(300)),
            y_per_s: u64::from(40 + dice.below(200)),
        }
    }

    /// The caller keeps the sprite within the picture.
    fn draw(&self, into: &mut [u8], width: usize, x: usize, y: usize) {
        let row_bytes = self.side * 4;
        for (line, pixels) in self.pixels.chunks_exact(row_bytes).enumerate() {
            let start = ((y + line) * width + x) * 4;
            into[start..start + row_bytes].copy_from_slice(pixels);
        }
    }
}

/// `TILE` rows of the tile, each as long as a picture row and a tile together: any scroll is one copy a row.
fn ground(tile: &[[u8; 4]], width: usize) -> Vec<u8> {
    let mut ground = Vec::with_capacity((width + TILE) * TILE * 4);
    for row in tile.chunks_exact(TILE) {
        ground.extend(row.iter().cycle().take(width + TILE).flatten());
    }
    ground
}

/// The colour (BGRA) of a height.
type Colour = fn(u8) -> [u8; 4];

/// From earth to grass.
fn meadow(height: u8) -> [u8; 4] {
    [height / 3, height / 2 + 70, 200 - height / 2, 255]
}

/// From snow to shadow. As little contrast in luma as [`meadow`], so that both scenes cost about the same bits.
fn ice(height: u8) -> [u8; 4] {
    [200 - height / 8, height / 3 + 100, height / 4 + 90, 255]
}

/// Value noise in four octaves that wraps at the tile's edges, coloured by height.
fn tile(dice: &mut Dice, colour: Colour) -> Vec<[u8; 4]> {
    let mut heights = vec![0_u32; TILE * TILE];
    for (cell, weight) in [(64, 8), (32, 4), (8, 3), (2, 1)] {
        let cells = TILE / cell;
        let corners: Vec<u32> = (0..cells * cells).map(|_| dice.below(256)).collect();
        let corner = |x: usize, y: usize| corners[y % cells * cells + x % cells];
        for (at, height) in heights.iter_mut().enumerate() {
            let (x, y) = (at % TILE, at / TILE);
            let (column, row) = (x / cell, y / cell);
            let (fx, fy) = ((x % cell) as u32, (y % cell) as u32);
            let size = cell as u32;
            let upper = corner(column, row) * (size - fx) + corner(column + 1, row) * fx;
            let lower = corner(column, row + 1) * (size - fx) + corner(column + 1, row + 1) * fx;
            *height += (upper * (size - fy) + lower * fy) / (size * size) * weight;
        }
    }
    // The weights add up to 16.
    heights.iter().map(|height| colour((height / 16) as u8)).collect()
}

/// SplitMix64: small, and the same everywhere.
#[derive(Debug)]
struct Dice(u64);

impl Dice {
    /// 0 up to, but not including, `bound`.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (((z ^ (z >> 31)) >> 32) as u32) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pictures(mode: VideoMode, count: usize) -> Vec<RawFrame> {
        let mut source = Synthetic::new(mode).unwrap();
        let mut take = || {
            let mut frame = RawFrame::new();
            assert_eq!(source.capture(&mut frame).unwrap(), FrameOrigin::New);
            frame
        };
        (0..count).map(|_| take()).collect()
    }

    #[test]
    fn two_sources_of_a_mode_give_the_same_pictures() {
        let mode = VideoMode::new(320, 180, 60).unwrap();
        for (one, other) in pictures(mode, 5).iter().zip(pictures(mode, 5)) {
            assert!(one.bytes() == other.bytes());
        }
    }

    #[test]
    fn every_picture_differs_from_the_one_before_it_at_any_rate() {
        for fps in [1, 24, 60, 144, VideoMode::MAX_FPS] {
            let pictures = pictures(VideoMode::new(320, 180, fps).unwrap(), 130);
            assert!(
                pictures.windows(2).all(|pair| pair[0].bytes() != pair[1].bytes()),
                "still at {fps} pictures a second"
            );
        }
    }

    #[test]
    fn the_ground_changes_at_the_end_of_a_scene_and_not_within_one() {
        let fps = 5;
        let pictures = pictures(VideoMode::new(320, 180, fps).unwrap(), 3 * SCENE_S as usize * fps as usize);
        let blue = |frame: &RawFrame| frame.bytes().iter().step_by(4).map(|part| u64::from(*part)).sum::<u64>();
        let means: Vec<u64> = pictures.iter().map(|frame| blue(frame) / (320 * 180)).collect();
        let cuts: Vec<usize> = (1..means.len()).filter(|at| means[*at].abs_diff(means[*at - 1]) > 40).collect();
        let scene = SCENE_S as usize * fps as usize;
        assert_eq!(cuts, [scene, 2 * scene], "mean blue of each picture: {means:?}");
    }

    #[test]
    fn the_smallest_and_the_largest_size_are_drawn() {
        for (width, height) in [(16, 16), (16, 4096), (4096, 16), (1366, 768), (4096, 4096)] {
            let pictures = pictures(VideoMode::new(width, height, 60).unwrap(), 2);
            assert_eq!(pictures[0].bytes().len(), (width * height * 4) as usize);
        }
    }
}
