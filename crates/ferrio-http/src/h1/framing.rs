//! Where a request's body ends: RFC 9112, section 6.3, as a table.
//!
//! Two peers that see the end of a request in different places can be made to take a part of one
//! request for another ("request smuggling"). So whatever another implementation might read in
//! another way is refused, even where the RFC would let it be repaired.

use super::head::Version;
use super::refusal::Reason;
use crate::bytes::{self, DecimalError, TOKEN};

/// How the end of a body is told.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// It has so many bytes.
    Sized(u64),
    /// It comes in chunks, and the last one says so.
    Chunked,
}

/// What all `Transfer-Encoding` lines of a head say together.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Coding {
    /// There is none.
    #[default]
    Absent,
    /// `chunked`, in whatever case, and nothing else.
    Chunked,
    /// Codings that are not `chunked`.
    Other,
    /// Such codings, and then `chunked`.
    OtherChunked,
    /// Something after `chunked`, an empty member, or what is not the name of a coding.
    Broken,
}

impl Coding {
    /// With one line more. Several lines are one list, in their order (RFC 9110, section 5.2).
    #[must_use]
    pub fn line(self, value: &[u8]) -> Self {
        // Members may be empty (RFC 9110, section 5.6.1.2), and there are servers that then see no
        // coding at all: nobody sends that by mistake.
        value.split(|&byte| byte == b',').map(bytes::trim).fold(self, Self::member)
    }

    fn member(self, member: &[u8]) -> Self {
        let is_chunked = member.eq_ignore_ascii_case(b"chunked");
        // A parameter is allowed for codings of old, none of which we know; `chunked` has none.
        let name = member.split(|&byte| byte == b';').next().unwrap_or_default();
        let is_name = !name.is_empty() && bytes::are(bytes::trim(name), TOKEN);
        let is_parametrised =
            member.len() > name.len() && bytes::trim(name).eq_ignore_ascii_case(b"chunked");
        match self {
            _ if !is_name || is_parametrised => Self::Broken,
            Self::Absent if is_chunked => Self::Chunked,
            Self::Other if is_chunked => Self::OtherChunked,
            Self::Absent | Self::Other => Self::Other,
            Self::Chunked | Self::OtherChunked | Self::Broken => Self::Broken,
        }
    }
}

/// What all `Content-Length` lines of a head say together.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Length {
    /// There is none.
    #[default]
    Absent,
    /// So many bytes.
    Bytes(u64),
    /// More than one line, even if they say the same.
    Several,
    /// Not `1*DIGIT`: a sign, a list, another base.
    Malformed,
    /// Beyond 64 bits.
    Overflow,
}

impl Length {
    /// With one line more.
    #[must_use]
    pub fn line(self, value: &[u8]) -> Self {
        match self {
            Self::Absent => match bytes::decimal(value) {
                Ok(length) => Self::Bytes(length),
                Err(DecimalError::NotDigits) => Self::Malformed,
                Err(DecimalError::Overflow) => Self::Overflow,
            },
            // The first fault is the one that is told.
            Self::Bytes(_) | Self::Several => Self::Several,
            Self::Malformed | Self::Overflow => self,
        }
    }
}

