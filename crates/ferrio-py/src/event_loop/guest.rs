//! The loop as a guest of another one, which its thread belongs to: Tk's, Qt's, anybody's.
//!
//! The host runs turns when it is asked to; in between, a thread of ours waits for what the next turn
//! is for, without the GIL. `python/ferrio/guest.py` has the two talk to each other:
//!
//! ```text
//!   host's thread     _begin_guest ── _guest_turn ──> true: ask the host for another one
//!                                        ^    └─────> false ─┐
//!                                        │ asks the host     v
//!   thread of ours                       └──────────── _guest_wait
//! ```
//!
//! Only one of them is at work at any time, but the host's own code may use the loop while it waits:
//! `task.cancel()` for a button that was pressed. So what is put on the queue then ends the wait,
//! which no loop has to care for that has its thread for itself.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};

use ferrio_engine::Wait;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::lifecycle::{check_not_running, enter, leave};
use super::{Loop, signals};
use crate::error::{self, WithText};
use crate::ffi::call::thread_ident;
use crate::ffi::gil_cell::GilCell;

/// What there is to a loop that is a guest.
pub(super) struct Guest {
    is_guest: AtomicBool,
    /// The wait that is to be made, or has been.
    wait: GilCell<Option<Wait>>,
}

impl Guest {
    pub(super) const fn new() -> Guest {
        Guest { is_guest: AtomicBool::new(false), wait: GilCell::new(None) }
    }
}

#[pymethods]
impl Loop {
    /// The loop runs from now on, in turns of this thread.
    fn _begin_guest(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        this.check_closed()?;
        check_not_running(slf)?;
        if this.selector.is_there() {
            return Err(PyRuntimeError::with_text(
                "a loop that waits by other means cannot be a guest: one in virtual time, or any \
                 under gevent or eventlet",
            ));
        }
        this.thread.store(thread_ident(), Ordering::Relaxed);
        this.guest.is_guest.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Runs a turn that does not wait. True if there is to be another one; otherwise `_guest_wait`
    /// comes next.
    fn _guest_turn(slf: &Bound<'_, Self>) -> PyResult<bool> {
        let this = slf.get();
        this.take_wait_back(slf.py());
        let turn = || {
            enter(slf)?;
            this.turn_as_guest(slf)
        };
        let result = catch_unwind(AssertUnwindSafe(turn));
        let left = leave(slf);
        match result {
            Ok(more) => left.and(more),
            Err(panic) => Err(error::of_panic(&*panic, "the event loop has failed")),
        }
    }

    /// Blocks, in whatever thread, until there is something for a turn to do.
    fn _guest_wait(&self, py: Python<'_>) -> PyResult<()> {
        let Some(mut wait) = self.guest.wait.with(py, Option::take) else { return Ok(()) };
        let (result, wait) = py.detach(|| (wait.block(), wait));
        self.guest.wait.with(py, |slot| *slot = Some(wait));
        result?;
        Ok(())
    }

    /// The loop does not run any more. Nobody may be in `_guest_wait`.
    fn _end_guest(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        this.take_wait_back(slf.py());
        this.guest.is_guest.store(false, Ordering::Relaxed);
        this.stopping.store(false, Ordering::Relaxed);
        this.thread.store(0, Ordering::Relaxed);
        signals::unsettle(slf)
    }
}

impl Loop {
    /// `stop()` from the host's own code: a turn has to see it.
    pub(super) fn stop_as_guest(&self) {
        if self.guest.is_guest.load(Ordering::Relaxed) {
            self.inbox.wake();
        }
    }

    fn turn_as_guest(&self, slf: &Bound<'_, Self>) -> PyResult<bool> {
        let py = slf.py();
        // What the wait has brought, or has come since the last turn.
        self.idle(py, self.own_time(slf)?)?;
        self.run_ready(slf)?;
        let own = self.own_time(slf)?;
        let Some(now) = self.idle(py, own)? else { return Ok(true) };
        if !self.signals.is_settled() {
            // One that came before has not been written to the pipe: the next turn looks for it.
            return signals::settle(slf).map(|()| true);
        }
        let wait = self.open(py, |state| {
            let now = own.unwrap_or(now);
            let timeout = state.engine.timeout(now);
            state.engine.lend_wait(timeout, now)
        })?;
        self.guest.wait.with(py, |slot| *slot = Some(wait));
        Ok(false)
    }

    fn take_wait_back(&self, py: Python<'_>) {
        if let Some(wait) = self.guest.wait.with(py, Option::take) {
            self.with_state(py, |state| state.engine.end_wait(wait));
        }
    }
}
