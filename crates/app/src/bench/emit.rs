//! Inputs and answers as files, for other programs.

use super::workloads::Work;
use super::{Options, Workload, pool};
use anyhow::Context;
use plimsoll_lanes::Path;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path as File, PathBuf};

/// Writes inputs and answers of the chosen workloads into folders of a directory, with a page that says what every file
/// and column is. Says which files there are.
///
/// # Errors
/// When inputs cannot be made, or a file cannot be written.
pub fn emit(options: &Options, directory: &File) -> anyhow::Result<Vec<PathBuf>> {
    let pool = pool(options.threads.first().copied().unwrap_or_else(|| super::Machine::here().cores))?;
    let mut pages: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let (mut written, mut files) = (BTreeSet::new(), Vec::new());
    for workload in options.chosen()? {
        let folder = directory.join(workload.folder);
        std::fs::create_dir_all(&folder).with_context(|| format!("{}: cannot be made", folder.display()))?;
        let work = answered(options, &workload, &pool)?;
        for (name, text) in work.files() {
            let path = folder.join(name);
            std::fs::write(&path, text).with_context(|| format!("{}: cannot be written", path.display()))?;
            files.push(path);
        }
        for frame in work.frames()? {
            if written.insert((workload.folder, frame.name.clone())) {
                frame.write(&folder)?;
                files.push(folder.join(&frame.name));
                pages.entry(workload.folder).or_default().push(frame.described());
            }
        }
    }
    let page = directory.join("README.md");
    std::fs::write(&page, readme(&pages))
        .with_context(|| format!("{}: cannot be written", page.display()))?;
    files.push(page);
    Ok(files)
}

fn answered(
    options: &Options,
    workload: &Workload,
    pool: &rayon::ThreadPool,
) -> anyhow::Result<Box<dyn Work>> {
    let context = || format!("workload {}", workload.name);
    let mut work = (workload.prepare)(&options.setup()).with_context(context)?;
    pool.install(|| work.run(Path::best())).with_context(context)?;
    Ok(work)
}

fn readme(pages: &BTreeMap<&str, Vec<String>>) -> String {
    let mut text = String::from(
        "# Inputs and answers of `plimsoll bench`\n\n\
         Each table is there twice, as Parquet and as CSV, with the same values to the last bit. `plimsoll bench --input` \
         of this directory runs on them and must give the same answers. How they are drawn: docs/performance.md.\n",
    );
    for (folder, frames) in pages {
        text.push_str(&format!("\n## {folder}\n\n"));
        text.push_str(&frames.concat());
    }
    text
}
