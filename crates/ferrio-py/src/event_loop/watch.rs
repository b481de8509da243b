//! What a program does with a descriptor itself, without a transport: callbacks of `add_reader`
//! and `add_writer`, and `sock_*` coroutines that wait.
//!
//! One registration serves all of them, in one of two ways:
//!
//! * with a callback, level-triggered, asking for exactly what somebody waits for: a callback has
//!   to be called again while there is something left (asyncio's meaning);
//! * without one, edge-triggered and *kept*: a coroutine tries its call, waits for an edge only
//!   after EAGAIN, and tries again. So any number of waits costs one `epoll_ctl`.
//!
//! A kept registration outlives the wait, and the descriptor may be closed meanwhile and its number
//! given to another socket. The kernel forgets the registration then and says nothing. That it is
//! still good is known by the socket object that it was made for, held by a weak reference: the
//! object is alive, it is the same, and its number is the same, so the file is.

use std::ffi::c_int;
use std::os::fd::RawFd;

use ferrio_engine::{Interest, Key, Readiness, ReadyQueue, Rearmed, Trigger};
use pyo3::ffi as raw;
use pyo3::prelude::*;
use pyo3::types::{PyWeakrefMethods, PyWeakrefReference};

use super::readers::Unwatch;
use super::{Loop, State};
use crate::error::os_error;
use crate::ffi::handle::Handle;
use crate::item::{Item, Source};

/// Which of a descriptor's two directions.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(crate) enum Direction {
    Read,
    Write,
}

impl Direction {
    pub(crate) fn interest(self) -> Interest {
        match self {
            Direction::Read => Interest::READ,
            Direction::Write => Interest::WRITE,
        }
    }
}

/// The source for one descriptor.
#[derive(Default)]
pub(crate) struct Watch {
    read: Side,
    write: Side,
    /// What `add_reader` was given, if not a number: once closed, only its identity tells what
    /// `remove_reader` is to remove.
    file: Option<Py<PyAny>>,
    /// Whom the kept registration is for.
    socket: Option<Py<PyWeakrefReference>>,
}

/// Who is interested in one direction.
#[derive(Default)]
struct Side {
    callback: Option<Handle>,
    /// Futures, done when the kernel says that the coroutine should try again. All are roused at
    /// once: an edge is reported once, and one that is cancelled just then must not keep it.
    waiters: Vec<(WaiterId, Py<PyAny>)>,
}

/// Tells a loop's waiters apart.
type WaiterId = u64;

impl Watch {
    /// Puts the callbacks that this event concerns on the ready queue, and the coroutines' futures
    /// among those to be woken in this turn.
    pub(crate) fn event(
        &mut self,
        py: Python<'_>,
        key: Key,
        readiness: Readiness,
        ready: &mut ReadyQueue<Item>,
        woken: &mut Vec<Py<PyAny>>,
    ) {
        for direction in [Direction::Read, Direction::Write] {
            if readiness.directions(direction.interest()).is_none() {
                continue;
            }
            let side = self.side(direction);
            if let Some(callback) = &side.callback {
                // A handle can be cancelled behind our back by who got it from `_add_reader`.
                if callback.is_cancelled(py).unwrap_or(false) {
                    ready.push(Item::Native(Box::new(Unwatch { key, direction })));
                } else {
                    ready.push(Item::Handle(callback.clone_ref(py)));
                }
            }
            woken.extend(side.waiters.drain(..).map(|(_, future)| future));
        }
    }

    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }

    /// Level-triggered with callbacks, kept without.
    fn has_callback(&self) -> bool {
        self.read.callback.is_some() || self.write.callback.is_some()
    }

    /// What somebody waits for.
    fn interest(&self) -> Interest {
        let mut interest = Interest::NONE;
        for (side, wanted) in [(&self.read, Interest::READ), (&self.write, Interest::WRITE)] {
            if side.callback.is_some() || !side.waiters.is_empty() {
                interest = interest.with(wanted);
            }
        }
        interest
    }

    fn is_for(&self, socket: &Bound<'_, PyAny>) -> bool {
        let weak = self.socket.as_ref().and_then(|weak| weak.bind(socket.py()).upgrade());
        weak.is_some_and(|alive| alive.is(socket))
    }

    pub(crate) fn is_of_file(&self, file: &Bound<'_, PyAny>) -> bool {
        self.file.as_ref().is_some_and(|known| known.is(file))
    }

    /// Shows the collector what is held.
    pub(crate) fn traverse(&self, visit: &mut dyn FnMut(*mut raw::PyObject) -> c_int) -> c_int {
        let callbacks = [&self.read.callback, &self.write.callback].into_iter().flatten();
        let waiters = self.read.waiters.iter().chain(&self.write.waiters);
        callbacks
            .map(|handle| handle.as_object().as_ptr())
            .chain(waiters.map(|(_, future)| future.as_ptr()))
            .chain(self.file.as_ref().map(Py::as_ptr))
            .chain(self.socket.as_ref().map(Py::as_ptr))
            .map(visit)
            .find(|&answer| answer != 0)
            .unwrap_or(0)
    }

    /// Lets go of everything, for another file has the number now or soon: callbacks are
    /// cancelled, and waiting coroutines find out by trying.
    ///
    /// # Errors
    /// What a replaced `call_soon` raises.
    pub(crate) fn abandon(self, py: Python<'_>) -> PyResult<()> {
        for side in [self.read, self.write] {
            if let Some(callback) = side.callback {
                callback.cancel(py)?;
            }
            for (_, future) in side.waiters {
                wake(py, &future)?;
            }
        }
        Ok(())
    }
}

