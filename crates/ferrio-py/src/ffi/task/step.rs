//! One step of a task of ours: `task_step` and `task_wakeup` of asyncio's, with the same exceptions
//! in the same order.

use pyo3::exceptions::{PyKeyboardInterrupt, PyRuntimeError, PyStopIteration, PySystemExit};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyTuple;

use super::own::BoundTask;
use super::{callback, queue, registry};
use crate::error::WithText;
use crate::event_loop::{Loop, report};
use crate::ffi::call::{call_method1, vectorcall};
use crate::ffi::future::layout::{CANCELLED, FINISHED, PENDING};
use crate::ffi::future::{Types, awaited_by, fields, schedule_callbacks, types};
use crate::ffi::interned::intern;
use crate::ffi::iter::{self, Step};
use crate::ffi::make;
use crate::ffi::raise::raised;
use crate::item::Item;
use crate::names;

/// Runs a step from the ready queue, in the task's context (bench: sleep0_100_tasks). `Err` leaves
/// `run_forever`.
pub(crate) fn run_step(
    looop: &Bound<'_, Loop>,
    task: &BoundTask<'_>,
    error: Option<Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = looop.py();
    let Some(types) = types(py) else { return Ok(()) };
    let shown = error.clone();
    match run(py, types, looop, task, |_| Ok(error)) {
        Ok(()) => Ok(()),
        Err(raised) => {
            looop.get().leave_task(looop);
            let step = callback::new_step(types, task, shown.as_ref())?;
            report::failed_call(looop, raised, &step, None, context_of(types, task).unbind())
        }
    }
}

/// Wakes a task whose future is done, as [`run_step`].
pub(crate) fn run_wakeup(
    looop: &Bound<'_, Loop>,
    task: &BoundTask<'_>,
    future: &Bound<'_, PyAny>,
) -> PyResult<()> {
    let py = looop.py();
    let Some(types) = types(py) else { return Ok(()) };
    let leave = || looop.get().leave_task(looop);
    match run(py, types, looop, task, |types| outcome(types, task, future, leave)) {
        Ok(()) => Ok(()),
        Err(raised) => {
            looop.get().leave_task(looop);
            let wakeup = callback::new_wakeup(types, task)?;
            let context = context_of(types, task).unbind();
            report::failed_call(looop, raised, &wakeup, Some(future), context)
        }
    }
}

/// What the two have in common: `error` is what the step has to raise in the coroutine.
#[inline(always)]
fn run<'py>(
    py: Python<'py>,
    types: &Types,
    looop: &Bound<'py, Loop>,
    task: &BoundTask<'py>,
    error: impl FnOnce(&Types) -> PyResult<Option<Bound<'py, PyAny>>>,
) -> PyResult<()> {
    let context = context_of(types, task);
    // SAFETY: attached; PyContext_Enter checks the type of its argument.
    if unsafe { ffi::PyContext_Enter(context.as_ptr()) } != 0 {
        return Err(PyErr::fetch(py));
    }
    let result = error(types).and_then(|error| {
        // SAFETY: the task is alive.
        unsafe { types.current.exchange(looop.get(), looop.as_any(), task.as_ptr()) }?;
        entered(types, task, error)
    });
    // An error of the step is out of the interpreter's error indicator by now.
    // SAFETY: as above; entered on this thread a moment ago.
    if unsafe { ffi::PyContext_Exit(context.as_ptr()) } != 0 {
        let exit_error = PyErr::fetch(py);
        return result.and(Err(exit_error));
    }
    result
}

/// The task's context; None where the collector has taken the task apart.
fn context_of<'py>(types: &Types, task: &BoundTask<'py>) -> Bound<'py, PyAny> {
    // SAFETY: a task by our layout.
    let context = unsafe {
        let context = fields::get(task.as_ptr(), types.layout.context);
        Bound::from_borrowed_ptr_or_opt(task.py(), context)
    };
    context.unwrap_or_else(|| task.py().None().into_bound(task.py()))
}

/// The task's loop.
fn loop_of<'py>(types: &Types, task: &BoundTask<'py>) -> PyResult<Bound<'py, PyAny>> {
    // SAFETY: a task by our layout.
    let looop = unsafe {
        let looop = fields::get(task.as_ptr(), types.layout.looop);
        Bound::from_borrowed_ptr_or_opt(task.py(), looop)
    };
    looop.ok_or_else(|| PyRuntimeError::with_text("uninitialized Task object"))
}

/// A step by way of a callable, which any loop may call at any time.
pub(super) fn step(task: &BoundTask<'_>, error: Option<Bound<'_, PyAny>>) -> PyResult<()> {
    let py = task.py();
    let Some(types) = types(py) else { return Ok(()) };
    let looop = loop_of(types, task)?;
    // SAFETY: as above.
    unsafe {
        types.current.enter(&looop, task.as_ptr())?;
        let result = entered(types, task, error);
        let left = types.current.leave(&looop, task.as_ptr());
        result.and(left)
    }
}

