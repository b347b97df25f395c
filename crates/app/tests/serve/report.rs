//! What `plimsoll report` writes of a journal that was made here.

use crate::world::World;
use plimsoll_app::host::replay;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder with a journal of a few hours: two who stand well, and one who is liquidated in a fall.
fn told() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let kept = tempfile::tempdir().unwrap();
    let path = dir.path().to_owned();
    let mut world = World::calm_in(dir, "snapshot_events = 40\nsnapshots_kept = 90");
    world.open("carol", "3100");
    world.trade("carol", "alice", "ETH_USDC-PERPETUAL", "5", "3310");
    for step in 0..150_i32 {
        world.now = world.now.plus_seconds(60);
        let eth = 3310.0 - if step > 60 { f64::from(step - 60).min(40.0) * 14.0 } else { 0.0 };
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
