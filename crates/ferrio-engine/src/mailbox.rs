//! A queue that many threads fill and one empties, and that wakes the one only if it sleeps.
//!
//! The receiver blocks in the kernel, so rousing it costs a system call; this file's business is to
//! make at most one per sleep. One atomic says where the receiver is:
//!
//! ```text
//!            begin_sleep                     push, wake
//!   AWAKE ─────────────────> ASLEEP ───────────────────────> NOTIFIED
//!     ^  <────────────────── (nothing came)   calls the waker    │
//!     │        end_sleep                                         │ drain
//!     ├──────────────────────────────────────────────────────────┘
//!     └── push, wake: straight to NOTIFIED, nobody is called
//! ```
//!
//! Why no letter is lost. (1) A push puts its letter in the queue before it sets NOTIFIED. (2) The
//! receiver sets AWAKE before it empties the queue. So a letter that `drain` missed came after
//! that, and its push sets NOTIFIED after the AWAKE. (3) `begin_sleep` refuses when it finds
//! NOTIFIED, and whoever turns ASLEEP into NOTIFIED calls the waker, whose wake-up the kernel
//! remembers even if the receiver has not blocked yet.
//!
//! `tests/loom_mailbox.rs` tries all interleavings of this.

use std::sync::Arc;

use crate::sync::{AtomicU8, Mutex, MutexGuard, Ordering, PoisonError};

/// How to rouse the receiver.
pub(crate) trait Wake: Send + Sync {
    /// Ends the receiver's current sleep, or its next one if it has not fallen asleep yet.
    fn wake(&self);
}

pub(crate) struct Mailbox<M> {
    queue: Mutex<Queue<M>>,
    state: AtomicU8,
}

struct Queue<M> {
    letters: Vec<M>,
    /// `None` once closed. Counted, because closing must not pull the descriptor from under a
    /// thread that is just about to write to it: its number might be somebody else's file by then.
    waker: Option<Arc<dyn Wake>>,
}

/// The receiver runs, and has emptied the queue since anything was last put there.
const AWAKE: u8 = 0;
/// The receiver blocks or is about to.
const ASLEEP: u8 = 1;
/// There is mail, or somebody wants a turn to be made; the receiver has been or need not be roused.
const NOTIFIED: u8 = 2;

impl<M> Mailbox<M> {
    pub(crate) fn new(waker: Arc<dyn Wake>) -> Self {
        Self {
            queue: Mutex::new(Queue { letters: Vec::new(), waker: Some(waker) }),
            state: AtomicU8::new(AWAKE),
        }
    }

    /// Queues a letter and sees to it that the receiver will look. Gives it back if the box is
    /// closed.
    pub(crate) fn push(&self, letter: M) -> Result<(), M> {
        let mut queue = self.lock();
        if queue.waker.is_none() {
            return Err(letter);
        }
        queue.letters.push(letter);
        let waker = if self.notify() == ASLEEP { queue.waker.clone() } else { None };
        drop(queue);
        if let Some(waker) = waker {
            waker.wake();
        }
        Ok(())
    }

    /// Makes the receiver look though nothing was queued. Without effect once closed.
    pub(crate) fn wake(&self) {
        if self.notify() == ASLEEP {
            let waker = self.lock().waker.clone();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }

    /// Whether `drain` would find letters or a wake-up.
    #[inline]
    pub(crate) fn is_notified(&self) -> bool {
        self.state.load(Ordering::Acquire) == NOTIFIED
    }

    /// Receiver only: moves all letters into `letters`, oldest first. `letters` must be empty; its
    /// memory is kept for the next round. Returns whether there was a notification.
    pub(crate) fn drain(&self, letters: &mut Vec<M>) -> bool {
        debug_assert!(letters.is_empty());
        // The plain load keeps the cache line shared on the way that nearly every turn takes.
        if !self.is_notified() {
            return false;
        }
        self.state.swap(AWAKE, Ordering::AcqRel);
        std::mem::swap(&mut self.lock().letters, letters);
        true
    }

    /// Receiver only: whether it may block. If not, there is mail.
    pub(crate) fn begin_sleep(&self) -> bool {
        let exchanged =
            self.state.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        // Already ASLEEP: a wait was begun and never ended. One wake-up too many at worst.
        !matches!(exchanged, Err(NOTIFIED))
    }

    /// Receiver only: it has come back. A notification stays until `drain`.
    pub(crate) fn end_sleep(&self) {
        // Fails if somebody notified us meanwhile, which is to stay so.
        let _ = self.state.compare_exchange(ASLEEP, AWAKE, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Refuses letters from now on, lets go of the waker and gives back what was queued.
    pub(crate) fn close(&self) -> Vec<M> {
        let mut queue = self.lock();
        queue.waker = None;
        std::mem::take(&mut queue.letters)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.lock().waker.is_none()
    }

    fn notify(&self) -> u8 {
        self.state.swap(NOTIFIED, Ordering::AcqRel)
    }

    fn lock(&self) -> MutexGuard<'_, Queue<M>> {
        // Nothing under the lock can panic half-way; a poisoned queue is a whole one.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
