//! What the kernel said about a source.

use std::ops::{BitOr, BitOrAssign};

use super::Interest;

/// A set of conditions reported in one event.
///
/// Which of them matter to a reader or a writer is answered by [`is_readable`](Self::is_readable)
/// and [`is_writable`](Self::is_writable), as asyncio's selectors answer it: errors and hang-ups
/// rouse both.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug, Default)]
pub struct Readiness(u8);

impl Readiness {
    /// Nothing.
    pub const NONE: Self = Self(0);
    /// There is something to receive or to accept (`EPOLLIN`).
    pub const READABLE: Self = Self(1);
    /// There is room to send (`EPOLLOUT`).
    pub const WRITABLE: Self = Self(2);
    /// The peer may have finished sending (`EPOLLRDHUP`): a short read does not mean that nothing
    /// follows, the end may. Only `recv` returning zero is the end itself. Drivers that cannot tell
    /// set this on every readable event. Reported for [`Trigger::Edge`](super::Trigger::Edge) only.
    pub const READ_CLOSED: Self = Self(4);
    /// Both directions are over (`EPOLLHUP`).
    pub const HANGUP: Self = Self(8);
    /// The source has failed (`EPOLLERR`); the next call on it says how.
    pub const ERROR: Self = Self(16);
    /// There is urgent data (`EPOLLPRI`): `recv` stops short at the mark, so a short read means
    /// nothing. Reported for [`Trigger::Edge`](super::Trigger::Edge) only.
    pub const PRIORITY: Self = Self(32);

    /// Whether everything in `other` is in `self`.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether anything in `other` is in `self`.
    #[must_use]
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
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

    /// Whether nothing is set.
    #[must_use]
    pub const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// Whether a reader should act: anything but mere writability.
    #[must_use]
    pub const fn is_readable(self) -> bool {
        !self.without(Self::WRITABLE).is_none()
    }

    /// Whether a writer should act: room, a hang-up or an error.
    #[must_use]
    pub const fn is_writable(self) -> bool {
        self.intersects(Self(Self::WRITABLE.0 | Self::HANGUP.0 | Self::ERROR.0))
    }

    /// Which of the directions in `interest` should act. (CPython, `Lib/selectors.py`,
    /// `_PollLikeSelector.select`: everything but OUT rouses readers, everything but IN rouses
    /// writers.)
    #[must_use]
    pub const fn directions(self, interest: Interest) -> Interest {
        let mut acting = Interest::NONE;
        if self.is_readable() && interest.contains(Interest::READ) {
            acting = acting.with(Interest::READ);
        }
        if self.is_writable() && interest.contains(Interest::WRITE) {
            acting = acting.with(Interest::WRITE);
        }
        acting
    }
}

impl BitOr for Readiness {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl BitOrAssign for Readiness {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.with(other);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_hangups_rouse_both_directions() {
        for bits in 0..64 {
            let readiness = Readiness(bits);
            let trouble = readiness.intersects(Readiness::ERROR | Readiness::HANGUP);
            if trouble {
                assert_eq!(readiness.directions(Interest::BOTH), Interest::BOTH);
            }
            assert_eq!(readiness.is_readable(), bits & !2 != 0);
            assert_eq!(readiness.is_writable(), trouble || bits & 2 != 0);
            assert_eq!(readiness.directions(Interest::NONE), Interest::NONE);
        }
    }
}
