//! Heat maps: profit and loss over spot and volatility.

use super::canvas::{
    Anchor, Canvas, Frame, GREY, INK, Scale, Style, compact, diverging, grouped, signed_percent,
};

/// Profit and loss of one account over a grid.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct HeatPicture {
    /// `put-seller-0012`.
    pub(crate) title: String,
    /// The currency of `pnl`.
    pub(crate) currency: String,
    /// Relative moves of spot, rising.
    pub(crate) spot: Vec<f64>,
    /// Relative moves of volatility, rising.
    pub(crate) vol: Vec<f64>,
    /// Gain > 0: `pnl[vol][spot]`.
    pub(crate) pnl: Vec<Vec<f64>>,
    /// The worst cell as (vol, spot).
    pub(crate) worst: (usize, usize),
}

const PLOT: Frame = Frame { x: 92.0, y: 78.0, width: 780.0, height: 330.0 };
const PAGE: (f64, f64) = (990.0, 490.0);

/// The picture: red is loss, blue is gain, the worst cell outlined and named.
pub(crate) fn heat_map(picture: &HeatPicture) -> String {
    let mut canvas = Canvas::new(PAGE.0, PAGE.1);
    let size = picture.pnl.iter().flatten().fold(0.0_f64, |m, x| m.max(x.abs()));
    let size = if size > 0.0 && size.is_finite() { size } else { 1.0 };
    head(&mut canvas, picture);
    cells(&mut canvas, picture, size);
    outline(&mut canvas, picture);
    axes(&mut canvas, picture);
    colour_bar(&mut canvas, size, &picture.currency);
    canvas.finish(&format!("Profit and loss of {} over spot and volatility", picture.title))
}

/// Width and height of a cell.
fn cell(picture: &HeatPicture) -> (f64, f64) {
    (PLOT.width / picture.spot.len().max(1) as f64, PLOT.height / picture.vol.len().max(1) as f64)
}

/// The frame of the cell in row `vol` (lowest at the bottom) and column `spot`.
fn place(picture: &HeatPicture, vol: usize, spot: usize) -> Frame {
    let (width, height) = cell(picture);
    let bottom = PLOT.y + PLOT.height;
    Frame { x: PLOT.x + spot as f64 * width, y: bottom - (vol + 1) as f64 * height, width, height }
}

fn head(canvas: &mut Canvas, picture: &HeatPicture) {
    let title = format!("Profit and loss of {}", picture.title);
    canvas.text((PLOT.x, 32.0), Style::new(18.0, INK, Anchor::Start).bold(), &title);
    let (vol, spot) = picture.worst;
    let at =
        (picture.pnl.get(vol).and_then(|row| row.get(spot)), picture.spot.get(spot), picture.vol.get(vol));
    if let (Some(pnl), Some(spot), Some(vol)) = at {
        let text = format!(
            "worst: {} {} at spot {}, volatility {}",
            grouped(*pnl),
            picture.currency,
            signed_percent(*spot),
            signed_percent(*vol)
        );
        canvas.text((PLOT.x, 54.0), Style::new(13.0, GREY, Anchor::Start), &text);
    }
}

