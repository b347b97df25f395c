//! Running the built binary on files of a test's own.
#![allow(dead_code, reason = "each test file is a program of its own and uses a part of this")]
#![allow(unreachable_pub, missing_docs, reason = "nothing outside the test programs sees this")]
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test stops at what it does not expect"
)]

use serde_json::Value;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

/// What a run gave.
pub struct Run {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Run {
    pub fn text(&self) -> String {
        String::from_utf8(self.out.clone()).unwrap()
    }

    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.out).unwrap_or_else(|e| panic!("{e}: {}{}", self.text(), self.err))
    }

    pub fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{}", self.err);
        self
    }

    /// Refused as bad input: status 2, nothing on the standard output stream.
    pub fn refused(&self, parts: &[&str]) {
        assert_eq!(self.code, 2, "{}", self.err);
        assert!(self.out.is_empty(), "{}", self.text());
        for part in parts {
            assert!(self.err.contains(part), "`{part}` is not in: {}", self.err);
        }
    }
}

/// Runs the binary with `input` on its standard input stream.
pub fn run_with(args: &[&str], input: &[u8]) -> Run {
    let mut child = Command::new(env!("CARGO_BIN_EXE_plimsoll"))
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // The program may refuse its arguments and go before it has read anything.
    let _ = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let err = String::from_utf8(output.stderr).unwrap();
    Run { code: output.status.code().unwrap(), out: output.stdout, err }
}

pub fn run(args: &[&str]) -> Run {
    run_with(args, b"")
}

/// A directory for this test process.
pub fn directory() -> &'static Path {
    static DIRECTORY: OnceLock<PathBuf> = OnceLock::new();
    DIRECTORY.get_or_init(|| {
        let path = std::env::temp_dir().join(format!("plimsoll-cli-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        path
    })
}

/// A file with this content and ending.
pub fn file(ending: &str, content: impl AsRef<[u8]>) -> String {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let name = format!("{}-{ending}", NUMBER.fetch_add(1, Ordering::Relaxed));
    let path = directory().join(name);
    std::fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The generated market of 15 January 2026: BTC, ETH and SOL.
pub fn market() -> &'static str {
    static MARKET: OnceLock<String> = OnceLock::new();
    MARKET.get_or_init(|| {
        let path = directory().join("market.json").to_str().unwrap().to_owned();
        run(&["generate", "market", "--to", &path]).ok();
        path
    })
}

pub const BOOK: &str = "account,instrument,quantity
alice,BTC-27MAR26-100000-C,-2
alice,BTC,1.5
bob,ETH-27MAR26-3000-P,-10
bob,ETH-PERPETUAL,5000
carol,SOL_USDC-27MAR26-140-C,100
";

pub const COLLATERAL: &str = "account,asset,amount\nalice,USDC,50000\nbob,USDC,20000.5\n";

/// Runs `command` on the generated market and the book above, with more arguments.
pub fn on_book(command: &str, more: &[&str]) -> Run {
    let (positions, collateral) = (file("positions.csv", BOOK), file("collateral.csv", COLLATERAL));
    let base = [command, "--market", market(), "--positions", &positions, "--collateral", &collateral];
    run(&[&base[..], more].concat())
}

/// The real data beside the checkout; `None`, with a printed line, where it is absent. Required where `CI` is true.
pub fn shared(path: &str) -> Option<String> {
    let full = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/").to_owned() + path;
    if Path::new(&full).exists() {
        return Some(full);
    }
    assert!(std::env::var("CI").as_deref() != Ok("true"), "{full} is absent, and CI is true");
    println!("skipped: {full} is absent");
    None
}
