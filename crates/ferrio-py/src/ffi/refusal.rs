//! Calls with the wrong arguments, refused in the words of a function written in Python.
//!
//! asyncio's methods are written in Python, and their TypeErrors are the interpreter's: it counts
//! `self`, and says what it believes to have been meant. PyO3 has words of its own, and CPython others
//! for builtins that take nothing. So in the place of each builtin stands one that calls it, and where
//! that fails with a TypeError, asks a Python function of the same signature what it would have said.
//! Right arguments cost a jump.
//!
//! A C function is not told which one it is. Each has a place in a table and an entry of its own that
//! knows the place.

use std::ffi::{CStr, c_int, c_void};
use std::mem;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

use pyo3::exceptions::{PyImportError, PyTypeError};
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{PyCFunction, PyDict, PyModule, PyTuple, PyType};
use pyo3::{PyClass, PyTypeInfo};

use super::fastcall::Arguments;
use super::make;
use super::raise::raised;
use crate::error::WithText;
use crate::names;

unsafe extern "C" {
    /// Include/cpython/descrobject.h; PyO3 leaves it out.
    fn PyDescr_NewWrapper(
        class: *mut ffi::PyTypeObject,
        base: *mut ffi::wrapperbase,
        wrapped: *mut c_void,
    ) -> *mut ffi::PyObject;
}

/// Adds the class to the module.
pub(crate) fn add_class<T: PyClass + PyTypeInfo>(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add_class::<T>()?;
    reword_class(&module.py().get_type::<T>())
}

/// Adds the function to the module.
pub(crate) fn add_function(
    module: &Bound<'_, PyModule>,
    function: &Bound<'_, PyCFunction>,
) -> PyResult<()> {
    module.add_function(reword_function(function)?)
}

/// What is in the module already: before methods written by hand are added to the classes, which
/// know what to say.
pub(crate) fn reword_module(module: &Bound<'_, PyModule>) -> PyResult<()> {
    for (name, value) in module.dict() {
        if let Ok(class) = value.cast::<PyType>() {
            reword_class(class)?;
        } else if let Ok(function) = value.cast::<PyCFunction>() {
            module.setattr(name.cast()?, reword_function(function)?)?;
        }
    }
    Ok(())
}

/// The builtin methods of the class itself, and what its instances are initialized by; before the
/// first instance is made.
pub(crate) fn reword_class(class: &Bound<'_, PyType>) -> PyResult<()> {
    let py = class.py();
    let dict = class.getattr("__dict__")?.call_method0("copy")?.cast_into::<PyDict>()?;
    for (name, value) in dict {
        // SAFETY: attached; each object is of the type, and so of the layout, that is asked for
        // before; definitions and bases of descriptors live as long as the class, which is for ever.
        let reworded = unsafe {
            let class = class.as_type_ptr();
            let ty = ffi::Py_TYPE(value.as_ptr());
            if ty == &raw mut ffi::PyMethodDescr_Type {
                let definition = (*value.as_ptr().cast::<ffi::PyMethodDescrObject>()).d_method;
                let Some(definition) = reword(definition, class)? else { continue };
                ffi::PyDescr_NewMethod(class, definition)
            } else if ty == &raw mut ffi::PyWrapperDescr_Type
                && name.cast::<pyo3::types::PyString>()?.to_str()? == "__init__"
            {
                let descriptor = value.as_ptr().cast::<ffi::PyWrapperDescrObject>();
                let entry = INITIALIZERS.take((*descriptor).d_wrapped, ptr::null_mut(), class)?;
                PyDescr_NewWrapper(class, (*descriptor).d_base, entry as *mut c_void)
            } else {
                continue;
            }
        };
        // SAFETY: a new reference, or NULL with an error set.
        let reworded = unsafe { Bound::from_owned_ptr_or_err(py, reworded)? };
        class.setattr(name.cast()?, reworded)?;
    }
    Ok(())
}

fn reword_function<'py>(function: &Bound<'py, PyCFunction>) -> PyResult<Bound<'py, PyCFunction>> {
    // SAFETY: attached; a builtin function, whose definition PyO3 keeps for ever.
    unsafe {
        let object = function.as_ptr().cast::<ffi::PyCFunctionObject>();
        let Some(definition) = reword((*object).m_ml, ptr::null_mut())? else {
            return Ok(function.clone());
        };
        let reworded = ffi::PyCFunction_NewEx(definition, (*object).m_self, (*object).m_module);
        Ok(Bound::from_owned_ptr_or_err(function.py(), reworded)?.cast_into_unchecked())
    }
}

