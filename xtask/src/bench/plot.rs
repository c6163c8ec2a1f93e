//! Latencies as a picture: an SVG that reads on light and on dark ground.
//!
//! A row a kind of request, times on a logarithmic axis: a dot at the median, a line from there to the ring at the 99th percentile, a
//! bar where the goal for the median is, a triangle where the first request after a cold start was.

use std::fmt::Write as _;

/// What a row shows, in milliseconds.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Mark {
    pub(super) what: String,
    pub(super) times: Times,
}

/// The times of a row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Times {
    /// Of many requests.
    Many { p50: f64, p99: f64, goal: Option<f64> },
    /// Of the first request, beside the median of later ones.
    First { cold: f64, warm: f64 },
}

impl Times {
    fn all(self) -> impl Iterator<Item = f64> {
        let (a, b, c) = match self {
            Self::Many { p50, p99, goal } => (p50, p99, goal),
            Self::First { cold, warm } => (cold, warm, None),
        };
        [a, b].into_iter().chain(c)
    }

    fn spelt(self) -> String {
        match self {
            Self::Many { p50, p99, goal } => {
                let verdict = match goal {
                    Some(goal) if p50 < goal => " ✓",
                    Some(_) => " ✗",
                    None => "",
                };
                format!("{p50:.2} / {p99:.2}{verdict}")
            }
            Self::First { cold, warm } => format!("{cold:.1} → {warm:.2}"),
        }
    }
}

const ROW: f64 = 24.0;
const TOP: f64 = 96.0;
const LEFT: f64 = 400.0;
const AXIS: f64 = 470.0;
const WIDTH: f64 = LEFT + AXIS + 150.0;

