//! Methods written as `METH_FASTCALL | METH_KEYWORDS` by hand.
//!
//! `call_soon` is called for every callback of a program, with `*args`. PyO3's `*args` builds a
//! tuple and parses a signature (38-55 ns); taking the argument vector as it comes costs 10-19 ns
//! (bench row `call_soon_batch`).

use std::ffi::CStr;
use std::marker::PhantomData;

use pyo3::exceptions::PyTypeError;
use pyo3::impl_::trampoline::{MethodDef, fastcall_cfunction_with_keywords};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyString, PyTuple};
use pyo3::{PyClass, PyTypeInfo, ffi};

use crate::error::WithText;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::raised;
use crate::ffi::refusal;

/// A method of `Self::Class` that takes its arguments raw.
pub(crate) trait FastMethod {
    type Class: PyClass + PyTypeInfo;
    const NAME: &'static CStr;
    const DOC: &'static CStr;

    fn call<'py>(
        slf: &Bound<'py, Self::Class>,
        arguments: Arguments<'_, 'py>,
    ) -> PyResult<Bound<'py, PyAny>>;

    /// A shorter way for calls with at least one argument and no keywords, if there is one: a new
    /// reference or NULL with an error set; None where [`call`](FastMethod::call) has to be taken.
    const PLAIN: Option<Plain> = None;
}

/// # Safety
/// Called by CPython as the method it is: attached, on an instance of its class, with a vector of
/// so many arguments. Must not panic.
pub(crate) type Plain = unsafe fn(
    Python<'_>,
    *mut ffi::PyObject,
    *const *mut ffi::PyObject,
    usize,
) -> Option<*mut ffi::PyObject>;

/// The arguments of one call.
pub(crate) struct Arguments<'a, 'py> {
    py: Python<'py>,
    /// Borrowed from the caller for the time of the call; positional ones, then keyword values.
    values: &'a [*mut ffi::PyObject],
    positional: usize,
    keywords: Option<Bound<'py, PyTuple>>,
}

