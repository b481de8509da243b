//! Every other system, through the `polling` crate: kqueue on macOS and the BSDs. Built and tested
//! on Linux too, where it costs five system calls a wait and knows less about hang-ups.
//!
//! Where it differs from the epoll driver:
//!
//! - It cannot tell that the peer has finished, so every readable event says that it may have.
//! - Signals do not end a wait: the crate begins it again. What must end it has to be a source (a
//!   [`SignalPipe`](crate::SignalPipe)) or the inbox.
//! - Wake-ups are not counted among the events of a wait.
//! - The waker is a pipe of ours. The crate has one of its own, which nobody could exchange in the
//!   child of a fork while a thread that is not there any more seems to be using it.

use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use polling::{Event, PollMode, Poller};
use rustix::io::Errno;

use super::faults::{self, Call};
use super::{borrowed, read, signal, take_number};
use crate::mailbox::Wake;
use crate::reactor::{Interest, Readiness, Trigger};

#[derive(Debug)]
pub(crate) struct Portable {
    /// Dropped by `drop`, unless it is the parent process's.
    poller: ManuallyDrop<Poller>,
    waker: Arc<PipeWaker>,
    /// This is the child of a fork, and the poller its parent's.
    is_parents: AtomicBool,
}

impl Portable {
    /// Fails with `Unsupported` where there are no edge-triggered events (Windows, systems with
    /// only poll(2)), on which the stream transports are built.
    pub(crate) fn new() -> io::Result<Self> {
        Self::with_waker(Arc::new(PipeWaker::new()?))
    }

    fn with_waker(waker: Arc<PipeWaker>) -> io::Result<Self> {
        let poller = Poller::new()?;
        if !poller.supports_edge() || !poller.supports_level() {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let poller = ManuallyDrop::new(poller);
        let this = Self { poller, waker, is_parents: AtomicBool::new(false) };
        this.add(this.waker.reader.as_raw_fd(), WAKER_TOKEN, Interest::READ, Trigger::Level)?;
        Ok(this)
    }

    pub(crate) fn renewed(&self) -> io::Result<Self> {
        Self::with_waker(Arc::clone(&self.waker))
    }

    /// After a fork, in the child: what takes this one's place, woken by the same waker, whose
    /// descriptors lead to a pipe of the child's own from now on.
    pub(crate) fn unshared(&self) -> io::Result<Self> {
        self.is_parents.store(true, Ordering::Relaxed);
        self.waker.unshare()?;
        self.renewed()
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.poller.as_raw_fd()
    }

    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        Arc::clone(&self.waker) as Arc<dyn Wake>
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
        let added =
            unsafe { self.poller.add_with_mode(fd, event(token, interest)?, mode(trigger)) };
        added.map_err(with_number)
    }

    pub(crate) fn modify(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let event = event(token, interest)?;
        self.poller.modify_with_mode(borrowed(fd)?, event, mode(trigger)).map_err(with_number)
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        self.poller.delete(borrowed(fd)?).map_err(with_number)
    }

    pub(crate) fn wait(
        &self,
        events: &mut PortableEvents,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        events.clear();
        match faults::check(Call::Wait, self.poller.as_fd()) {
            Ok(()) => {}
            Err(Errno::INTR) => return Ok(0),
            Err(error) => return Err(error.into()),
        }
        self.poller.wait(&mut events.raw, timeout)?;
        for event in events.raw.iter() {
            match event.key as u64 {
                WAKER_TOKEN => self.waker.drain(),
                token => events.list.push((token, readiness(event))),
            }
        }
        Ok(events.list.len())
    }
}

impl Drop for Portable {
    fn drop(&mut self) {
        if !*self.is_parents.get_mut() || cut_off(&self.poller) {
            // SAFETY: here and nowhere else, and nothing comes after it.
            unsafe { ManuallyDrop::drop(&mut self.poller) }
        }
    }
}

