//! `gather`.

use std::collections::HashMap;
use std::ffi::c_int;
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::Arc;

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyList, PyTuple, PyType};

use super::ensure::ensure_inner;
use crate::aio::current::{current_task, running_loop_if_any};
use crate::aio::versions::Versions;
use crate::error::WithText;
use crate::event_loop::tasks::create_future;
use crate::ffi::Context;
use crate::ffi::coroutine::is_coroutine;
use crate::ffi::done_callback::{DoneCallback, new_callback};
use crate::ffi::future::{adopt_gathering, awaited_by, gathering, state};
use crate::ffi::gil_cell::GilCell;
use crate::ffi::interned::intern;
use crate::ffi::make;
use crate::ffi::raise::raised;
use crate::names;

static GATHERING: PyOnceLock<gathering::Slots> = PyOnceLock::new();

/// Takes the class of what `gather` returns.
#[pyfunction]
#[pyo3(name = "_adopt_gathering_future")]
pub(super) fn adopt_gathering_future(gathering: &Bound<'_, PyType>) -> PyResult<()> {
    // Now, as long as asyncio's own functions stand where they are looked for.
    Versions::get(gathering.py())?;
    GATHERING.get_or_try_init(gathering.py(), || adopt_gathering(gathering)).map(drop)
}

/// Return a future aggregating results from the given coroutines/futures.
///
/// Its result is the list of the results, in the order of the arguments. With return_exceptions, an
/// exception counts as a result; otherwise the first one is that of the future. Cancelling it cancels
/// what is not done yet.
#[pyfunction]
#[pyo3(signature = (*coros_or_futures, return_exceptions = None, **unknown))]
#[pyo3(text_signature = "(*coros_or_futures, return_exceptions=False)")]
pub(super) fn gather<'py>(
    coros_or_futures: &Bound<'py, PyTuple>,
    return_exceptions: Option<&Bound<'py, PyAny>>,
    unknown: Option<&Bound<'py, PyDict>>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = coros_or_futures.py();
    if let Some(unknown) = unknown {
        let parameters = intern!(py, "*coros_or_futures, return_exceptions=False");
        let refused = names::refused(py)?;
        let error =
            refused.call1((intern!(py, "gather"), parameters, coros_or_futures, unknown))?;
        return Err(raised(error));
    }
    if coros_or_futures.is_empty() {
        let outer = create_future(&current_or_new_loop(py)?)?;
        state::set_result(&outer, make::list(py)?.as_any())?;
        return Ok(outer);
    }
    let return_exceptions = return_exceptions.map_or(Ok(false), |value| value.is_truthy())?;
    let versions = Versions::get(py)?;
    let mut looop = None;
    let mut parent = None;
    if awaited_by::EXISTS {
        looop = Some(running_loop_if_any(py)?).filter(|looop| !looop.is_none());
        if let Some(looop) = &looop {
            parent = current_task(py, Some(looop))?;
        }
    }
    let gathered = Arc::new(Gathered {
        state: GilCell::new(State {
            children: Vec::new(),
            outer: None,
            finished: 0,
            count: 0,
            parent: parent.clone().map(Bound::unbind),
        }),
        return_exceptions,
    });
    let callback = new_callback(py, Child(Arc::clone(&gathered)))?;
    // One for all of them: nothing of the program's runs in it.
    let context = Context::copy_current(py)?;
    let mut known = Known::default();
    let mut children = Vec::with_capacity(coros_or_futures.len());
    let mut done = Vec::new();
    for argument in coros_or_futures.iter_borrowed() {
        if let Some(index) = known.find(&argument, children.len())? {
            let again: &Py<PyAny> = &children[index];
            children.push(again.clone_ref(py));
            continue;
        }
        let future = ensure_inner(&argument, looop.as_ref())?;
        if looop.is_none() {
            looop = Some(state::loop_of(&future)?);
        }
        if !future.is(&*argument) {
            // Nobody else can have it, so nobody is to hear that it was forgotten.
            state::forget_silently(&future)?;
        }
        gathered.state.with(py, |state| state.count += 1);
        if versions.gather_is_eager && state::is_done(&future)? {
            done.push(future.clone());
        } else {
            if let Some(parent) = &parent {
                awaited_by::add_by_name(&future, parent)?;
            }
            state::add_done_callback(&future, &callback, Some(&context))?;
        }
        children.push(future.unbind());
    }
    let Some(looop) = looop else {
        return Err(PyRuntimeError::with_text("no event loop for gather"));
    };
    let list = make::list_of(py, children.iter().map(|child| child.bind(py)))?;
    let outer = new_outer(&looop, list)?;
    let shared = outer.clone().unbind();
    gathered.state.with(py, |state| {
        state.children = children;
        state.outer = Some(shared);
    });
    // If all of them are done, so is the outer one with the last of these.
    for future in done {
        gathered.child_done(py, &future)?;
    }
    Ok(outer)
}

