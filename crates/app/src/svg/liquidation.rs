//! Liquidation surfaces: where in spot and volatility an account's maintenance excess is zero, per day ahead.

use super::canvas::{
    Anchor, Canvas, DASHES, FAINT, Frame, GREY, INK, ORDERED, Scale, Style, signed_percent, trim,
};

/// The boundary at one move of volatility.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct BoundaryPoint {
    /// Relative move of volatility.
    pub(crate) vol: f64,
    /// Relative move of spot at which the account is liquidatable on the way down; none in range.
    pub(crate) down: Option<f64>,
    /// The same on the way up.
    pub(crate) up: Option<f64>,
}

/// The boundary at one number of days ahead.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Boundary {
    /// Days ahead.
    pub(crate) days: f64,
    /// In rising order of volatility.
    pub(crate) points: Vec<BoundaryPoint>,
}

/// A place on the surface.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct MarkedPoint {
    /// Relative move of spot.
    pub(crate) spot: f64,
    /// Relative move of volatility.
    pub(crate) vol: f64,
    /// Days ahead.
    pub(crate) days: f64,
}

/// One account's surface.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct LiquidationPicture {
    /// `put-seller-0012`.
    pub(crate) title: String,
    /// Largest relative move of spot that was searched.
    pub(crate) spot_max: f64,
    /// One per number of days.
    pub(crate) boundaries: Vec<Boundary>,
    /// The nearest point of the boundary; none in range.
    pub(crate) nearest: Option<MarkedPoint>,
}

const PLOT: Frame = Frame { x: 88.0, y: 84.0, width: 660.0, height: 360.0 };
/// Of what is liquidatable now.
const SHADE: &str = "#f9e4e6";
const PAGE: (f64, f64) = (920.0, 520.0);

/// The picture: one pair of curves per day ahead; between a pair the account stands.
pub(crate) fn liquidation(picture: &LiquidationPicture) -> String {
    let mut canvas = Canvas::new(PAGE.0, PAGE.1);
    let x = Scale::new((-picture.spot_max, picture.spot_max), (PLOT.x, PLOT.x + PLOT.width));
    let vols = picture.boundaries.iter().flat_map(|b| &b.points).map(|p| p.vol);
    let (low, high) = vols.fold((0.0_f64, 0.0_f64), |(low, high), v| (low.min(v), high.max(v)));
    let more = 0.06 * (high - low);
    let y = Scale::new((low - more, high + more), (PLOT.y + PLOT.height, PLOT.y));
    head(&mut canvas, picture);
    canvas.open_clip("shade", PLOT);
    if let Some(now) = picture.boundaries.first() {
        shade(&mut canvas, now, &x, &y);
    }
    canvas.close_clip();
    axes(&mut canvas, &x, &y);
    canvas.open_clip("plot", PLOT);
    for (i, boundary) in picture.boundaries.iter().enumerate() {
        curves(&mut canvas, boundary, (&x, &y), i);
    }
    canvas.close_clip();
    legend(&mut canvas, picture);
    markers(&mut canvas, picture, &x, &y);
    canvas.finish(&format!("Liquidation surface of {}", picture.title))
}

fn head(canvas: &mut Canvas, picture: &LiquidationPicture) {
    let title = format!("Liquidation surface of {}", picture.title);
    canvas.text((PLOT.x, 32.0), Style::new(18.0, INK, Anchor::Start).bold(), &title);
    let text = match picture.nearest {
        Some(at) if at.spot == 0.0 && at.vol == 0.0 && at.days == 0.0 => "liquidatable now".to_owned(),
        Some(at) => format!(
            "nearest point: spot {}, volatility {}, {}",
            signed_percent(at.spot),
            signed_percent(at.vol),
            when(at.days)
        ),
        None => {
            format!("no point within \u{b1}{} of spot", signed_percent(picture.spot_max).replace('+', ""))
        }
    };
    canvas.text((PLOT.x, 54.0), Style::new(13.0, GREY, Anchor::Start), &text);
}

fn when(days: f64) -> String {
    if days == 0.0 {
        "now".to_owned()
    } else if days == 1.0 {
        "in 1 day".to_owned()
    } else {
        format!("in {} days", trim(days))
    }
}

