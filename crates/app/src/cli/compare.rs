//! `plimsoll compare`: several methods on one market and one book.

use super::args::{BookArgs, MarketArgs, ParamArgs, one_stdin};
use super::compare_json::Document;
use super::compare_tables as tables;
use super::{heatmap, loaded, pictures, say};
use crate::io::book::{self, ReadBook};
use crate::io::progress::Progress;
use crate::io::series::NamedFile;
use crate::io::source::STDIN;
use crate::io::{market, params};
use crate::output::answer::Output;
use crate::output::{Answer, JsonBody, Table, Verdict};
use anyhow::{Context, bail};
use clap::{Arg, ArgAction, ArgMatches, Args, Command, FromArgMatches, value_parser};
use plimsoll_engine::{
    BuildOptions, CompareError, Comparison, Contender, EngineError, Measure, NotMarginedKind, ParamSet,
    compare,
};
use plimsoll_types::{AccountId, Units};
use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};

/// Arguments of `compare`.
#[derive(Args, Debug)]
pub(super) struct CompareArgs {
    #[command(flatten)]
    market: MarketArgs,
    #[command(flatten)]
    book: BookArgs,
    #[command(flatten)]
    sets: Sets,
    /// Prices behind historical scenarios, CSV time,BTC,ETH,...[,BTC_VOL,ETH_VOL,...] with 30-day implied
    /// volatilities as annualised decimals (may be given several times)
    #[arg(long, value_name = "NAME=FILE")]
    series: Vec<NamedFile>,
    /// Revalue by delta, gamma and vega instead of full reprice, and report the error
    #[arg(long)]
    approximate: bool,
    /// Use parameter sets in spite of what `plimsoll lint` finds in them
    #[arg(long)]
    allow_lint: bool,
    /// Value options that the snapshot does not list from the surface
    #[arg(long)]
    unlisted: bool,
    /// Only this account, with every part of its excess
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Also draw ratios and totals; `-` draws to the standard output stream instead of writing the answer there
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// A parameter set as it is named on the command line.
#[derive(Clone, Debug)]
enum Named {
    Preset(String),
    File(PathBuf),
}

/// The parameter sets in the order in which they are named, presets and files alike: the first is the base.
#[derive(Clone, Debug, Default)]
struct Sets(Vec<Named>);

const PRESET: &str = "preset";
const PARAMS: &str = "params";

impl Args for Sets {
    fn augment_args(command: Command) -> Command {
        let preset = Arg::new(PRESET).long(PRESET).value_name("NAME,NAME,...").value_delimiter(',');
        let params = Arg::new(PARAMS).long(PARAMS).value_name("FILE").value_parser(value_parser!(PathBuf));
        command
            .arg(preset.action(ArgAction::Append).help(
                "Parameter sets that come with the program, separated by commas; the first set named, preset or \
                 file, is the base that others are compared with",
            ))
            .arg(params.action(ArgAction::Append).help("Parameter set: a TOML file (may be given several times)"))
    }

    fn augment_args_for_update(command: Command) -> Command {
        Self::augment_args(command)
    }
}

impl FromArgMatches for Sets {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, clap::Error> {
        let mut named: Vec<(usize, Named)> = Vec::new();
        if let (Some(at), Some(names)) = (matches.indices_of(PRESET), matches.get_many::<String>(PRESET)) {
            // A comma at the end names nothing.
            let names = at.zip(names.map(|name| name.trim())).filter(|(_, name)| !name.is_empty());
            named.extend(names.map(|(at, name)| (at, Named::Preset(name.to_owned()))));
        }
        if let (Some(at), Some(files)) = (matches.indices_of(PARAMS), matches.get_many::<PathBuf>(PARAMS)) {
            named.extend(at.zip(files.cloned().map(Named::File)));
        }
        named.sort_by_key(|(at, _)| *at);
        Ok(Self(named.into_iter().map(|(_, set)| set).collect()))
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), clap::Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

impl Sets {
    fn files(&self) -> impl Iterator<Item = &Path> {
        self.0.iter().filter_map(|set| match set {
            Named::File(path) => Some(path.as_path()),
            Named::Preset(_) => None,
        })
    }

