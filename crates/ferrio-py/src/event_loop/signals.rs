//! Signals: how they end a wait, and `add_signal_handler` (Lib/asyncio/unix_events.py).
//!
//! CPython's own handler sets a flag and writes the signal's number to the *wakeup descriptor*;
//! Python handlers run later, in the main thread, when the interpreter looks at the flag. Between
//! our last look and the blocking call a signal could pass unnoticed until something else happens.
//! So in the main thread a loop lends CPython the write end of a pipe that it watches itself, from
//! the first time it blocks until the end of `run_forever`. (A loop that never blocks, as many a
//! test's, pays nothing.) A program that has set a descriptor of its own keeps it.
//!
//! `add_signal_handler` and the others are the interpreter's own functions: they find the pipe as
//! `self._csock`, and it then stays lent between runs, so that signals wait in it for the next one.

use std::ffi::c_int;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};

use ferrio_engine::{Interest, Readiness, SignalPipe, Trigger};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::PyDict;

use super::{Loop, report};
use crate::error::os_error;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::handle::Handle;
use crate::ffi::interned::intern;
use crate::ffi::signal::{forget_wakeup_in_children, set_wakeup_fd};
use crate::item::{Item, Native, NativeSource, Source};
use crate::names;

/// A loop's part in signal handling.
pub(crate) struct Signals {
    /// Made when first needed.
    pipe: GilCell<Option<SignalPipe>>,
    /// The wakeup descriptor is the pipe's, and was none when this run began.
    is_lent: AtomicBool,
    /// Whether it was seen to in this run. If not, the loop must not block.
    is_settled: AtomicBool,
}

impl Signals {
    pub(super) const fn new() -> Signals {
        Signals {
            pipe: GilCell::new(None),
            is_lent: AtomicBool::new(false),
            is_settled: AtomicBool::new(false),
        }
    }

    /// May the loop block? If not, [`settle`] first, and look at the signals after that.
    #[inline]
    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// No signal ends a wait any more, as far as this loop has to do with it.
    fn close(&self, py: Python<'_>) {
        let pipe = self.pipe.with(py, Option::take);
        if let Some(pipe) = pipe {
            // Its number may be another file's from now on.
            give_back(pipe.write_fd());
        }
    }
}

/// Makes the descriptor none again if it still is `ours`.
fn give_back(ours: RawFd) {
    let current = set_wakeup_fd(NONE);
    if current != ours {
        set_wakeup_fd(current);
    }
}

const NONE: RawFd = -1;

/// Before the first wait of a run: lends CPython the pipe, if this is the main thread and nobody
/// else has lent it theirs.
pub(super) fn settle(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let signals = &looop.get().signals;
    signals.is_settled.store(true, Ordering::Relaxed);
    if !names::in_main_thread(py)? {
        return Ok(());
    }
    let Ok(ours) = write_fd(looop) else {
        // Out of descriptors. Signals end a wait all the same, save for the gap.
        return Ok(());
    };
    mind(looop)?;
    match set_wakeup_fd(ours) {
        NONE => signals.is_lent.store(true, Ordering::Relaxed),
        // Signal handlers of an earlier run are waiting.
        previous if previous == ours => {}
        theirs => {
            set_wakeup_fd(theirs);
        }
    }
    forget_wakeup_in_children(py)
}

/// At the end of a run: takes the pipe back, unless signal handlers wait for the next one.
pub(super) fn unsettle(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let signals = &looop.get().signals;
    signals.is_settled.store(false, Ordering::Relaxed);
    if !signals.is_lent.swap(false, Ordering::Relaxed) || !handlers(looop)?.is_empty() {
        return Ok(());
    }
    if let Some(ours) = signals.pipe.with(py, |pipe| pipe.as_ref().map(SignalPipe::write_fd)) {
        give_back(ours);
    }
    Ok(())
}

/// When the loop is closed: takes the handlers away.
pub(super) fn close(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let result = remove_all(looop);
    looop.get().signals.close(py);
    result
}

fn remove_all(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let py = looop.py();
    let handlers = handlers(looop)?;
    if handlers.is_empty() {
        return Ok(());
    }
    if names::sys(py)?.call_method0(intern!(py, "is_finalizing"))?.is_truthy()? {
        let text = format!(
            "Closing the loop {} on interpreter shutdown stage, skipping signal handlers removal",
            looop.repr()?
        );
        report::resource_warning(looop.as_any(), &text)?;
        handlers.clear();
        return Ok(());
    }
    let all: Vec<_> = handlers.iter().map(|(signal, _)| signal).collect();
    for signal in all {
        looop.call_method1(intern!(py, "remove_signal_handler"), (signal,))?;
    }
    Ok(())
}

