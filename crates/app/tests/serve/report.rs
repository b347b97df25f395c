//! What `plimsoll report` writes of a journal that was made here.

use crate::world::World;
use plimsoll_app::host::{Begin, End, follow, replay};
use plimsoll_types::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a journal of a few hours: two who stand well, and one who is liquidated in a fall.
fn told() -> (tempfile::TempDir, PathBuf) {
    falling(14.0, "3100")
}

/// The same, where the price falls by so much a minute and she has so much.
fn falling(each: f64, dollars: &str) -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut world = World::calm_in(dir, "snapshot_events = 40\nsnapshots_kept = 90");
    world.open("carol", dollars);
    world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "5", "3310");
    for step in 0..150_i32 {
        world.now = world.now.plus_seconds(60);
        let eth = 3310.0 - if step > 60 { f64::from(step - 60).min(40.0) * each } else { 0.0 };
        for (asset, price) in [("BTC", "96400"), ("SOL", "142.5"), ("USDC", "1")] {
            world.price(asset, price);
        }
        world.price("ETH", &format!("{eth:.1}"));
        world.tell(json!({ "type": "clock" }));
    }
    drop(world.host.take().unwrap().stop().unwrap());
    copy(&path, kept.path());
    let journal = kept.path().to_owned();
    (kept, journal)
}

/// The files of the journal, out of a folder that goes with its world.
fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap().map(Result::unwrap) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).unwrap();
    }
}

fn report(journal: &Path, out: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_plimsoll"));
    command.arg("report").arg("--journal").arg(journal).arg("--out").arg(out).args(more);
    command.output().unwrap()
}

fn pages(journal: &Path, more: &[&str]) -> (String, String) {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("report.html");
    let done = report(journal, &out, more);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let read = |path: &Path| std::fs::read_to_string(path).unwrap();
    (read(&out), read(&out.with_extension("md")))
}

/// Cells of the rows of the Markdown table under a heading that begins so.
fn table(text: &str, heading: &str) -> Vec<Vec<String>> {
    let from = text.find(&format!("\n## {heading}")).unwrap_or_else(|| panic!("no `{heading}` in {text}"));
    let lines = text[from + 1..].lines().skip(1).skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|line| line.trim_matches('|').split(" | ").map(|cell| cell.trim().to_owned()).collect())
        .collect()
}

#[test]
fn a_report_says_what_the_journal_says_and_always_the_same() {
    let (_kept, journal) = told();
    let (html, text) = pages(&journal, &[]);
    assert_eq!((&html, &text), (&pages(&journal, &[]).0, &pages(&journal, &[]).1), "the same bytes");
    assert!(
        !html.contains("src=") && !html.contains("href=") && html.matches("<svg").count() >= 6,
        "self-contained"
    );
    let (course, _) = replay(&journal, None, |_| Ok(())).unwrap();
    let units = &course.engine.rules().params.units;
    let last = course.chronicle.samples.back().unwrap();
    let shown = |ticks| units.amount(ticks).round_dp(2);
    let totals = table(&text, "Totals of all accounts");
    for (row, ticks) in totals.iter().zip([last.equity, last.im, last.mm, last.insurance]) {
        assert_eq!(row[2].parse::<plimsoll_types::Decimal>().unwrap(), shown(ticks), "{row:?}");
    }
    let each = table(&text, "Margin by underlying");
    let eth = each.iter().find(|row| row[0] == "ETH, initial").unwrap();
    let of = last.underlyings.iter().find(|(asset, _)| asset.as_str() == "ETH").unwrap();
    assert_eq!(eth[2].parse::<plimsoll_types::Decimal>().unwrap(), shown(of.1[0]));
    let counts = table(&text, "Calls and liquidations, counted");
    let count =
        |what: &str| counts.iter().find(|row| row[0] == what).map_or(0, |row| row[1].parse().unwrap());
    assert_eq!((count("became liquidatable"), count("liquidations asked for")), (1, 1), "{counts:?}");
    let list = table(&text, "Calls and liquidations\n");
    assert!(list.iter().all(|row| row[2] == "carol") && !list.is_empty(), "{list:?}");
    let worst = table(&text, "The 20 accounts nearest");
    assert_eq!(worst[0][0], "alice", "{worst:?}");
}

