//! Smiles: one panel per expiry with quotes and the fitted curve.

use super::canvas::{Anchor, Canvas, FAINT, Frame, GREY, INK, Scale, Style, percent, trim};

/// One strike.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct SmilePoint {
    /// `ln(strike/forward)`.
    pub(crate) k: f64,
    /// Volatility of the bid, decimal.
    pub(crate) bid_vol: Option<f64>,
    /// Volatility of the ask.
    pub(crate) ask_vol: Option<f64>,
    /// The venue's mark volatility.
    pub(crate) mark_vol: Option<f64>,
}

/// One expiry.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SmilePanel {
    /// `2026-03-27, 71.0 d`.
    pub(crate) title: String,
    /// `RMSE 0.31 vol pts`.
    pub(crate) note: String,
    /// Quotes.
    pub(crate) points: Vec<SmilePoint>,
    /// The fitted smile as (k, vol).
    pub(crate) curve: Vec<(f64, f64)>,
}

/// One underlying.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct SmilePicture {
    /// `BTC, 15 January 2026 10:00 UTC`.
    pub(crate) title: String,
    /// What else there is to say: refused expiries, one line each.
    pub(crate) notes: Vec<String>,
    /// One panel per expiry, in order of time.
    pub(crate) panels: Vec<SmilePanel>,
}

const COLUMNS: usize = 3;
const PANEL: (f64, f64) = (348.0, 232.0);
const MARGIN: f64 = 28.0;
const HEAD: f64 = 64.0;
const QUOTE: &str = "#7d8a99";
const MARK: &str = "#0072b2";
const CURVE: &str = "#d55e00";

/// Small multiples of all underlyings, one block after the other.
pub(crate) fn smiles(pictures: &[SmilePicture]) -> String {
    let height = |p: &SmilePicture| {
        HEAD + p.panels.len().div_ceil(COLUMNS) as f64 * PANEL.1 + p.notes.len() as f64 * 15.0 + 14.0
    };
    let total = pictures.iter().map(height).sum::<f64>().max(HEAD) + 10.0;
    let mut canvas = Canvas::new(2.0 * MARGIN + COLUMNS as f64 * PANEL.0, total);
    let mut top = 6.0;
    for (index, picture) in pictures.iter().enumerate() {
        block(&mut canvas, picture, index, top);
        top += height(picture);
    }
    canvas.finish("Implied volatility smiles: quotes and fit per expiry")
}

fn block(canvas: &mut Canvas, picture: &SmilePicture, index: usize, top: f64) {
    canvas.text((MARGIN, top + 28.0), Style::new(18.0, INK, Anchor::Start).bold(), &picture.title);
    let subtitle = "implied volatility against log-moneyness k = ln(K/F), per expiry";
    canvas.text((MARGIN, top + 46.0), Style::new(12.0, GREY, Anchor::Start), subtitle);
    legend(canvas, 2.0 * MARGIN + COLUMNS as f64 * PANEL.0 - MARGIN, top + 24.0);
    for (i, panel) in picture.panels.iter().enumerate() {
        let (column, row) = (i % COLUMNS, i / COLUMNS);
        let frame = Frame {
            x: MARGIN + column as f64 * PANEL.0,
            y: top + HEAD + row as f64 * PANEL.1,
            width: PANEL.0,
            height: PANEL.1,
        };
        draw_panel(canvas, panel, frame, &format!("panel-{index}-{i}"));
    }
    let rows = picture.panels.len().div_ceil(COLUMNS) as f64;
    for (i, note) in picture.notes.iter().enumerate() {
        let y = top + HEAD + rows * PANEL.1 + 12.0 + i as f64 * 15.0;
        canvas.text((MARGIN, y), Style::new(11.0, GREY, Anchor::Start), note);
    }
}

