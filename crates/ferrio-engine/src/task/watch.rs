//! Waiting for a descriptor.

use std::fmt;
use std::future::poll_fn;
use std::io;
use std::os::fd::{AsFd, AsRawFd, RawFd};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

use crate::inbox::{Inbox, Letter};
use crate::reactor::{Key, Readiness};

/// A non-blocking descriptor whose readiness a future can await. Made by [`Inbox::watch`]; one
/// registration, edge-triggered, for as long as it lives.
///
/// One task may wait to read and another to write. If two wait for the same, the later one takes
/// the earlier one's place.
pub struct Watched<T, F> {
    inbox: Inbox<T>,
    watch: Arc<Watch>,
    file: F,
}

impl<T, F: AsFd> Watched<T, F> {
    pub(crate) fn new(inbox: Inbox<T>, file: F) -> Self {
        let watch = Arc::new(Watch::new(file.as_fd().as_raw_fd()));
        if inbox.send(Letter::Watch(Arc::clone(&watch))).is_err() {
            watch.refuse(io::ErrorKind::NotConnected.into());
        }
        Self { inbox, watch, file }
    }

    /// The file.
    pub const fn file(&self) -> &F {
        &self.file
    }

    /// Tries `operation` until it does not say `WouldBlock`, waiting for input in between.
    ///
    /// # Errors
    ///
    /// The operation's, or the registration's (see [`RegisterError`](crate::RegisterError)).
    pub async fn read_with<R>(&self, operation: impl FnMut(&F) -> io::Result<R>) -> io::Result<R> {
        self.attempt(Direction::Read, operation).await
    }

    /// Tries `operation` until it does not say `WouldBlock`, waiting for room in between.
    ///
    /// # Errors
    ///
    /// The operation's, or the registration's (see [`RegisterError`](crate::RegisterError)).
    pub async fn write_with<R>(&self, operation: impl FnMut(&F) -> io::Result<R>) -> io::Result<R> {
        self.attempt(Direction::Write, operation).await
    }

    async fn attempt<R>(
        &self,
        direction: Direction,
        mut operation: impl FnMut(&F) -> io::Result<R>,
    ) -> io::Result<R> {
        loop {
            // Before the attempt: an edge that comes during it must not be taken for an old one.
            self.watch.clear(direction);
            match operation(&self.file) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                done => return done,
            }
            poll_fn(|context| self.watch.poll(direction, context.waker())).await?;
        }
    }
}

impl<T, F> Drop for Watched<T, F> {
    fn drop(&mut self) {
        if let Some(key) = self.watch.dismiss() {
            // Refused by a closed engine, which has no sources. The file is closed right after
            // this, the registration soon: the registry is made for that order.
            drop(self.inbox.send(Letter::Unwatch(key)));
        }
    }
}

impl<T, F: fmt::Debug> fmt::Debug for Watched<T, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watched").field("file", &self.file).finish_non_exhaustive()
    }
}

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Direction {
    Read,
    Write,
}

/// A watched descriptor, as the engine knows it.
pub(crate) struct Watch {
    pub(crate) fd: RawFd,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    read: Side,
    write: Side,
    key: Option<Key>,
    /// Why it could not be registered, for whoever waits.
    error: Option<io::ErrorKind>,
    is_dismissed: bool,
}

#[derive(Default)]
struct Side {
    is_ready: bool,
    waker: Option<Waker>,
}

impl Watch {
    fn new(fd: RawFd) -> Self {
        Self { fd, state: Mutex::default() }
    }

    fn clear(&self, direction: Direction) {
        self.state().side(direction).is_ready = false;
    }

    fn poll(&self, direction: Direction, waker: &Waker) -> Poll<io::Result<()>> {
        let mut state = self.state();
        if let Some(kind) = state.error {
            return Poll::Ready(Err(kind.into()));
        }
        let side = state.side(direction);
        if side.is_ready {
            return Poll::Ready(Ok(()));
        }
        let before = side.waker.replace(waker.clone());
        // Dropping a waker may drop its task, which may come back here.
        drop(state);
        drop(before);
        Poll::Pending
    }

    /// Whether anybody still wants it registered.
    pub(crate) fn is_wanted(&self) -> bool {
        !self.state().is_dismissed
    }

    /// The engine has registered it, under this key. Returns whether that is still wanted.
    pub(crate) fn set_key(&self, key: Key) -> bool {
        let mut state = self.state();
        state.key = Some(key);
        !state.is_dismissed
    }

    /// The engine could not register it.
    pub(crate) fn refuse(&self, error: io::Error) {
        self.state().error = Some(error.kind());
        drop(error);
        self.wake(Readiness::ERROR);
    }

    /// There is an event.
    pub(crate) fn wake(&self, readiness: Readiness) {
        let mut state = self.state();
        let mut wakers = [None, None];
        if readiness.is_readable() {
            state.read.is_ready = true;
            wakers[0] = state.read.waker.take();
        }
        if readiness.is_writable() {
            state.write.is_ready = true;
            wakers[1] = state.write.waker.take();
        }
        drop(state);
        wakers.into_iter().flatten().for_each(Waker::wake);
    }

    /// Nobody is to be woken any more. Lets go of the wakers, which may be what keeps the future
    /// alive; returns the key to deregister, if there is one.
    pub(crate) fn dismiss(&self) -> Option<Key> {
        let mut state = self.state();
        state.is_dismissed = true;
        let wakers = [state.read.waker.take(), state.write.waker.take()];
        let key = state.key.take();
        drop(state);
        drop(wakers);
        key
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn side(&mut self, direction: Direction) -> &mut Side {
        match direction {
            Direction::Read => &mut self.read,
            Direction::Write => &mut self.write,
        }
    }
}
