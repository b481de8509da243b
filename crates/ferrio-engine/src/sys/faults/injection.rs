//! Which call fails, and how.

use std::fmt;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::io::Errno;
use rustix::net::SocketType;

use super::{Call, owed};
use crate::sys::LentFd;

/// What is injected.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Faults {
    /// What a correct program never notices: EINTR, EAGAIN, short reads and writes.
    Harmless,
    /// Those, and errors that end something: ECONNRESET, EPIPE, ENOBUFS, ENOMEM, EMFILE, ENFILE,
    /// ECONNABORTED and the like.
    All,
}

/// Faults are injected, in the whole process, as long as this lives.
#[derive(Debug)]
#[must_use = "dropping it ends the injection"]
pub struct Injection {
    _private: (),
}

/// How often something was injected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Injected {
    /// Like "recv" or "accept".
    pub call: String,
    /// Like "EINTR" or "short".
    pub fault: String,
    /// How often.
    pub count: u64,
}

#[derive(Copy, Clone, PartialEq, Eq)]
enum Fault {
    Error(Errno),
    Short,
}

use Fault::{Error, Short};

/// From now on one call in `one_in`, on average, has a fault. Which one and what fault depend on
/// `seed` and on how many calls came before, and so does the past: what happens in between does not.
/// 0 injects nothing. A second injection takes the place of the first.
pub fn inject(seed: u64, one_in: u32, faults: Faults) -> Injection {
    counts().clear();
    CALLS.store(0, Ordering::Relaxed);
    SEED.store(seed, Ordering::Relaxed);
    ALL.store(u32::from(faults == Faults::All), Ordering::Relaxed);
    ONE_IN.store(one_in, Ordering::Release);
    Injection { _private: () }
}

impl Injection {
    /// How many calls there were, with and without a fault.
    #[must_use]
    pub fn calls(&self) -> u64 {
        CALLS.load(Ordering::Relaxed)
    }

    /// What was injected, in no particular order.
    #[must_use]
    pub fn injected(&self) -> Vec<Injected> {
        let counts = counts();
        let counted = counts.iter().map(|&(call, fault, count)| Injected {
            call: format!("{call:?}").to_lowercase(),
            fault: fault.to_string(),
            count,
        });
        counted.collect()
    }
}

impl Drop for Injection {
    fn drop(&mut self) {
        ONE_IN.store(0, Ordering::Release);
    }
}

/// The answer to whoever is about to make a call: how many of `len` bytes to offer, or its error.
pub(super) fn ask(call: Call, fd: Option<RawFd>, len: usize) -> Result<usize, Errno> {
    let one_in = ONE_IN.load(Ordering::Acquire);
    if one_in == 0 {
        return Ok(len);
    }
    let number = CALLS.fetch_add(1, Ordering::Relaxed);
    let random = mixed(SEED.load(Ordering::Relaxed) ^ mixed(number));
    if !random.is_multiple_of(u64::from(one_in)) {
        return Ok(len);
    }
    let (harmless, grave) = faults(call);
    let possible = harmless.len() + if ALL.load(Ordering::Relaxed) == 0 { 0 } else { grave.len() };
    if possible == 0 {
        return Ok(len);
    }
    let chosen = (random >> 32) as usize % possible;
    let fault = harmless.iter().chain(grave).nth(chosen).copied().unwrap_or(Short);
    if fault == Short && (len < 2 || fd.is_some_and(moves_messages)) {
        return Ok(len);
    }
    count(call, fault);
    if let (Some(fd), Short | Error(Errno::AGAIN)) = (fd, fault) {
        owed::owe(fd);
    }
    match fault {
        Error(error) => Err(error),
        Short => Ok(1 + (random >> 40) as usize % (len - 1)),
    }
}

/// Of a datagram the kernel takes and gives all or nothing.
fn moves_messages(fd: RawFd) -> bool {
    let Some(socket) = LentFd::new(fd) else { return false };
    // Not a socket: a pipe, which moves bytes.
    rustix::net::sockopt::socket_type(socket).is_ok_and(|kind| kind != SocketType::STREAM)
}

