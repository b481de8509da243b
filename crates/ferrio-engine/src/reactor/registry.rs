//! Who is registered under which descriptor, kept true although descriptors are closed and reused
//! behind our back.
//!
//! A descriptor is a number. A user may close a registered one, and the next `socket()` gives the
//! same number to something else; the kernel forgets the old registration by itself, or, if the
//! file lives on under another number (`dup`, a forked child), keeps reporting it with no way to
//! remove it. Hence these rules:
//!
//! 1. The kernel is given a [`Key`], slot and generation, not the number. An event whose key is not
//!    registered any more goes nowhere.
//! 2. A number belongs to the last source registered under it (`owners`). An earlier one still held
//!    is *orphaned*: it gets no more events, and deregistering it does not touch the number's new
//!    owner.
//! 3. EEXIST on adding means that the kernel still has the number (the file lives on): modify.
//!    ENOENT on modifying means that it has not (closed and reopened): add. EBADF and ENOENT on
//!    deleting mean that it is done already.
//! 4. An event that comes for the same dead key twice is one of those registrations that cannot be
//!    removed. Left alone it would make every wait return at once, for ever; so the driver is
//!    renewed and all sources move over.

use std::fmt;
use std::io;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::io::Errno;

use super::{Interest, Readiness, Trigger};
use crate::slots::{SlotKey, Slots};
use crate::sys::{Driver, Events};

/// Names a registered source. Stale once that is deregistered, and then harmless for ever.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct Key(SlotKey);

impl Key {
    /// The key as a number, never 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// The inverse of [`to_bits`](Self::to_bits). A number that came from elsewhere gives a key
    /// that names nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(SlotKey::from_bits(bits))
    }
}

/// A source that could not be registered, and why.
pub struct RegisterError<S> {
    /// What the system said: EPERM for files that are always ready (regular files, directories),
    /// EBADF for numbers that are not open or an engine that is closed, ENOSPC and ENOMEM at the
    /// system's limits.
    pub error: io::Error,
    /// What was to be registered, for the caller to drop where that is safe.
    pub source: S,
}

impl<S> fmt::Debug for RegisterError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisterError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl<S> fmt::Display for RegisterError<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl<S> From<RegisterError<S>> for io::Error {
    fn from(failed: RegisterError<S>) -> Self {
        failed.error
    }
}

/// What [`Engine::rearm`](crate::Engine::rearm) found in the kernel.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Rearmed {
    /// Nothing unexpected.
    Kept,
    /// The kernel had forgotten the source, so its descriptor was closed behind our back, and is
    /// now another file under the old number. That file is what is watched from here on.
    Anew,
}

/// One wait for events, to be made without the engine.
///
/// It owns what the kernel writes to, so the engine may be used meanwhile, by other threads too:
/// what they register counts at once, what they put on the inbox ends the wait.
pub struct Wait {
    /// `None` if the engine was closed when the wait was begun.
    driver: Option<Arc<Driver>>,
    events: Events,
    /// `None` is for ever.
    timeout: Option<Duration>,
}

impl Wait {
    /// Blocks until there is an event, the inbox is filled or told to wake, the time is over, or a
    /// signal is handled (EINTR). Returns how many events came, among which a driver may count the
    /// wake-up: 0 means that there is nothing to hand out.
    ///
    /// # Errors
    ///
    /// EBADF if the engine is closed; otherwise nothing that a correct program could cause.
    pub fn block(&mut self) -> io::Result<usize> {
        match &self.driver {
            // Edges taken from the kernel and not handed out yet: it does not repeat them.
            Some(_) if self.events.len() > 0 => Ok(self.events.len()),
            Some(driver) => driver.wait(&mut self.events, self.timeout),
            None => Err(Errno::BADF.into()),
        }
    }

    /// As [`block`](Self::block), after a wait by other means: takes what there is.
    ///
    /// # Errors
    ///
    /// Those of `block`.
    pub fn poll(&mut self) -> io::Result<usize> {
        self.timeout = Some(Duration::ZERO);
        self.block()
    }

