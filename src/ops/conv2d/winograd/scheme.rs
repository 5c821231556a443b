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

/// F(4x4, 3x3): 36 products for 16 outputs, 144 directly. Interpolates at 0, 1, -1, 2, -2 and infinity; its factors up
/// to 8 make rounding several times the direct sum's.
pub(super) struct F4;

impl Scheme for F4 {
    const SIZE: Size = Size {
        out: 4,
        side: 6,
        points: 36,
        kernel: &[
            [0.25, 0.0, 0.0],
            [-1.0 / 6.0, -1.0 / 6.0, -1.0 / 6.0],
            [-1.0 / 6.0, 1.0 / 6.0, -1.0 / 6.0],
            [1.0 / 24.0, 1.0 / 12.0, 1.0 / 6.0],
            [1.0 / 24.0, -1.0 / 12.0, 1.0 / 6.0],
            [0.0, 0.0, 1.0],
        ],
    };

    #[inline(always)]
    unsafe fn input<V: Lanes>([d0, d1, d2, d3, d4, d5]: [V; MOST_SIDE]) -> [V; MOST_SIDE] {
        unsafe {
            let (even, odd) = (scaled(-4.0, d2, d4), scaled(-4.0, d1, d3));
            let (near, far) = (sub(d4, d2), sub(d3, d1));
            [
                scaled(4.0, d0, scaled(-5.0, d2, d4)),
                even.add(odd),
                sub(even, odd),
                scaled(2.0, far, near),
                scaled(-2.0, far, near),
                scaled(4.0, d1, scaled(-5.0, d3, d5)),
            ]
        }
    }

    #[inline(always)]
    unsafe fn output<V: Lanes>([m0, m1, m2, m3, m4, m5]: [V; MOST_SIDE]) -> [V; MOST_OUT] {
        unsafe {
            let (near, near_odd) = (m1.add(m2), sub(m1, m2));
            let (far, far_odd) = (m3.add(m4), sub(m3, m4));
            [
                m0.add(near).add(far),
                scaled(2.0, far_odd, near_odd),
                scaled(4.0, far, near),
                scaled(8.0, far_odd, near_odd).add(m5),
            ]
        }
    }

    #[inline(always)]
    unsafe fn spread<V: Lanes>([y0, y1, y2, y3]: [V; MOST_OUT]) -> [V; MOST_SIDE] {
        unsafe {
            let (even, odd) = (y0.add(y2), y1.add(y3));
            let (far_even, far_odd) = (scaled(4.0, y2, y0), scaled(4.0, y3, y1));
            [y0, even.add(odd), sub(even, odd), scaled(2.0, far_odd, far_even), scaled(-2.0, far_odd, far_even), y3]
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
