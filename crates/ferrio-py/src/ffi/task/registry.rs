//! How `asyncio.all_tasks()` knows of our tasks.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyModule;

use super::super::call::vectorcall;
use crate::ffi::future::{Types, fields};
use crate::ffi::interned::intern;

/// Where tasks are noted.
pub(crate) enum Registry {
    /// Up to 3.13 a `WeakSet`. Its own methods cost as much as all the rest of a task's making, so
    /// what they do is done here: references that remove themselves, in the set that it keeps.
    WeakSet { data: Py<PyAny>, remove: Py<PyAny> },
    /// A linked list through the tasks themselves.
    List { register: Py<PyAny>, unregister: Py<PyAny> },
}

impl Registry {
    pub(crate) fn new(module: &Bound<'_, PyModule>) -> PyResult<Registry> {
        let py = module.py();
        if cfg!(Py_3_14) {
            return Ok(Registry::List {
                register: module.getattr("_register_task")?.unbind(),
                unregister: module.getattr("_unregister_task")?.unbind(),
            });
        }
        let set = match module.getattr_opt(intern!(py, "_scheduled_tasks"))? {
            Some(set) => set,
            None => module.getattr("_all_tasks")?,
        };
        let data = set.getattr("data")?.cast_into::<pyo3::types::PySet>()?;
        Ok(Registry::WeakSet {
            data: data.into_any().unbind(),
            remove: set.getattr("_remove")?.unbind(),
        })
    }
}

/// The task is alive from now on.
///
/// # Safety
/// Attached; a whole task of ours that is alive and was not registered yet.
pub(super) unsafe fn register(
    py: Python<'_>,
    types: &Types,
    task: *mut ffi::PyObject,
) -> PyResult<()> {
    // SAFETY: passed on; the field behind the base's is ours and empty.
    unsafe {
        match &types.registry {
            Registry::WeakSet { data, remove } => {
                let weak = ffi::PyWeakref_NewRef(task, remove.as_ptr());
                let weak = Bound::from_owned_ptr_or_err(py, weak)?;
                if ffi::PySet_Add(data.as_ptr(), weak.as_ptr()) < 0 {
                    return Err(PyErr::fetch(py));
                }
                fields::put(task, types.c_task_size, weak.into_ptr());
                Ok(())
            }
            Registry::List { register, .. } => vectorcall(register.bind(py), &[task]).map(drop),
        }
    }
}

/// The task is done. Where a `WeakSet` has it, asyncio would wait until it is collected, and
/// `all_tasks` leaves out those that are done.
///
/// # Safety
/// Attached; a task of ours that is alive.
pub(super) unsafe fn unregister(
    py: Python<'_>,
    types: &Types,
    task: *mut ffi::PyObject,
) -> PyResult<()> {
    // SAFETY: passed on.
    unsafe {
        match &types.registry {
            Registry::WeakSet { data, .. } => {
                let weak = fields::take(task, types.c_task_size);
                let Some(weak) = Bound::from_owned_ptr_or_opt(py, weak) else { return Ok(()) };
                if ffi::PySet_Discard(data.as_ptr(), weak.as_ptr()) < 0 {
                    return Err(PyErr::fetch(py));
                }
                Ok(())
            }
            Registry::List { unregister, .. } => vectorcall(unregister.bind(py), &[task]).map(drop),
        }
    }
}
