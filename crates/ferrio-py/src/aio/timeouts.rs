//! `Timeout`, `timeout` and `timeout_at` (Lib/asyncio/timeouts.py).
//!
//! ```text
//!   Created --enter--> Active --exit--> Finished
//!                        | due
//!                        v
//!                     Expiring --exit--> Expired
//! ```

use std::ffi::{CStr, c_int};

use pyo3::PyTypeInfo;
use pyo3::exceptions::{PyAssertionError, PyBaseException, PyRuntimeError, PyTimeoutError};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyFloat, PyModule, PyTuple, PyType};

use super::current::{current_task, running_loop};
use super::timer::plain_number;
use super::versions::Versions;
use crate::error::WithText;
use crate::event_loop::{Loop, report};
use crate::ffi::Context;
use crate::ffi::call::python_of;
use crate::ffi::class::new_of_class;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state;
use crate::ffi::gil_cell::GilCell;
use crate::ffi::iter::Step;
use crate::ffi::make::{self, Returned};
use crate::ffi::signature::Signature;
use crate::ffi::task::queue::direct_loop;
use crate::item::Item;
use crate::names;

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

/// A deadline, in the loop's time.
enum When {
    Never,
    At(f64),
    /// What is no plain float, as it was given.
    Object(Py<PyAny>),
}

/// What makes it happen.
enum Timer {
    None,
    /// A timer of a loop of ours.
    Engine {
        looop: Py<Loop>,
        key: u64,
    },
    /// On the ready queue of a loop of ours, from where nothing can be taken back.
    Ready,
    /// What `call_at` or `call_soon` has returned.
    Handle(Py<PyAny>),
}

impl When {
    fn of(value: Option<Bound<'_, PyAny>>) -> When {
        match value {
            None => When::Never,
            Some(value) if value.is_none() => When::Never,
            Some(value) => match value.cast_exact::<PyFloat>() {
                Ok(float) => When::At(float.value()),
                Err(_) => When::Object(value.unbind()),
            },
        }
    }

    fn clone_ref(&self, py: Python<'_>) -> When {
        match self {
            When::Never => When::Never,
            When::At(seconds) => When::At(*seconds),
            When::Object(object) => When::Object(object.clone_ref(py)),
        }
    }

    fn object<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(match self {
            When::Never => None,
            When::At(seconds) => Some(make::float(py, *seconds)?.into_any()),
            When::Object(object) => Some(object.bind(py).clone()),
        })
    }
}

impl Timer {
    fn cancel(self, py: Python<'_>) -> PyResult<()> {
        match self {
            Timer::None | Timer::Ready => Ok(()),
            Timer::Engine { looop, key } => {
                looop.get().forget_timer(py, key);
                looop.drop_ref(py);
                Ok(())
            }
            Timer::Handle(handle) => handle.call_method0(py, intern!(py, "cancel")).map(drop),
        }
    }
}

pub(super) fn install(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add_class::<Timeout>()?;
    module.add_function(wrap_pyfunction!(timeout, module)?)?;
    module.add_function(wrap_pyfunction!(timeout_at, module)?)?;
    method::install::<Enter>(py)?;
    method::install::<Exit>(py)
}

/// Timeout async context manager.
///
/// delay: seconds, or None for no timeout. What runs within is cancelled by CancelledError when the
/// time is over, and the context manager raises TimeoutError instead.
#[pyfunction]
fn timeout<'py>(delay: &Bound<'py, PyAny>) -> PyResult<Bound<'py, Timeout>> {
    let py = delay.py();
    let when = after(&running_loop(py)?, delay)?;
    new_timeout(py, when)
}

/// Schedule the timeout at absolute time.
///
/// when: in the time of the loop's clock, or None for no timeout. See `timeout`.
#[pyfunction]
fn timeout_at<'py>(when: Bound<'py, PyAny>) -> PyResult<Bound<'py, Timeout>> {
    new_timeout(when.py(), When::of(Some(when)))
}

