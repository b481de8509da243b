//! Bytes as a source of decisions. One byte each, so that a fuzzer that changes a byte changes a
//! decision and leaves the others alone.

use ferrio_engine::Limits;

/// What is left of the bytes. At their end every answer is zero.
pub(crate) struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// All of it, at once.
    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.bytes
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    pub(crate) fn byte(&mut self) -> u8 {
        match self.bytes.split_first() {
            Some((first, rest)) => {
                self.bytes = rest;
                *first
            }
            None => 0,
        }
    }

    /// A number below `end`, which is at most 256.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::from(self.byte()) % end
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.byte() & 1 == 1
    }

    /// Mostly small, at times so large that it takes several steps to send.
    pub(crate) fn size(&mut self) -> usize {
        match self.byte() {
            small @ 0..=199 => usize::from(small) % 20,
            large => (usize::from(large) - 199) * 300,
        }
    }

    pub(crate) fn limits(&mut self) -> Limits {
        let low = self.size();
        Limits::new(low, low + self.size()).expect("low is not above high")
    }
}
