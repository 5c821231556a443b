//! Winograd's minimal filtering of 3x3 kernels, along one side of a tile.
//!
//! A tile of `out` by `out` outputs is read from `side = out + 2` by `side` inputs. With `Bt`, `G` and `At` of Lavin
//! and Gray (arXiv 1509.09308), `Y = At [(G g Gt) * (Bt d B)] A`: `side^2` products instead of `9 out^2`. Each function
//! of a scheme is one of the matrices times a column; columns are as long as the longest scheme's, and what lies beyond
//! a shorter one's is neither read nor meant.

use crate::ops::simd::Lanes;

/// Outputs along the largest tile's side.
pub(super) const MOST_OUT: usize = 4;
/// Inputs along the largest tile's side.
pub(super) const MOST_SIDE: usize = MOST_OUT + 2;
/// Products of the largest tile.
pub(super) const MOST_POINTS: usize = MOST_SIDE * MOST_SIDE;
/// A kernel's side.
pub(super) const KERNEL: usize = 3;

/// What a scheme's tiles are like.
#[derive(Clone, Copy, Debug)]
pub(in crate::ops::conv2d) struct Size {
    /// Outputs along a side.
    pub out: usize,
    /// Inputs, and points, along a side.
    pub side: usize,
    /// Products.
    pub points: usize,
    /// `G`, from a kernel's side to the points.
    pub kernel: &'static [[f32; KERNEL]],
}

/// A way to do with fewer products.
pub(super) trait Scheme {
    const SIZE: Size;

    /// `Bt d`: inputs to points.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn input<V: Lanes>(d: [V; MOST_SIDE]) -> [V; MOST_SIDE];

    /// `At m`: points to outputs.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn output<V: Lanes>(m: [V; MOST_SIDE]) -> [V; MOST_OUT];

    /// `A y`: the outputs' gradient to the points.
    ///
    /// # Safety
    /// The processor has the instruction set of `V`.
    unsafe fn spread<V: Lanes>(y: [V; MOST_OUT]) -> [V; MOST_SIDE];
}

/// F(2x2, 3x3): 16 products for 4 outputs, 36 directly. Interpolates at 0, 1, -1 and infinity, so it only adds and
/// halves, and rounds as the direct sum does.
pub(super) struct F2;

impl Scheme for F2 {
    const SIZE: Size = Size {
        out: 2,
        side: 4,
        points: 16,
        kernel: &[[1.0, 0.0, 0.0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0.0, 0.0, 1.0]],
    };

    #[inline(always)]
    unsafe fn input<V: Lanes>([d0, d1, d2, d3, ..]: [V; MOST_SIDE]) -> [V; MOST_SIDE] {
        unsafe { [sub(d0, d2), d1.add(d2), sub(d2, d1), sub(d1, d3), d0, d0] }
    }

    #[inline(always)]
    unsafe fn output<V: Lanes>([m0, m1, m2, m3, ..]: [V; MOST_SIDE]) -> [V; MOST_OUT] {
        unsafe { [m0.add(m1).add(m2), sub(sub(m1, m2), m3), m0, m0] }
    }

    #[inline(always)]
    unsafe fn spread<V: Lanes>([y0, y1, ..]: [V; MOST_OUT]) -> [V; MOST_SIDE] {
        unsafe { [y0, y0.add(y1), sub(y0, y1), y1.mul(V::splat(-1.0)), y0, y0] }
    }
}

/// F(4x4, 3x3): 36 products for 16 outputs, 144 directly. Interpolates at 0, 5/8, -5/8, 3/2, -3/2 and infinity: rounding
/// is less than half of what it is at the usual 0, 1, -1, 2, -2 and infinity (symmetric points as Barabasz et al., arXiv
/// 1803.10986, look for them), about four times the direct sum's.
pub(super) struct F4;

/// The points beside 0 and infinity are these two and their negatives.
const NEAR: f32 = 0.625;
const FAR: f32 = 1.5;
const NEAR_2: f32 = NEAR * NEAR;
const FAR_2: f32 = FAR * FAR;

impl F4 {
    /// A point's row of `G`: its powers by the product of its distances to the other points.
    const fn powers(point: f32, other: f32) -> [f32; KERNEL] {
        let distances = 2.0 * point * point * (point * point - other * other);
        [1.0 / distances, point / distances, point * point / distances]
    }
}

impl Scheme for F4 {
    const SIZE: Size = Size {
        out: 4,
        side: 6,
        points: 36,
        kernel: &[
            [1.0 / (NEAR_2 * FAR_2), 0.0, 0.0],
            Self::powers(NEAR, FAR),
            Self::powers(-NEAR, FAR),
            Self::powers(FAR, NEAR),
            Self::powers(-FAR, NEAR),
            [0.0, 0.0, 1.0],
        ],
    };

    #[inline(always)]
    unsafe fn input<V: Lanes>([d0, d1, d2, d3, d4, d5]: [V; MOST_SIDE]) -> [V; MOST_SIDE] {
        unsafe {
            let (near, near_odd) = (scaled(-FAR_2, d2, d4), scaled(-FAR_2, d1, d3));
            let (far, far_odd) = (scaled(-NEAR_2, d2, d4), scaled(-NEAR_2, d1, d3));
            [
                scaled(NEAR_2 * FAR_2, d0, scaled(-NEAR_2 - FAR_2, d2, d4)),
                scaled(NEAR, near_odd, near),
                scaled(-NEAR, near_odd, near),
                scaled(FAR, far_odd, far),
                scaled(-FAR, far_odd, far),
                scaled(NEAR_2 * FAR_2, d1, scaled(-NEAR_2 - FAR_2, d3, d5)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<V: Lanes>([m0, m1, m2, m3, m4, m5]: [V; MOST_SIDE]) -> [V; MOST_OUT] {
        unsafe {
            let (near, near_odd) = (m1.add(m2), sub(m1, m2).mul(V::splat(NEAR)));
            let (far, far_odd) = (m3.add(m4), sub(m3, m4).mul(V::splat(FAR)));
            [
                m0.add(near).add(far),
                near_odd.add(far_odd),
                scaled(NEAR_2, near, far.mul(V::splat(FAR_2))),
                scaled(NEAR_2, near_odd, scaled(FAR_2, far_odd, m5)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn spread<V: Lanes>([y0, y1, y2, y3]: [V; MOST_OUT]) -> [V; MOST_SIDE] {
        unsafe {
            let (near, near_odd) = (scaled(NEAR_2, y2, y0), scaled(NEAR_2, y3, y1));
            let (far, far_odd) = (scaled(FAR_2, y2, y0), scaled(FAR_2, y3, y1));
            [
                y0,
                scaled(NEAR, near_odd, near),
                scaled(-NEAR, near_odd, near),
                scaled(FAR, far_odd, far),
                scaled(-FAR, far_odd, far),
                y3,
            ]
        }
    }
}

/// `factor * x + sum`
#[inline(always)]
unsafe fn scaled<V: Lanes>(factor: f32, x: V, sum: V) -> V {
    unsafe { x.mul_add(V::splat(factor), sum) }
}

/// `a - b`
#[inline(always)]
unsafe fn sub<V: Lanes>(a: V, b: V) -> V {
    unsafe { scaled(-1.0, b, a) }
}
