//! Grouped bars as SVG: small panels, each with a scale of its own, under one legend.
//!
//! Written by hand: the charts need rectangles and text, which is less than a plotting library asks to be told.

use std::fmt::Write;

/// Blue, orange and grey: told apart with any kind of sight, and when printed.
const COLOURS: [&str; 3] = ["#0072b2", "#e69f00", "#8c8c8c"];
const COLUMNS: usize = 2;
const PANEL_WIDTH: f64 = 470.0;
const PANEL_HEIGHT: f64 = 210.0;
const MARGIN: f64 = 20.0;
/// Title and legend.
const HEAD_HEIGHT: f64 = 62.0;
/// Of a panel, above its bars: its title and the labels of the highest bars.
const TITLE_HEIGHT: f64 = 44.0;
/// Of a panel, below its bars: the names of the groups.
const FOOT_HEIGHT: f64 = 26.0;

/// Panels under one title.
#[derive(Clone, Debug)]
pub(crate) struct Chart {
    pub(crate) title: String,
    /// The name of each bar of a group.
    pub(crate) series: Vec<&'static str>,
    pub(crate) panels: Vec<Panel>,
}

/// Groups of bars on one scale from zero.
#[derive(Clone, Debug)]
pub(crate) struct Panel {
    pub(crate) title: String,
    pub(crate) unit: &'static str,
    pub(crate) groups: Vec<Group>,
}

/// Bars side by side, in the order of the series. Those at the end may be missing.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) label: String,
    pub(crate) values: Vec<f64>,
}

impl Chart {
    /// The picture, as a file of its own.
    pub(crate) fn to_svg(&self) -> String {
        let rows = self.panels.len().div_ceil(COLUMNS);
        let width = MARGIN + COLUMNS as f64 * (PANEL_WIDTH + MARGIN);
        let height = HEAD_HEIGHT + rows as f64 * (PANEL_HEIGHT + MARGIN);
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
             height=\"{height}\" font-family=\"sans-serif\" fill=\"#222\">\n\
             <rect width=\"{width}\" height=\"{height}\" fill=\"#fff\"/>\n"
        );
        text(&mut svg, MARGIN, 28.0, "start", 18, &self.title);
        self.legend(&mut svg);
        for (index, panel) in self.panels.iter().enumerate() {
            let (column, row) = (index % COLUMNS, index / COLUMNS);
            let left = MARGIN + column as f64 * (PANEL_WIDTH + MARGIN);
            let top = HEAD_HEIGHT + row as f64 * (PANEL_HEIGHT + MARGIN);
            panel.draw(&mut svg, left, top, self.series.len());
        }
        svg.push_str("</svg>\n");
        svg
    }

    fn legend(&self, svg: &mut String) {
        let mut left = MARGIN;
        for (series, colour) in self.series.iter().zip(COLOURS) {
            rectangle(svg, [left, 40.0, 12.0, 12.0], colour);
            text(svg, left + 18.0, 50.5, "start", 13, series);
            // Seven units are more than a letter of this size takes on average.
            left += 18.0 + 7.0 * series.len() as f64 + 24.0;
        }
    }
}

impl Panel {
    fn draw(&self, svg: &mut String, left: f64, top: f64, series: usize) {
        let title = format!("{} ({})", self.title, self.unit);
        text(svg, left, top + 16.0, "start", 14, &title);
        let base = top + PANEL_HEIGHT - FOOT_HEIGHT;
        let highest = self.groups.iter().flat_map(|group| &group.values);
        let highest = highest.copied().fold(f64::MIN_POSITIVE, f64::max);
        let scale = (PANEL_HEIGHT - TITLE_HEIGHT - FOOT_HEIGHT) / highest;
        let group_width = PANEL_WIDTH / self.groups.len().max(1) as f64;
        let bar_width = (group_width - 16.0) / series.max(1) as f64;
        for (index, group) in self.groups.iter().enumerate() {
            let centre = left + (index as f64 + 0.5) * group_width;
            let first = centre - bar_width * group.values.len() as f64 / 2.0;
            for (place, (value, colour)) in group.values.iter().zip(COLOURS).enumerate() {
                let bar_left = first + place as f64 * bar_width;
                let height = value * scale;
                let bar = [bar_left + 1.0, base - height, bar_width - 2.0, height];
                rectangle(svg, bar, colour);
                let middle = bar_left + bar_width / 2.0;
                text(svg, middle, base - height - 4.0, "middle", 11, &short(*value));
            }
            text(svg, centre, base + 17.0, "middle", 13, &group.label);
        }
        rectangle(svg, [left, base, PANEL_WIDTH, 1.0], "#222");
    }
}

