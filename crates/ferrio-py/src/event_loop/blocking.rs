//! Awaiting a blocking call that needs no Python, made by a thread of the loop's own.
//!
//! The threads never attach to the interpreter: a lookup that is stuck when the program ends does
//! not meet an interpreter that is being taken apart. What a call returns waits in a box of Rust's
//! until the coroutine comes for it.

use std::ffi::c_int;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ferrio_engine::Pool;
use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use super::{Loop, watch};
use crate::coroutine::await_object;
use crate::error::WithText;
use crate::item::{Item, Native};

/// Runs `call` in a thread and awaits what it returns. If the coroutine is cancelled, a call that has
/// not begun never will, and one that has runs to its end, for nobody, and in nobody's way.
///
/// # Errors
/// RuntimeError if no thread can be started or the loop is closed; cancellation.
pub(super) async fn blocking<T, F>(looop: Py<Loop>, call: F) -> PyResult<T>
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    let answer = Arc::new(Mutex::new(None));
    let (future, _ticket) = Python::attach(|py| {
        let looop = looop.bind(py);
        let this = looop.get();
        this.check_closed()?;
        let future = Loop::create_future(looop)?.unbind();
        let waiting = future.clone_ref(py);
        let slot = Arc::clone(&answer);
        let inbox = this.inbox().clone();
        let job = Box::new(move || {
            *slot.lock().unwrap_or_else(PoisonError::into_inner) = Some(call());
            // Refused by a loop that was closed meanwhile. The future is released when some
            // thread attaches next.
            drop(inbox.push(Item::Native(Box::new(Returned(waiting)))));
        });
        let submitted = this.pool.with(py, |pool| pool.get_or_insert_with(new_pool).submit(job));
        match submitted {
            Ok(ticket) => Ok((future, ticket)),
            Err(refused) => {
                drop(refused.job);
                Err(PyRuntimeError::with_text("can't start new thread"))
            }
        }
    })?;
    await_object(future).await?;
    let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).take();
    // Without an answer the future was completed by somebody else, or the call has panicked.
    answer.ok_or_else(|| PyRuntimeError::with_text("a blocking call did not return"))
}

/// As many threads as asyncio's default executor has, which is where it makes such calls.
fn new_pool() -> Pool {
    let cpus = std::thread::available_parallelism().map_or(1, usize::from);
    Pool::new((cpus + 4).min(32), LINGER)
}

/// How long a thread waits for another call: through a burst of them, not for good.
const LINGER: Duration = Duration::from_secs(5);

/// The call has returned: the coroutine goes on.
struct Returned(Py<PyAny>);

impl Native for Returned {
    fn run(self: Box<Self>, py: Python<'_>, _looop: &Bound<'_, Loop>) -> PyResult<()> {
        watch::wake(py, &self.0)
    }

    fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        visit(self.0.as_ptr())
    }
}