impl<'py> Arguments<'_, 'py> {
    /// # Safety
    /// Attached; a vector of so many positional and `len(kwnames)` keyword values, all of it alive
    /// for as long as the result.
    pub(super) unsafe fn new(
        py: Python<'py>,
        args: *const *mut ffi::PyObject,
        positional: usize,
        kwnames: *mut ffi::PyObject,
    ) -> Self {
        // SAFETY: passed on.
        unsafe {
            let keywords: Option<Bound<'_, PyTuple>> = Bound::from_borrowed_ptr_or_opt(py, kwnames)
                .map(|names| names.cast_into_unchecked());
            let count = positional + keywords.as_ref().map_or(0, |names| names.len());
            let values = if count == 0 { &[][..] } else { std::slice::from_raw_parts(args, count) };
            Arguments { py, values, positional, keywords }
        }
    }

    /// How many positional arguments there are.
    pub(crate) fn len(&self) -> usize {
        self.positional
    }

    /// The positional argument at `index`.
    pub(crate) fn get(&self, index: usize) -> Option<Bound<'py, PyAny>> {
        let value = *self.values[..self.positional].get(index)?;
        // SAFETY: the caller of the method keeps its arguments alive for the time of the call.
        Some(unsafe { Bound::from_borrowed_ptr(self.py, value) })
    }

    /// The positional arguments from `first` on, as a tuple: what `*args` is.
    pub(crate) fn rest(&self, first: usize) -> PyResult<Bound<'py, PyTuple>> {
        let values = self.values[..self.positional].get(first..).unwrap_or(&[]);
        if values.is_empty() {
            return Ok(PyTuple::empty(self.py));
        }
        // SAFETY: a new tuple is filled before anybody else sees it, with references of its own.
        unsafe {
            let tuple = ffi::PyTuple_New(values.len() as ffi::Py_ssize_t);
            let tuple = Bound::from_owned_ptr_or_err(self.py, tuple)?;
            for (index, &value) in values.iter().enumerate() {
                let value = ffi::Py_NewRef(value);
                ffi::PyTuple_SET_ITEM(tuple.as_ptr(), index as ffi::Py_ssize_t, value);
            }
            Ok(tuple.cast_into_unchecked())
        }
    }

    /// For a method that takes none; `method` is its qualified name.
    pub(crate) fn none(&self, method: &str) -> PyResult<()> {
        match self.positional == 0 && self.keywords.is_none() {
            true => Ok(()),
            false => Err(self.refused(method, "self", true)),
        }
    }

    /// For a method that takes these, each by its place or by its name; `method` is its qualified
    /// name.
    #[inline]
    pub(crate) fn required<const N: usize>(
        &self,
        method: &str,
        names: [&str; N],
    ) -> PyResult<[Bound<'py, PyAny>; N]> {
        if self.positional == N && self.keywords.is_none() {
            // SAFETY: as in `get`.
            return Ok(std::array::from_fn(|index| unsafe {
                Bound::from_borrowed_ptr(self.py, self.values[index])
            }));
        }
        self.matched(method, names)
    }

    #[cold]
    fn matched<const N: usize>(
        &self,
        method: &str,
        names: [&str; N],
    ) -> PyResult<[Bound<'py, PyAny>; N]> {
        let mut values: [Option<Bound<'py, PyAny>>; N] = std::array::from_fn(|i| self.get(i));
        let refused = || {
            let parameters = format!("self, {}", names.join(", "));
            self.refused(method, &parameters, true)
        };
        for (keyword, value) in self.keywords() {
            let place = names.iter().position(|&name| keyword == name);
            let Some(place) = place.map(|index| &mut values[index]) else { return Err(refused()) };
            if place.replace(value).is_some() {
                return Err(refused());
            }
        }
        if self.positional > N || values.iter().any(Option::is_none) {
            return Err(refused());
        }
        let given: Vec<_> = values.into_iter().flatten().collect();
        given.try_into().map_err(|_| refused())
    }

    /// The TypeError for these arguments, in the words of a function of this name with these parameters.
    #[cold]
    pub(super) fn refused(&self, qualname: &str, parameters: &str, is_method: bool) -> PyErr {
        let py = self.py;
        let refused = || -> PyResult<Bound<'py, PyAny>> {
            let keywords = make::dict(py)?;
            for (name, value) in self.keywords() {
                keywords.set_item(name, value)?;
            }
            let slf = is_method.then(|| py.None().into_bound(py));
            let given = slf.into_iter().chain(self.rest(0)?.iter()).collect::<Vec<_>>();
            let given = make::tuple(py, given)?;
            let (qualname, parameters) = (make::text(py, qualname)?, make::text(py, parameters)?);
            crate::names::refused(py)?.call1((qualname, parameters, given, keywords))
        };
        match refused() {
            Ok(error) => raised(error),
            Err(error) => error,
        }
    }

    /// The value of `context=`, if that is the only keyword argument: so nearly every call has it
    /// that has keywords at all.
    #[inline]
    pub(crate) fn only_context(&self) -> Option<Bound<'py, PyAny>> {
        /// The names as `_asyncio` passes them: one tuple for all its calls, of a string that is
        /// not the interned one (Modules/_asynciomodule.c, `context_kwname`). Comparing the text
        /// in each of them costs more than the rest of the parsing (bench: future_done_callback).
        static FROM_C: PyOnceLock<Py<PyTuple>> = PyOnceLock::new();

        let names = self.keywords.as_ref()?;
        let is_from_c = |known: &Py<PyTuple>| known.is(names);
        if !FROM_C.get(self.py).is_some_and(is_from_c) {
            if names.len() != 1 {
                return None;
            }
            let name = names.get_borrowed_item(0).ok()?;
            if !name.is(intern!(self.py, "context")) {
                if name.cast::<PyString>().ok()?.to_str().ok()? != "context" {
                    return None;
                }
                FROM_C.get_or_init(self.py, || names.clone().unbind());
            }
        }
        // SAFETY: as in `get`; the keyword's value stands behind the positional ones.
        Some(unsafe { Bound::from_borrowed_ptr(self.py, *self.values.get(self.positional)?) })
    }

    /// Whether there are keyword arguments at all.
    pub(crate) fn has_keywords(&self) -> bool {
        self.keywords.is_some()
    }

    /// The keyword arguments, in the order of the call.
    pub(crate) fn keywords(
        &self,
    ) -> impl Iterator<Item = (Bound<'py, PyString>, Bound<'py, PyAny>)> {
        let names = self.keywords.clone();
        let count = names.as_ref().map_or(0, |names| names.len());
        (0..count).filter_map(move |index| {
            let name = names.as_ref()?.get_item(index).ok()?.cast_into::<PyString>().ok()?;
            // SAFETY: as in `get`; the keyword values stand behind the positional ones.
            let value = unsafe {
                Bound::from_borrowed_ptr(self.py, *self.values.get(self.positional + index)?)
            };
            Some((name, value))
        })
    }
}