#[test]
fn coverage_judges_whole_windows_and_the_worst_cell_adds_up() {
    let (_kept, journal) = told();
    let (_, text) = pages(&journal, &[]);
    let covered = table(&text, "Coverage");
    let hour = covered.iter().find(|row| row[0] == "1 h").unwrap();
    let cell = |at: usize| hour[at].parse::<u64>().unwrap();
    assert_eq!((cell(1), cell(2)), (2, 5), "{hour:?}");
    assert_eq!(hour[6], format!("{:.3} %", 100.0 * (1.0 - cell(4) as f64 / cell(2) as f64)));
    let parts = table(&text, "The worst cell");
    let amount = |row: &Vec<String>| row[2].parse::<f64>().unwrap();
    let sum: f64 = parts[..parts.len() - 1].iter().map(amount).sum();
    assert!((sum - amount(parts.last().unwrap())).abs() < 0.02, "{parts:?}");
}

/// Instrument and lots of each position, and initial and maintenance margin, ticks.
type Margined = (Vec<(u32, i64)>, [i128; 2]);

/// What is there when the engine samples: who holds what against which margin, ticks, and the mark of a lot.
struct Look {
    at: Timestamp,
    accounts: Vec<Margined>,
    marks: BTreeMap<u32, i64>,
}

/// Every sample of a journal from the first in which there is something to margin.
fn looks(journal: &Path) -> Vec<Look> {
    let mut looks: Vec<Look> = Vec::new();
    let each = |course: &plimsoll_app::host::Course| {
        let sample = course.chronicle.samples.back();
        let Some(sample) = sample.filter(|of| looks.last().is_none_or(|last| last.at < of.at)) else {
            return Ok(());
        };
        if looks.is_empty() && sample.im.0 == 0 {
            return Ok(());
        }
        let (valued, ledger) = (course.engine.valued(), &course.engine.state().ledger);
        let margined = ledger.accounts().iter().zip(0..).filter_map(|(account, number)| {
            let totals = valued.totals(number)?.ok()?;
            let held = account.positions.iter().map(|held| (held.instrument, held.lots)).collect();
            Some((held, [totals.im.0, totals.mm.0]))
        });
        let marks = (0..ledger.instruments().len() as u32).filter_map(|n| Some((n, valued.mark_of(n)?)));
        looks.push(Look { at: sample.at, accounts: margined.collect(), marks: marks.collect() });
        Ok(())
    };
    replay(journal, None, each).unwrap();
    looks
}

/// Windows, losses, those beyond initial and maintenance margin, windows with one beyond the latter, and the most in one.
fn counted(looks: &[Look], horizon: i64) -> [u64; 6] {
    let mut counts = [0; 6];
    let mut open = 0;
    while let Some(ahead) =
        looks[open..].iter().position(|of| looks[open].at.seconds_until(of.at) >= horizon as f64)
    {
        let (first, last) = (&looks[open], &looks[open + ahead]);
        let mut beyond = 0;
        for (held, [im, mm]) in first.accounts.iter().filter(|(_, [_, mm])| *mm > 0) {
            let worth = |marks: &BTreeMap<u32, i64>| {
                held.iter().map(|(n, lots)| i128::from(*lots) * i128::from(marks[n])).sum::<i128>()
            };
            let lost = worth(&first.marks) - worth(&last.marks);
            counts[1] += 1;
            counts[2] += u64::from(lost > *im);
            beyond += u64::from(lost > *mm);
        }
        counts[0] += 1;
        counts[3] += beyond;
        counts[4] += u64::from(beyond > 0);
        counts[5] = counts[5].max(beyond);
        open += ahead;
    }
    counts
}

