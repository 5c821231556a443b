//! Launches of conv2d/filter_parts.cu: a filter joined of parts, and its gradient on the way back to them.

use anyhow::Result;

use super::element::Element;
use super::launch::{Builder, Launch, Region};
use crate::ops::Piece;

/// Values that a block takes on the way back: a warp.
const WARP: usize = 32;

/// Copies a part, as in a checkpoint, into its place in the filter `whole`.
pub fn join(element: Element, piece: &Piece, part: &Region, whole: &Region) -> Result<Launch> {
    let rows = whole.part(piece.start * element.size(), piece.span() * element.size())?;
    let [from, to] = piece.columns;
    builder("join_filter", element, piece)
        .values(part, piece.own_span())
        .values(&rows, piece.span())
        .ints(geometry(piece))
        .ints([piece.all_rows, from, to])
        .threads(piece.all_rows * piece.kernel * piece.kernel * to.saturating_sub(from))
}

/// Adds a part's places in a filter's gradient to that of the part, f32 in a checkpoint's order. The filter's comes in
/// `chunks`, to be summed, of `chunk_len` values each.
pub fn split(
    element: Element,
    piece: &Piece,
    whole: &Region,
    [chunks, chunk_len]: [usize; 2],
    gradient: &Region,
) -> Result<Launch> {
    let skipped = piece.start * element.size();
    let rows = whole.part(skipped, whole.bytes().saturating_sub(skipped))?;
    builder("split_filter", element, piece)
        .values(&rows, chunks.saturating_sub(1) * chunk_len + piece.span())
        .words(gradient, piece.own_span())
        .ints(geometry(piece))
        .ints([chunks, chunk_len])
        .grid([piece.values().div_ceil(WARP), 1, 1])
}

fn builder(name: &str, element: Element, piece: &Piece) -> Builder {
    let Piece { rows, inputs, own_kernel, kernel, wide, .. } = piece;
    Builder::new(
        name,
        element,
        format_args!("[{rows}, {inputs}, {own_kernel}, {own_kernel}] in [{kernel}, {kernel}, {wide}]"),
    )
}

fn geometry(piece: &Piece) -> [usize; 8] {
    let Piece { rows, inputs, kernel, own_kernel, wide, first, group_rows, skipped, .. } = *piece;
    [rows, inputs, kernel, own_kernel, wide, first, group_rows, skipped]
}