/// Adds the method to its class; before the first instance is made.
pub(crate) fn install<M: FastMethod>(py: Python<'_>) -> PyResult<()> {
    let definition = Box::leak(Box::new(ffi::PyMethodDef {
        ml_name: M::NAME.as_ptr(),
        ml_meth: ffi::PyMethodDefPointer { PyCFunctionFastWithKeywords: entry::<M> },
        ml_flags: ffi::METH_FASTCALL | ffi::METH_KEYWORDS,
        ml_doc: M::DOC.as_ptr(),
    }));
    let class = M::Class::type_object(py);
    // SAFETY: attached; the definition is leaked, for the descriptor keeps a pointer to it.
    let descriptor = unsafe {
        Bound::from_owned_ptr_or_err(py, ffi::PyDescr_NewMethod(class.as_type_ptr(), definition))?
    };
    class.setattr(make::text(py, M::NAME.to_string_lossy())?, descriptor)
}

/// # Safety
/// As for [`raw`].
unsafe extern "C" fn entry<M: FastMethod>(
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> *mut ffi::PyObject {
    // SAFETY: passed on.
    unsafe {
        if let Some(plain) = M::PLAIN
            && kwnames.is_null()
            && nargs > 0
            && let Some(result) = plain(Python::assume_attached(), slf, args, nargs as usize)
        {
            return result;
        }
        let result = fastcall_cfunction_with_keywords::<Raw<M>>(slf, args, nargs, kwnames);
        if result.is_null() {
            let class = M::Class::type_object_raw(Python::assume_attached());
            refusal::refuse(class, M::NAME, M::DOC, slf, args, nargs, kwnames);
        }
        result
    }
}

/// PyO3's trampoline marks the thread as attached and stops panics; this is what it calls.
struct Raw<M>(PhantomData<M>);

impl<M: FastMethod> MethodDef<fastcall_cfunction_with_keywords::Func> for Raw<M> {
    const METH: fastcall_cfunction_with_keywords::Func = raw::<M>;
}

/// # Safety
/// Called by CPython as the method it is: attached, on an instance of the class that the
/// descriptor was made for, with a vector of `nargs` positional and `len(kwnames)` keyword values.
unsafe fn raw<M: FastMethod>(
    py: Python<'_>,
    slf: *mut ffi::PyObject,
    args: *const *mut ffi::PyObject,
    nargs: ffi::Py_ssize_t,
    kwnames: *mut ffi::PyObject,
) -> PyResult<*mut ffi::PyObject> {
    // SAFETY: see above.
    let (slf, arguments) =
        unsafe { (Borrowed::from_ptr(py, slf), Arguments::new(py, args, nargs as usize, kwnames)) };
    // SAFETY: the descriptor has checked the type.
    let object = unsafe { slf.cast_unchecked::<M::Class>() };
    Ok(M::call(&object, arguments)?.into_ptr())
}

/// For a [`FastMethod`] that cannot do with its arguments: what is said of them is found out by those
/// who are told (`refusal.rs`).
#[cold]
pub(crate) fn wrong_arguments() -> PyErr {
    PyTypeError::with_text("wrong arguments")
}
