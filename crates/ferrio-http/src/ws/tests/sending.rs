//! What is sent, and what is refused to be.

use super::*;
use crate::ws::SendError;

#[test]
fn round_trips_of_every_size_both_ways_compressed_or_not() {
    let configs = [
        Config { min_size: usize::MAX, ..Config::default() },
        Config { min_size: 0, ..Config::default() },
        Config { own_no_takeover: true, peer_no_takeover: true, ..Config::default() },
    ];
    for config in &configs {
        let (mut client, mut server) = pair(config, config);
        for size in SIZES {
            let (letters, bytes) = (text(size), noise(size));
            for (from, to) in [(0, 1), (1, 0)] {
                let sides = [&mut client, &mut server];
                let [mut sender, mut receiver] = sides;
                if (from, to) == (1, 0) {
                    std::mem::swap(&mut sender, &mut receiver);
                }
                sender.send(Kind::Text, letters.as_bytes());
                sender.send(Kind::Binary, &bytes);
                let cut = size / 3;
                sender.send_part(Kind::Binary, &bytes[..cut], false);
                sender.connection.ping(b"between", &mut sender.out).expect("it is open");
                sender.send_part(Kind::Binary, &bytes[cut..], true);
                let expected = [
                    Said::Text(letters.clone()),
                    Said::Binary(bytes.clone()),
                    Said::Ping(b"between".into()),
                    Said::Binary(bytes.clone()),
                ];
                assert_eq!(receiver.receive(&sender.sent()), expected, "{size} bytes");
                let pong = receiver.sent();
                assert_eq!(sender.receive(&pong), [Said::Pong(b"between".into())]);
            }
        }
    }
}

#[test]
fn a_header_alone_is_that_of_the_message() {
    for size in SIZES {
        let mut server = Side::server();
        let Side { connection, out, .. } = &mut server;
        assert_eq!(connection.send_header(Kind::Binary, size, out), Ok(true));
        let mut alone = server.sent();
        alone.extend(noise(size));
        server.send(Kind::Binary, &noise(size));
        assert_eq!(server.sent(), alone);
    }
    let mut client = Side::client();
    let Side { connection, out, .. } = &mut client;
    assert_eq!(connection.send_header(Kind::Text, 5, out), Ok(false));
    let (_, mut server) = pair(&Config::default(), &Config::default());
    let Side { connection, out, .. } = &mut server;
    assert_eq!(connection.send_header(Kind::Text, 5000, out), Ok(false));
    assert_eq!(connection.send_header(Kind::Text, 5, out), Ok(true));
    assert_eq!(server.sent(), b"\x81\x05");
}

#[test]
fn what_may_not_be_sent_is_refused_and_leaves_nothing() {
    let mut side = Side::server();
    let Side { connection, workspace, out, now, .. } = &mut side;
    assert_eq!(connection.send(Kind::Text, b"\xff", out, workspace), Err(SendError::NotUtf8));
    assert_eq!(connection.ping(&[0; 126], out), Err(SendError::TooLong));
    assert_eq!(connection.pong(&[0; 126], out), Err(SendError::TooLong));
    let mut close = |code, reason| connection.close(Close { code, reason }, out, *now);
    assert_eq!(close(Some(1005), ""), Err(SendError::CloseCode(1005)));
    assert_eq!(close(Some(1006), ""), Err(SendError::CloseCode(1006)));
    assert_eq!(close(None, "no code"), Err(SendError::CloseCode(1005)));
    assert_eq!(close(Some(1000), &"x".repeat(124)), Err(SendError::TooLong));
    assert_eq!(out, b"");

    connection.send_part(Kind::Text, b"a", false, out, workspace).expect("it is open");
    let sent = out.len();
    let in_message = Err(SendError::InMessage);
    assert_eq!(connection.send(Kind::Text, b"b", out, workspace), in_message);
    assert_eq!(connection.send_part(Kind::Binary, b"b", true, out, workspace), in_message);
    assert_eq!(connection.send_header(Kind::Text, 1, out), Err(SendError::InMessage));
    assert_eq!(out.len(), sent);

    connection.close(Close { code: Some(1000), reason: "" }, out, *now).expect("it is open");
    let sent = out.len();
    assert_eq!(connection.send(Kind::Text, b"b", out, workspace), in_message);
    let closed = Err(SendError::Closed);
    assert_eq!(connection.send_part(Kind::Text, b"b", true, out, workspace), closed);
    assert_eq!(connection.ping(b"", out), closed);
    assert_eq!(connection.close(Close { code: None, reason: "" }, out, *now), closed);
    assert_eq!(out.len(), sent);
}

#[test]
fn each_frame_of_a_client_has_a_key_of_its_own() {
    let mut client = Side::client();
    client.send(Kind::Text, b"same");
    let first = client.sent();
    client.send(Kind::Text, b"same");
    let second = client.sent();
    assert_ne!(first, second);
    assert_eq!(first[1] & 0x80, 0x80);
    let mut server = Side::server();
    let said = server.receive(&[first, second].concat());
    assert_eq!(said, [Said::Text("same".into()), Said::Text("same".into())]);
}
