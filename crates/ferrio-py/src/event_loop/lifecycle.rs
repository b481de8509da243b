//! Running, stopping and closing a loop; one turn of it (Lib/asyncio/base_events.py:
//! `run_forever`, `run_until_complete`, `_run_once`, `close`).

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;

use ferrio_engine::{Instant, Ready, Timeout};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

use super::{Loop, signals, watch};
use crate::error::{self, WithText, os_error};
use crate::ffi::call::{check_signals, thread_ident};
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::item::{Item, Source};
use crate::names;
use crate::transport::listener::Readable;

/// What running found in this thread and has to put back.
#[derive(Default)]
pub(crate) struct RunState {
    asyncgen_hooks: Option<Py<PyAny>>,
    /// Whose guest this loop is; none for a loop that runs by itself.
    outer: Option<Py<PyAny>>,
}

#[pymethods]
impl Loop {
    /// Runs until `stop()` is called.
    fn run_forever(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        this.check_closed()?;
        check_running(slf)?;
        if let Err(error) = begin(slf) {
            // What has begun ends: the loop can be closed, and run again.
            end(slf)?;
            return Err(error);
        }
        let run = || loop {
            if let Err(error) = this.turn(slf) {
                break Err(error);
            }
            if this.stopping.load(Ordering::Relaxed) {
                break Ok(());
            }
        };
        // A panic ends the run as an exception does: the loop can be closed after it.
        let result = catch_unwind(AssertUnwindSafe(run));
        let ended = end(slf);
        match result {
            Ok(result) => result.and(ended),
            Err(panic) => Err(error::of_panic(&*panic, "the event loop has failed")),
        }
    }

    /// Runs until the future is done; returns its result or raises its exception. A coroutine is
    /// wrapped in a task first.
    fn run_until_complete<'py>(
        slf: &Bound<'py, Self>,
        future: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        slf.get().check_closed()?;
        check_running(slf)?;
        let is_new = !names::base_events_is_future(py)?.call1((future,))?.is_truthy()?;
        let options = make::dict(py)?;
        options.set_item(intern!(py, "loop"), slf)?;
        let future = names::base_events_ensure_future(py)?.call((future,), Some(&options))?;
        if is_new {
            // If the loop stops early, the exception below says so: no second report when the
            // task is collected.
            future.setattr(intern!(py, "_log_destroy_pending"), false)?;
        }
        // The very function that anyio looks for among a task's callbacks to find the root task.
        let callback = names::run_until_complete_cb(py)?;
        future.call_method1(intern!(py, "add_done_callback"), (callback,))?;
        let run = slf.call_method0(intern!(py, "run_forever"));
        if run.is_err() && is_new {
            consume_exception(&future)?;
        }
        let callback = names::run_until_complete_cb(py)?;
        future.call_method1(intern!(py, "remove_done_callback"), (callback,))?;
        run?;
        if !future.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Err(PyRuntimeError::with_text("Event loop stopped before Future completed."));
        }
        future.call_method0(intern!(py, "result"))
    }

    /// Ends `run_forever` after the current turn.
    fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        self.stop_as_guest();
    }

    /// Closes the loop: drops what is scheduled, frees its descriptors, shuts the default
    /// executor down without waiting. Idempotent.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.is_running() {
            return Err(PyRuntimeError::with_text("Cannot close a running event loop"));
        }
        if this.is_closed() {
            return Ok(());
        }
        if this.is_debug() {
            names::base_events_logger(py)?
                .call_method1(intern!(py, "debug"), (intern!(py, "Close %r"), slf))?;
        }
        this.closed.store(true, Ordering::Relaxed);
        let selector = this.selector.close(py);
        this.release(py);
        let signals = signals::close(slf);
        drop(this.pool.with(py, Option::take));
        slf.setattr(intern!(py, "_executor_shutdown_called"), true)?;
        let executor = slf.getattr(intern!(py, "_default_executor"))?;
        if !executor.is_none() {
            slf.setattr(intern!(py, "_default_executor"), py.None())?;
            let options = make::dict(py)?;
            options.set_item(intern!(py, "wait"), false)?;
            executor.call_method(intern!(py, "shutdown"), (), Some(&options))?;
        }
        signals.and(selector)
    }

    /// In the child of a fork: this loop is a copy, and what it shares with the parent's must not
    /// be changed through it.
    fn _after_fork(&self, py: Python<'_>) -> PyResult<()> {
        // Its threads are not here to be told of its end. They would have sent answers, too.
        std::mem::forget(self.pool.with(py, Option::take));
        self.whereabouts.after_fork();
        match self.with_state(py, |state| state.engine.unshare()) {
            Some(Err(error)) => Err(os_error(error)),
            Some(Ok(())) | None => Ok(()),
        }
    }

    /// Blocks, where the loop has found nothing to do and says so by calling a function; once.
    fn _block(slf: &Bound<'_, Self>) -> PyResult<()> {
        let this = slf.get();
        if !this.is_running_in(thread_ident()) || !this.may_block.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        this.block(slf, this.own_time(slf)?, Instant::now())
    }

    /// True while `run_forever` runs.
    #[pyo3(name = "is_running")]
    fn py_is_running(&self) -> bool {
        self.is_running()
    }

    /// True once the loop was closed.
    #[pyo3(name = "is_closed")]
    fn py_is_closed(&self) -> bool {
        self.is_closed()
    }

    /// True in debug mode.
    fn get_debug(&self) -> bool {
        self.is_debug()
    }

    /// Turns debug mode on or off, for a running loop too.
    fn set_debug(slf: &Bound<'_, Self>, enabled: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        this.debug.store(enabled.is_truthy()?, Ordering::Relaxed);
        if this.is_running() {
            let method = slf.getattr(intern!(py, "_set_coroutine_origin_tracking"))?;
            slf.call_method1(intern!(py, "call_soon_threadsafe"), (method, enabled))?;
        }
        Ok(())
    }

    #[getter]
    fn _debug(&self) -> bool {
        self.is_debug()
    }

    #[setter(_debug)]
    fn set_debug_flag(&self, enabled: bool) {
        self.debug.store(enabled, Ordering::Relaxed);
    }

    #[getter]
    fn _closed(&self) -> bool {
        self.is_closed()
    }

    /// asyncio's name for what `stop()` has asked for. Servers that were stopped by it take it back,
    /// for the rest of their shutdown to run.
    #[getter]
    fn _stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    #[setter(_stopping)]
    fn set_stopping(&self, stopping: &Bound<'_, PyAny>) -> PyResult<()> {
        self.stopping.store(stopping.is_truthy()?, Ordering::Relaxed);
        Ok(())
    }

    /// The thread that runs the loop, as `threading.get_ident()` gives it; None if none does.
    #[getter]
    fn _thread_id(&self) -> Option<Returned<u64>> {
        match self.thread.load(Ordering::Relaxed) {
            0 => None,
            thread => Some(Returned(thread)),
        }
    }

    fn _check_closed(&self) -> PyResult<()> {
        self.check_closed()
    }

    fn _check_running(slf: &Bound<'_, Self>) -> PyResult<()> {
        check_running(slf)
    }

    fn _check_thread(&self) -> PyResult<()> {
        self.check_thread()
    }
}

