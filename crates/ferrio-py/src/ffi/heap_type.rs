//! Types that PyO3's macros do not make: with a free list, a vectorcall or a `__class__` of their
//! own.
//!
//! CPython keeps pointers to the definitions of methods, attributes and offsets, and the types live
//! for ever: these are leaked.

use std::ffi::{CStr, c_int, c_ulong, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

/// A slot of this number (`Py_tp_...`).
pub(crate) const fn slot(slot: c_int, pfunc: *mut c_void) -> ffi::PyType_Slot {
    ffi::PyType_Slot { slot, pfunc }
}

/// A method without a text.
pub(crate) const fn method(
    name: &'static CStr,
    function: ffi::PyCFunction,
    flags: c_int,
) -> ffi::PyMethodDef {
    ffi::PyMethodDef {
        ml_name: name.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunction: function },
        ml_flags: flags,
        ml_doc: ptr::null(),
    }
}

/// An attribute that cannot be set.
pub(crate) fn getter(name: &'static CStr, get: ffi::getter) -> ffi::PyGetSetDef {
    ffi::PyGetSetDef { name: name.as_ptr(), get: Some(get), ..ffi::PyGetSetDef::default() }
}

/// The slot for methods.
pub(crate) fn methods(mut methods: Vec<ffi::PyMethodDef>) -> ffi::PyType_Slot {
    methods.push(ffi::PyMethodDef::zeroed());
    slot(ffi::Py_tp_methods, methods.leak().as_mut_ptr().cast())
}

/// The slot for attributes.
pub(crate) fn getters(mut getters: Vec<ffi::PyGetSetDef>) -> ffi::PyType_Slot {
    getters.push(ffi::PyGetSetDef::default());
    slot(ffi::Py_tp_getset, getters.leak().as_mut_ptr().cast())
}

/// The slot that says where in an instance, in bytes, something of CPython's is:
/// `__vectorcalloffset__`, `__weaklistoffset__`, `__dictoffset__`.
pub(crate) fn offsets(offsets: &[(&'static CStr, usize)]) -> ffi::PyType_Slot {
    let mut members: Vec<_> = offsets
        .iter()
        .map(|&(name, offset)| ffi::PyMemberDef {
            name: name.as_ptr(),
            type_code: ffi::Py_T_PYSSIZET,
            offset: offset as ffi::Py_ssize_t,
            flags: ffi::Py_READONLY,
            doc: ptr::null(),
        })
        .collect();
    members.push(ffi::PyMemberDef::default());
    slot(ffi::Py_tp_members, members.leak().as_mut_ptr().cast())
}

/// A new type of instances `T`, which the collector knows and programs cannot make. `flags` are
/// those that it has beside.
///
/// # Safety
/// What is in the slots is what CPython takes it for, fits `T`, and lives for ever.
///
/// # Errors
/// MemoryError, and what CPython finds wrong with the slots.
pub(crate) unsafe fn new_type<T>(
    py: Python<'_>,
    name: &'static CStr,
    flags: c_ulong,
    mut slots: Vec<ffi::PyType_Slot>,
) -> PyResult<*mut ffi::PyTypeObject> {
    slots.push(slot(0, ptr::null_mut()));
    let flags = flags
        | ffi::Py_TPFLAGS_DEFAULT
        | ffi::Py_TPFLAGS_HAVE_GC
        | ffi::Py_TPFLAGS_DISALLOW_INSTANTIATION;
    let mut spec = ffi::PyType_Spec {
        name: name.as_ptr(),
        basicsize: size_of::<T>() as c_int,
        itemsize: 0,
        flags: flags as u32,
        slots: slots.as_mut_ptr(),
    };
    // SAFETY: passed on; the spec and the list of slots are read during the call only; attached.
    let class = unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpec(&raw mut spec))? };
    let class = class.into_ptr().cast();
    // SAFETY: attached; a type that nobody else knows yet.
    unsafe { immortalize(class) };
    Ok(class)
}

/// Has nobody count the references to a type that lives for ever: each of its instances holds one,
/// and on free-threaded builds, threads that make and drop instances would take turns at the one
/// count.
///
/// # Safety
/// Attached; a reference to the type is never given back; no other thread knows it yet.
pub(super) unsafe fn immortalize(_class: *mut ffi::PyTypeObject) {
    // SAFETY: passed on. What `_Py_IMMORTAL_REFCNT_LOCAL` is (Include/refcount.h); what is in the
    // shared count is not looked at then.
    #[cfg(Py_GIL_DISABLED)]
    unsafe {
        let object = _class.cast::<ffi::PyObject>();
        (*object).ob_ref_local.store(u32::MAX, std::sync::atomic::Ordering::Relaxed);
    }
}
