//! How much is left of the thread's stack.

use std::cell::Cell;

/// What a level leaves for whatever is called at its end: callbacks, the making of an exception, the
/// collector with its finalizers. Of a small stack it is a part.
const MARGIN_BYTES: usize = 128 << 10;
const MARGIN_DIVISOR: usize = 3;

/// What has room for a thousand coroutines of ours inside of each other, and as many as the
/// interpreter allows by default are to be had.
const SMALL_BYTES: usize = 2 << 20;

/// Addresses of this thread's stack, which grows downwards.
#[derive(Clone, Copy)]
struct Stack {
    start: usize,
    /// The lowest that leaves the margin.
    low: usize,
    end: usize,
}

const NOT_ASKED: Stack = Stack { start: usize::MAX, low: usize::MAX, end: usize::MAX };
/// No address is in it.
const UNKNOWN: Stack = Stack { start: 0, low: 0, end: 0 };

thread_local! {
    static STACK: Cell<Stack> = const { Cell::new(NOT_ASKED) };
}

/// Is there more left of the stack than the margin? None where that is not known: on systems that
/// cannot be asked, and on a stack that a program has made for itself.
#[inline]
pub(crate) fn has_room() -> Option<bool> {
    let here = here();
    let stack = STACK.get();
    if stack.low <= here && here < stack.end {
        return Some(true);
    }
    has_little(here, stack)
}

/// Is the whole of it known to be small?
#[inline]
pub(crate) fn is_small() -> bool {
    let stack = STACK.get();
    if stack.start == usize::MAX {
        // Asks, and notes the answer.
        return has_room().is_some() && is_small();
    }
    stack.end.saturating_sub(stack.start).wrapping_sub(1) < SMALL_BYTES - 1
}

#[cold]
fn has_little(here: usize, mut stack: Stack) -> Option<bool> {
    if stack.start == usize::MAX {
        stack = ask().map_or(UNKNOWN, |(start, end)| Stack {
            start,
            low: start + MARGIN_BYTES.min((end - start) / MARGIN_DIVISOR),
            end,
        });
        STACK.set(stack);
    }
    (stack.start <= here && here < stack.end).then_some(stack.low <= here)
}

/// An address in the frame of the caller or just below.
#[inline(always)]
fn here() -> usize {
    let local = 0_u8;
    std::hint::black_box(&raw const local).addr()
}

/// Where the stack starts and ends.
#[cfg(target_os = "linux")]
fn ask() -> Option<(usize, usize)> {
    let mut attributes = std::mem::MaybeUninit::<libc::pthread_attr_t>::uninit();
    let (mut start, mut size, mut guard) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: the attributes are made by the first call and destroyed by the last; the others read
    // them and write to places of the types that they are said to have.
    unsafe {
        if libc::pthread_getattr_np(libc::pthread_self(), attributes.as_mut_ptr()) != 0 {
            return None;
        }
        let is_known =
            libc::pthread_attr_getstack(attributes.as_ptr(), &raw mut start, &raw mut size) == 0
                && libc::pthread_attr_getguardsize(attributes.as_ptr(), &raw mut guard) == 0;
        libc::pthread_attr_destroy(attributes.as_mut_ptr());
        if !is_known {
            return None;
        }
    }
    let end = start.addr().checked_add(size)?;
    if cfg!(not(target_env = "gnu")) && is_main_thread() {
        // musl tells what is in use by now of a stack that grows.
        return end.checked_sub(limit()?).map(|start| (start, end));
    }
    // Old ones of glibc count the guard in.
    Some((start.addr() + guard, end))
}

#[cfg(target_os = "linux")]
fn is_main_thread() -> bool {
    // SAFETY: neither can fail.
    unsafe { libc::getpid() == libc::gettid() }
}

/// What the main thread's stack may grow to.
#[cfg(target_os = "linux")]
fn limit() -> Option<usize> {
    let mut limit = std::mem::MaybeUninit::<libc::rlimit>::uninit();
    // SAFETY: the call fills it, unless it says that it has not.
    unsafe {
        if libc::getrlimit(libc::RLIMIT_STACK, limit.as_mut_ptr()) != 0 {
            return None;
        }
        usize::try_from(limit.assume_init().rlim_cur).ok()
    }
}

#[cfg(target_os = "macos")]
fn ask() -> Option<(usize, usize)> {
    // SAFETY: the thread that asks is alive.
    let (end, size) = unsafe {
        let thread = libc::pthread_self();
        (libc::pthread_get_stackaddr_np(thread).addr(), libc::pthread_get_stacksize_np(thread))
    };
    end.checked_sub(size).map(|start| (start, end))
}

#[cfg(not(any(target_os = "linux", target_os = "macos")))]
fn ask() -> Option<(usize, usize)> {
    None
}