/// A wake-up by way of a callable.
pub(super) fn wakeup(task: &BoundTask<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
    let Some(types) = types(task.py()) else { return Ok(()) };
    let error = outcome(types, task, future, || ())?;
    step(task, error)
}

/// What a future's end means to a task that waited for it: nothing, or an exception to raise. Before
/// a method of the program's own is called, `leave` sees to it that no task is the current one.
#[inline]
fn outcome<'py>(
    types: &Types,
    task: &BoundTask<'py>,
    future: &Bound<'py, PyAny>,
    leave: impl FnOnce(),
) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = task.py();
    let layout = &types.layout;
    let raw = future.as_ptr();
    // SAFETY: futures of exactly these types have our layout; references of our own are taken.
    unsafe {
        if types.is_exact(raw) {
            awaited_by::discard(future, task)?;
            if fields::state(raw, layout.state) == FINISHED {
                layout.log_traceback.clear(raw);
                let exception = fields::get(raw, layout.exception);
                let Some(exception) = Bound::from_borrowed_ptr_or_opt(py, exception) else {
                    return Ok(None);
                };
                // As it was when it was set: it has been raised since, perhaps.
                let traceback = fields::take(raw, layout.exception_tb);
                let traceback = Bound::from_owned_ptr_or_opt(py, traceback)
                    .unwrap_or_else(|| py.None().into_bound(py));
                if ffi::PyException_SetTraceback(exception.as_ptr(), traceback.as_ptr()) < 0 {
                    return Err(PyErr::fetch(py));
                }
                return Ok(Some(exception));
            }
            if fields::state(raw, layout.state) == CANCELLED {
                let make = types.descriptors.make_cancelled_error.bind(py);
                let error = vectorcall(make, &[raw])?;
                // By way of the error indicator: what is being handled becomes its context.
                ffi::PyErr_SetObject(error.get_type().as_ptr(), error.as_ptr());
                return Ok(Some(PyErr::fetch(py).into_value(py).into_bound(py).into_any()));
            }
        } else if ffi::PyObject_TypeCheck(raw, types.c_future) != 0 {
            awaited_by::discard(future, task)?;
        }
    }
    leave();
    match future.call_method0(intern!(py, "result")) {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(error.into_value(py).into_bound(py).into_any())),
    }
}

/// The step itself: `task_step_impl`.
fn entered<'py>(
    types: &Types,
    task: &BoundTask<'py>,
    mut error: Option<Bound<'py, PyAny>>,
) -> PyResult<()> {
    let py = task.py();
    let layout = &types.layout;
    let raw = task.as_ptr();
    // SAFETY: a task by our layout. Of what is in it references are taken
    // before anything runs that might change it.
    unsafe {
        if fields::state(raw, layout.state) != PENDING {
            return Err(already_done(task, error.as_ref()));
        }
        if layout.must_cancel.is_set(raw) {
            let is_cancellation = match &error {
                Some(error) => error.is_instance(names::c_cancelled_error(py)?)?,
                None => false,
            };
            if !is_cancellation {
                let make = types.descriptors.make_cancelled_error.bind(py);
                error = Some(vectorcall(make, &[raw])?);
            }
            layout.must_cancel.clear(raw);
        }
        fields::clear(raw, layout.fut_waiter);
        let coro = Bound::from_borrowed_ptr_or_opt(py, fields::get(raw, layout.coro))
            .ok_or_else(|| PyRuntimeError::with_text("uninitialized Task object"))?;
        let stepped = match error {
            None => iter::send(&coro, Borrowed::from_ptr(py, ffi::Py_None()).as_any()),
            Some(error) => throw(coro, &error),
        };
        match stepped {
            Ok(Step::Yielded(yielded)) => wait_for(types, task, yielded),
            Ok(Step::Returned(value)) => {
                if layout.must_cancel.is_set(raw) {
                    // It was cancelled just before the coroutine ended.
                    layout.must_cancel.clear(raw);
                    let message = cancel_message(types, task)?;
                    vectorcall(types.descriptors.cancel.bind(py), &[raw, message.as_ptr()])?;
                    return registry::unregister(py, types, raw);
                }
                finish(types, task, value)
            }
            Err(error) if error.is_instance(py, names::c_cancelled_error(py)?) => {
                fields::clear(raw, layout.cancelled_exc);
                fields::put(raw, layout.cancelled_exc, error.into_value(py).into_ptr());
                vectorcall(types.descriptors.cancel.bind(py), &[raw])?;
                registry::unregister(py, types, raw)
            }
            Err(error) => {
                let is_fatal = error.is_instance_of::<PyKeyboardInterrupt>(py)
                    || error.is_instance_of::<PySystemExit>(py);
                let value = error.into_value(py).into_bound(py);
                vectorcall(types.descriptors.set_exception.bind(py), &[raw, value.as_ptr()])?;
                registry::unregister(py, types, raw)?;
                if is_fatal { Err(PyErr::from_value(value.into_any())) } else { Ok(()) }
            }
        }
    }
}

