//! The rules of the house, as tests: which crate may know which, and what no crate below the binary may touch.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a panic is how a test fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Who may depend on whom (`docs/architecture.md`).
const EDGES: [(&str, &[&str]); 14] = [
    ("plimsoll-lanes", &[]),
    ("plimsoll-types", &[]),
    ("plimsoll-quant", &["plimsoll-lanes"]),
    ("plimsoll-market", &["plimsoll-lanes", "plimsoll-types", "plimsoll-quant"]),
    ("plimsoll-risk", &["plimsoll-lanes", "plimsoll-types", "plimsoll-quant", "plimsoll-market"]),
    ("plimsoll-margin", &["plimsoll-lanes", "plimsoll-types"]),
    ("plimsoll-policy", &["plimsoll-types", "plimsoll-quant"]),
    (
        "plimsoll-engine",
        &[
            "plimsoll-lanes",
            "plimsoll-types",
            "plimsoll-quant",
            "plimsoll-market",
            "plimsoll-risk",
            "plimsoll-margin",
            "plimsoll-policy",
        ],
    ),
    (
        "plimsoll-sim",
        &[
            "plimsoll-lanes",
            "plimsoll-types",
            "plimsoll-quant",
            "plimsoll-market",
            "plimsoll-risk",
            "plimsoll-margin",
            "plimsoll-policy",
            "plimsoll-engine",
        ],
    ),
    // Knows bytes only, so it needs none of ours, and only the binary needs it.
    ("plimsoll-journal", &[]),
    // What venues say is told in the words of `types`; what it does to an engine is for the binary to know.
    ("plimsoll-feeds", &["plimsoll-types", "plimsoll-quant"]),
    // What a server says and what a client reads; computes nothing.
    ("plimsoll-client", &[]),
    // Knows rows only, so it needs none of ours either.
    ("plimsoll-readmodels", &[]),
    (
        "plimsoll-app",
        &[
            "plimsoll-lanes",
            "plimsoll-types",
            "plimsoll-quant",
            "plimsoll-market",
            "plimsoll-risk",
            "plimsoll-margin",
            "plimsoll-policy",
            "plimsoll-engine",
            "plimsoll-sim",
            "plimsoll-journal",
            "plimsoll-feeds",
            "plimsoll-client",
            "plimsoll-readmodels",
        ],
    ),
];

/// What may not be written in the sources of a crate below the binary, and what to use instead.
const BANNED: [(&str, &str); 9] = [
    ("SystemTime", "time is an input"),
    ("Instant::now", "time is an input"),
    ("Timestamp::now", "time is an input"),
    ("HashMap", "use BTreeMap: iteration order must not reach a number"),
    ("HashSet", "use BTreeSet: iteration order must not reach a number"),
    ("std::fs", "files are opened by the binary"),
    ("std::net", "sockets are opened by the binary"),
    ("std::env", "the environment is read by the binary"),
    ("thread_rng", "randomness is seeded and an input"),
];

