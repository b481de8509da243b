//! Whether an object of a class that may be inherited from still has the methods of ours.
//!
//! asyncio's classes call each other's methods and their own by name: a subclass, or whoever sets an
//! attribute, may have put something else there. Where nobody has, the detour by way of the name can
//! be saved. What a class has is looked at once; that it has not changed since, CPython says by its
//! version tag. What an instance has is seen from its dict, which is not made before it is needed.

use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use super::make;

/// What was found out about the classes derived from one of ours, of the last few that were asked
/// for.
pub(crate) struct Inherited {
    /// Says of a class what is still ours in it: 0 if not all of what matters.
    examine: fn(&Bound<'_, PyType>) -> u32,
    known: [Known; KNOWN],
}

struct Known {
    class: AtomicPtr<ffi::PyTypeObject>,
    /// Its version tag, and below it the answer.
    answer: AtomicU64,
}

/// Classes at a time; more of them take each other's place.
const KNOWN: usize = 8;

impl Inherited {
    pub(crate) const fn new(examine: fn(&Bound<'_, PyType>) -> u32) -> Inherited {
        let known = [const {
            Known { class: AtomicPtr::new(std::ptr::null_mut()), answer: AtomicU64::new(0) }
        }; KNOWN];
        Inherited { examine, known }
    }

    /// What `examine` answered for the class of `object`; 0 if the object itself has attributes,
    /// any of which may be in the place of a method.
    #[inline]
    pub(crate) fn by(&self, object: &Bound<'_, PyAny>) -> u32 {
        // SAFETY: reads fields of a live object and of its type; the place for the dict is where the
        // type says.
        unsafe {
            let class = ffi::Py_TYPE(object.as_ptr());
            if has_attributes(object.as_ptr(), class) {
                return 0;
            }
            let known = &self.known[(class as usize >> 5) % KNOWN];
            let tag = (*class).tp_version_tag;
            let answer = known.answer.load(Ordering::Relaxed);
            if known.class.load(Ordering::Relaxed) == class
                && answer >> 32 == u64::from(tag)
                && tag != 0
            {
                return answer as u32;
            }
            self.ask(&object.get_type(), known)
        }
    }

    #[cold]
    fn ask(&self, class: &Bound<'_, PyType>, known: &Known) -> u32 {
        let raw = class.as_type_ptr();
        // SAFETY: reads a field of a live type; looking its methods up gives it a tag.
        let tag = || unsafe { (*raw).tp_version_tag };
        let before = tag();
        let answer = (self.examine)(class);
        // A metaclass of the program's may have changed the class meanwhile.
        if before == 0 || before == tag() {
            known.class.store(raw, Ordering::Relaxed);
            known.answer.store(u64::from(tag()) << 32 | u64::from(answer), Ordering::Relaxed);
        }
        answer
    }
}

/// Has anybody set an attribute that is kept in the object's dict? Subclasses of a `#[pyclass(dict)]`
/// have it where that has it.
///
/// # Safety
/// Attached; a live object and its type.
#[inline]
unsafe fn has_attributes(object: *mut ffi::PyObject, class: *mut ffi::PyTypeObject) -> bool {
    // SAFETY: passed on.
    unsafe {
        let offset = (*class).tp_dictoffset;
        if offset <= 0 {
            return true;
        }
        let dict = *object.cast::<u8>().offset(offset).cast::<*mut ffi::PyObject>();
        !dict.is_null() && ffi::PyDict_Size(dict) != 0
    }
}

/// Has `class` all these from `base`?
pub(crate) fn has_all(class: &Bound<'_, PyType>, base: &Bound<'_, PyType>, names: &[&str]) -> bool {
    names.iter().all(|name| {
        let Ok(name) = make::text(class.py(), name) else { return false };
        match (class.getattr(&name), base.getattr(&name)) {
            (Ok(theirs), Ok(ours)) => theirs.is(&ours),
            (Err(_), _) | (_, Err(_)) => false,
        }
    })
}
