//! The chunked coding (RFC 9112, section 7.1), both ways.
//!
//! ```text
//! Size -> Extension -> SizeLf -> Data -> DataCr -> DataLf -> Size
//!                        └ size 0 -> Trailers -> Done
//! ```
//!
//! The decoder goes on from whatever byte it was cut at. It keeps nothing of what it has read but
//! the state; trailers alone are offered again until they are whole.

use super::faults;
use super::refusal::Reason;
use crate::bytes::{self, TOKEN, VALUE};
use crate::limits::Limits;

/// A decoder of one body.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Chunked {
    state: State,
    /// Of all chunks so far, the present one whole.
    total: u64,
    /// Bytes of extensions, of all chunks so far.
    extensions: usize,
}

/// What the decoder has found.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum Chunk<'b> {
    /// Nothing more in these bytes.
    NeedsMore,
    /// A part of the body, at least one byte.
    Data(&'b [u8]),
    /// The end of the body.
    End(Trailers<'b>),
}

/// The fields after a chunked body, checked as those of a head are.
///
/// They are kept apart from these on purpose: whoever mixes them lets a client say after its body
/// what it may not say before it (RFC 9110, section 6.5.1).
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Trailers<'b>(&'b [u8]);

#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum State {
    Size {
        value: u64,
        digits: u8,
    },
    Extension {
        size: u64,
        length: usize,
        part: Part,
    },
    SizeLf {
        size: u64,
    },
    /// At least one byte is left.
    Data {
        left: u64,
    },
    DataCr,
    DataLf,
    /// Offsets in the section, which is offered whole each time.
    Trailers {
        /// Where the line begins that is not whole.
        line: usize,
        /// There is no LF between it and here.
        searched: usize,
    },
    Done,
}

impl Default for State {
    fn default() -> Self {
        Self::Size { value: 0, digits: 0 }
    }
}

/// What comes next in `*( BWS ";" BWS name [ BWS "=" BWS ( token / quoted-string ) ] )`.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
enum Part {
    /// White space has come, so a semicolon has to.
    Semicolon,
    BeforeName,
    Name,
    AfterName,
    BeforeValue,
    Token,
    Quoted,
    Escaped,
    AfterQuoted,
}

/// Sixteen hexadecimal digits are 64 bits. Zeros in front count: nobody needs more.
const MAX_DIGITS: u8 = 16;
/// Slots for trailers, on the stack.
const MAX_TRAILERS: usize = 64;

