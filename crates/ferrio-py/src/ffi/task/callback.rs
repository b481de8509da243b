//! A task's step and wake-up as callables, for whoever wants to see one: a future's list of
//! callbacks, the handle of a loop in debug mode, a loop that is not ours.
//!
//! asyncio has an object for the step and a builtin for the wake-up. The latter it makes for every
//! await; ours is taken from a list of those freed lately.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;

use crate::ffi::free_list::FreeList;
use crate::ffi::future::{Types, fields, types};

use super::own::{BoundTask, OwnTask};
use super::step;
use crate::error::{self, WithText};
use crate::ffi::heap_type::{self, getter, slot};
use crate::ffi::trash;

#[repr(C)]
struct Callback {
    header: ffi::PyObject,
    task: *mut ffi::PyObject,
    /// What a step is to raise in the coroutine; NULL otherwise, and for a wake-up.
    error: *mut ffi::PyObject,
}

/// Wake-ups that were freed lately.
static FREE: FreeList = FreeList::new();

/// The two classes. The first has the name of asyncio's.
pub(crate) fn new_types(
    py: Python<'_>,
) -> PyResult<(*mut ffi::PyTypeObject, *mut ffi::PyTypeObject)> {
    let make = |name, getters, repr: Option<ffi::reprfunc>| {
        let mut slots = vec![
            slot(ffi::Py_tp_dealloc, dealloc as *mut c_void),
            slot(ffi::Py_tp_traverse, traverse as *mut c_void),
            slot(ffi::Py_tp_clear, clear as *mut c_void),
            slot(ffi::Py_tp_call, call as *mut c_void),
            heap_type::getters(getters),
        ];
        slots.extend(repr.map(|repr| slot(ffi::Py_tp_repr, repr as *mut c_void)));
        // SAFETY: functions of the slots' types, for a Callback.
        unsafe { heap_type::new_type::<Callback>(py, name, 0, slots) }
    };
    let step = make(c"ferrio.TaskStepMethWrapper", vec![getter(c"__self__", get_self)], None)?;
    let wakeup = make(
        c"ferrio.TaskWakeup",
        vec![
            getter(c"__self__", get_self),
            getter(c"__name__", get_name),
            getter(c"__qualname__", get_qualname),
        ],
        Some(repr),
    )?;
    Ok((step, wakeup))
}

/// The callable that steps the task, or raises the error in it.
pub(super) fn new_step<'py>(
    types: &Types,
    task: &BoundTask<'py>,
    error: Option<&Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = task.py();
    let error = error.map_or(ptr::null_mut(), |error| error.clone().into_ptr());
    // SAFETY: attached; both fields are written before the collector sees the object.
    unsafe {
        let object = crate::ffi::class::new_untracked(types.step);
        if object.is_null() {
            ffi::Py_XDECREF(error);
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr(py, filled(object, task, error)))
    }
}

/// The callable that wakes the task, with the future that it waited for as its argument.
#[inline]
pub(super) fn new_wakeup<'py>(types: &Types, task: &BoundTask<'py>) -> PyResult<Bound<'py, PyAny>> {
    let py = task.py();
    // SAFETY: as in `new_step`.
    unsafe {
        let object = FREE.new_instance(py, types.wakeup);
        if object.is_null() {
            return Err(PyErr::fetch(py));
        }
        Ok(Bound::from_owned_ptr(py, filled(object, task, ptr::null_mut())))
    }
}

/// # Safety
/// A new, untracked instance of one of the two classes; `error` is taken over.
unsafe fn filled(
    object: *mut ffi::PyObject,
    task: &BoundTask<'_>,
    error: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe {
        let callback = object.cast::<Callback>();
        (*callback).task = task.clone().into_object().into_ptr();
        (*callback).error = error;
        ffi::PyObject_GC_Track(object.cast());
        object
    }
}

