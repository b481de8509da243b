//! `call_soon`, `call_later`, `call_at`, `call_soon_threadsafe`, `time`
//! (Lib/asyncio/base_events.py).

use std::ffi::CStr;
use std::sync::atomic::Ordering;

use ferrio_engine::Instant;
use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyFloat, PyTuple};

use super::{Loop, clock};
use crate::error::WithText;
use crate::ffi::call::Context;
use crate::ffi::clock as monotonic;
use crate::ffi::fastcall::{self, Arguments, FastMethod, wrong_arguments};
use crate::ffi::handle::{Handle, Kind, Parts};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::task::callback::{Scheduled, scheduled};
use crate::ffi::task::is_task_callback;
use crate::ffi::task::queue::are_replaced;
use crate::item::Item;
use crate::names;

/// Adds this file's raw methods to the class.
pub(crate) fn install(py: Python<'_>) -> PyResult<()> {
    fastcall::install::<CallSoon>(py)?;
    fastcall::install::<CallSoonThreadsafe>(py)?;
    fastcall::install::<CallLater>(py)?;
    fastcall::install::<CallAt>(py)
}

/// `callback, *args, context=None`, behind `leading` more arguments.
struct Callback<'py> {
    leading: Option<Bound<'py, PyAny>>,
    callback: Bound<'py, PyAny>,
    args: Bound<'py, PyTuple>,
    context: Option<Bound<'py, PyAny>>,
}

impl<'py> Callback<'py> {
    /// `leading` names the argument before `callback`, if the method has one.
    fn parse(
        leading: Option<&'static str>,
        arguments: &Arguments<'_, 'py>,
    ) -> PyResult<Callback<'py>> {
        let start = usize::from(leading.is_some());
        let mut first = leading.and_then(|_| arguments.get(0));
        let mut callback = arguments.get(start);
        let mut context = None;
        if arguments.has_keywords() {
            context = arguments.only_context();
            if context.is_none() {
                for (name, value) in arguments.keywords() {
                    if name.to_str()? == "context" {
                        context = Some(value);
                    } else if name.to_str()? == "callback" && callback.is_none() {
                        callback = Some(value);
                    } else if leading == Some(name.to_str()?) && first.is_none() {
                        first = Some(value);
                    } else {
                        return Err(wrong_arguments());
                    }
                }
            }
        }
        if leading.is_some() && first.is_none() {
            return Err(wrong_arguments());
        }
        let callback = callback.ok_or_else(wrong_arguments)?;
        Ok(Callback { leading: first, callback, args: arguments.rest(start + 1)?, context })
    }

    fn into_handle(
        self,
        looop: &Bound<'py, Loop>,
        kind: Kind,
        when: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Handle> {
        let py = looop.py();
        let parts = Parts {
            looop: looop.as_any(),
            callback: self.callback,
            args: self.args,
            context: Context::from_argument(self.context, py)?,
            source_traceback: source_traceback(looop)?,
        };
        Handle::new(parts, kind, when)
    }
}

/// Debug mode: where the handle was made, the caller's frame last.
pub(super) fn source_traceback<'py>(
    looop: &Bound<'py, Loop>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = looop.py();
    if !looop.get().is_debug() {
        return Ok(None);
    }
    let frame = names::handle_getframe(py)?.call1((0,))?;
    names::handle_extract_stack(py)?.call1((frame,)).map(Some)
}

/// Debug mode: `_check_callback` of this version of asyncio, and for most methods the thread.
fn check(looop: &Bound<'_, Loop>, callback: &Bound<'_, PyAny>, method: &CStr) -> PyResult<()> {
    let name = make::text(looop.py(), method.to_string_lossy())?;
    looop.call_method1(intern!(looop.py(), "_check_callback"), (callback, name)).map(drop)
}

struct CallSoon;

impl FastMethod for CallSoon {
    type Class = Loop;
    const NAME: &'static CStr = c"call_soon";
    const DOC: &'static CStr = c"call_soon($self, callback, *args, context=None)\n--\n\n\
        Calls callback(*args) in the next turn, after everything scheduled before it.\n\n\
        Returns an asyncio.Handle. context is a contextvars.Context; None is a copy of the\n\
        current one. Raises RuntimeError if the loop is closed. Not thread-safe.";
    const PLAIN: Option<fastcall::Plain> = Some(crate::ffi::handle::call_soon);

