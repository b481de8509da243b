//! `Timeout`, `timeout` and `timeout_at` (Lib/asyncio/timeouts.py).
//!
//! ```text
//!   Created --enter--> Active --exit--> Finished
//!                        | due
//!                        v
//!                     Expiring --exit--> Expired
//! ```

mod deadline;
mod error;
mod exit;

use std::ffi::CStr;

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyAssertionError, PyRuntimeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule, PyString, PyTuple, PyType};

use crate::aio::current::{current_task, running_loop};
use crate::aio::entering::{Enter, Entered};
use crate::aio::timer::plain_number;
use crate::error::WithText;
use crate::event_loop::{Loop, report};
use crate::ffi::Context;
use crate::ffi::call::python_of;
use crate::ffi::class::new_of_class;
use crate::ffi::class::{self, chained};
use crate::ffi::coroutine::method;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make::{self, Returned};
use crate::ffi::refusal;
use crate::ffi::task::queue::direct_loop;
use crate::item::Item;
use crate::names;

use deadline::{Timer, When};
use error::timed_out;
pub(in crate::aio) use error::timeout_from;
use exit::Exit;

/// Asynchronous context manager for cancelling overdue coroutines.
#[pyclass(module = "ferrio", subclass, frozen, weakref)]
pub(crate) struct Timeout {
    state: GilCell<State>,
}

struct State {
    phase: Phase,
    when: When,
    task: Option<Py<PyAny>>,
    /// How often the task had been asked to cancel when it entered.
    cancelling: i64,
    timer: Timer,
    /// Counts the timers that were set: one that was cancelled too late knows by it.
    serial: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Created,
    Active,
    Expiring,
    Expired,
    Finished,
}

impl Phase {
    /// As repr and messages say it.
    fn value(self) -> &'static str {
        match self {
            Phase::Created => "created",
            Phase::Active => "active",
            Phase::Expiring => "expiring",
            Phase::Expired => "expired",
            Phase::Finished => "finished",
        }
    }

    /// The one of this value.
    fn of(value: &str) -> Option<Phase> {
        [Phase::Created, Phase::Active, Phase::Expiring, Phase::Expired, Phase::Finished]
            .into_iter()
            .find(|phase| phase.value() == value)
    }

    /// The name of the member of asyncio's enum.
    fn member(self) -> &'static str {
        match self {
            Phase::Created => "CREATED",
            Phase::Active => "ENTERED",
            Phase::Expiring => "EXPIRING",
            Phase::Expired => "EXPIRED",
            Phase::Finished => "EXITED",
        }
    }
}

chained!(Timeout);

pub(in crate::aio) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    refusal::add_class::<Timeout>(module)?;
    class::chain::<Timeout>(module.py());
    refusal::add_function(module, &wrap_pyfunction!(timeout, module)?)?;
    refusal::add_function(module, &wrap_pyfunction!(timeout_at, module)?)?;
    method::install::<Enter<Timeout>>(py)?;
    method::install::<Exit>(py)
}

/// Timeout async context manager.
///
/// delay: seconds, or None for no timeout. What runs within is cancelled by CancelledError when the
/// time is over, and the context manager raises TimeoutError instead.
#[pyfunction]
fn timeout<'py>(delay: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = delay.py();
    let when = after(&running_loop(py)?, delay)?;
    new_timeout(py, when)
}

/// Schedule the timeout at absolute time.
///
/// when: in the time of the loop's clock, or None for no timeout. See `timeout`.
#[pyfunction]
fn timeout_at<'py>(when: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    new_timeout(when.py(), When::of(Some(when)))
}

/// `loop.time() + delay`, never for None.
fn after(looop: &Bound<'_, PyAny>, delay: &Bound<'_, PyAny>) -> PyResult<When> {
    // asyncio does not ask for the time either.
    if delay.is_none() {
        return Ok(When::Never);
    }
    if let (Some(ours), Some(seconds)) = (direct_loop(looop), plain_number(delay))
        && let Some(now) = ours.get().own_clock(looop.py())
    {
        return Ok(When::At(now + seconds));
    }
    let now = looop.call_method0(intern!(looop.py(), "time"))?;
    Ok(When::of(Some(now.add(delay)?)))
}

