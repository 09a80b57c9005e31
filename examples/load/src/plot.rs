//! A picture of what a storm costs at each size: an SVG that fits light and dark pages.

use std::fmt::Write as _;

use serde_json::Value;

use crate::{process::Kind, programs::Program, suite::Outcome};

/// Width of one panel in pixels.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 220.0;
/// Margin around a panel, for its title and the numbers on its axes.
const MARGIN: f64 = 50.0;
/// The servers that are drawn, with their colours. The colours also differ in lightness.
const DRAWN: [(Kind, &str); 3] = [(Kind::Ours, "#1f6feb"), (Kind::Bun, "#d9822b"), (Kind::Bare, "#7d8590")];

/// The panels: which figure each shows, and its title.
const PANELS: [(&str, &str); 2] = [
    ("millisUntilExact", "All viewers come at once: ms until every count is exact"),
    ("cpuMicrosEach", "The same: µs of processor time for each viewer"),
];

/// Draws the outcomes of storms.
pub(crate) fn draw(outcomes: &[Outcome]) -> String {
    let width = (WIDTH + 2.0 * MARGIN) * PANELS.len() as f64;
    let height = HEIGHT + 2.5 * MARGIN;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" font-family=\"sans-serif\" \
         font-size=\"12\" fill=\"#7d8590\">\n"
    );
    for (idx, (figure, title)) in PANELS.iter().enumerate() {
        let left = MARGIN + idx as f64 * (WIDTH + 2.0 * MARGIN);
        panel(&mut svg, left, figure, title, outcomes);
    }
    for (idx, (kind, colour)) in DRAWN.iter().enumerate() {
        let (x, y) = (MARGIN + idx as f64 * 160.0, HEIGHT + 2.2 * MARGIN);
        // Writing to a string cannot fail.
        let _ = writeln!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"{colour}\">■ {}</text>", kind.name());
    }
    svg.push_str("</svg>\n");
    svg
}

/// Both axes are logarithmic: twice as far is ten times as much.
fn panel(svg: &mut String, left: f64, figure: &str, title: &str, outcomes: &[Outcome]) {
    let points = |kind| -> Vec<(f64, f64)> {
        let of_kind = outcomes.iter().filter(|one| one.kind == kind && one.plan.program == Program::Storm);
        of_kind.filter_map(|one| Some((f64::from(one.plan.viewers), number(one, figure)?))).collect()
    };
    let all: Vec<(f64, f64)> = DRAWN.iter().flat_map(|(kind, _)| points(*kind)).collect();
    let (xs, ys) = (span(all.iter().map(|point| point.0)), span(all.iter().map(|point| point.1)));
    let place = |(x, y): (f64, f64)| (left + WIDTH * part(x, xs), MARGIN + HEIGHT * (1.0 - part(y, ys)));
    let bottom = MARGIN + HEIGHT;
    let _ = writeln!(svg, "<text x=\"{left}\" y=\"{}\">{title}</text>", MARGIN / 2.0);
    let _ = writeln!(svg, "<path d=\"M{left} {MARGIN}V{bottom}h{WIDTH}\" fill=\"none\" stroke=\"#7d8590\"/>");
    for (kind, colour) in DRAWN {
        let places: Vec<(f64, f64)> = points(kind).into_iter().map(place).collect();
        let line: Vec<String> = places.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
        let line = line.join(" ");
        let _ = writeln!(svg, "<polyline points=\"{line}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>");
        for ((x, y), (viewers, value)) in places.iter().zip(points(kind)) {
            let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
            let _ = writeln!(
                svg,
                "<text x=\"{x:.1}\" y=\"{:.1}\" fill=\"{colour}\" font-size=\"10\" text-anchor=\"middle\">{value:.0}</text>",
                y - 6.0
            );
            if kind == Kind::Ours {
                let _ =
                    writeln!(svg, "<text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{viewers}</text>", bottom + 16.0);
            }
        }
    }
}

fn number(outcome: &Outcome, figure: &str) -> Option<f64> {
    outcome.figures.get(figure).and_then(Value::as_f64).filter(|value| *value > 0.0)
}

/// The smallest and the largest of these values, with a margin on both sides.
fn span(values: impl Iterator<Item = f64> + Clone) -> (f64, f64) {
    (values.clone().fold(f64::INFINITY, f64::min) * 0.8, values.fold(0.0, f64::max) * 1.25)
}

/// Where a value is between both ends of a logarithmic axis.
fn part(value: f64, (least, most): (f64, f64)) -> f64 {
    (value / least).ln() / (most / least).ln()
}