/// Completes the future of a coroutine that waits, unless it was cancelled.
///
/// # Errors
/// What a replaced `call_soon` raises.
pub(crate) fn wake(py: Python<'_>, future: &Py<PyAny>) -> PyResult<()> {
    match crate::ffi::call::call_method1(
        py,
        future,
        pyo3::intern!(py, "set_result"),
        py.None().bind(py),
    ) {
        Ok(_) => Ok(()),
        Err(error) if error.matches(py, crate::names::invalid_state_error(py)?)? => Ok(()),
        Err(error) => Err(error),
    }
}

impl State {
    /// The watch of a descriptor, unless something else is registered for it.
    fn watch(&mut self, fd: RawFd) -> Option<(Key, &mut Watch)> {
        let key = self.engine.key_of(fd)?;
        match self.engine.source_mut(key)? {
            Source::Watch(watch) => Some((key, watch)),
            Source::Stream(_) | Source::Datagram(_) | Source::Listener(_) | Source::Native(_) => {
                None
            }
        }
    }

    /// The transport that has this descriptor, or is about to.
    pub(crate) fn owner(&self, py: Python<'_>, fd: RawFd) -> Option<Py<PyAny>> {
        if let Some(owner) = self.transports.get(&fd) {
            return Some(owner.clone_ref(py));
        }
        match self.engine.source(self.engine.key_of(fd)?)? {
            Source::Stream(transport) => Some(transport.get(py)?.into_any()),
            Source::Datagram(transport) => Some(transport.get(py)?.into_any()),
            Source::Watch(_) | Source::Listener(_) | Source::Native(_) => None,
        }
    }

    /// Does a transport or a listener have this descriptor? It may have been closed since.
    pub(crate) fn is_owned(&self, fd: RawFd) -> bool {
        let source = self.engine.key_of(fd).and_then(|key| self.engine.source(key));
        match source {
            Some(
                Source::Stream(_) | Source::Datagram(_) | Source::Listener(_) | Source::Native(_),
            ) => true,
            Some(Source::Watch(_)) | None => false,
        }
    }

    fn watch_of(&mut self, key: Key) -> Option<&mut Watch> {
        match self.engine.source_mut(key)? {
            Source::Watch(watch) => Some(watch),
            Source::Stream(_) | Source::Datagram(_) | Source::Listener(_) | Source::Native(_) => {
                None
            }
        }
    }

    /// The watch in which `file` was registered as an object.
    pub(crate) fn find_file(&self, file: &Bound<'_, PyAny>) -> Option<Key> {
        self.engine.find(|source| match source {
            Source::Watch(watch) => watch.is_of_file(file),
            Source::Stream(_) | Source::Datagram(_) | Source::Listener(_) | Source::Native(_) => {
                false
            }
        })
    }

    fn remove_watch(&mut self, key: Key) -> Option<Watch> {
        match self.engine.deregister(key)? {
            Source::Watch(watch) => Some(watch),
            // The key is that of a watch: callers have just looked.
            Source::Stream(_) | Source::Datagram(_) | Source::Listener(_) | Source::Native(_) => {
                None
            }
        }
    }

    /// Takes the watch off a descriptor that is about to be registered by its new owner.
    pub(super) fn evict_watch(&mut self, fd: RawFd) -> Option<Watch> {
        let (key, _) = self.watch(fd)?;
        self.remove_watch(key)
    }
}

