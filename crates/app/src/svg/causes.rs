//! What moved a parameter: for each stretch of time the rises and the falls of its logarithm, split by cause, up and down from zero.

use super::canvas::{Anchor, Canvas, Frame, GREY, INK, Scale, Style, percent};

/// Contributions by stretch and cause.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CausePicture {
    /// Title.
    pub(crate) title: String,
    /// What is to be read from it.
    pub(crate) note: String,
    /// Names of the causes.
    pub(crate) causes: Vec<String>,
    /// Name of each stretch, and by how much each cause raised and lowered the logarithm in it: >= 0 and <= 0.
    pub(crate) stretches: Vec<(String, Vec<(f64, f64)>)>,
}

const SIZE: (f64, f64) = (1100.0, 360.0);
/// Told apart by common colour blindness (Okabe and Ito), then greys and darker tones: as many as a policy has causes.
const COLOURS: [&str; 16] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#7a5195", "#999999", "#4d4d4d",
    "#c7c7c7", "#882255", "#b5a642", "#003f5c", "#8c510a", "#a6d8c8", "#f4b6a6",
];

/// Draws it.
pub(crate) fn causes(picture: &CausePicture) -> String {
    let mut canvas = Canvas::new(SIZE.0, SIZE.1);
    let plot = Frame { x: 64.0, y: 104.0, width: SIZE.0 - 90.0, height: SIZE.1 - 148.0 };
    canvas.text((24.0, 30.0), Style::new(17.0, INK, Anchor::Start).bold(), &picture.title);
    canvas.text((24.0, 48.0), Style::new(11.5, GREY, Anchor::Start), &picture.note);
    let sums = |sign: f64| {
        let side = |(up, down): &(f64, f64)| if sign > 0.0 { *up } else { -down };
        let of = |parts: &Vec<(f64, f64)>| parts.iter().map(side).sum::<f64>();
        picture.stretches.iter().map(|(_, parts)| of(parts)).fold(0.0, f64::max)
    };
    let y = Scale::new((-1.05 * sums(-1.0), 1.05 * sums(1.0)), (plot.y + plot.height, plot.y));
    canvas.levels(plot, &y, 7, percent);
    let width = plot.width / picture.stretches.len().max(1) as f64;
    let every = picture.stretches.len().div_ceil(12).max(1);
    for (i, (name, parts)) in picture.stretches.iter().enumerate() {
        let x = plot.x + width * i as f64;
        let (mut up, mut down) = (0.0, 0.0);
        let both = parts.iter().enumerate().flat_map(|(cause, (up, down))| [(cause, up), (cause, down)]);
        for (cause, part) in both {
            let from = if *part > 0.0 { &mut up } else { &mut down };
            let (start, end) = (*from, *from + part);
            *from = end;
            let (top, low) = (y.at(start.max(end)), y.at(start.min(end)));
            let frame =
                Frame { x: x + 0.1 * width, y: top, width: 0.8 * width, height: (low - top).max(0.0) };
            if frame.height > 0.05 {
                canvas.rect(frame, &format!(r#"fill="{}""#, COLOURS[cause % COLOURS.len()]));
            }
        }
        let net = y.at(parts.iter().map(|(up, down)| up + down).sum());
        canvas.line((x, net), (x + width, net), &format!(r#"stroke="{INK}" stroke-width="2""#));
        if i.is_multiple_of(every) {
            let at = (x, plot.y + plot.height + 16.0);
            canvas.text(at, Style::new(11.0, GREY, Anchor::Start), name);
        }
    }
    canvas.zero(plot, &y);
    legend(&mut canvas, picture, plot);
    canvas.finish(&picture.title)
}

/// In as many rows as it takes, two at most.
fn legend(canvas: &mut Canvas, picture: &CausePicture, plot: Frame) {
    let (mut x, mut y) = (plot.x, plot.y - 27.0);
    let mut place = |name: &str| {
        let width = 30.0 + 6.0 * name.chars().count() as f64;
        if x + width > SIZE.0 && x > plot.x {
            (x, y) = (plot.x, y + 16.0);
        }
        x += width;
        (x - width, y)
    };
    for (i, name) in picture.causes.iter().enumerate() {
        let (x, y) = place(name);
        let frame = Frame { x, y: y - 9.0, width: 10.0, height: 10.0 };
        canvas.rect(frame, &format!(r#"fill="{}""#, COLOURS[i % COLOURS.len()]));
        canvas.text((x + 14.0, y), Style::new(11.0, INK, Anchor::Start), name);
    }
    let (x, y) = place("all of it");
    canvas.line((x, y - 4.0), (x + 12.0, y - 4.0), &format!(r#"stroke="{INK}" stroke-width="2""#));
    canvas.text((x + 16.0, y), Style::new(11.0, INK, Anchor::Start), "all of it");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_part_is_a_box_on_its_side() {
        let picture = CausePicture {
            title: "Causes".to_owned(),
            note: String::new(),
            causes: vec!["now".to_owned(), "stress".to_owned()],
            stretches: vec![
                ("2020".to_owned(), vec![(0.2, -0.1), (0.0, -0.1)]),
                ("2021".to_owned(), vec![(0.0, -0.3), (0.0, 0.0)]),
            ],
        };
        let text = causes(&picture);
        // Page, two of the legend, four parts that are not zero: what one cause raised and lowered is not set off.
        assert_eq!(text.matches("<rect").count(), 7);
    }
}