    /// Every set with what it is called: its name, and where two sets have one name, its file too.
    fn read(&self) -> anyhow::Result<Vec<(String, ParamSet)>> {
        let mut all: Vec<(String, ParamSet)> = Vec::new();
        for named in &self.0 {
            let (set, file) = match named {
                Named::Preset(name) => (params::params(None, Some(name))?, None),
                Named::File(path) => (params::params(Some(path), None)?, Some(path)),
            };
            let taken = all.iter().any(|(label, _)| *label == set.name);
            let label = match file {
                Some(path) if taken => format!("{} ({})", set.name, path.display()),
                _ => set.name.clone(),
            };
            all.push((label, set));
        }
        if all.len() < 2 {
            bail!(
                "{}: --preset NAME,NAME,... and --params FILE name them",
                CompareError::Few { count: all.len() }
            );
        }
        Ok(all)
    }
}

/// Answers and writes.
pub(super) fn run(args: &CompareArgs, output: &Output) -> anyhow::Result<Verdict> {
    let comparison = comparison(args)?;
    if let Some(account) = args.account.as_ref().filter(|_| comparison.accounts.is_empty()) {
        return Err(EngineError::UnknownAccount { account: account.clone() }.into());
    }
    say_assumed(&comparison);
    let verdict = say_failures(&comparison);
    let main = tables::accounts(&comparison);
    let cut = Cut::of(output, &comparison);
    let mut shown = tables::summary(&comparison, cut.measures);
    if args.account.is_some() {
        shown.extend(tables::parts(&comparison));
    }
    shown.push(main.clone());
    let mut notes = tables::notes(&comparison);
    notes.extend(cut.note(&shown));
    let json =
        |out: &mut dyn Write| serde_json::to_writer(out, &Document::new(&comparison)).context("writing JSON");
    Output { top: Some(cut.rows), ..output.clone() }.write(Answer {
        tables: shown,
        notes,
        main,
        json: JsonBody::Stream(Box::new(json)),
        verdict,
        picture: heatmap::picture(args.svg.as_deref(), || pictures::compare_svg(&comparison)),
    })
}

/// How much people are shown who did not say how much: `--top` shows every table, so long.
struct Cut {
    rows: usize,
    measures: &'static [Measure],
    asked: bool,
}

impl Cut {
    /// Rows of a table of accounts when few methods are compared, and when many are.
    const ROWS: (usize, usize) = (10, 3);
    /// Beyond as many methods, only who is liquidatable is told account by account.
    const FEW: usize = 4;

    fn of(output: &Output, comparison: &Comparison) -> Self {
        const EVERY: &[Measure] = &[Measure::Maintenance, Measure::Initial];
        let few = comparison.methods.len() <= Self::FEW || comparison.accounts.len() == 1;
        match output.top {
            Some(rows) => Self { rows, measures: EVERY, asked: true },
            None if few => Self { rows: Self::ROWS.0, measures: EVERY, asked: false },
            None => Self { rows: Self::ROWS.1, measures: &[Measure::Maintenance], asked: false },
        }
    }

