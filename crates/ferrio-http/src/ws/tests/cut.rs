//! Streams cut at every byte: the events are the same.

use super::*;

/// A stream in which everything comes, as a client sends it or as a server does.
fn stream(frame: fn(u8, &[u8]) -> Vec<u8>) -> Vec<Vec<u8>> {
    vec![
        frame(0x81, "whole: κόσμε".as_bytes()),
        frame(0x01, "frag\u{1f980}".as_bytes()[..6].as_ref()),
        frame(0x89, b"ping"),
        frame(0x00, b""),
        frame(0x00, "frag\u{1f980}".as_bytes()[6..].as_ref()),
        frame(0x8a, b""),
        frame(0x80, b"ments"),
        frame(0x82, b""),
        frame(0x81, b""),
        frame(0x82, &noise(130)),
        frame(0x02, b"a"),
        frame(0x80, b""),
        frame(0x89, &[7; 125]),
        frame(0x88, b"\x03\xe8bye"),
    ]
}

fn check_cuts(fresh: impl Fn() -> Side, input: &[u8]) -> Vec<Said> {
    let mut side = fresh();
    let expected = side.receive(input);
    let sent = side.sent();
    for first in 0..=input.len() {
        for second in [first, (first + 1).min(input.len()), input.len()] {
            let mut side = fresh();
            let mut said = side.receive(&input[..first]);
            said.extend(side.receive(&input[first..second]));
            said.extend(side.receive(&input[second..]));
            assert_eq!(said, expected, "cut at {first} and {second}");
            assert_eq!(side.sent(), sent, "cut at {first} and {second}");
        }
    }
    let mut side = fresh();
    let said: Vec<_> = input.iter().flat_map(|byte| side.receive(&[*byte])).collect();
    assert_eq!(said, expected, "byte by byte");
    assert_eq!(side.sent(), sent, "byte by byte");
    expected
}

#[test]
fn both_roles_hear_the_same_wherever_it_is_cut() {
    let server = check_cuts(Side::server, &stream(masked).concat());
    let client = check_cuts(Side::client, &stream(plain).concat());
    assert_eq!(server, client);
    let expected = [
        Said::Text("whole: κόσμε".into()),
        Said::Ping(b"ping".into()),
        Said::Pong(b"".into()),
        Said::Text("frag\u{1f980}ments".into()),
        Said::Binary(b"".into()),
        Said::Text(String::new()),
        Said::Binary(noise(130)),
        Said::Binary(b"a".into()),
        Said::Ping(vec![7; 125]),
        Said::Close(Some(1000), "bye".into()),
    ];
    assert_eq!(server, expected);
}

#[test]
fn faults_are_the_same_wherever_it_is_cut() {
    let hello = masked(0x81, b"Hello");
    let faults = [
        (masked(0xa1, b"x"), Fault::ReservedBits),
        (masked(0xc1, b"x"), Fault::ReservedBits),
        (masked(0xc9, b"x"), Fault::ReservedBits),
        (masked(0x83, b"x"), Fault::Opcode(3)),
        (masked(0x8f, b"x"), Fault::Opcode(15)),
        (masked(0x09, b"x"), Fault::ControlFragmented),
        (masked(0x89, &[0; 126]), Fault::ControlTooLong),
        (plain(0x81, b"x"), Fault::NotMasked),
        (masked(0x80, b"x"), Fault::NothingToContinue),
        ([masked(0x01, b"x"), masked(0x81, b"y")].concat(), Fault::MessageInMessage),
        (masked(0x81, b"ab\xed\xa0\x80cd"), Fault::NotUtf8),
        (masked(0x81, b"cut \xf0\x9f"), Fault::NotUtf8),
        ([masked(0x01, b"cut \xf0\x9f"), masked(0x80, b"\x28")].concat(), Fault::NotUtf8),
        (masked(0x88, b"\x03"), Fault::CloseTooShort),
        (masked(0x88, b"\x03\xec"), Fault::CloseCode(1004)),
        (masked(0x88, b"\x03\xe8\xff"), Fault::NotUtf8),
        (masked(0x82, &[0; 1001]), Fault::MessageTooLarge),
        ([masked(0x02, &[0; 600]), masked(0x80, &[0; 401])].concat(), Fault::MessageTooLarge),
    ];
    for (bytes, fault) in faults {
        let fresh = || {
            let mut side = Side::server();
            side.limits.message = 1000;
            side
        };
        // What comes after it is nobody's.
        let input = [&hello[..], &bytes, &hello].concat();
        let said = check_cuts(fresh, &input);
        assert_eq!(said, [Said::Text("Hello".into()), Said::Failed(fault)]);
        let mut side = fresh();
        side.receive(&input);
        assert_eq!(side.sent()[2..4], fault.code().to_be_bytes(), "{fault}");
    }
    let client = check_cuts(Side::client, &masked(0x81, b"x"));
    assert_eq!(client, [Said::Failed(Fault::Masked)]);
}

#[test]
fn compressed_streams_are_the_same_wherever_they_are_cut() {
    let config = Config { min_size: 0, ..Config::default() };
    let (mut client, _) = pair(&config, &config);
    for _ in 0..3 {
        client.send(Kind::Text, text(300).as_bytes());
        client.send_part(Kind::Binary, &noise(40), false);
        client.send_part(Kind::Binary, &[9; 500], false);
        client.send_part(Kind::Binary, b"", true);
    }
    let input = client.sent();
    let said = check_cuts(|| pair(&config, &config).1, &input);
    let mut bytes = noise(40);
    bytes.extend([9; 500]);
    let expected = [Said::Text(text(300)), Said::Binary(bytes)];
    assert_eq!(said, [&expected[..], &expected, &expected].concat());
}

#[test]
fn of_two_faults_in_compressed_data_the_first_is_told_wherever_it_is_cut() {
    let fresh = || {
        let mut side = pair(&Config::default(), &Config::default()).1;
        side.limits.message = 5;
        side
    };
    // Stored blocks, and then a block of a kind that there is not.
    let large = masked(0xc1, b"\x00\x06\x00\xf9\xffabcdef\x07");
    assert_eq!(check_cuts(fresh, &large), [Said::Failed(Fault::MessageTooLarge)]);
    let small = masked(0xc1, b"\x00\x05\x00\xfa\xffabcde\x07");
    assert_eq!(check_cuts(fresh, &small), [Said::Failed(Fault::NotDeflate)]);
    let letters = masked(0xc1, b"\x00\x06\x00\xf9\xffab\xff\xff\xff\xff\x07");
    assert_eq!(check_cuts(fresh, &letters), [Said::Failed(Fault::NotUtf8)]);
}

#[test]
fn a_frame_of_which_nothing_has_come_takes_no_memory() {
    let mut side = Side::server();
    let mut frame = masked(0x82, &[0; 70_000]);
    frame[2..10].copy_from_slice(&(16u64 << 20).to_be_bytes());
    side.receive(&frame[..40]);
    assert!(side.connection.buffered() < 128, "{} bytes are kept", side.connection.buffered());
}
