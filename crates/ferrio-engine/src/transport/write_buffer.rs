//! Write-side flow control: bytes the kernel has not taken yet, and the pause and resume edges.
//!
//! Pure state: no descriptor, no clock, no Python. The watermarks mean what they mean in
//! `_FlowControlMixin` (CPython, `Lib/asyncio/transports.py`): pause when a write takes the buffer
//! above `high`, resume when sending takes it to `low` or below.

use std::collections::VecDeque;
use std::io::IoSlice;

/// Watermarks in bytes, `low` never above `high`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub struct Limits {
    low: usize,
    high: usize,
}

impl Limits {
    /// `None` if `low` is above `high`.
    #[must_use]
    pub const fn new(low: usize, high: usize) -> Option<Self> {
        if low <= high { Some(Self { low, high }) } else { None }
    }

    /// At or below this many bytes a paused writer resumes.
    #[must_use]
    pub const fn low(self) -> usize {
        self.low
    }

    /// Above this many bytes a writer is to pause.
    #[must_use]
    pub const fn high(self) -> usize {
        self.high
    }
}

impl Default for Limits {
    /// asyncio's: 64 KiB, resume at a quarter.
    fn default() -> Self {
        Self { low: 16 * 1024, high: 64 * 1024 }
    }
}

/// An edge that the writer is to be told of, once.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Flow {
    /// Stop writing: the buffer has gone above the high watermark.
    Pause,
    /// Go on: it has come down to the low one.
    Resume,
}

/// `B` is any owned byte container: a binding can queue a Python `bytes` without a copy, and this
/// crate still does not know what Python is. Its bytes must not change while it is queued.
///
/// ```
/// use ferrio_engine::{Flow, Limits, WriteBuffer};
///
/// let mut buffer = WriteBuffer::new(Limits::new(1, 4).unwrap());
/// assert_eq!(buffer.push("hello"), Some(Flow::Pause));
/// assert_eq!(buffer.advance(3), None);
/// assert_eq!(buffer.front(), Some(&b"lo"[..]));
/// assert_eq!(buffer.advance(1), Some(Flow::Resume));
/// ```
#[derive(Debug)]
pub struct WriteBuffer<B> {
    /// None of them empty.
    chunks: VecDeque<B>,
    /// Bytes of `chunks[0]` already taken. Invariant: less than its length; 0 if there are no
    /// chunks.
    head: usize,
    /// Bytes not yet taken, over all chunks.
    len: usize,
    limits: Limits, // `Limits::new` refuses low > high, so nothing here needs to check.
    paused: bool,
}

impl<B: AsRef<[u8]>> WriteBuffer<B> {
    /// An empty buffer.
    #[must_use]
    pub const fn new(limits: Limits) -> Self {
        Self { chunks: VecDeque::new(), head: 0, len: 0, limits, paused: false }
    }

    /// Bytes not yet taken.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether everything was taken.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether the last edge reported was [`Flow::Pause`].
    #[must_use]
    pub const fn is_paused(&self) -> bool {
        self.paused
    }

    /// The watermarks.
    #[must_use]
    pub const fn limits(&self) -> Limits {
        self.limits
    }

    /// Changes the watermarks. May pause at once, but never resumes: asyncio leaves that to the
    /// next bytes sent (`_FlowControlMixin.set_write_buffer_limits`).
    #[must_use]
    pub fn set_limits(&mut self, limits: Limits) -> Option<Flow> {
        self.limits = limits;
        self.cross_high()
    }

    /// Queues `chunk`; returns the edge crossed, which the caller delivers exactly once.
    #[must_use]
    pub fn push(&mut self, chunk: B) -> Option<Flow> {
        self.queue(chunk);
        self.cross_high()
    }

    /// Queues `chunk`; the writer is told of no edge before [`cross_high`](Self::cross_high), so
    /// that what is sent in between does not count.
    pub fn queue(&mut self, chunk: B) {
        let size = chunk.as_ref().len();
        // An empty chunk in front would look like a drained buffer to `front`.
        if size > 0 {
            self.chunks.push_back(chunk);
            self.len += size;
        }
    }

    /// The bytes to be taken next, as far as they lie together; `None` if there are none.
    #[must_use]
    pub fn front(&self) -> Option<&[u8]> {
        self.chunks.front().map(|chunk| &chunk.as_ref()[self.head..])
    }

    /// How many pieces the bytes lie in.
    #[must_use]
    pub fn chunk_count(&self) -> usize {
        self.chunks.len()
    }

    /// Fills `slices` with the first pieces; returns how many and how many bytes they are.
    pub fn slices<'a>(&'a self, slices: &mut [IoSlice<'a>]) -> (usize, usize) {
        let mut count = 0;
        let mut bytes = 0;
        let mut skip = self.head;
        for (slice, chunk) in slices.iter_mut().zip(&self.chunks) {
            let piece = &chunk.as_ref()[skip..];
            *slice = IoSlice::new(piece);
            bytes += piece.len();
            count += 1;
            skip = 0;
        }
        (count, bytes)
    }

