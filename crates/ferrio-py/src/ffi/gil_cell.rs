//! Interior mutability guarded by the GIL, for state that only attached threads touch.

use std::cell::UnsafeCell;
#[cfg(Py_GIL_DISABLED)]
use std::sync::{Mutex, PoisonError};

use pyo3::Python;

/// A value that one attached thread at a time may change.
///
/// Where there is a GIL, holding it is the lock, and a flag catches re-entrance. Without one, a
/// mutex is the lock. Either way the closure given to [`with`](GilCell::with) must not run Python
/// code, detach, allocate a Python object (3.11 may collect garbage there) or drop the last
/// reference to one: any of these may come back here. Take things out, let go of the cell, then
/// drop or call them.
pub(crate) struct GilCell<T> {
    #[cfg(not(Py_GIL_DISABLED))]
    busy: std::cell::Cell<bool>,
    #[cfg(not(Py_GIL_DISABLED))]
    value: UnsafeCell<T>,
    #[cfg(Py_GIL_DISABLED)]
    value: Mutex<UnsafeCell<T>>,
}

// SAFETY: the value is reached only by attached threads (`with` wants a token), of which the GIL
// admits one at a time, or through the mutex; it may move between threads because it is Send.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T: Default> Default for GilCell<T> {
    fn default() -> GilCell<T> {
        GilCell::new(T::default())
    }
}

impl<T> GilCell<T> {
    pub(crate) const fn new(value: T) -> GilCell<T> {
        GilCell {
            #[cfg(not(Py_GIL_DISABLED))]
            busy: std::cell::Cell::new(false),
            #[cfg(not(Py_GIL_DISABLED))]
            value: UnsafeCell::new(value),
            #[cfg(Py_GIL_DISABLED)]
            value: Mutex::new(UnsafeCell::new(value)),
        }
    }

    /// Lends the value to `body`.
    ///
    /// # Panics
    /// If `body` of an outer call led back here, which the rule above forbids.
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut T) -> R) -> R {
        match self.try_with(py, body) {
            Some(result) => result,
            None => panic!("state of the loop used while it was being changed"),
        }
    }

    /// [`with`](GilCell::with), or None if the value is lent already: for the garbage collector,
    /// which may come at any time and then takes what it cannot see for reachable.
    #[inline]
    pub(crate) fn try_with<R>(&self, _py: Python<'_>, body: impl FnOnce(&mut T) -> R) -> Option<R> {
        #[cfg(not(Py_GIL_DISABLED))]
        {
            struct Busy<'a>(&'a std::cell::Cell<bool>);
            impl Drop for Busy<'_> {
                fn drop(&mut self) {
                    self.0.set(false);
                }
            }
            if self.busy.replace(true) {
                return None;
            }
            let _busy = Busy(&self.busy);
            // SAFETY: the flag was down, so nobody on this thread has the value, and the GIL
            // keeps all others away until `body` returns.
            Some(body(unsafe { &mut *self.value.get() }))
        }
        #[cfg(Py_GIL_DISABLED)]
        {
            use pyo3::sync::MutexExt;
            let guard = match self.value.try_lock() {
                Ok(guard) => guard,
                Err(std::sync::TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => {
                    self.value.lock_py_attached(_py).unwrap_or_else(PoisonError::into_inner)
                }
            };
            // SAFETY: the mutex is held.
            Some(body(unsafe { &mut *guard.get() }))
        }
    }
}