/// Makes a poller of the parent process's fit to be dropped in the child, which takes some of what
/// it has registered out of it: from an instance that the parent is using. So its number is led to
/// another one. False if there is none to be had.
#[cfg(any(target_os = "linux", target_os = "android"))]
fn cut_off(poller: &Poller) -> bool {
    use rustix::event::epoll::{CreateFlags, create};

    create(CreateFlags::CLOEXEC)
        .map_err(io::Error::from)
        .and_then(|other| take_number(other.as_fd(), poller.as_fd()))
        .is_ok()
}

/// A kqueue does not come along through a fork: its number is free, or somebody else's, and there
/// is nothing to be closed.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn cut_off(_poller: &Poller) -> bool {
    false
}

/// The crate keeps a list of its own for kqueue, and what it says of that has no number.
fn with_number(error: io::Error) -> io::Error {
    match (error.raw_os_error(), error.kind()) {
        (None, io::ErrorKind::AlreadyExists) => Errno::EXIST.into(),
        (None, io::ErrorKind::NotFound) => Errno::NOENT.into(),
        _ => error,
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

/// Whoever writes to it ends a wait; the wait empties it.
#[derive(Debug)]
struct PipeWaker {
    reader: OwnedFd,
    writer: OwnedFd,
}

impl PipeWaker {
    fn new() -> io::Result<Self> {
        let (reader, writer) = signal::pipe()?;
        Ok(Self { reader, writer })
    }

    /// Bytes that come meanwhile are for the next wait to find, if not for this one.
    fn drain(&self) {
        let mut bytes = [0_u8; 64];
        while read(&self.reader, &mut bytes).is_ok_and(|count| count == bytes.len()) {}
    }

    /// Has both descriptors lead to a new pipe.
    fn unshare(&self) -> io::Result<()> {
        let (reader, writer) = signal::pipe()?;
        take_number(reader.as_fd(), self.reader.as_fd())?;
        take_number(writer.as_fd(), self.writer.as_fd())
    }
}

impl Wake for PipeWaker {
    fn wake(&self) {
        // A full pipe has woken whoever is to be woken.
        let _ = rustix::io::write(&self.writer, &[0]);
    }
}

const WAKER_TOKEN: u64 = 0;

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wake_up_ends_one_wait_and_is_no_event() {
        let driver = Portable::new().unwrap();
        let mut events = PortableEvents::new();
        for _ in 0..1_000 {
            driver.waker().wake();
        }
        assert_eq!(driver.wait(&mut events, None).unwrap(), 0);
        let error = read(&driver.waker.reader, &mut [0]).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
    }

    #[test]
    fn what_the_crate_says_without_a_number_gets_one() {
        for (kind, expected) in
            [(io::ErrorKind::AlreadyExists, Errno::EXIST), (io::ErrorKind::NotFound, Errno::NOENT)]
        {
            let error = with_number(kind.into());
            assert_eq!(error.raw_os_error(), Some(expected.raw_os_error()));
        }
        let error = with_number(Errno::BADF.into());
        assert_eq!(error.raw_os_error(), Some(Errno::BADF.raw_os_error()));
    }

    /// Wherever it is dropped: what the parent waits for, the end of its time included, is there
    /// afterwards.
    #[test]
    fn a_child_leaves_its_parents_poller_alone() {
        let driver = Portable::new().unwrap();
        let mut events = PortableEvents::new();
        let short = Some(Duration::from_millis(1));
        assert_eq!(driver.wait(&mut events, short).unwrap(), 0);
        // SAFETY: the child has this thread only. It makes system calls, frees what it has, and
        // ends without coming back.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            let woken = driver.unshared().and_then(|own| {
                drop(driver);
                own.waker().wake();
                own.wait(&mut events, None)
            });
            // SAFETY: ends the process, without what it has registered for that.
            unsafe { libc::_exit(i32::from(woken.is_err())) };
        }
        let mut status = 0;
        // SAFETY: a place for the status.
        assert_eq!(unsafe { libc::waitpid(pid, &raw mut status, 0) }, pid);
        assert_eq!(status, 0);

        assert_eq!(driver.wait(&mut events, short).unwrap(), 0);
        // The child has woken itself and not its parent.
        assert!(read(&driver.waker.reader, &mut [0]).is_err());
        driver.waker().wake();
        assert_eq!(driver.wait(&mut events, None).unwrap(), 0);
    }
}
