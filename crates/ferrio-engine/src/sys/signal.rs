//! The handler behind [`SignalPipe::catch`](crate::SignalPipe::catch), and masks.

use std::ffi::c_int;
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd, RawFd};
use std::ptr;
use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};

#[cfg(any(target_os = "android", target_os = "netbsd", target_os = "openbsd"))]
use libc::__errno as errno_location;
#[cfg(any(target_os = "linux", target_os = "dragonfly"))]
use libc::__errno_location as errno_location;
#[cfg(any(target_vendor = "apple", target_os = "freebsd"))]
use libc::__error as errno_location;
use rustix::io::{Errno, retry_on_intr};

use super::faults::{self, Call};

/// Non-blocking and close-on-exec, reading end first.
#[cfg(not(target_vendor = "apple"))]
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    use rustix::pipe::{PipeFlags, pipe_with};

    faults::check_new(Call::Pipe)?;
    Ok(pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?)
}

#[cfg(target_vendor = "apple")]
pub(crate) fn pipe() -> io::Result<(OwnedFd, OwnedFd)> {
    faults::check_new(Call::Pipe)?;
    let ends = rustix::pipe::pipe()?;
    for end in [&ends.0, &ends.1] {
        rustix::io::fcntl_setfd(end, rustix::io::FdFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(end, true)?;
    }
    Ok(ends)
}

pub(crate) fn read(fd: &OwnedFd, buf: &mut [u8]) -> io::Result<usize> {
    Ok(retry_on_intr(|| {
        let len = faults::before(Call::Read, fd.as_fd(), buf.len())?;
        rustix::io::read(fd, &mut buf[..len])
    })?)
}

/// A signal that goes to the pipe until this is dropped.
pub(crate) struct Caught {
    signal: c_int,
    before: libc::sigaction,
}

impl Caught {
    pub(crate) fn new(signal: c_int, pipe: RawFd) -> io::Result<Self> {
        let claimed = PIPE.compare_exchange(-1, pipe, Ordering::AcqRel, Ordering::Acquire);
        if claimed.is_err_and(|other| other != pipe) {
            return Err(Errno::BUSY.into());
        }
        CAUGHT.fetch_add(1, Ordering::AcqRel);
        let mut action = empty_action();
        action.sa_sigaction = handler as extern "C" fn(c_int) as libc::sighandler_t;
        // Calls that a signal interrupts go on by themselves, other than waits (signal(7)), which is
        // what we want; and on the thread's signal stack if it has one, as CPython's handler runs.
        action.sa_flags = libc::SA_RESTART | libc::SA_ONSTACK;
        let mut before = MaybeUninit::uninit();
        // SAFETY: `action` is complete, with a handler that only makes async-signal-safe calls;
        // `before` is written on success.
        if unsafe { libc::sigaction(signal, &raw const action, before.as_mut_ptr()) } != 0 {
            let error = io::Error::last_os_error();
            release();
            return Err(error);
        }
        // SAFETY: written by the successful call.
        Ok(Self { signal, before: unsafe { before.assume_init() } })
    }
}

impl Drop for Caught {
    fn drop(&mut self) {
        // SAFETY: `before` is what the system gave us for this very signal.
        unsafe { libc::sigaction(self.signal, &raw const self.before, ptr::null_mut()) };
        release();
    }
}

impl fmt::Debug for Caught {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Caught").field(&self.signal).finish()
    }
}

fn release() {
    if CAUGHT.fetch_sub(1, Ordering::AcqRel) == 1 {
        PIPE.store(-1, Ordering::SeqCst);
        // A handler that began on another thread just before has the number, which is about to be
        // closed and then somebody else's. It has one system call to make, which does not block. Not
        // for ever: in the child of a fork, a thread that was inside is not there to leave.
        for _ in 0..1000 {
            if INSIDE.load(Ordering::SeqCst) == 0 {
                break;
            }
            std::thread::yield_now();
        }
    }
}

/// Async-signal-safe: atomics, write(2) and the thread's errno, which it leaves as it was.
extern "C" fn handler(signal: c_int) {
    INSIDE.fetch_add(1, Ordering::SeqCst);
    let pipe = PIPE.load(Ordering::SeqCst);
    let byte = signal as u8;
    // SAFETY: errno is the thread's own; the byte lives for the call. The pipe is open while a
    // signal is caught, by the order of `SignalPipe`'s fields, and as long as somebody is inside.
    unsafe {
        let errno = errno_location();
        let before = *errno;
        libc::write(pipe, (&raw const byte).cast(), 1);
        *errno = before;
    }
    INSIDE.fetch_sub(1, Ordering::SeqCst);
}

/// Keeps all signals from the calling thread, so that they reach one that handles them.
pub(crate) fn block_signals() {
    let mut all = MaybeUninit::uninit();
    // SAFETY: sigfillset writes the set that pthread_sigmask then reads; neither fails for valid
    // arguments.
    unsafe {
        libc::sigfillset(all.as_mut_ptr());
        libc::pthread_sigmask(libc::SIG_BLOCK, all.as_ptr(), ptr::null_mut());
    }
}

fn empty_action() -> libc::sigaction {
    // SAFETY: plain numbers and an optional pointer, for which all zeros is a value: the default
    // action, an empty mask.
    unsafe { std::mem::zeroed() }
}

/// Where the handler writes, -1 for nowhere. The handler has no other way to know.
static PIPE: AtomicI32 = AtomicI32::new(-1);
/// How many threads are in the handler.
static INSIDE: AtomicUsize = AtomicUsize::new(0);
/// How many signals are caught for it.
static CAUGHT: AtomicUsize = AtomicUsize::new(0);

#[cfg(test)]
pub(crate) fn raise(signal: c_int) {
    // SAFETY: the tests raise signals that they have caught.
    unsafe { libc::raise(signal) };
}

#[cfg(test)]
pub(crate) fn write(fd: &OwnedFd, buf: &[u8]) -> io::Result<usize> {
    Ok(rustix::io::write(fd, buf)?)
}