/// The task behind a wake-up that is to run in the task's own context; the references to callback
/// and context are dropped. Anything else is handed back.
///
/// # Safety
/// Attached; owned references.
#[inline]
pub(crate) unsafe fn into_task(
    py: Python<'_>,
    types: &Types,
    callback: *mut ffi::PyObject,
    context: *mut ffi::PyObject,
) -> Result<OwnTask, (*mut ffi::PyObject, *mut ffi::PyObject)> {
    // SAFETY: passed on; dropping the callback or a context that the task has too runs no code.
    unsafe {
        if ffi::Py_TYPE(callback) != types.wakeup {
            return Err((callback, context));
        }
        let task = (*callback.cast::<Callback>()).task;
        if task.is_null() || fields::get(task, types.layout.context) != context {
            return Err((callback, context));
        }
        let Some(task) = BoundTask::of(types, Bound::from_borrowed_ptr(py, task)) else {
            return Err((callback, context));
        };
        ffi::Py_DECREF(callback);
        ffi::Py_DECREF(context);
        Ok(task.unbind())
    }
}

/// What `call_soon(callback, [argument], context=context)` means, if it is for a task of ours.
pub(crate) enum Scheduled {
    Step { task: OwnTask, error: Option<Py<PyAny>> },
    Wakeup { task: OwnTask, future: Py<PyAny> },
}

/// See [`Scheduled`]; None for every other callable, and for a task's in another context.
pub(crate) fn scheduled(
    callback: &Bound<'_, PyAny>,
    argument: Option<&Bound<'_, PyAny>>,
    context: &Bound<'_, PyAny>,
) -> Option<Scheduled> {
    let py = callback.py();
    let types = types(py)?;
    let ty = callback.get_type_ptr();
    if ty != types.step && ty != types.wakeup {
        return None;
    }
    // SAFETY: an instance of one of the two classes, whose fields are NULL or alive.
    unsafe {
        let Callback { task, error, .. } = &*callback.as_ptr().cast::<Callback>();
        if task.is_null() || fields::get(*task, types.layout.context) != context.as_ptr() {
            return None;
        }
        let task = BoundTask::of(types, Bound::from_borrowed_ptr(py, *task))?.unbind();
        match argument {
            None if ty == types.step => {
                let error = Bound::from_borrowed_ptr_or_opt(py, *error).map(Bound::unbind);
                Some(Scheduled::Step { task, error })
            }
            Some(future) if ty == types.wakeup => {
                Some(Scheduled::Wakeup { task, future: future.clone().unbind() })
            }
            None | Some(_) => None,
        }
    }
}

unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference.
    unsafe {
        ffi::PyObject_GC_UnTrack(slf.cast());
        clear(slf);
        let py = Python::assume_attached();
        match types(py) {
            Some(types) if types.wakeup == ffi::Py_TYPE(slf) => FREE.free(py, slf),
            Some(_) | None => crate::ffi::class::free(slf),
        }
    }
}

unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called attached by the collector; only reads.
    unsafe {
        let Callback { task, error, .. } = &*slf.cast::<Callback>();
        for object in [ffi::Py_TYPE(slf).cast(), *task, *error] {
            if !object.is_null() {
                let answer = visit(object, arg);
                if answer != 0 {
                    return answer;
                }
            }
        }
    }
    0
}

unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached on a live object; the fields are empty when destructors run.
    unsafe {
        let callback = slf.cast::<Callback>();
        let task = std::mem::replace(&mut (*callback).task, ptr::null_mut());
        let error = std::mem::replace(&mut (*callback).error, ptr::null_mut());
        ffi::Py_XDECREF(task);
        ffi::Py_XDECREF(error);
    }
    0
}

