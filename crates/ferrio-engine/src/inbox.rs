//! The only door into an engine that any thread may use.

use std::fmt;
use std::sync::Arc;

use async_task::Runnable;

use crate::mailbox::Mailbox;
use crate::ready::Ready;

/// Puts items on an engine's ready queue from any thread, and wakes the engine if it sleeps.
///
/// Cheap to clone. Many pushes while the engine sleeps cost one system call together; while it
/// runs, none. It keeps no engine alive: after [`Engine::close`](crate::Engine::close) pushes are
/// refused.
pub struct Inbox<T> {
    mailbox: Arc<Mailbox<Ready<T>>>,
}

impl<T> Inbox<T> {
    pub(crate) fn new(mailbox: Arc<Mailbox<Ready<T>>>) -> Self {
        Self { mailbox }
    }

    /// Queues `item`; the engine's next turn has it, in order of arrival and before that turn's I/O
    /// events.
    ///
    /// # Errors
    ///
    /// Gives the item back if the engine is closed.
    pub fn push(&self, item: T) -> Result<(), T> {
        self.mailbox.push(Ready::Item(item)).map_err(|refused| match refused {
            Ready::Item(item) => item,
            Ready::Task(_) => unreachable!("what comes back is what was pushed"),
        })
    }

    /// Ends the engine's sleep, or lets its next one end at once; for when something changed that
    /// the engine cannot see (a stop flag). Without effect once the engine is closed.
    pub fn wake(&self) {
        self.mailbox.wake();
    }

    /// Whether the engine is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.mailbox.is_closed()
    }

    pub(crate) fn push_task(&self, task: Runnable) {
        // Refused by a closed engine: dropping the runnable cancels its task, and whoever awaits it
        // is told.
        drop(self.mailbox.push(Ready::Task(task)));
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
