//! Coroutines written in Rust: what `loop.sock_recv(...)` and its like return.
//!
//! asyncio's own are `async def` functions, and programs rely on it: they pass them to
//! `create_task`, close them, are warned of those they forgot to await. So each such method of
//! ours is a Rust `async` block, and [`Coroutine`] makes it look like a coroutine object. Inside,
//! [`await_object`] is Python's `await`: it sends and throws what the task sends and throws into
//! the innermost awaitable, and hands up what that yields.
//!
//! ```text
//!   task -- send(None) / throw(exc) --> Coroutine -- poll --> async block
//!                                           ^                     | await_object(future)
//!   task <------- yielded future -----------+--- Exchange <-------+
//! ```

use std::cell::RefCell;
use std::ffi::{CString, c_int};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll, Waker};

use pyo3::exceptions::{PyRuntimeError, PyRuntimeWarning, PyStopIteration};
use pyo3::ffi as raw;
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyTraceback, PyType};

use crate::ffi::call::{python_of, visit_pointer};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::iter::{self, Sendable, Step};

/// What is being run, and what it runs on.
struct Body {
    future: Pin<Box<dyn Future<Output = PyResult<Py<PyAny>>> + Send>>,
    held: Option<Arc<dyn Held>>,
}

/// Python objects that a body uses, for the collector to see: what is captured by the body itself
/// it cannot see and takes for reachable. Shared, and each object in it counted once.
pub(crate) trait Held: Send + Sync {
    /// Calls `visit` on every Python object; ends with its first non-zero answer.
    fn traverse(&self, py: Python<'_>, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int)
    -> c_int;
}

/// A coroutine of the event loop. Await it once, or give it to `create_task`.
#[pyclass(module = "ferrio", name = "Coroutine", frozen, weakref)]
pub(crate) struct Coroutine {
    state: GilCell<State>,
    qualname: &'static str,
}

impl Body {
    fn traverse(&self, visit: &PyVisit<'_>) -> Result<(), PyTraverseError> {
        let mut result = Ok(());
        if let Some(held) = &self.held {
            held.traverse(python_of(visit), &mut |object| {
                result = visit_pointer(visit, object);
                c_int::from(result.is_err())
            });
        }
        result
    }
}

enum State {
    /// Nothing of the body has run.
    Created(Body),
    /// The body waits for the iterator, which the collector must be able to see: a task that
    /// waits for a future that only the task refers to is garbage.
    Suspended { body: Body, awaiting: Py<PyAny> },
    /// Its body is on the stack.
    Running,
    /// Returned, raised or closed.
    Finished,
}

/// What goes in and out of one poll.
enum Resume {
    Value(Py<PyAny>),
    Error(PyErr),
}

/// One poll's traffic between [`Coroutine`] and the innermost [`Await`].
#[derive(Default)]
struct Exchange {
    resume: Option<Resume>,
    yielded: Option<Py<PyAny>>,
    awaiting: Option<Py<PyAny>>,
}

thread_local! {
    /// The exchange of the poll on top of the stack. A body may call Python that polls another
    /// coroutine, so polls nest; each saves what it finds.
    static EXCHANGE: RefCell<Exchange> = RefCell::default();
}

impl Coroutine {
    /// Wraps `body`; `qualname` is what its repr and warnings say, `"Loop.sock_recv"`.
    pub(crate) fn make<F>(py: Python<'_>, qualname: &'static str, body: F) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
    {
        Coroutine::of(py, qualname, Body { future: Box::pin(body), held: None })
    }

    /// [`make`](Coroutine::make), for a body that may wait for long on a loop that may be forgotten
    /// with it: its objects are in `held`, of which it has a clone, and nowhere else.
    pub(crate) fn holding<F>(
        py: Python<'_>,
        qualname: &'static str,
        held: Arc<dyn Held>,
        body: F,
    ) -> PyResult<Py<PyAny>>
    where
        F: Future<Output = PyResult<Py<PyAny>>> + Send + 'static,
    {
        Coroutine::of(py, qualname, Body { future: Box::pin(body), held: Some(held) })
    }

    fn of(py: Python<'_>, qualname: &'static str, body: Body) -> PyResult<Py<PyAny>> {
        let state = GilCell::new(State::Created(body));
        Ok(Py::new(py, Coroutine { state, qualname })?.into_any())
    }

