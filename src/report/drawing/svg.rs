//! The few elements of SVG that a diagram needs. <https://www.w3.org/TR/SVG2/>

use std::fmt::Write;

/// What the classes look like, on white.
const STYLE: &str = "text{font:12px system-ui,-apple-system,'Segoe UI',Roboto,'DejaVu Sans',sans-serif;fill:#495057}\
.title{font-size:17px;font-weight:600;fill:#212529}\
.heading{font-size:14px;font-weight:600;fill:#212529}\
.value{text-anchor:end}.across{text-anchor:middle}\
.grid{stroke:#e9ecef}.axis{stroke:#868e96}\
polyline{fill:none;stroke-linejoin:round;stroke-linecap:round}";

/// A place in pixels, from the left and from the top.
pub type Place = (f64, f64);

/// A picture under construction.
pub struct Svg {
    text: String,
    clips: usize,
}

impl Svg {
    pub fn new(width: f64, height: f64) -> Self {
        let text = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{width}\" height=\"{height}\" \
             viewBox=\"0 0 {width} {height}\">\n<style>{STYLE}</style>\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        Self { text, clips: 0 }
    }

    pub fn text(&mut self, (x, y): Place, class: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
        self.add(format_args!("<text x=\"{x:.1}\" y=\"{y:.1}\" class=\"{class}\">{text}</text>"));
    }

    pub fn line(&mut self, (x1, y1): Place, (x2, y2): Place, class: &str) {
        self.add(format_args!("<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" class=\"{class}\"/>"));
    }

    /// A line through the points, or a dot where there is one alone.
    pub fn curve(&mut self, points: &[Place], colour: &str, width: f64) {
        if let [(x, y)] = points {
            return self.dot((*x, *y), width * 1.25, colour);
        }
        let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let points = points.join(" ");
        self.add(format_args!("<polyline points=\"{points}\" stroke=\"{colour}\" stroke-width=\"{width}\"/>"));
    }

    pub fn dot(&mut self, (x, y): Place, radius: f64, colour: &str) {
        self.add(format_args!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{radius}\" fill=\"{colour}\"/>"));
    }

    /// What follows is shown inside the rectangle alone.
    pub fn begin_clip(&mut self, (x, y): Place, (width, height): Place) {
        self.clips += 1;
        let name = self.clips;
        self.add(format_args!(
            "<clipPath id=\"clip{name}\"><rect x=\"{x:.1}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"{height:.1}\"/>\
             </clipPath>\n<g clip-path=\"url(#clip{name})\">"
        ));
    }

    pub fn end_clip(&mut self) {
        self.add(format_args!("</g>"));
    }

    /// The picture as a file.
    pub fn finish(mut self) -> String {
        self.text.push_str("</svg>\n");
        self.text
    }

    fn add(&mut self, element: std::fmt::Arguments) {
        // Writing to a String cannot fail.
        let _ = writeln!(self.text, "{element}");
    }
}
