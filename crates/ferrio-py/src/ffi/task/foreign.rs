//! Telling the callbacks of C tasks from all others.
//!
//! `_asyncio.Task` schedules its steps with `loop.call_soon(step)` and its wake-ups with
//! `loop.call_soon(wakeup, future)`, and drops the handle that it gets. For these two, no handle
//! need exist: that alone is 1.2 to 1.4 times uvloop's speed a step.

use std::sync::atomic::{AtomicPtr, Ordering};

use std::ffi::CStr;
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

/// True for the two callables that only `_asyncio.Task` makes: `TaskStepMethWrapper` objects and
/// bound builtins `task_wakeup` (Modules/_asynciomodule.c). They are recognised by name once, by
/// address from then on.
pub(crate) fn is_task_callback(callable: &Bound<'_, PyAny>) -> bool {
    static STEP_TYPE: AtomicPtr<ffi::PyTypeObject> = AtomicPtr::new(ptr::null_mut());
    static WAKEUP: AtomicPtr<ffi::PyMethodDef> = AtomicPtr::new(ptr::null_mut());

    let ty = callable.get_type_ptr();
    if ty == STEP_TYPE.load(Ordering::Relaxed) {
        return true;
    }
    // SAFETY: `callable` is alive, so is its type; a builtin's method definition is a static of
    // the module that made it, and lives as long as the builtin at least.
    unsafe {
        if ty == &raw mut ffi::PyCFunction_Type {
            let definition = (*callable.as_ptr().cast::<ffi::PyCFunctionObject>()).m_ml;
            if definition == WAKEUP.load(Ordering::Relaxed) {
                return true;
            }
            if WAKEUP.load(Ordering::Relaxed).is_null()
                && CStr::from_ptr((*definition).ml_name) == c"task_wakeup"
                && is_c_task((*callable.as_ptr().cast::<ffi::PyCFunctionObject>()).m_self)
            {
                WAKEUP.store(definition, Ordering::Relaxed);
                return true;
            }
            return false;
        }
        if STEP_TYPE.load(Ordering::Relaxed).is_null()
            && is_step_name(CStr::from_ptr((*ty).tp_name))
            && ffi::PyType_HasFeature(ty, ffi::Py_TPFLAGS_BASETYPE) == 0
        {
            STEP_TYPE.store(ty, Ordering::Relaxed);
            return true;
        }
    }
    false
}

/// Up to 3.11 the type has no module in its name.
fn is_step_name(name: &CStr) -> bool {
    name == c"_asyncio.TaskStepMethWrapper" || name == c"TaskStepMethWrapper"
}

/// # Safety
/// `object` is NULL or alive.
unsafe fn is_c_task(object: *mut ffi::PyObject) -> bool {
    if object.is_null() {
        return false;
    }
    // SAFETY: passed on; the name of a type is a C string that lives as long as the type.
    unsafe {
        let mut ty = ffi::Py_TYPE(object);
        while !ty.is_null() {
            if CStr::from_ptr((*ty).tp_name) == c"_asyncio.Task" {
                return true;
            }
            ty = (*ty).tp_base;
        }
    }
    false
}
