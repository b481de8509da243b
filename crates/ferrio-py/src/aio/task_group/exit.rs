//! `TaskGroup.__aexit__`: waits for all tasks, and raises what they have raised.

use std::ffi::{CStr, c_int};

use pyo3::exceptions::PyGeneratorExit;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::{Errors, TaskGroup, is_base_error};
use crate::aio::entering::exception;
use crate::aio::versions::{GroupVersions, Versions};
use crate::aio::waiter::Waiter;
use crate::event_loop::tasks::create_future;
use crate::ffi::coroutine::{Body, CoroutineMethod, Resume, method};
use crate::ffi::fastcall::Arguments;
use crate::ffi::future::state::{self, raised};
use crate::ffi::interned::intern;
use crate::ffi::iter::Step;
use crate::ffi::raise::while_handling;
use crate::ffi::signature::Signature;
use crate::names;

/// `TaskGroup.__aexit__(et, exc, tb)`.
pub(super) struct Exit {
    group: Py<TaskGroup>,
    /// What the body of the `async with` has raised.
    error: Option<Py<PyAny>>,
    /// The cancellation that is to leave the group.
    propagated: Option<Py<PyAny>>,
    /// The last cancellation that came while it waited.
    pending: Option<Py<PyAny>>,
    waiter: Option<Box<Waiter>>,
    has_begun: bool,
}

impl CoroutineMethod for Exit {
    type Class = TaskGroup;
    type Body = Exit;
    const NAME: &'static CStr = c"__aexit__";
    const DOC: &'static CStr = c"__aexit__($self, et, exc, tb)\n--\n\n\
        Waits for all tasks, and raises what they have raised.";

    fn call<'py>(slf: &Bound<'py, TaskGroup>, arguments: &Arguments<'_, 'py>) -> PyResult<Exit> {
        const SIGNATURE: Signature<3> = Signature {
            function: "TaskGroup.__aexit__",
            names: ["et", "exc", "tb"],
            positional: 3,
            required: 3,
            is_method: true,
        };
        let [class, error, _] = SIGNATURE.bind(arguments)?;
        Ok(Exit { error: exception(class, error)?.map(Bound::unbind), ..Exit::new(slf) })
    }

    const PLAIN: Option<method::Plain<TaskGroup, Exit>> =
        Some(method::Plain::without_error(|slf| Some(Exit::new(slf))));
}

impl Exit {
    /// Leaving it without an exception.
    fn new(group: &Bound<'_, TaskGroup>) -> Exit {
        Exit {
            group: group.clone().unbind(),
            error: None,
            propagated: None,
            pending: None,
            waiter: None,
            has_begun: false,
        }
    }
}

impl Body for Exit {
    fn qualname(&self) -> &'static str {
        "TaskGroup.__aexit__"
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        let stepped = self.step(py, with);
        if !matches!(stepped, Ok(Step::Yielded(_))) {
            self.forget(py)?;
        }
        stepped
    }

    fn inner(&self, py: Python<'_>) -> &'static [&'static str] {
        match Versions::get(py).is_ok_and(|versions| versions.group.forgets) {
            true => &["TaskGroup._aexit"],
            false => &[],
        }
    }

    fn traverse(
        &self,
        _py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = self.waiter.as_ref().map_or(0, |waiter| waiter.traverse(visit));
        if answer != 0 {
            return answer;
        }
        let others = [&self.error, &self.propagated, &self.pending].into_iter().flatten();
        let answer = visit(self.group.as_ptr());
        if answer != 0 {
            return answer;
        }
        others.map(|object| visit(object.as_ptr())).find(|&answer| answer != 0).unwrap_or(0)
    }
}

