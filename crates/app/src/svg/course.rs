//! Amounts over time: lines, marks where something was decided, bands where something was not as it should be.

use super::canvas::{Anchor, BAND, Canvas, FAINT, Frame, GREY, INK, Scale, Style, compact};

/// A line.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CourseLine {
    /// What it is of.
    pub(crate) name: String,
    /// Time in seconds, rising, and amount.
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether it is dashed: the second of a pair, drawn in the colour of the line before it.
    pub(crate) second: bool,
}

/// Lines over one stretch of time.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct CoursePicture {
    /// Title.
    pub(crate) title: String,
    /// What is to be read from it.
    pub(crate) note: String,
    /// Beginning and end, seconds.
    pub(crate) span: (f64, f64),
    /// Lines, in the order of the legend.
    pub(crate) lines: Vec<CourseLine>,
    /// Instants, seconds.
    pub(crate) marks: Vec<f64>,
    /// Stretches, seconds.
    pub(crate) bands: Vec<(f64, f64)>,
    /// Instants to be written on the axis.
    pub(crate) times: Vec<(String, f64)>,
}

const SIZE: (f64, f64) = (1100.0, 330.0);
const MARK: &str = "#7a5195";
/// Told apart by common colour blindness (Okabe and Ito).
const COLOURS: [&str; 7] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#56b4e9", "#4d4d4d"];

