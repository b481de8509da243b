//! Interior mutability guarded by the GIL, for state that only attached threads touch.

use std::cell::UnsafeCell;
#[cfg(Py_GIL_DISABLED)]
use std::sync::atomic::{AtomicUsize, Ordering};
#[cfg(Py_GIL_DISABLED)]
use std::sync::{Mutex, MutexGuard, TryLockError};

use pyo3::Python;

/// A value that one attached thread at a time may change.
///
/// Where there is a GIL, holding it is the lock, and a flag catches re-entrance. Without one, a
/// mutex is the lock. It is taken by attached threads, which stay attached while they have it: the
/// collector stops all that are attached at places where none of them has one, and may look into
/// any. Whoever took it detached, to attach with it, would wait for the collector, and the
/// collector for him. Either way the closure given to [`with`](GilCell::with) must not run Python
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
    /// The thread that has the value, to tell a thread that waits for itself; 0 if none has.
    #[cfg(Py_GIL_DISABLED)]
    holder: AtomicUsize,
}

// SAFETY: the value is reached only by attached threads (`with` wants a token), of which the GIL
// admits one at a time, or through the mutex; it may move between threads because it is Send.
unsafe impl<T: Send> Sync for GilCell<T> {}

impl<T: Default + Send> Default for GilCell<T> {
    fn default() -> GilCell<T> {
        GilCell::new(T::default())
    }
}

impl<T: Send> GilCell<T> {
    pub(crate) const fn new(value: T) -> GilCell<T> {
        GilCell {
            #[cfg(not(Py_GIL_DISABLED))]
            busy: std::cell::Cell::new(false),
            #[cfg(not(Py_GIL_DISABLED))]
            value: UnsafeCell::new(value),
            #[cfg(Py_GIL_DISABLED)]
            value: Mutex::new(UnsafeCell::new(value)),
            #[cfg(Py_GIL_DISABLED)]
            holder: AtomicUsize::new(0),
        }
    }

    /// Lends the value to `body`.
    ///
    /// # Panics
    /// If `body` of an outer call led back here, which the rule above forbids.
    #[inline]
    pub(crate) fn with<R>(&self, py: Python<'_>, body: impl FnOnce(&mut T) -> R) -> R {
        #[cfg(not(Py_GIL_DISABLED))]
        match self.try_with(py, body) {
            Some(result) => result,
            None => panic!("state of the loop used while it was being changed"),
        }
        #[cfg(Py_GIL_DISABLED)]
        {
            let held = loop {
                if let Some(held) = self.try_hold() {
                    break held;
                }
                assert!(
                    self.holder.load(Ordering::Relaxed) != current(),
                    "state of the loop used while it was being changed"
                );
                // Waits for it and lets it go: to have it, one has to be attached.
                py.detach(|| drop(self.value.lock()));
            };
            // SAFETY: the mutex is held.
            body(unsafe { &mut *held.guard.get() })
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
            let held = self.try_hold()?;
            // SAFETY: the mutex is held.
            Some(body(unsafe { &mut *held.guard.get() }))
        }
    }

    #[cfg(Py_GIL_DISABLED)]
    fn try_hold(&self) -> Option<Held<'_, T>> {
        let guard = match self.value.try_lock() {
            Ok(guard) => guard,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        self.holder.store(current(), Ordering::Relaxed);
        Some(Held { guard, holder: &self.holder })
    }
}

/// The mutex, held by an attached thread.
#[cfg(Py_GIL_DISABLED)]
struct Held<'a, T> {
    guard: MutexGuard<'a, UnsafeCell<T>>,
    holder: &'a AtomicUsize,
}

#[cfg(Py_GIL_DISABLED)]
impl<T> Drop for Held<'_, T> {
    fn drop(&mut self) {
        // Before the mutex is let go: the next one writes here.
        self.holder.store(0, Ordering::Relaxed);
    }
}

/// A number that no other thread has, and none has that is zero.
#[cfg(Py_GIL_DISABLED)]
fn current() -> usize {
    thread_local!(static MARK: u8 = const { 0 });
    MARK.with(|mark| std::ptr::from_ref(mark).addr())
}
