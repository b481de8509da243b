//! What a request line asks for, and percent-encoding.

use crate::bytes::{self, HOST, TARGET};

/// A range of a buffer of the caller's.
#[derive(Copy, Clone, Default, PartialEq, Eq, Hash, Debug)]
pub struct Span {
    /// The first byte.
    pub start: u32,
    /// Behind the last one.
    pub end: u32,
}

impl Span {
    /// What it is the range of; nothing, if `bytes` are not those that it was made for.
    #[must_use]
    #[inline]
    pub fn of(self, bytes: &[u8]) -> &[u8] {
        bytes.get(self.start as usize..self.end as usize).unwrap_or_default()
    }

    /// How many bytes.
    #[must_use]
    pub const fn len(self) -> usize {
        self.end.saturating_sub(self.start) as usize
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// A part of `self`, counted from its start.
    const fn part(self, start: usize, end: usize) -> Self {
        Self { start: self.start + start as u32, end: self.start + end as u32 }
    }
}

/// The four forms of a target (RFC 9112, section 3.2).
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub enum Form {
    /// `/path?query`.
    #[default]
    Origin,
    /// `http://host/path?query`, as one says to a proxy. Its host counts, and that of the field
    /// `Host` does not (section 3.2.2).
    Absolute,
    /// `host:port`, of CONNECT alone.
    Authority,
    /// `*`, of OPTIONS alone.
    Asterisk,
}

/// What a request line asks for, as ranges.
///
/// The bytes allowed are those that one can see, but for `#`. RFC 3986 forbids some of them
/// (`"<>[\]^{|}` and the backtick); browsers and curl send them as they are, no peer takes them for
/// an end, and so they are let through as they came.
#[derive(Copy, Clone, Default, PartialEq, Eq, Debug)]
pub struct Target {
    /// Which form it has.
    pub form: Form,
    /// Host and port, in those forms that have them.
    pub authority: Span,
    /// The path as it came. It is empty in `http://host`, which asks for `/`.
    pub path: Span,
    /// What comes after the first `?`.
    pub query: Span,
}

/// Why a target is none.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub enum TargetError {
    /// It is empty, or has a byte that has to be percent-encoded.
    Byte,
    /// Its form is not one for this method, or none at all.
    Form,
    /// What stands for host and port is none: also none at all, or a user's name.
    Authority,
}

impl Target {
    /// Takes apart the target that `whole` is of `bytes`.
    ///
    /// # Errors
    ///
    /// See [`TargetError`].
    pub fn parse(method: &[u8], bytes: &[u8], whole: Span) -> Result<Self, TargetError> {
        let text = whole.of(bytes);
        if text.is_empty() || !bytes::are(text, TARGET) {
            return Err(TargetError::Byte);
        }
        if method == b"CONNECT" {
            return match is_authority(text) && text.contains(&b':') {
                true => Ok(Self { form: Form::Authority, authority: whole, ..Self::default() }),
                false => Err(TargetError::Authority),
            };
        }
        match text {
            b"*" if method == b"OPTIONS" => {
                Ok(Self { form: Form::Asterisk, path: whole, ..Self::default() })
            }
            [b'/', ..] => Ok(Self::paths(Form::Origin, Span::default(), bytes, whole)),
            _ => {
                let scheme = ["http://", "https://"].into_iter().find(|scheme| {
                    text.get(..scheme.len())
                        .is_some_and(|start| start.eq_ignore_ascii_case(scheme.as_bytes()))
                });
                let scheme = scheme.ok_or(TargetError::Form)?.len();
                let end = memchr::memchr2(b'/', b'?', &text[scheme..])
                    .map_or(text.len(), |at| scheme + at);
                let authority = &text[scheme..end];
                if authority.is_empty() || authority[0] == b':' || !is_authority(authority) {
                    return Err(TargetError::Authority);
                }
                let rest = whole.part(end, text.len());
                Ok(Self::paths(Form::Absolute, whole.part(scheme, end), bytes, rest))
            }
        }
    }