/// The definition of what calls this one; None for a way of calling that is left as it is.
///
/// # Safety
/// Attached; a definition that lives for ever, of a method of this class or, without one, a function.
unsafe fn reword(
    definition: *mut ffi::PyMethodDef,
    class: *mut ffi::PyTypeObject,
) -> PyResult<Option<*mut ffi::PyMethodDef>> {
    // SAFETY: a live definition; which member of the union it is is said by the flags.
    unsafe {
        let ffi::PyMethodDef { ml_name, ref ml_meth, ml_flags, ml_doc } = *definition;
        let entry: FastEntry = match ml_flags {
            ffi::METH_NOARGS => WITHOUT_ARGUMENTS.take(ml_meth.as_ptr(), definition, class)?,
            flags if flags == ffi::METH_FASTCALL | ffi::METH_KEYWORDS => {
                WITH_ARGUMENTS.take(ml_meth.as_ptr(), definition, class)?
            }
            _ => return Ok(None),
        };
        let definition = Box::new(ffi::PyMethodDef {
            ml_name,
            ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry },
            ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
            ml_doc,
        });
        Ok(Some(Box::into_raw(definition)))
    }
}

/// A function and the one that stands before it.
struct Place {
    /// What PyO3 made.
    function: AtomicPtr<c_void>,
    /// Its definition; NULL for an initializer.
    definition: AtomicPtr<ffi::PyMethodDef>,
    /// Whose method it is; NULL for a function.
    class: AtomicPtr<ffi::PyTypeObject>,
}

impl Place {
    const fn new() -> Place {
        Place {
            function: AtomicPtr::new(ptr::null_mut()),
            definition: AtomicPtr::new(ptr::null_mut()),
            class: AtomicPtr::new(ptr::null_mut()),
        }
    }
}

/// Places, written once each when the module is made, and the entries that know them.
struct Table<E: 'static, const ROWS: usize> {
    places: &'static [Place; 256],
    taken: AtomicUsize,
    entries: [[E; 16]; ROWS],
}

impl<E: Copy, const ROWS: usize> Table<E, ROWS> {
    /// The entry before this function.
    fn take(
        &self,
        function: *mut c_void,
        definition: *mut ffi::PyMethodDef,
        class: *mut ffi::PyTypeObject,
    ) -> PyResult<E> {
        let index = self.taken.fetch_add(1, Ordering::Relaxed);
        let Some(&entry) = self.entries.as_flattened().get(index) else {
            return Err(PyImportError::with_text("the table of builtins is full"));
        };
        let place = &self.places[index];
        place.function.store(function, Ordering::Relaxed);
        place.definition.store(definition, Ordering::Relaxed);
        place.class.store(class, Ordering::Relaxed);
        Ok(entry)
    }
}

/// `METH_FASTCALL | METH_KEYWORDS`.
type FastEntry = ffi::PyCFunctionFastWithKeywords;

macro_rules! row {
    ($entry:ident, $row:literal) => {
        [
            $entry::<{ $row * 16 }>,
            $entry::<{ $row * 16 + 1 }>,
            $entry::<{ $row * 16 + 2 }>,
            $entry::<{ $row * 16 + 3 }>,
            $entry::<{ $row * 16 + 4 }>,
            $entry::<{ $row * 16 + 5 }>,
            $entry::<{ $row * 16 + 6 }>,
            $entry::<{ $row * 16 + 7 }>,
            $entry::<{ $row * 16 + 8 }>,
            $entry::<{ $row * 16 + 9 }>,
            $entry::<{ $row * 16 + 10 }>,
            $entry::<{ $row * 16 + 11 }>,
            $entry::<{ $row * 16 + 12 }>,
            $entry::<{ $row * 16 + 13 }>,
            $entry::<{ $row * 16 + 14 }>,
            $entry::<{ $row * 16 + 15 }>,
        ]
    };
}

macro_rules! table {
    ($name:ident, $places:ident, $entry:ident as $type:ty, $rows:literal: $($row:literal)*) => {
        static $places: [Place; 256] = [const { Place::new() }; 256];
        static $name: Table<$type, $rows> = Table {
            places: &$places,
            taken: AtomicUsize::new(0),
            entries: [$(row!($entry, $row)),*],
        };
    };
}

table!(WITH_ARGUMENTS, WITH, with_arguments as FastEntry, 9: 0 1 2 3 4 5 6 7 8);
table!(WITHOUT_ARGUMENTS, WITHOUT, without_arguments as FastEntry, 10: 0 1 2 3 4 5 6 7 8 9);
table!(INITIALIZERS, INITIALIZER, initialize as ffi::initproc, 2: 0 1);

/// # Safety
/// Called by CPython as the function in place `N` of `WITH`, which was written before.
unsafe extern "C" fn with_arguments<const N: usize>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe {
        let function = WITH[N].function.load(Ordering::Relaxed);
        let function: FastEntry = mem::transmute(function);
        let result = function(slf, args, nargs, kwnames);
        if result.is_null() {
            WITH[N].refuse(slf, args, nargs, kwnames);
        }
        result
    }
}

/// # Safety
/// Called by CPython as the function in place `N` of `WITHOUT`, which was written before.
unsafe extern "C" fn without_arguments<const N: usize>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe {
        if nargs == 0 && kwnames.is_null() {
            let function = WITHOUT[N].function.load(Ordering::Relaxed);
            let function: ffi::PyCFunction = mem::transmute(function);
            return function(slf, ptr::null_mut());
        }
        ffi::PyErr_SetNone(ffi::PyExc_TypeError);
        WITHOUT[N].refuse(slf, args, nargs, kwnames);
        ptr::null_mut()
    }
}

