//! Linux: epoll, one system call a wait.
//!
//! - `epoll_pwait2` takes nanoseconds (Linux 5.11). rustix offers it only as a promise made when
//!   building, which would fail on an older kernel; so it is called by number, and the first
//!   refusal (ENOSYS, or EPERM from a seccomp filter that does not know it) turns to `epoll_wait`
//!   with its milliseconds, rounded up: late, never early.
//! - The waker is an eventfd, registered edge-triggered: each write is a new edge, so nobody ever
//!   reads it.
//! - Edge-triggered sources also ask for EPOLLRDHUP and EPOLLPRI, which say when a short read may
//!   be trusted (epoll(7), "Questions and answers", 9).

use std::fmt;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::event::{EventfdFlags, Timespec, eventfd};
use rustix::io::Errno;

use super::faults::{self, Call};
use super::{borrowed, take_number};
use crate::mailbox::Wake;
use crate::reactor::{Interest, Readiness, Trigger};

#[derive(Debug)]
pub(crate) struct Epoll {
    epoll: OwnedFd,
    waker: Arc<EventfdWaker>,
}

impl Epoll {
    pub(crate) fn new() -> io::Result<Self> {
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Self::with_waker(Arc::new(EventfdWaker { eventfd: waker }))
    }

    fn with_waker(waker: Arc<EventfdWaker>) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let flags = EventFlags::IN | EventFlags::ET;
        epoll::add(&epoll, &waker.eventfd, EventData::new_u64(WAKER_TOKEN), flags)?;
        Ok(Self { epoll, waker })
    }

    pub(crate) fn renewed(&self) -> io::Result<Self> {
        Self::with_waker(Arc::clone(&self.waker))
    }

    /// After a fork, in the child: instance and waker are the parent's, too, and whatever is
    /// changed in them is changed for it. New ones, without any registration, take their numbers
    /// over, so that everybody who has these goes on as before.
    pub(crate) fn unshare(&self) -> io::Result<()> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        let waker = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        take_number(epoll.as_fd(), self.epoll.as_fd())?;
        take_number(waker.as_fd(), self.waker.eventfd.as_fd())?;
        let flags = EventFlags::IN | EventFlags::ET;
        Ok(epoll::add(&self.epoll, &self.waker.eventfd, EventData::new_u64(WAKER_TOKEN), flags)?)
    }

    pub(crate) fn fd(&self) -> RawFd {
        self.epoll.as_raw_fd()
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
        let data = EventData::new_u64(token);
        Ok(epoll::add(&self.epoll, borrowed(fd)?, data, flags(interest, trigger))?)
    }

    pub(crate) fn modify(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        let data = EventData::new_u64(token);
        Ok(epoll::modify(&self.epoll, borrowed(fd)?, data, flags(interest, trigger))?)
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, borrowed(fd)?)?)
    }

    #[inline]
    pub(crate) fn wait(
        &self,
        events: &mut EpollEvents,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        events.clear();
        let waited = faults::check(Call::Wait, self.epoll.as_fd()).and_then(|()| match timeout {
            // rustix calls epoll_pwait for these two, which every kernel has.
            None => epoll::wait(&self.epoll, spare_capacity(&mut events.list), None),
            Some(Duration::ZERO) => {
                epoll::wait(&self.epoll, spare_capacity(&mut events.list), Some(&ZERO))
            }
            Some(timeout) => self.wait_at_most(events, timeout),
        });
        match waited {
            Ok(count) => Ok(count),
            // The host looks at its signals and calls again.
            Err(Errno::INTR) => Ok(0),
            Err(error) => Err(error.into()),
        }
    }

    #[cfg(target_pointer_width = "64")]
    fn wait_at_most(&self, events: &mut EpollEvents, timeout: Duration) -> Result<usize, Errno> {
        if LACKS_PWAIT2.load(Ordering::Relaxed) {
            return self.wait_millis(events, timeout);
        }
        match pwait2(self.epoll.as_fd(), &mut events.list, timeout) {
            Err(Errno::NOSYS | Errno::PERM) => {
                LACKS_PWAIT2.store(true, Ordering::Relaxed);
                self.wait_millis(events, timeout)
            }
            waited => waited,
        }
    }

    #[cfg(not(target_pointer_width = "64"))]
    fn wait_at_most(&self, events: &mut EpollEvents, timeout: Duration) -> Result<usize, Errno> {
        self.wait_millis(events, timeout)
    }

    fn wait_millis(&self, events: &mut EpollEvents, timeout: Duration) -> Result<usize, Errno> {
        let millis = whole_millis(timeout);
        let timeout = Timespec {
            tv_sec: (millis / 1_000).into(),
            tv_nsec: (millis % 1_000 * 1_000_000).into(),
        };
        epoll::wait(&self.epoll, spare_capacity(&mut events.list), Some(&timeout))
    }
}

/// Rounds up, and down only at the end of what the call can take: 24 days, after which the host
/// asks again.
fn whole_millis(timeout: Duration) -> i32 {
    i32::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i32::MAX)
}

