//! The training transform: from a decoded picture to the square that a network is trained on, in timm's order.

use anyhow::{Result, ensure};

use super::evaluation::Evaluation;
use super::flip::Flips;
use super::jitter::ColorJitter;
use super::operation::Hints;
use super::policy::{self, Policy};
use super::resize::{Resizer, Window};
use super::{PaddedCrop, RandomCrop, Region, Rgb};
use crate::preprocessing::{Interpolation, Preprocessing, ResizeMode};
use crate::random::Draws;

/// What the command line says about augmentation, by timm's names.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainingSettings {
    /// `--train-crop-mode pad` and `--train-crop-pad`: pixels of a black border, of which the crop is not resized. None is
    /// a random resized crop, by `scale` and `ratio`.
    pub padding: Option<usize>,
    /// `--scale`: least and greatest share of the area.
    pub scale: (f64, f64),
    /// `--ratio`: least and greatest width over height.
    pub ratio: (f64, f64),
    /// `--hflip`: probability of a mirror image.
    pub hflip: f64,
    /// `--vflip`: probability of an image upside down.
    pub vflip: f64,
    /// `--color-jitter`: nothing, one, three or four strengths.
    pub color_jitter: Vec<f64>,
    /// `--aa`: a policy in timm's language; it takes the place of the colour jitter, but for those of `3a`.
    pub auto_augment: Option<String>,
    /// `--train-interpolation`: none draws one of the two for each picture and each movement.
    pub interpolation: Option<Interpolation>,
    /// `--no-aug`: the shorter side is resized, the middle cropped, and that is all.
    pub no_aug: bool,
}

impl Default for TrainingSettings {
    /// timm's.
    fn default() -> Self {
        Self {
            padding: None,
            scale: (0.08, 1.0),
            ratio: (3.0 / 4.0, 4.0 / 3.0),
            hflip: 0.5,
            vflip: 0.0,
            color_jitter: vec![0.4],
            auto_augment: None,
            interpolation: None,
            no_aug: false,
        }
    }
}

/// The training transform.
#[derive(Clone, Debug)]
pub struct Training {
    side: usize,
    course: Course,
}

#[derive(Clone, Debug)]
enum Course {
    Plain(Evaluation),
    Augmented(Box<Augmentation>),
}

#[derive(Clone, Debug)]
struct Augmentation {
    crop: Crop,
    flips: Flips,
    policy: Option<Policy>,
    jitter: Option<ColorJitter>,
}

#[derive(Clone, Copy, Debug)]
enum Crop {
    Resized(RandomCrop),
    Padded(PaddedCrop),
}

/// What a thread keeps between pictures.
#[derive(Debug, Default)]
pub struct Workspace {
    resizer: Resizer,
    canvas: Rgb,
    room: policy::Room,
}

impl Training {
    /// The transform to squares of `side` pixels that `settings` describe; `mean` (RGB in [0, 1]) is the colour
    /// around what a policy moves.
    ///
    /// # Errors
    ///
    /// Settings out of range, or a policy that there is not.
    pub fn new(settings: &TrainingSettings, side: usize, mean: [f32; 3]) -> Result<Self> {
        ensure!((1..=1 << 14).contains(&side), "--input-size {side}: give a side from 1 to {} pixels", 1 << 14);
        if settings.no_aug {
            let interpolation = settings.interpolation.unwrap_or(Interpolation::Bilinear);
            let resize_mode = ResizeMode::Crop;
            let whole =
                Preprocessing { input_size: side, crop_pct: 1.0, resize_mode, interpolation, mean, std: [1.0; 3] };
            return Ok(Self { side, course: Course::Plain(Evaluation::new(&whole)?) });
        }
        let name = settings.auto_augment.as_deref().filter(|name| !name.is_empty());
        let hints = Hints::new(side, mean, settings.interpolation);
        let policy = name.map(|name| Policy::parse(name, hints)).transpose()?;
        let jitters = !settings.color_jitter.is_empty() && name.is_none_or(|name| name.contains("3a"));
        let augmentation = Augmentation {
            crop: match settings.padding {
                None => Crop::Resized(RandomCrop::new(settings.scale, settings.ratio, settings.interpolation)?),
                Some(padding) => {
                    ensure!(
                        padding < side,
                        "--train-crop-pad {padding}: give fewer pixels than an image has a side, {side}"
                    );
                    Crop::Padded(PaddedCrop { padding })
                }
            },
            flips: Flips::new(settings.hflip, settings.vflip)?,
            policy,
            jitter: if jitters { Some(ColorJitter::new(&settings.color_jitter)?) } else { None },
        };
        Ok(Self { side, course: Course::Augmented(Box::new(augmentation)) })
    }

