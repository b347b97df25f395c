//! `plimsoll span`: margin of positions from a published SPAN file.

use crate::io::error::Refusal;
use crate::io::rows::{Columns, Fields, each_row};
use crate::io::source::{Source, display_name};
use crate::output::{Answer, Cell, JsonBody, Kind, Table, Verdict};
use anyhow::Context;
use clap::{Args, ValueEnum};
use plimsoll_engine::{
    SpanAccountKind, SpanAccountReport, SpanAccountTerms, SpanCommodityMargin, SpanContractName, SpanDesk,
    SpanFault, SpanFile, SpanFileError, SpanKind, SpanRight,
};
use plimsoll_types::{AccountId, Decimal};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Arguments of `span`.
#[derive(Args, Debug)]
pub(super) struct SpanArgs {
    /// SPAN file: expanded .pa2 (U2, UP) or .spn XML, told by its first byte
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// CSV or Parquet: account,exchange,product,type,expiry,lots[,right][,strike]
    #[arg(long, value_name = "FILE")]
    positions: PathBuf,
    /// Whose adjustment and ratio of initial margin apply
    #[arg(long, value_enum, default_value = "speculator", value_name = "TYPE")]
    account_type: AccountType,
    /// Initial margin instead of maintenance
    #[arg(long)]
    initial: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum AccountType {
    Speculator,
    Hedger,
    Member,
}

const POSITIONS: Columns = Columns {
    required: &["account", "exchange", "product", "type", "expiry", "lots"],
    optional: &["right", "strike"],
    repeated: &[],
};

const COLUMNS: [(&str, Kind); 14] = [
    ("account", Kind::Text),
    ("commodity", Kind::Text),
    ("currency", Kind::Text),
    ("scan_loss", Kind::Amount),
    ("scenario", Kind::Integer),
    ("intra", Kind::Amount),
    ("spot", Kind::Amount),
    ("inter_credit", Kind::Amount),
    ("short_option_minimum", Kind::Amount),
    ("risk", Kind::Amount),
    ("net_option_value", Kind::Amount),
    ("net_delta", Kind::Amount),
    ("margined_risk", Kind::Amount),
    ("requirement", Kind::Amount),
];

/// Lots by contract, per account.
type Book = BTreeMap<AccountId, BTreeMap<usize, i64>>;

/// Answers; an account without margin fails the check.
pub(super) fn run(args: &SpanArgs) -> anyhow::Result<Answer<'static>> {
    super::args::one_stdin([args.file.as_path(), args.positions.as_path()])?;
    let (name, reader) = Source::open(&args.file)?.text()?;
    let file = SpanFile::read(reader).map_err(|error| refused(&name, &error))?;
    let desk = SpanDesk::new(&file);
    let book = positions(&args.positions, &desk)?;
    let terms = SpanAccountTerms { kind: args.account_type.into(), initial: args.initial };
    let (mut reports, mut failures) = (Vec::new(), Vec::new());
    for (account, lots) in &book {
        match desk.margin(account, lots, terms) {
            Ok(report) => reports.push(report),
            Err(error) => failures.push(error.to_string()),
        }
    }
    answer(&file, &reports, failures, terms)
}

/// A file that cannot be read, and where it does not begin as one of the forms, how those begin.
fn refused(name: &str, error: &SpanFileError) -> anyhow::Error {
    let other = matches!(error.fault, SpanFault::Order("the header" | "spanFile"))
        || (error.fault == SpanFault::Missing && error.field == "spanFile");
    let forms =
        if other { " (a SPAN file begins with a record `0 ` if .pa2, with <spanFile> if .spn)" } else { "" };
    anyhow::anyhow!("{name}: {error}{forms}")
}

impl From<AccountType> for SpanAccountKind {
    fn from(kind: AccountType) -> Self {
        match kind {
            AccountType::Speculator => Self::Speculator,
            AccountType::Hedger => Self::Hedger,
            AccountType::Member => Self::Member,
        }
    }
}

/// The positions of all accounts; rows of one contract are summed.
fn positions(path: &Path, desk: &SpanDesk) -> anyhow::Result<Book> {
    let mut book = Book::new();
    let rows = each_row(path, POSITIONS, &mut |_, row| {
        let (account, contract, lots) = position(row, desk)?;
        let held = book.entry(account).or_default().entry(contract).or_insert(0);
        let sum = held.checked_add(lots);
        *held = sum.ok_or_else(|| Refusal::new("lots", field(row, 5), "a sum that fits in 64 bits"))?;
        Ok(())
    })?;
    if rows == 0 {
        let expected = format!("rows of {}", POSITIONS.shown());
        anyhow::bail!(crate::io::error::InputError::Empty { file: display_name(path), expected });
    }
    Ok(book)
}

fn field<'a>(row: &Fields<'a>, at: usize) -> &'a str {
    row.get(at).copied().flatten().unwrap_or_default()
}

