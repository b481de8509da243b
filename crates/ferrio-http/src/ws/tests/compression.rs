//! permessage-deflate (RFC 7692); Autobahn's groups 12 and 13.

use super::*;
use crate::ws::HandshakeError;

fn offer<'f>(extensions: &'f str) -> Request<'f> {
    let fields: [(&[u8], &[u8]); 6] = [
        (b"host", b"example.org"),
        (b"upgrade", b"websocket"),
        (b"connection", b"Upgrade"),
        (b"sec-websocket-version", b"13"),
        (b"sec-websocket-key", b"dGhlIHNhbXBsZSBub25jZQ=="),
        (b"sec-websocket-extensions", extensions.as_bytes()),
    ];
    Request::parse(b"GET", true, fields).expect("it is a handshake")
}

/// The server's answer.
fn answer(extensions: &str, config: &Config) -> Option<String> {
    let request = offer(extensions);
    let accepted = request.accept(None, Some(config)).expect("no subprotocol is named");
    let found = accepted.fields().find(|(name, _)| *name == "sec-websocket-extensions");
    found.map(|(_, value)| String::from_utf8(value.to_vec()).expect("ascii"))
}

#[test]
fn a_server_answers_every_parameter_of_section_7_1() {
    let plain = Config { own_window_bits: 15, ..Config::default() };
    let cases = [
        ("permessage-deflate", Some("")),
        ("x-webkit-deflate-frame", None),
        ("permessage-deflate; server_no_context_takeover", Some("; server_no_context_takeover")),
        ("permessage-deflate; client_no_context_takeover", Some("; client_no_context_takeover")),
        ("permessage-deflate; server_max_window_bits=15", Some("; server_max_window_bits=15")),
        ("permessage-deflate; server_max_window_bits=9", Some("; server_max_window_bits=9")),
        ("permessage-deflate; server_max_window_bits=\"10\"", Some("; server_max_window_bits=10")),
        ("permessage-deflate; client_max_window_bits", Some("")),
        ("permessage-deflate; client_max_window_bits=9", Some("; client_max_window_bits=9")),
        // What cannot be done, and then what can.
        ("permessage-deflate; server_max_window_bits=8", None),
        ("permessage-deflate; server_max_window_bits=8, permessage-deflate", Some("")),
        // What is not valid.
        ("permessage-deflate; server_max_window_bits", None),
        ("permessage-deflate; server_max_window_bits=7", None),
        ("permessage-deflate; server_max_window_bits=16", None),
        ("permessage-deflate; server_max_window_bits=09", None),
        ("permessage-deflate; client_max_window_bits=abc", None),
        ("permessage-deflate; server_no_context_takeover=1", None),
        ("permessage-deflate; client_max_window_bits; client_max_window_bits=9", None),
        ("permessage-deflate; unknown", None),
        ("permessage-deflate; unknown, permessage-deflate", Some("")),
    ];
    for (offered, expected) in cases {
        let expected = expected.map(|rest| format!("permessage-deflate{rest}"));
        assert_eq!(answer(offered, &plain), expected, "{offered}");
    }
}

#[test]
fn a_servers_own_wishes_are_in_its_answer_as_far_as_they_may_be() {
    let wishes = Config {
        own_window_bits: 11,
        peer_window_bits: 10,
        own_no_takeover: true,
        peer_no_takeover: true,
        ..Config::default()
    };
    let all = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    let deflate = "permessage-deflate";
    assert_eq!(answer(deflate, &wishes).as_deref(), Some(all));
    let offered = "permessage-deflate; client_max_window_bits; server_max_window_bits=12";
    let expected = format!("{all}; server_max_window_bits=11; client_max_window_bits=10");
    assert_eq!(answer(offered, &wishes), Some(expected));
    let offered = "permessage-deflate; client_max_window_bits=9";
    assert_eq!(answer(offered, &wishes), Some(format!("{all}; client_max_window_bits=9")));
}

