//! System calls that fail on purpose: what the kernel may answer at any time and hardly ever does.
//!
//! Each wrapper of a system call in `sys` asks here first, with [`before`] or [`check`]. Without the
//! cargo feature `faults` these are constants, and nothing of them is left in the program. With it
//! they do as [`inject`] was told, which is nothing until it is called: one call in so many is
//! interrupted, comes too early, is cut short or fails, in the way that its manual page allows.
//! What stands above (repeating after EINTR, state machines, the binding) is what is released.
//!
//! # What is owed
//!
//! "Not yet" (EAGAIN) and a short count are promises: more comes, or there is room again, and then
//! there is an event. An edge-triggered source that was told either waits for that edge, so a lie
//! has to be made good: the descriptor is remembered, and the driver registers it anew before its
//! next wait, whereupon the kernel reports it if it is ready. To the loop it looks as if the bytes
//! had come a moment later.

#[cfg(feature = "faults")]
mod injection;
#[cfg(feature = "faults")]
mod owed;

use rustix::io::Errno;

#[cfg(feature = "faults")]
pub use injection::{Faults, Injected, Injection, inject};
#[cfg(feature = "faults")]
pub(super) use owed::{forget, registered, settle};

/// The calls that can be made to fail.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Call {
    Recv,
    Send,
    RecvFrom,
    SendTo,
    Read,
    Write,
    Accept,
    Socket,
    Connect,
    Shutdown,
    Poll,
    Pipe,
    Duplicate,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    PidfdOpen,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    WaitId,
    CreateDriver,
    Register,
    Wait,
}

/// To be asked before a call that moves up to `len` bytes: how many to offer to the kernel, or how
/// it fails.
#[cfg(feature = "faults")]
pub(super) fn before(
    call: Call,
    fd: impl std::os::fd::AsRawFd + Copy,
    len: usize,
) -> Result<usize, Errno> {
    injection::ask(call, Some(fd.as_raw_fd()), len)
}

/// To be asked before any other call on a descriptor.
#[cfg(feature = "faults")]
pub(super) fn check(call: Call, fd: impl std::os::fd::AsRawFd + Copy) -> Result<(), Errno> {
    injection::ask(call, Some(fd.as_raw_fd()), 0).map(drop)
}

/// To be asked before a call that makes a descriptor.
#[cfg(feature = "faults")]
pub(super) fn check_new(call: Call) -> Result<(), Errno> {
    injection::ask(call, None, 0).map(drop)
}

#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(super) const fn before<F: Copy>(_call: Call, _fd: F, len: usize) -> Result<usize, Errno> {
    Ok(len)
}

#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(super) const fn check<F: Copy>(_call: Call, _fd: F) -> Result<(), Errno> {
    Ok(())
}

#[cfg(not(feature = "faults"))]
#[inline(always)]
pub(super) const fn check_new(_call: Call) -> Result<(), Errno> {
    Ok(())
}
