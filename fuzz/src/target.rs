//! [`Target`]: its parts, put together, are the target; [`decode_percent`] against the definition.

use ferrio_http::{Form, Span, Target, decode_percent, is_authority};

use crate::input::Input;

/// The first byte chooses the method.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let method: &[u8] = match input.below(3) {
        0 => b"GET",
        1 => b"OPTIONS",
        _ => b"CONNECT",
    };
    // The range does not begin where the bytes do.
    let text = [b"before", input.rest(), b"after"].concat();
    let whole = Span { start: 6, end: (text.len() - 5) as u32 };
    check_percent(whole.of(&text));
    let Ok(target) = Target::parse(method, &text, whole) else { return };
    let (authority, path, query) =
        (target.authority.of(&text), target.path.of(&text), target.query.of(&text));
    assert!(whole.of(&text).iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#'));
    assert!(!path.contains(&b'?'));
    let with_query = [path, b"?", query].concat();
    let is_rest = |rest: &[u8]| rest == path && query.is_empty() || rest == with_query;
    match target.form {
        Form::Origin => {
            assert!(path.starts_with(b"/") && authority.is_empty());
            assert!(is_rest(whole.of(&text)));
        }
        Form::Absolute => {
            assert!(is_authority(authority) && !authority.is_empty());
            assert!(!authority.contains(&b'@') && !authority.contains(&b'/'));
            let scheme = target.authority.start - whole.start;
            assert!(scheme == 7 || scheme == 8);
            let rest = Span { start: target.authority.end, end: whole.end };
            assert!(is_rest(rest.of(&text)));
            assert!(target.path(&text).starts_with(b"/"));
        }
        Form::Authority => {
            assert_eq!((method, authority), (&b"CONNECT"[..], whole.of(&text)));
        }
        Form::Asterisk => assert_eq!((method, path), (&b"OPTIONS"[..], &b"*"[..])),
    }
}

fn check_percent(text: &[u8]) {
    let mut expected = Vec::new();
    let mut at = 0;
    while at < text.len() {
        let pair = text.get(at + 1..at + 3).filter(|pair| pair.iter().all(u8::is_ascii_hexdigit));
        match pair {
            Some(pair) if text[at] == b'%' => {
                let digits = std::str::from_utf8(pair).expect("digits");
                expected.push(u8::from_str_radix(digits, 16).expect("two digits"));
                at += 3;
            }
            _ => {
                expected.push(text[at]);
                at += 1;
            }
        }
    }
    let mut buffer = b"left over".to_vec();
    assert_eq!(decode_percent(text, &mut buffer), expected);
}
