//! Writing SVG: shapes, text, axes, colours.

use std::fmt::Write as _;

/// Ink of titles and labels.
pub(super) const INK: &str = "#1f2933";
/// Ink of secondary text and axes.
pub(super) const GREY: &str = "#5f6b7a";
/// Grid lines.
pub(super) const FAINT: &str = "#e3e7ec";
/// Stretches of time in which something was not as usual.
pub(super) const BAND: &str = "#fdebd0";
/// Paper.
pub(super) const PAPER: &str = "#ffffff";

const FONT: &str = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', sans-serif";

/// Where a text is held.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

/// How a text looks.
#[derive(Clone, Copy)]
pub(super) struct Style {
    pub(super) size: f64,
    pub(super) fill: &'static str,
    pub(super) anchor: Anchor,
    pub(super) bold: bool,
}

impl Style {
    pub(super) const fn new(size: f64, fill: &'static str, anchor: Anchor) -> Self {
        Self { size, fill, anchor, bold: false }
    }

    pub(super) const fn bold(self) -> Self {
        Self { bold: true, ..self }
    }
}

/// A rectangle of the page, in page units from the top left.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Frame {
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// The page while it is drawn.
pub(super) struct Canvas {
    width: f64,
    height: f64,
    body: String,
}

impl Canvas {
    pub(super) fn new(width: f64, height: f64) -> Self {
        Self { width, height, body: String::new() }
    }

    pub(super) fn rect(&mut self, frame: Frame, attributes: &str) {
        let Frame { x, y, width, height } = frame;
        let _ = writeln!(
            self.body,
            r#"<rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}" {attributes}/>"#
        );
    }

    pub(super) fn line(&mut self, from: (f64, f64), to: (f64, f64), attributes: &str) {
        let _ = writeln!(
            self.body,
            r#"<line x1="{:.2}" y1="{:.2}" x2="{:.2}" y2="{:.2}" {attributes}/>"#,
            from.0, from.1, to.0, to.1
        );
    }

    pub(super) fn circle(&mut self, at: (f64, f64), radius: f64, attributes: &str) {
        let _ = writeln!(
            self.body,
            r#"<circle cx="{:.2}" cy="{:.2}" r="{radius:.2}" {attributes}/>"#,
            at.0, at.1
        );
    }

