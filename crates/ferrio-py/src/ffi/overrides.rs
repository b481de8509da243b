//! Whether an object's class still has the methods that a short cut leaves out.
//!
//! Native code that calls native code of another object must not pass over a method that a program
//! has put in between: by a subclass, or by setting an attribute of the class. Mostly one comparison
//! tells that nobody has: CPython numbers the versions of classes, each number is given once, and
//! whatever is changed about a class or its bases gives it another one. Where somebody has, the answer
//! says which, for only that is to be called by its name.

use std::sync::atomic::{AtomicU64, Ordering};

use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;

use super::make;

/// Methods, and what stood under their names when the classes were made.
pub(crate) struct Methods {
    names: &'static [&'static str],
    expected: PyOnceLock<Vec<Py<PyAny>>>,
    /// What is known of some versions: the number, and below it which methods are others. Each has
    /// one place. Zero is no version's.
    known: [AtomicU64; 16],
}

/// Some of the [`Methods`]: a bit for each, in the order of the names.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Names(u32);

impl Names {
    pub(crate) const NONE: Names = Names(0);

    /// The chosen ones of what [`Methods::new`] is called with.
    ///
    /// # Panics
    /// Where one is none of them; for constants, so when it is compiled.
    pub(crate) const fn of(all: &[&str], chosen: &[&str]) -> Names {
        let mut bits = 0;
        let mut at = 0;
        while at < chosen.len() {
            match position(all, chosen[at]) {
                Some(index) => bits |= 1 << index,
                None => panic!("not one of the methods"),
            }
            at += 1;
        }
        Names(bits)
    }

    #[inline]
    pub(crate) const fn has_any_of(self, others: Names) -> bool {
        self.0 & others.0 != 0
    }

    #[must_use]
    pub(crate) const fn and(self, others: Names) -> Names {
        Names(self.0 | others.0)
    }

    pub(crate) const fn bits(self) -> u32 {
        self.0
    }

    pub(crate) const fn from_bits(bits: u32) -> Names {
        Names(bits)
    }
}

impl Methods {
    pub(crate) const fn new(names: &'static [&'static str]) -> Methods {
        assert!(names.len() <= 32, "a bit for each");
        Methods { names, expected: PyOnceLock::new(), known: [const { AtomicU64::new(0) }; 16] }
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

    /// The one of this name, if it is one of them.
    pub(crate) fn find(&self, name: &str) -> Option<Names> {
        position(self.names, name).map(|index| Names(1 << index))
    }

    /// Has the object's class these methods, unchanged? What the object itself has under these
    /// names is for its `__setattr__` to note.
    #[inline]
    pub(crate) fn are_of(&self, object: &Bound<'_, PyAny>) -> bool {
        self.replaced_in(object) == Names::NONE
    }

    /// Those in whose place the object's class has something else.
    #[inline]
    pub(crate) fn replaced_in(&self, object: &Bound<'_, PyAny>) -> Names {
        // SAFETY: attached; the type of a live object.
        let version = unsafe { u64::from((*ffi::Py_TYPE(object.as_ptr())).tp_version_tag) };
        let known = self.known[version as usize % self.known.len()].load(Ordering::Relaxed);
        if version != 0 && known >> 32 == version {
            return Names(known as u32);
        }
        self.look(object)
    }

    #[cold]
    fn look(&self, object: &Bound<'_, PyAny>) -> Names {
        let class = object.get_type();
        let Some(expected) = self.expected.get(object.py()) else { return Names(u32::MAX) };
        // SAFETY: attached; a live type. The look-ups give it a version, if CPython has not run out
        // of numbers.
        let version = || unsafe { u64::from((*class.as_type_ptr()).tp_version_tag) };
        let before = version();
        let mut replaced = 0;
        for (index, (name, expected)) in self.names.iter().zip(expected).enumerate() {
            // Without memory for the name nothing is known, now.
            let Ok(name) = make::text(class.py(), name) else { return Names(u32::MAX) };
            let found = class.getattr(name);
            if !found.is_ok_and(|method| method.is(expected)) {
                replaced |= 1 << index;
            }
        }
        // A metaclass of the program's may have changed the class meanwhile.
        if before == 0 || before == version() {
            let known = version() << 32 | u64::from(replaced);
            self.known[version() as usize % self.known.len()].store(known, Ordering::Relaxed);
        }
        Names(replaced)
    }
}

pub(super) const fn position(names: &[&str], name: &str) -> Option<usize> {
    let mut at = 0;
    while at < names.len() {
        if is_same(names[at].as_bytes(), name.as_bytes()) {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// `==`, which constants cannot have of slices.
const fn is_same(one: &[u8], other: &[u8]) -> bool {
    let mut at = 0;
    while at < one.len() && at < other.len() && one[at] == other[at] {
        at += 1;
    }
    at == one.len() && at == other.len()
}
