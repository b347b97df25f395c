//! What happens, in the terminal.

use crate::host::{Applied, Course, Host, Sample};
use plimsoll_engine::live::feed::Validity;
use plimsoll_engine::live::{Body, Effect, Event};
use plimsoll_sim::harbour::{Phase, Scene, Tally};
use plimsoll_types::{Asset, Ticks, Units};
use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;
use std::io::Write;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Between two drawings of a view, and between two lines without one.
const REDRAW: Duration = Duration::from_millis(500);
const LINE: Duration = Duration::from_secs(5);

/// Sentences that are kept.
const SENTENCES: usize = 6;

/// The terminal.
pub(super) struct View {
    address: SocketAddr,
    speed: f64,
    /// Whether it is redrawn in place.
    alive: bool,
    last: Option<Instant>,
    /// Lines drawn last.
    lines: usize,
    /// From handing in to margins known, of events that moved any; microseconds.
    took: Vec<u32>,
    opened: BTreeMap<Asset, f64>,
    sentences: VecDeque<String>,
    phase: Option<Phase>,
}

impl View {
    pub(super) fn new(address: SocketAddr, speed: f64, alive: bool) -> Self {
        let (took, sentences) = (Vec::new(), VecDeque::new());
        let opened = BTreeMap::new();
        Self { address, speed, alive, last: None, lines: 0, took, opened, sentences, phase: None }
    }

