//! Coroutines whose work is a state machine in Rust.
//!
//! asyncio's `Lock.acquire` or `StreamReader.read` are `async def` functions, and programs rely on
//! it: they pass what these return to `create_task`, close it, are warned of what they forgot to
//! await, and ask whether the method is a coroutine function. Here is what makes a Rust state
//! machine look so:
//!
//! - [`Body`]: the state machine, stepped as a task steps a coroutine;
//! - [`object`]: the coroutine object around one, made for every call and therefore small and
//!   taken from a free list;
//! - [`introspection`]: the attributes of such an object;
//! - [`method`]: methods that return one, and are seen as coroutine functions;
//! - [`bound`]: such a method of an instance, where `async with` would make an object of it;
//! - [`function`]: functions that do;
//! - [`relay`]: a generator around one, while a debugger listens.

mod bound;
mod function;
mod introspection;
mod iterator;
pub(crate) mod method;
mod object;
pub(crate) mod origin;
pub(crate) mod relay;

use std::ffi::c_int;

use pyo3::ffi;
use pyo3::prelude::*;

use super::future::awaiting::Awaiting;
use super::iter::Step;

pub(crate) use function::{CoroutineFunction, add_function};
pub(crate) use method::CoroutineMethod;
pub(crate) use object::{install, is_coroutine, new_coroutine};

/// What a coroutine does, from await to await.
///
/// It is never stepped while it is being stepped, nor after it has returned or raised.
pub(crate) trait Body: Send + Sized + 'static {
    /// What repr and warnings call the coroutine: `"Lock.acquire"`.
    fn qualname(&self) -> &'static str;

    /// Goes on to the next await or to the end. The first time `with` is `Resume::Value(None)`.
    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>>;

    /// The whole of it, where that needs neither waiting nor Python code; `None` where
    /// [`resume`](Body::resume) has to be called. Asked before the first step, by every `await`:
    /// it must not panic, and drops no reference (bench: lock_uncontended).
    #[inline]
    fn at_once(&self, _py: Python<'_>) -> Option<End> {
        None
    }

    /// What it waits for while it is suspended, where that may be a program's own coroutine: who draws
    /// call graphs goes on there.
    fn awaited(&self) -> Option<&Awaiting> {
        None
    }

    /// The coroutines that asyncio's own would be awaiting where this one does it all, by name and the
    /// outermost first: call graphs show them.
    fn inner(&self, _py: Python<'_>) -> &'static [&'static str] {
        &[]
    }

    /// Drops the body. `Py` as it is looks up first whether this thread is attached, and puts the
    /// reference off where PyO3 has not heard of that.
    #[inline]
    fn release(self, _py: Python<'_>) {
        drop(self);
    }

    /// Calls `visit` on every Python object held; ends with its first non-zero answer. Called by
    /// the collector: must not touch a reference count.
    fn traverse(&self, py: Python<'_>, visit: &mut dyn FnMut(*mut ffi::PyObject) -> c_int)
    -> c_int;
}

/// What [`Body::at_once`] ends with: a result that costs an `await` next to nothing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    None,
    True,
}

/// What a coroutine is resumed with.
pub(crate) enum Resume<'py> {
    /// `send(value)`; tasks send None.
    Value(Bound<'py, PyAny>),
    /// `throw(error)`; GeneratorExit where it is closed.
    Error(PyErr),
}

/// What a slot or getter answers: the object, or NULL with the error set.
#[inline]
fn or_null(py: Python<'_>, result: PyResult<Bound<'_, PyAny>>) -> *mut ffi::PyObject {
    result.map_or_else(
        |error| {
            error.restore(py);
            std::ptr::null_mut()
        },
        Bound::into_ptr,
    )
}
