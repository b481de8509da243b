//! The engine's clock: nanoseconds since an arbitrary start, never going back.
//!
//! `std::time::Instant` hides its number, and a binding must be able to say `loop.time()` and to
//! take `call_at(when)` on the very same scale; so this is the number itself.

use std::time::Duration;

use crate::sys;

/// A point on the monotonic clock, in nanoseconds.
///
/// On Linux the clock is `CLOCK_MONOTONIC`, the one behind Python's `time.monotonic_ns()` (CPython,
/// `Python/pytime.c`, `py_get_monotonic_clock`), so the two may be compared. 64 bits last 584
/// years; all arithmetic saturates at the ends, so no delay, however large, wraps round into the
/// past.
///
/// ```
/// use std::time::Duration;
/// use ferrio_engine::Instant;
///
/// let start = Instant::from_nanos(1_000);
/// let deadline = start.saturating_add(Duration::from_micros(2));
/// assert_eq!(deadline.as_nanos(), 3_000);
/// assert_eq!(deadline.duration_since(start), Duration::from_nanos(2_000));
/// assert_eq!(start.duration_since(deadline), Duration::ZERO);
/// ```
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(u64);

impl Instant {
    /// The earliest instant: a timer with this deadline is due at once.
    pub const MIN: Self = Self(0);
    /// The latest instant, in practice never.
    pub const MAX: Self = Self(u64::MAX);

    /// Reads the clock (about 20 ns: the vDSO, no system call).
    #[must_use]
    pub fn now() -> Self {
        Self(sys::monotonic_nanos())
    }

    /// The instant `nanos` nanoseconds after the clock's start.
    #[must_use]
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// Nanoseconds since the clock's start.
    #[must_use]
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// `self + delay`, or [`Instant::MAX`] if that lies beyond it.
    #[must_use]
    pub fn saturating_add(self, delay: Duration) -> Self {
        Self(self.0.saturating_add(saturating_nanos(delay)))
    }

    /// `self - delay`, or [`Instant::MIN`] if that lies before it.
    #[must_use]
    pub fn saturating_sub(self, delay: Duration) -> Self {
        Self(self.0.saturating_sub(saturating_nanos(delay)))
    }

    /// The time from `earlier` to `self`; zero if `earlier` is in fact later.
    #[must_use]
    pub const fn duration_since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

fn saturating_nanos(delay: Duration) -> u64 {
    u64::try_from(delay.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        assert_eq!(Instant::MAX.saturating_add(Duration::from_nanos(1)), Instant::MAX);
        assert_eq!(Instant::MIN.saturating_add(Duration::MAX), Instant::MAX);
        assert_eq!(Instant::MIN.saturating_sub(Duration::MAX), Instant::MIN);
    }

    #[test]
    fn now_never_goes_back() {
        let mut last = Instant::now();
        for _ in 0..10_000 {
            let now = Instant::now();
            assert!(now >= last);
            last = now;
        }
    }
}
