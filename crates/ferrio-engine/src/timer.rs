//! Deadlines: never early, first come first served among equals, cancelled for next to nothing.
//!
//! Programs cancel nearly every timer they set (a timeout around each request), so cancelling must
//! not search the heap. It takes the item out of its slot and leaves a dead entry in the heap:
//!
//! ```text
//!   heap, by (deadline, sequence)         slots
//!   ┌───────────────────────────┐         ┌──────────────────┐
//!   │ 10 ms, #1, slot 0 gen 1 ──┼────────>│ gen 1: item      │
//!   │ 12 ms, #2, slot 1 gen 1 ──┼──── x   │ gen 2: vacant    │   cancelled: the generation has moved on
//!   │ 30 ms, #0, slot 2 gen 1 ──┼────────>│ gen 1: item      │
//!   └───────────────────────────┘         └──────────────────┘
//! ```
//!
//! Two rules keep the dead from piling up: who asks for the nearest deadline, once a turn, takes the
//! dead off the top (to do so at each cancellation would cost a sift through the heap where timers
//! are cancelled in the order of their deadlines), and once more than half of a heap is dead it is
//! swept in one pass, which the cancellations since the last sweep have paid for. asyncio does the
//! like at half of a hundred (`_MIN_SCHEDULED_TIMER_HANDLES` and
//! `_MIN_CANCELLED_TIMER_HANDLES_FRACTION` in `Lib/asyncio/base_events.py`).

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::slots::{SlotKey, Slots};
use crate::time::Instant;

/// Names a timer. Stale once the timer has fired or was cancelled, and then harmless for ever.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub struct TimerKey(SlotKey);

impl TimerKey {
    /// The key as a number, never 0.
    #[must_use]
    pub const fn to_bits(self) -> u64 {
        self.0.to_bits()
    }

    /// The inverse of [`to_bits`](Self::to_bits). A number that came from elsewhere gives a key
    /// that names nothing.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(SlotKey::from_bits(bits))
    }
}

#[derive(Debug)]
pub(crate) struct Timers<T> {
    items: Slots<T>,
    /// Invariant: every live timer has exactly one entry.
    heap: BinaryHeap<Reverse<Entry>>,
    /// Of the next timer. 64 bits do not run out.
    sequence: u64,
}

/// Ordered by deadline, then by age; the key takes no part because no two sequences are equal.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Entry {
    deadline: Instant,
    sequence: u64,
    key_bits: u64,
}

/// Heaps below this size are never swept: walking them costs less than deciding to.
const SWEEP_MIN: usize = 64;

/// Fewer than this are never taken as a crowd.
const CROWD_MIN: usize = 256;

/// So many of a heap are looked at to tell whether it is a crowd that is due.
const SAMPLES: usize = 8;

impl<T> Timers<T> {
    pub(crate) const fn new() -> Self {
        Self { items: Slots::new(), heap: BinaryHeap::new(), sequence: 0 }
    }

    /// How many timers are pending.
    pub(crate) fn len(&self) -> usize {
        self.items.len()
    }

    pub(crate) fn add(&mut self, deadline: Instant, item: T) -> TimerKey {
        let key = self.items.insert(item);
        let entry = Entry { deadline, sequence: self.sequence, key_bits: key.to_bits() };
        self.sequence += 1;
        self.heap.push(Reverse(entry));
        TimerKey(key)
    }

    /// Takes a pending timer's item out; `None` if it has fired or was cancelled before.
    pub(crate) fn cancel(&mut self, key: TimerKey) -> Option<T> {
        let item = self.items.remove(key.0)?;
        let dead = self.heap.len() - self.items.len();
        if self.heap.len() >= SWEEP_MIN && dead > self.heap.len() / 2 {
            let items = &self.items;
            self.heap.retain(|Reverse(entry)| items.contains(SlotKey::from_bits(entry.key_bits)));
            self.shrink();
        }
        Some(item)
    }

    /// A crowd's memory goes with the crowd; what is left of it may grow again.
    fn shrink(&mut self) {
        if self.heap.len() < self.heap.capacity() / 8 {
            self.heap.shrink_to(2 * self.heap.len());
        }
    }

    /// The nearest deadline.
    pub(crate) fn next_deadline(&mut self) -> Option<Instant> {
        self.drop_dead_top();
        self.heap.peek().map(|Reverse(entry)| entry.deadline)
    }