#[cfg(target_pointer_width = "64")]
fn pwait2(
    epoll: BorrowedFd<'_>,
    events: &mut Vec<Event>,
    timeout: Duration,
) -> Result<usize, Errno> {
    let timeout = Timespec {
        // Kernel times end at 2^63 nanoseconds, far below i64::MAX seconds, and it clamps by
        // itself.
        tv_sec: i64::try_from(timeout.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: timeout.subsec_nanos().into(),
    };
    events.clear();
    // SAFETY: `epoll` is an open descriptor for the time of the call. The kernel writes at most
    // `capacity` events to memory that the vector owns and that nothing refers to, since it is
    // empty. `Event` has the kernel's layout (rustix makes the same call with it), and so has
    // `Timespec` where pointers have 64 bits; it is only read. The signal mask is null, for which
    // its size is ignored.
    let count = unsafe {
        libc::syscall(
            libc::SYS_epoll_pwait2,
            epoll.as_raw_fd(),
            events.as_mut_ptr(),
            events.capacity().min(i32::MAX as usize) as libc::c_int,
            &raw const timeout,
            std::ptr::null::<libc::sigset_t>(),
            0_usize,
        )
    };
    let Ok(count) = usize::try_from(count) else {
        return Err(Errno::from_io_error(&io::Error::last_os_error()).unwrap_or(Errno::INVAL));
    };
    // SAFETY: the kernel has initialised `count` events from the start, and never says more than it
    // was given.
    unsafe { events.set_len(count) };
    Ok(count)
}

fn flags(interest: Interest, trigger: Trigger) -> EventFlags {
    let mut flags = match trigger {
        Trigger::Level => EventFlags::empty(),
        Trigger::Edge => EventFlags::ET,
    };
    if interest.contains(Interest::READ) {
        flags |= EventFlags::IN;
        if trigger == Trigger::Edge {
            flags |= EventFlags::RDHUP | EventFlags::PRI;
        }
    }
    if interest.contains(Interest::WRITE) {
        flags |= EventFlags::OUT;
    }
    flags
}

fn readiness(flags: EventFlags) -> Readiness {
    let mut readiness = Readiness::NONE;
    for (flag, meaning) in [
        (EventFlags::IN, Readiness::READABLE),
        (EventFlags::OUT, Readiness::WRITABLE),
        (EventFlags::RDHUP, Readiness::READ_CLOSED),
        (EventFlags::HUP, Readiness::HANGUP),
        (EventFlags::ERR, Readiness::ERROR),
        (EventFlags::PRI, Readiness::PRIORITY),
    ] {
        if flags.contains(flag) {
            readiness |= meaning;
        }
    }
    readiness
}

/// The kernel's own event records, translated one at a time.
pub(crate) struct EpollEvents {
    list: Vec<Event>,
}

// SAFETY: `Event` is not `Send` only because its data may be a pointer. Ours is a number everywhere
// (`new_u64`), and it is read as one.
unsafe impl Send for EpollEvents {}

impl fmt::Debug for EpollEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries((0..self.len()).filter_map(|index| self.at(index))).finish()
    }
}

impl EpollEvents {
    pub(crate) fn new() -> Self {
        Self { list: Vec::with_capacity(EVENTS_PER_WAIT) }
    }

    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.list.len()
    }

    #[inline]
    pub(crate) fn at(&self, index: usize) -> Option<(u64, Readiness)> {
        // By value: the record is packed, its fields are not aligned.
        let Event { flags, data, .. } = *self.list.get(index)?;
        Some((data.u64(), readiness(flags)))
    }

    #[inline]
    pub(crate) fn clear(&mut self) {
        self.list.clear();
    }
}

#[derive(Debug)]
struct EventfdWaker {
    eventfd: OwnedFd,
}

impl Wake for EventfdWaker {
    fn wake(&self) {
        // Fails only with EAGAIN, after 2^64 wake-ups.
        let _ = rustix::io::write(&self.eventfd, &1_u64.to_ne_bytes());
    }
}

const WAKER_TOKEN: u64 = 0;
const ZERO: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// What does not fit is reported by the next wait; the kernel takes turns. 6 KiB, of which quiet
/// loops touch a page.
const EVENTS_PER_WAIT: usize = 512;
/// For the process: kernels do not grow system calls while they run.
static LACKS_PWAIT2: AtomicBool = AtomicBool::new(false);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    #[test]
    fn milliseconds_round_up_and_end_at_the_calls_limit() {
        assert_eq!(whole_millis(Duration::from_nanos(1)), 1);
        assert_eq!(whole_millis(Duration::from_millis(3)), 3);
        assert_eq!(whole_millis(Duration::new(0, 3_000_001)), 4);
        assert_eq!(whole_millis(Duration::MAX), i32::MAX);
    }

    #[test]
    fn no_wait_ends_early_with_either_call() {
        let epoll = Epoll::new().unwrap();
        let mut events = EpollEvents::new();
        for micros in [1, 50, 700, 1_000, 1_500] {
            let timeout = Duration::from_micros(micros);
            let start = Instant::now();
            assert_eq!(epoll.wait_at_most(&mut events, timeout), Ok(0));
            assert!(start.elapsed() >= timeout);
            let start = Instant::now();
            assert_eq!(epoll.wait_millis(&mut events, timeout), Ok(0));
            assert!(start.elapsed() >= timeout);
        }
    }

    #[test]
    fn a_wake_up_before_the_wait_ends_it_and_is_reported_once() {
        let epoll = Epoll::new().unwrap();
        let mut events = EpollEvents::new();
        epoll.waker().wake();
        epoll.waker().wake();
        assert_eq!(epoll.wait(&mut events, None).unwrap(), 1);
        assert_eq!(events.at(0), Some((WAKER_TOKEN, Readiness::READABLE)));
        assert_eq!(epoll.wait(&mut events, Some(Duration::ZERO)).unwrap(), 0);
    }

    #[test]
    fn numbers_that_no_descriptor_has_are_refused() {
        let epoll = Epoll::new().unwrap();
        for fd in [-1, i32::MIN, i32::MAX] {
            let error = epoll.add(fd, 1, Interest::READ, Trigger::Level).unwrap_err();
            assert_eq!(error.raw_os_error(), Some(libc::EBADF));
        }
    }
}
