//! The bytes every connection sends, and therefore the bytes it must get back.
//!
//! All connections read one endless pseudo-random text, each from its own starting place. A byte
//! that was lost, doubled, reordered or meant for another connection is then a byte out of place:
//! two connections stand at the same place of the text with odds of one in `PERIOD`.
//!
//! One shared block instead of a buffer per connection, because the generator must be cheap: at
//! fifty connections private buffers no longer fit the second-level cache.

/// Length after which the text repeats. Prime, so that it shares no factor with a message size and
/// connections in lockstep do not fall into step with the period.
const PERIOD: usize = 65_521;

/// The endless text, stored once and a bit more, so that most slices of it are contiguous.
pub(crate) struct Payload {
    /// Invariant: `block[i] == block[i % PERIOD]`, and it is longer than `PERIOD`.
    block: Vec<u8>,
}

impl Payload {
    /// `contiguous_bytes` is the longest slice the callers would like in one piece.
    pub(crate) fn new(contiguous_bytes: usize) -> Self {
        let mut block: Vec<u8> = SplitMix(0x00fe_4410).take(PERIOD).collect();
        let mut source = 0;
        while block.len() < PERIOD + contiguous_bytes.max(1) {
            block.push(block[source]);
            source += 1;
        }
        Self { block }
    }

    /// Where in the text the connection with this number begins.
    pub(crate) fn start_of(connection: usize) -> u64 {
        // Fibonacci hashing spreads consecutive numbers over the whole period.
        (connection as u64).wrapping_mul(40_503) % PERIOD as u64
    }

    /// The text from `position` on: `len` bytes, or fewer (never none, for `len > 0`) where the stored block ends.
    pub(crate) fn at(&self, position: u64, len: usize) -> &[u8] {
        let begin = (position % PERIOD as u64) as usize;
        &self.block[begin..self.block.len().min(begin + len)]
    }

    /// The index of the first byte of `received` that is not the text from `position` on.
    pub(crate) fn first_difference(&self, mut position: u64, received: &[u8]) -> Option<usize> {
        let mut rest = received;
        while !rest.is_empty() {
            let expected = self.at(position, rest.len());
            let (head, tail) = rest.split_at(expected.len());
            // The comparison of whole slices is a memcmp; bytes are looked at only to report.
            if head != expected {
                let inside = head.iter().zip(expected).position(|(a, b)| a != b)?;
                return Some(received.len() - rest.len() + inside);
            }
            position += expected.len() as u64;
            rest = tail;
        }
        None
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): enough randomness for a text nobody attacks.
struct SplitMix(u64);

impl Iterator for SplitMix {
    type Item = u8;

    fn next(&mut self) -> Option<u8> {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        Some((mixed ^ (mixed >> 31)) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_continues_over_the_end_of_its_period() {
        let payload = Payload::new(1024);
        let position = PERIOD as u64 - 10;
        let mut received = payload.at(position, 10).to_vec();
        received.extend_from_slice(payload.at(position + 10, 1000));
        assert_eq!(payload.at(position, 1010), received);
        assert_eq!(payload.first_difference(position, &received), None);
    }

    #[test]
    fn slices_longer_than_the_block_come_in_pieces() {
        let payload = Payload::new(1);
        let mut received = Vec::new();
        while received.len() < 3 * PERIOD {
            let piece = payload.at(7 + received.len() as u64, 3 * PERIOD - received.len());
            assert!(!piece.is_empty());
            received.extend_from_slice(piece);
        }
        assert_eq!(payload.first_difference(7, &received), None);
    }

    #[test]
    fn a_foreign_byte_is_found_where_it_is() {
        let payload = Payload::new(4096);
        let mut received = payload.at(5, 4096).to_vec();
        received[1234] ^= 1;
        assert_eq!(payload.first_difference(5, &received), Some(1234));
    }

    #[test]
    fn connections_do_not_share_their_bytes() {
        let payload = Payload::new(64);
        for connection in 1..1000 {
            let foreign = payload.at(Payload::start_of(connection), 64);
            assert!(payload.first_difference(Payload::start_of(0), foreign).is_some());
        }
    }
}