    /// Side of the square that comes out, in pixels.
    pub fn side(&self) -> usize {
        self.side
    }

    /// The rectangle that [`Training::apply`] will look at in a picture of `width` x `height`, given the same draws:
    /// a decoder may leave out the rest.
    pub fn region(&self, width: usize, height: usize, draws: &Draws) -> Region {
        match &self.course {
            Course::Plain(evaluation) => evaluation.region(width, height),
            Course::Augmented(augmentation) => match augmentation.crop {
                Crop::Resized(crop) => crop.region(width, height, &mut draws.clone()),
                Crop::Padded(crop) => crop.draw((width, height), self.side, &mut draws.clone()).region,
            },
        }
    }

    /// Writes the `[side, side, 3]` bytes that the network sees of `image`, as `draws` decide, into `out`. Where `out`
    /// has room for several squares, all are of the same crop, flipped alike; the first goes without policy and
    /// jitter, the others differ by them (timm's `--aug-splits`).
    ///
    /// # Panics
    ///
    /// When the picture is empty or `out` is no whole number of squares: the caller's mistakes.
    pub fn apply(&self, image: &Rgb, draws: &mut Draws, workspace: &mut Workspace, out: &mut [u8]) {
        let square = self.side * self.side * 3;
        assert!(!out.is_empty() && out.len().is_multiple_of(square), "the output's length");
        match &self.course {
            Course::Plain(evaluation) => {
                for square in out.chunks_exact_mut(square) {
                    evaluation.apply(image, &mut workspace.resizer, square);
                }
            }
            Course::Augmented(augmentation) => {
                augmentation.crop(image, self.side, draws, workspace);
                let Workspace { canvas, room, .. } = workspace;
                let copies = out.len() / square;
                let (clean, varied) = out.split_at_mut(if copies > 1 { square } else { 0 });
                if copies > 1 {
                    clean.copy_from_slice(&canvas.pixels);
                }
                for (copy, square) in varied.chunks_exact_mut(square).enumerate() {
                    if copy > 0 {
                        canvas.pixels.copy_from_slice(clean);
                    }
                    augmentation.vary(canvas, draws, room);
                    square.copy_from_slice(&canvas.pixels);
                }
            }
        }
    }
}

impl Augmentation {
    /// Leaves the picture's crop, flipped, on the workspace's canvas.
    fn crop(&self, image: &Rgb, side: usize, draws: &mut Draws, workspace: &mut Workspace) {
        let Workspace { resizer, canvas, .. } = workspace;
        // First of all draws, so that the region can be known beforehand.
        match self.crop {
            Crop::Resized(crop) => {
                let region = crop.region(image.width, image.height, draws);
                let filter = crop.filter(draws);
                (canvas.width, canvas.height) = (side, side);
                canvas.pixels.resize(side * side * 3, 0);
                let whole = Window { columns: 0..side, rows: 0..side };
                resizer.resize_window(image.cut(region), (side, side), filter, &whole, &mut canvas.pixels, side * 3);
            }
            Crop::Padded(crop) => crop.draw((image.width, image.height), side, draws).apply(image, side, canvas),
        }
        self.flips.apply(canvas, draws);
    }

    /// Alters what is on the canvas by policy and jitter.
    fn vary(&self, canvas: &mut Rgb, draws: &mut Draws, room: &mut policy::Room) {
        if let Some(policy) = &self.policy {
            policy.apply(canvas, draws, room);
        }
        if let Some(jitter) = &self.jitter {
            room.carry_out(&jitter.draw(draws), canvas);
        }
    }
}
