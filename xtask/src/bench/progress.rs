//! How far a phase has come and how long it will still take: one line that is written over, on a terminal only.

use std::io::{IsTerminal, Write as _, stderr};
use std::time::{Duration, Instant};

/// Letters of the bar.
const BAR: usize = 24;
/// The line is written no more often than this.
const EVERY: Duration = Duration::from_millis(200);

/// One phase.
#[derive(Debug)]
pub(super) struct Progress {
    name: &'static str,
    total: f64,
    start: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// A phase that ends when `total` is reached.
    pub(super) fn new(name: &'static str, total: f64) -> Self {
        Self { name, total, start: Instant::now(), shown: None, is_terminal: stderr().is_terminal() }
    }

    /// So much of the total is done; `now` says what is being done.
    pub(super) fn reach(&mut self, done: f64, now: &str) {
        if !self.is_terminal || self.shown.is_some_and(|shown| shown.elapsed() < EVERY) {
            return;
        }
        self.shown = Some(Instant::now());
        let text = line(self.name, done / self.total.max(f64::MIN_POSITIVE), self.start.elapsed(), now);
        // A terminal that is gone is no reason to stop measuring.
        let _ = write!(stderr(), "\r\x1b[K{text}");
    }

    /// The line goes.
    pub(super) fn end(self) {
        say_over(self.is_terminal, None);
    }
}

/// A line that stays, in place of the one that a phase shows.
pub(super) fn say(text: &str) {
    say_over(stderr().is_terminal(), Some(text));
}

fn say_over(is_terminal: bool, text: Option<&str>) {
    let clear = if is_terminal { "\r\x1b[K" } else { "" };
    let mut out = stderr().lock();
    let _ = match text {
        Some(text) => writeln!(out, "{clear}{text}"),
        None => write!(out, "{clear}"),
    };
}

fn line(name: &str, share: f64, elapsed: Duration, now: &str) -> String {
    let share = share.clamp(0.0, 1.0);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 0 and the bar's length")]
    let filled = (share * BAR as f64) as usize;
    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(BAR - filled));
    let left = if share < 0.02 {
        String::new()
    } else {
        format!(", {} left", spell(elapsed.as_secs_f64() * (1.0 - share) / share))
    };
    let now: String = now.chars().take(40).collect();
    format!("{name} {bar} {:3.0} %{left}  {now}", share * 100.0)
}

/// `75` -> `1 min 15 s`.
fn spell(seconds: f64) -> String {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the time left of a bounded run")]
    let seconds = seconds.ceil() as u64;
    if seconds < 60 { format!("{seconds} s") } else { format!("{} min {} s", seconds / 60, seconds % 60) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::line;

    #[test]
    fn the_time_left_follows_from_the_share_done() {
        let half = line("asking", 0.5, Duration::from_secs(75), "hybrid");
        assert_eq!(half, format!("asking {}{}  50 %, 1 min 15 s left  hybrid", "█".repeat(12), "░".repeat(12)));
        assert!(!line("asking", 0.0, Duration::from_secs(1), "").contains("left"), "nothing is known yet");
        assert!(line("asking", 7.0, Duration::from_secs(1), "").contains("100 %, 0 s left"));
    }
}
