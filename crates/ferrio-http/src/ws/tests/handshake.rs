//! The opening handshake (RFC 6455, section 4).

use super::*;
use crate::ws::{HandshakeError, Origins, accept_key};

type Field = (&'static str, &'static str);

const GOOD: [Field; 5] = [
    ("Host", "server.example.com"),
    ("Upgrade", "websocket"),
    ("Connection", "Upgrade"),
    ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ("Sec-WebSocket-Version", "13"),
];

fn bytes(fields: &[Field]) -> impl Iterator<Item = (&'static [u8], &'static [u8])> {
    fields.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes()))
}

fn parse(fields: &[Field]) -> Result<Request<'static>, HandshakeError> {
    Request::parse(b"GET", true, bytes(fields))
}

/// A good request with one field in another form, or without it.
fn with(name: &str, value: Option<&'static str>) -> Vec<Field> {
    let changed =
        GOOD.iter().map(|&(found, good)| (found, if found == name { value } else { Some(good) }));
    changed.filter_map(|(name, value)| Some((name, value?))).collect()
}

/// A good request with more fields.
fn and(more: &[Field]) -> Vec<Field> {
    [&GOOD[..], more].concat()
}

#[test]
fn the_example_of_section_1_3() {
    let fields =
        and(&[("Origin", "http://example.com"), ("Sec-WebSocket-Protocol", "chat, superchat")]);
    let request = parse(&fields).expect("it is the RFC's");
    assert_eq!(request.origin(), Some(&b"http://example.com"[..]));
    assert_eq!(request.subprotocols(), [&b"chat"[..], b"superchat"]);
    assert_eq!(request.choose(&["superchat", "chat"]), Some("superchat"));
    assert_eq!(request.choose(&["other"]), None);
    let mut out = Vec::new();
    let accepted = request.accept(Some(b"chat"), None).expect("it was offered");
    accepted.write([(&b"Server"[..], &b"x"[..])], &mut out).expect("the field is valid");
    let expected = "HTTP/1.1 101 Switching Protocols\r\n\
        upgrade: websocket\r\n\
        connection: Upgrade\r\n\
        sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\
        sec-websocket-protocol: chat\r\n\
        Server: x\r\n\r\n";
    assert_eq!(String::from_utf8(out).as_deref(), Ok(expected));
    let other = request.accept(Some(b"other"), None);
    assert_eq!(other.expect_err("it was not offered"), HandshakeError::Subprotocol);
}

#[test]
fn what_section_4_2_1_asks_for_is_asked_for() {
    use HandshakeError as E;
    let cases = [
        ("Host", None, E::Host, 400),
        ("Upgrade", None, E::Upgrade, 426),
        ("Upgrade", Some("h2c"), E::Upgrade, 426),
        ("Upgrade", Some("websockets"), E::Upgrade, 426),
        ("Connection", None, E::Connection, 400),
        ("Connection", Some("keep-alive"), E::Connection, 400),
        ("Sec-WebSocket-Version", None, E::Version, 426),
        ("Sec-WebSocket-Version", Some("8"), E::Version, 426),
        ("Sec-WebSocket-Version", Some("13, 8"), E::Version, 426),
        ("Sec-WebSocket-Key", None, E::Key, 400),
        ("Sec-WebSocket-Key", Some(""), E::Key, 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQ="), E::Key, 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25jZQAA"), E::Key, 400),
        ("Sec-WebSocket-Key", Some("dGhlIHNhbXBsZSBub25j*Q=="), E::Key, 400),
    ];
    for (name, value, error, status) in cases {
        assert_eq!(parse(&with(name, value)).err(), Some(error), "{name}: {value:?}");
        assert_eq!(error.status(), status);
    }
    for (name, value) in [
        ("Upgrade", "WebSocket"),
        ("Upgrade", "h2c, websocket"),
        ("Connection", "keep-alive, upgrade"),
    ] {
        assert!(parse(&with(name, Some(value))).is_ok(), "{name}: {value}");
    }
    for (name, value, error) in [
        ("host", "other.example.com", E::Host),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==", E::Key),
        ("sec-websocket-version", "13", E::Version),
    ] {
        assert_eq!(parse(&and(&[(name, value)])).err(), Some(error), "{name} twice");
    }
    assert_eq!(Request::parse(b"POST", true, bytes(&GOOD)).err(), Some(E::Method));
    assert_eq!(Request::parse(b"GET", false, bytes(&GOOD)).err(), Some(E::HttpVersion));
}