impl Chunked {
    /// Takes what there is up to the next piece of the body. Returns how many bytes are used; the
    /// others are to be offered again, with what comes after them, until there are none or it
    /// [needs more](Chunk::NeedsMore).
    ///
    /// # Errors
    ///
    /// Why the body cannot be read on. Nothing is to be decoded after it.
    pub fn decode<'b>(
        &mut self,
        input: &'b [u8],
        limits: &Limits,
    ) -> Result<(usize, Chunk<'b>), Reason> {
        let mut used = 0;
        while let Some(&byte) = input.get(used) {
            match self.state {
                State::Data { left } => {
                    let rest = &input[used..];
                    let taken =
                        usize::try_from(left).map_or(rest.len(), |left| left.min(rest.len()));
                    self.state = match left - taken as u64 {
                        0 => State::DataCr,
                        left => State::Data { left },
                    };
                    return Ok((used + taken, Chunk::Data(&rest[..taken])));
                }
                State::Trailers { .. } => {
                    let (taken, chunk) = self.trailers(&input[used..], limits)?;
                    return Ok((used + taken, chunk));
                }
                State::Done => break,
                State::Size { .. }
                | State::Extension { .. }
                | State::SizeLf { .. }
                | State::DataCr
                | State::DataLf => {
                    self.state = self.step(byte, limits)?;
                    used += 1;
                }
            }
        }
        Ok((used, Chunk::NeedsMore))
    }

    /// Whether the end has been found.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// One byte of what stands between data.
    fn step(&mut self, byte: u8, limits: &Limits) -> Result<State, Reason> {
        match self.state {
            State::Size { value, digits } => match (byte, hex(byte)) {
                (_, Some(_)) if digits == MAX_DIGITS => Err(Reason::ChunkSizeOverflow),
                (_, Some(digit)) => {
                    Ok(State::Size { value: value << 4 | u64::from(digit), digits: digits + 1 })
                }
                (_, None) if digits == 0 => Err(Reason::ChunkSize),
                (b'\r', None) => Ok(State::SizeLf { size: value }),
                (b'\n', None) => Err(Reason::ChunkLineEnd),
                (b';', None) => self.extension(value, 1, Part::BeforeName, limits),
                (b' ' | b'\t', None) => self.extension(value, 1, Part::Semicolon, limits),
                (_, None) => Err(Reason::ChunkSize),
            },
            State::Extension { size, length, part } => {
                if byte == b'\n' {
                    return Err(Reason::ChunkLineEnd);
                }
                match part.next(byte) {
                    Some(part) => self.extension(size, length + 1, part, limits),
                    None if byte == b'\r' && part.may_end() => Ok(State::SizeLf { size }),
                    None => Err(Reason::ChunkExtension),
                }
            }
            State::SizeLf { .. } if byte != b'\n' => Err(Reason::ChunkLineEnd),
            State::SizeLf { size: 0 } => Ok(State::Trailers { line: 0, searched: 0 }),
            State::SizeLf { size } => {
                self.total = self.total.checked_add(size).ok_or(Reason::ChunkSizeOverflow)?;
                match limits.body {
                    Some(limit) if self.total > limit => Err(Reason::BodyTooLarge),
                    Some(_) | None => Ok(State::Data { left: size }),
                }
            }
            State::DataCr if byte == b'\r' => Ok(State::DataLf),
            State::DataLf if byte == b'\n' => Ok(State::default()),
            State::DataCr | State::DataLf => Err(Reason::ChunkEnd),
            State::Data { .. } | State::Trailers { .. } | State::Done => Ok(self.state),
        }
    }

    fn extension(
        &mut self,
        size: u64,
        length: usize,
        part: Part,
        limits: &Limits,
    ) -> Result<State, Reason> {
        self.extensions += 1;
        if length > limits.chunk_extension || self.extensions > limits.chunk_extensions {
            return Err(Reason::ChunkExtensionTooLong);
        }
        Ok(State::Extension { size, length, part })
    }

    /// `section` is all that has come after the last chunk.
    fn trailers<'b>(
        &mut self,
        section: &'b [u8],
        limits: &Limits,
    ) -> Result<(usize, Chunk<'b>), Reason> {
        let State::Trailers { mut line, mut searched } = self.state else {
            return Ok((0, Chunk::NeedsMore));
        };
        let window = &section[..section.len().min(limits.trailers.max(2))];
        while let Some(at) = window.get(searched..).and_then(|rest| memchr::memchr(b'\n', rest)) {
            let end = searched + at;
            match &window[line..end] {
                [b'\r'] => {
                    let fields = &window[..end + 1];
                    check_trailers(fields, limits)?;
                    self.state = State::Done;
                    return Ok((end + 1, Chunk::End(Trailers(&fields[..line]))));
                }
                [.., b'\r'] => {}
                _ => return Err(Reason::BareLf),
            }
            line = end + 1;
            searched = line;
        }
        if section.len() >= limits.trailers.max(2) {
            return Err(Reason::TrailersTooLarge);
        }
        self.state = State::Trailers { line, searched: window.len() };
        Ok((0, Chunk::NeedsMore))
    }
}

fn check_trailers(fields: &[u8], limits: &Limits) -> Result<(), Reason> {
    if fields == b"\r\n" {
        return Ok(());
    }
    let mut slots = [httparse::EMPTY_HEADER; MAX_TRAILERS];
    let slots = &mut slots[..limits.trailer_fields.min(MAX_TRAILERS)];
    match httparse::parse_headers(fields, slots) {
        Ok(httparse::Status::Complete((end, _))) if end == fields.len() => Ok(()),
        Err(httparse::Error::TooManyHeaders) => Err(Reason::TooManyTrailers),
        Ok(_) | Err(_) => Err(faults::in_fields(fields)),
    }
}

