//! Two clocks: sessions age while the machine sleeps (CLOCK_BOOTTIME), paths and records use the clock JavaScript calls
//! `performance.now()` (CLOCK_MONOTONIC with another origin).

use std::time::{SystemTime, UNIX_EPOCH};

pub const NS_PER_MS: u64 = 1_000_000;
pub const SECOND_NS: u64 = 1_000_000_000;

/// Read once per batch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Now {
    pub boot_ns: u64,
    pub mono_ns: u64,
}

pub fn now() -> Now {
    Now { boot_ns: read(libc::CLOCK_BOOTTIME), mono_ns: read(libc::CLOCK_MONOTONIC) }
}

pub fn unix_ns() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` outlives the call that writes to it. The clocks exist since Linux 2.6.39, so the call cannot fail.
    unsafe { libc::clock_gettime(clock, &raw mut time) };
    time.tv_sec as u64 * SECOND_NS + time.tv_nsec as u64
}

/// Between the monotonic clock and JavaScript's milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct JsTime {
    /// What the monotonic clock showed when `performance.now()` was 0.
    origin_ns: f64,
}

impl JsTime {
    /// JavaScript reads both of its clocks in one go, `process.hrtime` being the monotonic one.
    pub fn new(origin_ms: f64) -> Self {
        Self { origin_ns: origin_ms * NS_PER_MS as f64 }
    }

    /// Exact to a microsecond for a century of uptime, as is `performance.now()` itself.
    pub fn ms_of(self, mono_ns: u64) -> f64 {
        (mono_ns as f64 - self.origin_ns) / NS_PER_MS as f64
    }

    /// Infinity is a time that never comes; everything out of range is cut to the range, and no number is the past.
    pub fn ns_of(self, ms: f64) -> u64 {
        // `as` saturates and makes 0 of NaN.
        (ms * NS_PER_MS as f64 + self.origin_ns) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn converts_both_ways() {
        let time = JsTime::new(8500.0);
        assert_eq!(time.ms_of(11 * SECOND_NS), 2500.0);
        assert_eq!(time.ns_of(2500.0), 11 * SECOND_NS);
        assert_eq!(time.ns_of(f64::INFINITY), u64::MAX);
        assert_eq!(time.ns_of(f64::NEG_INFINITY), 0);
        assert_eq!(time.ns_of(f64::NAN), 0);
    }

    #[test]
    fn the_clocks_run() {
        let first = now();
        assert!(first.boot_ns > 0 && first.mono_ns > 0);
        assert!(now().mono_ns >= first.mono_ns);
        assert!(unix_ns() > 1_700_000_000 * SECOND_NS);
    }
}
