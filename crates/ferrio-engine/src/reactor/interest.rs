//! What a source asks to be told.

use std::ops::{BitOr, BitOrAssign};

/// The directions a source wants to hear of.
///
/// ```
/// use ferrio_engine::Interest;
///
/// let both = Interest::READ | Interest::WRITE;
/// assert_eq!(both, Interest::BOTH);
/// assert_eq!(both.without(Interest::READ), Interest::WRITE);
/// assert!(both.contains(Interest::READ) && !Interest::NONE.contains(Interest::READ));
/// ```
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Interest(u8);

impl Interest {
    /// Nothing; errors and hang-ups are not reported either.
    pub const NONE: Self = Self(0);
    /// Data or a connection has come, the peer has finished, or there is an error.
    pub const READ: Self = Self(1);
    /// There is room to send, a connection attempt has ended, or there is an error.
    pub const WRITE: Self = Self(2);
    /// Both.
    pub const BOTH: Self = Self(3);

    /// Whether everything in `other` is in `self`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Everything in either.
    #[must_use]
    pub const fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in `self` and not in `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether it is [`Interest::NONE`].
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }
}

impl BitOr for Interest {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for Interest {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.with(other);
    }
}

/// When a source is told.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub enum Trigger {
    /// In every turn for as long as it is so. What asyncio's `add_reader` and `add_writer` mean.
    /// The interest has to be taken back while nobody acts on it, at a system call each time.
    Level,
    /// Once each time it becomes so: whoever is told must go on until the kernel says it would
    /// block, or remember that it has not. Costs no system call between registering and
    /// deregistering.
    ///
    /// Also reports urgent data, see [`Readiness::PRIORITY`](super::Readiness::PRIORITY).
    Edge,
}
