//! The engine: the parts joined, and one turn in pieces.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io;
use std::marker::PhantomData;
use std::os::fd::RawFd;
use std::sync::Arc;
use std::time::Duration;

use crate::inbox::{Inbox, Letter};
use crate::mailbox::Mailbox;
use crate::reactor::{Interest, Key, Reactor, Readiness, Rearmed, RegisterError, Trigger, Wait};
use crate::ready::{Ready, ReadyQueue};
use crate::sys::{Driver, DriverKind, Simulation};
use crate::task::{Alarm, Watch};
use crate::time::Instant;
use crate::timer::{TimerKey, Timers};

/// How long a turn may wait for events.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Timeout {
    /// Not at all: something is ready.
    Zero,
    /// Until this instant, when a timer is due.
    Until(Instant),
    /// Until an event or the inbox ends it.
    Forever,
}

/// A single-threaded event loop whose user, the *host*, runs what is ready.
///
/// `T` is a ready item and `S` what a registered source is; both are the host's and opaque here.
/// The crate's documentation shows one turn.
///
/// An engine may move between threads (asyncio makes a loop on one thread and runs it on another),
/// hence it is `Send` if `T` and `S` are; but it is used by one thread at a time, so it is never
/// `Sync`. Only [`Inbox`] is shared.
///
/// No method runs the host's code except the closures given to it, and dropping a `T` or `S` is
/// left to the host: what is taken out is returned. Only dropping an engine that was not closed
/// drops them inside.
pub struct Engine<T, S> {
    ready: ReadyQueue<T>,
    timers: Timers<Due<T>>,
    reactor: Reactor<Source<S>>,
    mailbox: Arc<Mailbox<Letter<T>>>,
    /// Between two turns, so that each need not allocate. Empty.
    letters: Vec<Letter<T>>,
    /// A wait is under way that the host's own thread may have to end, see [`Engine::lend_wait`].
    is_lent: bool,
    _not_sync: PhantomData<Cell<()>>,
}

/// What a timer is for.
enum Due<T> {
    Item(T),
    Alarm(Arc<Alarm>),
}

/// What a source is for.
enum Source<S> {
    Host(S),
    Watch(Arc<Watch>),
}

/// Everything that an engine held when it was closed, for the host to drop where running their
/// destructors is safe.
#[derive(Debug)]
pub struct Drained<T, S> {
    /// What was ready, oldest first, then what was in the inbox.
    pub ready: VecDeque<Ready<T>>,
    /// The items of pending timers, in no particular order.
    pub timers: Vec<T>,
    /// The registered sources, in no particular order. Their descriptors are still open.
    pub sources: Vec<S>,
}

impl<T, S> Engine<T, S> {
    /// An engine with nothing in it.
    ///
    /// # Errors
    ///
    /// What the system says if it has no descriptor left (EMFILE, ENFILE) or no memory.
    pub fn new(driver: DriverKind) -> io::Result<Self> {
        Ok(Self::with_driver(Driver::new(driver)?))
    }

    /// An engine in virtual time, for tests: no descriptors, no sleeping. The host must take `now`
    /// from the [`Simulation`] wherever it would read the clock.
    #[must_use]
    pub fn simulated() -> (Self, Simulation) {
        let simulation = Simulation::new();
        (Self::with_driver(Driver::Simulated(simulation.clone())), simulation)
    }

    fn with_driver(driver: Driver) -> Self {
        let mailbox = Mailbox::new(driver.waker());
        Self {
            ready: ReadyQueue::new(),
            timers: Timers::new(),
            reactor: Reactor::new(driver),
            mailbox: Arc::new(mailbox),
            letters: Vec::new(),
            is_lent: false,
            _not_sync: PhantomData,
        }
    }

    /// The door for other threads.
    #[must_use]
    pub fn inbox(&self) -> Inbox<T> {
        Inbox::new(Arc::clone(&self.mailbox))
    }

