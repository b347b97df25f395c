//! Every policy on the plane of what it costs and what it gives: breaches on one side, calm on the other.

use super::canvas::{Anchor, Canvas, FAINT, Frame, GREY, INK, ORDERED, PAPER, Scale, Style, percent, trim};

/// One policy.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct FrontierPoint {
    /// Its name.
    pub(crate) name: String,
    /// What it is for each side.
    pub(crate) sides: Vec<FrontierSide>,
}

/// One policy for one side.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct FrontierSide {
    /// Whether it is that of a short: a hollow dot.
    pub(crate) short: bool,
    /// Mean margin, a share of value.
    pub(crate) capital: f64,
    /// Breaches over those expected.
    pub(crate) breaches: f64,
    /// Largest over smallest margin.
    pub(crate) peak_to_trough: f64,
}

/// One asset or portfolio.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct FrontierPanel {
    /// Title.
    pub(crate) title: String,
    /// The policies.
    pub(crate) points: Vec<FrontierPoint>,
    /// The most breaches over those expected that are green.
    pub(crate) green_most: f64,
}

const PANEL: (f64, f64) = (540.0, 330.0);
const TOP: f64 = 62.0;

/// Two panels a row: coverage to the left, calm to the right.
pub(crate) fn frontier(title: &str, note: &str, panels: &[FrontierPanel]) -> String {
    let mut canvas = Canvas::new(2.0 * PANEL.0 + 20.0, TOP + PANEL.1 * panels.len() as f64);
    canvas.text((24.0, 30.0), Style::new(17.0, INK, Anchor::Start).bold(), title);
    canvas.text((24.0, 48.0), Style::new(11.0, GREY, Anchor::Start), note);
    for (i, panel) in panels.iter().enumerate() {
        let y = TOP + i as f64 * PANEL.1;
        let left = Frame { x: 0.0, y, width: PANEL.0, height: PANEL.1 };
        draw(&mut canvas, panel, left, ("breaches over expected", |p| p.breaches, Some(1.0)));
        let right = Frame { x: PANEL.0, ..left };
        draw(&mut canvas, panel, right, ("peak over trough", |p| p.peak_to_trough, None));
    }
    canvas.finish(title)
}

type Measure<'a> = (&'a str, fn(&FrontierSide) -> f64, Option<f64>);

