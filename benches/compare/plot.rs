//! The ratios as horizontal bars, in SVG.

use std::fmt::{self, Write};

use crate::{measure::Group, report::title};

const COLORS: [&str; 6] = ["#9aa0a6", "#c58af9", "#fcad70", "#5bb974", "#669df6", "#d93025"];
const LEFT: f64 = 210.0;
const WIDTH: f64 = 900.0;
const BAR: f64 = 11.0;
const GAP: f64 = 14.0;
const TOP: f64 = 70.0;
/// Bars of greater ratios are cut, so that the others can be told apart.
const LONGEST: f64 = 6.0;

/// Draws all groups.
pub(crate) fn draw(groups: &[Group]) -> String {
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut svg, groups);
    svg
}

fn write(svg: &mut String, groups: &[Group]) -> fmt::Result {
    let bars: usize = groups.iter().map(|group| group.results.len()).sum();
    let height = TOP + bars as f64 * BAR + groups.len() as f64 * GAP + 20.0;
    let largest =
        groups.iter().flat_map(|group| &group.results).map(|result| result.ratio).fold(1.0, f64::max).min(LONGEST);
    let scale = (WIDTH - LEFT - 60.0) / largest;
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{height:.0}\" \
         viewBox=\"0 0 {WIDTH} {height:.0}\" font-family=\"sans-serif\" font-size=\"11\">"
    )?;
    writeln!(svg, "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>")?;
    writeln!(
        svg,
        "<text x=\"10\" y=\"22\" font-size=\"15\">Operations per second, SeaORM with its default pool = 1</text>"
    )?;
    legend(svg, groups)?;
    let mut y = TOP;
    for group in groups {
        let middle = y + group.results.len() as f64 * BAR / 2.0 + 4.0;
        writeln!(svg, "<text x=\"{:.0}\" y=\"{middle:.1}\" text-anchor=\"end\">{}</text>", LEFT - 8.0, title(group))?;
        for result in &group.results {
            let (length, color) = (result.ratio.min(LONGEST) * scale, color(groups, result.name));
            writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{length:.1}\" height=\"{:.1}\" fill=\"{color}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" font-size=\"9\">{:.2}</text>",
                BAR - 1.0,
                LEFT + length + 4.0,
                y + BAR - 2.5,
                result.ratio
            )?;
            y += BAR;
        }
        y += GAP;
    }
    let one = LEFT + scale;
    writeln!(
        svg,
        "<line x1=\"{one:.1}\" x2=\"{one:.1}\" y1=\"{:.0}\" y2=\"{:.0}\" stroke=\"black\" stroke-dasharray=\"3 3\"/>",
        TOP - 6.0,
        height - 10.0
    )?;
    writeln!(svg, "</svg>")
}

fn legend(svg: &mut String, groups: &[Group]) -> fmt::Result {
    let mut x = 10.0;
    for name in names(groups) {
        writeln!(
            svg,
            "<rect x=\"{x:.0}\" y=\"36\" width=\"11\" height=\"11\" fill=\"{}\"/><text x=\"{:.0}\" y=\"46\">{name}</text>",
            color(groups, name),
            x + 16.0
        )?;
        x += 40.0 + 7.0 * name.len() as f64;
    }
    Ok(())
}

/// The contenders, each one once, as they first appear.
fn names(groups: &[Group]) -> Vec<&'static str> {
    let mut names = Vec::new();
    for result in groups.iter().flat_map(|group| &group.results) {
        if !names.contains(&result.name) {
            names.push(result.name);
        }
    }
    names
}

fn color(groups: &[Group], name: &str) -> &'static str {
    let index = names(groups).iter().position(|other| *other == name).unwrap_or_default();
    COLORS[index % COLORS.len()]
}