/// An instance of the class that programs know, past its `__init__`; of whatever stands in the place
/// of it.
fn new_timeout(py: Python<'_>, when: When) -> PyResult<Bound<'_, PyAny>> {
    if let Some(class) = names::foreign_timeout(py)? {
        return class.call1((when.object(py)?,));
    }
    let class = names::aio_timeout(py)?.cast::<PyType>()?;
    new_of_class(Timeout::over(when), class).map(Bound::into_any)
}

impl Timeout {
    fn over(when: When) -> Timeout {
        let state = State {
            phase: Phase::Created,
            when,
            task: None,
            cancelling: 0,
            timer: Timer::None,
            serial: 0,
        };
        Timeout { state: GilCell::new(state) }
    }

    /// One of the native class, which no program sees: for `wait_for`.
    pub(in crate::aio) fn unseen<'py>(
        looop: &Bound<'py, PyAny>,
        delay: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Timeout>> {
        Bound::new(looop.py(), Timeout::over(after(looop, delay)?))
    }

    /// Entering it: what `__aenter__` does when it is awaited.
    pub(in crate::aio) fn begin(slf: &Bound<'_, Timeout>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        if this.phase(py) != Phase::Created {
            return Err(PyRuntimeError::with_text("Timeout has already been entered"));
        }
        let Some(task) = current_task(py, None)? else {
            return Err(PyRuntimeError::with_text("Timeout should be used inside a task"));
        };
        let cancelling = state::cancelling(&task)?;
        let task = task.unbind();
        this.state.with(py, |state| {
            state.phase = Phase::Active;
            state.cancelling = cancelling;
            state.task = Some(task);
        });
        Timeout::set_timer(slf)
    }

    fn phase(&self, py: Python<'_>) -> Phase {
        self.state.with(py, |state| state.phase)
    }

    /// Sets a timer for the present deadline.
    fn set_timer(slf: &Bound<'_, Timeout>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let when = this.state.with(py, |state| {
            state.serial = state.serial.wrapping_add(1);
            state.when.clone_ref(py)
        });
        let seconds = match &when {
            When::Never => return Ok(()),
            When::At(seconds) => Some(*seconds),
            When::Object(object) => plain_number(object.bind(py)),
        };
        let looop = running_loop(py)?;
        let timer = match seconds.and_then(|seconds| Timeout::direct(slf, &looop, seconds)) {
            Some(timer) => timer?,
            None => match when.object(py)? {
                Some(when) => Timeout::by_method(slf, &looop, &when)?,
                None => Timer::None,
            },
        };
        let old = this.state.with(py, |state| std::mem::replace(&mut state.timer, timer));
        old.cancel(py)
    }

    /// A timer without a handle, where nobody can tell: the class is ours, the loop too, and it has
    /// our clock (bench: timeout_enter_exit).
    fn direct(
        slf: &Bound<'_, Timeout>,
        looop: &Bound<'_, PyAny>,
        seconds: f64,
    ) -> Option<PyResult<Timer>> {
        let py = slf.py();
        let ours = direct_loop(looop)?;
        let class = slf.get_type();
        if !class.is(Timeout::type_object(py)) && !class.is(names::aio_timeout(py).ok()?) {
            return None;
        }
        let (deadline, is_due) = ours.get().deadline_at(py, seconds)?;
        let serial = slf.get().state.with(py, |state| state.serial);
        let item = Item::Timeout(slf.clone().unbind(), serial);
        if is_due {
            ours.get().push(py, item);
            return Some(Ok(Timer::Ready));
        }
        let looop = ours.clone().unbind();
        Some(ours.get().add_timer(py, deadline, item).map(|key| Timer::Engine { looop, key }))
    }

    fn by_method(
        slf: &Bound<'_, Timeout>,
        looop: &Bound<'_, PyAny>,
        when: &Bound<'_, PyAny>,
    ) -> PyResult<Timer> {
        let py = slf.py();
        let callback = slf.getattr(intern!(py, "_on_timeout"))?;
        let now = looop.call_method0(intern!(py, "time"))?;
        let handle = if when.le(now)? {
            looop.call_method1(intern!(py, "call_soon"), (callback,))?
        } else {
            looop.call_method1(intern!(py, "call_at"), (when, callback))?
        };
        Ok(Timer::Handle(handle.unbind()))
    }

    /// Runs the timer's item. `Err` is what must leave `run_forever`.
    pub(crate) fn due(
        slf: &Bound<'_, Timeout>,
        looop: &Bound<'_, Loop>,
        serial: u32,
    ) -> PyResult<()> {
        let py = slf.py();
        let is_current = |state: &mut State| {
            let is_set = matches!(state.timer, Timer::Engine { .. } | Timer::Ready);
            is_set && state.serial == serial && state.phase == Phase::Active
        };
        if !slf.get().state.with(py, is_current) {
            return Ok(());
        }
        let task = slf.get().task(py);
        // asyncio runs it in a copy of the context that was current when the timer was set.
        let context = match task.as_ref().and_then(|task| state::context_of(task)) {
            Some(context) => Context::from_object(context.unbind()).copy(py)?,
            None => Context::copy_current(py)?,
        };
        match context.run(py, || slf.get().expire(py)) {
            Ok(()) => Ok(()),
            Err(error) => {
                let callback = slf.getattr(intern!(py, "_on_timeout"))?;
                report::failed_call(looop, error, &callback, None, context.into_object())
            }
        }
    }

    fn task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.state.with(py, |state| state.task.as_ref().map(|task| task.bind(py).clone()))
    }

    /// Its time is over.
    fn expire(&self, py: Python<'_>) -> PyResult<()> {
        if let Some(task) = self.task(py) {
            state::cancel(&task)?;
        }
        // The reference is dropped early.
        let old = self.state.with(py, |state| {
            state.phase = Phase::Expiring;
            std::mem::replace(&mut state.timer, Timer::None)
        });
        drop(old);
        Ok(())
    }

    /// Leaving it with this exception, or none. `Err` is what `async with` is to raise instead.
    pub(in crate::aio) fn exit(
        &self,
        py: Python<'_>,
        error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<()> {
        if !matches!(self.phase(py), Phase::Active | Phase::Expiring) {
            return Err(PyAssertionError::new_err(()));
        }
        let timer = self.state.with(py, |state| {
            let timer = std::mem::replace(&mut state.timer, Timer::None);
            if state.phase == Phase::Active {
                state.phase = Phase::Finished;
            }
            timer
        });
        timer.cancel(py)?;
        let cancelling = self.state.with(py, |state| {
            (state.phase == Phase::Expiring).then(|| {
                state.phase = Phase::Expired;
                state.cancelling
            })
        });
        let Some(cancelling) = cancelling else { return Ok(()) };
        let Some(task) = self.task(py) else { return Ok(()) };
        let left = state::uncancel(&task)?;
        // With new requests to cancel, it is not for us to handle.
        match error {
            Some(error) if left <= cancelling => timed_out(error),
            Some(_) | None => Ok(()),
        }
    }
}

