//! Who waits for a future, for the call graph: `future_add_to_awaited_by` of asyncio's, since 3.14.

use pyo3::ffi;
use pyo3::prelude::*;

use super::{fields, types};
use crate::names;

/// Is there a call graph in this version?
pub(crate) const EXISTS: bool = cfg!(Py_3_14);

/// Notes that `waiter` waits for the future. Nothing happens if one of them is none of asyncio's.
#[inline]
pub(crate) fn add(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if !EXISTS {
        return Ok(());
    }
    let py = future.py();
    if let Some((types, offset)) =
        types(py).and_then(|types| Some((types, types.layout.awaited_by?)))
    {
        let raw = future.as_ptr();
        // SAFETY: futures of exactly these types have our layout; an empty field is filled.
        unsafe {
            if types.is_exact(raw)
                && types.is_exact(waiter.as_ptr())
                && fields::get(raw, offset).is_null()
            {
                fields::put(raw, offset, ffi::Py_NewRef(waiter.as_ptr()));
                return Ok(());
            }
        }
    }
    // A second one makes it a set.
    names::future_add_to_awaited_by(py)?.call1((future, waiter)).map(drop)
}

/// Takes it back.
#[inline]
pub(crate) fn discard(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    if !EXISTS {
        return Ok(());
    }
    let py = future.py();
    if let Some((types, offset)) =
        types(py).and_then(|types| Some((types, types.layout.awaited_by?)))
    {
        let raw = future.as_ptr();
        // SAFETY: as above; `waiter` is held by the caller.
        unsafe {
            if types.is_exact(raw) {
                let known = fields::get(raw, offset);
                if known == waiter.as_ptr() {
                    fields::clear(raw, offset);
                    return Ok(());
                }
                if known.is_null() {
                    return Ok(());
                }
            }
        }
    }
    names::future_discard_from_awaited_by(py)?.call1((future, waiter)).map(drop)
}

/// [`add`], as functions of asyncio do it that are written in Python: by way of a name, under which a
/// program may have put something else.
#[inline]
pub(crate) fn add_by_name(future: &Bound<'_, PyAny>, waiter: &Bound<'_, PyAny>) -> PyResult<()> {
    #[cfg(Py_3_14)]
    {
        let py = future.py();
        let current = names::add_to_awaited_by(py)?;
        if !current.is(names::future_add_to_awaited_by(py)?) {
            return current.call1((future, waiter)).map(drop);
        }
    }
    add(future, waiter)
}

/// [`discard`], likewise.
#[inline]
pub(crate) fn discard_by_name(
    future: &Bound<'_, PyAny>,
    waiter: &Bound<'_, PyAny>,
) -> PyResult<()> {
    #[cfg(Py_3_14)]
    {
        let py = future.py();
        let current = names::discard_from_awaited_by(py)?;
        if !current.is(names::future_discard_from_awaited_by(py)?) {
            return current.call1((future, waiter)).map(drop);
        }
    }
    discard(future, waiter)
}