fn draw(canvas: &mut Canvas, panel: &FrontierPanel, frame: Frame, (name, of, line): Measure<'_>) {
    let plot = Frame {
        x: frame.x + 62.0,
        y: frame.y + 34.0,
        width: frame.width - 92.0,
        height: frame.height - 92.0,
    };
    let (right, bottom) = (plot.x + plot.width, plot.y + plot.height);
    let range = |read: &dyn Fn(&FrontierSide) -> f64| {
        let all = panel.points.iter().flat_map(|p| &p.sides).map(read).filter(|x| x.is_finite());
        all.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), x| (low.min(x), high.max(x)))
    };
    let capital = range(&|p| p.capital);
    let spread = 0.12 * (capital.1 - capital.0).max(0.01);
    let x = Scale::new((capital.0 - 2.0 * spread, capital.1 + 2.0 * spread), (plot.x, right));
    let y = Scale::new(
        (0.0, 1.12 * range(&of).1.max(line.map_or(1.0, |line| line.max(panel.green_most)))),
        (bottom, plot.y),
    );
    canvas.text((plot.x, frame.y + 18.0), Style::new(13.0, INK, Anchor::Start).bold(), &panel.title);
    let faint = format!(r#"stroke="{FAINT}" stroke-width="1""#);
    let small = |anchor| Style::new(11.0, GREY, anchor);
    for tick in x.ticks(5) {
        canvas.line((x.at(tick), plot.y), (x.at(tick), bottom), &faint);
        canvas.text((x.at(tick), bottom + 16.0), small(Anchor::Middle), &percent(tick));
    }
    for tick in y.ticks(5) {
        canvas.line((plot.x, y.at(tick)), (right, y.at(tick)), &faint);
        canvas.text((plot.x - 6.0, y.at(tick) + 4.0), small(Anchor::End), &trim(tick));
    }
    if let Some(line) = line {
        let dashed = format!(r#"stroke="{GREY}" stroke-width="1" stroke-dasharray="4 3""#);
        canvas.line((plot.x, y.at(line)), (right, y.at(line)), &dashed);
        let dotted = format!(r#"stroke="{GREY}" stroke-width="1" stroke-dasharray="1 3""#);
        canvas.line((plot.x, y.at(panel.green_most)), (right, y.at(panel.green_most)), &dotted);
    }
    canvas.text((plot.x + plot.width / 2.0, bottom + 34.0), small(Anchor::Middle), "mean margin");
    canvas.turned_text((frame.x + 20.0, plot.y + plot.height / 2.0), small(Anchor::Middle), name, -90.0);
    let place = |side: &FrontierSide| (x.at(side.capital), y.at(of(side)));
    dots(canvas, panel, &place);
}

/// The dots of every policy, those of its sides joined, and its name beside the first of them.
fn dots(canvas: &mut Canvas, panel: &FrontierPanel, place: &dyn Fn(&FrontierSide) -> (f64, f64)) {
    let all = panel.points.iter().flat_map(|point| &point.sides);
    let mut taken: Vec<Frame> = all.map(|side| around(place(side))).collect();
    for (i, point) in panel.points.iter().enumerate() {
        let colour = ORDERED[i % ORDERED.len()];
        let places: Vec<(f64, f64)> = point.sides.iter().map(place).collect();
        let Some(at) = places.first().copied() else { continue };
        for pair in places.windows(2) {
            canvas.line(pair[0], pair[1], &format!(r#"stroke="{colour}" stroke-width="1.2""#));
        }
        let width = 6.6 * point.name.chars().count() as f64;
        let label = free(&taken, at, width);
        taken.push(label);
        let end = (label.x + if label.x < at.0 { width } else { 0.0 }, label.y + 6.0);
        if (end.1 - at.1).abs() > 3.0 {
            canvas.line(at, end, &format!(r#"stroke="{colour}" stroke-width="0.8""#));
        }
        for (side, at) in point.sides.iter().zip(&places) {
            let fill = if side.short { PAPER } else { colour };
            canvas.circle(*at, 4.5, &format!(r#"fill="{fill}" stroke="{colour}" stroke-width="1.5""#));
        }
        let style = Style::new(11.0, INK, Anchor::Start);
        let style = if i == 0 { style.bold() } else { style };
        canvas.text((label.x, label.y + 10.0), style, &point.name);
    }
}

/// What a dot covers.
fn around(at: (f64, f64)) -> Frame {
    Frame { x: at.0 - 5.0, y: at.1 - 5.0, width: 10.0, height: 10.0 }
}

/// A place beside a dot where nothing else stands, the nearest first; right of it where there is none.
fn free(taken: &[Frame], at: (f64, f64), width: f64) -> Frame {
    let apart = |one: &Frame, other: &Frame| {
        one.x >= other.x + other.width
            || other.x >= one.x + one.width
            || one.y >= other.y + other.height
            || other.y >= one.y + one.height
    };
    let sides = [at.0 + 9.0, at.0 - 9.0 - width, at.0 + 24.0, at.0 - 24.0 - width];
    let steps = [0.0, -14.0, 14.0, -28.0, 28.0, -42.0, 42.0];
    let all =
        steps.into_iter().flat_map(|dy| sides.map(|x| Frame { x, y: at.1 - 6.0 + dy, width, height: 13.0 }));
    let mut clear = all.filter(|label| taken.iter().all(|other| apart(label, other)));
    clear.next().unwrap_or(Frame { x: sides[0], y: at.1 - 6.0, width, height: 13.0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_policy_is_on_both_planes() {
        let side = |short, capital| FrontierSide { short, capital, breaches: 1.2, peak_to_trough: 3.0 };
        let point = |name: &str, capital| FrontierPoint {
            name: name.to_owned(),
            sides: vec![side(false, capital), side(true, 1.1 * capital)],
        };
        let points = vec![point("a", 0.1), point("b", 0.1)];
        let panel = FrontierPanel { title: "BTC".to_owned(), points, green_most: 1.3 };
        let text = frontier("Frontier", "", &[panel]);
        assert_eq!(text.matches("<circle").count(), 8);
        assert_eq!(text.matches(">a<").count(), 2);
    }
}