fn axes(canvas: &mut Canvas, x: &Scale, y: &Scale) {
    let bottom = PLOT.y + PLOT.height;
    let label = Style::new(11.5, GREY, Anchor::Middle);
    for tick in x.ticks(8) {
        let at = x.at(tick);
        canvas.line((at, PLOT.y), (at, bottom), &format!(r#"stroke="{FAINT}""#));
        canvas.text((at, bottom + 18.0), label, &signed_percent(tick));
    }
    for tick in y.ticks(7) {
        let at = y.at(tick);
        canvas.line((PLOT.x, at), (PLOT.x + PLOT.width, at), &format!(r#"stroke="{FAINT}""#));
        canvas.text((PLOT.x - 8.0, at + 4.0), Style { anchor: Anchor::End, ..label }, &signed_percent(tick));
    }
    canvas.rect(PLOT, &format!(r#"fill="none" stroke="{GREY}" stroke-width="0.8""#));
    let name = Style::new(13.0, INK, Anchor::Middle);
    canvas.text((PLOT.x + 0.5 * PLOT.width, bottom + 46.0), name, "relative move of spot");
    let middle = (24.0, PLOT.y + 0.5 * PLOT.height);
    canvas.turned_text(middle, name, "relative move of volatility", -90.0);
}

/// What lies beyond the boundary of the first day, faintly; where the account is liquidatable at unchanged spot, all of
/// the row. The colour is solid and the axes come after it, so that areas may overlap.
fn shade(canvas: &mut Canvas, now: &Boundary, x: &Scale, y: &Scale) {
    let fill = format!(r#"fill="{SHADE}" stroke="none""#);
    for pair in now.points.windows(2) {
        let (top, bottom) = (y.at(pair[1].vol), y.at(pair[0].vol));
        for (from, to, edge) in
            [(pair[0].down, pair[1].down, PLOT.x), (pair[0].up, pair[1].up, PLOT.x + PLOT.width)]
        {
            if let (Some(from), Some(to)) = (from, to) {
                let outline = [(edge, bottom), (x.at(from), bottom), (x.at(to), top), (edge, top)];
                canvas.path(&outline, &fill);
            }
        }
    }
    for at in (0..now.points.len()).filter(|at| is_closed(&now.points[*at])) {
        let (top, bottom) = row(&now.points, at, y);
        canvas.rect(Frame { x: PLOT.x, y: top, width: PLOT.width, height: bottom - top }, &fill);
    }
}

/// Top and bottom of the row of a move of volatility: as far as its neighbours where they are liquidatable too, no
/// further where they are not, and to the edge where it has none.
fn row(points: &[BoundaryPoint], at: usize, y: &Scale) -> (f64, f64) {
    let reach = |other: usize| points.get(other).map(|p| if is_closed(p) { p.vol } else { points[at].vol });
    let top = reach(at + 1).map_or(PLOT.y, |vol| y.at(vol));
    let bottom = at.checked_sub(1).and_then(reach).map_or(PLOT.y + PLOT.height, |vol| y.at(vol));
    (top, bottom)
}

/// Whether the account is liquidatable at unchanged spot: both sides are there.
fn is_closed(point: &BoundaryPoint) -> bool {
    point.down == Some(0.0) && point.up == Some(0.0)
}

fn style(index: usize) -> String {
    let at = index % ORDERED.len();
    let (colour, dash) = (ORDERED[at], DASHES[at]);
    format!(
        r#"fill="none" stroke="{colour}" stroke-width="2" stroke-dasharray="{dash}" stroke-linejoin="round""#
    )
}

/// Both sides of one boundary, broken where it leaves the range, with a dot at each point that was computed.
fn curves(canvas: &mut Canvas, boundary: &Boundary, (x, y): (&Scale, &Scale), index: usize) {
    let sides: [fn(&BoundaryPoint) -> Option<f64>; 2] = [|p| p.down, |p| p.up];
    for side in sides {
        let mut run: Vec<(f64, f64)> = Vec::new();
        for (at, point) in boundary.points.iter().enumerate() {
            let Some(spot) = side(point).filter(|_| !is_inside(&boundary.points, at)) else {
                canvas.path(&run, &style(index));
                run.clear();
                continue;
            };
            run.push((x.at(spot), y.at(point.vol)));
            let dot = format!(r#"fill="{}""#, ORDERED[index % ORDERED.len()]);
            canvas.circle((x.at(spot), y.at(point.vol)), 2.2, &dot);
        }
        canvas.path(&run, &style(index));
    }
}

/// Whether a point lies wholly in what is liquidatable: there both sides are at spot 0, and so are its neighbours'.
fn is_inside(points: &[BoundaryPoint], at: usize) -> bool {
    let around = &points[at.saturating_sub(1)..(at + 2).min(points.len())];
    around.iter().all(is_closed)
}

fn legend(canvas: &mut Canvas, picture: &LiquidationPicture) {
    let left = PLOT.x + PLOT.width + 22.0;
    let label = Style::new(12.0, INK, Anchor::Start);
    canvas.text((left, PLOT.y + 10.0), Style::new(12.0, GREY, Anchor::Start), "boundary");
    for (i, boundary) in picture.boundaries.iter().enumerate() {
        let y = PLOT.y + 32.0 + i as f64 * 21.0;
        canvas.line((left, y - 4.0), (left + 28.0, y - 4.0), &style(i));
        canvas.text((left + 36.0, y), label, &when(boundary.days));
    }
    let y = PLOT.y + 44.0 + picture.boundaries.len() as f64 * 21.0;
    present(canvas, (left + 14.0, y - 4.0));
    canvas.text((left + 36.0, y), label, "present");
    if picture.nearest.is_some() {
        ring(canvas, (left + 14.0, y + 17.0));
        canvas.text((left + 36.0, y + 21.0), label, "nearest point");
        let swatch = Frame { x: left, y: y + 33.0, width: 28.0, height: 12.0 };
        canvas.rect(swatch, &format!(r#"fill="{SHADE}""#));
        canvas.text((left + 36.0, y + 43.0), label, "liquidatable now");
    }
}

fn present(canvas: &mut Canvas, at: (f64, f64)) {
    canvas.circle(at, 5.0, &format!(r##"fill="{INK}" stroke="#ffffff" stroke-width="1.5""##));
}

fn ring(canvas: &mut Canvas, at: (f64, f64)) {
    canvas.circle(at, 6.5, r##"fill="none" stroke="#ffffff" stroke-width="5""##);
    canvas.circle(at, 6.5, r##"fill="none" stroke="#d55e00" stroke-width="2.6""##);
}

fn markers(canvas: &mut Canvas, picture: &LiquidationPicture, x: &Scale, y: &Scale) {
    let here = (x.at(0.0), y.at(0.0));
    if let Some(nearest) = picture.nearest {
        let there = (x.at(nearest.spot), y.at(nearest.vol));
        canvas.line(here, there, r##"stroke="#d55e00" stroke-width="1.3" stroke-dasharray="3 3""##);
        ring(canvas, there);
    }
    present(canvas, here);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture(nearest: Option<MarkedPoint>) -> LiquidationPicture {
        let point = |vol, down, up| BoundaryPoint { vol, down, up };
        let points =
            vec![point(-0.5, Some(-0.3), None), point(0.0, Some(-0.2), Some(0.4)), point(1.0, None, None)];
        LiquidationPicture {
            title: "x".to_owned(),
            spot_max: 0.6,
            boundaries: vec![Boundary { days: 0.0, points: points.clone() }, Boundary { days: 7.0, points }],
            nearest,
        }
    }

    #[test]
    fn the_nearest_point_is_named() {
        let svg = liquidation(&picture(Some(MarkedPoint { spot: -0.2, vol: 0.0, days: 0.0 })));
        assert!(svg.contains("nearest point: spot −20 %, volatility 0 %, now"));
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn where_unchanged_spot_is_liquidatable_the_whole_row_is_shaded() {
        let rows = |points: Vec<BoundaryPoint>| {
            let boundaries = vec![Boundary { days: 0.0, points }];
            let nearest = Some(MarkedPoint { spot: 0.0, vol: 0.5, days: 0.0 });
            let picture = LiquidationPicture { boundaries, ..picture(nearest) };
            let whole = format!(r#"width="{:.2}""#, PLOT.width);
            liquidation(&picture).lines().filter(|l| l.contains(SHADE) && l.contains(&whole)).count()
        };
        let point = |vol, down, up| BoundaryPoint { vol, down, up };
        let open = point(0.0, Some(-0.2), None);
        assert_eq!(rows(vec![open]), 0);
        assert_eq!(rows(vec![open, point(0.5, Some(0.0), Some(0.0))]), 1);
        assert_eq!(rows(vec![point(0.5, Some(0.0), Some(0.0))]), 1);
    }

    #[test]
    fn an_account_without_a_boundary_in_range_says_so() {
        assert!(liquidation(&picture(None)).contains("no point within ±60 % of spot"));
    }
}
