//! Keep-alive and closing in virtual time.

use super::*;
use crate::ws::{Closing, Expiry};

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

impl Side {
    fn deadline(&self) -> Option<Duration> {
        self.connection.deadline(&self.limits)
    }

    fn expire(&mut self, now: Duration) -> Expiry {
        let Self { connection, workspace, limits, out, .. } = self;
        self.now = now;
        connection.expire(out, workspace, limits, now)
    }
}

#[test]
fn pings_go_out_each_interval_and_a_pong_says_how_long_it_took() {
    let mut server = Side::server();
    for round in 1..4 {
        let due = seconds(20 * round);
        assert_eq!(server.deadline(), Some(due));
        assert_eq!(server.expire(due - Duration::from_nanos(1)), Expiry::Early);
        assert_eq!(server.expire(due), Expiry::Pinged);
        assert_eq!(server.deadline(), Some(due + seconds(20)));
        let ping = server.sent();
        let mut client = Side::client();
        assert_eq!(client.receive(&ping).len(), 1);
        server.now = due + seconds(3);
        assert_eq!(server.receive(&client.sent()).len(), 1);
        assert_eq!(server.connection.latency(), Some(seconds(3)));
    }
}

#[test]
fn silence_after_a_ping_fails_the_connection_with_1011() {
    let mut server = Side::server();
    server.expire(seconds(20));
    server.sent();
    assert_eq!(server.expire(seconds(40)), Expiry::Failed(Fault::NoPong));
    assert_eq!(server.sent()[..4], [0x88, 24, 0x03, 0xf3]);
    assert_eq!(server.connection.closing(), Closing::Linger);
    assert_eq!(server.deadline(), Some(seconds(41)));
    assert_eq!(server.expire(seconds(41)), Expiry::CloseTimeout);
    assert_eq!(server.connection.closing(), Closing::Abort);
    assert_eq!(server.deadline(), None);
}

#[test]
fn any_byte_is_a_sign_of_life() {
    let mut server = Side::server();
    server.expire(seconds(20));
    server.now = seconds(35);
    server.receive(&masked(0x82, b"a message that takes long")[..3]);
    assert_eq!(server.deadline(), Some(seconds(55)));
    assert_eq!(server.expire(seconds(40)), Expiry::Early);
    // A pong with another payload is one, and not the answer.
    server.now = seconds(50);
    assert_eq!(server.deadline(), Some(seconds(55)));
    assert_eq!(server.expire(seconds(55)), Expiry::Failed(Fault::NoPong));
}

#[test]
fn nobody_is_given_up_while_nothing_is_read() {
    let mut server = Side::server();
    server.expire(seconds(20));
    server.connection.pause();
    assert_eq!(server.expire(seconds(500)), Expiry::Early);
    server.connection.resume(seconds(500));
    assert_eq!(server.deadline(), Some(seconds(520)));
}

#[test]
fn keepalive_can_be_turned_off_in_parts() {
    let mut server = Side::server();
    server.limits.ping_interval = None;
    assert_eq!(server.deadline(), None);
    let mut server = Side::server();
    server.limits.ping_timeout = None;
    for round in 1..5 {
        assert_eq!(server.deadline(), Some(seconds(20 * round)));
        assert_eq!(server.expire(seconds(20 * round)), Expiry::Pinged);
    }
}

#[test]
fn a_peer_that_does_not_answer_a_close_is_aborted() {
    let mut server = Side::server();
    server.now = seconds(5);
    server.close(Some(1000), "");
    assert_eq!(server.deadline(), Some(seconds(15)));
    assert_eq!(server.expire(seconds(14)), Expiry::Early);
    assert_eq!(server.expire(seconds(15)), Expiry::CloseTimeout);
    assert_eq!(server.connection.closing(), Closing::Abort);

    // A server that answers, and then does not close.
    let mut client = Side::client();
    client.receive(&plain(0x88, b"\x03\xe8"));
    assert_eq!(client.connection.closing(), Closing::Wait);
    assert_eq!(client.deadline(), Some(seconds(10)));
    assert_eq!(client.expire(seconds(10)), Expiry::CloseTimeout);
    assert_eq!(client.connection.closing(), Closing::Abort);
}

#[test]
fn a_compressor_that_idles_is_given_up_and_the_next_message_is_understood() {
    let config = Config { min_size: 0, ..Config::default() };
    let (mut client, mut server) = pair(&config, &config);
    let letters = text(1000);
    for round in 1..5 {
        server.send(Kind::Text, letters.as_bytes());
        assert_eq!(client.receive(&server.sent()), [Said::Text(letters.clone())]);
        for ping in 0..3 {
            let due = seconds(60 * (round - 1) + 20 * (ping + 1));
            assert_eq!(server.expire(due), Expiry::Pinged);
            client.receive(&server.sent());
            server.receive(&client.sent());
        }
        assert!(!server.connection.has_compressor());
    }
}