impl<'b> Trailers<'b> {
    /// Names and values, in their order.
    pub fn iter(&self) -> impl Iterator<Item = (&'b [u8], &'b [u8])> + use<'b> {
        // Checked: each line has a colon and ends in CR LF, and no value has an LF.
        self.0.split(|&byte| byte == b'\n').filter_map(|line| {
            let colon = memchr::memchr(b':', line)?;
            let value = line[colon + 1..].strip_suffix(b"\r")?;
            Some((&line[..colon], bytes::trim(value)))
        })
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Part {
    /// What `byte` makes of it; `None` if it may not come.
    fn next(self, byte: u8) -> Option<Self> {
        let is_space = matches!(byte, b' ' | b'\t');
        let is_token = bytes::is(byte, TOKEN);
        match (self, byte) {
            (Self::Semicolon | Self::AfterName | Self::AfterQuoted, b';')
            | (Self::Name | Self::Token, b';') => Some(Self::BeforeName),
            (Self::Name | Self::AfterName, b'=') => Some(Self::BeforeValue),
            (Self::Semicolon | Self::BeforeName | Self::AfterName | Self::BeforeValue, _)
                if is_space =>
            {
                Some(self)
            }
            (Self::Name, _) if is_space => Some(Self::AfterName),
            (Self::Token | Self::AfterQuoted, _) if is_space => Some(Self::Semicolon),
            (Self::BeforeName | Self::Name, _) if is_token => Some(Self::Name),
            (Self::BeforeValue | Self::Token, _) if is_token => Some(Self::Token),
            (Self::BeforeValue, b'"') | (Self::Escaped, _) if byte == b'"' || is_value(byte) => {
                Some(Self::Quoted)
            }
            (Self::Quoted, b'"') => Some(Self::AfterQuoted),
            (Self::Quoted, b'\\') => Some(Self::Escaped),
            (Self::Quoted, _) if is_value(byte) => Some(Self::Quoted),
            _ => None,
        }
    }

    /// White space is part of what comes after it, so nothing ends in it.
    const fn may_end(self) -> bool {
        matches!(self, Self::Name | Self::Token | Self::AfterQuoted)
    }
}

fn is_value(byte: u8) -> bool {
    bytes::is(byte, VALUE)
}

fn hex(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// Writes what stands before a chunk of `len` bytes, which are at least one: a chunk of none would
/// be the end.
pub fn start_chunk(out: &mut Vec<u8>, len: u64) {
    debug_assert!(len > 0, "an empty chunk is the last one");
    let digits = (u64::BITS - len.leading_zeros()).div_ceil(4).max(1);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[(len >> (4 * digit)) as usize & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// What stands behind a chunk.
pub const fn end_chunk() -> &'static [u8] {
    b"\r\n"
}

/// What says that there are no more: trailers come after it, and then an empty line.
pub const fn last_chunk() -> &'static [u8] {
    b"0\r\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The body, the trailers, and how many bytes come after it.
    type Decoded<B> = (B, Vec<(String, String)>, usize);

    /// Decodes `input` in pieces of these sizes, as a caller does.
    fn decode_in(
        input: &[u8],
        limits: &Limits,
        cut: impl Fn(usize) -> usize,
    ) -> Result<Decoded<Vec<u8>>, Reason> {
        let mut decoder = Chunked::default();
        let (mut body, mut used, mut offered) = (Vec::new(), 0, 0);
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        loop {
            let (taken, chunk) = decoder.decode(&input[used..offered], limits)?;
            used += taken;
            match chunk {
                Chunk::Data(data) => {
                    assert!(!data.is_empty());
                    body.extend_from_slice(data);
                }
                Chunk::End(trailers) => {
                    let trailers = trailers.iter().map(|(n, v)| (text(n), text(v))).collect();
                    assert!(decoder.is_done());
                    return Ok((body, trailers, input.len() - used));
                }
                Chunk::NeedsMore if offered == input.len() => panic!("it has no end"),
                Chunk::NeedsMore => offered = (offered + cut(offered).max(1)).min(input.len()),
            }
        }
    }

    /// The verdict, which is the same wherever it is cut.
    fn decode(input: &str) -> Result<Decoded<String>, Reason> {
        decode_with(input, &Limits::default())
    }

    fn decode_with(input: &str, limits: &Limits) -> Result<Decoded<String>, Reason> {
        let input = input.as_bytes();
        let whole = decode_in(input, limits, |_| input.len());
        for at in 0..=input.len() {
            let cut = |from| if from < at { at - from } else { input.len() };
            assert_eq!(decode_in(input, limits, cut), whole, "cut at {at}");
        }
        assert_eq!(decode_in(input, limits, |_| 1), whole, "byte by byte");
        whole.map(|(body, trailers, left)| {
            (String::from_utf8(body).expect("the tests' bodies are text"), trailers, left)
        })
    }

    fn refused(input: &str) -> Reason {
        decode(input).expect_err(input)
    }

    #[test]
    fn rfc9112_7_1_bodies() {
        assert_eq!(decode("0\r\n\r\n"), Ok((String::new(), vec![], 0)));
        let whole = "5\r\nhello\r\nD\r\n, \r\n0\r\n\r\n all\r\n000\r\n\r\nGET";
        assert_eq!(decode(whole), Ok(("hello, \r\n0\r\n\r\n all".into(), vec![], 3)));
    }

    #[test]
    fn rfc9112_7_1_sizes() {
        for size in ["", " 5", "+5", "-5", "0x5", "x", "5_0", "5g", "\t5", "5,5", "\u{665}"] {
            assert_eq!(
                refused(&format!("{size}\r\n12345\r\n0\r\n\r\n")),
                Reason::ChunkSize,
                "{size:?}"
            );
        }
        assert_eq!(refused("11111111111111111\r\n"), Reason::ChunkSizeOverflow);
        assert_eq!(refused("00000000000000005\r\n"), Reason::ChunkSizeOverflow);
        assert_eq!(refused("ffffffffffffffff \r\n"), Reason::ChunkExtension);
        assert_eq!(refused("1\r\na\r\nffffffffffffffff\r\n"), Reason::ChunkSizeOverflow);
    }

    #[test]
    fn rfc9112_7_1_lines_end_in_crlf() {
        assert_eq!(refused("1\na\r\n0\r\n\r\n"), Reason::ChunkLineEnd);
        assert_eq!(refused("1\r\r\na\r\n"), Reason::ChunkLineEnd);
        assert_eq!(refused("1\rXa\r\n"), Reason::ChunkLineEnd);
        assert_eq!(refused("1;a\na\r\n"), Reason::ChunkLineEnd);
        assert_eq!(refused("1\r\na\n"), Reason::ChunkEnd);
        assert_eq!(refused("1\r\nab\r\n"), Reason::ChunkEnd);
        assert_eq!(refused("1\r\na\r\r"), Reason::ChunkEnd);
        assert_eq!(refused("1\r\na0\r\n\r\n"), Reason::ChunkEnd);
        assert_eq!(refused("0\r\n\n"), Reason::BareLf);
        assert_eq!(refused("0\r\na: b\n\r\n"), Reason::BareLf);
    }

    #[test]
    fn rfc9112_7_1_1_extensions() {
        for extension in
            [";a", ";a=b", ";a=\"b\"", " ; a = b", ";a=\"b\\\"\\\\;c \";d", ";a;b\t;\tc", ";a=\"\""]
        {
            let body = decode(&format!("2{extension}\r\nhi\r\n0{extension}\r\n\r\n"));
            assert_eq!(body, Ok(("hi".into(), vec![], 0)), "{extension:?}");
        }
        for extension in [
            ";",
            " ",
            "; ",
            ";a=",
            ";a=\"b",
            ";=b",
            ";a b",
            ";a=b c",
            ";a\0",
            ";a=\"\0\"",
            ";a=\"b\"c",
            ";é",
            ";a;",
            ";a ",
            ";a\r",
        ] {
            let reason = refused(&format!("2{extension}\r\nhi\r\n"));
            let expected = match extension {
                ";a\r" => Reason::ChunkLineEnd,
                _ => Reason::ChunkExtension,
            };
            assert_eq!(reason, expected, "{extension:?}");
        }
    }

    #[test]
    fn extensions_are_bounded() {
        let limits = Limits { chunk_extension: 4, chunk_extensions: 7, ..Limits::default() };
        assert!(decode_with("1;abc\r\na\r\n0;ab\r\n\r\n", &limits).is_ok());
        let too_long = Err(Reason::ChunkExtensionTooLong);
        assert_eq!(decode_with("1;abcd\r\na\r\n", &limits), too_long);
        assert_eq!(decode_with("1;abc\r\na\r\n0;abc\r\n\r\n", &limits), too_long);
    }

    #[test]
    fn rfc9112_7_1_2_trailers_are_kept_apart() {
        let (body, trailers, left) =
            decode("1\r\na\r\n0\r\nX-Sum:  1 \r\nContent-Length: 9\r\nEmpty:\r\n\r\nrest")
                .expect("whole");
        assert_eq!((body.as_str(), left), ("a", 4));
        let trailers: Vec<_> = trailers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
        assert_eq!(trailers, [("X-Sum", "1"), ("Content-Length", "9"), ("Empty", "")]);
    }

    #[test]
    fn rfc9112_7_1_2_trailers_are_checked_as_fields_are() {
        for (line, reason) in [
            ("a : b", Reason::SpaceBeforeColon),
            (" a: b", Reason::ObsFold),
            ("a: b\r\n c", Reason::ObsFold),
            (": b", Reason::EmptyName),
            ("a", Reason::NoColon),
            ("a: \0", Reason::Nul),
            ("a: b\rc", Reason::BareCr),
            ("a: \x01", Reason::ValueByte),
            ("a\x7f: b", Reason::NameByte),
            ("GET / HTTP/1.1", Reason::SpaceBeforeColon),
        ] {
            assert_eq!(refused(&format!("0\r\n{line}\r\n\r\n")), reason, "{line:?}");
        }
    }

    #[test]
    fn trailers_are_bounded() {
        let limits = Limits { trailers: 10, trailer_fields: 1, ..Limits::default() };
        assert!(decode_with("0\r\na: 123\r\n\r\n", &limits).is_ok());
        let too_large = Err(Reason::TrailersTooLarge);
        assert_eq!(decode_with("0\r\na: 1234\r\n\r\n", &limits), too_large);
        assert_eq!(decode_with("0\r\na: 1234567890", &limits), too_large);
        let too_many = Err(Reason::TooManyTrailers);
        assert_eq!(decode_with("0\r\na:\r\nb:\r\n\r\n", &limits), too_many);
    }

    #[test]
    fn bodies_are_bounded_before_they_come() {
        let limits = Limits { body: Some(3), ..Limits::default() };
        assert!(decode_with("2\r\nab\r\n1\r\nc\r\n0\r\n\r\n", &limits).is_ok());
        assert_eq!(decode_with("2\r\nab\r\n2\r\n", &limits), Err(Reason::BodyTooLarge));
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        for len in [1, 9, 10, 15, 16, 255, 256, 70_000] {
            let data = "x".repeat(len);
            let mut out = Vec::new();
            start_chunk(&mut out, len as u64);
            out.extend_from_slice(data.as_bytes());
            out.extend_from_slice(end_chunk());
            out.extend_from_slice(last_chunk());
            out.extend_from_slice(b"\r\n");
            let (body, _, left) = decode_in(&out, &Limits::default(), |_| out.len()).expect("ours");
            assert_eq!((body.len(), left), (len, 0));
        }
        let mut out = Vec::new();
        start_chunk(&mut out, u64::MAX);
        assert_eq!(out, b"ffffffffffffffff\r\n");
    }
}
