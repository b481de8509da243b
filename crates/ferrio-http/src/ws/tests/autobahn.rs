//! Autobahn's cases, groups 1 to 7 and 9, in our own words.

use super::*;
use crate::ws::{Closing, Eof};

#[test]
fn groups_1_and_9_messages_of_every_size() {
    for size in SIZES {
        let (letters, bytes) = (text(size), noise(size));
        let mut server = Side::server();
        let mut input = masked(0x81, letters.as_bytes());
        input.extend(masked(0x82, &bytes));
        assert_eq!(server.receive(&input), [Said::Text(letters), Said::Binary(bytes)]);
        assert_eq!(server.sent(), b"");
    }
}

#[test]
fn group_9_a_large_message_in_small_frames_and_in_small_pieces() {
    let letters = text(1 << 20);
    let mut server = Side::server();
    let mut said = Vec::new();
    let frames = letters.as_bytes().chunks(64);
    let last = frames.len() - 1;
    for (i, part) in frames.enumerate() {
        let fin = if i == last { 0x80 } else { 0 };
        said.extend(server.receive(&masked(fin | u8::from(i == 0), part)));
    }
    assert_eq!(said, [Said::Text(letters.clone())]);
    let whole = masked(0x81, letters.as_bytes());
    let said: Vec<_> = whole.chunks(1024).flat_map(|piece| server.receive(piece)).collect();
    assert_eq!(said, [Said::Text(letters)]);
}

#[test]
fn group_2_pings_are_answered_in_order_with_their_payload() {
    let mut server = Side::server();
    for payload in [&b""[..], b"Hello, world!", b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff", &[0xfe; 125]] {
        assert_eq!(server.receive(&masked(0x89, payload)), [Said::Ping(payload.to_vec())]);
        assert_eq!(server.sent(), plain(0x8a, payload));
    }
    assert_eq!(server.receive(&masked(0x89, &[0xfe; 126])), [Said::Failed(Fault::ControlTooLong)]);

    let mut server = Side::server();
    let pings: Vec<_> = (0..10u8).map(|i| masked(0x89, &[i; 3])).collect();
    assert_eq!(server.receive(&pings.concat()).len(), 10);
    let pongs: Vec<_> = (0..10u8).map(|i| plain(0x8a, &[i; 3])).collect();
    assert_eq!(server.sent(), pongs.concat());
}

#[test]
fn group_2_pongs_that_nobody_asked_for_are_not_answered() {
    let mut server = Side::server();
    assert_eq!(server.receive(&masked(0x8a, b"unasked")), [Said::Pong(b"unasked".into())]);
    assert_eq!(server.sent(), b"");
    assert_eq!(server.receive(&masked(0x89, b"x")), [Said::Ping(b"x".into())]);
    assert_eq!(server.sent(), plain(0x8a, b"x"));
}

#[test]
fn groups_3_and_4_what_is_reserved_fails_the_connection_after_what_came_before() {
    for first in 0..=u8::MAX {
        let (bits, opcode) = (first & 0x70, first & 0x0f);
        let is_known = matches!(opcode, 0..=2 | 8..=10);
        if bits == 0 && is_known {
            continue;
        }
        let mut server = Side::server();
        let input = [masked(0x81, b"before"), masked(first, b""), masked(0x89, b"after")].concat();
        let said = server.receive(&input);
        assert_eq!(said[0], Said::Text("before".into()));
        assert!(
            matches!(said[1], Said::Failed(fault) if fault.code() == 1002),
            "{first:#x}: {said:?}",
        );
        assert_eq!(said.len(), 2);
        assert_eq!(server.connection.closing(), Closing::Linger);
        assert_eq!(server.sent()[2..4], 1002u16.to_be_bytes());
        assert_eq!(server.receive(&masked(0x81, b"dropped")), []);
    }
}

#[test]
fn group_5_fragments_with_control_frames_between() {
    let mut server = Side::server();
    let input = [
        masked(0x01, b"fragment1"),
        masked(0x89, b"ping"),
        masked(0x00, b"fragment2"),
        masked(0x89, b"ping"),
        masked(0x80, b"fragment3"),
    ];
    let said = server.receive(&input.concat());
    let ping = Said::Ping(b"ping".into());
    let expected = [ping.clone(), ping, Said::Text("fragment1fragment2fragment3".into())];
    assert_eq!(said, expected);
    assert_eq!(server.sent(), [plain(0x8a, b"ping"), plain(0x8a, b"ping")].concat());
}

#[test]
fn group_5_fragments_out_of_order_fail_the_connection() {
    type Frames = &'static [(u8, &'static [u8])];
    let cases: [(Frames, Fault); 7] = [
        (&[(0x09, b"f1"), (0x80, b"f2")], Fault::ControlFragmented),
        (&[(0x0a, b"f1"), (0x80, b"f2")], Fault::ControlFragmented),
        (&[(0x08, b""), (0x80, b"f2")], Fault::ControlFragmented),
        (&[(0x80, b"f1")], Fault::NothingToContinue),
        (&[(0x00, b"f1"), (0x81, b"f2")], Fault::NothingToContinue),
        (&[(0x01, b"f1"), (0x81, b"f2")], Fault::MessageInMessage),
        (&[(0x01, b"f1"), (0x02, b"f2")], Fault::MessageInMessage),
    ];
    for (frames, fault) in cases {
        let mut server = Side::server();
        let input: Vec<_> = frames.iter().map(|(first, data)| masked(*first, data)).collect();
        assert_eq!(server.receive(&input.concat()), [Said::Failed(fault)]);
    }
}

