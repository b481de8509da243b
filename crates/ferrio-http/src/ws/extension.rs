//! `Sec-WebSocket-Extensions` (RFC 6455, section 9.1).

use crate::bytes;

/// One extension with its parameters.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Extension<'f> {
    pub(super) name: &'f [u8],
    /// A value without its quotation marks; what is escaped in it stays so.
    pub(super) parameters: Vec<(&'f [u8], Option<&'f [u8]>)>,
}

/// A list that is not as section 9.1 has it.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) struct Malformed;

/// Appends the extensions of one field value to `list`. One header has up to [`MAX`] of them.
pub(super) fn parse<'f>(value: &'f [u8], list: &mut Vec<Extension<'f>>) -> Result<(), Malformed> {
    let mut rest = value;
    loop {
        // RFC 9110, section 5.6.1: empty elements are no error.
        rest = trim_start(rest);
        let Some(&first) = rest.first() else { return Ok(()) };
        if first == b',' {
            rest = &rest[1..];
            continue;
        }
        let mut extension = Extension { name: token(&mut rest)?, parameters: Vec::new() };
        while eat(&mut rest, b';') {
            let name = token(&mut rest)?;
            let value = if eat(&mut rest, b'=') { Some(token_or_quoted(&mut rest)?) } else { None };
            extension.parameters.push((name, value));
        }
        if !rest.is_empty() && !eat(&mut rest, b',') {
            return Err(Malformed);
        }
        if list.len() == MAX {
            return Err(Malformed);
        }
        list.push(extension);
    }
}

/// More than any client offers, and little enough to look at.
const MAX: usize = 32;

fn trim_start(bytes: &[u8]) -> &[u8] {
    let blanks = bytes.iter().take_while(|&&byte| byte == b' ' || byte == b'\t').count();
    &bytes[blanks..]
}

/// Takes `byte` and the blanks around it, if it comes next.
fn eat(rest: &mut &[u8], byte: u8) -> bool {
    *rest = trim_start(rest);
    let is_next = rest.first() == Some(&byte);
    if is_next {
        *rest = trim_start(&rest[1..]);
    }
    is_next
}

fn token<'f>(rest: &mut &'f [u8]) -> Result<&'f [u8], Malformed> {
    let len = rest.iter().take_while(|&&byte| bytes::is(byte, bytes::TOKEN)).count();
    let (token, after) = rest.split_at(len);
    *rest = after;
    if token.is_empty() { Err(Malformed) } else { Ok(token) }
}

fn token_or_quoted<'f>(rest: &mut &'f [u8]) -> Result<&'f [u8], Malformed> {
    let Some((b'"', quoted)) = rest.split_first() else { return token(rest) };
    let mut at = 0;
    loop {
        match quoted.get(at) {
            None => return Err(Malformed),
            Some(b'"') => break,
            Some(b'\\') => at += 2,
            Some(_) => at += 1,
        }
    }
    *rest = &quoted[at + 1..];
    Ok(&quoted[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(value: &str) -> Result<String, Malformed> {
        let mut list = Vec::new();
        parse(value.as_bytes(), &mut list)?;
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("ascii");
        let extensions = list.iter().map(|extension| {
            let parameters = extension.parameters.iter().map(|(name, value)| match value {
                Some(value) => format!(";{}={}", text(name), text(value)),
                None => format!(";{}", text(name)),
            });
            text(extension.name) + &parameters.collect::<String>()
        });
        Ok(extensions.collect::<Vec<_>>().join("|"))
    }

    #[test]
    fn lists_as_section_9_1_has_them() {
        let cases = [
            ("", ""),
            (" , ,\t", ""),
            ("foo", "foo"),
            ("foo, bar; baz=2", "foo|bar;baz=2"),
            ("foo ; a ; b = \"x, y;\" , bar", "foo;a;b=x, y;|bar"),
            ("a;b=\"\\\"\"", "a;b=\\\""),
            ("deflate-stream,,mux;max-channels=4", "deflate-stream|mux;max-channels=4"),
        ];
        for (value, expected) in cases {
            assert_eq!(names(value).as_deref(), Ok(expected), "{value}");
        }
    }

    #[test]
    fn what_is_no_list_is_refused() {
        for value in [";", "a;", "a b", "a;=1", "a;b=", "a;b=\"x", "a;b=\"x\\", "a=1", "(a)"] {
            assert_eq!(names(value), Err(Malformed), "{value}");
        }
        assert_eq!(names(&"a,".repeat(MAX + 1)), Err(Malformed));
    }
}
