//! Living beside other threads of the process that compute.
//!
//! A thread that wants the GIL sleeps for the switch interval, 5 ms, before it asks the holder to
//! let go. A loop that lets go of it to block, with the next request microseconds away, hands those
//! 5 ms to the other thread for each such gap: asyncio, which lets go in every call on a socket,
//! keeps 0.2 % of its throughput beside one computing thread. So while somebody else is known to
//! want the GIL, the loop goes on looking for a little while before it blocks (bench: `busy_*`).
//! The other thread gets its half all the same, since callbacks let go when asked.
//!
//! Whether somebody wants it shows when the loop takes it back: that takes no time if nobody has
//! it, and as a rule the whole interval otherwise. One such finding may be a hiccup of the machine,
//! and looking on would then keep threads waiting that want the GIL for a moment only, those that
//! `call_soon_threadsafe` say; it takes two. A loop alone in its process never spins.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use ferrio_engine::Instant;

/// What a loop knows about the demand for the GIL. Only the thread that runs the loop uses it.
pub(super) struct Contention {
    /// Until when, in the clock's nanoseconds, somebody else is taken to want the GIL.
    until: AtomicU64,
    /// When it last took long to get the GIL back, in the clock's nanoseconds.
    found: AtomicU64,
}

/// Taking the GIL back in less than this is no contention. Shorter than the switch interval, longer
/// than most hiccups of the machine.
const SLOW: Duration = Duration::from_millis(1);
/// How long one finding counts. Where looking on always finds work, the loop blocks again, and finds
/// out again, only this often: 5 ms of every 100.
const COUNTS_FOR: Duration = Duration::from_millis(100);
/// How close together two findings have to be. Longer than the above, or a finding would be
/// forgotten by the time the next can be made.
const NEAR: Duration = Duration::from_millis(250);
/// How long to look on before blocking. Measured: less loses the GIL more often, more gains nothing.
const SPIN: Duration = Duration::from_micros(50);

impl Contention {
    pub(super) const fn new() -> Contention {
        Contention { until: AtomicU64::new(0), found: AtomicU64::new(0) }
    }

    /// Until when to go on looking, if there was nothing to do at `now`.
    pub(super) fn spins_until(&self, now: Instant) -> Instant {
        if now.as_nanos() < self.until.load(Ordering::Relaxed) {
            now.saturating_add(SPIN)
        } else {
            now
        }
    }

    /// The loop was woken at one instant and had the GIL back at another.
    pub(super) fn attached(&self, woken: Instant, attached: Instant) {
        if attached.duration_since(woken) <= SLOW {
            return;
        }
        let last = Instant::from_nanos(self.found.swap(attached.as_nanos(), Ordering::Relaxed));
        if attached.duration_since(last) < NEAR {
            let until = attached.saturating_add(COUNTS_FOR);
            self.until.store(until.as_nanos(), Ordering::Relaxed);
        }
    }
}
