//! Loops of daemon threads at the end of the interpreter.
//!
//! Up to CPython 3.13, a thread that asks for the GIL once the interpreter is finalizing is ended on
//! the spot, by unwinding its stack (Python/ceval_gil.h, `take_gil`; `pthread_exit`). Frames of Rust
//! must not be unwound that way: the process aborts. From 3.14 on such a thread is left hanging.
//!
//! So an exit handler says that the end is near, and waits a moment until each of these loops is at
//! a point where it has let go of the GIL. There it stays: neither events nor timers bring it back,
//! as nothing would have later. Only who posts something to it does, with `call_soon_threadsafe`: an
//! exit handler that runs after ours may want to stop the loop properly and join its thread.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use ferrio_engine::{Inbox, Instant};
use pyo3::prelude::*;

use super::Loop;
use crate::item::Item;
use crate::names;

/// The exit handler has run.
static IS_NEAR: AtomicBool = AtomicBool::new(false);
/// Loops that run in other threads than the main one.
static ELSEWHERE: AtomicUsize = AtomicUsize::new(0);
/// How many of them have let go of the GIL, and will look at [`IS_NEAR`] before they ask for it.
static AWAY: AtomicUsize = AtomicUsize::new(0);

/// How long the exit of a program waits for callbacks that are running. What takes longer is ended
/// in the middle of it, as without us.
const PATIENCE: Duration = Duration::from_secs(1);
const STEP: Duration = Duration::from_millis(2);

/// Whether a loop runs outside of the main thread.
pub(super) struct Whereabouts(AtomicBool);

impl Whereabouts {
    pub(super) const fn new() -> Whereabouts {
        Whereabouts(AtomicBool::new(false))
    }

    /// The loop begins to run, in this thread.
    pub(super) fn begin(&self, py: Python<'_>) -> PyResult<()> {
        let is_elsewhere = !names::in_main_thread(py)?;
        self.0.store(is_elsewhere, Ordering::Relaxed);
        ELSEWHERE.fetch_add(usize::from(is_elsewhere), Ordering::SeqCst);
        Ok(())
    }

    /// It has ended.
    pub(super) fn end(&self) {
        if self.0.swap(false, Ordering::Relaxed) {
            ELSEWHERE.fetch_sub(1, Ordering::SeqCst);
        }
    }

    /// In the child of a fork, whose only thread is the one that forked.
    pub(super) fn after_fork(&self) {
        self.0.store(false, Ordering::Relaxed);
        ELSEWHERE.store(0, Ordering::SeqCst);
        AWAY.store(0, Ordering::SeqCst);
    }

    /// Runs `wait` detached; comes back when it is done, at the end of the interpreter only when
    /// there is mail.
    pub(super) fn away<R: Send>(
        &self,
        py: Python<'_>,
        inbox: &Inbox<Item>,
        wait: impl FnOnce() -> R + Send,
    ) -> R {
        if !self.0.load(Ordering::Relaxed) {
            return py.detach(wait);
        }
        py.detach(|| {
            AWAY.fetch_add(1, Ordering::SeqCst);
            let result = wait();
            loop {
                // In this order: either the exit handler counts this thread as being here, or this
                // thread sees that it has run.
                AWAY.fetch_sub(1, Ordering::SeqCst);
                if !IS_NEAR.load(Ordering::SeqCst) || inbox.is_notified() {
                    return result;
                }
                AWAY.fetch_add(1, Ordering::SeqCst);
                thread::sleep(STEP);
            }
        })
    }

    /// Before a turn: at the end of the interpreter there is none, unless there is mail.
    pub(super) fn pause(&self, py: Python<'_>, inbox: &Inbox<Item>) {
        if IS_NEAR.load(Ordering::Relaxed) && self.0.load(Ordering::Relaxed) {
            self.away(py, inbox, || ());
        }
    }
}

#[pymethods]
impl Loop {
    /// The exit handler, for versions that end daemon threads by unwinding them.
    #[staticmethod]
    fn _before_exit(py: Python<'_>) {
        IS_NEAR.store(true, Ordering::SeqCst);
        let deadline = Instant::now().saturating_add(PATIENCE);
        py.detach(|| {
            while AWAY.load(Ordering::SeqCst) < ELSEWHERE.load(Ordering::SeqCst)
                && Instant::now() < deadline
            {
                thread::sleep(STEP);
            }
        });
    }
}
