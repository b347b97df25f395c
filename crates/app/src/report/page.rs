//! The page, and the same as Markdown.

use super::{Material, attribution, pictures};
use crate::output::{Cell, Kind, Table};
use crate::svg::escape;
use std::fmt::Write as _;

const STYLE: &str = "
body { font: 15px/1.5 'Helvetica Neue', Helvetica, Arial, sans-serif; color: #1f2933; max-width: 1140px; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 24px; } h2 { font-size: 18px; margin-top: 2em; }
table { border-collapse: collapse; font-size: 12.5px; margin: 1em 0; display: block; overflow-x: auto; }
th, td { padding: 3px 8px; border-bottom: 1px solid #e3e7ec; text-align: left; white-space: nowrap; }
th { border-bottom: 2px solid #5f6b7a; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
td.bad { color: #b2182b; font-weight: 600; } svg { max-width: 100%; height: auto; } .picture { overflow-x: auto; } .picture svg { min-width: 720px; }
.long { max-height: 34em; overflow-y: auto; margin: 1em 0; } .long table { margin: 0; display: table; } .long th { position: sticky; top: 0; background: #ffffff; box-shadow: inset 0 -2px #5f6b7a; }
@media print { .long { max-height: none; overflow: visible; } }
.note { color: #5f6b7a; font-size: 13px; }
";

/// How it was done, for both forms.
const METHOD: [&str; 7] = [
    "History is replayed through the live policy step and the live margin code, row by row. A margin set at an instant depends on nothing after it.",
    "A margin is initial margin on the parameter set named above with the policy's values in place, without the charges that prices do not show (liquidity, index confidence, funding). For a perpetual it is the price scan of its side times the notional, and half a tick a lot of rounding guard (5e-8).",
    "Existing positions are held to maintenance margin on the ramp that was announced for each parameter; it is judged by the same losses.",
    "Options are opened anew at every instant at fixed moneyness and tenor, on a stated surface: 1.10 times an exponentially weighted realised volatility (half-life 20 days, 30 to 250 %, whole points) with a fixed smile. A loss is full revaluation at the horizon. The stated surface is a stand-in for a market.",
    "Where losses overlap, the traffic light and the probability of the count use the simulated law of overlapping losses, and independence is the least p-value over the series that do not overlap, times their number (Bonferroni). The binomial test of Kupiec is given beside, and is too strict there.",
    "Diebold and Mariano compare the pinball loss at 99 % with that of the best other policy in the run; a small p says that this policy is worse.",
    "The response to a step of volatility is that of the same policy and portfolio on returns of 1 % up and down for 1000 steps, then of 2 % for 600.",
];

fn setup(of: &Material<'_>) -> Vec<String> {
    let study = of.study;
    let names: Vec<&str> = study.policies.iter().map(|p| p.name()).collect();
    let days: Vec<String> = study.horizons.iter().map(|h| (*h as f64 / 86_400.0).to_string()).collect();
    let mut lines = vec![
        format!("Policies: {}. The first is the one that pictures show.", names.join(", ")),
        format!(
            "Horizons: {} days. Confidence: 99 %. Warm-up: {} days.",
            days.join(", "),
            study.warm_up_seconds / 86_400
        ),
        format!("Parameter set: {}. Split of the sample: {}.", study.params.name, study.split),
    ];
    for history in &study.histories {
        if let (Some(first), Some(last)) = (history.rows.first(), history.rows.last()) {
            let (asset, rows, step) = (&history.asset, history.rows.len(), history.step_seconds);
            lines.push(format!("{asset}: {rows} rows every {step} s, {} to {}.", first.0, last.0));
        }
    }
    lines
}

/// Rows of a table beyond which it scrolls by itself.
const LONG: usize = 40;

/// A table as HTML; a cell that begins with a cross is marked.
fn html_table(out: &mut String, table: &Table) {
    if !table.title.is_empty() {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&table.title));
    }
    let long = table.rows.len() > LONG;
    if long {
        let name = escape(&table.title);
        let _ = write!(out, "<div class=\"long\" role=\"region\" tabindex=\"0\" aria-label=\"{name}\">");
    }
    let class = |kind: &Kind| if *kind == Kind::Text { "" } else { " class=\"n\"" };
    out.push_str("<table><thead><tr>");
    for (name, kind) in &table.columns {
        let _ = write!(out, "<th{}>{}</th>", class(kind), escape(name));
    }
    out.push_str("</tr></thead><tbody>\n");
    for row in &table.rows {
        out.push_str("<tr>");
        for (cell, (_, kind)) in row.iter().zip(&table.columns) {
            let shown = cell.shown();
            let class = if shown.starts_with('\u{2717}') { " class=\"bad\"" } else { class(kind) };
            let _ = write!(out, "<td{class}>{}</td>", escape(&shown));
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table>\n");
    if long {
        out.push_str("</div>\n");
    }
}

/// The head of a page, and what was asked.
pub(super) fn begin(title: &str, setup: &[String]) -> String {
    let title = escape(title);
    let mut out = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    paragraphs(&mut out, setup);
    out
}

/// Pictures and tables under a heading.
pub(super) fn section(out: &mut String, name: &str, pictures: &[String], tables: &[Table]) {
    let _ = writeln!(out, "<h2>{}</h2>", escape(name));
    for picture in pictures {
        let _ = writeln!(out, "<div class=\"picture\" tabindex=\"0\">{picture}</div>");
    }
    tables.iter().for_each(|table| html_table(out, table));
}

/// The method, and the end of a page.
pub(super) fn close(out: &mut String, method: &[&str]) {
    out.push_str("<h2>Method</h2>\n");
    paragraphs(out, method);
    out.push_str("</body></html>\n");
}

/// Figures, notes and the method, and the end of a page.
pub(super) fn end<S, O>(out: &mut String, where_figures_are: &str, of: &Material<'_, S, O>, method: &[&str]) {
    let _ = writeln!(out, "<h2>Figures</h2>\n<p class=\"note\">{where_figures_are}</p>");
    of.tables.iter().for_each(|table| html_table(out, table));
    paragraphs(out, of.notes);
    close(out, method);
}

fn paragraphs(out: &mut String, lines: &[impl AsRef<str>]) {
    for line in lines {
        let _ = writeln!(out, "<p>{}</p>", escape(line.as_ref()));
    }
}

/// One page, with everything in it.
pub(super) fn html(of: &Material<'_>, targets: &Table) -> anyhow::Result<String> {
    let mut out = begin("Backtest of margin policies", &setup(of));
    if !targets.rows.is_empty() {
        out.push_str("<h2>Targets</h2>\n");
        html_table(&mut out, targets);
    }
    out.push_str("<h2>Margin against realised loss</h2>\n");
    for picture in pictures::over_time(of)? {
        out.push_str(&picture);
    }
    if let Some(picture) = pictures::frontiers(of) {
        out.push_str("<h2>The frontier</h2>\n");
        out.push_str(&picture);
    }
    out.push_str("<h2>What moved the parameters</h2>\n<p class=\"note\">Every change with every cause is in changes.parquet.</p>\n");
    for picture in attribution::pictures(of) {
        out.push_str(&picture);
    }
    html_table(&mut out, &attribution::table(of));
    let note = "All of them, and both parts of the sample, are in figures.parquet.";
    end(&mut out, note, of, &METHOD);
    Ok(out)
}

/// Text that a reader of Markdown shows as it is: no tag, and no end of a cell.
fn plain(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('|', "\\|")
}

/// The same for a forum, without pictures.
pub(super) fn markdown(of: &Material<'_>, targets: &Table) -> anyhow::Result<String> {
    let causes = attribution::table(of);
    let tables = std::iter::once(targets).chain(of.tables).chain([&causes]);
    text("Backtest of margin policies", &setup(of), tables, of.notes.iter().map(String::as_str).chain(METHOD))
}

/// Markdown: what was asked, tables, and notes.
pub(super) fn text<'a>(
    title: &str,
    setup: &[String],
    tables: impl Iterator<Item = &'a Table>,
    notes: impl Iterator<Item = &'a str>,
) -> anyhow::Result<String> {
    let mut out = format!("# {title}\n\n").into_bytes();
    for line in setup {
        out.extend(format!("- {}\n", plain(line)).bytes());
    }
    for table in tables.filter(|table| !table.rows.is_empty()) {
        out.extend(format!("\n## {}\n\n", plain(&table.title)).bytes());
        let mut untitled = Table { title: String::new(), ..table.clone() };
        for cell in untitled.rows.iter_mut().flatten() {
            if let Cell::Text(text) = cell {
                *text = plain(text);
            }
        }
        untitled.print(&mut out, None)?;
    }
    out.extend(b"\n## Notes\n\n");
    for line in notes {
        out.extend(format!("- {}\n", plain(line)).bytes());
    }
    Ok(String::from_utf8(out)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_makes_a_tag_or_a_cell() {
        assert_eq!(plain("<b>a|b & c's"), "&lt;b&gt;a\\|b &amp; c's");
    }
}
