//! Datagrams that the kernel had no room for: whole ones, in order, with the edges of flow control.
//!
//! Pure state, as [`WriteBuffer`](super::WriteBuffer) is for streams. The difference is that a
//! datagram goes whole or not at all, that it may have an address of its own, and that one that
//! fails takes no other with it.

use std::collections::VecDeque;

use super::write_buffer::{Flow, Limits};

/// `D` is a datagram and where it is to go.
#[derive(Debug)]
pub struct DatagramQueue<D> {
    queue: VecDeque<Queued<D>>,
    /// Bytes of all that is queued, headers included.
    len: usize,
    /// What each datagram counts for beside its bytes: empty ones are not free.
    header: usize,
    limits: Limits,
    paused: bool,
}

/// A datagram that is or was queued, with the number of its bytes.
#[derive(Debug)]
pub struct Queued<D> {
    /// What was pushed.
    pub datagram: D,
    bytes: usize,
}

impl<D> DatagramQueue<D> {
    /// An empty queue.
    #[must_use]
    pub const fn new(limits: Limits, header: usize) -> Self {
        Self { queue: VecDeque::new(), len: 0, header, limits, paused: false }
    }

    /// Queues a datagram of so many bytes; returns the edge crossed, for the caller to deliver
    /// once.
    #[must_use]
    pub fn push(&mut self, datagram: D, bytes: usize) -> Option<Flow> {
        self.len += bytes + self.header;
        self.queue.push_back(Queued { datagram, bytes });
        self.rise()
    }

    /// Takes the first datagram, to be sent now.
    pub fn pop(&mut self) -> Option<Queued<D>> {
        let queued = self.queue.pop_front()?;
        self.len -= queued.bytes + self.header;
        Some(queued)
    }

    /// Puts back what the kernel had no room for after all.
    pub fn put_back(&mut self, queued: Queued<D>) {
        self.len += queued.bytes + self.header;
        self.queue.push_front(queued);
    }

    /// To be asked when sending has stopped: the writer may go on if that has brought the queue
    /// down to the low watermark.
    #[must_use]
    pub fn settle(&mut self) -> Option<Flow> {
        let resumes = self.paused && self.len <= self.limits.low();
        self.paused &= !resumes;
        resumes.then_some(Flow::Resume)
    }

    /// Changes the watermarks; the edge crossed is the caller's to deliver. Only upwards: what is
    /// paused is resumed by sending.
    #[must_use]
    pub fn set_limits(&mut self, limits: Limits) -> Option<Flow> {
        self.limits = limits;
        self.rise()
    }

    /// The watermarks.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Bytes queued, headers included.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.len
    }

    /// Whether nothing is queued.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// Everything queued, in order.
    pub fn iter(&self) -> impl Iterator<Item = &D> {
        self.queue.iter().map(|queued| &queued.datagram)
    }

    /// Takes everything out, for its owner to drop.
    pub fn take(&mut self) -> impl Iterator<Item = D> + use<D> {
        self.len = 0;
        std::mem::take(&mut self.queue).into_iter().map(|queued| queued.datagram)
    }

    fn rise(&mut self) -> Option<Flow> {
        let pauses = !self.paused && self.len > self.limits.high();
        self.paused |= pauses;
        pauses.then_some(Flow::Pause)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(low: usize, high: usize, header: usize) -> DatagramQueue<&'static str> {
        DatagramQueue::new(Limits::new(low, high).unwrap(), header)
    }

    #[test]
    fn each_crossing_is_reported_once() {
        let mut queue = queue(10, 30, 8);
        assert_eq!(queue.push("a", 20), None);
        assert_eq!(queue.push("b", 0), Some(Flow::Pause));
        assert_eq!(queue.push("c", 0), None);
        assert_eq!(queue.len_bytes(), 44);
        assert_eq!(queue.pop().unwrap().datagram, "a");
        assert_eq!(queue.settle(), None);
        assert_eq!(queue.pop().unwrap().datagram, "b");
        assert_eq!(queue.settle(), Some(Flow::Resume));
        assert_eq!(queue.settle(), None);
        assert_eq!(queue.pop().unwrap().datagram, "c");
        assert!(queue.pop().is_none() && queue.is_empty() && queue.len_bytes() == 0);
    }

    #[test]
    fn what_is_put_back_is_first_again() {
        let mut queue = queue(0, 100, 0);
        assert_eq!(queue.push("a", 1), None);
        assert_eq!(queue.push("b", 2), None);
        let first = queue.pop().unwrap();
        assert_eq!(queue.len_bytes(), 2);
        queue.put_back(first);
        assert_eq!(queue.len_bytes(), 3);
        assert_eq!(queue.iter().copied().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue.take().collect::<Vec<_>>(), ["a", "b"]);
        assert_eq!(queue.len_bytes(), 0);
    }

    #[test]
    fn an_empty_datagram_counts_for_its_header() {
        let mut free = queue(0, 0, 0);
        assert_eq!(free.push("", 0), None);
        let mut counted = queue(0, 0, 8);
        assert_eq!(counted.push("", 0), Some(Flow::Pause));
    }

    #[test]
    fn lower_limits_pause_at_once() {
        let mut queue = queue(10, 100, 0);
        assert_eq!(queue.push("a", 50), None);
        assert_eq!(queue.set_limits(Limits::new(0, 40).unwrap()), Some(Flow::Pause));
        assert_eq!(queue.set_limits(Limits::new(60, 200).unwrap()), None);
        assert_eq!(queue.settle(), Some(Flow::Resume));
    }
}
