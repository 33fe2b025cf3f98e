//! A plot of a few points as SVG: axes, a grid, labels, values beside the points. Readable on light and dark
//! pages, since it brings its own ground.

use std::fmt::Write;

/// The picture's size and margins, in pixels.
const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 84.0;
const RIGHT: f64 = 40.0;
const TOP: f64 = 72.0;
const BOTTOM: f64 = 64.0;

/// How values lie along an axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// From 0.
    Linear,
    /// By powers of ten.
    Log,
}

/// One axis.
#[derive(Debug, Clone, Copy)]
pub struct Axis {
    /// What it shows, with its unit.
    pub label: &'static str,
    /// How.
    pub scale: Scale,
}

/// Points joined by a line.
pub struct Plot<'a> {
    /// What it is of.
    pub title: &'a str,
    /// Under what circumstances.
    pub subtitle: &'a str,
    /// To the right.
    pub x: Axis,
    /// Upwards.
    pub y: Axis,
    /// (x, y), by x.
    pub points: &'a [(f64, f64)],
    /// A dashed line through the first point: what would be in proportion to x.
    pub proportional: bool,
}

/// An axis's range, and where a value lies in it.
#[derive(Clone, Copy)]
pub struct Range {
    scale: Scale,
    low: f64,
    high: f64,
}

impl Range {
    /// From 0 or the power of ten below the lowest, to above the highest.
    pub fn of(scale: Scale, values: impl Iterator<Item = f64> + Clone) -> Self {
        let highest = values.clone().fold(f64::MIN_POSITIVE, f64::max);
        match scale {
            // A round number above the highest: 1, 2 or 5 times a power of ten.
            Scale::Linear => {
                let power = 10_f64.powf(highest.log10().floor());
                let high = [1.0, 2.0, 5.0, 10.0].into_iter().map(|step| step * power);
                Self { scale, low: 0.0, high: high.clone().find(|h| *h >= highest).unwrap_or(highest) }
            }
            Scale::Log => {
                let lowest = values.filter(|v| *v > 0.0).fold(highest, f64::min);
                let (low, high) = (lowest.log10().floor(), highest.log10().ceil());
                Self { scale, low, high: if high > low { high } else { low + 1.0 } }
            }
        }
    }

    /// 0 at the low end, 1 at the high one.
    pub fn at(self, value: f64) -> f64 {
        let value = if self.scale == Scale::Log { value.max(f64::MIN_POSITIVE).log10() } else { value };
        (value - self.low) / (self.high - self.low)
    }

    /// Values with a line of the grid.
    pub fn ticks(self) -> Vec<f64> {
        match self.scale {
            Scale::Linear => (0..=5).map(|i| self.high * f64::from(i) / 5.0).collect(),
            Scale::Log => (self.low as i32..=self.high as i32).map(|power| 10_f64.powi(power)).collect(),
        }
    }
}

