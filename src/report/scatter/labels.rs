//! Where the names of points stand, so that they cover neither each other nor a point.

use crate::report::drawing::Place;

/// The width of a letter, on average and rather too much.
const LETTER: f64 = 6.6;
/// From a baseline to the top of its letters, and to the bottom.
const ASCENT: f64 = 10.0;
const DESCENT: f64 = 3.0;
/// Between a point and what stands beside it.
const GAP: f64 = 8.0;

/// Where labels may stand.
pub struct Bounds {
    pub left: f64,
    pub right: f64,
    pub upper: f64,
    pub lower: f64,
}

/// Where a label stands.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Label {
    pub left: f64,
    pub baseline: f64,
    /// Whether only a line tells whose it is.
    pub is_far: bool,
}

/// The width of a label in pixels, at most.
pub fn text_width(text: &str) -> f64 {
    LETTER * text.chars().count() as f64
}

/// A place for each text near its point. Where all near ones are taken it stands further off; where those are too, where
/// it covers least.
pub fn label_places(points: &[Place], texts: &[&str], bounds: &Bounds) -> Vec<Label> {
    let around =
        |&(x, y): &Place| Area { left: x - GAP / 2.0, right: x + GAP / 2.0, top: y - GAP / 2.0, bottom: y + GAP / 2.0 };
    let mut taken: Vec<Area> = points.iter().map(around).collect();
    let mut labels = Vec::with_capacity(points.len());
    for (point, text) in points.iter().zip(texts) {
        let width = text_width(text);
        let cost = |label: &Label| {
            let area = Area::of(label, width);
            taken.iter().map(|other| area.shared(other)).sum::<f64>() + area.outside(bounds)
        };
        let mut best: Option<(f64, Label)> = None;
        for label in candidates(*point, width) {
            let cost = cost(&label);
            if best.is_none_or(|(least, _)| cost < least) {
                best = Some((cost, label));
            }
            if cost == 0.0 {
                break;
            }
        }
        // There are always candidates.
        if let Some((_, label)) = best {
            taken.push(Area::of(&label, width));
            labels.push(label);
        }
    }
    labels
}

/// Places for a label of this width, best first: beside the point, above, below, at its corners, then further up and down.
fn candidates((x, y): Place, width: f64) -> impl Iterator<Item = Label> {
    let columns = [x + GAP, x - GAP - width, x - width / 2.0];
    let beside = [(columns[0], y + 4.0), (columns[1], y + 4.0)];
    let above_and_below = [(columns[2], y - GAP), (columns[2], y + GAP + ASCENT)];
    let near = beside.into_iter().chain(above_and_below);
    let corners = columns.into_iter().take(2).flat_map(move |left| [(left, y - 5.0), (left, y + 13.0)]);
    let near = near.chain(corners).map(|(left, baseline)| Label { left, baseline, is_far: false });
    let far = (2..8).flat_map(move |row| {
        let off = f64::from(row) * (ASCENT + DESCENT + 2.0);
        columns
            .into_iter()
            .flat_map(move |left| [y - off, y + off].map(|baseline| Label { left, baseline, is_far: true }))
    });
    near.chain(far)
}

/// A rectangle.
#[derive(Clone, Copy)]
struct Area {
    left: f64,
    right: f64,
    top: f64,
    bottom: f64,
}

impl Area {
    fn of(label: &Label, width: f64) -> Self {
        let Label { left, baseline, .. } = *label;
        Self { left, right: left + width, top: baseline - ASCENT, bottom: baseline + DESCENT }
    }

    /// Pixels that both cover.
    fn shared(&self, other: &Self) -> f64 {
        let across = self.right.min(other.right) - self.left.max(other.left);
        let down = self.bottom.min(other.bottom) - self.top.max(other.top);
        across.max(0.0) * down.max(0.0)
    }

    /// Pixels beyond the bounds.
    fn outside(&self, bounds: &Bounds) -> f64 {
        let within = Self { left: bounds.left, right: bounds.right, top: bounds.upper, bottom: bounds.lower };
        (self.right - self.left) * (self.bottom - self.top) - self.shared(&within)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOUNDS: Bounds = Bounds { left: 60.0, right: 860.0, upper: 40.0, lower: 400.0 };

    #[test]
    fn a_lonely_label_stands_to_the_right_and_at_the_edge_to_the_left() {
        let labels = label_places(&[(100.0, 100.0), (840.0, 300.0)], &["tresnet_m", "resnet50"], &BOUNDS);
        assert_eq!(labels[0], Label { left: 108.0, baseline: 104.0, is_far: false });
        assert!(labels[1].left + text_width("resnet50") < 840.0, "{labels:?}");
    }

    #[test]
    fn labels_of_a_crowd_cover_neither_each_other_nor_a_point() {
        let points: Vec<Place> =
            (0..9).map(|n| (300.0 + 11.0 * f64::from(n % 3), 200.0 + 6.0 * f64::from(n))).collect();
        let texts = ["seresnext50_32x4d"; 9];
        let labels = label_places(&points, &texts, &BOUNDS);
        let areas: Vec<Area> = labels.iter().map(|label| Area::of(label, text_width(texts[0]))).collect();
        for (at, area) in areas.iter().enumerate() {
            assert_eq!(area.outside(&BOUNDS), 0.0);
            assert!(areas[..at].iter().all(|other| area.shared(other) == 0.0), "{labels:?}");
            let covered =
                points.iter().filter(|&&(x, y)| area.left < x && x < area.right && area.top < y && y < area.bottom);
            assert_eq!(covered.count(), 0, "{labels:?}");
        }
    }
}