#[test]
fn losses_beyond_margin_are_those_of_a_count_by_hand() {
    let (_kept, journal) = falling(45.0, "5000");
    let (_, text) = pages(&journal, &[]);
    let looks = looks(&journal);
    let (covered, tested) = (table(&text, "Coverage: "), table(&text, "Losses beyond IM against"));
    let mut beyond = 0;
    for (name, horizon) in [("10 min", 600), ("1 h", 3_600), ("1 d", 86_400)] {
        let row = covered.iter().find(|row| row[0] == name).unwrap();
        let shown = [1, 2, 3, 4, 8, 9].map(|at: usize| row[at].parse::<u64>().unwrap());
        let by_hand = counted(&looks, horizon);
        assert_eq!(shown, by_hand, "{name}");
        beyond += by_hand[3];
        let row = tested.iter().find(|row| row[0] == name).unwrap();
        if by_hand[1] == 0 {
            assert_eq!(row[2], "no window ended");
            continue;
        }
        // One loss in a hundred may be beyond initial margin.
        let (trials, x) = (by_hand[1] as f64, by_hand[2] as f64);
        assert_eq!(row[2], format!("at most {:.2}", 0.01 * trials));
        let some = |x: f64, y: f64| if x == 0.0 { 0.0 } else { x * y.ln() };
        let fitted = some(trials - x, 1.0 - x / trials) + some(x, x / trials);
        let statistic = -2.0 * (some(trials - x, 0.99) + some(x, 0.01) - fitted);
        assert_eq!(row[4], format!("{statistic:.3}"));
        assert_eq!(row[6], format!("{:.3}", statistic * by_hand[0] as f64 / trials));
    }
    // Carol holds five and is healthy; a fall by 54 % in forty minutes takes more than she was asked for.
    assert!(beyond > 0, "nothing was lost beyond margin, so nothing was counted");
}

/// A folder with a journal of a year of small moves, of which the policy learns what is usual, and of a day after a fall; and what the
/// server said of it at the end.
async fn moved() -> (tempfile::TempDir, [Value; 2]) {
    let dir = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut world = World::calm_in(dir, "");
    let mut tell = |seconds: i64, eth: f64, share: f64| {
        world.now = world.now.plus_seconds(seconds);
        for (asset, price) in [("BTC", 96_400.0 * share), ("ETH", eth), ("SOL", 142.5 * share), ("USDC", 1.0)]
        {
            world.price(asset, &format!("{price:.2}"));
        }
        world.tell(json!({ "type": "clock" }));
    };
    for day in 0..400 {
        let up = day % 2 == 0;
        tell(86_400, if up { 3_350.0 } else { 3_310.0 }, if up { 1.01 } else { 1.0 });
    }
    for eth in [3_150.0, 3_000.0, 2_930.0] {
        tell(5, eth, 1.0);
    }
    for _ in 0..30 {
        tell(3_600, 2_930.0, 1.0);
    }
    let history = world.get("/v1/parameters/history?limit=1000").await.1;
    let overview = world.get("/v1/overview").await.1;
    drop(world.host.take().unwrap().stop().unwrap());
    copy(&path, kept.path());
    (kept, [history, overview])
}

