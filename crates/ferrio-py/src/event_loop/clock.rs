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
    let nanos = (when * NANOS_PER_SECOND) as u64;
    if nanos == u64::MAX || nanos as f64 / NANOS_PER_SECOND >= when {
        return Instant::from_nanos(nanos);
    }
    next(nanos, when)
}

/// Steps on to the first nanosecond that is not before `when`. Apart, for a compiler that sees the
/// loop works out sixteen of its steps at once, and there is one as a rule (bench:
/// call_later_fire_at_once).
#[cold]
#[inline(never)]
fn next(mut nanos: u64, when: f64) -> Instant {
    while nanos < u64::MAX && (nanos as f64 / NANOS_PER_SECOND) < when {
        nanos += 1;
    }
    Instant::from_nanos(nanos)
}
