//! From asyncio's clock (float seconds) to the engine's (integer nanoseconds) and back.

use ferrio_engine::Instant;

const NANOS_PER_SECOND: f64 = 1e9;

/// What `loop.time()` answers at this instant. The same division as CPython's
/// `time.monotonic()` makes, so both clocks show the same floats.
pub(crate) fn seconds(instant: Instant) -> f64 {
    instant.as_nanos() as f64 / NANOS_PER_SECOND
}

/// The first instant at which `loop.time() >= when`, so that no timer is early by rounding.
///
/// NaN is now: asyncio compares with it, and each comparison is false (Lib/asyncio/base_events.py,
/// `_run_once`). Infinity is never.
pub(crate) fn deadline(when: f64) -> Instant {
    if when.is_nan() || when <= 0.0 {
        return Instant::from_nanos(0);
    }
    // `as` rounds down, and saturates: what does not fit is five hundred years away.
    let mut nanos = (when * NANOS_PER_SECOND) as u64;
    while nanos < u64::MAX && (nanos as f64 / NANOS_PER_SECOND) < when {
        nanos += 1;
    }
    Instant::from_nanos(nanos)
}
