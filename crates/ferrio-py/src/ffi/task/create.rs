//! A new task: what `_asyncio.Task.__init__` does, for a coroutine on a loop of ours outside of
//! debug mode (bench: create_task_await).

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;

use super::own::BoundTask;
use super::{registry, step};
use crate::ffi::future::{Types, fields};

/// Tasks that nobody has named. Counted apart from asyncio's, whose number cannot be had.
static UNNAMED: AtomicU64 = AtomicU64::new(0);

/// Makes the task, schedules its first step and has `all_tasks` know it.
pub(crate) fn new_task<'py>(
    types: &Types,
    looop: &Bound<'py, PyAny>,
    coro: &Bound<'py, PyAny>,
    name: Option<Bound<'py, PyAny>>,
    context: Option<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = looop.py();
    let layout = &types.layout;
    let task = BoundTask::new(py, types)?;
    let raw = task.as_ptr();
    // SAFETY: attached; a new instance whose fields are all zero; each is given a reference of its
    // own. Without its flags it is silent when something fails on the way.
    unsafe {
        fields::put(raw, layout.looop, looop.clone().into_ptr());
        fields::put(raw, layout.coro, coro.clone().into_ptr());
        let context = match context {
            Some(context) => context.into_ptr(),
            None => owned(py, ffi::PyContext_CopyCurrent())?,
        };
        fields::put(raw, layout.context, context);
        let name = match name {
            Some(name) if ffi::PyUnicode_CheckExact(name.as_ptr()) != 0 => name.into_ptr(),
            Some(name) => owned(py, ffi::PyObject_Str(name.as_ptr()))?,
            None => {
                let number = UNNAMED.fetch_add(1, Ordering::Relaxed) + 1;
                if layout.names_are_numbers {
                    owned(py, ffi::PyLong_FromUnsignedLongLong(number))?
                } else {
                    owned(py, ffi::PyUnicode_FromFormat(c"Task-%llu".as_ptr(), number))?
                }
            }
        };
        fields::put(raw, layout.name, name);
        let (offset, flags) = layout.flags;
        *raw.byte_add(offset).cast::<usize>() = flags;
        step::schedule(&task, types, None)?;
        registry::register(py, types, raw)?;
        Ok(task.into_object())
    }
}

/// # Safety
/// Attached; an owned reference, or NULL with an error set.
unsafe fn owned(py: Python<'_>, object: *mut ffi::PyObject) -> PyResult<*mut ffi::PyObject> {
    if object.is_null() { Err(PyErr::fetch(py)) } else { Ok(object) }
}