/// Draws it.
pub(crate) fn course(picture: &CoursePicture) -> String {
    let mut plot = Frame { x: 74.0, y: 84.0, width: SIZE.0 - 100.0, height: SIZE.1 - 136.0 };
    let (entries, more) = legend(picture, plot);
    plot.y += more;
    let mut canvas = Canvas::new(SIZE.0, SIZE.1 + more);
    canvas.text((24.0, 30.0), Style::new(17.0, INK, Anchor::Start).bold(), &picture.title);
    canvas.text((24.0, 48.0), Style::new(11.5, GREY, Anchor::Start), &picture.note);
    let values = picture.lines.iter().flat_map(|line| line.points.iter().map(|point| point.1));
    let (low, high) = values.fold((0.0_f64, 0.0_f64), |(low, high), x| (low.min(x), high.max(x)));
    let x = Scale::new(picture.span, (plot.x, plot.x + plot.width));
    let y = Scale::new((1.05 * low, 1.05 * high), (plot.y + plot.height, plot.y));
    grid(&mut canvas, picture, plot, (&x, &y));
    for (line, colour) in picture.lines.iter().zip(colours(&picture.lines)) {
        let dash = if line.second { r#" stroke-dasharray="5 3""# } else { "" };
        let style = format!(r#"fill="none" stroke="{colour}" stroke-width="1.6"{dash}"#);
        canvas.path(&thinned(&line.points, (&x, &y)), &style);
    }
    entries.iter().for_each(|entry| entry.draw(&mut canvas));
    canvas.finish(&picture.title)
}

fn colours(lines: &[CourseLine]) -> Vec<&'static str> {
    let mut at = 0;
    let colour = |line: &CourseLine| {
        at += usize::from(!line.second);
        COLOURS[(at.max(1) - 1) % COLOURS.len()]
    };
    lines.iter().map(colour).collect()
}

/// At most the first, the least, the largest and the last point of each unit of the page, so that no peak is lost.
fn thinned(points: &[(f64, f64)], (x, y): (&Scale, &Scale)) -> Vec<(f64, f64)> {
    let mut kept: Vec<(f64, f64)> = Vec::new();
    let placed: Vec<(f64, f64)> = points.iter().map(|(at, value)| (x.at(*at), y.at(*value))).collect();
    for column in placed.chunk_by(|a, b| a.0.floor() == b.0.floor()) {
        let by = |a: &&(f64, f64), b: &&(f64, f64)| a.1.total_cmp(&b.1);
        let least = column.iter().min_by(by);
        let most = column.iter().max_by(by);
        let mut of: Vec<(f64, f64)> =
            [column.first(), least, most, column.last()].into_iter().flatten().copied().collect();
        of.sort_by(|a, b| a.0.total_cmp(&b.0));
        of.dedup();
        kept.extend(of);
    }
    kept
}

fn grid(canvas: &mut Canvas, picture: &CoursePicture, plot: Frame, (x, y): (&Scale, &Scale)) {
    let (right, bottom) = (plot.x + plot.width, plot.y + plot.height);
    canvas.bands(&picture.bands, plot, x);
    canvas.levels(plot, y, 6, compact);
    let faint = format!(r#"stroke="{FAINT}" stroke-width="1""#);
    let inside = picture.times.iter().filter(|(_, at)| *at >= x.domain.0 && *at <= x.domain.1);
    for (name, at) in inside {
        canvas.line((x.at(*at), plot.y), (x.at(*at), bottom), &faint);
        canvas.text((x.at(*at), bottom + 32.0), Style::new(11.0, GREY, Anchor::Middle), name);
    }
    canvas.zero(plot, y);
    let ink = format!(r#"stroke="{MARK}" stroke-width="1""#);
    let mut last = f64::NAN;
    for at in picture.marks.iter().map(|at| x.at(*at).floor() + 0.5) {
        if at != last && at >= plot.x && at <= right + 1.0 {
            canvas.line((at, bottom + 6.0), (at, bottom + 15.0), &ink);
        }
        last = at;
    }
}

/// What stands before a name in the legend.
enum Sample {
    Line(&'static str, bool),
    Mark,
    Band,
}

/// A name of the legend and where it stands.
struct Entry {
    at: (f64, f64),
    of: Sample,
    name: String,
}

impl Entry {
    fn draw(&self, canvas: &mut Canvas) {
        let (x, y) = self.at;
        match self.of {
            Sample::Line(colour, second) => {
                let dash = if second { r#" stroke-dasharray="5 3""# } else { "" };
                let style = format!(r#"stroke="{colour}" stroke-width="2"{dash}"#);
                canvas.line((x, y - 4.0), (x + 20.0, y - 4.0), &style);
            }
            Sample::Mark => {
                let style = format!(r#"stroke="{MARK}" stroke-width="1""#);
                canvas.line((x + 10.0, y - 9.0), (x + 10.0, y), &style);
            }
            Sample::Band => {
                let frame = Frame { x: x + 2.0, y: y - 9.0, width: 16.0, height: 9.0 };
                canvas.rect(frame, &format!(r#"fill="{BAND}""#));
            }
        }
        canvas.text((x + 26.0, y), Style::new(11.0, INK, Anchor::Start), &self.name);
    }
}

/// Height of a row of the legend.
const ROW: f64 = 16.0;

/// In as many rows as it takes, above the plot, and by how much the plot goes down for them.
fn legend(picture: &CoursePicture, plot: Frame) -> (Vec<Entry>, f64) {
    let lines = picture.lines.iter().zip(colours(&picture.lines));
    let mut all: Vec<(Sample, String)> =
        lines.map(|(line, colour)| (Sample::Line(colour, line.second), line.name.clone())).collect();
    if !picture.marks.is_empty() {
        all.push((Sample::Mark, "parameters changed".to_owned()));
    }
    if !picture.bands.is_empty() {
        all.push((Sample::Band, "a feed in doubt".to_owned()));
    }
    let (mut x, mut y) = (plot.x, plot.y - 13.0);
    let mut entries = Vec::new();
    for (of, name) in all {
        let width = 44.0 + 6.2 * name.chars().count() as f64;
        if x + width > SIZE.0 && x > plot.x {
            (x, y) = (plot.x, y + ROW);
        }
        entries.push(Entry { at: (x, y), of, name });
        x += width;
    }
    (entries, y - (plot.y - 13.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_peak_is_lost_and_no_name_leaves_its_text() {
        let points: Vec<(f64, f64)> =
            (0..20_000).map(|i| (f64::from(i), if i == 7_777 { 900.0 } else { 1.0 })).collect();
        let line = |name: &str, second| CourseLine { name: name.to_owned(), points: points.clone(), second };
        let picture = CoursePicture {
            title: "Margins <all>".to_owned(),
            note: String::new(),
            span: (0.0, 20_000.0),
            lines: vec![line("initial", false), line("maintenance", true)],
            marks: vec![1.0, 2.0, 10_000.0],
            bands: vec![(100.0, 200.0)],
            times: vec![("noon".to_owned(), 10_000.0)],
        };
        let text = course(&picture);
        assert!(text.contains("Margins &lt;all&gt;") && text.contains(">noon<"));
        // Both paths rise to within a twentieth of the top of the plot.
        let top = format!(" {:.2}", 84.0 + (330.0 - 136.0) * (1.0 - 1.0 / 1.05));
        assert_eq!(text.matches(&top).count(), 2, "{top}");
        assert!(text.len() < 200_000, "{}", text.len());
        // Two marks on one place are one, and one is in the legend.
        assert_eq!(text.matches(MARK).count(), 3);
    }

    #[test]
    fn a_legend_that_is_too_long_takes_more_rows_and_the_plot_goes_down() {
        let line = |at: usize| CourseLine {
            name: format!("underlying {at}, initial"),
            points: vec![],
            second: false,
        };
        let picture = |count: usize| CoursePicture {
            title: String::new(),
            note: String::new(),
            span: (0.0, 1.0),
            lines: (0..count).map(line).collect(),
            marks: vec![],
            bands: vec![],
            times: vec![],
        };
        let plot = Frame { x: 74.0, y: 84.0, width: 1000.0, height: 194.0 };
        let (entries, more) = legend(&picture(8), plot);
        assert_eq!(more, ROW);
        assert!(entries.iter().all(|entry| entry.at.0 + 26.0 + 6.2 * entry.name.len() as f64 <= SIZE.0));
        assert!(course(&picture(8)).contains(r#"viewBox="0 0 1100 346""#));
        assert!(course(&picture(2)).contains(r#"viewBox="0 0 1100 330""#));
    }
}
