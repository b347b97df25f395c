//! Margin against what was lost, over time: margins of both sides about zero, realised moves between them, breaches, bands
//! of high volatility and marks where parameters changed.

use super::canvas::{Anchor, BAND, Canvas, FAINT, Frame, GREY, INK, Scale, Style, percent};

/// What a long and a short are asked, and what came after, in shares of value.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct MarginPicture {
    /// Title.
    pub(crate) title: String,
    /// What is to be read from it.
    pub(crate) note: String,
    /// What is counted in it, at the right of the title.
    pub(crate) counts: String,
    /// Instants, seconds, rising.
    pub(crate) times: Vec<f64>,
    /// The move over the horizon from each instant; a fall is below 0.
    pub(crate) moves: Vec<f64>,
    /// Margin of a long, drawn downwards.
    pub(crate) long: Vec<f64>,
    /// Margin of a short, drawn upwards.
    pub(crate) short: Vec<f64>,
    /// A margin to compare with, of both sides; empty for none.
    pub(crate) other: Option<(String, Vec<f64>, Vec<f64>)>,
    /// What existing positions are held to, of both sides; `None` for nothing to show.
    pub(crate) held: Option<(Vec<f64>, Vec<f64>)>,
    /// Stretches of high volatility, seconds.
    pub(crate) bands: Vec<(f64, f64)>,
    /// When a parameter changed, and the change of its logarithm.
    pub(crate) changes: Vec<(f64, f64)>,
    /// Years to be written on the axis: name and seconds.
    pub(crate) years: Vec<(String, f64)>,
}

const SIZE: (f64, f64) = (1100.0, 430.0);
const LONG: &str = "#b2182b";
const SHORT: &str = "#2166ac";
const MOVE: &str = "#8a94a3";
const OTHER: &str = "#b8860b";
const HELD: &str = "#7a5195";

