//! Methods side by side: how the ratios of initial margin lie, and what each requires in total.

use super::canvas::{Anchor, Canvas, FAINT, Frame, GREY, INK, Scale, Style, compact, trim};
use plimsoll_quant::special::ln;

/// Several methods on one book.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct ComparePicture {
    /// `Margin methods on one book, 2026-02-05T21:29:37Z`.
    pub(crate) title: String,
    /// Whose totals the bars are.
    pub(crate) note: String,
    /// The currency of the totals.
    pub(crate) currency: String,
    /// The methods, the base first.
    pub(crate) rows: Vec<CompareRow>,
}

/// One method.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CompareRow {
    /// Its name.
    pub(crate) label: String,
    /// Below its name, such as `base` or `1980 accounts`.
    pub(crate) note: String,
    /// Initial and maintenance margin, all accounts together, both >= 0; `None` where it margins none.
    pub(crate) totals: Option<(f64, f64)>,
    /// Where its ratios lie; `None` for the base and where there are none.
    pub(crate) ratios: Option<RatioBox>,
}

/// Quantiles of ratios, rising.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct RatioBox {
    pub(crate) min: f64,
    pub(crate) p5: f64,
    pub(crate) p25: f64,
    pub(crate) median: f64,
    pub(crate) p75: f64,
    pub(crate) p95: f64,
    pub(crate) max: f64,
}

const WIDTH: f64 = 1120.0;
const TOP: f64 = 112.0;
const ROW: f64 = 46.0;
const FOOT: f64 = 74.0;
/// Left and right edge of the ratios.
const RATIOS: (f64, f64) = (212.0, 640.0);
/// Left and right edge of the totals; labels stand right of them.
const TOTALS: (f64, f64) = (690.0, 1000.0);

/// Dark and light of one hue: told apart in grey as well.
const IM: &str = "#2b5c8a";
const MM: &str = "#9ec4e3";
/// The median, in a hue that no common colour blindness confuses with blue.
const MEDIAN: &str = "#d95f02";

/// Ratios beyond this are drawn at the edge.
const FARTHEST: f64 = 1000.0;