/// Plain classes, which every viewer knows; one that prefers dark ground takes the second set. Blue and orange differ for colour-blind
/// eyes too.
const STYLE: &str = "<style>
text{font:13px system-ui,sans-serif;fill:#1f2328}text.faint{fill:#59636e}text.title{font-size:17px;font-weight:600}
.end{text-anchor:end}.mid{text-anchor:middle}.ground{fill:#fff}.grid{stroke:#d1d9e0}
.span{stroke:#0969da;stroke-width:2}.dot{fill:#0969da}.ring{fill:#fff;stroke:#0969da;stroke-width:2}
.goal{stroke:#bc4c00;stroke-width:3}.first{fill:#bc4c00}
@media(prefers-color-scheme:dark){
text{fill:#f0f6fc}text.faint{fill:#9198a1}.ground{fill:#0d1117}.grid{stroke:#3d444d}
.span{stroke:#58a6ff}.dot{fill:#58a6ff}.ring{fill:#0d1117;stroke:#58a6ff}.goal{stroke:#f0883e}.first{fill:#f0883e}}
</style>";

/// The picture of these rows; `title` above, `subtitle` (what was measured where) below it.
pub(super) fn svg(title: &str, subtitle: &str, marks: &[Mark]) -> String {
    let axis = Axis::over(marks.iter().flat_map(|mark| mark.times.all()));
    let bottom = TOP + ROW * marks.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" role=\"img\">\n\
         <title>{title}</title>\n{STYLE}\n<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n",
        height = bottom + 48.0,
        title = escaped(title),
    );
    let mut add = |element: String| {
        out.push_str(&element);
        out.push('\n');
    };
    add(text(16.0, 28.0, "title", title));
    add(text(16.0, 50.0, "faint", subtitle));
    for (name, class) in [(16.0, "many"), (280.0, "goal"), (470.0, "first")] {
        add(legend(name, class));
    }
    for (value, at) in axis.ticks() {
        add(format!("<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP:.1}\" y2=\"{bottom:.1}\"/>"));
        add(text(at, bottom + 20.0, "faint mid", &format!("{value}")));
    }
    add(text(LEFT + AXIS / 2.0, bottom + 38.0, "faint mid", "milliseconds, as a client on the same machine sees them"));
    for (number, mark) in marks.iter().enumerate() {
        let y = TOP + ROW * (number as f64 + 0.5);
        add(text(LEFT - 14.0, y + 4.5, "end", &mark.what));
        add(row(&axis, y, mark.times));
        add(text(LEFT + AXIS + 16.0, y + 4.5, "", &mark.times.spelt()));
    }
    out.push_str("</svg>\n");
    out
}

fn row(axis: &Axis, y: f64, times: Times) -> String {
    let mut out = String::new();
    let (from, to) = match times {
        Times::Many { p50, p99, .. } => (p50, p99),
        Times::First { cold, warm } => (warm, cold),
    };
    let (from, to) = (axis.at(from), axis.at(to));
    // Writing to a String cannot fail.
    let _ = write!(out, "<line class=\"span\" x1=\"{from:.1}\" x2=\"{to:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>");
    match times {
        Times::Many { goal, .. } => {
            if let Some(goal) = goal {
                out.push_str(&goal_bar(axis.at(goal), y));
            }
            let _ = write!(out, "<circle class=\"ring\" cx=\"{to:.1}\" cy=\"{y:.1}\" r=\"4\"/>");
        }
        Times::First { .. } => out.push_str(&triangle(to, y)),
    }
    let _ = write!(out, "<circle class=\"dot\" cx=\"{from:.1}\" cy=\"{y:.1}\" r=\"4.5\"/>");
    out
}

fn goal_bar(x: f64, y: f64) -> String {
    format!("<line class=\"goal\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{:.1}\" y2=\"{:.1}\"/>", y - 8.0, y + 8.0)
}

fn triangle(x: f64, y: f64) -> String {
    let (left, right, top, foot) = (x - 6.0, x + 6.0, y - 6.0, y + 5.0);
    format!("<path class=\"first\" d=\"M{left:.1} {foot:.1}H{right:.1}L{x:.1} {top:.1}Z\"/>")
}

fn legend(x: f64, what: &str) -> String {
    let y = 74.0;
    let (sign, words, space) = match what {
        "many" => {
            let span =
                format!("<line class=\"span\" x1=\"{:.1}\" x2=\"{:.1}\" y1=\"{y}\" y2=\"{y}\"/>", x + 5.0, x + 35.0);
            let dot = format!("<circle class=\"dot\" cx=\"{:.1}\" cy=\"{y}\" r=\"4.5\"/>", x + 5.0);
            let ring = format!("<circle class=\"ring\" cx=\"{:.1}\" cy=\"{y}\" r=\"4\"/>", x + 35.0);
            (format!("{span}{ring}{dot}"), "half of the requests, 99 of 100", 48.0)
        }
        "goal" => (goal_bar(x + 5.0, y), "the goal for half of them", 16.0),
        _ => (triangle(x + 6.0, y), "the first after a start without cached pages", 20.0),
    };
    sign + &text(x + space, y + 4.5, "", words)
}

fn text(x: f64, y: f64, class: &str, words: &str) -> String {
    format!("<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\">{}</text>", escaped(words))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// A logarithmic axis over whole powers of ten.
#[derive(Debug)]
struct Axis {
    low: i32,
    high: i32,
}

impl Axis {
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let logarithms = values.filter(|value| *value > 0.0).map(f64::log10);
        let (low, high) = logarithms.fold((f64::MAX, f64::MIN), |(low, high), value| (low.min(value), high.max(value)));
        if low > high {
            return Self { low: 0, high: 1 };
        }
        #[expect(clippy::cast_possible_truncation, reason = "the logarithm of a time in milliseconds")]
        let (low, high) = (low.floor() as i32, high.ceil() as i32);
        Self { low, high: high.max(low + 1) }
    }

    /// Where a time stands; a time of 0 at the left end.
    fn at(&self, value: f64) -> f64 {
        let share = (value.log10() - f64::from(self.low)) / f64::from(self.high - self.low);
        LEFT + AXIS * share.clamp(0.0, 1.0)
    }

    fn ticks(&self) -> impl Iterator<Item = (f64, f64)> {
        (self.low..=self.high).map(|power| (10_f64.powi(power), self.at(10_f64.powi(power))))
    }
}

#[cfg(test)]
mod tests {
    use super::{AXIS, Axis, LEFT, Mark, Times, svg};

    #[test]
    fn times_stand_in_their_order_on_the_axis() {
        let axis = Axis::over([0.4, 20.0].into_iter());
        assert_eq!((axis.low, axis.high), (-1, 2));
        let at: Vec<f64> = [0.0, 0.1, 1.0, 10.0, 100.0, 1e9].map(|time| axis.at(time)).into();
        assert!(at.is_sorted());
        assert!((at[0] - LEFT).abs() < 1e-9 && (at[5] - LEFT - AXIS).abs() < 1e-9);
        assert!((at[3] - at[2] - AXIS / 3.0).abs() < 1e-9, "each power of ten takes as much");
        assert_eq!((Axis::over([].into_iter()).low, Axis::over([3.0].into_iter()).high), (0, 1));
    }

    #[test]
    fn every_row_shows_its_times_and_what_markup_it_holds_is_text() {
        let marks = [
            Mark { what: "a < b & \"c\"".into(), times: Times::Many { p50: 2.0, p99: 9.0, goal: Some(5.0) } },
            Mark { what: "missed".into(), times: Times::Many { p50: 6.0, p99: 9.0, goal: Some(5.0) } },
            Mark { what: "cold".into(), times: Times::First { cold: 80.0, warm: 2.0 } },
        ];
        let picture = svg("title", "<machine>", &marks);
        for shown in
            ["a &lt; b &amp; &quot;c&quot;", "2.00 / 9.00 ✓", "6.00 / 9.00 ✗", "80.0 → 2.00", "&lt;machine&gt;"]
        {
            assert!(picture.contains(shown), "{shown}");
        }
        let opened = |tag: &str| picture.matches(&format!("<{tag}")).count();
        assert_eq!(opened("text"), picture.matches("</text>").count());
        assert_eq!(opened("svg "), picture.matches("</svg>").count());
        assert_eq!(opened("path"), 2, "one row and the legend");
        assert_eq!(opened("line class=\"goal"), 3, "two rows and the legend");
    }
}