impl Exit {
    fn step<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        if !std::mem::replace(&mut self.has_begun, true) {
            self.begin(py)?;
        }
        match self.wait(py, with)? {
            Some(yielded) => Ok(Step::Yielded(yielded)),
            None => self.finish(py).map(Step::Returned),
        }
    }

    /// Is this a cancellation, to this version?
    fn is_cancellation(versions: &GroupVersions, error: &Bound<'_, PyAny>) -> PyResult<bool> {
        let class = names::cancelled_error(error.py())?;
        if versions.takes_subclasses {
            error.is_instance(&class)
        } else {
            Ok(error.get_type().is(&class))
        }
    }

    /// Up to the wait for the tasks.
    fn begin(&mut self, py: Python<'_>) -> PyResult<()> {
        let versions = &Versions::get(py)?.group;
        let slf = self.group.bind(py);
        let this = slf.get();
        let error = self.error.as_ref().map(|error| error.bind(py));
        let base = error.filter(|error| is_base_error(error)).map(|error| error.clone().unbind());
        this.with(py, |state| {
            state.exiting = true;
            if state.base_error.is_none() {
                state.base_error = base;
            }
        });
        if let Some(error) = error
            && Exit::is_cancellation(versions, error)?
        {
            self.propagated = Some(error.clone().unbind());
        }
        if versions.uncancels_first && this.uncancel_parent(py)? == Some(0) {
            // Nobody else wants the parent to be cancelled.
            self.propagated = None;
        }
        if error.is_some() && !this.is_aborting(py) {
            TaskGroup::abort(slf)?;
        }
        Ok(())
    }

    /// Waits until there is no task left: the object to be yielded, None at the end.
    fn wait<'py>(
        &mut self,
        py: Python<'py>,
        mut with: Resume<'py>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let slf = self.group.bind(py);
        let this = slf.get();
        loop {
            if self.waiter.is_none() {
                if !this.has_tasks(py) {
                    return Ok(None);
                }
                let future = match this.on_completed(py) {
                    Some(future) => future,
                    None => {
                        let looop = this.looop(py).unwrap_or_else(|| py.None().into_bound(py));
                        let future = create_future(&looop)?;
                        let shared = future.clone().unbind();
                        this.with(py, |state| state.on_completed = Some(shared));
                        future
                    }
                };
                self.waiter = Some(Box::new(Waiter::of(&future)));
            }
            let Some(waiter) = &mut self.waiter else { continue };
            match waiter.step(py, with) {
                Ok(Step::Yielded(yielded)) => return Ok(Some(yielded)),
                Ok(Step::Returned(_)) => {}
                Err(error) if error.is_instance(py, &names::cancelled_error(py)?) => {
                    // It may be cancelled again and again: each time it waits for the tasks.
                    let value = error.value(py).clone().into_any().unbind();
                    self.pending = Some(value.clone_ref(py));
                    if !this.is_aborting(py) {
                        self.propagated = Some(value);
                        while_handling(py, &error, || TaskGroup::abort(slf))?;
                    }
                }
                Err(error) => return Err(error),
            }
            self.waiter = None;
            drop(this.with(py, |state| state.on_completed.take()));
            with = Resume::Value(py.None().into_bound(py));
        }
    }

    /// All tasks are done.
    fn finish<'py>(&mut self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let versions = &Versions::get(py)?.group;
        let this = self.group.get();
        let base =
            this.with(py, |state| state.base_error.as_ref().map(|error| error.clone_ref(py)));
        if let Some(base) = base {
            return Err(raised(base.bind(py)));
        }
        if !versions.uncancels_first {
            match this.uncancel_parent(py)? {
                Some(0) => self.propagated = None,
                Some(_) if versions.keeps_cancellation && self.propagated.is_none() => {
                    self.propagated = self.pending.take();
                }
                Some(_) | None => {}
            }
        }
        // Errors have priority over a cancellation.
        if this.error_count(py) == 0
            && let Some(propagated) = self.propagated.take()
        {
            return Err(raised(propagated.bind(py)));
        }
        let error = self.error.as_ref().map(|error| error.bind(py).clone());
        if let Some(error) = &error
            && !Exit::is_cancellation(versions, error)?
        {
            this.errors(py)?.append(error)?;
        }
        if this.error_count(py) > 0 {
            return Err(self.grouped(py, versions, error.as_ref())?);
        }
        // What deserves to be raised was raised above.
        let is_suppressed = versions.has_cancel;
        Ok(match is_suppressed {
            true => pyo3::types::PyBool::new(py, true).to_owned().into_any(),
            false => py.None().into_bound(py),
        })
    }

    /// The exception for the errors there are.
    fn grouped(
        &self,
        py: Python<'_>,
        versions: &GroupVersions,
        error: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<PyErr> {
        let this = self.group.get();
        if versions.recancels_parent
            && let Some(parent) = this.parent(py)
            && state::cancelling(&parent)? > 0
        {
            // Cancelled from outside as well: the count stays, and the next await of the parent
            // hears of it.
            state::uncancel(&parent)?;
            state::cancel(&parent)?;
        }
        let errors = this.errors(py)?;
        if versions.raises_generator_exit
            && errors.len() == 1
            && let Some(error) = error.filter(|it| it.is_instance_of::<PyGeneratorExit>())
        {
            return Ok(raised(error));
        }
        let group = names::base_exception_group(py)?
            .call1((intern!(py, "unhandled errors in a TaskGroup"), &errors))?;
        let old = this.with(py, |state| std::mem::replace(&mut state.errors, Errors::Forgotten));
        drop(old);
        let error = raised(&group);
        error.set_cause(py, None);
        group.setattr(intern!(py, "__suppress_context__"), true)?;
        Ok(error)
    }

    /// Exceptions have cycles; from some version on the group lets go of what it has of them.
    fn forget(&mut self, py: Python<'_>) -> PyResult<()> {
        (self.error, self.propagated, self.pending) = (None, None, None);
        if Versions::get(py)?.group.forgets {
            let old = self.group.get().with(py, |state| {
                let errors = std::mem::replace(&mut state.errors, Errors::Forgotten);
                (errors, state.parent.take(), state.base_error.take())
            });
            drop(old);
        }
        Ok(())
    }
}