    /// What is not shown though nobody asked for less, and where it is.
    fn note(&self, tables: &[Table]) -> Option<String> {
        let longer = tables.iter().any(|table| !table.whole && table.rows.len() > self.rows);
        let fewer = self.measures.len() < Measure::BOTH.len();
        if self.asked || !(longer || fewer) {
            return None;
        }
        let initial = if fewer { ", and who is below initial margin under one method only" } else { "" };
        Some(format!(
            "shown: at most {} rows of accounts a table; --top N shows N{initial}; --account ID one account in full; --format csv \
             or json everything",
            self.rows
        ))
    }
}

/// Reads everything and compares.
fn comparison(args: &CompareArgs) -> anyhow::Result<Comparison> {
    one_stdin(args.book.paths().chain([args.market.market.as_path()]).chain(args.sets.files()))?;
    let sets = args.sets.read()?;
    let options = sets.iter().map(|(_, set)| options(args, set)).collect::<anyhow::Result<Vec<_>>>()?;
    let (snapshot, issues) = market::snapshot(&args.market.market, args.market.at)?;
    loaded::say_issues(&issues);
    let books = books(args, &sets)?;
    let mut contenders = Vec::with_capacity(sets.len());
    for ((label, params), options) in sets.into_iter().zip(&options) {
        let read = books.iter().find(|(units, _)| *units == params.units);
        let (_, read) = read.context("the book was not read in the units of a set")?;
        contenders.push(Contender { label, params, book: &read.builder, options });
    }
    let progress = Progress::spinner("margin under every method");
    let found = compare(contenders, &snapshot).map_err(with_remedy)?;
    drop(progress);
    Ok(found)
}

fn options(args: &CompareArgs, set: &ParamSet) -> anyhow::Result<BuildOptions> {
    let CompareArgs { series, approximate, allow_lint, unlisted, .. } = args;
    let series = series.clone();
    let params = ParamArgs {
        series,
        approximate: *approximate,
        allow_lint: *allow_lint,
        unlisted: *unlisted,
        ..ParamArgs::default()
    };
    params.options(set)
}

/// The book once per distinct units: methods may count in different lots.
fn books(args: &CompareArgs, sets: &[(String, ParamSet)]) -> anyhow::Result<Vec<(Units, ReadBook)>> {
    let mut books: Vec<(Units, ReadBook)> = Vec::new();
    for (label, set) in sets {
        if books.iter().any(|(units, _)| *units == set.units) {
            continue;
        }
        if !books.is_empty() && args.book.paths().any(|path| path.as_os_str() == STDIN) {
            bail!(
                "{label} counts in other lots than the base, so the book is read again, and `-` can be read only \
                 once: name a file instead"
            );
        }
        let read = book::read(&args.book.files(), &set.units, args.account.as_ref());
        let read =
            if books.is_empty() { read? } else { read.with_context(|| format!("in the lots of {label}"))? };
        for note in read.notes.iter().filter(|_| books.is_empty()) {
            say!("{note}");
        }
        books.push((set.units.clone(), read));
    }
    Ok(books)
}

/// Findings of the linter, and what may be done about them.
fn with_remedy(error: CompareError) -> anyhow::Error {
    match &error {
        CompareError::Method { source, .. } if matches!(**source, EngineError::Lint { .. }) => {
            anyhow::anyhow!("{error} (--allow-lint uses them nevertheless)")
        }
        _ => error.into(),
    }
}

/// Says what was assumed: once where it is the same for every method.
fn say_assumed(comparison: &Comparison) {
    let methods = &comparison.methods;
    let everywhere = |note: &String| methods.iter().all(|method| method.notes.contains(note));
    let mut said = BTreeSet::new();
    for method in methods {
        for note in &method.notes {
            let text = if everywhere(note) { note.clone() } else { format!("{}: {note}", method.label) };
            if said.insert(text.clone()) {
                say!("note: {text}");
            }
        }
        for finding in &method.lint {
            say!("note: {}: lint, {}: {}", method.label, finding.subject, finding.message);
        }
    }
}

/// Says which accounts a method could not answer for though it margins what they hold; those fail the check. An
/// account that holds what a method does not margin is an answer.
fn say_failures(comparison: &Comparison) -> Verdict {
    let mut verdict = Verdict::Passed;
    for (at, method) in comparison.methods.iter().enumerate() {
        for (kind, count) in comparison.not_margined(at) {
            if kind == NotMarginedKind::Unsupported {
                continue;
            }
            verdict = Verdict::Failed;
            if let Some((account, reason)) = tables::example(comparison, at, kind) {
                let label = &method.label;
                say!(
                    "error: {label}: {count} accounts could not be valued ({}), such as {account}: {reason}",
                    kind.code()
                );
            }
        }
    }
    verdict
}