    fn call<'py>(
        slf: &Bound<'py, Loop>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        this.check_closed()?;
        if let Some(item) = task_call(this, &arguments) {
            this.push(py, item);
            return Ok(py.None().into_bound(py));
        }
        let parsed = Callback::parse(None, &arguments)?;
        if this.is_debug() {
            this.check_thread()?;
            check(slf, &parsed.callback, Self::NAME)?;
        }
        let handle = parsed.into_handle(slf, Kind::Soon, None)?;
        this.push(py, Item::Handle(handle.clone_ref(py)));
        Ok(handle.into_object().into_bound(py))
    }
}

/// A task's step or wake-up, `(callback, [future], context=)`, for which no handle need be made
/// (bench: sleep0_100_tasks). None for every other call, and in debug mode.
fn task_call(looop: &Loop, arguments: &Arguments<'_, '_>) -> Option<Item> {
    let callback = arguments.get(0)?;
    if looop.is_debug() || arguments.len() > 2 {
        return None;
    }
    let context = arguments.only_context()?;
    let scheduled = scheduled(&callback, arguments.get(1).as_ref(), &context);
    if scheduled.is_none() && !is_task_callback(&callback) {
        return None;
    }
    if let Some(scheduled) = scheduled {
        return Some(match scheduled {
            Scheduled::Step { task, error } => Item::Step { task, error },
            Scheduled::Wakeup { task, future } => Item::Wakeup { task, future },
        });
    }
    Some(Item::Call {
        argument: arguments.get(1).map(Bound::unbind),
        context: context.unbind(),
        callback: callback.unbind(),
    })
}

struct CallSoonThreadsafe;

impl FastMethod for CallSoonThreadsafe {
    type Class = Loop;
    const NAME: &'static CStr = c"call_soon_threadsafe";
    const DOC: &'static CStr = c"call_soon_threadsafe($self, callback, *args, context=None)\n\
        --\n\nLike call_soon(), from any thread: wakes the loop if it sleeps.\n\n\
        From CPython 3.14 on, the handle's cancel() and cancelled() wait while the callback runs\n\
        in another thread.";
    const PLAIN: Option<fastcall::Plain> = Some(crate::ffi::handle::call_soon_threadsafe);

    fn call<'py>(
        slf: &Bound<'py, Loop>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        this.check_closed()?;
        let parsed = Callback::parse(None, &arguments)?;
        if this.is_debug() {
            check(slf, &parsed.callback, Self::NAME)?;
        }
        let handle = parsed.into_handle(slf, Kind::OF_ANOTHER_THREAD, None)?;
        this.push_threadsafe(py, Item::Handle(handle.clone_ref(py)));
        Ok(handle.into_object().into_bound(py))
    }
}

struct CallLater;

impl FastMethod for CallLater {
    type Class = Loop;
    const NAME: &'static CStr = c"call_later";
    const DOC: &'static CStr = c"call_later($self, delay, callback, *args, context=None)\n--\n\n\
        Calls callback(*args) once delay seconds have passed, never earlier.\n\n\
        Returns an asyncio.TimerHandle. A delay that is zero or negative means the next turn.";
    const PLAIN: Option<fastcall::Plain> = Some(crate::ffi::handle::call_later);

    fn call<'py>(
        slf: &Bound<'py, Loop>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let parsed = Callback::parse(Some("delay"), &arguments)?;
        let delay = parsed.leading.clone().unwrap_or_else(|| py.None().into_bound(py));
        if delay.is_none() {
            return Err(PyTypeError::with_text("delay must not be None"));
        }
        let now = now(slf)?;
        let when = match (delay.cast_exact::<PyFloat>(), now.cast_exact::<PyFloat>()) {
            (Ok(delay), Ok(now)) => make::float(py, now.value() + delay.value())?.into_any(),
            (Err(_), _) | (_, Err(_)) => now.add(&delay)?,
        };
        if are_replaced(slf) {
            // asyncio's goes by `call_at`, whoever's that is.
            let context = make::dict(py)?;
            context.set_item(intern!(py, "context"), parsed.context)?;
            let mut args = vec![when, parsed.callback];
            args.extend(parsed.args.iter());
            let args = make::tuple(py, args)?;
            return slf.getattr(intern!(py, "call_at"))?.call(args, Some(&context));
        }
        schedule(slf, parsed, when, c"call_at")
    }
}

struct CallAt;

impl FastMethod for CallAt {
    type Class = Loop;
    const NAME: &'static CStr = c"call_at";
    const DOC: &'static CStr = c"call_at($self, when, callback, *args, context=None)\n--\n\n\
        Calls callback(*args) once loop.time() has reached when, never earlier.\n\n\
        Returns an asyncio.TimerHandle. Equal times run in the order of the calls.";
    const PLAIN: Option<fastcall::Plain> = Some(crate::ffi::handle::call_at);