    /// Takes the items of all timers whose deadline is not after `now`, the earliest first.
    pub(crate) fn take_due(&mut self, now: Instant, mut each: impl FnMut(T)) {
        if self.is_crowd(now) {
            return self.take_crowd(now, each);
        }
        let mut taken = 0;
        while let Some(item) = self.pop_due(now) {
            each(item);
            taken += 1;
            if taken >= CROWD_MIN && taken > self.heap.len() / 16 {
                return self.take_crowd(now, each);
            }
        }
    }

    /// Whether many seem to be due at `now`, by samples from all over the heap. Should that be mere
    /// chance, the heap is looked through for nothing once: the samples are gone then.
    fn is_crowd(&self, now: Instant) -> bool {
        let entries = self.heap.as_slice();
        entries.len() >= CROWD_MIN
            && entries
                .iter()
                .step_by(entries.len() / SAMPLES)
                .all(|Reverse(entry)| entry.deadline <= now)
    }

    /// The same for many: to sort them costs less than to take one after the other off a heap that
    /// no cache holds (bench: `--growth`, timers that come due). What is looked at for nothing, the
    /// rest of the heap, is at most sixteen for each that was taken.
    #[cold]
    fn take_crowd(&mut self, now: Instant, mut each: impl FnMut(T)) {
        let mut due = Vec::new();
        self.heap.retain(|&Reverse(entry)| {
            let is_due = entry.deadline <= now;
            if is_due {
                due.push(entry);
            }
            !is_due
        });
        self.shrink();
        due.sort_unstable();
        for entry in due {
            if let Some(item) = self.items.remove(SlotKey::from_bits(entry.key_bits)) {
                each(item);
            }
        }
    }

    /// Takes the item of the earliest timer whose deadline is not after `now`.
    fn pop_due(&mut self, now: Instant) -> Option<T> {
        if self.next_deadline()? > now {
            return None;
        }
        let Reverse(entry) = self.heap.pop()?;
        self.items.remove(SlotKey::from_bits(entry.key_bits))
    }

    pub(crate) fn items(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }

    /// All that are pending, the earliest first.
    pub(crate) fn in_order(&self) -> Vec<(TimerKey, Instant)> {
        let mut pending: Vec<_> = self
            .heap
            .iter()
            .filter(|Reverse(entry)| self.items.contains(SlotKey::from_bits(entry.key_bits)))
            .map(|&Reverse(entry)| entry)
            .collect();
        pending.sort_unstable();
        let named = |entry: Entry| (TimerKey::from_bits(entry.key_bits), entry.deadline);
        pending.into_iter().map(named).collect()
    }

    /// What a pending timer has.
    pub(crate) fn get_mut(&mut self, key: TimerKey) -> Option<&mut T> {
        self.items.get_mut(key.0)
    }

    /// Takes all items out, in no particular order.
    pub(crate) fn drain(&mut self) -> Vec<T> {
        self.heap.clear();
        self.items.drain()
    }