    fn paths(form: Form, authority: Span, bytes: &[u8], rest: Span) -> Self {
        let text = rest.of(bytes);
        let (path, query) = match memchr::memchr(b'?', text) {
            Some(at) => (rest.part(0, at), rest.part(at + 1, text.len())),
            None => (rest, rest.part(text.len(), text.len())),
        };
        Self { form, authority, path, query }
    }

    /// The path: `/` if it is empty, as in `http://host` (RFC 9112, section 3.2.1).
    #[must_use]
    pub fn path<'b>(&self, bytes: &'b [u8]) -> &'b [u8] {
        match self.form {
            Form::Absolute if self.path.is_empty() => b"/",
            Form::Origin | Form::Absolute | Form::Authority | Form::Asterisk => self.path.of(bytes),
        }
    }
}

/// Whether this is `host [ ":" port ]` (RFC 3986, section 3.2) without a user's name. The host may be
/// empty, as in the field `Host` it may.
#[must_use]
pub fn is_authority(text: &[u8]) -> bool {
    let (is_host, port) = match text {
        [b'[', rest @ ..] => {
            let Some(end) = memchr::memchr(b']', rest) else { return false };
            let address = &rest[..end];
            let is_literal =
                !address.is_empty() && address.iter().all(|&b| b == b':' || bytes::is(b, HOST));
            (is_literal && is_encoded(address), &rest[end + 1..])
        }
        _ => {
            let end = memchr::memchr(b':', text).unwrap_or(text.len());
            let name = &text[..end];
            (bytes::are(name, HOST) && is_encoded(name), &text[end..])
        }
    };
    let is_port = match port {
        [] => true,
        [b':', digits @ ..] => digits.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    is_host && is_port
}

/// Whether each `%` stands before two hexadecimal digits.
fn is_encoded(text: &[u8]) -> bool {
    memchr::memchr_iter(b'%', text).all(|at| pair(&text[at + 1..]).is_some())
}

/// Decodes `%41` and its like, once. What only looks like it, such as `%4` and `%zz`, stays, as with
/// Python's `urllib.parse.unquote`. `buffer` is used only where there is something to decode.
///
/// ```
/// let mut buffer = Vec::new();
/// assert_eq!(ferrio_http::decode_percent(b"/a%20b%252F%", &mut buffer), b"/a b%2F%");
/// ```
#[must_use]
pub fn decode_percent<'a>(text: &'a [u8], buffer: &'a mut Vec<u8>) -> &'a [u8] {
    let Some(first) = memchr::memchr(b'%', text) else { return text };
    buffer.clear();
    buffer.extend_from_slice(&text[..first]);
    let mut rest = &text[first..];
    while let Some(at) = memchr::memchr(b'%', rest) {
        buffer.extend_from_slice(&rest[..at]);
        match pair(&rest[at + 1..]) {
            Some(byte) => {
                buffer.push(byte);
                rest = &rest[at + 3..];
            }
            None => {
                buffer.push(b'%');
                rest = &rest[at + 1..];
            }
        }
    }
    buffer.extend_from_slice(rest);
    buffer
}

fn pair(text: &[u8]) -> Option<u8> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    match text {
        [high, low, ..] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<'a>(
        method: &str,
        text: &'a str,
    ) -> Result<(Form, &'a str, &'a str, &'a str), TargetError> {
        let bytes = text.as_bytes();
        let whole = Span { start: 0, end: bytes.len() as u32 };
        let target = Target::parse(method.as_bytes(), bytes, whole)?;
        let of = |span: Span| &text[span.start as usize..span.end as usize];
        let path = std::str::from_utf8(target.path(bytes)).expect("a part of a string");
        Ok((target.form, of(target.authority), path, of(target.query)))
    }

    #[test]
    fn rfc9112_3_2_1_origin_form() {
        let origin = |path, query| Ok((Form::Origin, "", path, query));
        assert_eq!(parse("GET", "/where?q=now"), origin("/where", "q=now"));
        assert_eq!(parse("GET", "/"), origin("/", ""));
        assert_eq!(parse("GET", "//host/a"), origin("//host/a", ""));
        assert_eq!(parse("GET", "/a?b?c"), origin("/a", "b?c"));
        assert_eq!(parse("GET", "/?"), origin("/", ""));
        assert_eq!(parse("GET", "/http://a/"), origin("/http://a/", ""));
        assert_eq!(parse("GET", "where"), Err(TargetError::Form));
        assert_eq!(parse("GET", "?q"), Err(TargetError::Form));
        assert_eq!(parse("GET", ""), Err(TargetError::Byte));
    }

    #[test]
    fn rfc9112_3_2_2_absolute_form() {
        let absolute = |host, path, query| Ok((Form::Absolute, host, path, query));
        assert_eq!(parse("GET", "http://h:80/a?b"), absolute("h:80", "/a", "b"));
        assert_eq!(parse("GET", "HTTPS://h"), absolute("h", "/", ""));
        assert_eq!(parse("GET", "http://h?b"), absolute("h", "/", "b"));
        assert_eq!(parse("GET", "http://[::1]:8/a"), absolute("[::1]:8", "/a", ""));
        for target in
            ["http://", "http:///a", "http://:80/", "http://u@h/", "http://h:x/", "http://[/"]
        {
            assert_eq!(parse("GET", target), Err(TargetError::Authority), "{target}");
        }
        for target in ["ftp://h/", "http:/h", "h/a", "urn:a"] {
            assert_eq!(parse("GET", target), Err(TargetError::Form), "{target}");
        }
    }

    #[test]
    fn rfc9112_3_2_3_authority_form_is_for_connect() {
        assert_eq!(parse("CONNECT", "h:443"), Ok((Form::Authority, "h:443", "", "")));
        for target in ["h", "/", "http://h/", "*", "h:443/a"] {
            assert_eq!(parse("CONNECT", target), Err(TargetError::Authority), "{target}");
        }
        assert_eq!(parse("GET", "h:443"), Err(TargetError::Form));
    }

    #[test]
    fn rfc9112_3_2_4_asterisk_form_is_for_options() {
        assert_eq!(parse("OPTIONS", "*"), Ok((Form::Asterisk, "", "*", "")));
        assert_eq!(parse("GET", "*"), Err(TargetError::Form));
        assert_eq!(parse("OPTIONS", "*/"), Err(TargetError::Form));
    }

    #[test]
    fn rfc9112_3_2_bytes_that_have_to_be_encoded() {
        for byte in 0..=255u8 {
            let text = [b'/', byte];
            let target = Target::parse(b"GET", &text, Span { start: 0, end: 2 });
            let is_allowed = (0x21..=0x7e).contains(&byte) && byte != b'#';
            assert_eq!(target.is_ok(), is_allowed, "{byte:#x}");
        }
    }

    #[test]
    fn rfc3986_3_2_authorities() {
        for text in
            ["", "h", "h:", "h:80", ":80", "a_b.c~", "a,b", "%41", "[::1]", "[v1.a:b]:8", "1.2.3.4"]
        {
            assert!(is_authority(text.as_bytes()), "{text}");
        }
        for text in [
            "u@h", "h/", "h h", "h:8a", "h:+8", "[::1", "::1", "[]", "[a]b", "[/]", "%4", "%zz",
            "h\\", "h?", "h#", "h:8:9", "é",
        ] {
            assert!(!is_authority(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn rfc3986_2_1_percent() {
        for (text, decoded) in [
            ("", ""),
            ("/plain", "/plain"),
            ("%41%6a%6A", "Ajj"),
            ("/a%2Fb", "/a/b"),
            ("%2541", "%41"),
            ("%", "%"),
            ("%4", "%4"),
            ("%%41", "%A"),
            ("%4%41", "%4A"),
            ("%g1x", "%g1x"),
            ("%+1", "%+1"),
            ("a%00b", "a\0b"),
        ] {
            let mut buffer = b"left over".to_vec();
            assert_eq!(decode_percent(text.as_bytes(), &mut buffer), decoded.as_bytes(), "{text}");
        }
        assert_eq!(decode_percent(b"%ff%C3", &mut Vec::new()), [0xff, 0xc3]);
    }
}
