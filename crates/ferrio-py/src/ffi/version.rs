//! Noticing that a class was changed.

use pyo3::prelude::*;
use pyo3::types::PyType;

/// A class as it was at some moment: the same object with the same version tag has the same
/// attributes, its bases' included (`PyType_Modified`, Objects/typeobject.c).
#[derive(Copy, Clone, PartialEq, Eq)]
pub(crate) struct Version {
    /// Never dereferenced.
    class: usize,
    tag: u32,
}

impl Version {
    /// None where the interpreter has not given the class a tag: it does so when an attribute is
    /// looked up, unless it has run out of numbers.
    pub(crate) fn of(class: &Bound<'_, PyType>) -> Option<Version> {
        let class = class.as_type_ptr();
        // SAFETY: reading a field of a live type, whose changes the GIL orders. On free-threaded
        // builds it is a plain load of an integer that is written atomically.
        let tag = unsafe { (*class).tp_version_tag };
        (tag != 0).then_some(Version { class: class as usize, tag })
    }
}