#[test]
fn a_client_takes_only_what_it_has_offered() {
    let confirm = |config: &Config, extensions: &str| {
        let client = Client::new([0; 16]);
        let mut request = Vec::new();
        client
            .write((b"/", b"example.org"), &[], Some(config), [], &mut request)
            .expect("the fields are valid");
        let request = Request::parse(b"GET", true, fields(&request)).expect("it is a handshake");
        let accepted = request.accept(None, None).expect("no subprotocol is named");
        let mut response: Vec<(&[u8], &[u8])> =
            accepted.fields().map(|(name, value)| (name.as_bytes(), value)).collect();
        response.push((b"Sec-WebSocket-Extensions", extensions.as_bytes()));
        client.confirm(101, response, &[], Some(config)).map(|(_, deflate)| deflate.is_some())
    };
    let default = Config::default();
    let refused = Err(HandshakeError::Extension);
    assert_eq!(confirm(&default, ""), Ok(false));
    assert_eq!(confirm(&default, "permessage-deflate"), Ok(true));
    for good in [
        "server_no_context_takeover",
        "client_no_context_takeover",
        "server_max_window_bits=8",
        "client_max_window_bits=8",
        "client_max_window_bits=12",
    ] {
        assert_eq!(confirm(&default, &format!("permessage-deflate; {good}")), Ok(true), "{good}");
    }
    for bad in
        ["client_max_window_bits", "client_max_window_bits=13", "mux", "server_max_window_bits"]
    {
        assert_eq!(confirm(&default, &format!("permessage-deflate; {bad}")), refused, "{bad}");
    }
    assert_eq!(confirm(&default, "mux"), refused);
    assert_eq!(confirm(&default, "permessage-deflate, permessage-deflate"), refused);

    let wishes = Config { peer_window_bits: 10, peer_no_takeover: true, ..default };
    assert_eq!(confirm(&wishes, "permessage-deflate"), refused);
    let part = "permessage-deflate; server_no_context_takeover";
    assert_eq!(confirm(&wishes, part), refused);
    assert_eq!(confirm(&wishes, &format!("{part}; server_max_window_bits=11")), refused);
    assert_eq!(confirm(&wishes, &format!("{part}; server_max_window_bits=9")), Ok(true));
}

#[test]
fn groups_12_and_13_every_combination_of_parameters_and_sizes() {
    for bits in [9, 12, 15] {
        for takeover in 0..4 {
            let config = Config {
                own_window_bits: bits,
                peer_window_bits: 24 - bits,
                own_no_takeover: takeover & 1 != 0,
                peer_no_takeover: takeover & 2 != 0,
                min_size: 0,
                ..Config::default()
            };
            let (mut client, mut server) =
                pair(&config, &Config { min_size: 0, ..Config::default() });
            for size in [16, 64, 256, 1024, 4096, 8192, 16_384, 32_768, 65_536, 131_072] {
                let letters = text(size);
                client.send(Kind::Text, letters.as_bytes());
                let sent = client.sent();
                assert!(size < 1024 || sent.len() < size / 2, "{} of {size}", sent.len());
                assert_eq!(server.receive(&sent), [Said::Text(letters.clone())]);
                for part in letters.as_bytes().chunks(size / 4 + 1) {
                    server.send_part(Kind::Binary, part, false);
                }
                server.send_part(Kind::Binary, b"", true);
                assert_eq!(client.receive(&server.sent()), [Said::Binary(letters.into())]);
            }
        }
    }
}

#[test]
fn a_client_told_to_use_8_bits_sends_uncompressed() {
    let config = Config { min_size: 0, ..Config::default() };
    let eight = Config { min_size: 0, peer_window_bits: 8, ..Config::default() };
    let (mut client, mut server) = pair(&config, &eight);
    client.send(Kind::Text, text(500).as_bytes());
    let sent = client.sent();
    assert_eq!(sent[0], 0x81);
    assert_eq!(server.receive(&sent), [Said::Text(text(500))]);
    server.send(Kind::Text, text(500).as_bytes());
    assert_eq!(client.receive(&server.sent()), [Said::Text(text(500))]);
}

/// A server that has agreed on compression with takeover both ways.
fn server() -> Side {
    pair(&Config::default(), &Config::default()).1
}

