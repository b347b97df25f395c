//! A recording as a source.

use super::counters::{Counters, What};
use super::source::{Outside, Sink};
use crate::Refusal;
use crate::replay::{Pace, Said};
use tokio::sync::watch;
use tokio::time::sleep;

/// Tells a recording at `speed` until its end or until `stop` is true or its sender is gone. With `moved`, times are moved to those at which
/// things are told. What is refused is counted and left out.
///
/// # Errors
/// [`crate::Reason::Number`] for a speed that is not above 0.
pub async fn play(
    recording: impl Iterator<Item = Result<Said, Refusal>> + Send,
    (speed, moved): (f64, bool),
    outside: &Outside,
    counters: &Counters,
    sink: &mut Sink<'_>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), Refusal> {
    let mut pace: Option<Pace> = None;
    for said in recording {
        let Said { at, readings } = match said {
            Ok(said) => said,
            Err(refusal) => {
                counters.refuse(&refusal);
                continue;
            }
        };
        let now = (outside.clock)();
        let pace = match pace {
            Some(pace) => pace,
            None => *pace.insert(Pace::new(at, now, speed)?),
        };
        // Also where there is nothing to wait for: others are to have their turn, and a stop is to be seen.
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => return Ok(()),
            () = sleep(pace.wait(at, now)) => {}
        }
        counters.add(&What::Frame);
        for reading in readings {
            let reading = if moved { pace.moved(reading) } else { reading };
            counters.add(if sink(reading) { &What::Reading } else { &What::Lost });
        }
    }
    Ok(())
}