    /// How long [`block`](Self::block) would block at most, for those who wait by other means;
    /// `None` is for ever.
    #[must_use]
    pub fn timeout(&self) -> Option<Duration> {
        if self.events.len() > 0 { Some(Duration::ZERO) } else { self.timeout }
    }
}

impl fmt::Debug for Wait {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Wait").field("timeout", &self.timeout).finish_non_exhaustive()
    }
}

pub(crate) struct Reactor<S> {
    /// `None` once closed. Shared with the [`Wait`] under way.
    driver: Option<Arc<Driver>>,
    sources: Slots<Source<S>>,
    /// By descriptor number: the last source registered under it. Numbers are given out from the
    /// lowest, so the list is about as long as the process has files open.
    owners: Vec<Option<SlotKey>>,
    /// How many sources the kernel has. With none there is nothing to poll for.
    attached: usize,
    /// Between two waits, so that each need not allocate.
    idle_wait: Option<Wait>,
    /// The dead key that had an event last, see rule 4.
    stray: Option<u64>,
}

struct Source<S> {
    fd: RawFd,
    /// What was asked for last. `NONE` is not in the kernel: it would report errors and hang-ups
    /// all the same, level triggered, in every turn.
    interest: Interest,
    trigger: Trigger,
    /// Whether the kernel has it, as far as we know.
    attached: bool,
    payload: S,
}

impl<S> Reactor<S> {
    pub(crate) fn new(driver: Driver) -> Self {
        Self {
            driver: Some(Arc::new(driver)),
            sources: Slots::new(),
            owners: Vec::new(),
            attached: 0,
            idle_wait: None,
            stray: None,
        }
    }

    pub(crate) fn register(
        &mut self,
        fd: RawFd,
        interest: Interest,
        trigger: Trigger,
        payload: S,
    ) -> Result<Key, RegisterError<S>> {
        let Some(driver) = self.driver.clone() else {
            return Err(RegisterError { error: Errno::BADF.into(), source: payload });
        };
        let Ok(number) = usize::try_from(fd) else {
            return Err(RegisterError { error: Errno::BADF.into(), source: payload });
        };
        let source = Source { fd, interest, trigger, attached: false, payload };
        let key = self.sources.insert(source);
        if !interest.is_none()
            && let Err(error) = attach(&driver, fd, key.to_bits(), interest, trigger)
        {
            return match self.sources.remove(key) {
                Some(source) => Err(RegisterError { error, source: source.payload }),
                None => unreachable!("inserted a few lines above"),
            };
        }
        if number >= self.owners.len() {
            self.owners.resize(number + 1, None);
        }
        if let Some(orphan) = self.owners[number].replace(key)
            && let Some(orphan) = self.sources.get_mut(orphan)
            && orphan.attached
        {
            orphan.attached = false;
            self.attached -= 1;
            if interest.is_none() {
                // The number may still carry the orphan's registration. If it does not, all the
                // better.
                let _ = driver.delete(fd);
            }
        }
        if !interest.is_none() {
            self.attached += 1;
            if let Some(source) = self.sources.get_mut(key) {
                source.attached = true;
            }
        }
        Ok(Key(key))
    }

    /// In the child of a fork, see [`Engine::unshare`](crate::Engine::unshare).
    pub(crate) fn unshare(&mut self) -> io::Result<()> {
        let Some(driver) = &self.driver else { return Ok(()) };
        let driver = match driver.unshare() {
            Ok(None) => Arc::clone(driver),
            Ok(Some(own)) => Arc::new(own),
            Err(error) => {
                // Nothing may be changed in what is the parent's.
                self.driver = None;
                self.idle_wait = None;
                return Err(error);
            }
        };
        if self.driver.as_ref().is_some_and(|old| !Arc::ptr_eq(old, &driver)) {
            // What it had to tell, the new one has, too.
            self.idle_wait = None;
            self.stray = None;
        }
        let mut attached = 0;
        for (key, source) in self.sources.iter_mut() {
            if source.attached {
                let (interest, trigger) = (source.interest, source.trigger);
                // One that was closed behind our back is gone, as it was before.
                source.attached = driver.add(source.fd, key.to_bits(), interest, trigger).is_ok();
                attached += usize::from(source.attached);
            }
        }
        self.attached = attached;
        self.driver = Some(driver);
        Ok(())
    }

