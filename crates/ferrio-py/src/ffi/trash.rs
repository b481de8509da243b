//! Long chains of objects, freed without a deep stack.
//!
//! An object that goes lets go of others, which go too, inside of the first one's destructor: a
//! chain of a hundred thousand would need as many frames. CPython's own containers put what is too
//! deep aside until the outer destructors are through (`Py_TRASHCAN_BEGIN`), by means that differ
//! between versions; this is the same for ours. From 3.14 on CPython does it for every type.

use std::cell::{Cell, RefCell};

use pyo3::ffi;

/// Destructors of ours inside of each other.
const MOST: u32 = 40;

/// What is put aside: nobody's any more, and unknown to the collector.
struct Aside {
    object: *mut ffi::PyObject,
    dealloc: unsafe extern "C" fn(*mut ffi::PyObject),
    was_tracked: bool,
}

thread_local! {
    static DEPTH: Cell<u32> = const { Cell::new(0) };
    static ASIDE: RefCell<Vec<Aside>> = const { RefCell::new(Vec::new()) };
}

/// Frees the object by `dealloc`, now or when destructors that are under way have ended.
///
/// # Safety
/// Called attached, by the `tp_dealloc` of an object of the collector's; `dealloc` does what that has
/// to do.
#[inline]
pub(crate) unsafe fn dealloc(
    object: *mut ffi::PyObject,
    dealloc: unsafe extern "C" fn(*mut ffi::PyObject),
) {
    let depth = DEPTH.get();
    // SAFETY: passed on.
    unsafe {
        if depth >= MOST {
            put_aside(object, dealloc);
            return;
        }
        DEPTH.set(depth + 1);
        dealloc(object);
        if depth + 1 == MOST {
            empty();
        }
    }
    DEPTH.set(depth);
}

/// # Safety
/// As [`dealloc`].
#[cold]
unsafe fn put_aside(object: *mut ffi::PyObject, dealloc: unsafe extern "C" fn(*mut ffi::PyObject)) {
    // SAFETY: passed on; the collector must not see an object without references.
    unsafe {
        let was_tracked = ffi::PyObject_GC_IsTracked(object) != 0;
        if was_tracked {
            ffi::PyObject_GC_UnTrack(object.cast());
        }
        let put = ASIDE.try_with(|aside| {
            aside.borrow_mut().push(Aside { object, dealloc, was_tracked });
        });
        if put.is_err() {
            // The thread ends, and its list is gone.
            if was_tracked {
                ffi::PyObject_GC_Track(object.cast());
            }
            dealloc(object);
        }
    }
}

/// Frees what the destructors below have put aside, and what those put aside in turn.
///
/// # Safety
/// Attached.
#[cold]
unsafe fn empty() {
    // Not borrowed while a destructor runs.
    while let Ok(Some(next)) = ASIDE.try_with(|aside| aside.borrow_mut().pop()) {
        // SAFETY: passed on; as it was when its turn to be freed came.
        unsafe {
            if next.was_tracked {
                ffi::PyObject_GC_Track(next.object.cast());
            }
            (next.dealloc)(next.object);
        }
    }
}
