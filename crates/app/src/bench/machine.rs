//! What the machine says of itself.

use plimsoll_lanes::Path;
use std::fs;
use std::path::Path as File;

/// The machine a run was made on.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    /// The processor's name; empty where nobody says.
    pub cpu: String,
    /// Threads that can run at once.
    pub cores: usize,
    /// Level and kind of each cache of the first core, with its size as the system writes it: `L1 Data 32K`.
    pub caches: Vec<String>,
    /// The vector paths it has, the fastest last.
    pub paths: Vec<&'static str>,
}

impl Machine {
    /// This machine.
    pub fn here() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
        let paths = Path::available().into_iter().map(Path::name).collect();
        Self { cpu: cpu(), cores, caches: caches(), paths }
    }

    /// In one line.
    pub fn shown(&self) -> String {
        let cpu = if self.cpu.is_empty() { "unknown processor" } else { &self.cpu };
        format!("{cpu}, {} cores, {}, {}", self.cores, self.caches.join(", "), self.paths.join("/"))
    }
}

fn cpu() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = text.lines().find_map(|line| line.strip_prefix("model name"));
    named.map_or_else(String::new, |rest| rest.trim_start_matches([' ', '\t', ':']).to_owned())
}

/// Where the first core describes its caches.
const CACHES: &str = "/sys/devices/system/cpu/cpu0/cache";

fn caches() -> Vec<String> {
    let field = |index: usize, name: &str| {
        let path = File::new(CACHES).join(format!("index{index}")).join(name);
        fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
    };
    let one = |index| {
        Some(format!("L{} {} {}", field(index, "level")?, field(index, "type")?, field(index, "size")?))
    };
    (0..8).map_while(one).collect()
}

/// Starts a new count of the most memory in use, where the system has one.
pub(super) fn forget_peak() {
    // A system that keeps no such count is told so by `peak_bytes`.
    let _ = fs::write("/proc/self/clear_refs", "5");
}

/// The most memory this process had in use since [`forget_peak`], bytes (VmHWM); `None` where the system does not say.
pub(super) fn peak_bytes() -> Option<u64> {
    in_use("VmHWM:")
}

/// What this process has in use now, bytes (VmRSS); `None` where the system does not say.
pub(super) fn resident_bytes() -> Option<u64> {
    in_use("VmRSS:")
}

fn in_use(which: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(which))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes * 1024)
}