#[cold]
fn already_done(task: &BoundTask<'_>, error: Option<&Bound<'_, PyAny>>) -> PyErr {
    let py = task.py();
    let text = || -> PyResult<String> {
        let error = match error {
            Some(error) => error.repr()?,
            None => make::text(py, "None")?,
        };
        let name = if cfg!(Py_3_12) { "__step" } else { "_step" };
        Ok(format!("{name}(): already done: {} {error}", task.repr()?))
    };
    match (text(), names::invalid_state_error(py)) {
        (Ok(text), Ok(class)) => match make::text(py, text).and_then(|text| class.call1((text,))) {
            Ok(error) => raised(error),
            Err(error) => error,
        },
        (Err(error), _) | (_, Err(error)) => error,
    }
}

/// `coro.throw(error)`.
fn throw<'py>(coro: Bound<'py, PyAny>, error: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
    let py = coro.py();
    let coro = coro.unbind();
    let thrown = call_method1(py, &coro, intern!(py, "throw"), error);
    coro.drop_ref(py);
    match thrown {
        Ok(yielded) => Ok(Step::Yielded(yielded)),
        Err(stop) if stop.is_instance_of::<PyStopIteration>(py) => {
            Ok(Step::Returned(stop.value(py).getattr(intern!(py, "value"))?))
        }
        Err(error) => Err(error),
    }
}

/// The task's result is there.
fn finish(types: &Types, task: &BoundTask<'_>, value: Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    let raw = task.as_ptr();
    let layout = &types.layout;
    // SAFETY: a task by our layout, whose coroutine has ended.
    unsafe {
        if fields::state(raw, layout.state) != PENDING {
            // Somebody has called `Future.cancel(task)`: asyncio's method says what is wrong.
            let set_result = types.descriptors.set_result.bind(py);
            return vectorcall(set_result, &[raw, value.as_ptr()]).map(drop);
        }
        fields::put(raw, layout.result, value.into_ptr());
        fields::set_state(raw, layout.state, FINISHED);
        registry::unregister(py, types, raw)?;
        schedule_callbacks(py, types, raw)
    }
}

/// What the coroutine has yielded: `task_step_handle_result_impl`.
fn wait_for<'py>(types: &Types, task: &BoundTask<'py>, yielded: Bound<'py, PyAny>) -> PyResult<()> {
    let py = task.py();
    let layout = &types.layout;
    let raw = task.as_ptr();
    let future = yielded.as_ptr();
    if yielded.is_none() {
        // A bare yield.
        return schedule(task, types, None);
    }
    if yielded.is(&**task) {
        return raise_soon(types, task, format!("Task cannot await on itself: {}", task.repr()?));
    }
    // SAFETY: futures of exactly these types, of which the task is, have the same layout.
    unsafe {
        if types.is_exact(future) {
            if fields::get(future, layout.looop) != fields::get(raw, layout.looop) {
                return raise_soon(types, task, other_loop(task, &yielded)?);
            }
            if !layout.blocking.is_set(future) {
                return raise_soon(types, task, bare_yield(task, &yielded)?);
            }
            awaited_by::add(&yielded, task)?;
            layout.blocking.clear(future);
            let wakeup = callback::new_wakeup(types, task)?;
            if fields::state(future, layout.state) == PENDING
                && fields::get(future, layout.callback0).is_null()
                && fields::get(future, layout.callbacks).is_null()
            {
                let context = fields::get(raw, layout.context);
                fields::put(future, layout.callback0, wakeup.into_ptr());
                fields::put(future, layout.context0, ffi::Py_NewRef(context));
            } else {
                let add = types.descriptors.add_done_callback.bind(py);
                let context = context_of(types, task);
                let values = [future, wakeup.as_ptr(), context.as_ptr()];
                with_context(py, add, &values)?;
            }
            return waits(types, task, yielded);
        }
    }
    wait_for_other(types, task, yielded)
}