    pub(crate) fn set_interest(&mut self, key: Key, interest: Interest) -> io::Result<()> {
        let (Some(_), Some(source)) = (&self.driver, self.sources.get(key.0)) else {
            return Err(Errno::BADF.into());
        };
        if source.interest == interest {
            return Ok(());
        }
        let trigger = source.trigger;
        self.rearm(key, interest, trigger).map(drop)
    }

    pub(crate) fn rearm(
        &mut self,
        key: Key,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<Rearmed> {
        let (Some(driver), Some(source)) = (&self.driver, self.sources.get_mut(key.0)) else {
            return Err(Errno::BADF.into());
        };
        if owner(&self.owners, source.fd) != Some(key.0) {
            return Err(Errno::BADF.into());
        }
        source.trigger = trigger;
        let was_attached = source.attached;
        let token = key.to_bits();
        let result = if interest.is_none() {
            source.attached = false;
            if was_attached { detach(driver, source.fd) } else { Ok(()) }.map(|()| Rearmed::Kept)
        } else {
            let changed = if was_attached {
                match driver.modify(source.fd, token, interest, trigger) {
                    Err(error) if is_errno(&error, Errno::NOENT) => {
                        driver.add(source.fd, token, interest, trigger).map(|()| Rearmed::Anew)
                    }
                    changed => changed.map(|()| Rearmed::Kept),
                }
            } else {
                attach(driver, source.fd, token, interest, trigger).map(|()| Rearmed::Kept)
            };
            source.attached = changed.is_ok();
            changed
        };
        // After a failure the kernel has nothing of this source, so the next change must not be
        // taken for none.
        source.interest = if result.is_ok() { interest } else { Interest::NONE };
        self.attached = self.attached - usize::from(was_attached) + usize::from(source.attached);
        result
    }

    pub(crate) fn deregister(&mut self, key: Key) -> Option<S> {
        let source = self.sources.remove(key.0)?;
        if owner(&self.owners, source.fd) == Some(key.0) {
            self.owners[source.fd as usize] = None;
        }
        if source.attached {
            self.attached -= 1;
            if let Some(driver) = &self.driver {
                // Nobody could do anything about it: the source is gone, and rule 4 catches what
                // stays behind.
                let _ = detach(driver, source.fd);
            }
        }
        Some(source.payload)
    }

    pub(crate) fn source(&self, key: Key) -> Option<&S> {
        self.sources.get(key.0).map(|source| &source.payload)
    }

    pub(crate) fn source_mut(&mut self, key: Key) -> Option<&mut S> {
        self.sources.get_mut(key.0).map(|source| &mut source.payload)
    }

    pub(crate) fn interest(&self, key: Key) -> Option<Interest> {
        self.sources.get(key.0).map(|source| source.interest)
    }

    /// The last source registered under this number.
    pub(crate) fn key_of(&self, fd: RawFd) -> Option<Key> {
        owner(&self.owners, fd).map(Key)
    }

    pub(crate) fn sources(&self) -> impl Iterator<Item = (Key, &S)> {
        self.sources.iter().map(|(key, source)| (Key(key), &source.payload))
    }

    pub(crate) fn len(&self) -> usize {
        self.sources.len()
    }

    /// Looks for events without waiting; not even that if nothing is registered.
    pub(crate) fn poll_now(&mut self) -> io::Result<usize> {
        if self.attached == 0 {
            return Ok(0);
        }
        let mut wait = self.begin_wait(Some(Duration::ZERO));
        let polled = wait.block();
        self.end_wait(wait);
        polled
    }

    /// See [`Engine::fd`](crate::Engine::fd).
    pub(crate) fn fd(&self) -> Option<RawFd> {
        self.driver.as_ref()?.fd()
    }

    pub(crate) fn begin_wait(&mut self, timeout: Option<Duration>) -> Wait {
        match self.idle_wait.take() {
            Some(mut wait) => {
                wait.timeout = timeout;
                wait
            }
            None => Wait {
                driver: self.driver.clone(),
                events: self.driver.as_ref().map_or(Events::None, |driver| driver.events()),
                timeout,
            },
        }
    }

    pub(crate) fn end_wait(&mut self, wait: Wait) {
        let is_current = match (&wait.driver, &self.driver) {
            (Some(waited), Some(current)) => Arc::ptr_eq(waited, current),
            (_, None) | (None, _) => false,
        };
        if is_current {
            self.idle_wait = Some(wait);
        }
    }

    /// Gives each event of the last wait to `on_event`, unless its source is gone or orphaned.
    pub(crate) fn collect(&mut self, mut on_event: impl FnMut(Key, Readiness, &mut S)) {
        let Some(wait) = &mut self.idle_wait else {
            return;
        };
        let mut stray = None;
        let mut strays_again = false;
        for index in 0..wait.events.len() {
            let Some((token, readiness)) = wait.events.at(index) else {
                break;
            };
            if token == 0 {
                continue; // The waker's.
            }
            let key = SlotKey::from_bits(token);
            match self.sources.get_mut(key) {
                Some(source) if source.attached => {
                    on_event(Key(key), readiness, &mut source.payload);
                }
                Some(_) | None => {
                    strays_again |= self.stray == Some(token);
                    stray = Some(token);
                }
            }
        }
        if wait.events.len() > 0 {
            self.stray = stray;
        }
        wait.events.clear();
        if strays_again {
            self.renew_driver();
        }
    }

    pub(crate) fn close(&mut self) -> Vec<S> {
        self.driver = None;
        self.idle_wait = None;
        self.owners = Vec::new();
        self.attached = 0;
        self.sources.drain().into_iter().map(|source| source.payload).collect()
    }

    /// Rule 4. If the system has no descriptor left for it, the next stray event tries again.
    fn renew_driver(&mut self) {
        let Some(Ok(driver)) = self.driver.as_ref().and_then(|driver| driver.renewed()) else {
            return;
        };
        self.attached = 0;
        for (key, source) in self.sources.iter_mut().filter(|(_, source)| source.attached) {
            let token = key.to_bits();
            // A source closed behind our back stays behind: in the new driver it has nothing to
            // wait for.
            let added = driver.add(source.fd, token, source.interest, source.trigger);
            source.attached = added.is_ok();
            self.attached += usize::from(source.attached);
        }
        self.driver = Some(Arc::new(driver));
        self.idle_wait = None;
        self.stray = None;
    }
}

fn attach(
    driver: &Driver,
    fd: RawFd,
    token: u64,
    interest: Interest,
    trigger: Trigger,
) -> io::Result<()> {
    match driver.add(fd, token, interest, trigger) {
        Err(error) if is_errno(&error, Errno::EXIST) => driver.modify(fd, token, interest, trigger),
        added => added,
    }
}

fn detach(driver: &Driver, fd: RawFd) -> io::Result<()> {
    match driver.delete(fd) {
        Err(error) if is_errno(&error, Errno::NOENT) || is_errno(&error, Errno::BADF) => Ok(()),
        deleted => deleted,
    }
}

fn owner(owners: &[Option<SlotKey>], fd: RawFd) -> Option<SlotKey> {
    *owners.get(usize::try_from(fd).ok()?)?
}

fn is_errno(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