impl Plot<'_> {
    /// The picture.
    pub fn svg(&self) -> String {
        let x = Range::of(self.x.scale, self.points.iter().map(|p| p.0));
        let y = Range::of(self.y.scale, self.points.iter().map(|p| p.1));
        let left = |value| LEFT + x.at(value) * (WIDTH - LEFT - RIGHT);
        let top = |value| HEIGHT - BOTTOM - y.at(value) * (HEIGHT - TOP - BOTTOM);
        let mut svg = String::new();
        self.frame(&mut svg);
        let (bottom, end) = (HEIGHT - BOTTOM, WIDTH - RIGHT);
        for value in x.ticks() {
            let at = left(value);
            line(&mut svg, "grid", (at, TOP), (at, bottom));
            text(&mut svg, "tick", "middle", (at, bottom + 20.0), &short(value));
        }
        for value in y.ticks() {
            let at = top(value);
            line(&mut svg, "grid", (LEFT, at), (end, at));
            text(&mut svg, "tick", "end", (LEFT - 8.0, at + 4.0), &short(value));
        }
        line(&mut svg, "axis", (LEFT, bottom), (end, bottom));
        line(&mut svg, "axis", (LEFT, TOP), (LEFT, bottom));
        if let (true, Some(first), Some(last)) = (self.proportional, self.points.first(), self.points.last())
        {
            let share = first.1 * last.0 / first.0;
            line(&mut svg, "even", (left(first.0), top(first.1)), (left(last.0), top(share)));
            text(&mut svg, "even-word", "end", (end, TOP - 8.0), "dashed: in proportion");
        }
        let places: Vec<String> =
            self.points.iter().map(|(a, b)| format!("{:.1},{:.1}", left(*a), top(*b))).collect();
        let _ = writeln!(svg, "<polyline class=\"line\" points=\"{}\"/>", places.join(" "));
        for (a, b) in self.points {
            let _ = writeln!(
                svg,
                "<circle class=\"point\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"4\"/>",
                left(*a),
                top(*b)
            );
            // Beside the edge, the word would leave the picture.
            let anchor = if x.at(*a) > 0.9 { "end" } else { "start" };
            let shift = if anchor == "end" { -8.0 } else { 8.0 };
            text(&mut svg, "value", anchor, (left(*a) + shift, top(*b) - 9.0), &short(*b));
        }
        svg + "</svg>\n"
    }

    /// Ground, style, title and the axes' names. Writing to a `String` can't fail.
    fn frame(&self, svg: &mut String) {
        let _ = writeln!(
            svg,
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n\
             <style>\n\
             text {{ font: 13px system-ui, sans-serif; fill: #333 }}\n\
             .title {{ font-size: 17px; font-weight: 600; fill: #111 }}\n\
             .tick, .subtitle, .even-word {{ font-size: 12px; fill: #666 }}\n\
             .value {{ font-weight: 600; fill: #0b5fa5 }}\n\
             .grid {{ stroke: #e4e4e4 }}\n\
             .axis {{ stroke: #555; stroke-width: 1.2 }}\n\
             .even {{ stroke: #999; stroke-width: 1.5; stroke-dasharray: 6 5 }}\n\
             .line {{ fill: none; stroke: #0b5fa5; stroke-width: 2.5; stroke-linejoin: round }}\n\
             .point {{ fill: #0b5fa5 }}\n\
             </style>\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" rx=\"6\" fill=\"#fff\"/>",
            escaped(self.title)
        );
        text(svg, "title", "start", (LEFT, 30.0), self.title);
        text(svg, "subtitle", "start", (LEFT, 50.0), self.subtitle);
        text(svg, "name", "middle", ((LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 18.0), self.x.label);
        let middle = (TOP + HEIGHT - BOTTOM) / 2.0;
        let _ = writeln!(
            svg,
            "<text class=\"name\" text-anchor=\"middle\" transform=\"translate(22 {middle:.1}) rotate(-90)\">{}</text>",
            escaped(self.y.label)
        );
    }
}

/// One line of a class of the style.
pub fn line(svg: &mut String, class: &str, from: (f64, f64), to: (f64, f64)) {
    let _ = writeln!(
        svg,
        "<line class=\"{class}\" x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\"/>",
        from.0, from.1, to.0, to.1
    );
}

/// One text of a class of the style; `anchor`: what of it lies at the point.
pub fn text(svg: &mut String, class: &str, anchor: &str, at: (f64, f64), words: &str) {
    let _ = writeln!(
        svg,
        "<text class=\"{class}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
        at.0,
        at.1,
        escaped(words)
    );
}

/// As SVG wants it.
pub fn escaped(words: &str) -> String {
    words.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

/// A number in few characters: 100 k, 2.5, 0.04.
pub fn short(value: f64) -> String {
    match value {
        v if v >= 1e6 => format!("{} M", v / 1e6),
        v if v >= 10_000.0 => format!("{:.0} k", v / 1e3),
        v if v >= 1_000.0 => format!("{:.0}", v),
        v if v >= 10.0 || v.fract() == 0.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_lie_within_the_axes() {
        let log = Range::of(Scale::Log, [1_000.0, 100_000.0].into_iter());
        assert_eq!((log.at(1_000.0), log.at(10_000.0), log.at(100_000.0)), (0.0, 0.5, 1.0));
        let linear = Range::of(Scale::Linear, [7.0, 41.0].into_iter());
        assert_eq!((linear.low, linear.high), (0.0, 50.0));
    }

    #[test]
    fn words_are_escaped() {
        let axis = Axis { label: "rows & more", scale: Scale::Linear };
        let points = [(1.0, 2.0), (2.0, 4.0)];
        let plot =
            Plot { title: "a < b", subtitle: "", x: axis, y: axis, points: &points, proportional: true };
        let svg = plot.svg();
        assert!(svg.contains("a &lt; b") && svg.contains("rows &amp; more") && svg.ends_with("</svg>\n"));
    }
}