    /// Appends an item to the ready queue.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.ready.push(item);
        self.end_lent_wait();
    }

    /// How many entries are ready: what this step is to run.
    #[must_use]
    #[inline]
    pub fn ready_len(&self) -> usize {
        self.ready.len()
    }

    /// Whether the next turn has something to do whatever the time is: an entry is ready, or the
    /// inbox has been used. Saves the host a look at the clock, which is not free.
    #[must_use]
    #[inline]
    pub fn is_ready(&self) -> bool {
        !self.ready.is_empty() || self.mailbox.is_notified()
    }

    /// Takes the oldest ready entry.
    #[inline]
    pub fn pop(&mut self) -> Option<Ready<T>> {
        self.ready.pop()
    }

    /// Puts `item` on the ready queue in the first turn that begins at or after `deadline`. Never
    /// early; in order of deadline, and of adding where deadlines are equal.
    pub fn add_timer(&mut self, deadline: Instant, item: T) -> TimerKey {
        let key = self.timers.add(deadline, Due::Item(item));
        self.end_lent_wait();
        key
    }

    /// Takes a timer back, in constant time on average however many are pending. `None` if it is on
    /// the ready queue or beyond, or was cancelled before.
    pub fn cancel_timer(&mut self, key: TimerKey) -> Option<T> {
        match self.timers.cancel(key)? {
            Due::Item(item) => Some(item),
            Due::Alarm(_) => None,
        }
    }

    /// The pending timers with an item, in the order in which they will be due.
    #[must_use]
    pub fn timers(&self) -> Vec<(TimerKey, Instant)> {
        self.timers.in_order()
    }

    /// The item of a pending timer, which may be exchanged for another one.
    pub fn timer_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        match self.timers.get_mut(key)? {
            Due::Item(item) => Some(item),
            Due::Alarm(_) => None,
        }
    }

    /// The items on the ready queue, the next one first.
    pub fn ready_items(&self) -> impl Iterator<Item = &T> {
        self.ready.items()
    }

    /// How many timers are pending. With none, [`collect`](Self::collect) may be given any `now`.
    #[must_use]
    pub fn timer_len(&self) -> usize {
        self.timers.len()
    }

    /// Asks the kernel to report on `fd`, which stays the caller's to close (after
    /// [`deregister`](Self::deregister)).
    ///
    /// If `fd` was registered before and closed without deregistering, its number may have a new
    /// file: the earlier source gets no more events.
    ///
    /// # Errors
    ///
    /// See [`RegisterError`], which gives the source back.
    pub fn register(
        &mut self,
        fd: RawFd,
        interest: Interest,
        trigger: Trigger,
        source: S,
    ) -> Result<Key, RegisterError<S>> {
        self.reactor.register(fd, interest, trigger, Source::Host(source)).map_err(|failed| {
            match failed.source {
                Source::Host(source) => RegisterError { error: failed.error, source },
                Source::Watch(_) => unreachable!("what comes back is what was given"),
            }
        })
    }

    /// Changes what a source is told of. No system call if nothing changes.
    ///
    /// # Errors
    ///
    /// EBADF if `key` is stale, its descriptor was closed or was registered anew by another source,
    /// or the engine is closed; the source then has no interest.
    pub fn set_interest(&mut self, key: Key, interest: Interest) -> io::Result<()> {
        self.reactor.set_interest(key, interest)
    }

    /// As [`set_interest`](Self::set_interest), and changes the trigger too. Always asks the
    /// kernel, so a file that was closed and reopened under the same number is watched again, and
    /// an edge-triggered source is told anew of what is there already.
    ///
    /// # Errors
    ///
    /// Those of `set_interest`.
    pub fn rearm(&mut self, key: Key, interest: Interest, trigger: Trigger) -> io::Result<Rearmed> {
        self.reactor.rearm(key, interest, trigger)
    }

    /// What a source asked for last; `None` if `key` is stale.
    #[must_use]
    pub fn interest(&self, key: Key) -> Option<Interest> {
        self.reactor.interest(key)
    }

    /// Takes a source out; `None` if `key` is stale. Call it before closing the descriptor; a
    /// descriptor closed already is tolerated.
    pub fn deregister(&mut self, key: Key) -> Option<S> {
        self.reactor.deregister(key).and_then(Source::host)
    }

    /// A registered source; `None` if `key` is stale.
    #[must_use]
    pub fn source(&self, key: Key) -> Option<&S> {
        match self.reactor.source(key)? {
            Source::Host(source) => Some(source),
            Source::Watch(_) => None,
        }
    }

    /// A registered source; `None` if `key` is stale.
    #[must_use]
    pub fn source_mut(&mut self, key: Key) -> Option<&mut S> {
        match self.reactor.source_mut(key)? {
            Source::Host(source) => Some(source),
            Source::Watch(_) => None,
        }
    }

    /// The source that was registered last under this number and is registered still. Whether the
    /// number is the same file as then, the engine cannot know.
    #[must_use]
    #[inline]
    pub fn key_of(&self, fd: RawFd) -> Option<Key> {
        self.reactor.key_of(fd).filter(|key| self.source(*key).is_some())
    }

    /// The first registered source, in no particular order, that `is_wanted`.
    pub fn find(&self, is_wanted: impl Fn(&S) -> bool) -> Option<Key> {
        self.host_sources().find(|(_, source)| is_wanted(source)).map(|(key, _)| key)
    }

    /// How many sources are registered.
    #[must_use]
    pub fn source_len(&self) -> usize {
        self.reactor.len()
    }

    /// Every item in the ready queue and in pending timers: what a garbage collector has to see.
    /// The inbox is left out, since seeing into it would take its lock.
    pub fn for_each_item(&self, f: impl FnMut(&T)) {
        let timers = self.timers.items().filter_map(|due| match due {
            Due::Item(item) => Some(item),
            Due::Alarm(_) => None,
        });
        self.ready.items().chain(timers).for_each(f);
    }

    /// Every registered source.
    pub fn for_each_source(&self, mut f: impl FnMut(&S)) {
        self.host_sources().for_each(|(_, source)| f(source));
    }

    /// How long this turn may wait: [`Timeout::Zero`] if anything is ready or in the inbox or a
    /// timer is due at `now`, else until the nearest deadline, else for ever.
    #[must_use]
    pub fn timeout(&mut self, now: Instant) -> Timeout {
        if self.is_ready() {
            return Timeout::Zero;
        }
        match self.timers.next_deadline() {
            Some(deadline) if deadline <= now => Timeout::Zero,
            Some(deadline) => Timeout::Until(deadline),
            None => Timeout::Forever,
        }
    }

    /// Looks for events without waiting, for [`collect`](Self::collect) to hand out; returns how
    /// many there are. Makes no system call if no source wants to be told of anything.
    ///
    /// # Errors
    ///
    /// EBADF if the engine is closed; otherwise nothing that a correct program could cause.
    pub fn poll_now(&mut self) -> io::Result<usize> {
        self.reactor.poll_now()
    }

    /// A descriptor that is readable while [`Wait::block`] would not block: for hosts that have to
    /// wait by means of their own, with [`Wait::poll`] after it. May be another one at the next
    /// wait. `None` if the engine is closed or simulated.
    #[must_use]
    pub fn fd(&self) -> Option<RawFd> {
        self.reactor.fd()
    }

    /// Begins to wait. The engine may be used until [`end_wait`](Self::end_wait); other threads'
    /// pushes to the inbox end the wait from now on. If the inbox has something already, the wait
    /// will not block, whatever `timeout` says.
    ///
    /// The real clock decides when the time is over: `now` is what is subtracted from a deadline.
    pub fn begin_wait(&mut self, timeout: Timeout, now: Instant) -> Wait {
        let timeout = match timeout {
            Timeout::Zero => Some(Duration::ZERO),
            Timeout::Until(deadline) => Some(deadline.duration_since(now)),
            Timeout::Forever => None,
        };
        let may_block = timeout == Some(Duration::ZERO) || self.mailbox.begin_sleep();
        self.reactor.begin_wait(if may_block { timeout } else { Some(Duration::ZERO) })
    }

    /// As [`begin_wait`](Self::begin_wait), for a wait that another thread makes while the host's own
    /// goes on: what the host pushes and schedules meanwhile ends it, as the inbox does.
    pub fn lend_wait(&mut self, timeout: Timeout, now: Instant) -> Wait {
        self.is_lent = true;
        self.begin_wait(timeout, now)
    }

    /// Takes back a wait, blocked or not, with the events it brought.
    pub fn end_wait(&mut self, wait: Wait) {
        self.is_lent = false;
        self.mailbox.end_sleep();
        self.reactor.end_wait(wait);
    }

    /// Fills the ready queue, in asyncio's order (`BaseEventLoop._run_once`): what other threads
    /// sent, in order of arrival; then events, which are given to `on_event` with their source, for
    /// it to push what is to run; then the items of timers due at `now`, in order of deadline.
    ///
    /// Events of sources deregistered since the wait are dropped. An event may report conditions
    /// outside the source's interest, errors and hang-ups above all: see [`Readiness::directions`].
    pub fn collect(
        &mut self,
        now: Instant,
        mut on_event: impl FnMut(Key, Readiness, &mut S, &mut ReadyQueue<T>),
    ) {
        self.read_letters();
        let ready = &mut self.ready;
        self.reactor.collect(|key, readiness, source| match source {
            Source::Host(source) => on_event(key, readiness, source, ready),
            Source::Watch(watch) => watch.wake(readiness),
        });
        self.timers.take_due(now, |due| match due {
            Due::Item(item) => ready.push(item),
            Due::Alarm(alarm) => alarm.ring(),
        });
        // Tasks that were just woken are in the inbox, and need not wait for the next turn.
        self.read_letters();
    }

    /// To be called in the child of a fork, before anything else: what the engine shares with that
    /// of the parent process (the kernel's list of who is watched, the waker) is replaced, and what
    /// was registered is registered again. After that the two know nothing of each other, though
    /// the watched files are the same, and so are the threads that had been asked for something:
    /// there are none in the child.
    ///
    /// # Errors
    ///
    /// EMFILE, ENOMEM. The engine answers EBADF from then on.
    pub fn unshare(&mut self) -> io::Result<()> {
        self.reactor.unshare()
    }

    /// Closes the engine: its descriptors are closed, the inbox refuses items, and all that it held
    /// comes out. What is used afterwards answers EBADF or does nothing. Closing twice brings
    /// nothing more.
    #[must_use = "what an engine held is dropped by the host, where that is safe"]
    pub fn close(&mut self) -> Drained<T, S> {
        let mut ready = self.ready.take();
        for letter in self.mailbox.close() {
            match letter {
                Letter::Ready(entry) => ready.push_back(entry),
                Letter::Set(alarm) => drop(alarm.dismiss()),
                Letter::Watch(watch) => drop(watch.dismiss()),
                Letter::Unset(_) | Letter::Unwatch(_) => {}
            }
        }
        let timers = self.timers.drain().into_iter().filter_map(Due::item).collect();
        let sources = self.reactor.close().into_iter().filter_map(Source::host).collect();
        Drained { ready, timers, sources }
    }

    #[inline]
    fn end_lent_wait(&self) {
        if self.is_lent {
            self.mailbox.wake();
        }
    }

    fn host_sources(&self) -> impl Iterator<Item = (Key, &S)> {
        self.reactor.sources().filter_map(|(key, source)| match source {
            Source::Host(source) => Some((key, source)),
            Source::Watch(_) => None,
        })
    }

    #[inline]
    fn read_letters(&mut self) {
        // Nearly every turn has none (bench: call_soon_chain).
        if !self.mailbox.is_notified() {
            return;
        }
        let mut letters = std::mem::take(&mut self.letters);
        if self.mailbox.drain(&mut letters) {
            for letter in letters.drain(..) {
                self.read(letter);
            }
        }
        self.letters = letters;
    }

    fn read(&mut self, letter: Letter<T>) {
        match letter {
            Letter::Ready(Ready::Item(item)) => self.ready.push(item),
            Letter::Ready(Ready::Task(task)) => self.ready.push_task(task),
            Letter::Set(alarm) if alarm.is_wanted() => {
                let key = self.timers.add(alarm.deadline, Due::Alarm(Arc::clone(&alarm)));
                // Its future may have gone meanwhile, on whatever thread dropped it.
                if !alarm.set_key(key) {
                    self.timers.cancel(key);
                }
            }
            Letter::Unset(key) => drop(self.timers.cancel(key)),
            Letter::Watch(watch) if watch.is_wanted() => {
                let source = Source::Watch(Arc::clone(&watch));
                match self.reactor.register(watch.fd, Interest::BOTH, Trigger::Edge, source) {
                    Ok(key) if watch.set_key(key) => {}
                    Ok(key) => drop(self.reactor.deregister(key)),
                    Err(failed) => watch.refuse(failed.error),
                }
            }
            Letter::Unwatch(key) => drop(self.reactor.deregister(key)),
            Letter::Set(_) | Letter::Watch(_) => {}
        }
    }
}