/// `loop.time() + delay`, never for None.
fn after(looop: &Bound<'_, PyAny>, delay: &Bound<'_, PyAny>) -> PyResult<When> {
    // asyncio does not ask for the time either.
    if delay.is_none() {
        return Ok(When::Never);
    }
    if let (Some(ours), Some(seconds)) = (direct_loop(looop), plain_number(delay))
        && let Some(now) = ours.get().own_clock()
    {
        return Ok(When::At(now + seconds));
    }
    let now = looop.call_method0(intern!(looop.py(), "time"))?;
    Ok(When::of(Some(now.add(delay)?)))
}

/// An instance of the class that programs know, past its `__init__`.
fn new_timeout(py: Python<'_>, when: When) -> PyResult<Bound<'_, Timeout>> {
    let class = names::aio_timeout(py)?.cast::<PyType>()?;
    new_of_class(Timeout::over(when), class)
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
    pub(super) fn unseen<'py>(
        looop: &Bound<'py, PyAny>,
        delay: &Bound<'py, PyAny>,
    ) -> PyResult<Bound<'py, Timeout>> {
        Bound::new(looop.py(), Timeout::over(after(looop, delay)?))
    }

    /// Entering it: what `__aenter__` does when it is awaited.
    pub(super) fn enter(slf: &Bound<'_, Timeout>) -> PyResult<()> {
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
        let (deadline, is_due) = ours.get().deadline_at(seconds)?;
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
    pub(super) fn exit(&self, py: Python<'_>, error: Option<&Bound<'_, PyAny>>) -> PyResult<()> {
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

/// What becomes of an exception that a timeout has caused, or was in the way of it.
fn timed_out(error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = error.py();
    let cancelled = names::cancelled_error(py)?;
    let versions = Versions::get(py)?;
    let is_cancellation = if versions.timeout_looks_into_exceptions {
        error.is_instance(cancelled)?
    } else {
        // Up to 3.12, not of a subclass.
        error.get_type().is(cancelled)
    };
    if is_cancellation {
        return Err(timeout_from(error)?);
    }
    if !versions.timeout_looks_into_exceptions {
        return Ok(());
    }
    insert_timeout_error(error)?;
    if error.is_instance(names::exception_group(py)?)? {
        for part in error.getattr(intern!(py, "exceptions"))?.try_iter()? {
            insert_timeout_error(&part?)?;
        }
    }
    Ok(())
}

/// `raise TimeoutError from error`, while that is being handled. To the interpreter it need not be:
/// `wait_for` handles it in Rust.
pub(super) fn timeout_from(error: &Bound<'_, PyAny>) -> PyResult<PyErr> {
    let py = error.py();
    let timeout = PyTimeoutError::new_err(()).into_value(py).into_bound(py).into_any();
    chain(&timeout, error)?;
    Ok(PyErr::from_value(timeout))
}

/// Makes `cause` both cause and context of `error`.
fn chain(error: &Bound<'_, PyAny>, cause: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = error.py();
    error.setattr(intern!(py, "__context__"), cause)?;
    error.setattr(intern!(py, "__cause__"), cause)
}

/// The first CancelledError that is the context of something gets a TimeoutError in front of it.
fn insert_timeout_error(error: &Bound<'_, PyAny>) -> PyResult<()> {
    let py = error.py();
    let cancelled = names::cancelled_error(py)?;
    let name = intern!(py, "__context__");
    let mut error = error.clone();
    loop {
        let context = error.getattr(name)?;
        if context.is_none() {
            return Ok(());
        }
        if context.is_instance(cancelled)? {
            let timeout = PyTimeoutError::new_err(()).into_value(py).into_bound(py).into_any();
            chain(&timeout, &context)?;
            return error.setattr(name, timeout);
        }
        error = context;
    }
}

#[pymethods]
impl Timeout {
    /// Takes whatever a subclass is made with; `__init__` says what a Timeout is made with.
    #[new]
    #[pyo3(signature = (*args, **kwargs))]
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
                let rounded = names::round(py)?.call1((when, 3))?;
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

    #[getter]
    fn _when<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyAny>>> {
        self.when(py)
    }

    #[getter]
    fn _task<'py>(&self, py: Python<'py>) -> Option<Bound<'py, PyAny>> {
        self.task(py)
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

/// `Timeout.__aenter__()`.
struct Enter(Py<Timeout>);

impl CoroutineMethod for Enter {
    type Class = Timeout;
    type Body = Enter;
    const NAME: &'static CStr = c"__aenter__";
    const DOC: &'static CStr = c"__aenter__($self)\n--\n\nBegins to count.";

    fn call<'py>(slf: &Bound<'py, Timeout>, arguments: &Arguments<'_, 'py>) -> PyResult<Enter> {
        arguments.none("Timeout.__aenter__")?;
        Ok(Enter(slf.clone().unbind()))
    }

    const PLAIN: Option<method::Plain<Timeout, Enter>> =
        Some(method::Plain::new(0, |slf| Some(Enter(slf.clone().unbind()))));
}

impl Body for Enter {
    fn qualname(&self) -> &'static str {
        "Timeout.__aenter__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, _with: Resume<'py>) -> PyResult<Step<'py>> {
        let timeout = self.0.bind(py);
        Timeout::enter(timeout)?;
        Ok(Step::Returned(timeout.clone().into_any()))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        visit(self.0.as_ptr())
    }
}