#[test]
fn the_examples_of_section_7_2_3() {
    let hello = [Said::Text("Hello".into())];
    // 7.2.3.1: one block, whole and in two fragments.
    let mut side = server();
    let first = masked(0xc1, b"\xf2\x48\xcd\xc9\xc9\x07\x00");
    assert_eq!(side.receive(&first), hello);
    // 7.2.3.2: the same again, out of the window.
    assert_eq!(side.receive(&masked(0xc1, b"\xf2\x00\x11\x00\x00")), hello);
    let mut side = server();
    let parts = [masked(0x41, b"\xf2\x48\xcd"), masked(0x80, b"\xc9\xc9\x07\x00")].concat();
    assert_eq!(side.receive(&parts), hello);
    // 7.2.3.3: a block without compression.
    let stored = masked(0xc1, b"\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");
    assert_eq!(side.receive(&stored), hello);
    // 7.2.3.4: a block that says that it is the last one; and another message after it.
    let last = masked(0xc1, b"\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    assert_eq!(side.receive(&last), hello);
    assert_eq!(side.receive(&first), hello);
    // 7.2.3.5: two blocks in one message.
    let two = masked(0xc1, b"\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00");
    assert_eq!(side.receive(&two), hello);
    // 7.2.3.6: nothing.
    assert_eq!(side.receive(&masked(0xc1, b"\x00")), [Said::Text(String::new())]);
    // Messages that are not compressed may come between.
    assert_eq!(side.receive(&masked(0x81, b"plain")), [Said::Text("plain".into())]);
}

#[test]
fn rsv1_is_for_the_first_frame_of_a_message_only() {
    let mut side = server();
    let parts = [masked(0x41, b"\xf2\x48\xcd"), masked(0xc0, b"\xc9\xc9\x07\x00")].concat();
    assert_eq!(side.receive(&parts), [Said::Failed(Fault::ReservedBits)]);
    for control in [0xc8, 0xc9, 0xca] {
        assert_eq!(server().receive(&masked(control, b"")), [Said::Failed(Fault::ReservedBits)]);
    }
}

#[test]
fn what_is_no_deflate_fails_with_1002() {
    let mut side = server();
    let said = side.receive(&masked(0xc2, &[0xff; 20]));
    assert_eq!(said, [Said::Failed(Fault::NotDeflate)]);
    assert_eq!(side.sent()[2..4], 1002u16.to_be_bytes());
}

#[test]
fn a_bomb_fails_with_1009_and_takes_no_more_than_the_limit() {
    let config = Config { min_size: 0, own_window_bits: 15, ..Config::default() };
    let (mut client, _) = pair(&config, &config);
    client.send(Kind::Binary, &vec![0; 32 << 20]);
    let bomb = client.sent();
    assert!(bomb.len() < 64 * 1024, "{} bytes", bomb.len());
    for step in [bomb.len(), 1000, 100] {
        let mut side = server();
        side.limits.message = 1 << 20;
        let mut said = Vec::new();
        for piece in bomb.chunks(step) {
            said.extend(side.receive(piece));
            assert!(side.connection.buffered() <= (1 << 20) + 1, "{}", side.connection.buffered());
            assert!(side.workspace.message.capacity() <= (1 << 20) + 1);
        }
        assert_eq!(said, [Said::Failed(Fault::MessageTooLarge)]);
        assert_eq!(side.sent()[2..4], 1009u16.to_be_bytes());
    }
}

#[test]
fn the_limit_is_exact_and_counts_what_is_inflated() {
    let config = Config { min_size: 0, ..Config::default() };
    for limit in [0, 1, 64, 1000, 70_000] {
        for (size, is_good) in [(limit, true), (limit + 1, false)] {
            let (mut client, mut side) = pair(&config, &config);
            side.limits.message = limit;
            client.send(Kind::Binary, &vec![5; size]);
            let expected = if is_good {
                Said::Binary(vec![5; size])
            } else {
                Said::Failed(Fault::MessageTooLarge)
            };
            assert_eq!(side.receive(&client.sent()), [expected], "{size} of {limit}");
        }
    }
}

#[test]
fn compressed_text_is_checked_as_it_arrives() {
    let config = Config { min_size: 0, ..Config::default() };
    let (mut client, mut side) = pair(&config, &config);
    client.send_part(Kind::Binary, b"good, then bad: \xff", false);
    let mut frame = client.sent();
    frame[0] = 0x41;
    assert_eq!(side.receive(&frame), [Said::Failed(Fault::NotUtf8)]);
}

#[test]
fn without_takeover_a_thread_has_one_inflater_for_all_connections() {
    let config =
        Config { min_size: 0, peer_no_takeover: true, own_no_takeover: true, ..Config::default() };
    let (mut client, mut side) = pair(&config, &config);
    for _ in 0..3 {
        client.send(Kind::Text, text(200).as_bytes());
        assert!(!client.connection.has_compressor());
        assert_eq!(side.receive(&client.sent()), [Said::Text(text(200))]);
        assert!(!side.connection.has_compressor());
    }
}