/// Draws it.
pub(crate) fn margins(picture: &MarginPicture) -> String {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1);
    let plot = Frame { x: 64.0, y: 78.0, width: SIZE.0 - 90.0, height: SIZE.1 - 150.0 };
    canvas.text((24.0, 30.0), Style::new(17.0, INK, Anchor::Start).bold(), &picture.title);
    canvas.text((24.0, 48.0), Style::new(11.5, GREY, Anchor::Start), &picture.note);
    let right = (SIZE.0 - 26.0, 30.0);
    canvas.text(right, Style::new(11.5, GREY, Anchor::End), &picture.counts);
    let (first, last) = ends(&picture.times);
    let x = Scale::new((first, last), (plot.x, plot.x + plot.width));
    let most = |series: &[f64]| series.iter().fold(0.0_f64, |a, b| a.max(b.abs()));
    let reach = 1.05 * most(&picture.moves).max(most(&picture.long)).max(most(&picture.short));
    let y = Scale::new((-reach, reach), (plot.y + plot.height, plot.y));
    grid(&mut canvas, picture, plot, (&x, &y));
    moves(&mut canvas, picture, (&x, &y));
    if let Some((_, long, short)) = &picture.other {
        let dashed = format!(r#"fill="none" stroke="{OTHER}" stroke-width="1" stroke-dasharray="3 2""#);
        stair(&mut canvas, &picture.times, long, (&x, &y, -1.0), &dashed);
        stair(&mut canvas, &picture.times, short, (&x, &y, 1.0), &dashed);
    }
    if let Some((long, short)) = &picture.held {
        let thin = format!(r#"fill="none" stroke="{HELD}" stroke-width="0.8""#);
        stair(&mut canvas, &picture.times, long, (&x, &y, -1.0), &thin);
        stair(&mut canvas, &picture.times, short, (&x, &y, 1.0), &thin);
    }
    let line = |colour: &str| format!(r#"fill="none" stroke="{colour}" stroke-width="1.5""#);
    stair(&mut canvas, &picture.times, &picture.long, (&x, &y, -1.0), &line(LONG));
    stair(&mut canvas, &picture.times, &picture.short, (&x, &y, 1.0), &line(SHORT));
    breaches(&mut canvas, picture, (&x, &y));
    marks(&mut canvas, picture, plot, &x);
    legend(&mut canvas, picture, plot);
    canvas.finish(&picture.title)
}

fn ends(times: &[f64]) -> (f64, f64) {
    let first = times.first().copied().unwrap_or(0.0);
    (first, times.last().copied().unwrap_or(first + 1.0))
}

fn grid(canvas: &mut Canvas, picture: &MarginPicture, plot: Frame, (x, y): (&Scale, &Scale)) {
    let bottom = plot.y + plot.height;
    canvas.bands(&picture.bands, plot, x);
    canvas.levels(plot, y, 8, percent);
    let faint = format!(r#"stroke="{FAINT}" stroke-width="1""#);
    for (name, at) in picture.years.iter().filter(|(_, at)| *at >= x.domain.0 && *at <= x.domain.1) {
        canvas.line((x.at(*at), plot.y), (x.at(*at), bottom), &faint);
        canvas.text((x.at(*at) + 3.0, bottom + 36.0), Style::new(11.0, GREY, Anchor::Start), name);
    }
    canvas.zero(plot, y);
}

/// A bar from the least to the largest move for each unit of the page.
fn moves(canvas: &mut Canvas, picture: &MarginPicture, (x, y): (&Scale, &Scale)) {
    let mut columns: Vec<(f64, f64, f64)> = Vec::new();
    for (time, moved) in picture.times.iter().zip(&picture.moves) {
        let at = x.at(*time).floor();
        match columns.last_mut().filter(|column| column.0 == at) {
            Some(column) => (column.1, column.2) = (column.1.min(*moved), column.2.max(*moved)),
            None => columns.push((at, moved.min(0.0), moved.max(0.0))),
        }
    }
    let ink = format!(r#"stroke="{MOVE}" stroke-width="1" stroke-opacity="0.75""#);
    for (at, least, most) in columns {
        canvas.line((at + 0.5, y.at(least)), (at + 0.5, y.at(most)), &ink);
    }
}

/// A line through the last value of each unit of the page.
fn stair(
    canvas: &mut Canvas,
    times: &[f64],
    series: &[f64],
    (x, y, sign): (&Scale, &Scale, f64),
    style: &str,
) {
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (time, value) in times.iter().zip(series) {
        let point = ((2.0 * x.at(*time)).floor() / 2.0, y.at(sign * value));
        match points.last_mut().filter(|last| last.0 == point.0) {
            Some(last) => *last = point,
            None => points.push(point),
        }
    }
    canvas.path(&points, style);
}

fn breaches(canvas: &mut Canvas, picture: &MarginPicture, (x, y): (&Scale, &Scale)) {
    let sides = picture.long.iter().zip(&picture.short);
    for ((time, moved), (long, short)) in picture.times.iter().zip(&picture.moves).zip(sides) {
        let colour = match moved {
            m if -m > *long => LONG,
            m if m > short => SHORT,
            _ => continue,
        };
        let style = format!(r##"fill="{colour}" stroke="#ffffff" stroke-width="0.8""##);
        canvas.circle((x.at(*time), y.at(*moved)), 3.2, &style);
    }
}

/// Ticks under the plot: up for a tightening, down for a loosening, as long as the change is large.
fn marks(canvas: &mut Canvas, picture: &MarginPicture, plot: Frame, x: &Scale) {
    let base = plot.y + plot.height + 13.0;
    let (mut last, mut net) = (f64::NAN, (0.0_f64, 0.0_f64));
    let draw = |canvas: &mut Canvas, at: f64, (up, down): (f64, f64)| {
        let length = |size: f64| (size * 40.0).clamp(1.0, 11.0);
        if up > 0.0 {
            let style = format!(r#"stroke="{LONG}" stroke-width="1""#);
            canvas.line((at, base), (at, base - length(up)), &style);
        }
        if down < 0.0 {
            let style = format!(r#"stroke="{SHORT}" stroke-width="1""#);
            canvas.line((at, base), (at, base + length(-down)), &style);
        }
    };
    for (time, change) in &picture.changes {
        let at = x.at(*time).floor() + 0.5;
        if at != last {
            draw(canvas, last, net);
            (last, net) = (at, (0.0, 0.0));
        }
        net = (net.0.max(*change), net.1.min(*change));
    }
    draw(canvas, last, net);
    canvas.text((plot.x - 7.0, base + 4.0), Style::new(10.0, GREY, Anchor::End), "changes");
}

fn legend(canvas: &mut Canvas, picture: &MarginPicture, plot: Frame) {
    let y = plot.y - 12.0;
    let mut x = plot.x;
    let other = picture.other.as_ref().map_or(String::new(), |(name, ..)| format!("margin of {name}"));
    let entries = [
        (SHORT, "margin of a short".to_owned()),
        (LONG, "margin of a long".to_owned()),
        (MOVE, "move over the horizon".to_owned()),
        (BAND, "volatile regime".to_owned()),
        (HELD, picture.held.as_ref().map_or(String::new(), |_| "maintenance on its ramp".to_owned())),
        (OTHER, other),
    ];
    for (colour, text) in entries.iter().filter(|(_, text)| !text.is_empty()) {
        let frame = Frame { x, y: y - 8.0, width: 16.0, height: 8.0 };
        canvas.rect(frame, &format!(r#"fill="{colour}""#));
        canvas.text((x + 21.0, y), Style::new(11.0, INK, Anchor::Start), text);
        x += 40.0 + 6.2 * text.chars().count() as f64;
    }
    canvas.circle((x + 4.0, y - 4.0), 3.2, &format!(r#"fill="{INK}""#));
    canvas.text((x + 12.0, y), Style::new(11.0, INK, Anchor::Start), "breach");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_breach_of_either_side_is_a_dot_and_every_change_a_mark() {
        let picture = MarginPicture {
            title: "BTC & more".to_owned(),
            note: String::new(),
            counts: "long: 1".to_owned(),
            times: vec![0.0, 1.0, 2.0, 3.0],
            moves: vec![0.01, -0.2, 0.3, 0.0],
            long: vec![0.1; 4],
            short: vec![0.1; 4],
            other: None,
            held: Some((vec![0.08; 4], vec![0.08; 4])),
            bands: vec![(1.0, 2.0)],
            changes: vec![(1.0, 0.1), (2.0, -0.05)],
            years: vec![("2020".to_owned(), 1.5)],
        };
        let text = margins(&picture);
        // Two breaches and the one of the legend.
        assert_eq!(text.matches("<circle").count(), 3);
        assert_eq!(text.matches(BAND).count(), 2);
        assert!(text.contains("BTC &amp; more") && text.contains(">2020<"));
    }
}
