//! How handles come and go: memory, free lists, the garbage collector.

use std::ffi::{c_int, c_void};
use std::ptr;

use pyo3::ffi;
use pyo3::prelude::*;

use super::fields::{Fields, read};
use super::{Class, HandleTypes};
use crate::ffi::class::new_untracked;
use crate::ffi::trash;

pub(super) unsafe extern "C" fn dealloc(slf: *mut ffi::PyObject) {
    // SAFETY: CPython calls this attached with the last reference.
    unsafe { trash::dealloc(slf, free) };
}

/// [`dealloc`], when it is the object's turn.
unsafe extern "C" fn free(slf: *mut ffi::PyObject) {
    // SAFETY: called attached with the last reference, on an instance of one of the three classes,
    // which exist then. asyncio's handles have no finalizer.
    unsafe {
        let py = Python::assume_attached();
        if ffi::PyObject_GC_IsTracked(slf) != 0 {
            ffi::PyObject_GC_UnTrack(slf.cast());
        }
        let Ok(types) = HandleTypes::installed(py) else { return };
        let Some(class) = types.class_of(slf) else { return };
        if has_weakrefs(types, slf) {
            ffi::PyObject_ClearWeakRefs(slf);
        }
        let is_timer = ptr::eq(class, &types.timer);
        if (types.is_as_expected && ptr::eq(class, &types.handle))
            || (types.is_timer_as_expected && is_timer)
        {
            // Not set to NULL: whoever reuses the memory writes all of them.
            let fields = &*slf.cast::<Fields>();
            let Fields {
                args, callback, cancelled, context, looop, repr, source_traceback, ..
            } = *fields;
            for field in [args, callback, cancelled, context, looop, repr, source_traceback] {
                ffi::Py_XDECREF(field);
            }
            if is_timer {
                ffi::Py_XDECREF(read(slf, types.slots.when));
                ffi::Py_XDECREF(read(slf, types.slots.scheduled));
            }
        } else {
            class.clear(slf);
        }
        #[cfg(not(Py_GIL_DISABLED))]
        if class.free.with(py, |free| free.keep(slf)) {
            ffi::Py_DECREF(class.ty.as_ptr());
            return;
        }
        #[cfg(not(Py_GIL_DISABLED))]
        for object in class.free.with(py, FreeList::surplus) {
            // Its reference to the type went when it was kept.
            ffi::PyObject_GC_Del(object.cast());
        }
        crate::ffi::class::free(slf);
    }
}

/// Does anybody refer to the handle weakly?
///
/// # Safety
/// `object` is an instance of one of the three classes.
pub(super) unsafe fn has_weakrefs(types: &HandleTypes, object: *mut ffi::PyObject) -> bool {
    // SAFETY: passed on; the offset is that of the list's head.
    unsafe { !(*object.byte_offset(types.slots.weakrefs).cast::<*mut ffi::PyObject>()).is_null() }
}

/// A new instance, untracked, of which every field has to be written: one that was freed lately,
/// if there is.
///
/// # Safety
/// Attached.
pub(super) unsafe fn allocate(py: Python<'_>, class: &Class) -> *mut ffi::PyObject {
    let ty = class.ty.bind(py).as_type_ptr();
    // SAFETY: attached; objects on the list are whole but for what PyObject_Init sets, and new ones
    // get their fields zeroed up to the size that their type says.
    unsafe {
        #[cfg(not(Py_GIL_DISABLED))]
        if let Some(object) = class.free.with(py, FreeList::take) {
            return ffi::PyObject_Init(object, ty);
        }
        let object = new_untracked(ty);
        if !object.is_null() {
            let header = size_of::<ffi::PyObject>();
            object
                .byte_add(header)
                .cast::<u8>()
                .write_bytes(0, (*ty).tp_basicsize as usize - header);
        }
        object
    }
}

/// Freed instances of one class, for those that are made next.
///
/// Each may be the last object in its arena (256 KiB or 1 MiB), which then cannot be given back. So
/// when many more are freed than made, as when a crowd of timers is cancelled, none is kept, and
/// there is room for one more each time that one would have been of use.
#[cfg(not(Py_GIL_DISABLED))]
pub(super) struct FreeList {
    kept: Vec<*mut ffi::PyObject>,
    /// How many may be kept.
    room: usize,
    /// How many more were not kept than were made meanwhile.
    refused: usize,
}

// SAFETY: memory that no thread uses; reached only through a GilCell.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl Send for FreeList {}

#[cfg(not(Py_GIL_DISABLED))]
impl FreeList {
    /// How many instances are kept: 128 bytes each.
    const MOST: usize = 512;

    pub(super) const fn new() -> FreeList {
        FreeList { kept: Vec::new(), room: 0, refused: 0 }
    }

    fn keep(&mut self, object: *mut ffi::PyObject) -> bool {
        let has_room = self.kept.len() < self.room;
        if has_room {
            self.kept.push(object);
        }
        has_room
    }

    /// To be asked when one was not kept: what is to be freed with it.
    fn surplus(&mut self) -> Vec<*mut ffi::PyObject> {
        self.refused += 1;
        if self.refused < FreeList::MOST {
            return Vec::new();
        }
        self.room = 0;
        self.refused = 0;
        std::mem::take(&mut self.kept)
    }

    fn take(&mut self) -> Option<*mut ffi::PyObject> {
        self.refused = self.refused.saturating_sub(1);
        let object = self.kept.pop();
        if object.is_none() && self.room < FreeList::MOST {
            self.room += 1;
        }
        object
    }
}

pub(super) unsafe extern "C" fn clear(slf: *mut ffi::PyObject) -> c_int {
    // SAFETY: called attached on a live handle; the weakref list is no owned reference and stays.
    unsafe {
        let py = Python::assume_attached();
        let types = HandleTypes::installed(py).ok();
        if let Some(class) = types.and_then(|types| types.class_of(slf)) {
            class.clear(slf);
        }
    }
    0
}

pub(super) unsafe extern "C" fn traverse(
    slf: *mut ffi::PyObject,
    visit: ffi::visitproc,
    arg: *mut c_void,
) -> c_int {
    // SAFETY: called attached by the collector; only reads, and takes no references.
    unsafe {
        let answer = visit(ffi::Py_TYPE(slf).cast(), arg);
        if answer != 0 {
            return answer;
        }
        let py = Python::assume_attached();
        let types = HandleTypes::installed(py).ok();
        if let Some(class) = types.and_then(|types| types.class_of(slf)) {
            for &offset in &class.owned {
                let object = read(slf, offset);
                if !object.is_null() {
                    let answer = visit(object, arg);
                    if answer != 0 {
                        return answer;
                    }
                }
            }
        }
    }
    0
}