#[test]
fn subprotocols_come_in_one_field_or_several() {
    const NAME: &str = "Sec-WebSocket-Protocol";
    let request = parse(&and(&[(NAME, "a, b"), (NAME, "c,,")])).expect("valid");
    assert_eq!(request.subprotocols(), [b"a", b"b", b"c"]);
    for bad in ["a, a", "a b", "a/b", "\u{e9}"] {
        let error = parse(&and(&[(NAME, bad)])).err();
        assert_eq!(error, Some(HandshakeError::Subprotocol), "{bad}");
    }
}

#[test]
fn malformed_extensions_are_refused_and_unknown_ones_are_not() {
    const NAME: &str = "Sec-WebSocket-Extensions";
    let error = parse(&and(&[(NAME, "permessage-deflate;")])).err();
    assert_eq!(error, Some(HandshakeError::Extension));
    let request = parse(&and(&[(NAME, "mux; a=\"b\""), (NAME, "permessage-deflate")]));
    let accepted = request.expect("valid").accept(None, Some(&Config::default()));
    assert!(accepted.expect("no subprotocol is named").deflate().is_some());
}

#[test]
fn origins_are_checked_as_they_are_listed() {
    let list = |entries: &[&str]| Origins::List(entries.iter().map(ToString::to_string).collect());
    let ok = |origin: &'static str, origins: &Origins, is_secure| {
        let request = parse(&and(&[("Origin", origin)])).expect("valid");
        request.check_origin(origins, is_secure).is_ok()
    };
    assert!(ok("null", &Origins::Any, false));
    assert!(ok("http://server.example.com", &Origins::Same, false));
    assert!(ok("HTTP://SERVER.example.com", &Origins::Same, false));
    assert!(ok("http://server.example.com:80", &Origins::Same, false));
    assert!(ok("https://server.example.com", &Origins::Same, true));
    for other in [
        "https://server.example.com",
        "http://server.example.com:8080",
        "http://server.example.com.evil.org",
        "http://evil.org",
        "http://example.com",
        "null",
        "",
    ] {
        assert!(!ok(other, &Origins::Same, false), "{other}");
    }
    let origins = list(&["https://a.org", "https://*.b.org", "http://localhost:8000"]);
    for good in ["https://a.org", "https://x.b.org", "https://x.y.B.org", "http://localhost:8000"] {
        assert!(ok(good, &origins, true), "{good}");
    }
    for bad in [
        "http://a.org",
        "https://x.a.org",
        "https://b.org",
        "https://.b.org",
        "https://evilb.org",
        "http://x.b.org",
        "http://localhost",
        "null",
    ] {
        assert!(!ok(bad, &origins, true), "{bad}");
    }
    // Programs that are no browsers have no origin to say.
    let request = parse(&GOOD).expect("valid");
    assert_eq!(request.check_origin(&list(&[]), true), Ok(()));
    let twice = and(&[("Origin", "http://a.org"), ("Origin", "http://b.org")]);
    assert_eq!(parse(&twice).err(), Some(HandshakeError::Origin));
}