impl Loop {
    pub(crate) fn is_running(&self) -> bool {
        self.thread.load(Ordering::Relaxed) != 0
    }

    /// One turn: look for events, run what is ready, handle signals.
    fn turn(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        self.wait(slf)?;
        self.run_ready(slf)
    }

    /// The rest of a turn, after the look for events: steps 3 to 5 of ARCHITECTURE.md.
    pub(super) fn run_ready(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let own = self.own_time(slf)?;
        let woken = self.open(py, |state| {
            // The clock costs as much as a callback's call; without timers nobody asks it.
            let timers = state.engine.timer_len();
            let now = if timers == 0 { Instant::MIN } else { own.unwrap_or_else(Instant::now) };
            let woken = &mut state.woken;
            state.engine.collect(now, |key, readiness, source, ready| match source {
                Source::Watch(watch) => watch.event(py, key, readiness, ready, woken),
                Source::Stream(transport) => {
                    if let Some(transport) = transport.get(py) {
                        ready.push(Item::Stream(transport, readiness));
                    }
                }
                Source::Datagram(transport) => {
                    if let Some(transport) = transport.get(py) {
                        ready.push(Item::Datagram(transport, readiness));
                    }
                }
                Source::Listener(listener) => {
                    ready.push(Readable::item(listener.clone_ref(py)));
                }
                Source::Native(native) => {
                    if let Some(item) = native.event(py, readiness) {
                        ready.push(item);
                    }
                }
            });
            (!woken.is_empty()).then(|| std::mem::take(woken))
        })?;
        if let Some(woken) = woken {
            self.wake(py, woken)?;
        }
        let ready = self.open(py, |state| state.engine.ready_len())?;
        let mut result = Ok(());
        for _ in 0..ready {
            // An earlier item may have closed transports or cleared the queue, never the loop:
            // it is running.
            let Some(Some(item)) = self.with_state(py, |state| state.engine.pop()) else { break };
            result = match item {
                Ready::Item(item) => item.run(py, slf),
                Ready::Task(task) => {
                    self.leave_task(slf);
                    task.run();
                    Ok(())
                }
            };
            if result.is_err() {
                break;
            }
        }
        self.leave_task(slf);
        result.and_then(|()| check_signals(py))
    }

