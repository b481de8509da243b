//! How many datagrams to receive for one event.

/// Guesses whether there are more datagrams than the one that an event is about. To look in vain
/// costs a system call, and so does not to look: the next event.
#[derive(Default)]
pub(super) struct Burst {
    /// There were more at the last look.
    is_on: bool,
    /// Events since then without a look.
    unlooked: u8,
}

/// So many at most are received for one event: others want their turn, too.
const MOST: u8 = 16;

/// With single datagrams, one event in so many looks for another.
const LOOK_AGAIN: u8 = 8;

impl Burst {
    /// How many to receive for this event, if nothing else is to be done.
    pub(super) fn limit(&self) -> u8 {
        if self.is_on || self.unlooked >= LOOK_AGAIN - 1 { MOST } else { 1 }
    }

    /// `received` came for this event; `is_dry` if there was no other.
    pub(super) fn learn(&mut self, received: u8, is_dry: bool) {
        if is_dry || received > 1 {
            // A look for a second one: that it came counts, though there was no third.
            *self = Burst { is_on: received > 1, unlooked: 0 };
        } else {
            self.unlooked = self.unlooked.saturating_add(1);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_are_rare_while_datagrams_come_one_by_one() {
        let mut burst = Burst::default();
        let mut looks = 0;
        for _ in 0..80 {
            let is_look = burst.limit() > 1;
            looks += u32::from(is_look);
            burst.learn(1, is_look);
        }
        assert_eq!(looks, 10);
    }

    #[test]
    fn a_burst_is_noticed_and_its_end_too() {
        let mut burst = Burst::default();
        let events = (0..).find(|_| {
            let limit = burst.limit();
            burst.learn(limit, false);
            limit > 1
        });
        assert_eq!(events, Some(7));
        assert_eq!(burst.limit(), MOST);
        burst.learn(3, true);
        assert_eq!(burst.limit(), MOST);
        burst.learn(1, true);
        assert_eq!(burst.limit(), 1);
    }
}