/// The three signs, right-aligned.
fn legend(canvas: &mut Canvas, right: f64, y: f64) {
    let label = Style::new(12.0, INK, Anchor::Start);
    let at = [right - 270.0, right - 165.0, right - 65.0];
    bar(canvas, at[0], (y - 9.0, y + 2.0));
    canvas.text((at[0] + 9.0, y), label, "bid to ask");
    canvas.circle((at[1], y - 4.0), 2.6, &format!(r#"fill="{MARK}""#));
    canvas.text((at[1] + 9.0, y), label, "venue mark");
    canvas.line((at[2] - 14.0, y - 4.0), (at[2] + 4.0, y - 4.0), &curve_style());
    canvas.text((at[2] + 9.0, y), label, "fitted");
}

fn curve_style() -> String {
    format!(r#"fill="none" stroke="{CURVE}" stroke-width="1.8" stroke-linejoin="round""#)
}

/// A quote as a bar with caps.
fn bar(canvas: &mut Canvas, x: f64, (top, bottom): (f64, f64)) {
    let style = format!(r#"stroke="{QUOTE}" stroke-width="1.2""#);
    canvas.line((x, top), (x, bottom), &style);
    for y in [top, bottom] {
        canvas.line((x - 2.2, y), (x + 2.2, y), &style);
    }
}

fn draw_panel(canvas: &mut Canvas, panel: &SmilePanel, frame: Frame, id: &str) {
    let plot = Frame {
        x: frame.x + 40.0,
        y: frame.y + 24.0,
        width: frame.width - 62.0,
        height: frame.height - 64.0,
    };
    let right = plot.x + plot.width;
    heading(canvas, panel, (plot.x, right), plot.y - 8.0);
    let x = Scale::new(widened(k_range(panel), 0.04), (plot.x, right));
    let y = Scale::new(widened(vol_range(panel), 0.08), (plot.y + plot.height, plot.y));
    axes(canvas, &x, &y, plot);
    canvas.open_clip(id, plot);
    for point in &panel.points {
        let at = x.at(point.k);
        match (point.bid_vol, point.ask_vol) {
            (Some(bid), Some(ask)) => bar(canvas, at, (y.at(ask), y.at(bid))),
            (None, Some(ask)) => one_sided(canvas, (at, y.at(ask)), 4.0),
            (Some(bid), None) => one_sided(canvas, (at, y.at(bid)), -4.0),
            (None, None) => {}
        }
    }
    for point in &panel.points {
        if let Some(mark) = point.mark_vol {
            let dot = format!(r#"fill="{MARK}" fill-opacity="0.85""#);
            canvas.circle((x.at(point.k), y.at(mark)), 2.0, &dot);
        }
    }
    let curve: Vec<(f64, f64)> = panel.curve.iter().map(|(k, vol)| (x.at(*k), y.at(*vol))).collect();
    canvas.path(&curve, &curve_style());
    canvas.close_clip();
}

/// Title on the left and note on the right, smaller where they would touch.
fn heading(canvas: &mut Canvas, panel: &SmilePanel, (left, right): (f64, f64), y: f64) {
    let sizes = fitted((&panel.title, &panel.note), right - left);
    canvas.text((left, y), Style::new(sizes.0, INK, Anchor::Start).bold(), &panel.title);
    canvas.text((right, y), Style::new(sizes.1, GREY, Anchor::End), &panel.note);
}

/// Sizes of a bold and a plain text that stand side by side in `width`. A character is taken to be as wide as a digit
/// of the widest common font (DejaVu Sans: 0.70 of the size when bold, 0.64 plain), since the font is the reader's.
fn fitted((bold, plain): (&str, &str), width: f64) -> (f64, f64) {
    const SIZES: (f64, f64) = (12.5, 11.0);
    const GAP: f64 = 8.0;
    let needed = |text: &str, size: f64| text.chars().count() as f64 * size;
    let both = needed(bold, 0.70 * SIZES.0) + needed(plain, 0.64 * SIZES.1);
    let share = ((width - GAP) / both).min(1.0);
    (SIZES.0 * share, SIZES.1 * share)
}

/// A quote with one side: a cap with a stem that points where the other side would be.
fn one_sided(canvas: &mut Canvas, (x, y): (f64, f64), stem: f64) {
    let style = format!(r#"stroke="{QUOTE}" stroke-width="1.1" stroke-opacity="0.6""#);
    canvas.line((x - 2.2, y), (x + 2.2, y), &style);
    canvas.line((x, y), (x, y + stem), &style);
}

fn axes(canvas: &mut Canvas, x: &Scale, y: &Scale, plot: Frame) {
    let bottom = plot.y + plot.height;
    let label = Style::new(10.5, GREY, Anchor::End);
    for tick in y.ticks(4) {
        let at = y.at(tick);
        canvas.line((plot.x, at), (plot.x + plot.width, at), &format!(r#"stroke="{FAINT}""#));
        canvas.text((plot.x - 5.0, at + 3.5), label, &percent(tick));
    }
    for tick in x.ticks(5) {
        let at = x.at(tick);
        let stroke = if tick == 0.0 { GREY } else { FAINT };
        let dash = if tick == 0.0 { r#" stroke-dasharray="2 3""# } else { "" };
        canvas.line((at, plot.y), (at, bottom), &format!(r#"stroke="{stroke}"{dash}"#));
        canvas.text((at, bottom + 14.0), Style { anchor: Anchor::Middle, ..label }, &trim(tick));
    }
    canvas.line((plot.x, bottom), (plot.x + plot.width, bottom), &format!(r#"stroke="{GREY}""#));
}

fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    values.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
}

fn widened((low, high): (f64, f64), share: f64) -> (f64, f64) {
    let more = share * (high - low);
    (low - more, high + more)
}

fn k_range(panel: &SmilePanel) -> (f64, f64) {
    let points = panel.points.iter().map(|p| p.k);
    if panel.points.is_empty() { range(panel.curve.iter().map(|c| c.0)) } else { range(points) }
}

/// What the curve and the marks span, and quotes that do not go far beyond: a wide wing quote is cut off.
fn vol_range(panel: &SmilePanel) -> (f64, f64) {
    let (left, right) = k_range(panel);
    let curve = panel.curve.iter().filter(|c| c.0 >= left && c.0 <= right).map(|c| c.1);
    let core = range(curve.chain(panel.points.iter().filter_map(|p| p.mark_vol)));
    if !(core.0.is_finite() && core.1.is_finite()) {
        return range(panel.points.iter().flat_map(|p| [p.bid_vol, p.ask_vol]).flatten());
    }
    let slack = 0.25 * (core.1 - core.0) + 0.01;
    let sides = panel.points.iter().flat_map(|p| [p.bid_vol, p.ask_vol]).flatten();
    let near = range(sides.filter(|v| *v > core.0 - slack && *v < core.1 + slack));
    (core.0.min(near.0), core.1.max(near.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_has_a_panel_per_expiry_and_its_text_is_escaped() {
        let point = SmilePoint { k: 0.0, bid_vol: Some(0.4), ask_vol: Some(0.42), mark_vol: Some(0.41) };
        let panel = SmilePanel {
            title: "a < b".to_owned(),
            note: String::new(),
            points: vec![point, SmilePoint { k: 0.2, bid_vol: None, ask_vol: Some(0.5), mark_vol: None }],
            curve: vec![(0.0, 0.41), (0.2, 0.45)],
        };
        let picture =
            SmilePicture { title: "BTC".to_owned(), notes: vec!["x".to_owned()], panels: vec![panel; 4] };
        let svg = smiles(&[picture.clone(), picture]);
        assert_eq!(svg.matches("<clipPath").count(), 8);
        assert!(svg.contains("a &lt; b") && !svg.contains("a < b"));
        assert!(svg.starts_with("<svg xmlns") && svg.trim_end().ends_with("</svg>"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn a_title_and_a_note_never_touch() {
        for (title, note) in [
            ("2026-06-26, 140.4 d", "RMSE 3.01 vol pts"),
            ("2026-06-26, 1140.4 d", "RMSE 13.01 vol points"),
            ("x", "y"),
        ] {
            let (bold, plain) = fitted((title, note), PANEL.0 - 62.0);
            let wide = 0.70 * bold * title.len() as f64 + 0.64 * plain * note.len() as f64;
            assert!(wide <= PANEL.0 - 62.0 - 7.9 && plain > 8.0, "{title} {note}: {wide}");
        }
        assert_eq!(fitted(("", ""), 286.0), (12.5, 11.0));
    }

    #[test]
    fn a_panel_without_anything_in_it_is_still_drawn() {
        let empty = SmilePanel { title: String::new(), note: String::new(), points: vec![], curve: vec![] };
        let svg = smiles(&[SmilePicture { title: String::new(), notes: vec![], panels: vec![empty] }]);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