/// What a change left over, to be let go of outside of the loop's state.
#[must_use]
#[derive(Default)]
pub(crate) struct Leftover {
    /// The callback that was replaced or removed.
    pub(crate) callback: Option<Handle>,
    /// What was there before the number became another file.
    stale: Option<Watch>,
    /// What the kernel refused.
    refused: Option<std::io::Error>,
    /// What is only to be dropped.
    source: Option<Source>,
    socket: Option<Py<PyWeakrefReference>>,
}

impl Leftover {
    /// Cancels and wakes; true if there was a callback.
    pub(crate) fn settle(self, py: Python<'_>) -> PyResult<bool> {
        let was_there = self.callback.is_some();
        if let Some(callback) = self.callback {
            callback.cancel(py)?;
        }
        if let Some(stale) = self.stale {
            stale.abandon(py)?;
        }
        drop((self.source, self.socket));
        match self.refused {
            Some(error) => Err(os_error(error)),
            None => Ok(was_there),
        }
    }
}

impl State {
    /// Makes `callback` that of one direction.
    pub(crate) fn set_callback(
        &mut self,
        fd: RawFd,
        direction: Direction,
        callback: Handle,
        file: Option<Py<PyAny>>,
    ) -> Leftover {
        let mut left = Leftover::default();
        let Some((key, watch)) = self.watch(fd) else {
            let mut watch = Watch { file, ..Watch::default() };
            watch.side(direction).callback = Some(callback);
            let source = Source::Watch(watch);
            let interest = direction.interest();
            if let Err(refused) = self.engine.register(fd, interest, Trigger::Level, source) {
                left.refused = Some(refused.error);
                left.source = Some(refused.source);
            }
            return left;
        };
        left.callback = watch.side(direction).callback.replace(callback);
        let interest = watch.interest();
        match self.engine.rearm(key, interest, Trigger::Level) {
            Ok(Rearmed::Kept) => {}
            Ok(Rearmed::Anew) => {
                // Only the new callback knows of this file.
                if let Some(watch) = self.watch_of(key) {
                    let callback = watch.side(direction).callback.take();
                    left.stale = Some(std::mem::take(watch));
                    watch.side(direction).callback = callback;
                    watch.file = file;
                    // Less at most: what the stale ones waited for.
                    left.refused = self.engine.set_interest(key, direction.interest()).err();
                }
            }
            Err(error) => {
                left.refused = Some(error);
                left.stale = self.remove_watch(key);
            }
        }
        left
    }

    /// Takes the callback of one direction away.
    pub(crate) fn take_callback(&mut self, key: Key, direction: Direction) -> Leftover {
        let mut left = Leftover::default();
        let Some(watch) = self.watch_of(key) else { return left };
        left.callback = watch.side(direction).callback.take();
        if left.callback.is_none() {
            return left;
        }
        let interest = watch.interest();
        if interest.is_none() {
            left.stale = self.remove_watch(key);
            return left;
        }
        let trigger = if watch.has_callback() { Trigger::Level } else { Trigger::Edge };
        match self.engine.rearm(key, interest, trigger) {
            Ok(Rearmed::Kept) => {}
            Ok(Rearmed::Anew) => left.stale = self.remove_watch(key),
            Err(error) => {
                left.refused = Some(error);
                left.stale = self.remove_watch(key);
            }
        }
        left
    }

    /// Takes the callback of one direction of a descriptor away.
    pub(crate) fn take_callback_of(&mut self, fd: RawFd, direction: Direction) -> Leftover {
        match self.watch(fd) {
            Some((key, _)) => self.take_callback(key, direction),
            None => Leftover::default(),
        }
    }
}

/// A coroutine's place among those that wait for a socket, to be given up by
/// [`leave`](Waiter::leave).
pub(crate) struct Waiter {
    key: Key,
    direction: Direction,
    id: WaiterId,
}

