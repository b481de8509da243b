//! What is to run next, in order: the host's items and steps of Rust futures on one queue.
//!
//! A turn runs exactly what was ready when its step began (CPython, `Lib/asyncio/base_events.py`,
//! `BaseEventLoop._run_once`: `ntodo = len(self._ready)`), so the host takes [`ReadyQueue::len`]
//! once and pops that many; what those add runs in the next turn.

use std::collections::VecDeque;

use async_task::Runnable;

/// One entry of the ready queue.
#[derive(Debug)]
pub enum Ready<T> {
    /// Something of the host's.
    Item(T),
    /// A step of a future given to [`Engine::spawn`](crate::Engine::spawn): the host calls `run()`
    /// on it.
    Task(Runnable),
}

/// First in, first out. `T` is whatever the host wants to get back.
#[derive(Debug)]
pub struct ReadyQueue<T> {
    queue: VecDeque<Ready<T>>,
}

impl<T> ReadyQueue<T> {
    pub(crate) const fn new() -> Self {
        Self { queue: VecDeque::new() }
    }

    /// Appends an item.
    #[inline]
    pub fn push(&mut self, item: T) {
        self.queue.push_back(Ready::Item(item));
    }

    /// Appends a step of a future.
    #[inline]
    pub fn push_task(&mut self, task: Runnable) {
        self.queue.push_back(Ready::Task(task));
    }

    /// How many entries wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.queue.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Takes the oldest entry.
    #[inline]
    pub fn pop(&mut self) -> Option<Ready<T>> {
        self.queue.pop_front()
    }

    /// The host's items, oldest first.
    pub fn items(&self) -> impl Iterator<Item = &T> {
        self.queue.iter().filter_map(|entry| match entry {
            Ready::Item(item) => Some(item),
            Ready::Task(_) => None,
        })
    }

    pub(crate) fn take(&mut self) -> VecDeque<Ready<T>> {
        std::mem::take(&mut self.queue)
    }
}
