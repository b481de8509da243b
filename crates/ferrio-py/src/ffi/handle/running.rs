//! CPython 3.14's rule for `call_soon_threadsafe`'s handles: who cancels one from another thread
//! waits while its callback runs (Lib/asyncio/events.py, `_ThreadSafeHandle`).

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use pyo3::prelude::*;

use crate::ffi::call;

/// A threadsafe handle while its callback runs. `cancel()` and `cancelled()` from another thread
/// wait for its end; from the running thread they do not (CPython 3.14, `_ThreadSafeHandle`).
///
/// One mutex and condition variable serve all handles: somebody waits here only when a
/// cancellation meets the callback at work.
pub(super) struct Running<'a> {
    thread: &'a AtomicU64,
    outer: u64,
}

static DONE: Condvar = Condvar::new();
/// How many threads wait for [`DONE`]. Without the count each callback would end with a system
/// call that wakes nobody.
///
/// Who holds it neither attaches nor calls Python meanwhile: so to wait for it attached, as the end of
/// a callback does, is to wait for a few instructions of a thread that waits for nobody.
static WAITING: Mutex<usize> = Mutex::new(0);

impl<'a> Running<'a> {
    pub(super) fn enter(thread: &'a AtomicU64) -> Running<'a> {
        Running { thread, outer: thread.swap(call::thread_ident(), Ordering::AcqRel) }
    }
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        let waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        self.thread.store(self.outer, Ordering::Release);
        if *waiting > 0 {
            DONE.notify_all();
        }
    }
}

/// Waits, detached, until no other thread runs this handle's callback.
pub(super) fn wait_while_running(py: Python<'_>, thread: &AtomicU64) {
    let me = call::thread_ident();
    let idle = |running: u64| running == 0 || running == me;
    if idle(thread.load(Ordering::Acquire)) {
        return;
    }
    py.detach(|| {
        let mut waiting = WAITING.lock().unwrap_or_else(PoisonError::into_inner);
        *waiting += 1;
        while !idle(thread.load(Ordering::Acquire)) {
            waiting = DONE.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        *waiting -= 1;
    });
}
