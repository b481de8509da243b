//! The time of day as HTTP writes it.

use std::fmt::{self, Write as _};
use std::time::{Duration, UNIX_EPOCH};

/// A value of the field `Date` (RFC 9110, section 5.6.7), formatted once for a second.
///
/// ```
/// use ferrio_http::Date;
///
/// let mut date = Date::at(784_111_777);
/// assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// date.set(784_111_778);
/// assert_eq!(date.as_bytes(), b"Sun, 06 Nov 1994 08:49:38 GMT");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Date {
    second: u64,
    text: [u8; LEN],
}

const LEN: usize = 29;
/// The last second that four digits of a year can say.
const END: u64 = 253_402_300_799;

impl Date {
    /// That of a second since 1970, up to the end of the year 9999.
    #[must_use]
    pub fn at(second: u64) -> Self {
        let mut date = Self { second, text: [b' '; LEN] };
        date.format();
        date
    }

    /// Moves to another second; nothing happens if it is the same.
    pub fn set(&mut self, second: u64) {
        if self.second != second {
            self.second = second;
            self.format();
        }
    }

    /// The 29 bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8] {
        &self.text
    }

    fn format(&mut self) {
        let time = UNIX_EPOCH + Duration::from_secs(self.second.min(END));
        let mut slot = Slot { text: &mut self.text, at: 0 };
        // A slot takes what there is room for, and a date is exactly so long.
        let _ = write!(slot, "{}", httpdate::HttpDate::from(time));
    }
}

impl fmt::Debug for Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Date").field(&String::from_utf8_lossy(&self.text)).finish()
    }
}

struct Slot<'a> {
    text: &'a mut [u8; LEN],
    at: usize,
}

impl fmt::Write for Slot<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for (slot, &byte) in self.text[self.at..].iter_mut().zip(text.as_bytes()) {
            *slot = byte;
            self.at += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc9110_5_6_7_the_example_of_the_specification() {
        assert_eq!(Date::at(784_111_777).as_bytes(), b"Sun, 06 Nov 1994 08:49:37 GMT");
    }

    #[test]
    fn the_ends_of_time_are_dates() {
        assert_eq!(Date::at(0).as_bytes(), b"Thu, 01 Jan 1970 00:00:00 GMT");
        assert_eq!(Date::at(END).as_bytes(), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(Date::at(u64::MAX).as_bytes(), Date::at(END).as_bytes());
    }

    #[test]
    fn a_leap_day_is_one() {
        assert_eq!(Date::at(951_827_696).as_bytes(), b"Tue, 29 Feb 2000 12:34:56 GMT");
    }
}
