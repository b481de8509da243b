//! Whether an object's class still has the methods that a short cut leaves out.
//!
//! Native code that calls native code of another object must not pass over a method that a program
//! has put in between: by a subclass, or by setting an attribute of the class. Mostly one comparison
//! tells that nobody has: CPython numbers the versions of classes, each number is given once, and
//! whatever is changed about a class or its bases gives it another one.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

/// Methods, and what stood under their names when the classes were made.
pub(crate) struct Methods {
    names: &'static [&'static str],
    expected: PyOnceLock<Vec<Py<PyAny>>>,
    /// What is known of some versions: the number twice, plus one if the methods are there. Each
    /// has one place. Zero is no version's.
    known: [AtomicU64; 4],
}

impl Methods {
    pub(crate) const fn new(names: &'static [&'static str]) -> Methods {
        Methods { names, expected: PyOnceLock::new(), known: [const { AtomicU64::new(0) }; 4] }
    }

    /// Notes what the methods are: each is taken from the first of these classes that has it.
    pub(crate) fn remember(&self, py: Python<'_>, classes: &[&Bound<'_, PyAny>]) -> PyResult<()> {
        self.expected.get_or_try_init(py, || {
            let of = |name: &&str| -> PyResult<Py<PyAny>> {
                for class in &classes[..classes.len() - 1] {
                    if let Some(method) = class.getattr_opt(*name)? {
                        return Ok(method.unbind());
                    }
                }
                Ok(classes[classes.len() - 1].getattr(*name)?.unbind())
            };
            self.names.iter().map(of).collect::<PyResult<Vec<_>>>()
        })?;
        Ok(())
    }

    /// Whether it is one of these names.
    pub(crate) fn contain(&self, name: &str) -> bool {
        self.names.contains(&name)
    }

    /// Has the object's class these methods, unchanged? What the object itself has under these
    /// names is for its `__setattr__` to note.
    #[inline]
    pub(crate) fn are_of(&self, object: &Bound<'_, PyAny>) -> bool {
        // SAFETY: attached; the type of a live object.
        let version = unsafe { u64::from((*ffi::Py_TYPE(object.as_ptr())).tp_version_tag) };
        let known = self.known[version as usize % self.known.len()].load(Ordering::Relaxed);
        if version != 0 && known >> 1 == version {
            return known & 1 != 0;
        }
        self.look(object)
    }

    #[cold]
    fn look(&self, object: &Bound<'_, PyAny>) -> bool {
        let class = object.get_type();
        let Some(expected) = self.expected.get(object.py()) else { return false };
        let are_there =
            self.names.iter().zip(expected).all(|(name, expected)| {
                class.getattr(*name).is_ok_and(|method| method.is(expected))
            });
        // SAFETY: attached; a live type. The look-ups have given it a version, if CPython has not
        // run out of numbers.
        let version = unsafe { u64::from((*class.as_type_ptr()).tp_version_tag) };
        let known = version << 1 | u64::from(are_there);
        self.known[version as usize % self.known.len()].store(known, Ordering::Relaxed);
        are_there
    }
}
