//! Coroutines written as Rust `async` blocks: what `loop.sock_recv(...)` and its like return.
//!
//! An `async` block is the easiest way to write a [`Body`] that is not called often: it costs an
//! allocation. Inside, [`await_object`] is Python's `await`: it sends and throws what the task sends
//! and throws into the innermost awaitable, and hands up what that yields.
//!
//! ```text
//!   task -- send(None) / throw(exc) --> coroutine object -- poll --> async block
//!                                           ^                     | await_object(future)
//!   task <------- yielded future -----------+--- Exchange <-------+
//! ```

use std::cell::RefCell;
use std::ffi::c_int;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi as raw;
use pyo3::prelude::*;

use crate::error::WithText;
use crate::ffi::coroutine::{Body, Resume, new_coroutine};
use crate::ffi::future::awaiting::{Awaiting, Begun};
use crate::ffi::interpreter;
use crate::ffi::iter::Step;

/// Makes a coroutine that runs `future`; `qualname` is what its repr and warnings say,
/// `"Loop.sock_recv"`.
pub(crate) fn make<F>(py: Python<'_>, qualname: &'static str, future: F) -> PyResult<Py<PyAny>>
where
    F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
{
    let body = Block { future: Box::pin(future), held: None, awaiting: None, qualname };
    new_coroutine(py, body).map(Bound::unbind)
}

/// [`make`], for a future that may wait for long on a loop that may be forgotten with it: its objects
/// are in `held`, of which it has a clone, and nowhere else.
pub(crate) fn holding<F>(
    py: Python<'_>,
    qualname: &'static str,
    held: Arc<dyn Held>,
    future: F,
) -> PyResult<Py<PyAny>>
where
    F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
{
    let body = Block { future: Box::pin(future), held: Some(held), awaiting: None, qualname };
    new_coroutine(py, body).map(Bound::unbind)
}

/// Python objects that a future uses, for the collector to see: what is captured by the future itself
/// it cannot see and takes for reachable. Shared, and each object in it counted once.
pub(crate) trait Held: Send + Sync {
    /// Calls `visit` on every Python object; ends with its first non-zero answer.
    fn traverse(&self, py: Python<'_>, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int)
    -> c_int;
}

/// The future, and what it runs on.
struct Block {
    future: Pin<Box<dyn Future<Output = PyResult<Py<PyAny>>> + Send>>,
    held: Option<Arc<dyn Held>>,
    /// What the innermost [`Await`] waits for between two polls. Here, where the collector sees it:
    /// a task that waits for a future that only the task refers to is garbage.
    awaiting: Option<Awaiting>,
    qualname: &'static str,
}

/// One poll's traffic between [`Block`] and the innermost [`Await`].
#[derive(Default)]
struct Exchange {
    resume: Option<Resumed>,
    yielded: Option<Py<PyAny>>,
    awaiting: Option<Awaiting>,
}

/// [`Resume`] without a lifetime.
enum Resumed {
    Value(Py<PyAny>),
    Error(PyErr),
}

thread_local! {
    /// The exchange of the poll on top of the stack. A future may call Python that polls another
    /// coroutine, so polls nest; each saves what it finds.
    static EXCHANGE: RefCell<Exchange> = RefCell::default();
}

impl Body for Block {
    fn qualname(&self) -> &'static str {
        self.qualname
    }

    fn resume<'py>(&mut self, py: Python<'py>, with: Resume<'py>) -> PyResult<Step<'py>> {
        // A future attaches, which is refused then. The loop that it waits on is gone, too.
        if interpreter::is_ending(py) {
            return Err(match with {
                Resume::Value(_) => interpreter::ending(py),
                Resume::Error(error) => error,
            });
        }
        let awaiting = self.awaiting.take();
        let resume = awaiting.is_some().then(|| match with {
            Resume::Value(value) => Resumed::Value(value.unbind()),
            Resume::Error(error) => Resumed::Error(error),
        });
        let outer = EXCHANGE.replace(Exchange { resume, yielded: None, awaiting });
        let mut context = TaskContext::from_waker(Waker::noop());
        let polled = self.future.as_mut().poll(&mut context);
        let exchange = EXCHANGE.replace(outer);
        match polled {
            Poll::Ready(result) => result.map(|value| Step::Returned(value.into_bound(py))),
            Poll::Pending => {
                let (Some(yielded), Some(awaiting)) = (exchange.yielded, exchange.awaiting) else {
                    // Only `Await` returns Pending, and it fills both.
                    return Err(PyRuntimeError::with_text("coroutine waits for nothing"));
                };
                self.awaiting = Some(awaiting);
                Ok(Step::Yielded(yielded.into_bound(py)))
            }
        }
    }

    fn awaited(&self) -> Option<&Awaiting> {
        self.awaiting.as_ref()
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let answer = self.awaiting.as_ref().map_or(0, |awaiting| awaiting.traverse(visit));
        if answer != 0 {
            return answer;
        }
        self.held.as_ref().map_or(0, |held| held.traverse(py, visit))
    }
}

/// Python's `await awaitable`, inside a future that [`make`] runs.
///
/// # Errors
/// Whatever the awaitable raises; so does cancellation arrive.
pub(crate) fn await_object(awaitable: Py<PyAny>) -> Await {
    Await(Waiting::Unstarted(awaitable))
}

/// The future behind [`await_object`].
pub(crate) struct Await(Waiting);

enum Waiting {
    Unstarted(Py<PyAny>),
    /// What it waits for is with the coroutine between polls, and in the exchange during them.
    Started,
    Finished,
}

impl Future for Await {
    type Output = PyResult<Py<PyAny>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Python::attach(|py| {
            let step = match std::mem::replace(&mut self.0, Waiting::Finished) {
                Waiting::Unstarted(awaitable) => match Awaiting::begin(awaitable.bind(py)) {
                    Ok(Begun::Waiting(awaiting, yielded)) => Ok((awaiting, Step::Yielded(yielded))),
                    Ok(Begun::Done(value)) => return Poll::Ready(Ok(value.unbind())),
                    Err(error) => Err(error),
                },
                Waiting::Started => {
                    let (awaiting, resume) = EXCHANGE.with_borrow_mut(|exchange| {
                        (exchange.awaiting.take(), exchange.resume.take())
                    });
                    let (Some(awaiting), Some(resume)) = (awaiting, resume) else {
                        return Poll::Ready(Err(not_in_a_coroutine()));
                    };
                    let resume = match resume {
                        Resumed::Value(value) => Resume::Value(value.into_bound(py)),
                        Resumed::Error(error) => Resume::Error(error),
                    };
                    awaiting.resume(py, resume).map(|step| (awaiting, step))
                }
                Waiting::Finished => return Poll::Ready(Err(not_in_a_coroutine())),
            };
            match step {
                Ok((awaiting, Step::Yielded(yielded))) => {
                    EXCHANGE.with_borrow_mut(|exchange| {
                        exchange.awaiting = Some(awaiting);
                        exchange.yielded = Some(yielded.unbind());
                    });
                    self.0 = Waiting::Started;
                    Poll::Pending
                }
                Ok((_, Step::Returned(value))) => Poll::Ready(Ok(value.unbind())),
                Err(error) => Poll::Ready(Err(error)),
            }
        })
    }
}

fn not_in_a_coroutine() -> PyErr {
    PyRuntimeError::with_text("await_object polled outside of a coroutine, or after its end")
}