    fn resume<'py>(slf: &Bound<'py, Self>, with: Resume) -> PyResult<Step<'py>> {
        let py = slf.py();
        let this = slf.get();
        let state = this.state.with(py, |state| std::mem::replace(state, State::Running));
        let (mut body, awaiting) = match state {
            State::Created(body) => match with {
                Resume::Value(ref value) if !value.is_none(py) => {
                    this.state.with(py, |state| *state = State::Created(body));
                    return Err(pyo3::exceptions::PyTypeError::new_err(
                        "can't send non-None value to a just-started coroutine",
                    ));
                }
                Resume::Value(_) => (body, None),
                Resume::Error(error) => {
                    this.state.with(py, |state| *state = State::Finished);
                    drop(body);
                    return Err(error);
                }
            },
            State::Suspended { body, awaiting } => (body, Some(awaiting)),
            State::Running => {
                return Err(pyo3::exceptions::PyValueError::new_err("coroutine already executing"));
            }
            State::Finished => {
                this.state.with(py, |state| *state = State::Finished);
                return Err(match with {
                    Resume::Error(error) => error,
                    Resume::Value(_) => {
                        PyRuntimeError::new_err("cannot reuse already awaited coroutine")
                    }
                });
            }
        };
        let resume = awaiting.is_some().then_some(with);
        let outer = EXCHANGE.replace(Exchange { resume, yielded: None, awaiting });
        let mut context = TaskContext::from_waker(Waker::noop());
        let polled = body.future.as_mut().poll(&mut context);
        let exchange = EXCHANGE.replace(outer);
        match polled {
            Poll::Ready(result) => {
                this.state.with(py, |state| *state = State::Finished);
                drop(body);
                match result {
                    Ok(value) => Ok(Step::Returned(value.into_bound(py))),
                    Err(error) => Err(not_stop_iteration(py, error)),
                }
            }
            Poll::Pending => {
                let (Some(yielded), Some(awaiting)) = (exchange.yielded, exchange.awaiting) else {
                    // Only `Await` returns Pending, and it fills both.
                    this.state.with(py, |state| *state = State::Finished);
                    drop(body);
                    return Err(PyRuntimeError::new_err("coroutine waits for nothing"));
                };
                this.state.with(py, |state| *state = State::Suspended { body, awaiting });
                Ok(Step::Yielded(yielded.into_bound(py)))
            }
        }
    }
}

/// A coroutine may not raise StopIteration: its caller would take it for the result (PEP 479).
fn not_stop_iteration(py: Python<'_>, error: PyErr) -> PyErr {
    if !error.is_instance_of::<PyStopIteration>(py) {
        return error;
    }
    let wrapped = PyRuntimeError::new_err("coroutine raised StopIteration");
    wrapped.set_cause(py, Some(error));
    wrapped
}

impl Sendable for Coroutine {
    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Step<'py>> {
        Coroutine::resume(slf, Resume::Value(value.clone().unbind()))
    }
}

