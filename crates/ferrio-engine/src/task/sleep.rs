//! Waiting for an instant.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use crate::inbox::{Inbox, Letter};
use crate::time::Instant;
use crate::timer::TimerKey;

/// Ends at its deadline, never early. Made by [`Inbox::sleep_until`]; costs nothing until it is
/// first polled, and takes its timer back when dropped.
#[must_use = "futures do nothing unless awaited"]
pub struct Sleep<T> {
    inbox: Inbox<T>,
    deadline: Instant,
    /// Once polled.
    alarm: Option<Arc<Alarm>>,
}

impl<T> Sleep<T> {
    pub(crate) fn new(inbox: Inbox<T>, deadline: Instant) -> Self {
        Self { inbox, deadline, alarm: None }
    }
}

impl<T> Future for Sleep<T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if let Some(alarm) = &self.alarm {
            return alarm.poll(context.waker());
        }
        let alarm = Arc::new(Alarm::new(self.deadline, context.waker().clone()));
        // A closed engine rings no alarm: the future waits for ever, as all of its tasks do.
        drop(self.inbox.send(Letter::Set(Arc::clone(&alarm))));
        self.alarm = Some(alarm);
        Poll::Pending
    }
}

impl<T> Drop for Sleep<T> {
    fn drop(&mut self) {
        if let Some(key) = self.alarm.take().and_then(|alarm| alarm.dismiss()) {
            // Refused by a closed engine, which has no timers.
            drop(self.inbox.send(Letter::Unset(key)));
        }
    }
}

impl<T> fmt::Debug for Sleep<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// A sleeping future, as the engine knows it.
pub(crate) struct Alarm {
    pub(crate) deadline: Instant,
    state: Mutex<State>,
}

enum State {
    /// On its way to the engine, or there, and then with its key.
    Set(Waker, Option<TimerKey>),
    Rung,
    /// The future has gone, or the engine was closed: nobody is to be woken.
    Dismissed,
}

impl Alarm {
    const fn new(deadline: Instant, waker: Waker) -> Self {
        Self { deadline, state: Mutex::new(State::Set(waker, None)) }
    }

    fn poll(&self, waker: &Waker) -> Poll<()> {
        let mut state = self.state();
        match &mut *state {
            State::Set(current, _) => {
                if !current.will_wake(waker) {
                    let before = std::mem::replace(current, waker.clone());
                    // Dropping a waker may drop its task, which may come back here.
                    drop(state);
                    drop(before);
                }
                Poll::Pending
            }
            State::Rung => Poll::Ready(()),
            State::Dismissed => Poll::Pending,
        }
    }

    /// Whether anybody still waits for it.
    pub(crate) fn is_wanted(&self) -> bool {
        matches!(*self.state(), State::Set(..))
    }

    /// The engine has set it, under this key. Returns whether it is still wanted.
    pub(crate) fn set_key(&self, timer: TimerKey) -> bool {
        match &mut *self.state() {
            State::Set(_, key) => {
                *key = Some(timer);
                true
            }
            State::Rung | State::Dismissed => false,
        }
    }

    /// The deadline has come.
    pub(crate) fn ring(&self) {
        if let State::Set(waker, _) = self.replace(State::Rung) {
            waker.wake();
        }
    }

    /// Nobody is to be woken any more. Lets go of the waker, which may be what keeps the future
    /// alive; returns the key to take the timer back by, if there is one.
    pub(crate) fn dismiss(&self) -> Option<TimerKey> {
        match self.replace(State::Dismissed) {
            State::Set(_, key) => key,
            State::Rung | State::Dismissed => None,
        }
    }

    /// What comes out is used and dropped outside the lock: a waker may run the future's code.
    fn replace(&self, state: State) -> State {
        std::mem::replace(&mut *self.state(), state)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