/// Anything but a future of asyncio's own types or of ours: by its methods.
fn wait_for_other<'py>(
    types: &Types,
    task: &BoundTask<'py>,
    yielded: Bound<'py, PyAny>,
) -> PyResult<()> {
    let py = task.py();
    let name = intern!(py, "_asyncio_future_blocking");
    if let Some(blocking) = yielded.getattr_opt(name)?
        && !blocking.is_none()
    {
        let is_blocking = blocking.is_truthy()?;
        let looop = match yielded.getattr_opt(intern!(py, "get_loop"))? {
            Some(method) => method.call0()?,
            None => yielded.getattr(intern!(py, "_loop"))?,
        };
        if !looop.is(&loop_of(types, task)?) {
            return raise_soon(types, task, other_loop(task, &yielded)?);
        }
        if !is_blocking {
            return raise_soon(types, task, bare_yield(task, &yielded)?);
        }
        // SAFETY: looks at the type; a vector of live objects.
        unsafe {
            if ffi::PyObject_TypeCheck(yielded.as_ptr(), types.c_future) != 0 {
                awaited_by::add(&yielded, task)?;
            }
            yielded.setattr(name, false)?;
            let wakeup = callback::new_wakeup(types, task)?;
            let add = yielded.getattr(intern!(py, "add_done_callback"))?;
            let context = context_of(types, task);
            with_context(py, &add, &[wakeup.as_ptr(), context.as_ptr()])?;
            return waits(types, task, yielded);
        }
    }
    // SAFETY: only looks at the type.
    let is_generator = unsafe { ffi::PyGen_Check(yielded.as_ptr()) != 0 };
    let text = if is_generator {
        format!(
            "yield was used instead of yield from for generator in task {} with {}",
            task.repr()?,
            yielded.repr()?
        )
    } else {
        format!("Task got bad yield: {}", yielded.repr()?)
    };
    raise_soon(types, task, text)
}

/// Calls with the last value as `context=`.
///
/// # Safety
/// The values are live objects, one at least.
unsafe fn with_context(
    py: Python<'_>,
    callable: &Bound<'_, PyAny>,
    values: &[*mut ffi::PyObject],
) -> PyResult<()> {
    static NAMES: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();
    let names = NAMES
        .get_or_try_init(py, || make::tuple(py, [intern!(py, "context")]).map(Bound::unbind))?;
    // SAFETY: passed on; attached.
    unsafe {
        let result = ffi::PyObject_Vectorcall(
            callable.as_ptr(),
            values.as_ptr(),
            values.len() - 1,
            names.as_ptr(),
        );
        Bound::from_owned_ptr_or_err(py, result).map(drop)
    }
}

/// The task waits for this future from now on. One that was cancelled in its own step cancels it.
fn waits(types: &Types, task: &BoundTask<'_>, future: Bound<'_, PyAny>) -> PyResult<()> {
    let py = task.py();
    let layout = &types.layout;
    let raw = task.as_ptr();
    // SAFETY: a task by our layout.
    unsafe {
        fields::clear(raw, layout.fut_waiter);
        if !layout.must_cancel.is_set(raw) {
            fields::put(raw, layout.fut_waiter, future.into_ptr());
            return Ok(());
        }
        fields::put(raw, layout.fut_waiter, future.clone().into_ptr());
        let message = cancel_message(types, task)?;
        if future.call_method1(intern!(py, "cancel"), (message,))?.is_truthy()? {
            layout.must_cancel.clear(raw);
        }
        Ok(())
    }
}

/// What the task was cancelled with.
fn cancel_message<'py>(types: &Types, task: &BoundTask<'py>) -> PyResult<Bound<'py, PyAny>> {
    types.descriptors.cancel_message.bind(task.py()).call1((&**task,))
}

/// Puts a step on the queue of the task's loop, which raises the error, if there is one.
#[inline]
pub(super) fn schedule(
    task: &BoundTask<'_>,
    types: &Types,
    error: Option<Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = task.py();
    let looop = loop_of(types, task)?;
    if let Some(ours) = queue::direct_loop(&looop) {
        let task = task.clone().unbind();
        ours.get().push(py, Item::Step { task, error: error.map(Bound::unbind) });
        return Ok(());
    }
    let step = callback::new_step(types, task, error.as_ref())?;
    queue::call_soon(&looop, &step, None, &context_of(types, task))
}

/// `task_set_error_soon`, with a RuntimeError.
#[cold]
fn raise_soon(types: &Types, task: &BoundTask<'_>, text: String) -> PyResult<()> {
    let py = task.py();
    let error = PyRuntimeError::with_text(text).into_value(py).into_bound(py);
    schedule(task, types, Some(error.into_any()))
}

#[cold]
fn other_loop(task: &BoundTask<'_>, future: &Bound<'_, PyAny>) -> PyResult<String> {
    let (task, future) = (task.repr()?, future.repr()?);
    Ok(format!("Task {task} got Future {future} attached to a different loop"))
}

#[cold]
fn bare_yield(task: &BoundTask<'_>, future: &Bound<'_, PyAny>) -> PyResult<String> {
    let (task, future) = (task.repr()?, future.repr()?);
    Ok(format!("yield was used instead of yield from in task {task} with {future}"))
}