/// The picture: boxes on a logarithmic axis at the left, totals at the right, one row per method.
pub(crate) fn comparison(picture: &ComparePicture) -> String {
    let bottom = TOP + ROW * picture.rows.len() as f64;
    let mut canvas = Canvas::new(WIDTH, bottom + FOOT);
    head(&mut canvas, picture);
    let axis = LogAxis::of(&picture.rows);
    axis.draw(&mut canvas, bottom, picture.rows.first().map_or("", |row| &row.label));
    let largest =
        picture.rows.iter().filter_map(|row| row.totals).fold(0.0_f64, |most, (im, mm)| most.max(im).max(mm));
    let money = Scale::new((0.0, if largest > 0.0 { largest } else { 1.0 }), TOTALS);
    money_axis(&mut canvas, &money, bottom, &picture.currency);
    for (i, row) in picture.rows.iter().enumerate() {
        let y = TOP + ROW * i as f64;
        if i > 0 {
            canvas.line((24.0, y), (WIDTH - 24.0, y), &format!(r#"stroke="{FAINT}""#));
        }
        names(&mut canvas, row, y, i == 0);
        match &row.ratios {
            Some(ratios) => axis.boxed(&mut canvas, ratios, y + 0.5 * ROW),
            None if i == 0 => {
                canvas.circle((axis.at(1.0), y + 0.5 * ROW), 5.0, &format!(r#"fill="{MEDIAN}""#));
            }
            None => {
                let at = (axis.at(1.0) + 8.0, y + 0.5 * ROW + 4.0);
                canvas.text(at, Style::new(11.5, GREY, Anchor::Start), "no account with a ratio");
            }
        }
        bars(&mut canvas, row, &money, y);
    }
    canvas.finish(&format!("{}: ratios of initial margin and totals", picture.title))
}

fn head(canvas: &mut Canvas, picture: &ComparePicture) {
    canvas.text((24.0, 34.0), Style::new(18.0, INK, Anchor::Start).bold(), &picture.title);
    canvas.text((24.0, 56.0), Style::new(13.0, GREY, Anchor::Start), &picture.note);
    let name = Style::new(13.0, INK, Anchor::Start).bold();
    canvas.text((RATIOS.0, 84.0), name, "initial margin, account by account");
    canvas.text((TOTALS.0, 84.0), name, "total margin");
    legend(canvas);
}

fn legend(canvas: &mut Canvas) {
    let text = Style::new(11.0, GREY, Anchor::Start);
    let keys = [(TOTALS.0, IM, "initial"), (TOTALS.0 + 70.0, MM, "maintenance")];
    for (x, fill, label) in keys {
        canvas.rect(Frame { x, y: 93.0, width: 11.0, height: 11.0 }, &format!(r#"fill="{fill}""#));
        canvas.text((x + 16.0, 102.5), text, label);
    }
    let explained = "box: middle half, line: 5 to 95 %, dots: extremes, orange: median";
    canvas.text((RATIOS.0, 102.5), text, explained);
}

fn names(canvas: &mut Canvas, row: &CompareRow, y: f64, base: bool) {
    let style = Style::new(13.0, INK, Anchor::Start);
    canvas.text((24.0, y + 21.0), if base { style.bold() } else { style }, &shortened(&row.label, 24));
    canvas.text((24.0, y + 36.0), Style::new(10.5, GREY, Anchor::Start), &shortened(&row.note, 32));
}

/// At most so many characters.
fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let kept: String = text.chars().take(most - 1).collect();
    format!("{kept}\u{2026}")
}

fn bars(canvas: &mut Canvas, row: &CompareRow, money: &Scale, y: f64) {
    let Some((im, mm)) = row.totals else {
        canvas.text(
            (TOTALS.0 + 6.0, y + 0.5 * ROW + 4.0),
            Style::new(11.5, GREY, Anchor::Start),
            "no account",
        );
        return;
    };
    let both = [(im, IM, y + 8.0), (mm, MM, y + 24.0)];
    for (value, fill, y) in both {
        let width = money.at(value) - TOTALS.0;
        let frame = Frame { x: TOTALS.0, y, width: width.max(0.0), height: 14.0 };
        canvas.rect(frame, &format!(r#"fill="{fill}""#));
        let at = (frame.x + frame.width + 6.0, y + 11.0);
        canvas.text(at, Style::new(11.0, INK, Anchor::Start), &compact(value));
    }
}

fn money_axis(canvas: &mut Canvas, money: &Scale, bottom: f64, currency: &str) {
    for tick in money.ticks(4) {
        let x = money.at(tick);
        canvas.line((x, TOP), (x, bottom), &format!(r#"stroke="{FAINT}""#));
        canvas.text((x, bottom + 18.0), Style::new(11.0, GREY, Anchor::Middle), &compact(tick));
    }
    canvas.line((TOTALS.0, TOP), (TOTALS.0, bottom), &format!(r#"stroke="{GREY}""#));
    let middle = 0.5 * (TOTALS.0 + TOTALS.1);
    canvas.text((middle, bottom + 42.0), Style::new(13.0, INK, Anchor::Middle), currency);
}

/// A logarithmic axis of ratios that holds 1.
#[derive(Clone, Copy, Debug)]
struct LogAxis {
    low: f64,
    high: f64,
    scale: Scale,
}

impl LogAxis {
    /// From the fifth to the ninety-fifth percentiles of all rows and a little more; what lies beyond is drawn at the edge.
    fn of(rows: &[CompareRow]) -> Self {
        let boxes = || rows.iter().filter_map(|row| row.ratios.as_ref());
        let low = boxes().map(|b| b.p5).filter(|x| *x > 0.0).fold(0.8_f64, f64::min) / 1.4;
        let high = boxes().map(|b| b.p95).filter(|x| x.is_finite()).fold(1.25_f64, f64::max) * 1.4;
        let (low, high) = (low.max(1.0 / FARTHEST), high.min(FARTHEST));
        Self { low, high, scale: Scale::new((ln(low), ln(high)), RATIOS) }
    }

    fn at(&self, ratio: f64) -> f64 {
        self.scale.at(ln(ratio.clamp(self.low, self.high)))
    }

    /// 1, 2 and 5 times powers of ten, or the powers alone where those are many.
    fn ticks(&self) -> Vec<f64> {
        let powers = [0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0];
        let all = powers.iter().flat_map(|power| [1.0, 2.0, 5.0].map(|m| m * power));
        let inside: Vec<f64> = all.filter(|x| *x >= self.low && *x <= self.high).collect();
        if inside.len() <= 9 {
            return inside;
        }
        powers.into_iter().filter(|x| *x >= self.low && *x <= self.high).collect()
    }

    fn draw(&self, canvas: &mut Canvas, bottom: f64, base: &str) {
        for tick in self.ticks() {
            let x = self.at(tick);
            canvas.line((x, TOP), (x, bottom), &format!(r#"stroke="{FAINT}""#));
            canvas.text((x, bottom + 18.0), Style::new(11.0, GREY, Anchor::Middle), &trim(tick));
        }
        let one = self.at(1.0);
        canvas.line(
            (one, TOP),
            (one, bottom),
            &format!(r#"stroke="{INK}" stroke-width="1.2" stroke-dasharray="4 3""#),
        );
        let middle = 0.5 * (RATIOS.0 + RATIOS.1);
        let name = format!("times the initial margin of {base} (logarithmic)");
        canvas.text((middle, bottom + 42.0), Style::new(13.0, INK, Anchor::Middle), &name);
    }

    /// A box with its whiskers, its median and its extremes, about the height `y`.
    fn boxed(&self, canvas: &mut Canvas, ratios: &RatioBox, y: f64) {
        let line = format!(r#"stroke="{INK}" stroke-width="1.2""#);
        let (p5, p95) = (self.at(ratios.p5), self.at(ratios.p95));
        canvas.line((p5, y), (p95, y), &line);
        for x in [p5, p95] {
            canvas.line((x, y - 5.0), (x, y + 5.0), &line);
        }
        let (p25, p75) = (self.at(ratios.p25), self.at(ratios.p75));
        let frame = Frame { x: p25, y: y - 9.0, width: (p75 - p25).max(1.5), height: 18.0 };
        canvas.rect(frame, &format!(r#"fill="{MM}" stroke="{INK}" stroke-width="1""#));
        let median = self.at(ratios.median);
        canvas.line(
            (median, y - 12.0),
            (median, y + 12.0),
            &format!(r#"stroke="{MEDIAN}" stroke-width="3""#),
        );
        for x in [ratios.min, ratios.max] {
            self.extreme(canvas, x, y);
        }
    }

    /// An extreme: a dot, or beyond an edge an arrow outside it.
    fn extreme(&self, canvas: &mut Canvas, ratio: f64, y: f64) {
        let x = self.at(ratio);
        let outward = match ratio {
            r if r < self.low => -1.0,
            r if r > self.high => 1.0,
            _ => {
                canvas.circle((x, y), 2.6, &format!(r##"fill="#ffffff" stroke="{INK}" stroke-width="1""##));
                return;
            }
        };
        let points = [(x + 4.0 * outward, y - 4.5), (x + 9.0 * outward, y), (x + 4.0 * outward, y + 4.5)];
        canvas.path(&points, &format!(r#"fill="none" stroke="{INK}" stroke-width="1.4""#));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(rows: Vec<CompareRow>) -> ComparePicture {
        ComparePicture { title: "a<b".to_owned(), note: String::new(), currency: "USD".to_owned(), rows }
    }

    fn row(label: &str, im: f64, ratios: Option<RatioBox>) -> CompareRow {
        CompareRow { label: label.to_owned(), note: "n".to_owned(), totals: Some((im, 0.8 * im)), ratios }
    }

    #[test]
    fn every_method_has_a_row_with_its_total_and_ratios_of_zero_stay_on_the_page() {
        let wide = RatioBox { min: 0.0, p5: 0.0, p25: 0.5, median: 1.5, p75: 3.0, p95: 20.0, max: 1e9 };
        let rows = vec![
            row("fixed", 1_234_567.0, None),
            row("span & co", 45_100.0, Some(wide)),
            row("none", 0.0, None),
        ];
        let svg = comparison(&picture(rows));
        assert!(svg.contains("1.23M") && svg.contains("45.1k") && svg.contains("span &amp; co"), "{svg}");
        assert!(svg.contains("times the initial margin of fixed") && svg.contains("no account with a ratio"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn the_axis_holds_one_in_its_place_on_a_logarithmic_scale() {
        let half = RatioBox { min: 0.1, p5: 0.25, p25: 0.5, median: 1.0, p75: 2.0, p95: 4.0, max: 8.0 };
        let axis = LogAxis::of(&[row("a", 1.0, Some(half))]);
        let step = axis.at(2.0) - axis.at(1.0);
        assert!((axis.at(1.0) - axis.at(0.5) - step).abs() < 1e-9 && step > 0.0);
        assert!((axis.at(1.0) - 0.5 * (RATIOS.0 + RATIOS.1)).abs() < 1e-9);
        assert_eq!(axis.ticks(), [0.2, 0.5, 1.0, 2.0, 5.0]);
    }
}