/// Whether what comes through the pipe matters to a loop that is busy: only to handlers.
fn mind(looop: &Bound<'_, Loop>) -> PyResult<()> {
    let quiet_sources = usize::from(handlers(looop)?.is_empty());
    looop.get().with_state(looop.py(), |state| state.quiet_sources = quiet_sources);
    Ok(())
}

fn handlers<'py>(looop: &Bound<'py, Loop>) -> PyResult<Bound<'py, PyDict>> {
    let handlers = looop.getattr(intern!(looop.py(), "_signal_handlers"))?;
    Ok(handlers.cast_into::<PyDict>()?)
}

/// The end of the pipe for CPython; makes and watches the pipe when first asked.
fn write_fd(looop: &Bound<'_, Loop>) -> PyResult<RawFd> {
    let py = looop.py();
    let this = looop.get();
    let known = this.signals.pipe.with(py, |pipe| pipe.as_ref().map(SignalPipe::write_fd));
    if let Some(fd) = known {
        return Ok(fd);
    }
    let pipe = SignalPipe::new().map_err(os_error)?;
    let source = Source::Native(Box::new(Pipe));
    this.register(py, pipe.read_fd(), Interest::READ, Trigger::Level, source)?
        .map_err(|refused| os_error(refused.error))?;
    let fd = pipe.write_fd();
    this.signals.pipe.with(py, |slot| *slot = Some(pipe));
    Ok(fd)
}

#[pymethods]
impl Loop {
    /// What asyncio's `add_signal_handler` makes the wakeup descriptor: its `fileno()`.
    #[getter]
    fn _csock(slf: &Bound<'_, Self>) -> PyResult<Option<WakeupDescriptor>> {
        if slf.get().is_closed() {
            return Ok(None);
        }
        let fd = write_fd(slf)?;
        // A handler is about to be added.
        slf.get().with_state(slf.py(), |state| state.quiet_sources = 0);
        Ok(Some(WakeupDescriptor(fd)))
    }

    /// A handler is gone. The wakeup descriptor may have been set to none with it: the next wait
    /// has to look.
    fn _wakeup_fd_changed(slf: &Bound<'_, Self>) -> PyResult<()> {
        let signals = &slf.get().signals;
        signals.is_settled.store(false, Ordering::Relaxed);
        if signals.pipe.with(slf.py(), |pipe| pipe.is_some()) { mind(slf) } else { Ok(()) }
    }

    /// asyncio's: schedules a handle that it made itself, or whatever else can be run as one.
    fn _add_callback(&self, handle: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = handle.py();
        if handle.getattr(intern!(py, "_cancelled"))?.is_truthy()? {
            return Ok(());
        }
        self.push(
            py,
            match Handle::of(handle)? {
                Some(handle) => Item::Handle(handle),
                None => Item::Native(Box::new(Foreign(handle.clone().unbind()))),
            },
        );
        Ok(())
    }

    fn _add_callback_signalsafe(&self, handle: &Bound<'_, PyAny>) -> PyResult<()> {
        self._add_callback(handle)?;
        self.inbox().wake();
        Ok(())
    }
}

/// What a program has put on the queue in the place of a handle.
struct Foreign(Py<PyAny>);

impl Native for Foreign {
    fn run(self: Box<Self>, py: Python<'_>, _looop: &Bound<'_, Loop>) -> PyResult<()> {
        let handle = self.0.bind(py);
        if handle.getattr(intern!(py, "_cancelled"))?.is_truthy()? {
            return Ok(());
        }
        handle.call_method0(intern!(py, "_run")).map(drop)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.0.as_ptr())
    }
}

/// The write end of a loop's signal pipe.
#[pyclass(module = "ferrio._ferrio", frozen)]
struct WakeupDescriptor(RawFd);

#[pymethods]
impl WakeupDescriptor {
    fn fileno(&self) -> RawFd {
        self.0
    }
}

/// The read end, as a source.
struct Pipe;

impl NativeSource for Pipe {
    fn event(&mut self, _py: Python<'_>, _readiness: Readiness) -> Option<Item> {
        Some(Item::Native(Box::new(Delivery)))
    }

    fn traverse(&self, _visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        0
    }
}

/// Empties the pipe and schedules the handlers of what was in it. As in asyncio they run in the
/// next turn.
struct Delivery;

impl Native for Delivery {
    fn run(self: Box<Self>, py: Python<'_>, looop: &Bound<'_, Loop>) -> PyResult<()> {
        let mut numbers = Vec::new();
        let drained = looop.get().signals.pipe.with(py, |pipe| match pipe {
            Some(pipe) => pipe.drain(&mut numbers),
            None => Ok(()),
        });
        // Most signals are not for us: they only had to end the wait.
        if !handlers(looop)?.is_empty() {
            for number in numbers {
                looop.call_method1(intern!(py, "_handle_signal"), (number,))?;
            }
        }
        drained.map_err(os_error)
    }

    fn traverse(&self, _visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        0
    }
}