/// Where asyncio would look for a loop if there is nothing that has one.
fn current_or_new_loop(py: Python<'_>) -> PyResult<Bound<'_, PyAny>> {
    let events = names::events(py)?;
    match events.getattr_opt(intern!(py, "_get_event_loop"))? {
        // Up to 3.11; it warns where this is called.
        Some(function) if cfg!(not(Py_3_12)) => {
            let kwargs = make::dict(py)?;
            kwargs.set_item(intern!(py, "stacklevel"), 2)?;
            function.call((), Some(&kwargs))
        }
        Some(_) | None => events.call_method0(intern!(py, "get_event_loop")),
    }
}

fn new_outer<'py>(
    looop: &Bound<'py, PyAny>,
    children: Bound<'py, PyList>,
) -> PyResult<Bound<'py, PyAny>> {
    let py = looop.py();
    match GATHERING.get(py) {
        // Debug mode wants to know where a future was made.
        Some(slots) if !crate::event_loop::is_debug(looop)? => {
            slots.new_future(looop, children.into_any())
        }
        Some(_) | None => {
            let kwargs = make::dict(py)?;
            kwargs.set_item(intern!(py, "loop"), looop)?;
            names::aio_gathering_future(py)?.call((children,), Some(&kwargs))
        }
    }
}

/// Which argument came before, for the same one may be given twice.
#[derive(Default)]
struct Known<'py> {
    /// Coroutines and futures, which are equal only to themselves.
    by_address: HashMap<usize, usize, BuildHasherDefault<AddressHasher>>,
    /// Whatever else there is: it may say itself what it is equal to.
    others: Option<Bound<'py, PyDict>>,
}

impl<'py> Known<'py> {
    /// The index of the first argument equal to this one; notes this one if there is none.
    fn find(&mut self, argument: &Bound<'py, PyAny>, index: usize) -> PyResult<Option<usize>> {
        if is_coroutine(argument) || state::is_known(argument) {
            let first = *self.by_address.entry(argument.as_ptr() as usize).or_insert(index);
            return Ok((first != index).then_some(first));
        }
        let others = match &mut self.others {
            Some(others) => others,
            none => none.insert(make::dict(argument.py())?),
        };
        if let Some(first) = others.get_item(argument)? {
            return first.extract().map(Some);
        }
        others.set_item(argument, make::count(argument.py(), index)?)?;
        Ok(None)
    }
}

/// Addresses of objects are different enough in their middle.
#[derive(Default)]
struct AddressHasher(u64);

impl Hasher for AddressHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_usize(usize::from(byte));
        }
    }

    fn write_usize(&mut self, value: usize) {
        // The table takes its index from the low bits and its tags from the high ones.
        let mixed = (self.0 ^ value as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        self.0 = mixed ^ (mixed >> 32);
    }
}

/// What the children's callback knows.
struct Gathered {
    state: GilCell<State>,
    return_exceptions: bool,
}