#[pymethods]
impl Coroutine {
    #[getter]
    fn __name__(&self) -> &'static str {
        self.qualname.rsplit('.').next().unwrap_or(self.qualname)
    }

    #[getter]
    fn __qualname__(&self) -> &'static str {
        self.qualname
    }

    /// True while its body runs.
    #[getter]
    fn cr_running(&self, py: Python<'_>) -> bool {
        self.state.with(py, |state| matches!(state, State::Running))
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        format!("<coroutine object {} at {:p}>", slf.get().qualname, slf.as_ptr())
    }

    fn __await__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// One step without a value; [`iter::install_send`] puts a quicker one in its place.
    fn __next__<'py>(slf: &Bound<'py, Self>) -> PyResult<Bound<'py, PyAny>> {
        Coroutine::send(slf, slf.py().None().bind(slf.py()))
    }

    fn send<'py>(slf: &Bound<'py, Self>, value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match <Coroutine as Sendable>::send(slf, value)? {
            Step::Yielded(object) => Ok(object),
            Step::Returned(value) => Err(iter::stop_iteration(&value)),
        }
    }

    /// Raises an exception where the coroutine waits. As for a coroutine object, the three-argument
    /// form is accepted.
    #[pyo3(signature = (typ, val=None, tb=None, /))]
    fn throw<'py>(
        slf: &Bound<'py, Self>,
        typ: &Bound<'py, PyAny>,
        val: Option<Bound<'py, PyAny>>,
        tb: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let value = match (typ.cast::<PyType>(), val) {
            (Ok(_), Some(value)) if value.is_instance(typ)? => value,
            (Ok(class), Some(value)) if !value.is_none() => class.call1((value,))?,
            (Ok(class), _) => class.call0()?,
            (Err(_), _) => typ.clone(),
        };
        let error = PyErr::from_value(value);
        if let Some(tb) = tb
            && let Ok(tb) = tb.cast_into::<PyTraceback>()
        {
            error.set_traceback(py, Some(tb));
        }
        match Coroutine::resume(slf, Resume::Error(error))? {
            Step::Yielded(object) => Ok(object),
            Step::Returned(value) => Err(iter::stop_iteration(&value)),
        }
    }

    /// Ends the coroutine: raises GeneratorExit where it waits.
    fn close(slf: &Bound<'_, Self>) -> PyResult<()> {
        let py = slf.py();
        let this = slf.get();
        let unstarted = this.state.with(py, |state| match state {
            State::Created(_) => Some(std::mem::replace(state, State::Finished)),
            State::Suspended { .. } | State::Running | State::Finished => None,
        });
        if unstarted.is_some() || this.state.with(py, |s| matches!(s, State::Finished)) {
            return Ok(());
        }
        let exit = pyo3::exceptions::PyGeneratorExit::new_err(());
        match Coroutine::resume(slf, Resume::Error(exit)) {
            Ok(Step::Yielded(_)) => Err(PyRuntimeError::new_err("coroutine ignored GeneratorExit")),
            Ok(Step::Returned(_)) => Ok(()),
            Err(error)
                if error.is_instance_of::<pyo3::exceptions::PyGeneratorExit>(py)
                    || error.is_instance_of::<PyStopIteration>(py) =>
            {
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.state
            .try_with(python_of(&visit), |state| match state {
                State::Suspended { awaiting, body } => {
                    visit.call(&*awaiting)?;
                    body.traverse(&visit)
                }
                State::Created(body) => body.traverse(&visit),
                State::Running | State::Finished => Ok(()),
            })
            .unwrap_or(Ok(()))
    }

    fn __clear__(&self, py: Python<'_>) {
        let state = self.state.with(py, |state| std::mem::replace(state, State::Finished));
        drop(state);
    }
}

impl Drop for Coroutine {
    fn drop(&mut self) {
        // Deallocation is always attached, except after the interpreter's end.
        let _detached_at_exit = Python::try_attach(|py| {
            let unstarted = self.state.with(py, |state| matches!(state, State::Created(_)));
            if unstarted {
                warn_never_awaited(py, self.qualname);
            }
        });
    }
}

/// The RuntimeWarning for a coroutine object that nobody awaited.
fn warn_never_awaited(py: Python<'_>, qualname: &str) {
    let pending = PyErr::take(py);
    let text = format!("coroutine '{qualname}' was never awaited");
    let warned = CString::new(text)
        .map_err(PyErr::from)
        .and_then(|text| PyErr::warn(py, &py.get_type::<PyRuntimeWarning>(), &text, 1));
    if let Err(error) = warned {
        error.write_unraisable(py, None);
    }
    if let Some(error) = pending {
        error.restore(py);
    }
}

/// Python's `await awaitable`, inside the body of a [`Coroutine`].
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
    /// Its iterator is with the coroutine between polls, and in the exchange during them.
    Started,
    Finished,
}

impl Future for Await {
    type Output = PyResult<Py<PyAny>>;

    fn poll(mut self: Pin<&mut Self>, _: &mut TaskContext<'_>) -> Poll<Self::Output> {
        Python::attach(|py| {
            let step = match std::mem::replace(&mut self.0, Waiting::Finished) {
                Waiting::Unstarted(awaitable) => {
                    iter::awaitable_iter(awaitable.bind(py)).and_then(|iterator| {
                        let step = iter::send(&iterator, py.None().bind(py))?;
                        Ok((iterator, step))
                    })
                }
                Waiting::Started => {
                    let (awaiting, resume) = EXCHANGE.with_borrow_mut(|exchange| {
                        (exchange.awaiting.take(), exchange.resume.take())
                    });
                    let (Some(awaiting), Some(resume)) = (awaiting, resume) else {
                        return Poll::Ready(Err(not_in_a_coroutine()));
                    };
                    let iterator = awaiting.into_bound(py);
                    let step = match resume {
                        Resume::Value(value) => iter::send(&iterator, value.bind(py)),
                        Resume::Error(error) => iter::throw(&iterator, error),
                    };
                    step.map(|step| (iterator, step))
                }
                Waiting::Finished => return Poll::Ready(Err(not_in_a_coroutine())),
            };
            match step {
                Ok((iterator, Step::Yielded(yielded))) => {
                    EXCHANGE.with_borrow_mut(|exchange| {
                        exchange.awaiting = Some(iterator.unbind());
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
    PyRuntimeError::new_err("await_object polled outside of a Coroutine, or after its end")
}