/// Names that say nothing.
const NAMELESS: [&str; 9] =
    ["helper", "helpers", "util", "utils", "manager", "misc", "process", "handle", "data"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sources(of: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut open = vec![of.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

/// The text of a file without its test modules and comments.
fn code(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    let end = text.find("#[cfg(test)]\nmod ").unwrap_or(text.len());
    text[..end].lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn members() -> BTreeMap<String, BTreeSet<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut all = BTreeMap::new();
    for package in metadata["packages"].as_array().unwrap() {
        let dependencies = package["dependencies"].as_array().unwrap().iter();
        let ours =
            dependencies.filter(|d| d["kind"].is_null()).map(|d| d["name"].as_str().unwrap().to_owned());
        let ours = ours.filter(|name| name.starts_with("plimsoll")).collect();
        all.insert(package["name"].as_str().unwrap().to_owned(), ours);
    }
    all
}

#[test]
fn no_crate_depends_on_one_it_must_not_know() {
    let members = members();
    for (name, dependencies) in &members {
        let (_, allowed) =
            EDGES.iter().find(|(known, _)| known == name).unwrap_or_else(|| panic!("{name} has no rule"));
        for dependency in dependencies {
            assert!(allowed.contains(&dependency.as_str()), "{name} must not know {dependency}");
        }
    }
    assert_eq!(members.len(), EDGES.len());
}

#[test]
fn below_the_binary_there_is_no_clock_hash_order_file_or_chance() {
    for name in ["types", "quant", "market", "risk", "margin", "policy", "engine"] {
        for path in sources(&root().join("crates").join(name).join("src")) {
            let code = code(&path);
            for (banned, instead) in BANNED {
                assert!(!code.contains(banned), "{}: {banned}: {instead}", path.display());
            }
        }
    }
}

/// The journal stands beside the binary: keeping files is what it is for, so it may name them, in one file alone. It is
/// otherwise held to the rules of those below, so that every fault is had on a simulated disk.
#[test]
fn the_journal_touches_files_in_one_place_and_has_no_clock_hash_order_or_chance() {
    for path in sources(&root().join("crates/journal/src")) {
        let code = code(&path);
        for (banned, instead) in BANNED {
            let its_own = banned == "std::fs" && path.ends_with("src/disk.rs");
            assert!(its_own || !code.contains(banned), "{}: {banned}: {instead}", path.display());
        }
    }
}

/// The feeds stand there too: holding connections is what `link` is for. Sockets are the runtime's and are made in one file alone; clock and
/// chance are handed in, so that a protocol says the same of the same frames whenever it is asked.
#[test]
fn the_feeds_make_connections_in_one_place_and_have_no_clock_hash_order_file_or_chance() {
    for path in sources(&root().join("crates/feeds/src")) {
        let code = code(&path);
        for (banned, instead) in BANNED {
            assert!(!code.contains(banned), "{}: {banned}: {instead}", path.display());
        }
        let dials = path.ends_with("src/link/dial.rs");
        assert!(
            dials || !code.contains("tokio::net"),
            "{}: connections are made in link/dial.rs",
            path.display()
        );
        let links = path.components().any(|part| part.as_os_str() == "link");
        assert!(links || !code.contains("tokio"), "{}: a protocol has no runtime", path.display());
    }
}

#[test]
fn the_margin_crate_has_no_float_but_in_its_vector_lanes() {
    // Whole numbers beneath 2^53 on float lanes, where every sum is exact (design, section 3.2).
    let of_lanes = |path: &PathBuf| path.ends_with("lanes.rs") || path.parent().unwrap().ends_with("lanes");
    for path in sources(&root().join("crates/margin/src")).into_iter().filter(|path| !of_lanes(path)) {
        let code = code(&path);
        for float in ["f64", "f32"] {
            assert!(!code.contains(float), "{}: {float} in the margin stage", path.display());
        }
    }
}

#[test]
fn every_source_file_is_part_of_its_crate() {
    for path in sources(&root().join("crates")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        let folder = path.parent().unwrap();
        if !path.components().any(|c| c.as_os_str() == "src") || ["lib", "main"].contains(&name) {
            continue;
        }
        let (module, parents) = if name == "mod" {
            let above = folder.parent().unwrap();
            (
                folder.file_name().unwrap().to_str().unwrap(),
                ["mod.rs", "lib.rs", "main.rs"].map(|f| above.join(f)).to_vec(),
            )
        } else {
            let sibling = folder.with_extension("rs");
            (name, [folder.join("mod.rs"), folder.join("lib.rs"), folder.join("main.rs"), sibling].to_vec())
        };
        let declared = parents.iter().filter_map(|p| std::fs::read_to_string(p).ok());
        let declaration = format!("mod {module};");
        assert!(
            declared.into_iter().any(|text| text.contains(&declaration)),
            "{} is in no module",
            path.display()
        );
    }
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    for path in sources(&root().join("crates")) {
        let name = path.file_stem().unwrap().to_str().unwrap();
        assert!(!NAMELESS.contains(&name), "{}", path.display());
    }
}

#[test]
fn every_crate_says_what_it_must_never_know() {
    for path in sources(&root().join("crates")).iter().filter(|p| p.ends_with("src/lib.rs")) {
        let text = std::fs::read_to_string(path).unwrap();
        let head: String = text.lines().take_while(|line| line.starts_with("//!")).collect();
        assert!(head.to_lowercase().contains("must never know"), "{}", path.display());
    }
}

#[test]
fn every_reason_is_documented() {
    let reasons = std::fs::read_to_string(root().join("docs/reasons.md")).unwrap();
    let source = std::fs::read_to_string(root().join("crates/types/src/issue.rs")).unwrap();
    let codes = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next());
    let mut count = 0;
    for code in codes {
        assert!(reasons.contains(&format!("`{code}`")), "docs/reasons.md does not explain `{code}`");
        count += 1;
    }
    assert!(count > 15, "only {count} reasons found in the source");
}

#[test]
fn every_reason_of_the_feeds_is_documented() {
    let page = std::fs::read_to_string(root().join("docs/feeds.md")).unwrap();
    let source = std::fs::read_to_string(root().join("crates/feeds/src/refusal.rs")).unwrap();
    let codes: Vec<&str> = source.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()).collect();
    for code in &codes {
        assert!(page.contains(&format!("`{code}`")), "docs/feeds.md does not explain `{code}`");
    }
    assert_eq!(codes.len(), 19);
}

#[test]
fn every_function_the_model_names_exists() {
    let model = std::fs::read_to_string(root().join("docs/model.md")).unwrap();
    let mut count = 0;
    for name in model.split('`').filter(|word| word.contains("::") && !word.contains(' ')) {
        let (krate, rest) = name.split_once("::").unwrap();
        let item = rest.rsplit("::").next().unwrap();
        let declared = ["fn", "struct", "enum"].map(|what| format!("pub {what} {item}"));
        let texts = sources(&root().join("crates").join(krate).join("src"));
        let found = texts.iter().any(|path| {
            let code = code(path);
            declared.iter().any(|declaration| {
                code.match_indices(declaration.as_str()).any(|(at, _)| {
                    code[at + declaration.len()..].starts_with(|c: char| !c.is_alphanumeric() && c != '_')
                })
            })
        });
        assert!(found, "docs/model.md names {name}, which does not exist");
        count += 1;
    }
    assert!(count > 40, "only {count} functions named");
}
