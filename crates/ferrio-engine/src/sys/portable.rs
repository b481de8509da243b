//! Every other system, through the `polling` crate: kqueue on macOS and the BSDs. Built and tested
//! on Linux too, where it costs five system calls a wait and knows less about hang-ups.
//!
//! Where it differs from the epoll driver:
//!
//! - It cannot tell that the peer has finished, so every readable event says that it may have.
//! - Signals do not end a wait: the crate begins it again. What must end it has to be a source (a
//!   [`SignalPipe`](crate::SignalPipe)) or the inbox.
//! - Wake-ups are not counted among the events of a wait.

use std::io;
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use polling::{Event, PollMode, Poller};

use super::borrowed;
use crate::mailbox::Wake;
use crate::reactor::{Interest, Readiness, Trigger};

#[derive(Debug)]
pub(crate) struct Portable {
    poller: Arc<Poller>,
}

impl Portable {
    /// Fails with `Unsupported` where there are no edge-triggered events (Windows, systems with
    /// only poll(2)), on which the stream transports are built.
    pub(crate) fn new() -> io::Result<Self> {
        let poller = Poller::new()?;
        if !poller.supports_edge() || !poller.supports_level() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        Ok(Self { poller: Arc::new(poller) })
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.poller.as_raw_fd()
    }

    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(Notifier { poller: Arc::clone(&self.poller) })
    }

    pub(crate) fn add(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        // Refuses negative numbers, which the crate does not.
        borrowed(fd)?;
        // SAFETY: the poller may refer to the descriptor by its number after it was closed, and is
        // told to forget it (`delete`) by the reactor; in between, what it says of the number is
        // checked against the registry's generations. epoll and kqueue forget closed files by
        // themselves and are handed no pointer.
        unsafe { self.poller.add_with_mode(fd, event(token, interest)?, mode(trigger)) }
    }

    pub(crate) fn modify(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        self.poller.modify_with_mode(borrowed(fd)?, event(token, interest)?, mode(trigger))
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        self.poller.delete(borrowed(fd)?)
    }

    pub(crate) fn wait(
        &self,
        events: &mut PortableEvents,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        events.clear();
        self.poller.wait(&mut events.raw, timeout)?;
        let translated = events.raw.iter().map(|event| (event.key as u64, readiness(event)));
        events.list.extend(translated);
        Ok(events.list.len())
    }
}

#[derive(Debug)]
pub(crate) struct PortableEvents {
    raw: polling::Events,
    list: Vec<(u64, Readiness)>,
}

impl PortableEvents {
    pub(crate) fn new() -> Self {
        Self { raw: polling::Events::new(), list: Vec::new() }
    }

    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    pub(crate) fn at(&self, index: usize) -> Option<(u64, Readiness)> {
        self.list.get(index).copied()
    }

    pub(crate) fn clear(&mut self) {
        self.raw.clear();
        self.list.clear();
    }
}

#[derive(Debug)]
struct Notifier {
    poller: Arc<Poller>,
}

impl Wake for Notifier {
    fn wake(&self) {
        // Fails only as the write to an eventfd or the like does, which is never full for long.
        let _ = self.poller.notify();
    }
}

/// The crate's keys are `usize`: on 32-bit systems the later generations of a slot have none.
fn event(token: u64, interest: Interest) -> io::Result<Event> {
    let key = usize::try_from(token).map_err(|_| io::Error::from(io::ErrorKind::Unsupported))?;
    let (reads, writes) = (interest.contains(Interest::READ), interest.contains(Interest::WRITE));
    Ok(Event::new(key, reads, writes))
}

fn mode(trigger: Trigger) -> PollMode {
    match trigger {
        Trigger::Level => PollMode::Level,
        Trigger::Edge => PollMode::Edge,
    }
}

fn readiness(event: Event) -> Readiness {
    let mut readiness = Readiness::NONE;
    if event.readable {
        readiness |= Readiness::READABLE | Readiness::READ_CLOSED;
    }
    if event.writable {
        readiness |= Readiness::WRITABLE;
    }
    if event.is_interrupt() {
        readiness |= Readiness::HANGUP;
    }
    if event.is_err() == Some(true) {
        readiness |= Readiness::ERROR;
    }
    if event.is_priority() {
        readiness |= Readiness::PRIORITY;
    }
    readiness
}