/// What each call may fail with, according to its manual page: first what goes unnoticed, then what
/// does not.
fn faults(call: Call) -> (&'static [Fault], &'static [Fault]) {
    const NOTHING: &[Fault] = &[];
    const MAKES_DESCRIPTOR: &[Fault] =
        &[Error(Errno::MFILE), Error(Errno::NFILE), Error(Errno::NOMEM)];
    match call {
        Call::Recv => (
            &[Error(Errno::INTR), Error(Errno::AGAIN), Short],
            &[Error(Errno::CONNRESET), Error(Errno::TIMEDOUT), Error(Errno::NOMEM)],
        ),
        Call::Send => (
            &[Error(Errno::INTR), Error(Errno::AGAIN), Short],
            &[
                Error(Errno::CONNRESET),
                Error(Errno::PIPE),
                Error(Errno::NOBUFS),
                Error(Errno::NOMEM),
            ],
        ),
        Call::RecvFrom => (
            &[Error(Errno::INTR), Error(Errno::AGAIN)],
            &[Error(Errno::CONNREFUSED), Error(Errno::NOMEM)],
        ),
        Call::SendTo => (
            &[Error(Errno::INTR), Error(Errno::AGAIN)],
            &[Error(Errno::CONNREFUSED), Error(Errno::NOBUFS), Error(Errno::PERM)],
        ),
        Call::Read => (&[Error(Errno::INTR), Error(Errno::AGAIN), Short], &[Error(Errno::IO)]),
        Call::Write => (
            &[Error(Errno::INTR), Error(Errno::AGAIN), Short],
            &[Error(Errno::PIPE), Error(Errno::NOMEM)],
        ),
        Call::Accept => (
            &[Error(Errno::INTR), Error(Errno::AGAIN)],
            &[
                Error(Errno::CONNABORTED),
                Error(Errno::PROTO),
                Error(Errno::HOSTUNREACH),
                Error(Errno::MFILE),
                Error(Errno::NFILE),
                Error(Errno::NOBUFS),
                Error(Errno::NOMEM),
                Error(Errno::PERM),
            ],
        ),
        Call::Socket => {
            (NOTHING, &[Error(Errno::MFILE), Error(Errno::NFILE), Error(Errno::NOBUFS)])
        }
        Call::Connect => (
            NOTHING,
            &[Error(Errno::CONNREFUSED), Error(Errno::NETUNREACH), Error(Errno::ADDRNOTAVAIL)],
        ),
        Call::Shutdown => (NOTHING, &[Error(Errno::NOTCONN)]),
        Call::Poll => (&[Error(Errno::INTR)], &[Error(Errno::NOMEM)]),
        Call::Pipe | Call::CreateDriver => (NOTHING, MAKES_DESCRIPTOR),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Call::PidfdOpen => (NOTHING, MAKES_DESCRIPTOR),
        Call::Duplicate => (NOTHING, &[Error(Errno::MFILE)]),
        #[cfg(any(target_os = "linux", target_os = "android"))]
        Call::WaitId => (&[Error(Errno::INTR)], NOTHING),
        Call::Register => (NOTHING, &[Error(Errno::NOMEM), Error(Errno::NOSPC)]),
        Call::Wait => (&[Error(Errno::INTR)], NOTHING),
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Its own name, of which there is only the Debug form: "Os { code: 4, kind: .. }".
            Self::Error(error) => f.write_str(name(*error)),
            Self::Short => f.write_str("short"),
        }
    }
}

fn name(error: Errno) -> &'static str {
    match error {
        Errno::INTR => "EINTR",
        Errno::AGAIN => "EAGAIN",
        Errno::CONNRESET => "ECONNRESET",
        Errno::CONNREFUSED => "ECONNREFUSED",
        Errno::CONNABORTED => "ECONNABORTED",
        Errno::TIMEDOUT => "ETIMEDOUT",
        Errno::PIPE => "EPIPE",
        Errno::NOBUFS => "ENOBUFS",
        Errno::NOMEM => "ENOMEM",
        Errno::MFILE => "EMFILE",
        Errno::NFILE => "ENFILE",
        Errno::PERM => "EPERM",
        Errno::PROTO => "EPROTO",
        Errno::HOSTUNREACH => "EHOSTUNREACH",
        Errno::NETUNREACH => "ENETUNREACH",
        Errno::ADDRNOTAVAIL => "EADDRNOTAVAIL",
        Errno::NOTCONN => "ENOTCONN",
        Errno::NOSPC => "ENOSPC",
        Errno::IO => "EIO",
        _ => "another",
    }
}

fn count(call: Call, fault: Fault) {
    let mut counts = counts();
    match counts.iter_mut().find(|(c, f, _)| (*c, *f) == (call, fault)) {
        Some((_, _, count)) => *count += 1,
        None => counts.push((call, fault, 1)),
    }
}

/// SplitMix64's last step: every bit of the result depends on every bit of `x`.
const fn mixed(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn counts() -> std::sync::MutexGuard<'static, Vec<(Call, Fault, u64)>> {
    static COUNTS: Mutex<Vec<(Call, Fault, u64)>> = Mutex::new(Vec::new());
    COUNTS.lock().unwrap_or_else(PoisonError::into_inner)
}

static ONE_IN: AtomicU32 = AtomicU32::new(0);
static ALL: AtomicU32 = AtomicU32::new(0);
static SEED: AtomicU64 = AtomicU64::new(0);
static CALLS: AtomicU64 = AtomicU64::new(0);