unsafe extern "C" fn call(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    let called = |py: Python<'_>| {
        // SAFETY: called attached, with a tuple and a dictionary or NULL.
        unsafe {
            let slf = Borrowed::from_ptr(py, slf);
            let args = Borrowed::from_ptr(py, args);
            let kwargs = Borrowed::from_ptr_or_opt(py, kwargs);
            called(&slf, &args, kwargs.as_deref())
        }
    };
    // By way of PyO3, which stops panics and is told that the thread is attached.
    let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        Python::try_attach(called).unwrap_or_else(|| {
            Err(pyo3::exceptions::PyRuntimeError::with_text("the interpreter is shutting down"))
        })
    }));
    // SAFETY: attached, see above.
    unsafe {
        match outcome {
            Ok(Ok(())) => return ffi::Py_NewRef(ffi::Py_None()),
            Ok(Err(error)) => error.restore(Python::assume_attached()),
            Err(panic) => {
                error::of_panic(&*panic, "a task's step failed").restore(Python::assume_attached());
            }
        }
    }
    ptr::null_mut()
}

fn called(
    slf: &Bound<'_, PyAny>,
    args: &Bound<'_, PyAny>,
    kwargs: Option<&Bound<'_, PyAny>>,
) -> PyResult<()> {
    let py = slf.py();
    let Some(types) = types(py) else { return Ok(()) };
    let is_step = slf.get_type_ptr() == types.step;
    let count = args.len()?;
    if let Some(kwargs) = kwargs
        && kwargs.len()? != 0
    {
        return Err(PyTypeError::with_text("function takes no keyword arguments"));
    }
    if is_step && count != 0 {
        return Err(PyTypeError::with_text("function takes no positional arguments"));
    }
    if !is_step && count != 1 {
        return Err(PyTypeError::with_text(format!(
            "Task.task_wakeup() takes exactly one argument ({count} given)"
        )));
    }
    // SAFETY: an instance of one of the two classes; references of our own are taken.
    let (task, error) = unsafe {
        let Callback { task, error, .. } = &*slf.as_ptr().cast::<Callback>();
        let task = Bound::from_borrowed_ptr_or_opt(py, *task);
        (task, Bound::from_borrowed_ptr_or_opt(py, *error))
    };
    // Without one, the collector has taken the callable apart.
    let Some(task) = task.and_then(|task| BoundTask::of(types, task)) else {
        return Err(pyo3::exceptions::PyRuntimeError::with_text("uninitialized Task object"));
    };
    if is_step { step::step(&task, error) } else { step::wakeup(&task, &args.get_item(0)?) }
}

unsafe extern "C" fn get_self(
    slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an instance.
    unsafe {
        let task = (*slf.cast::<Callback>()).task;
        ffi::Py_NewRef(if task.is_null() { ffi::Py_None() } else { task })
    }
}

unsafe extern "C" fn get_name(
    _slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: called attached.
    unsafe { ffi::PyUnicode_InternFromString(c"task_wakeup".as_ptr()) }
}

unsafe extern "C" fn get_qualname(
    slf: *mut ffi::PyObject,
    _closure: *mut c_void,
) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an instance; a class's name is a string.
    unsafe {
        let task = (*slf.cast::<Callback>()).task;
        let shown = if task.is_null() { slf } else { task };
        let class = ffi::PyType_GetQualName(ffi::Py_TYPE(shown));
        if class.is_null() {
            return class;
        }
        let name = ffi::PyUnicode_FromFormat(c"%U.task_wakeup".as_ptr(), class);
        ffi::Py_DECREF(class);
        name
    }
}

unsafe extern "C" fn repr(slf: *mut ffi::PyObject) -> *mut ffi::PyObject {
    // SAFETY: called attached, on an instance; the text of a builtin method's repr.
    unsafe {
        let task = (*slf.cast::<Callback>()).task;
        let shown = if task.is_null() { slf } else { task };
        ffi::PyUnicode_FromFormat(
            c"<built-in method task_wakeup of %s object at %p>".as_ptr(),
            (*ffi::Py_TYPE(shown)).tp_name,
            shown,
        )
    }
}