/// `Timeout.__aexit__(exc_type, exc_val, exc_tb)`.
struct Exit {
    timeout: Py<Timeout>,
    error: Option<Py<PyAny>>,
}

impl CoroutineMethod for Exit {
    type Class = Timeout;
    type Body = Exit;
    const NAME: &'static CStr = c"__aexit__";
    const DOC: &'static CStr = c"__aexit__($self, exc_type, exc_val, exc_tb)\n--\n\n\
        Ends it: raises TimeoutError in place of the CancelledError that it has caused.";

    fn call<'py>(slf: &Bound<'py, Timeout>, arguments: &Arguments<'_, 'py>) -> PyResult<Exit> {
        const SIGNATURE: Signature<3> = Signature {
            function: "Timeout.__aexit__",
            names: ["exc_type", "exc_val", "exc_tb"],
            positional: 3,
            required: 3,
            is_method: true,
        };
        let [class, error, _] = SIGNATURE.bind(arguments)?;
        Ok(Exit {
            timeout: slf.clone().unbind(),
            error: exception(class, error)?.map(Bound::unbind),
        })
    }

    const PLAIN: Option<method::Plain<Timeout, Exit>> = Some(method::Plain::without_error(|slf| {
        Some(Exit { timeout: slf.clone().unbind(), error: None })
    }));
}

/// The exception that an `__aexit__` is told of. By hand, it may be called with a class alone.
pub(super) fn exception<'py>(
    class: Option<Bound<'py, PyAny>>,
    error: Option<Bound<'py, PyAny>>,
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let given = |value: Option<Bound<'py, PyAny>>| value.filter(|value| !value.is_none());
    match (given(class), given(error)) {
        (_, Some(error)) if error.is_instance_of::<PyBaseException>() => Ok(Some(error)),
        (Some(class), _) => class.call0().map(Some),
        (None, _) => Ok(None),
    }
}

impl Body for Exit {
    fn qualname(&self) -> &'static str {
        "Timeout.__aexit__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, _with: Resume<'py>) -> PyResult<Step<'py>> {
        let error = self.error.as_ref().map(|error| error.bind(py));
        self.timeout.get().exit(py, error)?;
        Ok(Step::Returned(py.None().into_bound(py)))
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = visit(self.timeout.as_ptr());
        match &self.error {
            Some(error) if answer == 0 => visit(error.as_ptr()),
            Some(_) | None => answer,
        }
    }
}