impl Waiter {
    /// Queues up: `future` is done when the call is worth another try. `socket` is the object whose
    /// number `fd` is. `is_plain` says that the kernel itself has just answered EAGAIN; anything
    /// else may say so while there is something to be had, so its registration is made anew for
    /// every wait, which reports what is there already.
    ///
    /// # Errors
    /// RuntimeError for a closed loop; what the kernel says to watching it.
    pub(crate) fn new(
        looop: &Bound<'_, Loop>,
        socket: &Bound<'_, PyAny>,
        fd: RawFd,
        direction: Direction,
        future: Py<PyAny>,
        is_plain: bool,
    ) -> PyResult<Waiter> {
        let py = looop.py();
        let this = looop.get();
        let kept = this.open(py, |state| {
            state.last_waiter += 1;
            let id = state.last_waiter;
            (id, state.wait_again(socket, fd, direction, (id, future)))
        })?;
        let (id, key) = match kept {
            (id, Ok(key)) => (id, key),
            (id, Err(waiting)) => {
                let weak =
                    if is_plain { Some(PyWeakrefReference::new(socket)?.unbind()) } else { None };
                let (key, left) =
                    this.open(py, |state| state.wait_anew(weak, fd, direction, waiting))?;
                left.settle(py)?;
                // Without a key something was refused, which has been returned.
                (id, key.ok_or_else(|| os_error(std::io::ErrorKind::NotFound.into()))?)
            }
        };
        Ok(Waiter { key, direction, id })
    }

    /// Gives the place up, and nobody else's.
    pub(crate) fn leave(&self, py: Python<'_>, looop: &Loop) {
        let place = looop.with_state(py, |state| {
            let watch = state.watch_of(self.key)?;
            let waiters = &mut watch.side(self.direction).waiters;
            // Empty, as a rule: who was woken is in no queue any more.
            let place = waiters.iter().position(|(id, _)| *id == self.id);
            let place = place.map(|index| waiters.remove(index));
            if watch.has_callback() {
                // Level-triggered, so what nobody waits for would be reported for ever. Failing, it
                // is a descriptor closed behind our back, which reports nothing.
                let interest = watch.interest();
                let _ = state.engine.set_interest(self.key, interest);
            }
            place
        });
        drop(place);
    }
}

impl State {
    /// Waits on a registration that is there; gives the future back if there is none or it may be
    /// another file's.
    fn wait_again(
        &mut self,
        socket: &Bound<'_, PyAny>,
        fd: RawFd,
        direction: Direction,
        future: (WaiterId, Py<PyAny>),
    ) -> Result<Key, (WaiterId, Py<PyAny>)> {
        let Some((key, watch)) = self.watch(fd) else { return Err(future) };
        if watch.has_callback() || !watch.is_for(socket) {
            return Err(future);
        }
        let wanted = direction.interest();
        if !self.engine.interest(key).is_some_and(|interest| interest.contains(wanted)) {
            return Err(future);
        }
        // Looked up again, since the engine was asked in between.
        let Some((key, watch)) = self.watch(fd) else { return Err(future) };
        watch.side(direction).waiters.push(future);
        Ok(key)
    }

    /// Waits on a new registration, or on one that is made sure of.
    fn wait_anew(
        &mut self,
        socket: Option<Py<PyWeakrefReference>>,
        fd: RawFd,
        direction: Direction,
        future: (WaiterId, Py<PyAny>),
    ) -> (Option<Key>, Leftover) {
        let mut left = Leftover::default();
        let Some((key, watch)) = self.watch(fd) else {
            let mut watch = Watch { socket, ..Watch::default() };
            watch.side(direction).waiters.push(future);
            let interest = direction.interest();
            let source = Source::Watch(watch);
            return match self.engine.register(fd, interest, Trigger::Edge, source) {
                Ok(key) => (Some(key), left),
                Err(refused) => {
                    left.refused = Some(refused.error);
                    left.source = Some(refused.source);
                    (None, left)
                }
            };
        };
        watch.side(direction).waiters.push(future);
        let (interest, trigger) = if watch.has_callback() {
            (watch.interest(), Trigger::Level)
        } else {
            // What was asked for once will be again.
            let asked = self.engine.interest(key).unwrap_or(Interest::NONE);
            (asked.with(direction.interest()), Trigger::Edge)
        };
        match self.engine.rearm(key, interest, trigger) {
            Ok(rearmed) => {
                if let Some(watch) = self.watch_of(key) {
                    if rearmed == Rearmed::Anew {
                        let mine = watch.side(direction).waiters.pop();
                        left.stale = Some(std::mem::take(watch));
                        watch.side(direction).waiters.extend(mine);
                    }
                    left.socket = std::mem::replace(&mut watch.socket, socket);
                }
                if rearmed == Rearmed::Anew {
                    left.refused = self.engine.rearm(key, interest, Trigger::Edge).err();
                }
                (Some(key), left)
            }
            Err(error) => {
                left.refused = Some(error);
                left.stale = self.remove_watch(key);
                (None, left)
            }
        }
    }
}
