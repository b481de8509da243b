//! Memory of instances that were freed lately, for types of which a program makes one an await.

use pyo3::ffi;
use pyo3::prelude::*;

use super::class;
#[cfg(not(Py_GIL_DISABLED))]
use super::gil_cell::GilCell;

/// Instances of one type that nobody has any more. Empty for ever on free-threaded builds, where
/// it would have to be one for each thread.
pub(crate) struct FreeList {
    #[cfg(not(Py_GIL_DISABLED))]
    kept: GilCell<Kept>,
}

#[cfg(not(Py_GIL_DISABLED))]
struct Kept(Vec<*mut ffi::PyObject>);

// SAFETY: memory that no thread uses; reached only through a GilCell.
#[cfg(not(Py_GIL_DISABLED))]
unsafe impl Send for Kept {}

/// As many as asyncio keeps of its iterators.
#[cfg(not(Py_GIL_DISABLED))]
const MOST: usize = 255;

impl FreeList {
    pub(crate) const fn new() -> FreeList {
        FreeList {
            #[cfg(not(Py_GIL_DISABLED))]
            kept: GilCell::new(Kept(Vec::new())),
        }
    }

    /// A new instance, untracked, of which every field has to be written; NULL with a MemoryError
    /// set.
    ///
    /// # Safety
    /// Attached; always the same heap type of the collector's, whose instances have one size and
    /// neither dict nor weak references in front of them.
    #[inline]
    pub(crate) unsafe fn new_instance(
        &self,
        _py: Python<'_>,
        ty: *mut ffi::PyTypeObject,
    ) -> *mut ffi::PyObject {
        // SAFETY: passed on; what was kept was an instance of this type.
        unsafe {
            #[cfg(not(Py_GIL_DISABLED))]
            if let Some(object) = self.kept.with(_py, |kept| kept.0.pop()) {
                return ffi::PyObject_Init(object, ty);
            }
            class::new_untracked(ty)
        }
    }

    /// Frees the memory of an instance, or keeps it, and gives up its reference to its type.
    ///
    /// # Safety
    /// As [`new_instance`](FreeList::new_instance); the instance is untracked, its fields have been
    /// dropped, and nobody uses it.
    #[inline]
    pub(crate) unsafe fn free(&self, _py: Python<'_>, object: *mut ffi::PyObject) {
        // SAFETY: passed on.
        unsafe {
            #[cfg(not(Py_GIL_DISABLED))]
            {
                let is_kept = self.kept.with(_py, |kept| {
                    let has_room = kept.0.len() < MOST;
                    if has_room {
                        kept.0.push(object);
                    }
                    has_room
                });
                if is_kept {
                    ffi::Py_DECREF(ffi::Py_TYPE(object).cast());
                    return;
                }
            }
            class::free(object);
        }
    }
}