    /// Looks for events without letting go of the GIL; blocks, detached, only if there is
    /// nothing at all to do.
    ///
    /// The first time it comes to that in a run, it sees to the signals instead: those that came
    /// before are noticed at the end of this turn, those that come after end the wait.
    fn wait(&self, slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        self.whereabouts.pause(py, &self.inbox);
        let own = self.own_time(slf)?;
        if self.selector.is_there() {
            return self.select(slf, own);
        }
        let Some(mut now) = self.idle(py, own)? else { return Ok(()) };
        if !self.signals.is_settled() {
            return signals::settle(slf);
        }
        let spun_until = self.contention.spins_until(now);
        while now < spun_until {
            match self.idle(py, own)? {
                Some(later) => now = later,
                None => return Ok(()),
            }
        }
        // A profiler only sees calls: one that follows the context learns from this one, outside of
        // every task's, that tasks are waiting, and since when.
        if !names::getprofile(py)?.call0()?.is_none() {
            self.may_block.store(true, Ordering::Relaxed);
            let waited = names::profiled_wait(py)?.call1((slf,));
            self.may_block.store(false, Ordering::Relaxed);
            return waited.map(drop);
        }
        self.block(slf, own, now)
    }

    /// Blocks, detached, until there is an event or something is due.
    fn block(&self, slf: &Bound<'_, Self>, own: Option<Instant>, now: Instant) -> PyResult<()> {
        let py = slf.py();
        let mut wait = self.open(py, |state| {
            let now = own.unwrap_or(now);
            let timeout = state.engine.timeout(now);
            state.engine.begin_wait(timeout, now)
        })?;
        let block = || (wait.block(), Instant::now());
        let (result, woken) = self.whereabouts.away(py, &self.inbox, block);
        self.contention.attached(woken, Instant::now());
        self.open(py, |state| state.engine.end_wait(wait))?;
        result?;
        Ok(())
    }

    /// [`wait`](Loop::wait), by way of a selector of Python's. As asyncio's loops do, it goes there
    /// even if there is something to do: others may be waiting for their turn.
    fn select(&self, slf: &Bound<'_, Self>, own: Option<Instant>) -> PyResult<()> {
        let py = slf.py();
        let idle = self.idle(py, own)?;
        if idle.is_some() && !self.signals.is_settled() {
            return signals::settle(slf);
        }
        let (fd, mut wait) = self.open(py, |state| {
            let now = own.or(idle).unwrap_or(Instant::MIN);
            let timeout = if idle.is_some() { state.engine.timeout(now) } else { Timeout::Zero };
            (state.engine.fd(), state.engine.begin_wait(timeout, now))
        })?;
        let selected = self.selector.select(py, fd, wait.timeout());
        let polled = wait.poll();
        self.open(py, |state| state.engine.end_wait(wait))?;
        selected?;
        polled?;
        Ok(())
    }

    /// Looks for events. If there is nothing to do, tells at what time that was. Timers go by `own`
    /// where the program has a clock of its own.
    pub(super) fn idle(&self, py: Python<'_>, own: Option<Instant>) -> PyResult<Option<Instant>> {
        let stopping = self.stopping.load(Ordering::Relaxed);
        let idle = self.open(py, |state| -> std::io::Result<Option<Instant>> {
            let is_ready = state.engine.is_ready();
            // With callbacks ready and only the signal pipe to hear from, there is nothing to ask
            // the kernel: signals are looked at after each turn (bench: sleep0_one_task).
            if is_ready && state.engine.source_len() == state.quiet_sources {
                return Ok(None);
            }
            if state.engine.poll_now()? > 0 || is_ready || stopping {
                return Ok(None);
            }
            let now = Instant::now();
            Ok(match state.engine.timeout(own.unwrap_or(now)) {
                Timeout::Zero => None,
                Timeout::Until(_) | Timeout::Forever => Some(now),
            })
        })??;
        Ok(idle)
    }