#[test]
fn a_client_looks_at_all_of_the_answer() {
    use HandshakeError as E;
    let client = Client::new(*b"the sample nonce");
    let good: [Field; 3] = [
        ("Upgrade", "WebSocket"),
        ("Connection", "keep-alive, Upgrade"),
        ("Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="),
    ];
    let confirm = |fields: &[Field]| {
        let found = client.confirm(101, bytes(fields), &["chat"], None);
        found.map(|(subprotocol, _)| subprotocol)
    };
    assert_eq!(confirm(&good), Ok(None));
    let errors = [E::Upgrade, E::Connection, E::Accept];
    for (i, error) in errors.into_iter().enumerate() {
        let mut fields = good.to_vec();
        fields[i].1 = "other";
        assert_eq!(confirm(&fields), Err(error));
        fields.remove(i);
        assert_eq!(confirm(&fields), Err(error));
    }
    let plus = |name, value| confirm(&[&good[..], &[(name, value)]].concat());
    assert_eq!(plus("sec-websocket-protocol", "chat"), Ok(Some(&b"chat"[..])));
    assert_eq!(plus("sec-websocket-protocol", "other"), Err(E::Subprotocol));
    assert_eq!(plus("sec-websocket-extensions", "permessage-deflate"), Err(E::Extension));
    let refused = client.confirm(403, bytes(&good), &[], None);
    assert_eq!(refused.err(), Some(E::Status(403)));
}

#[test]
fn a_client_asks_as_section_4_1_has_it() {
    let client = Client::new(*b"the sample nonce");
    let mut out = Vec::new();
    let origin: (&[u8], &[u8]) = (b"origin", b"http://example.com");
    client
        .write(
            (b"/chat?a=b", b"server.example.com"),
            &["chat", "superchat"],
            Some(&Config::default()),
            [origin],
            &mut out,
        )
        .expect("all is valid");
    let expected = "GET /chat?a=b HTTP/1.1\r\n\
        host: server.example.com\r\n\
        upgrade: websocket\r\n\
        connection: Upgrade\r\n\
        sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        sec-websocket-version: 13\r\n\
        sec-websocket-protocol: chat, superchat\r\n\
        sec-websocket-extensions: permessage-deflate; client_max_window_bits=12\r\n\
        origin: http://example.com\r\n\r\n";
    assert_eq!(std::str::from_utf8(&out), Ok(expected));
    assert_eq!(&accept_key(b"dGhlIHNhbXBsZSBub25jZQ=="), b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

#[test]
fn nothing_can_be_smuggled_into_a_head() {
    let client = Client::new([0; 16]);
    let mut out = b"before".to_vec();
    let mut write = |target: &[u8], host: &[u8], subprotocol, field: (&[u8], &[u8])| {
        let result = client.write((target, host), &[subprotocol], None, [field], &mut out);
        assert_eq!(out, b"before", "nothing is left of it");
        result
    };
    let good: (&[u8], &[u8]) = (b"a", b"b");
    let field = Err(HandshakeError::Field);
    assert_eq!(write(b"/ HTTP/1.1\r\nx: y", b"h", "c", good), field);
    assert_eq!(write(b"", b"h", "c", good), field);
    assert_eq!(write(b"/", b"h\r\nx: y", "c", good), field);
    assert_eq!(write(b"/", b"h", "c\r\nx: y", good), Err(HandshakeError::Subprotocol));
    assert_eq!(write(b"/", b"h", "c", (b"a", b"b\nx: y")), field);
    assert_eq!(write(b"/", b"h", "c", (b"a", b"b\0")), field);
    assert_eq!(write(b"/", b"h", "c", (b"a:", b"b")), field);
    assert_eq!(write(b"/", b"h", "c", (b"", b"b")), field);
    let accepted = parse(&GOOD).expect("valid").accept(None, None).expect("no subprotocol");
    let mut out = Vec::new();
    let bad: (&[u8], &[u8]) = (b"a", b"b\r\nset-cookie: c");
    assert_eq!(accepted.write([bad], &mut out), field);
    assert_eq!(out, b"");
}