    /// A line through points.
    pub(super) fn path(&mut self, points: &[(f64, f64)], attributes: &str) {
        let mut d = String::new();
        for (i, (x, y)) in points.iter().enumerate() {
            let _ = write!(d, "{}{x:.2} {y:.2}", if i == 0 { "M" } else { "L" });
        }
        if points.len() > 1 {
            let _ = writeln!(self.body, r#"<path d="{d}" {attributes}/>"#);
        }
    }

    pub(super) fn text(&mut self, at: (f64, f64), style: Style, text: &str) {
        self.turned_text(at, style, text, 0.0);
    }

    /// A text turned by degrees about where it is held.
    pub(super) fn turned_text(&mut self, at: (f64, f64), style: Style, text: &str, degrees: f64) {
        let anchor = match style.anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let weight = if style.bold { r#" font-weight="600""# } else { "" };
        let turn = if degrees == 0.0 {
            String::new()
        } else {
            format!(r#" transform="rotate({degrees:.0} {:.2} {:.2})""#, at.0, at.1)
        };
        let _ = writeln!(
            self.body,
            r#"<text x="{:.2}" y="{:.2}" font-size="{:.1}" fill="{}" text-anchor="{anchor}"{weight}{turn}>{}</text>"#,
            at.0,
            at.1,
            style.size,
            style.fill,
            escape(text)
        );
    }

    /// Stretches of a plot, in numbers of its `x`; what of them is outside is not drawn.
    pub(super) fn bands(&mut self, bands: &[(f64, f64)], plot: Frame, x: &Scale) {
        for (from, to) in bands {
            let (from, to) = (x.at(*from).max(plot.x), x.at(*to).min(plot.x + plot.width));
            if to > from {
                let frame = Frame { x: from, y: plot.y, width: to - from, height: plot.height };
                self.rect(frame, &format!(r#"fill="{BAND}""#));
            }
        }
    }

    /// About `count` lines across a plot, each with its number at the left.
    pub(super) fn levels(&mut self, plot: Frame, y: &Scale, count: u32, name: fn(f64) -> String) {
        let faint = format!(r#"stroke="{FAINT}" stroke-width="1""#);
        for tick in y.ticks(count) {
            self.line((plot.x, y.at(tick)), (plot.x + plot.width, y.at(tick)), &faint);
            let style = Style::new(11.0, GREY, Anchor::End);
            self.text((plot.x - 7.0, y.at(tick) + 4.0), style, &name(tick));
        }
    }

    /// The line of zero across a plot.
    pub(super) fn zero(&mut self, plot: Frame, y: &Scale) {
        let ink = format!(r#"stroke="{GREY}" stroke-width="1""#);
        self.line((plot.x, y.at(0.0)), (plot.x + plot.width, y.at(0.0)), &ink);
    }

    /// Opens a group that is cut off at a frame; `id` must be unique on the page.
    pub(super) fn open_clip(&mut self, id: &str, frame: Frame) {
        let Frame { x, y, width, height } = frame;
        let _ = writeln!(
            self.body,
            r##"<clipPath id="{id}"><rect x="{x:.2}" y="{y:.2}" width="{width:.2}" height="{height:.2}"/></clipPath><g clip-path="url(#{id})">"##
        );
    }

    pub(super) fn close_clip(&mut self) {
        self.body.push_str("</g>\n");
    }

    /// The whole picture; `title` is its description for screen readers.
    pub(super) fn finish(self, title: &str) -> String {
        let (width, height) = (self.width, self.height);
        format!(
            concat!(
                r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {w:.0} {h:.0}" width="{w:.0}" height="{h:.0}" "#,
                r#"role="img" font-family="{font}">"#,
                "\n<title>{title}</title>\n",
                r#"<rect width="{w:.0}" height="{h:.0}" fill="{paper}"/>"#,
                "\n{body}</svg>\n"
            ),
            w = width,
            h = height,
            font = FONT,
            title = escape(title),
            paper = PAPER,
            body = self.body
        )
    }
}

/// Text as it may stand in XML.
pub(crate) fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c if c.is_control() => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// A straight map from numbers to page units.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Scale {
    pub(super) domain: (f64, f64),
    pub(super) range: (f64, f64),
}

impl Scale {
    /// Widens a domain that is empty or not finite so that something can be drawn.
    pub(super) fn new(domain: (f64, f64), range: (f64, f64)) -> Self {
        let (low, high) = domain;
        let usable = low.is_finite() && high.is_finite() && high > low;
        let centre = if low.is_finite() { low } else { 0.0 };
        Self { domain: if usable { domain } else { (centre - 0.5, centre + 0.5) }, range }
    }

    pub(super) fn at(&self, x: f64) -> f64 {
        let share = (x - self.domain.0) / (self.domain.1 - self.domain.0);
        self.range.0 + share * (self.range.1 - self.range.0)
    }

    /// About `count` round numbers inside the domain: multiples of 1, 2, 2.5 or 5 times a power of ten.
    pub(super) fn ticks(&self, count: u32) -> Vec<f64> {
        let step = round_step((self.domain.1 - self.domain.0) / f64::from(count.max(1)));
        let first = (self.domain.0 / step - 1e-9).ceil();
        let last = (self.domain.1 / step + 1e-9).floor();
        let mut ticks = Vec::new();
        let mut at = first;
        while at <= last && ticks.len() < 100 {
            ticks.push(at * step + 0.0);
            at += 1.0;
        }
        ticks
    }
}

/// The least round number at or above a step.
fn round_step(raw: f64) -> f64 {
    let mut power = 1.0;
    while power > raw {
        power /= 10.0;
    }
    while power * 10.0 <= raw {
        power *= 10.0;
    }
    let round = [1.0, 2.0, 2.5, 5.0].into_iter().find(|m| m * power >= raw * 0.999_999);
    round.unwrap_or(10.0) * power
}

/// A signed share as percent, with a real minus sign: `+16 %`.
pub(super) fn signed_percent(x: f64) -> String {
    let percent = (x * 1000.0).round() / 10.0;
    let size = trim(percent.abs());
    match percent {
        p if p > 0.0 => format!("+{size} %"),
        p if p < 0.0 => format!("\u{2212}{size} %"),
        _ => "0 %".to_owned(),
    }
}

/// A share as percent: `45 %`.
pub(super) fn percent(x: f64) -> String {
    format!("{} %", trim((x * 1000.0).round() / 10.0))
}

/// A number without a useless `.0`, with a real minus sign.
pub(super) fn trim(x: f64) -> String {
    let text = format!("{x:.6}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    match text {
        "-0" => "0".to_owned(),
        text => text.replace('-', "\u{2212}"),
    }
}

/// An amount of money in few characters: `−1.23M`, `45.1k`.
pub(super) fn compact(x: f64) -> String {
    let size = x.abs();
    let (scaled, unit) = match size {
        s if s >= 999_500_000.0 => (s / 1e9, "B"),
        s if s >= 999_500.0 => (s / 1e6, "M"),
        s if s >= 999.5 => (s / 1e3, "k"),
        s => (s, ""),
    };
    let digits = match scaled {
        s if s >= 99.95 || size < 0.005 => 0,
        s if s >= 9.995 => 1,
        _ => 2,
    };
    let sign = if x < 0.0 && size >= 0.005 { "\u{2212}" } else { "" };
    let text = format!("{scaled:.digits$}");
    let text = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { &text };
    format!("{sign}{text}{unit}")
}

/// An amount with thousands separated: `−12 345`.
pub(super) fn grouped(x: f64) -> String {
    let whole = format!("{:.0}", x.abs());
    let mut out = String::new();
    for (i, digit) in whole.chars().enumerate() {
        if i > 0 && (whole.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(digit);
    }
    if x < 0.0 && whole != "0" { format!("\u{2212}{out}") } else { out }
}

/// Loss to gain, red over white to blue; distinguishable with every common colour blindness (ColorBrewer's RdBu).
const DIVERGING: [(f64, f64, f64); 9] = [
    (178.0, 24.0, 43.0),
    (214.0, 96.0, 77.0),
    (244.0, 165.0, 130.0),
    (253.0, 219.0, 199.0),
    (250.0, 250.0, 250.0),
    (209.0, 229.0, 240.0),
    (146.0, 197.0, 222.0),
    (67.0, 147.0, 195.0),
    (33.0, 102.0, 172.0),
];

/// A colour for -1 (worst loss) to 1 (the same as gain), and whether text on it should be light.
pub(super) fn diverging(x: f64) -> (String, bool) {
    let place = (x.clamp(-1.0, 1.0) + 1.0) * 4.0;
    let mut below = 0;
    while below < 7 && place >= f64::from(below) + 1.0 {
        below += 1;
    }
    let share = place - f64::from(below);
    let index = usize::try_from(below).unwrap_or(0);
    let (from, to) = (DIVERGING[index], DIVERGING[index + 1]);
    let mix = |a: f64, b: f64| (a + (b - a) * share).round();
    let (r, g, b) = (mix(from.0, to.0), mix(from.1, to.1), mix(from.2, to.2));
    let luminance = 0.299 * r + 0.587 * g + 0.114 * b;
    (format!("rgb({r:.0},{g:.0},{b:.0})"), luminance < 140.0)
}

/// Ordered colours from near to far, dark to light, told apart in grey as well.
pub(super) const ORDERED: [&str; 6] = ["#440154", "#3b528b", "#21918c", "#35a060", "#b8860b", "#d95f02"];

/// Dashes that go with [`ORDERED`].
pub(super) const DASHES: [&str; 6] = ["none", "7 3", "2 3", "9 3 2 3", "4 2", "1 2"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let scale = Scale::new((-0.47, 0.31), (0.0, 100.0));
        let ticks = scale.ticks(4);
        assert_eq!(ticks.iter().map(|t| trim(*t)).collect::<Vec<_>>(), ["−0.4", "−0.2", "0", "0.2"]);
        assert_eq!(scale.at(-0.47), 0.0);
    }

    #[test]
    fn an_empty_domain_still_makes_a_scale() {
        for domain in [(3.0, 3.0), (f64::NAN, f64::NAN), (f64::INFINITY, f64::NEG_INFINITY)] {
            assert!(Scale::new(domain, (0.0, 1.0)).at(0.1).is_finite());
        }
    }

    #[test]
    fn what_a_name_holds_cannot_leave_its_text() {
        assert_eq!(escape(r#"<a href="x">&'"#), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    }

    #[test]
    fn amounts_are_short_and_signed() {
        assert_eq!(compact(-1_234_567.0), "−1.23M");
        assert_eq!(compact(45_120.0), "45.1k");
        assert_eq!(compact(999.9), "1k");
        assert_eq!(compact(0.0), "0");
        assert_eq!(grouped(-1_234_567.4), "−1\u{202f}234\u{202f}567");
        assert_eq!(signed_percent(-0.16), "−16 %");
        assert_eq!(signed_percent(0.125), "+12.5 %");
    }

    #[test]
    fn colours_run_from_loss_to_gain_through_near_white() {
        assert_eq!(diverging(-1.0).0, "rgb(178,24,43)");
        assert_eq!(diverging(0.0), ("rgb(250,250,250)".to_owned(), false));
        assert_eq!(diverging(1.0).0, "rgb(33,102,172)");
    }
}