    /// Hears what followed from an event, and how long it took.
    pub(super) fn took(&mut self, event: &Event, applied: &Applied, took: Duration) {
        let moved = applied.effects.iter().any(|effect| matches!(effect, Effect::Margins { .. }));
        if moved && matches!(event.body, Body::Price { .. } | Body::Chain { .. }) {
            self.took.push(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        }
        for effect in &applied.effects {
            if let Some(sentence) = sentence(effect) {
                let at = applied.at.to_string();
                let clock = at.get(11..16).unwrap_or_default();
                self.sentences.push_back(format!("{clock} {sentence}"));
                if self.sentences.len() > SENTENCES {
                    self.sentences.pop_front();
                }
            }
        }
    }

    /// Draws, if it is time.
    pub(super) fn draw(&mut self, running: &Host, scene: Scene, tally: &Tally) -> anyhow::Result<()> {
        let turned = self.phase != Some(scene.phase) && !self.alive;
        let pause = if self.alive { REDRAW } else { LINE };
        if !turned && self.last.is_some_and(|last| last.elapsed() < pause) {
            return Ok(());
        }
        self.last = Some(crate::host::moment());
        self.phase = Some(scene.phase);
        let course = running.shared.course();
        let text =
            if self.alive { self.whole(&course, scene, tally) } else { self.line(&course, scene, tally) };
        drop(course);
        let mut out = std::io::stdout().lock();
        if self.alive && self.lines > 0 {
            write!(out, "\x1b[{}A\x1b[J", self.lines)?;
        }
        self.lines = text.lines().count();
        write!(out, "{text}")?;
        Ok(out.flush()?)
    }

    /// Draws for the last time.
    pub(super) fn end(&mut self, running: &Host, scene: Scene, tally: &Tally) -> anyhow::Result<()> {
        self.last = None;
        self.draw(running, scene, tally)?;
        let (median, tail) = self.latency();
        writeln!(
            std::io::stdout(),
            "\n{} market ticks: margins known {median:.2} ms after a tick was handed in at the median, {tail:.2} ms at the \
             99th percentile, journal included",
            self.took.len(),
        )?;
        Ok(())
    }

    /// Median and 99th percentile, milliseconds.
    fn latency(&self) -> (f64, f64) {
        let mut sorted = self.took.clone();
        sorted.sort_unstable();
        let at = |share: f64| {
            let place = (sorted.len().saturating_sub(1) as f64 * share) as usize;
            sorted.get(place).map_or(0.0, |us| f64::from(*us) / 1_000.0)
        };
        (at(0.5), at(0.99))
    }

    fn line(&self, course: &Course, scene: Scene, tally: &Tally) -> String {
        let (sample, units) = (Sample::of(&course.engine), &course.engine.rules().params.units);
        let (outcome, (median, tail)) = (tally.outcome(), self.latency());
        let at = scene.at.to_string();
        let prices: Vec<String> =
            prices(course).map(|(asset, price)| format!("{asset} {}", rounded(price))).collect();
        let mut text = format!(
            "{} {:8} {}  equity {} IM {} MM {}  call {} liquidatable {}  calls {} liquidations {}  parameters v{}  \
             {median:.1}/{tail:.1} ms\n",
            at.get(..16).unwrap_or(&at),
            scene.phase.word(),
            prices.join(" "),
            millions(sample.equity, units),
            millions(sample.im, units),
            millions(sample.mm, units),
            sample.standings[0],
            sample.standings[2],
            outcome.calls,
            outcome.liquidated_accounts,
            course.engine.state().policy.board().version(),
        );
        if let Some(sentence) = self.sentences.back() {
            text.push_str("    ");
            text.push_str(sentence);
            text.push('\n');
        }
        text
    }

    fn whole(&mut self, course: &Course, scene: Scene, tally: &Tally) -> String {
        let units = &course.engine.rules().params.units;
        let (sample, outcome) = (Sample::of(&course.engine), tally.outcome());
        let at = scene.at.to_string();
        let mut text = format!(
            "Plimsoll at http://{}/docs   {}   {:.0} market seconds a second   {}  {:3.0} %\n\n",
            self.address,
            at.get(..19).unwrap_or(&at),
            self.speed,
            scene.phase.word(),
            scene.told * 100.0
        );
        for (asset, price) in prices(course) {
            let first = *self.opened.entry(asset.clone()).or_insert(price);
            let line = market_line(course, asset, (price, first));
            text.push_str(&line);
        }
        // A text takes every line.
        let _ = writeln!(
            text,
            "\naccounts {:>8}   equity {:>12}   initial margin {:>12}   maintenance {:>12}   insurance {:>9}",
            course.engine.state().ledger.accounts().len(),
            millions(sample.equity, units),
            millions(sample.im, units),
            millions(sample.mm, units),
            millions(sample.insurance, units),
        );
        let _ = writeln!(
            text,
            "now      {:>8} in call, {} liquidatable, {} insolvent; so far {} calls, {} accounts liquidated, {} taken over",
            sample.standings[0],
            sample.standings[2],
            sample.standings[3],
            outcome.calls,
            outcome.liquidated_accounts,
            outcome.taken_over,
        );
        let (median, tail) = self.latency();
        let _ = writeln!(
            text,
            "events   {:>8}   parameters version {}   tick to margins {median:.2} ms median, {tail:.2} ms 99th percentile\n",
            course.sequence,
            course.engine.state().policy.board().version(),
        );
        for sentence in &self.sentences {
            let cut: String = sentence.chars().take(118).collect();
            let _ = writeln!(text, "  {cut}");
        }
        text
    }
}

/// One underlying: price, volatility, what its feed says, and what the policy reads.
fn market_line(course: &Course, asset: &Asset, (price, first): (f64, f64)) -> String {
    let state = course.engine.state();
    let surface = course.engine.valued().surface.underlyings.get(asset);
    let near = surface.and_then(|of| {
        of.slices.iter().min_by(|a, b| (a.tau - 30.0 / 365.0).abs().total_cmp(&(b.tau - 30.0 / 365.0).abs()))
    });
    let vol = near
        .map_or_else(|| "-".to_owned(), |slice| format!("{:.0} %", slice.svi.vol(0.0, slice.tau) * 100.0));
    let validity = state.feeds.get(asset).map(|feed| feed.validity()).unwrap_or_default();
    let flag = match validity {
        Validity::Normal => "",
        Validity::Degraded => "degraded",
        Validity::Halted => "halted",
    };
    let scan = course.engine.valued().arrays().underlyings.iter().find(|row| row.asset == *asset);
    let scan = scan.map_or(0.0, |row| row.price_scan.to_f64() * 100.0);
    format!(
        "{asset:6} {:>12} {:>+7.1} %   volatility {vol:>6}   price scan {scan:5.1} %   {flag}\n",
        rounded(price),
        (price / first - 1.0) * 100.0
    )
}

fn prices(course: &Course) -> impl Iterator<Item = (&Asset, f64)> {
    course.engine.valued().surface.underlyings.iter().map(|(asset, of)| (asset, of.index))
}

fn rounded(price: f64) -> String {
    if price < 10.0 { format!("{price:.4}") } else { format!("{price:.2}") }
}

fn millions(ticks: Ticks, units: &Units) -> String {
    format!("{:.2} M", ticks.0 as f64 / units.ticks_per_unit as f64 / 1e6)
}

/// What is worth a sentence.
fn sentence(effect: &Effect) -> Option<String> {
    match effect {
        Effect::Parameters { decision, endangered } => {
            let change = decision.changes.first()?;
            let more = decision.changes.len() - 1;
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            let threat = match endangered.len() {
                0 => String::new(),
                n => format!("; {n} accounts are told that it will make them liquidatable"),
            };
            Some(format!("{change}{more}{threat}"))
        }
        Effect::Validity { feed, to, causes, .. } => {
            Some(format!("{feed} is {to:?}: {causes:?}").to_lowercase().replace(['{', '}'], ""))
        }
        Effect::Deleveraged { account, against, instrument, .. } => {
            Some(format!("{account} is closed against {against} in {instrument}"))
        }
        Effect::Covered { account, .. } => Some(format!("the debt of {account} is covered")),
        _ => None,
    }
}
