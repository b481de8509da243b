//! `run_in_executor` (Lib/asyncio/base_events.py): from a future of `concurrent.futures`, done in a
//! thread, to one of asyncio's.
//!
//! asyncio joins the two by closures and `call_soon_threadsafe` (`futures._chain_future`), which
//! takes longer than starting the call. Here the result of a call that succeeded comes back as an
//! item of the loop's; everything else, and debug mode, is asyncio's own code.

use std::ffi::c_int;

use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;

use super::Loop;
use crate::ffi::call::{call_method1, python_of};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::item::{Item, Native};
use crate::names;

#[pymethods]
impl Loop {
    /// Calls func(*args) in a thread of an executor, None for the default one, and returns a future
    /// for the result.
    #[pyo3(signature = (executor, func, *args))]
    fn run_in_executor<'py>(
        slf: &Bound<'py, Self>,
        executor: &Bound<'py, PyAny>,
        func: &Bound<'py, PyAny>,
        args: &Bound<'py, PyTuple>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let this = slf.get();
        this.check_closed()?;
        let known =
            if executor.is_none() { default_executor(slf)? } else { Some(executor.clone()) };
        let arguments = |first: &[&Bound<'py, PyAny>]| {
            let all: Vec<_> = first.iter().copied().cloned().chain(args.iter()).collect();
            make::tuple(py, all)
        };
        let Some(known) = known.filter(|_| !this.is_debug()) else {
            return names::base_event_loop(py)?
                .getattr(intern!(py, "run_in_executor"))?
                .call1(arguments(&[slf.as_any(), executor, func])?);
        };
        let source = known.call_method1(intern!(py, "submit"), arguments(&[func])?)?;
        // What asyncio would call, in this order.
        let is_ours = names::places::wrap_future(py)?.is_original(py)?
            && names::places::chain_future(py)?.is_original(py)?;
        if !is_ours || !source.get_type().is(names::concurrent_future(py)?) {
            let options = make::dict(py)?;
            options.set_item(intern!(py, "loop"), slf)?;
            return names::wrap_future(py)?.call((source,), Some(&options));
        }
        let destination = Loop::create_future(slf)?;
        let back = Cancel { source: GilCell::new(Some(source.clone().unbind())) };
        destination.call_method1(intern!(py, "add_done_callback"), (back,))?;
        let there = Return {
            looop: slf.clone().unbind(),
            destination: GilCell::new(Some(destination.clone().unbind())),
        };
        source.call_method1(intern!(py, "add_done_callback"), (there,))?;
        Ok(destination)
    }
}

/// The default executor, if there is one and it may be used; asyncio's function makes it and refuses
/// it.
fn default_executor<'py>(looop: &Bound<'py, Loop>) -> PyResult<Option<Bound<'py, PyAny>>> {
    let py = looop.py();
    let executor = looop.getattr(intern!(py, "_default_executor"))?;
    let is_shut = looop.getattr(intern!(py, "_executor_shutdown_called"))?.is_truthy()?;
    Ok((!executor.is_none() && !is_shut).then_some(executor))
}

/// Called when asyncio's future is done: if it was cancelled, so is the call.
#[pyclass(module = "ferrio._ferrio", frozen)]
struct Cancel {
    source: GilCell<Option<Py<PyAny>>>,
}

#[pymethods]
impl Cancel {
    fn __call__(&self, destination: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = destination.py();
        let Some(source) = self.source.with(py, Option::take) else { return Ok(()) };
        if destination.call_method0(intern!(py, "cancelled"))?.is_truthy()? {
            source.call_method0(py, intern!(py, "cancel"))?;
        }
        Ok(())
    }

    /// How a future shows it: as the function that it stands for.
    #[getter]
    fn __qualname__(&self) -> &'static str {
        "_chain_future.<locals>._call_check_cancel"
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.source.try_with(python_of(&visit), |source| visit.call(&*source)).unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.source.with(py, Option::take));
    }
}

/// Called when the call is done: in the executor's thread, or, if it is cancelled or was done at once,
/// in the loop's.
#[pyclass(module = "ferrio._ferrio", frozen)]
struct Return {
    looop: Py<Loop>,
    destination: GilCell<Option<Py<PyAny>>>,
}

#[pymethods]
impl Return {
    fn __call__(&self, source: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = source.py();
        let Some(destination) = self.destination.with(py, Option::take) else { return Ok(()) };
        let looop = self.looop.bind(py);
        let this = looop.get();
        if cfg!(Py_3_14) && names::running_loop(py)?.call0()?.is(looop) && !this.selector.is_there()
        {
            // In the loop's own thread: its future is done now. Not where greenlets share the thread:
            // the loop may be waiting meanwhile, and nobody would wake it.
            return names::places::copy_future_state(py)?
                .current(py)?
                .call1((source, destination))
                .map(drop);
        }
        if this.is_closed() {
            return Ok(());
        }
        // The private names are those of all versions, and what `done()` and the others read.
        let is_success = source.getattr(intern!(py, "_state"))?.eq(intern!(py, "FINISHED"))?
            && source.getattr(intern!(py, "_exception"))?.is_none();
        let place = names::places::copy_future_state(py)?;
        let copy = place.current(py)?;
        if !is_success || !copy.is(place.original(py)) {
            let arguments = (copy, source, destination);
            return looop.call_method1(intern!(py, "call_soon_threadsafe"), arguments).map(drop);
        }
        let result = source.getattr(intern!(py, "_result"))?.unbind();
        this.push(py, Item::Native(Box::new(Answer { destination, result })));
        this.inbox().wake();
        Ok(())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.looop)?;
        self.destination
            .try_with(python_of(&visit), |destination| visit.call(&*destination))
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        drop(self.destination.with(py, Option::take));
    }
}

/// An answer on its way to the future that waits for it.
struct Answer {
    destination: Py<PyAny>,
    result: Py<PyAny>,
}

impl Native for Answer {
    fn run(self: Box<Self>, py: Python<'_>, _looop: &Bound<'_, Loop>) -> PyResult<()> {
        let destination = self.destination.bind(py);
        if destination.call_method0(intern!(py, "done"))?.is_truthy()? {
            return Ok(());
        }
        let result = self.result.bind(py);
        call_method1(py, &self.destination, intern!(py, "set_result"), result).map(drop)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        match visit(self.destination.as_ptr()) {
            0 => visit(self.result.as_ptr()),
            answer => answer,
        }
    }
}