impl Framing {
    /// Of a request. Responses have rules of their own.
    ///
    /// # Errors
    ///
    /// Why nobody can be sure.
    #[rustfmt::skip]
    pub const fn of_request(
        version: Version,
        coding: Coding,
        length: Length,
    ) -> Result<Self, Reason> {
        match (version, coding, length) {
            // Transfer-Encoding      Content-Length                        RFC 9112
            (_, Coding::Absent,       Length::Absent)       => Ok(Self::None),                   // 6.3, 7
            (_, Coding::Absent,       Length::Bytes(0))     => Ok(Self::None),                   // 6.3, 6
            (_, Coding::Absent,       Length::Bytes(bytes)) => Ok(Self::Sized(bytes)),           // 6.3, 6
            (_, Coding::Absent,       Length::Several)      => Err(Reason::SeveralLengths),      // 6.3, 5
            (_, Coding::Absent,       Length::Malformed)    => Err(Reason::Length),              // 6.3, 5
            (_, Coding::Absent,       Length::Overflow)     => Err(Reason::LengthOverflow),      // 6.3, 5
            (Version::Http10, _,      _)                    => Err(Reason::CodingIn10),          // 6.1
            (Version::Http11, Coding::Chunked,      Length::Absent) => Ok(Self::Chunked),        // 6.3, 4
            (Version::Http11, Coding::OtherChunked, Length::Absent) => Err(Reason::CodingUnknown), // 6.1
            (Version::Http11, Coding::Other | Coding::Broken, Length::Absent)
                                                            => Err(Reason::CodingNotChunked),    // 6.3, 4
            (Version::Http11, _, Length::Bytes(_) | Length::Several | Length::Malformed | Length::Overflow)
                                                            => Err(Reason::LengthAndCoding),     // 6.3, 3
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn coding(lines: &[&str]) -> Coding {
        lines.iter().fold(Coding::Absent, |coding, line| coding.line(line.as_bytes()))
    }

    fn length(lines: &[&str]) -> Length {
        lines.iter().fold(Length::Absent, |length, line| length.line(line.as_bytes()))
    }

    #[test]
    fn rfc9112_6_1_chunked_and_nothing_else() {
        for lines in [&["chunked"][..], &["CHUNKED"], &["Chunked"], &["\tchunked "]] {
            assert_eq!(coding(lines), Coding::Chunked, "{lines:?}");
        }
        for lines in [&["gzip, chunked"][..], &["gzip", "chunked"], &["a;b=c, chunked"]] {
            assert_eq!(coding(lines), Coding::OtherChunked, "{lines:?}");
        }
        for lines in [&["gzip"][..], &["identity"], &["xchunked"], &["chunked2"], &["gzip;q=1"]] {
            assert_eq!(coding(lines), Coding::Other, "{lines:?}");
        }
        for lines in [
            &[""][..],
            &["chunked, gzip"],
            &["chunked, chunked"],
            &["chunked", "chunked"],
            &["chunked", "identity"],
            &["chunked;a=b"],
            &["chunked ;a"],
            &[",chunked"],
            &["chunked,"],
            &["\"chunked\""],
            &["chun ked"],
            &["gzip chunked"],
            &["chunked", ""],
            &["chunk\u{e9}d"],
        ] {
            assert_eq!(coding(lines), Coding::Broken, "{lines:?}");
        }
    }

    #[test]
    fn rfc9112_6_3_lengths() {
        assert_eq!(length(&["10"]), Length::Bytes(10));
        assert_eq!(length(&["10", "10"]), Length::Several);
        assert_eq!(length(&["10", "11"]), Length::Several);
        assert_eq!(length(&["10, 10"]), Length::Malformed);
        assert_eq!(length(&["+10"]), Length::Malformed);
        assert_eq!(length(&["99999999999999999999"]), Length::Overflow);
        assert_eq!(length(&["x", "1"]), Length::Malformed);
    }

    #[test]
    fn rfc9112_6_3_nothing_is_both() {
        let codings = [Coding::Chunked, Coding::Other, Coding::OtherChunked, Coding::Broken];
        let lengths = [Length::Bytes(0), Length::Several, Length::Malformed, Length::Overflow];
        for coding in codings {
            for length in lengths {
                let framing = Framing::of_request(Version::Http11, coding, length);
                assert_eq!(framing, Err(Reason::LengthAndCoding));
            }
            let framing = Framing::of_request(Version::Http10, coding, Length::Absent);
            assert_eq!(framing, Err(Reason::CodingIn10));
        }
    }

    #[test]
    fn rfc9112_6_3_what_has_an_end() {
        for version in [Version::Http10, Version::Http11] {
            let framing = |length| Framing::of_request(version, Coding::Absent, length);
            assert_eq!(framing(Length::Absent), Ok(Framing::None));
            assert_eq!(framing(Length::Bytes(0)), Ok(Framing::None));
            assert_eq!(framing(Length::Bytes(7)), Ok(Framing::Sized(7)));
        }
        let chunked = Framing::of_request(Version::Http11, Coding::Chunked, Length::Absent);
        assert_eq!(chunked, Ok(Framing::Chunked));
    }
}
