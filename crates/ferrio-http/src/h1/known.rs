//! A head that has come before.

use super::head::Head;

/// A whole head with its bytes, for the client that sends the same request again.
///
/// Equal bytes are read equally, so comparing them is as good as parsing them:
/// [`Server::receive_known`](super::Server::receive_known). Whoever keeps objects made from a head
/// can keep them beside it.
///
/// One for each connection, or none. Behind a proxy a connection may be shared by people who must not
/// learn of each other's secrets, and whether a head was known can be measured: do not
/// [`remember`](Self::remember) those with credentials or cookies.
#[derive(Clone, Default, Debug)]
pub struct Known {
    /// Empty, or a head with its empty line.
    bytes: Vec<u8>,
    head: Head,
}

impl Known {
    /// Keeps this head, which was read from the start of `bytes` and is all of them: the first
    /// `used` bytes of the input of the step that brought it. One that something comes before, such as
    /// an empty line, or that is larger than `max_bytes`, is not kept, and none is then.
    pub fn remember(&mut self, head: &Head, bytes: &[u8], max_bytes: usize) {
        self.forget();
        if head.begins_at_start() && bytes.len() <= max_bytes {
            self.bytes.extend_from_slice(bytes);
            self.head.clone_from(head);
        }
    }

    /// Keeps none. The memory stays.
    pub fn forget(&mut self) {
        self.bytes.clear();
    }

    /// The head, whose ranges are those of any input that [begins](Self::begins) with it.
    #[must_use]
    pub const fn head(&self) -> &Head {
        &self.head
    }

    /// Whether this begins with the head that is kept.
    #[must_use]
    pub fn begins(&self, input: &[u8]) -> bool {
        !self.bytes.is_empty() && input.starts_with(&self.bytes)
    }

    pub(super) const fn len(&self) -> usize {
        self.bytes.len()
    }
}