    /// Wakes the `sock_*` coroutines that this turn's events are for. They go on in this turn:
    /// what asyncio's event callback does they do themselves (bench: `sockets`).
    fn wake(&self, py: Python<'_>, mut woken: Vec<Py<PyAny>>) -> PyResult<()> {
        let mut result = Ok(());
        for future in woken.drain(..) {
            result = result.and(watch::wake(py, &future));
        }
        // Its memory is kept for the next turn.
        self.with_state(py, |state| state.woken = woken);
        result
    }
}

/// `_run_forever_setup`.
fn begin(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let this = looop.get();
    if !this.selector.is_there() {
        this.whereabouts.begin(looop.py())?;
    }
    this.thread.store(thread_ident(), Ordering::Relaxed);
    enter(looop)
}

/// `_run_forever_cleanup`: all of it, whatever part of it fails.
fn end(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let this = looop.get();
    this.stopping.store(false, Ordering::Relaxed);
    this.thread.store(0, Ordering::Relaxed);
    this.whereabouts.end();
    let left = leave(looop);
    let unsettled = signals::unsettle(looop);
    left.and(unsettled)
}

/// This thread belongs to the loop from now on: `get_running_loop()`, asynchronous generators.
pub(super) fn enter(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let this = looop.get();
    let outer = names::running_loop(py)?.call0()?;
    let outer = (!outer.is_none()).then(|| outer.unbind());
    this.run.with(py, |run| run.outer = outer);
    set_origin_tracking(looop, this.is_debug())?;
    let sys = names::sys(py)?;
    let hooks = sys.call_method0(intern!(py, "get_asyncgen_hooks"))?;
    this.run.with(py, |run| run.asyncgen_hooks = Some(hooks.unbind()));
    let hooks = make::dict(py)?;
    hooks.set_item(
        intern!(py, "firstiter"),
        looop.getattr(intern!(py, "_asyncgen_firstiter_hook"))?,
    )?;
    hooks.set_item(
        intern!(py, "finalizer"),
        looop.getattr(intern!(py, "_asyncgen_finalizer_hook"))?,
    )?;
    sys.call_method(intern!(py, "set_asyncgen_hooks"), (), Some(&hooks))?;
    names::set_running_loop(py)?.call1((looop,)).map(drop)
}

/// The thread is what it was before [`enter`]: all of it, whatever part of it fails.
pub(super) fn leave(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let found = looop.get().run.with(py, std::mem::take);
    let restore = || names::set_running_loop(py)?.call1((&found.outer,)).map(drop);
    // CPython 3.11 makes an object for it. Without a second attempt, no loop of this thread could
    // run again.
    let left = restore().or_else(|_| restore());
    let untracked = set_origin_tracking(looop, false);
    let restored = match found.asyncgen_hooks {
        Some(hooks) => restore_asyncgen_hooks(hooks.into_bound(py)),
        None => Ok(()),
    };
    left.and(untracked).and(restored)
}

fn restore_asyncgen_hooks(hooks: Bound<'_, PyAny>) -> PyResult<()> {
    let py = hooks.py();
    let hooks = hooks.cast_into::<pyo3::types::PyTuple>()?;
    names::sys(py)?.getattr(intern!(py, "set_asyncgen_hooks"))?.call1(hooks).map(drop)
}

fn set_origin_tracking(looop: &Bound<'_, Loop>, enabled: bool) -> PyResult<()> {
    let py = looop.py();
    looop.call_method1(intern!(py, "_set_coroutine_origin_tracking"), (enabled,)).map(drop)
}

fn check_running(looop: &Bound<'_, Loop>) -> PyResult<()> {
    check_not_running(looop)?;
    if !names::running_loop(looop.py())?.call0()?.is_none() {
        return Err(PyRuntimeError::with_text(
            "Cannot run the event loop while another loop is running",
        ));
    }
    Ok(())
}

pub(super) fn check_not_running(looop: &Bound<'_, Loop>) -> PyResult<()> {
    if looop.get().is_running() {
        return Err(PyRuntimeError::with_text("This event loop is already running"));
    }
    Ok(())
}

/// After a BaseException out of the task: whoever called `run_until_complete` gets it from there,
/// so the task need not report it as never retrieved.
fn consume_exception(future: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = future.py();
    let is_done = future.call_method0(intern!(py, "done"))?.is_truthy()?;
    if is_done && !future.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
        future.call_method0(intern!(py, "exception"))?;
    }
    Ok(())
}
