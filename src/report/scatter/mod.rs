//! Named points, as one SVG picture: each cloud in a diagram of its own, one below the other.

mod labels;

use self::labels::{Bounds, label_places, text_width};
use super::drawing::{Axis, BLUE, Frame, ORANGE, Place, Svg};

/// Measures in pixels.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 400.0;
const TOP: f64 = 44.0;
const LEFT: f64 = 64.0;
const RIGHT: f64 = 28.0;
/// A diagram's title above it, and the names of its ticks below.
const HEADING: f64 = 40.0;
const FOOT: f64 = 52.0;
/// Of a dot.
const RADIUS: f64 = 4.5;

/// The points of one diagram.
pub struct Cloud {
    pub title: String,
    /// What its values across and up mean.
    pub across: &'static str,
    pub up: &'static str,
    /// Whether the figures are somebody else's, which is told by the colour.
    pub quoted: bool,
    pub dots: Vec<Dot>,
}

/// A named point.
#[derive(Clone, Debug, PartialEq)]
pub struct Dot {
    pub label: String,
    pub across: f64,
    pub up: f64,
}

/// Draws the clouds that have a dot. Dots whose place is no number are left out.
pub fn scatter(title: &str, clouds: &[Cloud]) -> String {
    let finite = |cloud: &Cloud| -> Vec<Dot> {
        cloud.dots.iter().filter(|dot| dot.across.is_finite() && dot.up.is_finite()).cloned().collect()
    };
    let drawn: Vec<(&Cloud, Vec<Dot>)> =
        clouds.iter().map(|cloud| (cloud, finite(cloud))).filter(|(_, dots)| !dots.is_empty()).collect();
    let mut svg = Svg::new(WIDTH, TOP + HEIGHT * drawn.len() as f64);
    svg.text((LEFT, 28.0), "title", title);
    for (at, (cloud, dots)) in drawn.iter().enumerate() {
        draw(&mut svg, TOP + HEIGHT * at as f64, cloud, dots);
    }
    svg.finish()
}

fn draw(svg: &mut Svg, top: f64, cloud: &Cloud, dots: &[Dot]) {
    let axis = |value: fn(&Dot) -> f64, ticks| {
        let values = dots.iter().map(value);
        let (least, most) = (values.clone().fold(f64::INFINITY, f64::min), values.fold(f64::NEG_INFINITY, f64::max));
        Axis::around(least, most, ticks)
    };
    let frame = Frame {
        left: LEFT,
        right: WIDTH - RIGHT,
        upper: top + HEADING,
        lower: top + HEIGHT - FOOT,
        across: axis(|dot| dot.across, 8),
        up: axis(|dot| dot.up, 6),
    };
    svg.text((LEFT, top + 24.0), "heading", &format!("{}: {}", cloud.title, cloud.up));
    frame.draw(svg, Some(cloud.across));
    let places: Vec<Place> = dots.iter().map(|dot| frame.place(dot.across, dot.up)).collect();
    let texts: Vec<&str> = dots.iter().map(|dot| dot.label.as_str()).collect();
    let bounds = Bounds { left: LEFT + 2.0, right: WIDTH - 2.0, upper: top + HEADING - 10.0, lower: frame.lower - 2.0 };
    let labels = label_places(&places, &texts, &bounds);
    // Lines first: what stands above them stays readable.
    for ((place, text), label) in places.iter().zip(&texts).zip(&labels).filter(|(_, label)| label.is_far) {
        svg.line(*place, (label.left + text_width(text) / 2.0, label.baseline - 4.0), "axis");
    }
    for ((place, text), label) in places.iter().zip(&texts).zip(&labels) {
        svg.dot(*place, RADIUS, if cloud.quoted { ORANGE } else { BLUE });
        svg.text((label.left, label.baseline), "label", text);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(dots: &[(&str, f64, f64)]) -> Cloud {
        let dots = dots.iter().map(|&(label, across, up)| Dot { label: label.into(), across, up }).collect();
        Cloud { title: "inference".into(), across: "images a second", up: "top-1, %", quoted: false, dots }
    }

    #[test]
    fn every_dot_has_its_name_and_an_empty_cloud_no_diagram() {
        let picture = scatter("a <b>", &[cloud(&[("m", 20.0, 80.8), ("l", 10.0, 81.5)]), cloud(&[])]);
        assert_eq!((picture.matches("<circle").count(), picture.matches("\"heading\"").count()), (2, 1));
        assert!(picture.contains(">m</text>") && picture.contains("a &lt;b&gt;"), "{picture}");
        assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    }

    #[test]
    fn one_dot_is_drawn_and_what_is_no_number_is_not() {
        let picture = scatter("a", &[cloud(&[("m", 20.0, 80.8), ("n", f64::NAN, 80.0), ("o", 1.0, f64::INFINITY)])]);
        assert_eq!(picture.matches("<circle").count(), 1);
        assert!(!picture.contains("NaN") && !picture.contains("\"inf"), "{picture}");
    }
}