/// # Safety
/// Called by CPython as the initializer in place `N` of `INITIALIZER`, which was written before.
unsafe extern "C" fn initialize<const N: usize>(
    slf: *mut ffi::PyObject,
    args: *mut ffi::PyObject,
    kwargs: *mut ffi::PyObject,
) -> c_int {
    // SAFETY: passed on.
    unsafe {
        let function = INITIALIZER[N].function.load(Ordering::Relaxed);
        let function: ffi::initproc = mem::transmute(function);
        let result = function(slf, args, kwargs);
        if result < 0 {
            INITIALIZER[N].refuse_to_initialize(slf, args, kwargs);
        }
        result
    }
}

impl Place {
    /// # Safety
    /// Attached, with an error set; a call of this function.
    #[cold]
    unsafe fn refuse(
        &self,
        slf: *mut ffi::PyObject,
        args: *const *mut ffi::PyObject,
        nargs: ffi::Py_ssize_t,
        kwnames: *mut ffi::PyObject,
    ) {
        // SAFETY: passed on; the place was written before it was used, and what it points to lives
        // for ever.
        unsafe {
            let definition = self.definition.load(Ordering::Relaxed);
            let class = self.class.load(Ordering::Relaxed);
            let (name, doc) = ((*definition).ml_name, (*definition).ml_doc);
            let doc = if doc.is_null() { c"" } else { CStr::from_ptr(doc) };
            refuse(class, CStr::from_ptr(name), doc, slf, args, nargs, kwnames);
        }
    }

    /// # Safety
    /// Attached, with an error set; a call of this initializer.
    #[cold]
    unsafe fn refuse_to_initialize(
        &self,
        slf: *mut ffi::PyObject,
        args: *mut ffi::PyObject,
        kwargs: *mut ffi::PyObject,
    ) {
        // SAFETY: passed on; type_call has a tuple, and a dict or NULL.
        unsafe {
            let py = Python::assume_attached();
            let class = self.class.load(Ordering::Relaxed);
            replace_error(py, || {
                let class = Bound::from_borrowed_ptr(py, class.cast()).cast_into::<PyType>()?;
                let signature = class.getattr("__text_signature__")?.to_string();
                let args = Bound::from_borrowed_ptr(py, args).cast_into::<PyTuple>()?;
                let kwargs = match Bound::from_borrowed_ptr_or_opt(py, kwargs) {
                    Some(kwargs) => kwargs.cast_into::<PyDict>()?,
                    None => make::dict(py)?,
                };
                let slf = Bound::from_borrowed_ptr(py, slf);
                words(Some(&class), "__init__", &signature, Some(slf), args, kwargs)
            });
        }
    }
}

/// If the error that is set is a TypeError, and a function written in Python would have refused these
/// arguments as well, what it would have said is set in its place. `doc` begins with a signature.
///
/// # Safety
/// Attached, with an error set; a name and arguments of a call of a method of this class or, where
/// that is NULL, a function.
#[cold]
pub(super) unsafe fn refuse(
    class: *mut ffi::PyTypeObject,
    name: &CStr,
    doc: &CStr,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) {
    // SAFETY: passed on.
    unsafe {
        let py = Python::assume_attached();
        replace_error(py, || {
            let arguments = Arguments::new(py, args, nargs as usize, kwnames);
            let class = match Bound::from_borrowed_ptr_or_opt(py, class.cast()) {
                Some(class) => Some(class.cast_into::<PyType>()?),
                None => None,
            };
            let doc = doc.to_string_lossy();
            let signature = doc.split_once("\n--\n\n").map_or("", |(signature, _)| signature);
            let slf = class.is_some().then(|| Bound::from_borrowed_ptr(py, slf));
            let kwargs = make::dict(py)?;
            for (name, value) in arguments.keywords() {
                kwargs.set_item(name, value)?;
            }
            let args = arguments.rest(0)?;
            words(class.as_ref(), &name.to_string_lossy(), signature, slf, args, kwargs)
        });
    }
}

/// The error, if it is a bare TypeError and `words` has another for it.
fn replace_error<'py>(py: Python<'py>, words: impl FnOnce() -> PyResult<Bound<'py, PyAny>>) {
    let Some(error) = PyErr::take(py) else { return };
    if !error.get_type(py).is(py.get_type::<PyTypeError>()) {
        return error.restore(py);
    }
    match words() {
        Ok(found) if found.is_none() => error.restore(py),
        Ok(found) => raised(found).restore(py),
        // Nobody is helped by an error about the words.
        Err(_) => error.restore(py),
    }
}

/// The TypeError of a function written in Python, or None if it would not have raised one.
fn words<'py>(
    class: Option<&Bound<'py, PyType>>,
    name: &str,
    signature: &str,
    slf: Option<Bound<'py, PyAny>>,
    args: Bound<'py, PyTuple>,
    kwargs: Bound<'py, PyDict>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = args.py();
    let (name, signature) = (make::text(py, name)?, make::text(py, signature)?);
    names::refused_call(py)?.call1((class, slf, name, signature, args, kwargs))
}
