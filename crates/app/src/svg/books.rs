//! Margin against loss of many books over months: a panel a style.

use super::canvas::{Anchor, Canvas, FAINT, Frame, GREY, INK, Scale, Style, percent};
use plimsoll_types::Timestamp;

/// One style. All series are in step with the instants.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct BooksPanel {
    /// What it is of.
    pub(crate) title: String,
    /// What came of it.
    pub(crate) note: String,
    /// Instants, seconds, rising.
    pub(crate) times: Vec<f64>,
    /// Mean margin.
    pub(crate) margin: Vec<f64>,
    /// A margin to compare with; empty for none.
    pub(crate) other: Vec<f64>,
    /// Mean loss; a gain is below 0.
    pub(crate) loss: Vec<f64>,
    /// Loss of the book that lost most.
    pub(crate) worst: Vec<f64>,
    /// Share of books uncovered.
    pub(crate) breached: Vec<f64>,
}

const WIDTH: f64 = 1100.0;
const PANEL: (f64, f64) = (540.0, 220.0);
const HEAD: f64 = 66.0;
const MARGIN_INK: &str = "#b2182b";
const OTHER_INK: &str = "#b8860b";
const LOSS_INK: &str = "#8fa7c4";
const WORST_INK: &str = "#9aa3af";
const DAY: i64 = 86_400;

/// Panels two by two under a title and a note.
pub(crate) fn books(title: &str, note: &str, panels: &[BooksPanel]) -> String {
    let rows = panels.len().div_ceil(2) as f64;
    let mut canvas = Canvas::new(WIDTH, HEAD + rows * PANEL.1 + 10.0);
    canvas.text((24.0, 30.0), Style::new(17.0, INK, Anchor::Start).bold(), title);
    canvas.text((24.0, 48.0), Style::new(11.5, GREY, Anchor::Start), note);
    for (i, panel) in panels.iter().enumerate() {
        let (column, row) = ((i % 2) as f64, (i / 2) as f64);
        let corner = (10.0 + column * PANEL.0, HEAD + row * PANEL.1);
        draw(&mut canvas, panel, corner);
    }
    canvas.finish(title)
}

fn draw(canvas: &mut Canvas, panel: &BooksPanel, (left, top): (f64, f64)) {
    let plot = Frame { x: left + 52.0, y: top + 34.0, width: PANEL.0 - 74.0, height: PANEL.1 - 70.0 };
    let (right, bottom) = (plot.x + plot.width, plot.y + plot.height);
    canvas.text((plot.x, top + 14.0), Style::new(13.0, INK, Anchor::Start).bold(), &panel.title);
    canvas.text((plot.x, top + 28.0), Style::new(11.0, GREY, Anchor::Start), &panel.note);
    let first = panel.times.first().copied().unwrap_or(0.0);
    let last = panel.times.last().copied().unwrap_or(first + 1.0);
    let x = Scale::new((first, last), (plot.x, right));
    let all = [&panel.margin, &panel.other, &panel.loss, &panel.worst];
    let ends = all.iter().flat_map(|series| series.iter()).fold((0.0_f64, 0.0_f64), |(low, high), v| {
        (if *v < low { *v } else { low }, if *v > high { *v } else { high })
    });
    // Gains are of no interest beyond a third of the picture.
    let low = if ends.0 < -0.5 * ends.1 { -0.5 * ends.1 } else { ends.0 };
    let y = Scale::new((low, 1.05 * ends.1), (bottom, plot.y));
    grid(canvas, plot, (&x, &y));
    canvas.open_clip(&format!("c{left:.0}-{top:.0}"), plot);
    for (time, loss) in panel.times.iter().zip(&panel.loss) {
        let style = format!(r#"stroke="{LOSS_INK}" stroke-width="1.4""#);
        canvas.line((x.at(*time), y.at(0.0)), (x.at(*time), y.at(*loss)), &style);
    }
    let path = |series: &[f64]| -> Vec<(f64, f64)> {
        panel.times.iter().zip(series).map(|(t, v)| (x.at(*t), y.at(*v))).collect()
    };
    let line = |ink: &str, width: f64, dash: &str| {
        format!(r#"fill="none" stroke="{ink}" stroke-width="{width}" stroke-dasharray="{dash}""#)
    };
    canvas.path(&path(&panel.worst), &line(WORST_INK, 0.8, "none"));
    canvas.path(&path(&panel.other), &line(OTHER_INK, 1.2, "4 3"));
    canvas.path(&path(&panel.margin), &line(MARGIN_INK, 1.7, "none"));
    for ((time, worst), share) in panel.times.iter().zip(&panel.worst).zip(&panel.breached) {
        if *share > 0.0 {
            let radius = 1.6 + 5.0 * share.sqrt();
            let style = format!(r#"fill="{INK}" fill-opacity="0.7""#);
            canvas.circle((x.at(*time), y.at(*worst)), radius, &style);
        }
    }
    canvas.close_clip();
}

fn grid(canvas: &mut Canvas, plot: Frame, (x, y): (&Scale, &Scale)) {
    let (right, bottom) = (plot.x + plot.width, plot.y + plot.height);
    let faint = format!(r#"stroke="{FAINT}" stroke-width="1""#);
    for tick in y.ticks(5) {
        canvas.line((plot.x, y.at(tick)), (right, y.at(tick)), &faint);
        canvas.text((plot.x - 6.0, y.at(tick) + 4.0), Style::new(10.5, GREY, Anchor::End), &percent(tick));
    }
    for (name, at) in weeks(x.domain) {
        canvas.line((x.at(at), plot.y), (x.at(at), bottom), &faint);
        canvas.text((x.at(at), bottom + 14.0), Style::new(10.5, GREY, Anchor::Middle), &name);
    }
    canvas.line((plot.x, y.at(0.0)), (right, y.at(0.0)), &format!(r#"stroke="{GREY}" stroke-width="1""#));
}

/// Days to be written on the axis: at most seven, so many whole days apart: month and day, and seconds.
fn weeks((first, last): (f64, f64)) -> Vec<(String, f64)> {
    let begin = (first / DAY as f64).ceil() as i64;
    let end = (last / DAY as f64).floor() as i64;
    let step = ((end - begin) / 7 + 1).max(1);
    let mut days = Vec::new();
    let mut day = begin;
    while day <= end {
        let (_, month, date) = Timestamp::from_seconds(day * DAY).date();
        days.push((format!("{month:02}-{date:02}"), (day * DAY) as f64));
        day += step;
    }
    days
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_panel_is_drawn_with_a_dot_where_books_were_uncovered() {
        let panel = BooksPanel {
            title: "puts & calls".to_owned(),
            note: String::new(),
            times: (0..10).map(|i| 1.767e9 + 21_600.0 * f64::from(i)).collect(),
            margin: vec![0.1; 10],
            other: vec![],
            loss: (0..10).map(|i| 0.02 * f64::from(i) - 0.05).collect(),
            worst: (0..10).map(|i| 0.03 * f64::from(i) - 0.05).collect(),
            breached: (0..10).map(|i| if i > 7 { 0.5 } else { 0.0 }).collect(),
        };
        let text = books("BTC", "note", &[panel.clone(), panel]);
        assert_eq!(text.matches("<circle").count(), 4);
        assert_eq!(text.matches("puts &amp; calls").count(), 2);
        assert!(text.contains(">12-30<"), "{text}");
        assert!(books("x", "", &[]).contains("<svg"));
    }
}