    fn drop_dead_top(&mut self) {
        while let Some(Reverse(entry)) = self.heap.peek() {
            if self.items.contains(SlotKey::from_bits(entry.key_bits)) {
                break;
            }
            self.heap.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(nanos: u64) -> Instant {
        Instant::from_nanos(nanos)
    }

    fn due<T>(timers: &mut Timers<T>, now: u64) -> Vec<T> {
        let mut due = Vec::new();
        timers.take_due(at(now), |item| due.push(item));
        due
    }

    #[test]
    fn pending_timers_are_told_in_the_order_in_which_they_come_due() {
        let mut timers = Timers::new();
        let late = timers.add(at(30), "late");
        let cancelled = timers.add(at(5), "cancelled");
        let first = timers.add(at(10), "first");
        let second = timers.add(at(10), "second");
        timers.cancel(cancelled);
        assert_eq!(timers.in_order(), [(first, at(10)), (second, at(10)), (late, at(30))]);
        *timers.get_mut(second).expect("it is pending") = "other";
        assert_eq!(timers.get_mut(cancelled), None);
        assert_eq!(due(&mut timers, 20), ["first", "other"]);
        assert_eq!(timers.in_order(), [(late, at(30))]);
    }

    #[test]
    fn fires_in_order_of_deadline_and_then_of_age() {
        let mut timers = Timers::new();
        for (deadline, name) in [(3, 'd'), (1, 'a'), (2, 'b'), (2, 'c'), (9, 'e')] {
            timers.add(at(deadline), name);
        }
        assert_eq!(due(&mut timers, 0), []);
        assert_eq!(due(&mut timers, 3), ['a', 'b', 'c', 'd']);
        assert_eq!(timers.next_deadline(), Some(at(9)));
    }

    #[test]
    fn a_crowd_fires_in_the_same_order_and_leaves_the_rest() {
        for crowd in [CROWD_MIN as u64 - 1, CROWD_MIN as u64, 3 * CROWD_MIN as u64, 5000] {
            let mut timers = Timers::new();
            // Deadlines out of order, each several times; every seventh is cancelled.
            let deadline = |index: u64| index * 7919 % (crowd / 3);
            let keys: Vec<_> =
                (0..crowd).map(|index| timers.add(at(deadline(index)), index)).collect();
            for key in keys.iter().step_by(7) {
                assert!(timers.cancel(*key).is_some());
            }
            let now = crowd / 4;
            let mut expected: Vec<u64> = (0..crowd).filter(|index| index % 7 != 0).collect();
            expected.sort_by_key(|&index| deadline(index));
            let later = expected.split_off(expected.partition_point(|&i| deadline(i) <= now));
            assert_eq!(due(&mut timers, now), expected);
            assert_eq!(timers.len(), later.len());
            assert_eq!(timers.next_deadline(), later.first().map(|&index| at(deadline(index))));
            assert_eq!(due(&mut timers, crowd), later);
            assert_eq!(timers.next_deadline(), None);
        }
    }

    #[test]
    fn a_key_works_once_and_never_reaches_a_later_timer() {
        let mut timers = Timers::new();
        let first = timers.add(at(1), 'a');
        assert_eq!(timers.cancel(first), Some('a'));
        assert_eq!(timers.cancel(first), None);
        let second = timers.add(at(1), 'b');
        assert_eq!(timers.cancel(first), None);
        assert_eq!(due(&mut timers, 1), ['b']);
        assert_eq!(timers.cancel(second), None);
        assert_eq!(TimerKey::from_bits(second.to_bits()), second);
    }

    #[test]
    fn the_nearest_deadline_is_that_of_a_live_timer() {
        let mut timers = Timers::new();
        let near = timers.add(at(1), 'a');
        let nearer = timers.add(at(0), 'b');
        timers.add(at(5), 'c');
        timers.cancel(near);
        assert_eq!(timers.next_deadline(), Some(at(0)));
        timers.cancel(nearer);
        assert_eq!(timers.next_deadline(), Some(at(5)));
    }

    #[test]
    fn the_heap_never_holds_more_dead_than_living_past_the_minimum() {
        let mut timers = Timers::new();
        timers.add(at(0), 0);
        let mut keys = Vec::new();
        for round in 0..if cfg!(miri) { 500 } else { 10_000 } {
            keys.push(timers.add(at(10 + round), 1));
            if round % 3 != 0 {
                timers.cancel(keys.swap_remove(round as usize % keys.len()));
            }
            assert!(timers.heap.len() <= (2 * timers.items.len()).max(SWEEP_MIN));
        }
    }

    /// Every way to add four timers with deadlines 0..4 and to cancel any subset, then to ask at
    /// any time.
    #[test]
    fn agrees_with_a_sorted_list_on_every_small_case() {
        // Miri takes its time.
        for deadlines in (0..256u32).step_by(if cfg!(miri) { 61 } else { 1 }) {
            for cancelled in 0..16u32 {
                for now in 0..4 {
                    let mut timers = Timers::new();
                    let mut model = Vec::new();
                    let mut keys = Vec::new();
                    for index in 0..4 {
                        let deadline = u64::from((deadlines >> (2 * index)) & 3);
                        keys.push(timers.add(at(deadline), index));
                        model.push((deadline, index));
                    }
                    for index in (0..4).filter(|index| cancelled >> index & 1 == 1) {
                        assert_eq!(timers.cancel(keys[index]), Some(index));
                        model.retain(|(_, other)| *other != index);
                    }
                    model.sort_unstable();
                    let nearest = model.first().map(|(deadline, _)| at(*deadline));
                    assert_eq!(timers.next_deadline(), nearest);
                    let expected: Vec<usize> =
                        model.iter().filter(|(d, _)| *d <= now).map(|(_, index)| *index).collect();
                    assert_eq!(due(&mut timers, now), expected);
                    assert_eq!(timers.len(), model.len() - expected.len());
                }
            }
        }
    }
}