struct State {
    children: Vec<Py<PyAny>>,
    /// None until all arguments have become children.
    outer: Option<Py<PyAny>>,
    finished: usize,
    /// How many different children there are.
    count: usize,
    /// The task that waits, for the call graph.
    parent: Option<Py<PyAny>>,
}

/// What each child calls when it is done: one object for all of them.
struct Child(Arc<Gathered>);

impl DoneCallback for Child {
    const QUALNAME: &'static str = "gather.<locals>._done_callback";

    fn call(&self, py: Python<'_>, future: &Bound<'_, PyAny>) -> PyResult<()> {
        self.0.child_done(py, future)
    }

    fn traverse(
        &self,
        py: Python<'_>,
        visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int,
    ) -> c_int {
        let all = self.0.state.try_with(py, |state| {
            let others = [&state.outer, &state.parent].into_iter().flatten();
            state
                .children
                .iter()
                .chain(others)
                .map(|object| visit(object.as_ptr()))
                .find(|&answer| answer != 0)
        });
        all.flatten().unwrap_or(0)
    }
}

impl Gathered {
    fn child_done(&self, py: Python<'_>, child: &Bound<'_, PyAny>) -> PyResult<()> {
        let (outer, parent, is_last) = self.state.with(py, |state| {
            state.finished += 1;
            let clone = |object: &Py<PyAny>| object.bind(py).clone();
            let is_last = state.finished == state.count;
            (state.outer.as_ref().map(clone), state.parent.as_ref().map(clone), is_last)
        });
        if let Some(parent) = &parent {
            awaited_by::discard_by_name(child, parent)?;
        }
        let outer = match outer {
            Some(outer) if !state::is_done(&outer)? => outer,
            Some(_) | None => {
                if !state::is_cancelled(child)? {
                    // Marks it as retrieved.
                    state::exception(child)?;
                }
                return Ok(());
            }
        };
        if !self.return_exceptions {
            let error = match state::is_cancelled(child)? {
                true => Some(state::cancelled_error(child)?),
                false => state::exception(child)?,
            };
            if let Some(error) = error {
                if let Some(parent) = &parent
                    && Versions::get(py)?.gather_forgets_children
                {
                    for child in &self.children(py) {
                        awaited_by::discard_by_name(child.bind(py), parent)?;
                    }
                }
                return state::set_exception(&outer, &error);
            }
        }
        if is_last { self.finish(&outer) } else { Ok(()) }
    }

    fn children(&self, py: Python<'_>) -> Vec<Py<PyAny>> {
        self.state
            .with(py, |state| state.children.iter().map(|child| child.clone_ref(py)).collect())
    }

    /// All children are done.
    fn finish(&self, outer: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = outer.py();
        let children = self.children(py);
        let mut results = Vec::with_capacity(children.len());
        for child in &children {
            results.push(outcome(child.bind(py))?);
        }
        let is_cancel_requested = match GATHERING.get(py) {
            Some(slots) => slots.is_cancel_requested(outer)?,
            None => outer.getattr(intern!(py, "_cancel_requested"))?.is_truthy()?,
        };
        if is_cancel_requested {
            let Some(last) = children.last() else { return Ok(()) };
            return state::set_exception(outer, &state::cancelled_error(last.bind(py))?);
        }
        state::set_result(outer, make::list_of(py, results)?.as_any())
    }
}

/// A child's result, or its exception as one.
fn outcome<'py>(child: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = child.py();
    if state::is_cancelled(child)? {
        // Not its own CancelledError, which can be had only once.
        let message = child.getattr(intern!(py, "_cancel_message"))?;
        let class = names::cancelled_error(py)?;
        return match message.is_none() {
            true => class.call1(("",)),
            false => class.call1((message,)),
        };
    }
    match state::exception(child)? {
        Some(error) => Ok(error),
        None => state::result(child),
    }
}