impl<T> Due<T> {
    /// The host's item, on closing; a future's alarm is dismissed.
    fn item(self) -> Option<T> {
        match self {
            Self::Item(item) => Some(item),
            Self::Alarm(alarm) => {
                alarm.dismiss();
                None
            }
        }
    }
}

impl<S> Source<S> {
    /// The host's source, on its way out; a future's watch is dismissed.
    fn host(self) -> Option<S> {
        match self {
            Self::Host(source) => Some(source),
            Self::Watch(watch) => {
                watch.dismiss();
                None
            }
        }
    }
}

impl<T: Send + 'static, S> Engine<T, S> {
    /// Starts a Rust future on this engine: its steps are queued among the items, the first one
    /// now.
    ///
    /// It may be woken from any thread, through the inbox. Dropping the returned task cancels the
    /// future, `detach` lets it run on. It must be `Send` because the engine is.
    pub fn spawn<F>(&mut self, future: F) -> async_task::Task<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let inbox = self.inbox();
        let (runnable, task) = async_task::spawn(future, move |step| inbox.push_task(step));
        self.ready.push_task(runnable);
        self.end_lent_wait();
        task
    }
}

impl<T, S> Drop for Engine<T, S> {
    /// Tasks waiting in the inbox hold it in turn, so it has to be emptied for either to be freed.
    fn drop(&mut self) {
        drop(self.close());
    }
}

impl<T, S> fmt::Debug for Engine<T, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("ready", &self.ready.len())
            .field("timers", &self.timers.len())
            .field("sources", &self.reactor.len())
            .finish_non_exhaustive()
    }
}

/// Refuses to compile where `$type` is `$trait`: then both impls below apply and `_` is ambiguous.
macro_rules! assert_not_impl {
    ($type:ty, $trait:path) => {
        const _: () = {
            trait Ambiguous<A> {
                fn check() {}
            }
            struct HasIt;
            impl<X: ?Sized> Ambiguous<()> for X {}
            impl<X: ?Sized + $trait> Ambiguous<HasIt> for X {}
            let _ = <$type as Ambiguous<_>>::check;
        };
    };
}

const fn assert_send<X: Send>() {}
const fn assert_sync<X: Sync>() {}

const _: () = {
    assert_send::<Engine<u8, u8>>();
    assert_send::<Wait>();
    assert_send::<Inbox<u8>>();
    assert_sync::<Inbox<u8>>();
};
assert_not_impl!(Engine<u8, u8>, Sync);
assert_not_impl!(Engine<std::rc::Rc<u8>, u8>, Send);
assert_not_impl!(Engine<u8, std::rc::Rc<u8>>, Send);