    fn call<'py>(
        slf: &Bound<'py, Loop>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let parsed = Callback::parse(Some("when"), &arguments)?;
        let when = parsed.leading.clone().unwrap_or_else(|| slf.py().None().into_bound(slf.py()));
        if when.is_none() {
            return Err(PyTypeError::with_text("when cannot be None"));
        }
        schedule(slf, parsed, when, Self::NAME)
    }
}

/// The common end of `call_later` and `call_at`.
fn schedule<'py>(
    looop: &Bound<'py, Loop>,
    parsed: Callback<'py>,
    when: Bound<'py, PyAny>,
    method: &CStr,
) -> PyResult<Bound<'py, PyAny>> {
    let py = looop.py();
    let this = looop.get();
    this.check_closed()?;
    if this.is_debug() {
        this.check_thread()?;
        check(looop, &parsed.callback, method)?;
    }
    let seconds: f64 = when.extract()?;
    let deadline = clock::deadline(seconds);
    let handle = parsed.into_handle(looop, Kind::Timer, Some(when))?;
    let item = Item::Timer(handle.clone_ref(py));
    let key = this.open(py, |state| state.engine.add_timer(deadline, item))?;
    handle.set_timer(py, key.to_bits())?;
    Ok(handle.into_object().into_bound(py))
}

/// `loop.time()`: the method itself if a subclass or the program replaced it.
fn now<'py>(looop: &Bound<'py, Loop>) -> PyResult<Bound<'py, PyAny>> {
    if looop.get().has_other_clock(looop.py()) {
        return looop.call_method0(intern!(looop.py(), "time"));
    }
    Ok(make::float(looop.py(), looop.get().time())?.into_any())
}

#[pymethods]
impl Loop {
    /// The loop's clock: seconds as a float, monotonic, the same as `time.monotonic()`.
    #[pyo3(name = "time")]
    fn py_time<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        if monotonic::is_replaced(py) {
            return monotonic::monotonic(py);
        }
        Ok(make::float(py, self.time())?.into_any())
    }

    /// From now on timers go by what the method `time` says, which is no longer ours.
    fn _ask_for_time(&self) {
        self.has_own_clock.store(true, Ordering::Relaxed);
    }

    /// asyncio's own name for what `TimerHandle.cancel` tells its loop; our timers have been
    /// forgotten by then.
    fn _timer_handle_cancelled(&self, _handle: &Bound<'_, PyAny>) {}
}

impl Loop {
    /// Has the program a clock of its own, by a method `time` or under the name of `time.monotonic`?
    #[inline]
    fn has_other_clock(&self, py: Python<'_>) -> bool {
        self.has_own_clock.load(Ordering::Relaxed) || monotonic::is_replaced(py)
    }

    /// What `time()` says, unless the program has a clock of its own.
    fn time(&self) -> f64 {
        clock::seconds(Instant::now())
    }

    /// What `time()` says, None where the program has a clock of its own.
    pub(crate) fn own_clock(&self, py: Python<'_>) -> Option<f64> {
        if self.has_other_clock(py) { None } else { Some(self.time()) }
    }

    /// The moment so many seconds from now, None where the program has a clock of its own.
    pub(crate) fn deadline_after(&self, py: Python<'_>, delay: f64) -> Option<Instant> {
        if self.has_other_clock(py) {
            return None;
        }
        Some(clock::deadline(self.time() + delay))
    }

    /// The moment at which `time()` is `when`, and whether that has come; None as above.
    pub(crate) fn deadline_at(&self, py: Python<'_>, when: f64) -> Option<(Instant, bool)> {
        if self.has_other_clock(py) {
            return None;
        }
        Some((clock::deadline(when), when <= self.time()))
    }

    /// A timer for an item that is no handle: its key, for [`forget_timer`](Loop::forget_timer).
    ///
    /// # Errors
    /// RuntimeError for a closed loop.
    pub(crate) fn add_timer(&self, py: Python<'_>, deadline: Instant, item: Item) -> PyResult<u64> {
        // A rejected item is dropped by `open`, whose closure is dropped outside of the cell.
        self.open(py, |state| state.engine.add_timer(deadline, item).to_bits())
    }

    /// What the program's own clock says, if it has one. Tests set theirs forward, to see in a
    /// moment what would take hours.
    #[inline]
    pub(super) fn own_time(&self, slf: &Bound<'_, Self>) -> PyResult<Option<Instant>> {
        if !self.has_other_clock(slf.py()) {
            return Ok(None);
        }
        let seconds = slf.call_method0(intern!(slf.py(), "time"))?.extract()?;
        Ok(Some(clock::deadline(seconds)))
    }
}
