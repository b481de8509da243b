//! Which task runs: what `asyncio.current_task()` answers.
//!
//! asyncio's tasks enter before each step and leave after it. From step to step of a loop's turn
//! ours are exchanged, and the last one leaves before anything else runs
//! ([`Loop::leave_task`]): nothing that could ask is run in between. The first one enters by
//! asyncio's own function, which knows what may be wrong.

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyModule};

use super::super::call::vectorcall;
use crate::event_loop::Loop;
use crate::ffi::future::Types;
use crate::ffi::interned::intern;

/// asyncio's functions, and where it keeps the answer.
pub(crate) struct Current {
    enter: Py<PyAny>,
    leave: Py<PyAny>,
    place: Place,
}

enum Place {
    /// Up to 3.13: a dictionary from loops to tasks.
    Dict(Py<PyDict>),
    /// The thread's state, reached by `_swap_current_task`.
    Thread(Py<PyAny>),
}

impl Current {
    pub(crate) fn new(module: &Bound<'_, PyModule>) -> PyResult<Current> {
        let py = module.py();
        let place = match module.getattr_opt(intern!(py, "_current_tasks"))? {
            Some(dict) => Place::Dict(dict.cast_into::<PyDict>()?.unbind()),
            None => Place::Thread(module.getattr("_swap_current_task")?.unbind()),
        };
        Ok(Current {
            enter: module.getattr("_enter_task")?.unbind(),
            leave: module.getattr("_leave_task")?.unbind(),
            place,
        })
    }

    /// Makes the task the current one of the loop, for a step from its ready queue (bench:
    /// sleep0_100_tasks).
    ///
    /// # Safety
    /// The task is alive.
    #[inline]
    pub(super) unsafe fn exchange(
        &self,
        this: &Loop,
        looop: &Bound<'_, PyAny>,
        task: *mut ffi::PyObject,
    ) -> PyResult<()> {
        // SAFETY: passed on.
        unsafe {
            if !this.has_current_task() {
                self.enter(looop, task)?;
                this.set_has_current_task(true);
                return Ok(());
            }
            self.replace(looop, task)
        }
    }

    /// # Safety
    /// The task is alive, or None.
    #[inline]
    unsafe fn replace(&self, looop: &Bound<'_, PyAny>, task: *mut ffi::PyObject) -> PyResult<()> {
        let py = looop.py();
        // SAFETY: passed on; attached.
        unsafe {
            match &self.place {
                Place::Dict(dict) => {
                    if ffi::PyDict_SetItem(dict.as_ptr(), looop.as_ptr(), task) < 0 {
                        return Err(PyErr::fetch(py));
                    }
                    Ok(())
                }
                Place::Thread(swap) => vectorcall(swap.bind(py), &[looop.as_ptr(), task]).map(drop),
            }
        }
    }

    /// Nothing is current any more.
    fn vacate(&self, looop: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = looop.py();
        match &self.place {
            Place::Dict(dict) => {
                // The program may have left for itself.
                if dict.bind(py).contains(looop)? { dict.bind(py).del_item(looop) } else { Ok(()) }
            }
            // SAFETY: None is alive.
            Place::Thread(_) => unsafe { self.replace(looop, ffi::Py_None()) },
        }
    }

    /// `_enter_task`.
    ///
    /// # Safety
    /// The task is alive.
    pub(super) unsafe fn enter(
        &self,
        looop: &Bound<'_, PyAny>,
        task: *mut ffi::PyObject,
    ) -> PyResult<()> {
        // SAFETY: passed on.
        unsafe { vectorcall(self.enter.bind(looop.py()), &[looop.as_ptr(), task]) }.map(drop)
    }

    /// `_leave_task`.
    ///
    /// # Safety
    /// The task is alive.
    pub(super) unsafe fn leave(
        &self,
        looop: &Bound<'_, PyAny>,
        task: *mut ffi::PyObject,
    ) -> PyResult<()> {
        // SAFETY: passed on.
        unsafe { vectorcall(self.leave.bind(looop.py()), &[looop.as_ptr(), task]) }.map(drop)
    }
}

/// The last task that ran from the loop's queue leaves.
///
/// # Errors
/// What asyncio's function says where the program has made another loop the running one.
pub(crate) fn vacate(types: &Types, looop: &Bound<'_, PyAny>) -> PyResult<()> {
    types.current.vacate(looop)
}
