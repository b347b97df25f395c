//! Growth: one panel per direction, time against size on logarithmic axes, a line per number of threads.

use super::canvas::{Anchor, Canvas, DASHES, FAINT, Frame, GREY, INK, ORDERED, Scale, Style, compact};
use plimsoll_quant::special::ln;

/// One line.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct GrowthLine {
    /// `2 threads`.
    pub(crate) label: String,
    /// Size and milliseconds, both above 0, in order of size.
    pub(crate) points: Vec<(f64, f64)>,
}

/// One direction.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct GrowthPanel {
    /// What is varied: `accounts`.
    pub(crate) title: String,
    /// What stays: `12 positions each, 64 scenarios`.
    pub(crate) note: String,
    /// Lines.
    pub(crate) lines: Vec<GrowthLine>,
}

const PANEL: (f64, f64) = (348.0, 300.0);
const MARGIN: f64 = 28.0;
const HEAD: f64 = 70.0;

/// Panels side by side under a title and a line about the machine.
pub(crate) fn growth(title: &str, note: &str, panels: &[GrowthPanel]) -> String {
    let width = 2.0 * MARGIN + panels.len().max(1) as f64 * PANEL.0;
    let mut canvas = Canvas::new(width, HEAD + PANEL.1 + 30.0);
    canvas.text((MARGIN, 34.0), Style::new(18.0, INK, Anchor::Start).bold(), title);
    canvas.text((MARGIN, 53.0), Style::new(12.0, GREY, Anchor::Start), note);
    let times =
        range(panels.iter().flat_map(|panel| &panel.lines).flat_map(|l| l.points.iter().map(|p| p.1)));
    for (i, panel) in panels.iter().enumerate() {
        let x = MARGIN + i as f64 * PANEL.0;
        draw(&mut canvas, panel, Frame { x, y: HEAD, width: PANEL.0, height: PANEL.1 }, times);
    }
    canvas.finish(title)
}

/// The logarithms of the least and the largest, a little widened.
fn range(numbers: impl Iterator<Item = f64>) -> (f64, f64) {
    let (low, high) = numbers.map(ln).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| {
        (if x < low { x } else { low }, if x > high { x } else { high })
    });
    (low - 0.25, high + 0.25)
}

fn draw(canvas: &mut Canvas, panel: &GrowthPanel, frame: Frame, times: (f64, f64)) {
    let plot = Frame {
        x: frame.x + 46.0,
        y: frame.y + 40.0,
        width: frame.width - 70.0,
        height: frame.height - 80.0,
    };
    let (right, bottom) = (plot.x + plot.width, plot.y + plot.height);
    canvas.text((plot.x, frame.y + 14.0), Style::new(13.0, INK, Anchor::Start).bold(), &panel.title);
    canvas.text((plot.x, frame.y + 29.0), Style::new(11.0, GREY, Anchor::Start), &panel.note);
    let sizes = range(panel.lines.iter().flat_map(|line| line.points.iter().map(|point| point.0)));
    let (x, y) = (Scale::new(sizes, (plot.x, right)), Scale::new(times, (bottom, plot.y)));
    let small = |anchor| Style::new(11.0, GREY, anchor);
    let faint = format!(r#"stroke="{FAINT}" stroke-width="1""#);
    for power in powers(x.domain) {
        let at = x.at(ln(power));
        canvas.line((at, plot.y), (at, bottom), &faint);
        canvas.text((at, bottom + 15.0), small(Anchor::Middle), &compact(power));
    }
    for power in powers(y.domain) {
        let at = y.at(ln(power));
        canvas.line((plot.x, at), (right, at), &faint);
        canvas.text((plot.x - 6.0, at + 4.0), small(Anchor::End), &format!("{power} ms"));
    }
    for (i, line) in panel.lines.iter().enumerate() {
        let colour = ORDERED[(i * 2) % ORDERED.len()];
        let points: Vec<(f64, f64)> =
            line.points.iter().map(|(n, ms)| (x.at(ln(*n)), y.at(ln(*ms)))).collect();
        let dash = DASHES[i % DASHES.len()];
        let style = format!(r#"fill="none" stroke="{colour}" stroke-width="1.8" stroke-dasharray="{dash}""#);
        canvas.path(&points, &style);
        for point in &points {
            canvas.circle(*point, 2.6, &format!(r#"fill="{colour}""#));
        }
        let at = (plot.x + 12.0, plot.y + 14.0 + 15.0 * i as f64);
        canvas.line((at.0, at.1 - 4.0), (at.0 + 22.0, at.1 - 4.0), &style);
        canvas.text((at.0 + 28.0, at.1), Style::new(11.0, INK, Anchor::Start), &line.label);
    }
}

/// The powers of ten between two logarithms.
fn powers((low, high): (f64, f64)) -> Vec<f64> {
    let all = (-6..=9).map(|exponent: i32| {
        let step = if exponent < 0 { 0.1 } else { 10.0 };
        // 0.1 x 0.1 is not 0.01 in binary, but prints as it should once rounded to its digits.
        let power = (0..exponent.abs()).fold(1.0_f64, |power, _| power * step);
        (power * 1e9).round() / 1e9
    });
    all.filter(|power| (low..=high).contains(&ln(*power))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_line_and_power_of_ten_is_drawn() {
        let line = |label: &str, k: f64| GrowthLine {
            label: label.to_owned(),
            points: vec![(10.0, 0.1 * k), (100.0, k), (1000.0, 10.0 * k)],
        };
        let panel = GrowthPanel {
            title: "accounts".to_owned(),
            note: String::new(),
            lines: vec![line("1 thread", 1.0), line("2 threads", 0.5)],
        };
        let text = growth("Growth", "a machine", &[panel]);
        for part in ["1 thread<", "2 threads<", ">100<", ">0.1 ms<", ">10 ms<"] {
            assert!(text.contains(part), "{part}");
        }
        assert_eq!(text.matches("<path").count(), 2);
    }
}