#[pymethods]
impl Timeout {
    /// Takes whatever a subclass is made with; `__init__` says what a Timeout is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs), text_signature = "(when)")]
    fn new(args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> Timeout {
        let _ = (args, kwargs);
        Timeout::over(When::Never)
    }

    /// Schedule a timeout that will trigger at a given loop time; never if `when` is None.
    fn __init__(&self, when: Bound<'_, PyAny>) {
        let py = when.py();
        let when = When::of(Some(when));
        let old = self.state.with(py, |state| {
            state.phase = Phase::Created;
            (std::mem::replace(&mut state.when, when), state.task.take())
        });
        drop(old);
    }

    /// Return the current deadline.
    fn when<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.state.with(py, |state| state.when.clone_ref(py)).object(py)
    }

    /// Reschedule the timeout.
    fn reschedule(slf: &Bound<'_, Self>, when: Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        match this.phase(py) {
            Phase::Active => {}
            Phase::Created => {
                return Err(PyRuntimeError::with_text("Timeout has not been entered"));
            }
            phase @ (Phase::Expiring | Phase::Expired | Phase::Finished) => {
                let text = format!("Cannot change state of {} Timeout", phase.value());
                return Err(PyRuntimeError::with_text(text));
            }
        }
        let when = When::of(Some(when));
        let (old, timer) = this.state.with(py, |state| {
            let timer = std::mem::replace(&mut state.timer, Timer::None);
            (std::mem::replace(&mut state.when, when), timer)
        });
        drop(old);
        timer.cancel(py)?;
        Timeout::set_timer(slf)
    }

    /// Is timeout expired during execution?
    fn expired(&self, py: Python<'_>) -> bool {
        matches!(self.phase(py), Phase::Expiring | Phase::Expired)
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<Returned<String>> {
        let phase = self.phase(py);
        let info = match (phase, self.when(py)?) {
            (Phase::Active, Some(when)) => {
                let rounded = names::timeouts_round(py)?.call1((when, 3))?;
                format!(" when={}", rounded.str()?)
            }
            (Phase::Active, None) => " when=None".to_owned(),
            (Phase::Created | Phase::Expiring | Phase::Expired | Phase::Finished, _) => {
                String::new()
            }
        };
        Ok(Returned(format!("<Timeout [{}]{info}>", phase.value())))
    }

    /// asyncio's name for what its timer calls.
    fn _on_timeout(&self, py: Python<'_>) -> PyResult<()> {
        self.expire(py)
    }

    #[getter]
    fn _state<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        names::timeout_state(py)?.getattr(make::text(py, self.phase(py).member())?)
    }

    /// A member of asyncio's enum.
    #[setter(_state)]
    fn set_phase(&self, phase: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = phase.py();
        let value = phase.getattr(intern!(py, "value"))?;
        let Some(phase) = Phase::of(value.cast::<PyString>()?.to_str()?) else {
            return Err(PyValueError::with_text(format!("no state of a Timeout: {value}")));
        };
        self.state.with(py, |state| state.phase = phase);
        Ok(())
    }

    #[getter]
    fn _when<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.when(py)
    }

    /// What is told; the timer stays as it is, and so gets its handle now.
    #[setter(_when)]
    fn set_when(slf: &Bound<'_, Self>, when: Option<Bound<'_, PyAny>>) -> PyResult<()> {
        Timeout::_timeout_handler(slf)?;
        let when = When::of(when);
        let this = slf.get();
        drop(this.state.with(slf.py(), |state| std::mem::replace(&mut state.when, when)));
        Ok(())
    }

    #[getter]
    fn _task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.task(py)
    }

    #[setter(_task)]
    fn set_task(&self, py: Python<'_>, task: Option<Py<PyAny>>) {
        drop(self.state.with(py, |state| std::mem::replace(&mut state.task, task)));
    }

    #[getter]
    fn _cancelling(&self, py: Python<'_>) -> i64 {
        self.state.with(py, |state| state.cancelling)
    }

    #[setter(_cancelling)]
    fn set_cancelling(&self, py: Python<'_>, cancelling: i64) {
        self.state.with(py, |state| state.cancelling = cancelling);
    }

    /// The handle of its timer. Other packages' tests ask for it; a timer that has none gets one.
    #[getter]
    fn _timeout_handler<'py>(slf: &Bound<'py, Self>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = slf.py();
        let this = slf.get();
        let is_direct = |state: &mut State| match state.timer {
            Timer::Engine { .. } | Timer::Ready => true,
            Timer::None | Timer::Handle(_) => false,
        };
        if this.state.with(py, is_direct)
            && let (Some(task), Some(when)) = (this.task(py), this.when(py)?)
        {
            let looop = task.call_method0(intern!(py, "get_loop"))?;
            let timer = Timeout::by_method(slf, &looop, &when)?;
            let old = this.state.with(py, |state| {
                // What is on the ready queue already is not the timer any more.
                state.serial = state.serial.wrapping_add(1);
                std::mem::replace(&mut state.timer, timer)
            });
            old.cancel(py)?;
        }
        Ok(this.state.with(py, |state| match &state.timer {
            Timer::Handle(handle) => Some(handle.bind(py).clone()),
            Timer::None | Timer::Engine { .. } | Timer::Ready => None,
        }))
    }

    /// Another handle, or None; the one that was there goes on, as in asyncio.
    #[setter(_timeout_handler)]
    fn set_timer_handle(slf: &Bound<'_, Self>, handle: Option<Py<PyAny>>) -> PyResult<()> {
        Timeout::_timeout_handler(slf)?;
        let timer = handle.map_or(Timer::None, Timer::Handle);
        let this = slf.get();
        drop(this.state.with(slf.py(), |state| std::mem::replace(&mut state.timer, timer)));
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        let all = self.state.try_with(python_of(&visit), |state| {
            visit.call(&state.task)?;
            if let When::Object(when) = &state.when {
                visit.call(when)?;
            }
            match &state.timer {
                Timer::None | Timer::Ready => Ok(()),
                Timer::Engine { looop, .. } => visit.call(looop),
                Timer::Handle(handle) => visit.call(handle),
            }
        });
        all.unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        let old = self.state.with(py, |state| {
            let timer = std::mem::replace(&mut state.timer, Timer::None);
            (state.task.take(), std::mem::replace(&mut state.when, When::Never), timer)
        });
        drop(old);
    }
}

impl Entered for Timeout {
    const QUALNAME: &'static str = "Timeout.__aenter__";
    const DOC: &'static CStr = c"__aenter__($self)\n--\n\nBegins to count.";

    fn enter(slf: &Bound<'_, Timeout>) -> PyResult<()> {
        Timeout::begin(slf)
    }
}
