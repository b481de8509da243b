//! Where in an instance the names of `__slots__` lie.

use pyo3::exceptions::PyTypeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::PyType;

use crate::error::WithText;

/// The offset of what this very class has in its `__slots__` under this name: that of a reference,
/// or of NULL, inside of every instance.
///
/// # Errors
/// TypeError if what stands under the name is anything else, a slot of another class say.
pub(crate) fn own_slot(class: &Bound<'_, PyType>, name: &str) -> PyResult<usize> {
    offset(class, &namespace(class)?.get_item(name)?)
        .ok_or_else(|| PyTypeError::with_text(format!("{class}.{name} is no slot of its own")))
}

/// The offsets of all slots of the class and its bases.
pub(crate) fn all_slots(class: &Bound<'_, PyType>) -> PyResult<Vec<usize>> {
    let mut offsets = Vec::new();
    for base in class.mro().iter() {
        let Ok(base) = base.cast::<PyType>() else { continue };
        for descriptor in namespace(base)?.call_method0("values")?.try_iter()? {
            offsets.extend(offset(base, &descriptor?));
        }
    }
    Ok(offsets)
}

/// `type.__dict__`, whatever the metaclass says of it.
fn namespace<'py>(class: &Bound<'py, PyType>) -> PyResult<Bound<'py, PyAny>> {
    let py = class.py();
    let getter = py.get_type::<PyType>().getattr("__dict__")?.get_item("__dict__")?;
    getter.call_method1("__get__", (class,))
}

/// Where the slot lies, if this is the descriptor of one that the class itself has.
fn offset(class: &Bound<'_, PyType>, descriptor: &Bound<'_, PyAny>) -> Option<usize> {
    // SAFETY: a live type; by its own, which no program can make a class of, the other one is a
    // member descriptor, whose definition lives as long as it.
    unsafe {
        if ffi::Py_TYPE(descriptor.as_ptr()) != &raw mut ffi::PyMemberDescr_Type {
            return None;
        }
        let descriptor = &*descriptor.as_ptr().cast::<ffi::PyMemberDescrObject>();
        if descriptor.d_common.d_type != class.as_type_ptr() {
            return None;
        }
        let member = &*descriptor.d_member;
        let offset = usize::try_from(member.offset).ok()?;
        let size = usize::try_from((*class.as_type_ptr()).tp_basicsize).ok()?;
        let is_inside = size_of::<ffi::PyObject>() <= offset
            && offset.checked_add(size_of::<*mut ffi::PyObject>())? <= size;
        (member.type_code == ffi::Py_T_OBJECT_EX && is_inside).then_some(offset)
    }
}
