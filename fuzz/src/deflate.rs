//! permessage-deflate between a client and a server, with any parameters and cuts; and bytes that
//! nobody has compressed.

use std::time::Duration;

use ferrio_http::ws::{
    Agreed, Client, Config, Connection, Fault, Kind, Limits, Request, Role, Workspace,
};

use crate::input::Input;
use crate::ws_frames::{Said, keys, receive};

/// Messages that are to arrive as they were sent; or garbage that is to mean the same wherever it is
/// cut.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (client, server) = shake(&config(&mut input), &config(&mut input));
    let limits = Limits { message: input.size(), ..Limits::default() };
    let cuts = input.byte();
    if input.below(4) == 0 {
        garbage(&mut input, &server, cuts, &limits);
        return;
    }
    let role = Role::Client(keys());
    let mut sender = Connection::new(role, Some(client), Duration::ZERO);
    let (expected, stream) = messages(&mut input, &mut sender, limits.message);
    let fresh = || Connection::new(Role::Server, Some(server.clone()), Duration::ZERO);
    for cuts in [0, cuts] {
        let (said, _) = receive(fresh(), &stream, cuts, &limits);
        assert!(said == expected, "with cuts {cuts}");
    }
}

fn config(input: &mut Input<'_>) -> Config {
    Config {
        own_window_bits: 9 + input.below(7) as u8,
        peer_window_bits: 8 + input.below(8) as u8,
        own_no_takeover: input.flag(),
        peer_no_takeover: input.flag(),
        level: 1 + input.below(9) as u8,
        mem_level: 1 + input.below(9) as u8,
        min_size: input.below(100),
    }
}

/// What a client and a server with these wishes agree on.
fn shake(client: &Config, server: &Config) -> (Agreed, Agreed) {
    let offer = Config { peer_window_bits: client.peer_window_bits.max(9), ..client.clone() };
    let handshake = Client::new([7; 16]);
    let value = offer.offer();
    let mut head = Vec::new();
    handshake.write((b"/", b"h"), &[], Some(&offer), [], &mut head).expect("it is valid");
    let head = String::from_utf8(head).expect("ascii");
    assert!(head.contains(&value));
    let fields = head.lines().filter_map(|line| line.split_once(": "));
    let fields = fields.map(|(name, value)| (name.as_bytes(), value.as_bytes()));
    let request = Request::parse(b"GET", true, fields).expect("it is a handshake");
    let accepted = request.accept(None, Some(server)).expect("no subprotocol is named");
    let fields = accepted.fields().map(|(name, value)| (name.as_bytes(), value));
    let (_, agreed) = handshake.confirm(101, fields, &[], Some(&offer)).expect("it is an answer");
    (agreed.expect("it was offered"), accepted.deflate().expect("it was offered"))
}

/// What is sent, and what is to arrive of it.
fn messages(input: &mut Input<'_>, sender: &mut Connection, limit: usize) -> (Vec<Said>, Vec<u8>) {
    let mut workspace = Workspace::default();
    let (mut expected, mut stream) = (Vec::new(), Vec::new());
    let mut has_failed = false;
    while !input.is_empty() {
        let mut message = Vec::new();
        let is_text = input.flag();
        let kind = if is_text { Kind::Text } else { Kind::Binary };
        let parts = 1 + input.below(4);
        for part in 1..=parts {
            let data = data(input, is_text);
            message.extend_from_slice(&data);
            sender
                .send_part(kind, &data, part == parts, &mut stream, &mut workspace)
                .expect("it is open");
        }
        if has_failed {
            continue;
        }
        has_failed = message.len() > limit;
        expected.push(match is_text {
            _ if has_failed => Said::Failed(Fault::MessageTooLarge),
            true => Said::Text(String::from_utf8(message).expect("made of characters")),
            false => Said::Binary(message),
        });
    }
    (expected, stream)
}

fn data(input: &mut Input<'_>, is_text: bool) -> Vec<u8> {
    let size = input.size();
    let step = usize::from(input.byte());
    if is_text {
        let letters = ['a', 'b', 'é', '\u{20ac}', '\u{1f980}'];
        let text: String = (0..size).map(|i| letters[i * step / 7 % letters.len()]).collect();
        return text.into_bytes();
    }
    (0..size).map(|i| (i * step * i / 5) as u8).collect()
}

/// Frames that say that they are compressed, and are as they come.
fn garbage(input: &mut Input<'_>, agreed: &Agreed, cuts: u8, limits: &Limits) {
    let mut stream = Vec::new();
    while !input.is_empty() {
        let first = [0xc1, 0xc2, 0x41, 0x42, 0x00, 0x80][input.below(6)];
        let size = input.below(64);
        // A key of zeros, so that a fuzzer sees through it.
        stream.extend([first, 0x80 | size as u8, 0, 0, 0, 0]);
        stream.extend((0..size).map(|_| input.byte()));
    }
    let fresh = || Connection::new(Role::Server, Some(agreed.clone()), Duration::ZERO);
    let whole = receive(fresh(), &stream, 0, limits);
    for cuts in [1, cuts] {
        assert_eq!(receive(fresh(), &stream, cuts, limits), whole);
    }
}