#[tokio::test]
async fn every_change_is_the_servers_and_its_causes_add_up() {
    let (kept, [history, overview]) = moved().await;
    let (_, text) = pages(kept.path(), &[]);
    let totals = table(&text, "Totals of all accounts");
    for (row, name) in totals.iter().zip(["equity", "im", "mm", "insurance"]) {
        let said: plimsoll_types::Decimal = overview["data"][name].as_str().unwrap().parse().unwrap();
        assert_eq!(row[2].parse::<plimsoll_types::Decimal>().unwrap(), said.round_dp(2), "{row:?}");
    }
    // By record and parameter: from, to, and the parts of the logarithm in billionths.
    let mut told: BTreeMap<(u64, String), &Value> = BTreeMap::new();
    for noted in history["data"].as_array().unwrap() {
        for change in noted["what"]["decision"]["changes"].as_array().unwrap() {
            let name = change["text"].as_str().unwrap().split(' ').next().unwrap().to_owned();
            told.insert((noted["sequence"].as_u64().unwrap(), name), change);
        }
    }
    let rows = table(&text, "Parameter changes");
    assert!(rows.len() > 10 && rows.len() == told.len().min(200), "{} of {}", rows.len(), told.len());
    assert!(text.contains(&format!("## Parameter changes: {} in ", told.len())));
    for row in &rows {
        let change = told[&(row[1].parse().unwrap(), row[2].clone())];
        assert_eq!(
            (row[3].as_str(), row[4].as_str()),
            (change["from"].as_str().unwrap(), change["to"].as_str().unwrap())
        );
        let part = |of: &Value| of.as_i64().unwrap();
        let parts: Vec<(String, i64)> = change["causes"]
            .as_array()
            .unwrap()
            .iter()
            .map(|cause| (cause[0].as_str().unwrap().to_owned(), part(&cause[1])))
            .collect();
        let moved = (row[4].parse::<f64>().unwrap() / row[3].parse::<f64>().unwrap()).ln();
        let sum = parts.iter().map(|(_, part)| part).sum::<i64>() as f64 * 1e-9;
        assert!((sum - moved).abs() < 1e-6, "{row:?}: {sum} is not {moved}");
        assert_eq!((&row[5], &row[6]), (&format!("{moved:.5}"), &format!("{sum:.5}")));
        let words = parts.iter().map(|(cause, part)| format!("{cause} {:+.2} %", *part as f64 * 1e-7));
        assert_eq!(row[7], words.collect::<Vec<_>>().join(", "));
    }
}

#[test]
fn a_period_is_the_same_with_a_snapshot_and_without() {
    let (_kept, journal) = told();
    let (course, _) = replay(&journal, None, |_| Ok(())).unwrap();
    let end = course.engine.state().now;
    let (from, to) = (end.plus_seconds(-5_400).to_string(), end.plus_seconds(-1_200).to_string());
    let period = ["--from", from.as_str(), "--to", to.as_str()];
    let with = pages(&journal, &period);
    let snapshots = |path: &PathBuf| path.extension().is_some_and(|of| of == "snap");
    let files = std::fs::read_dir(&journal).unwrap().map(|entry| entry.unwrap().path()).filter(snapshots);
    let files: Vec<PathBuf> = files.collect();
    assert!(files.len() > 3, "{files:?}");
    // From the snapshot before the period on, not from the first record.
    let begin = Begin::Instant(end.plus_seconds(-5_400));
    let read =
        |begin| follow(&journal, (begin, End::default()), |_, _| Ok(ControlFlow::Continue(()))).unwrap().1;
    let (some, all) = (read(begin), read(Begin::First));
    assert!(some < 90 * 5 + 41 + 5 && some < all, "{some} records of {all} were replayed");
    files.iter().for_each(|path| std::fs::remove_file(path).unwrap());
    assert!(with == pages(&journal, &period), "a snapshot changes what is said");
    assert_ne!(with.1, pages(&journal, &[]).1);
    let whole = table(&pages(&journal, &[]).1, "Totals of all accounts");
    assert_ne!(table(&with.1, "Totals of all accounts")[1][2], whole[1][2], "margin moved after the period");
}

#[test]
fn what_is_no_period_or_no_page_is_refused() {
    let (kept, journal) = told();
    let page = kept.path().join("report.html");
    for (out, more, why) in [
        (kept.path().join("report"), &[][..], "--out report.html"),
        (page.clone(), &["--from", "2026-01-12", "--to", "2026-01-11"][..], "before --to"),
        (page.clone(), &["--from", "yesterday"][..], "neither an instant nor a date"),
        (page.clone(), &["--from", "2031-01-01"][..], "nothing can be shown"),
        (page, &["--to", "2001-01-01"][..], "begins after the period"),
    ] {
        let done = report(&journal, &out, more);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(2) && said.contains(why), "{more:?}: {said}");
    }
}