#[test]
fn group_6_invalid_text_fails_at_the_byte_that_makes_it_so() {
    let good = "κόσμε".as_bytes();
    // In fragments, in parts of a frame, and with a control frame between.
    let mut server = Side::server();
    assert_eq!(server.receive(&masked(0x01, good)), []);
    assert_eq!(server.receive(&masked(0x89, b"")), [Said::Ping(b"".into())]);
    assert_eq!(server.receive(&masked(0x00, b"\xf4\x90")), [Said::Failed(Fault::NotUtf8)]);

    let mut server = Side::server();
    let frame = masked(0x81, &[good, b"\xf4\x90\x80\x80", good].concat());
    let header = 6;
    let bad = header + good.len() + 2;
    assert_eq!(server.receive(&frame[..bad - 1]), []);
    assert_eq!(server.receive(&frame[bad - 1..bad]), [Said::Failed(Fault::NotUtf8)]);
    assert_eq!(server.sent()[2..4], 1007u16.to_be_bytes());
}

#[test]
fn group_6_a_character_may_be_cut_by_fragments_but_not_by_the_end() {
    let letters = "\u{1f980}κόσμε";
    let mut server = Side::server();
    let count = letters.len();
    let frames = letters.bytes().enumerate().map(|(i, byte)| {
        let fin = if i + 1 == count { 0x80 } else { 0 };
        masked(fin | u8::from(i == 0), &[byte])
    });
    let frames: Vec<_> = frames.collect();
    assert_eq!(server.receive(&frames.concat()), [Said::Text(letters.into())]);
    let input = [masked(0x01, b"\xce"), masked(0x80, b"")].concat();
    assert_eq!(server.receive(&input), [Said::Failed(Fault::NotUtf8)]);
    // Bytes are bytes.
    let mut server = Side::server();
    assert_eq!(server.receive(&masked(0x82, b"\xce")), [Said::Binary(b"\xce".into())]);
}

#[test]
fn group_7_a_close_is_answered_with_its_code_and_ends_everything() {
    for (payload, answer) in
        [(&b""[..], &b""[..]), (b"\x03\xe8", b"\x03\xe8"), (b"\x0f\xa0why", b"\x0f\xa0")]
    {
        let mut server = Side::server();
        let input =
            [masked(0x88, payload), masked(0x81, b"after"), masked(0x89, b"after")].concat();
        let said = server.receive(&input);
        let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
        let reason = payload.get(2..).unwrap_or_default();
        let reason = String::from_utf8(reason.to_vec()).expect("a reason is UTF-8");
        assert_eq!(said, [Said::Close(code, reason)]);
        assert_eq!(server.sent(), plain(0x88, answer));
        assert_eq!(server.connection.closing(), Closing::Flush);
        assert!(!server.connection.is_open());
        assert_eq!(server.connection.eof(server.now), Eof::Clean);
    }
}

#[test]
fn group_7_a_close_inside_a_message_ends_it() {
    let mut server = Side::server();
    let input = [masked(0x01, b"fragment"), masked(0x88, b"\x03\xe8"), masked(0x80, b"rest")];
    assert_eq!(server.receive(&input.concat()), [Said::Close(Some(1000), String::new())]);
}

#[test]
fn group_7_a_reason_may_fill_the_frame() {
    let mut server = Side::server();
    let payload = [b"\x03\xe8", &[b'*'; 123][..]].concat();
    let said = server.receive(&masked(0x88, &payload));
    assert_eq!(said, [Said::Close(Some(1000), "*".repeat(123))]);
    let mut server = Side::server();
    let payload = [b"\x03\xe8", &[b'*'; 124][..]].concat();
    assert_eq!(server.receive(&masked(0x88, &payload)), [Said::Failed(Fault::ControlTooLong)]);
}

#[test]
fn our_own_close_waits_for_the_answer_and_hears_what_comes_before_it() {
    let mut server = Side::server();
    server.close(Some(1001), "going away");
    assert_eq!(server.sent(), plain(0x88, b"\x03\xe9going away"));
    assert_eq!(server.connection.closing(), Closing::Open);
    let input = [masked(0x81, b"late"), masked(0x89, b"late"), masked(0x88, b"\x03\xe9")].concat();
    let expected = [
        Said::Text("late".into()),
        Said::Ping(b"late".into()),
        Said::Close(Some(1001), String::new()),
    ];
    assert_eq!(server.receive(&input), expected);
    assert_eq!(server.sent(), b"", "nothing goes out after a close frame");
    assert_eq!(server.connection.closing(), Closing::Flush);
}

#[test]
fn a_client_waits_for_the_server_to_close() {
    let mut client = Side::client();
    assert_eq!(client.receive(&plain(0x88, b"")), [Said::Close(None, String::new())]);
    let mut server = Side::server();
    assert_eq!(server.receive(&client.sent()), [Said::Close(None, String::new())]);
    assert_eq!(client.connection.closing(), Closing::Wait);
    assert_eq!(client.connection.eof(client.now), Eof::Clean);
    assert_eq!(client.connection.closing(), Closing::Flush);
}

#[test]
fn an_end_without_a_close_frame_is_a_cut() {
    let mut server = Side::server();
    assert_eq!(server.receive(&masked(0x81, b"whole")).len(), 1);
    assert_eq!(server.connection.eof(server.now), Eof::Cut);
    let mut server = Side::server();
    server.close(None, "");
    assert_eq!(server.connection.eof(server.now), Eof::Cut);
}
