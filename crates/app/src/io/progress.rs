//! Progress on the standard error stream, for what takes longer than a second.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// What is quicker than this shows nothing.
const PATIENCE: Duration = Duration::from_secs(1);

/// A bar or spinner that appears once its work has lasted a second, and goes away when dropped. Nothing is drawn
/// when the standard error stream is not a terminal.
pub struct Progress {
    bar: ProgressBar,
    done: Option<Sender<()>>,
    shower: Option<JoinHandle<()>>,
}

impl Progress {
    /// Progress through `total` bytes, or through an unknown number of them.
    pub fn bytes(label: &str, total: Option<u64>) -> Self {
        let shape = match total {
            Some(_) => "{msg} {wide_bar} {bytes}/{total_bytes} {bytes_per_sec}",
            None => "{spinner} {msg} {bytes} {bytes_per_sec}",
        };
        Self::start(label, total, shape)
    }

    /// Progress through `total` things.
    pub fn items(label: &str, total: u64) -> Self {
        Self::start(label, Some(total), "{msg} {wide_bar} {pos}/{len}")
    }

    /// Work of unknown length.
    pub fn spinner(label: &str) -> Self {
        Self::start(label, None, "{spinner} {msg} {elapsed}")
    }

    fn start(label: &str, total: Option<u64>, shape: &str) -> Self {
        let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template(shape) {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_message(label.to_owned());
        let (done, wait) = channel::<()>();
        let shown = bar.clone();
        let shower = std::thread::spawn(move || {
            if wait.recv_timeout(PATIENCE) == Err(RecvTimeoutError::Timeout) {
                shown.set_draw_target(ProgressDrawTarget::stderr());
                shown.enable_steady_tick(Duration::from_millis(200));
            }
        });
        Self { bar, done: Some(done), shower: Some(shower) }
    }

    /// `count` more are done.
    pub fn advance(&self, count: u64) {
        self.bar.inc(count);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(shower) = self.shower.take() {
            let _ = shower.join();
        }
        self.bar.finish_and_clear();
    }
}