/// Three digits, so that the numbers of neighbouring bars do not meet.
fn short(value: f64) -> String {
    match value {
        value if value >= 99.95 => format!("{value:.0}"),
        value if value >= 9.995 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

fn rectangle(svg: &mut String, [left, top, width, height]: [f64; 4], colour: &str) {
    let _ = writeln!(
        svg,
        "<rect x=\"{left:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height:.1}\" fill=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, left: f64, base: f64, anchor: &str, size: u32, content: &str) {
    let content = content
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = writeln!(
        svg,
        "<text x=\"{left:.1}\" y=\"{base:.1}\" text-anchor=\"{anchor}\" font-size=\"{size}\">{content}</text>"
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let group = |label: &str, values: &[f64]| Group {
            label: label.to_owned(),
            values: values.to_vec(),
        };
        let panel = |title: &str| Panel {
            title: title.to_owned(),
            unit: "us",
            groups: vec![group("redb", &[2.0, 4.0]), group("sled", &[0.5, 1.0, 3.0])],
        };
        Chart {
            title: "Speed of <all>".to_owned(),
            series: vec!["Stead", "bare", "own"],
            panels: vec![panel("get"), panel("put"), panel("scan")],
        }
    }

    /// The four numbers of each rectangle of a colour.
    fn rectangles(svg: &str, colour: &str) -> Vec<[f64; 4]> {
        let fill = format!("fill=\"{colour}\"");
        svg.lines()
            .filter(|line| line.starts_with("<rect x=") && line.contains(&fill))
            .map(|line| {
                let mut numbers = line.split('"').filter_map(|part| part.parse().ok());
                std::array::from_fn(|_| numbers.next().expect("four numbers"))
            })
            .collect()
    }

    #[test]
    fn bars_are_as_high_as_their_values_and_stand_side_by_side() {
        let svg = chart().to_svg();
        let (blue, orange, grey) = (
            rectangles(&svg, COLOURS[0]),
            rectangles(&svg, COLOURS[1]),
            rectangles(&svg, COLOURS[2]),
        );
        // One of each in the legend, and one for each value.
        assert_eq!([blue.len(), orange.len(), grey.len()], [7, 7, 4]);
        let (redb, sled, bare) = (blue[1], blue[2], orange[1]);
        assert!((redb[3] / bare[3] - 0.5).abs() < 0.01, "{redb:?} {bare:?}");
        assert!((sled[3] / bare[3] - 0.125).abs() < 0.01, "{sled:?} {bare:?}");
        assert!(redb[0] + redb[2] <= bare[0] && bare[0] + bare[2] < sled[0]);
        let ends = [redb, sled, bare].map(|bar| (bar[1] + bar[3]).round());
        assert_eq!(ends, [ends[0]; 3], "they stand on one line");
    }

    #[test]
    fn everything_lies_within_the_picture() {
        let svg = chart().to_svg();
        let width = MARGIN + 2.0 * (PANEL_WIDTH + MARGIN);
        let height = HEAD_HEIGHT + 2.0 * (PANEL_HEIGHT + MARGIN);
        for colour in COLOURS.into_iter().chain(["#222"]) {
            for [left, top, bar_width, bar_height] in rectangles(&svg, colour) {
                assert!(left >= 0.0 && left + bar_width <= width);
                assert!(top >= HEAD_HEIGHT - 22.0 && top + bar_height <= height);
            }
        }
    }

    #[test]
    fn text_is_escaped_and_short() {
        assert!(chart().to_svg().contains("Speed of &lt;all&gt;"));
        let shown: Vec<_> = [0.123, 9.999, 18.84, 99.96, 13_200.4].map(short).to_vec();
        assert_eq!(shown, ["0.12", "10.0", "18.8", "100", "13200"]);
    }
}
