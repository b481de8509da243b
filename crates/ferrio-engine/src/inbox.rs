//! The only door into an engine that any thread may use.

use std::fmt;
use std::os::fd::AsFd;
use std::sync::Arc;

use async_task::Runnable;

use crate::mailbox::Mailbox;
use crate::reactor::Key;
use crate::ready::Ready;
use crate::task::{Alarm, Sleep, Watch, Watched};
use crate::time::Instant;
use crate::timer::TimerKey;

/// What comes through the door.
pub(crate) enum Letter<T> {
    /// To run.
    Ready(Ready<T>),
    /// A future sleeps.
    Set(Arc<Alarm>),
    /// It does not any more.
    Unset(TimerKey),
    /// A future watches a descriptor.
    Watch(Arc<Watch>),
    /// It does not any more.
    Unwatch(Key),
}

/// Puts items on an engine's ready queue from any thread, and wakes the engine if it sleeps.
///
/// Cheap to clone. Many pushes while the engine sleeps cost one system call together; while it
/// runs, none. It keeps no engine alive: after [`Engine::close`](crate::Engine::close) pushes are
/// refused.
pub struct Inbox<T> {
    mailbox: Arc<Mailbox<Letter<T>>>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(mailbox: Arc<Mailbox<Letter<T>>>) -> Self {
        Self { mailbox }
    }

    /// Queues `item`; the engine's next turn has it, in order of arrival and before that turn's I/O
    /// events.
    ///
    /// # Errors
    ///
    /// Gives the item back if the engine is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        match self.send(Letter::Ready(Ready::Item(item))) {
            Err(Letter::Ready(Ready::Item(item))) => Err(item),
            // Nothing else comes back than what was sent.
            Ok(()) | Err(_) => Ok(()),
        }
    }

    /// Ends the engine's sleep, or lets its next one end at once; for when something changed that
    /// the engine cannot see (a stop flag). Without effect once the engine is closed.
    pub fn wake(&self) {
        self.mailbox.wake();
    }

    /// Whether there is anything for the engine to look at, be it only a [`wake`](Self::wake).
    #[must_use]
    pub fn is_notified(&self) -> bool {
        self.mailbox.is_notified()
    }

    /// Whether the engine is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    /// A future that ends at `deadline`, for tasks of this engine
    /// ([`Engine::spawn`](crate::Engine::spawn)).
    pub fn sleep_until(&self, deadline: Instant) -> Sleep<T> {
        Sleep::new(self.clone(), deadline)
    }

    /// Watches a non-blocking file on behalf of tasks of this engine, until the result is dropped.
    pub fn watch<F: AsFd>(&self, file: F) -> Watched<T, F> {
        Watched::new(self.clone(), file)
    }

    pub(crate) fn send(&self, letter: Letter<T>) -> Result<(), Letter<T>> {
        self.mailbox.push(letter)
    }

    pub(crate) fn push_task(&self, task: Runnable) {
        // Refused by a closed engine: dropping the runnable cancels its task, and whoever awaits it
        // is told.
        drop(self.send(Letter::Ready(Ready::Task(task))));
    }
}

impl<T> Clone for Inbox<T> {
    fn clone(&self) -> Self {
        Self { mailbox: Arc::clone(&self.mailbox) }
    }
}

impl<T> fmt::Debug for Inbox<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("closed", &self.is_closed()).finish()
    }
}