    /// Drops the first `count` bytes, which were taken; returns the edge crossed, which the caller
    /// delivers exactly once. Dropping more than there are empties the buffer.
    #[must_use]
    pub fn advance(&mut self, count: usize) -> Option<Flow> {
        let mut left = count.min(self.len);
        self.len -= left;
        while let Some(chunk) = self.chunks.front() {
            let rest = chunk.as_ref().len() - self.head;
            if left < rest {
                self.head += left;
                break;
            }
            left -= rest;
            self.head = 0;
            self.chunks.pop_front();
        }
        self.cross_low()
    }

    /// Drops everything. No edge: whoever clears a buffer is not going to write on.
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.head = 0;
        self.len = 0;
    }

    /// The edge that what was [queued](Self::queue) has crossed, which the caller delivers exactly
    /// once.
    #[must_use]
    pub fn cross_high(&mut self) -> Option<Flow> {
        let crossed = !self.paused && self.len > self.limits.high;
        self.paused |= crossed;
        crossed.then_some(Flow::Pause)
    }

    fn cross_low(&mut self) -> Option<Flow> {
        let crossed = self.paused && self.len <= self.limits.low;
        self.paused &= !crossed;
        crossed.then_some(Flow::Resume)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(low: usize, high: usize) -> Limits {
        Limits::new(low, high).unwrap()
    }

    fn contents(buffer: &WriteBuffer<Vec<u8>>) -> Vec<u8> {
        let mut slices = [IoSlice::new(&[]); 8];
        let (count, bytes) = buffer.slices(&mut slices);
        let joined: Vec<u8> = slices[..count].iter().flat_map(|slice| slice.to_vec()).collect();
        assert_eq!(joined.len(), bytes);
        joined
    }

    #[test]
    fn limits_refuse_low_above_high() {
        assert_eq!(Limits::new(2, 1), None);
        assert!(Limits::new(0, 0).is_some());
    }

    #[test]
    fn each_crossing_is_reported_once() {
        let mut buffer = WriteBuffer::new(limits(1, 3));
        assert_eq!(buffer.push(vec![0; 3]), None);
        assert_eq!(buffer.push(vec![0; 1]), Some(Flow::Pause));
        assert_eq!(buffer.push(vec![0; 1]), None);
        assert_eq!(buffer.advance(3), None);
        assert_eq!(buffer.advance(1), Some(Flow::Resume));
        assert_eq!(buffer.advance(1), None);
    }

    #[test]
    fn limits_of_zero_pause_on_any_byte_and_resume_when_drained() {
        let mut buffer = WriteBuffer::new(limits(0, 0));
        assert_eq!(buffer.push(vec![]), None);
        assert_eq!(buffer.push(vec![1, 2]), Some(Flow::Pause));
        assert_eq!(buffer.advance(1), None);
        assert_eq!(buffer.advance(1), Some(Flow::Resume));
    }

    #[test]
    fn new_limits_may_pause_but_never_resume() {
        let mut buffer = WriteBuffer::new(limits(1, 10));
        assert_eq!(buffer.push(vec![0; 8]), None);
        assert_eq!(buffer.set_limits(limits(1, 4)), Some(Flow::Pause));
        assert_eq!(buffer.set_limits(limits(100, 100)), None);
        assert_eq!(buffer.advance(1), Some(Flow::Resume));
    }

    /// All ways to push up to three chunks of 0..=3 bytes and to take them in two steps, against
    /// one plain list.
    #[test]
    fn agrees_with_a_flat_list_on_every_small_case() {
        // Miri takes its time.
        for sizes in (0..64usize).step_by(if cfg!(miri) { 13 } else { 1 }) {
            for first in 0..=9 {
                for second in 0..=9 {
                    let mut buffer = WriteBuffer::new(limits(2, 4));
                    let mut flat = Vec::new();
                    let mut paused = false;
                    for index in 0..3 {
                        let size = sizes >> (2 * index) & 3;
                        let chunk: Vec<u8> =
                            (0..size).map(|byte| (10 * index + byte) as u8).collect();
                        flat.extend_from_slice(&chunk);
                        let edge = !paused && flat.len() > 4;
                        paused |= edge;
                        assert_eq!(buffer.push(chunk), edge.then_some(Flow::Pause));
                    }
                    for count in [first, second] {
                        flat.drain(..count.min(flat.len()));
                        let edge = paused && flat.len() <= 2;
                        paused &= !edge;
                        assert_eq!(buffer.advance(count), edge.then_some(Flow::Resume));
                        assert_eq!(buffer.len(), flat.len());
                        assert_eq!(buffer.is_empty(), flat.is_empty());
                        assert_eq!(buffer.front().is_none(), flat.is_empty());
                        assert_eq!(contents(&buffer), flat);
                    }
                }
            }
        }
    }
}