fn position(row: &Fields<'_>, desk: &SpanDesk) -> Result<(AccountId, usize, i64), Refusal> {
    let refused = |at: usize, name: &str, expected: &str| Refusal::new(name, field(row, at), expected);
    let account = AccountId::new(field(row, 0)).map_err(|e| refused(0, "account", &e.to_string()))?;
    let kind = SpanKind::of(field(row, 3))
        .ok_or_else(|| refused(3, "type", "expected FUT, FWD, PHY, CMB, OOF, OOP, OOS, OOE or OOC"))?;
    let period = match field(row, 4) {
        "" => None,
        text => Some(text.parse().map_err(|()| refused(4, "expiry", "expected YYYYMM or YYYYMMDD"))?),
    };
    let lots = field(row, 5).parse().map_err(|_| refused(5, "lots", "expected a whole number"))?;
    let (right, strike) = if kind.is_option() {
        let right = SpanRight::of(field(row, 6)).ok_or_else(|| refused(6, "right", "expected C or P"))?;
        let strike = Decimal::from_str_exact(field(row, 7));
        (Some(right), Some(strike.map_err(|_| refused(7, "strike", "expected a decimal"))?))
    } else if field(row, 6).is_empty() && field(row, 7).is_empty() {
        (None, None)
    } else {
        return Err(refused(6, "right", "expected no right and no strike, which only options have"));
    };
    let (exchange, product) = (field(row, 1).to_owned(), field(row, 2).to_owned());
    let name = SpanContractName { exchange, product, kind, period, right, strike };
    let contract = desk.find(&name).map_err(|e| refused(2, "product", &e.to_string()))?;
    Ok((account, contract, lots))
}

/// Billionths as a decimal, trailing zeros dropped.
fn amount(billionths: i128) -> anyhow::Result<Decimal> {
    let amount = Decimal::try_from_i128_with_scale(billionths, 9);
    Ok(amount.with_context(|| format!("{billionths} billionths cannot be printed"))?.normalize())
}

fn answer(
    file: &SpanFile,
    reports: &[SpanAccountReport],
    failures: Vec<String>,
    terms: SpanAccountTerms,
) -> anyhow::Result<Answer<'static>> {
    let mut main = Table::new("Combined commodities", &COLUMNS);
    let columns = [("account", Kind::Text), ("currency", Kind::Text), ("requirement", Kind::Amount)];
    let mut totals = Table::new("Totals", &columns);
    let mut accounts = Vec::with_capacity(reports.len());
    let mut notes = vec![note(file, terms)];
    for report in reports {
        let own = main.rows.len();
        for commodity in &report.commodities {
            main.push(cells(report, commodity)?);
        }
        let mut sums = Map::new();
        for (currency, total) in &report.totals {
            let total = amount(*total)?;
            totals.push(vec![Cell::text(&report.account), Cell::text(currency), Cell::Amount(total)]);
            sums.insert(currency.clone(), Value::from(total.to_string()));
        }
        let commodities = Table { rows: main.rows[own..].to_vec(), ..main.clone() }.json();
        accounts.push(json!({ "account": report.account, "commodities": commodities, "totals": sums }));
        if report.uncredited > 0 {
            let many = report.uncredited;
            notes.push(format!("account {}: no credit for {many} scanning-based spreads", report.account));
        }
    }
    let verdict = if failures.is_empty() { Verdict::Passed } else { Verdict::Failed };
    let json = json!({ "date": file.date, "accounts": accounts, "failures": failures });
    notes.extend(failures);
    Ok(Answer {
        tables: vec![main.clone(), totals],
        notes,
        main,
        json: JsonBody::Value(json),
        verdict,
        picture: None,
    })
}

fn note(file: &SpanFile, terms: SpanAccountTerms) -> String {
    let level = if terms.initial { "initial" } else { "maintenance" };
    let prices = match file.settlement {
        Some(true) => ", settlement prices",
        Some(false) => ", intraday prices",
        None => "",
    };
    let counts =
        format!("{} contracts, {} combined commodities", file.contracts.len(), file.commodities.len());
    format!(
        "SPAN file of {}{prices}: {counts}; {level} margin, {}",
        file.date,
        format!("{:?}", terms.kind).to_lowercase()
    )
}

fn cells(report: &SpanAccountReport, commodity: &SpanCommodityMargin) -> anyhow::Result<Vec<Cell>> {
    let figures = &commodity.figures;
    let money = |ticks| amount(ticks).map(Cell::Amount);
    Ok(vec![
        Cell::text(&report.account),
        Cell::text(&commodity.code),
        Cell::text(&commodity.currency),
        money(figures.scan_loss)?,
        Cell::count(figures.active + 1),
        money(figures.intra)?,
        money(figures.spot)?,
        money(figures.inter_credit)?,
        money(figures.short_option_minimum)?,
        money(figures.risk)?,
        money(figures.option_value)?,
        money(figures.net_delta)?,
        money(commodity.requirement.risk)?,
        money(commodity.requirement.requirement)?,
    ])
}
