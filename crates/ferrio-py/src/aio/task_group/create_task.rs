//! `TaskGroup.create_task`.

use std::ffi::CStr;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString};

use super::TaskGroup;
use crate::aio::versions::{GroupVersions, Versions};
use crate::event_loop::tasks::create_plain_task;
use crate::ffi::fastcall::{Arguments, FastMethod, wrong_arguments};
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::signature::Signature;
use crate::names;

/// `TaskGroup.create_task(coro, *, name=None, context=None)`; from 3.14 on with whatever else the
/// loop's method takes.
pub(super) struct CreateTask;

impl FastMethod for CreateTask {
    type Class = TaskGroup;
    const NAME: &'static CStr = c"create_task";
    const DOC: &'static CStr = c"create_task($self, coro, **kwargs)\n--\n\n\
        Create a new task in this group and return it.\n\n\
        Similar to asyncio.create_task.";

    fn call<'py>(
        slf: &Bound<'py, TaskGroup>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        if arguments.len() == 1
            && !arguments.has_keywords()
            && let Some(coro) = arguments.get(0)
        {
            return TaskGroup::create(slf, &coro, None);
        }
        const SIGNATURE: Signature<3> = Signature {
            function: "TaskGroup.create_task",
            names: ["coro", "name", "context"],
            positional: 1,
            required: 1,
            is_method: true,
        };
        let kwargs = make::dict(py)?;
        let coro = if Versions::get(py)?.group.passes_keywords && arguments.len() == 1 {
            for (name, value) in arguments.keywords() {
                if name == "coro" {
                    return Err(wrong_arguments());
                }
                kwargs.set_item(name, value)?;
            }
            arguments.get(0)
        } else {
            let [coro, name, context] = SIGNATURE.bind(&arguments)?;
            for (key, value) in [(intern!(py, "name"), name), (intern!(py, "context"), context)] {
                if let Some(value) = value {
                    kwargs.set_item(key, value)?;
                }
            }
            coro
        };
        let coro = coro.unwrap_or_else(|| py.None().into_bound(py));
        TaskGroup::create(slf, &coro, Some(&kwargs))
    }
}
/// `loop.create_task` with the arguments that this version of asyncio gives it.
pub(super) fn new_task<'py>(
    versions: &GroupVersions,
    looop: &Bound<'py, PyAny>,
    coro: &Bound<'py, PyAny>,
    kwargs: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = looop.py();
    if kwargs.is_none_or(|kwargs| kwargs.is_empty())
        && let Some(task) = create_plain_task(looop, coro)?
    {
        return Ok(task);
    }
    let create = |kwargs: Option<&Bound<'py, PyDict>>| {
        looop.call_method(intern!(py, "create_task"), (coro,), kwargs)
    };
    if versions.passes_keywords {
        return create(kwargs);
    }
    let given = |name: &Bound<'py, PyString>| -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(kwargs.map_or(Ok(None), |kwargs| kwargs.get_item(name))?.filter(|it| !it.is_none()))
    };
    let (name, context) = (given(intern!(py, "name"))?, given(intern!(py, "context"))?);
    let passed = make::dict(py)?;
    if !versions.names_afterwards {
        passed.set_item(intern!(py, "name"), name.as_ref())?;
    }
    if let Some(context) = context {
        passed.set_item(intern!(py, "context"), context)?;
    }
    let task = create(Some(&passed))?;
    if versions.names_afterwards
        && let Some(name) = name
    {
        names::tasks(py)?.getattr(intern!(py, "_set_task_name"))?.call1((&task, name))?;
    }
    Ok(task)
}