fn cells(canvas: &mut Canvas, picture: &HeatPicture, size: f64) {
    let (width, height) = cell(picture);
    let font = (width / 4.6).min(height / 2.2).min(11.0);
    for (vol, row) in picture.pnl.iter().enumerate() {
        for (spot, pnl) in row.iter().enumerate() {
            let frame = place(picture, vol, spot);
            let (colour, light) = diverging(pnl / size);
            canvas.rect(frame, &format!(r#"fill="{colour}" stroke="{colour}" stroke-width="0.3""#));
            if font >= 6.5 {
                let fill = if light { "#ffffff" } else { INK };
                let centre = (frame.x + 0.5 * width, frame.y + 0.5 * height + 0.35 * font);
                canvas.text(centre, Style::new(font, fill, Anchor::Middle), &compact(*pnl));
            }
        }
    }
}

fn outline(canvas: &mut Canvas, picture: &HeatPicture) {
    let (vol, spot) = picture.worst;
    if vol >= picture.vol.len() || spot >= picture.spot.len() {
        return;
    }
    let frame = place(picture, vol, spot);
    canvas.rect(frame, r##"fill="none" stroke="#ffffff" stroke-width="4.5""##);
    canvas.rect(frame, r##"fill="none" stroke="#000000" stroke-width="2.2""##);
    let above = frame.y - PLOT.y > 1.0;
    let y = if above { frame.y - 6.0 } else { PLOT.y - 6.0 };
    let (x, anchor) = match frame.x + 0.5 * frame.width {
        x if x < PLOT.x + 20.0 => (PLOT.x, Anchor::Start),
        x if x > PLOT.x + PLOT.width - 20.0 => (PLOT.x + PLOT.width, Anchor::End),
        x => (x, Anchor::Middle),
    };
    if above {
        let halo = Frame { x: x - 20.0, y: y - 10.5, width: 40.0, height: 14.0 };
        let shift = match anchor {
            Anchor::Start => 20.0,
            Anchor::Middle => 0.0,
            Anchor::End => -20.0,
        };
        canvas.rect(Frame { x: halo.x + shift, ..halo }, r##"fill="#ffffff" fill-opacity="0.9" rx="2""##);
    }
    canvas.text((x, y), Style::new(12.0, "#000000", anchor).bold(), "worst");
}

fn axes(canvas: &mut Canvas, picture: &HeatPicture) {
    let (width, height) = cell(picture);
    let bottom = PLOT.y + PLOT.height;
    let label = Style::new(11.5, GREY, Anchor::Middle);
    let every = (44.0 / width).ceil().max(1.0);
    let anchor = picture.spot.iter().position(|s| s.abs() < 1e-9).unwrap_or(0) as f64;
    for (i, spot) in picture.spot.iter().enumerate() {
        let from_zero = (i as f64 - anchor) / every;
        if (from_zero - from_zero.round()).abs() < 1e-9 {
            let x = PLOT.x + (i as f64 + 0.5) * width;
            canvas.line((x, bottom), (x, bottom + 5.0), &format!(r#"stroke="{GREY}""#));
            canvas.text((x, bottom + 19.0), label, &signed_percent(*spot));
        }
    }
    let every = (16.0 / height).ceil().max(1.0);
    for (i, vol) in picture.vol.iter().enumerate() {
        let place = i as f64 / every;
        if (place - place.round()).abs() < 1e-9 {
            let y = bottom - (i as f64 + 0.5) * height;
            canvas.line((PLOT.x - 5.0, y), (PLOT.x, y), &format!(r#"stroke="{GREY}""#));
            let style = Style { anchor: Anchor::End, ..label };
            canvas.text((PLOT.x - 9.0, y + 4.0), style, &signed_percent(*vol));
        }
    }
    let name = Style::new(13.0, INK, Anchor::Middle);
    canvas.text((PLOT.x + 0.5 * PLOT.width, bottom + 46.0), name, "relative move of spot");
    let middle = (26.0, PLOT.y + 0.5 * PLOT.height);
    canvas.turned_text(middle, name, "relative move of volatility", -90.0);
}

fn colour_bar(canvas: &mut Canvas, size: f64, currency: &str) {
    let x = PLOT.x + PLOT.width + 22.0;
    let scale = Scale::new((-size, size), (PLOT.y + PLOT.height, PLOT.y));
    let steps = 60;
    let height = PLOT.height / f64::from(steps);
    for i in 0..steps {
        let value = 1.0 - 2.0 * (f64::from(i) + 0.5) / f64::from(steps);
        let (colour, _) = diverging(value);
        let frame = Frame { x, y: PLOT.y + f64::from(i) * height, width: 16.0, height: height + 0.4 };
        canvas.rect(frame, &format!(r#"fill="{colour}""#));
    }
    for tick in scale.ticks(6) {
        let y = scale.at(tick);
        canvas.line((x + 16.0, y), (x + 20.0, y), &format!(r#"stroke="{GREY}""#));
        canvas.text((x + 24.0, y + 4.0), Style::new(11.0, GREY, Anchor::Start), &compact(tick));
    }
    canvas.text((x, PLOT.y - 8.0), Style::new(11.0, GREY, Anchor::Start), currency);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worst_cell_is_outlined_and_named() {
        let picture = HeatPicture {
            title: "a&b".to_owned(),
            currency: "USD".to_owned(),
            spot: vec![-0.1, 0.0, 0.1],
            vol: vec![0.0, 0.5],
            pnl: vec![vec![-10.0, 0.0, 10.0], vec![-12_345.0, -2.0, 7.0]],
            worst: (1, 0),
        };
        let svg = heat_map(&picture);
        assert!(svg.contains("worst: −12\u{202f}345 USD at spot −10 %, volatility +50 %"));
        assert_eq!(svg.matches(r##"stroke="#000000""##).count(), 1);
        assert!(svg.contains("a&amp;b") && !svg.contains("NaN"));
    }
}
