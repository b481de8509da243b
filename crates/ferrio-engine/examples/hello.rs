//! A web server in a page: a [`Session`] that knows as much of HTTP/1.1 (RFC 9112) as it takes to
//! greet, with a deadline for those who never finish their request.
//!
//! `cargo run --example hello`, then `curl http://127.0.0.1:8080/`.
#![allow(clippy::print_stdout)] // It is a program.

use std::io;
use std::net::TcpListener;
use std::time::Duration;

use ferrio_engine::Instant;
use ferrio_engine::session::{Next, Outbox, Server, Session};

const PATIENCE: Duration = Duration::from_secs(10);
const LONGEST_HEAD: usize = 16 * 1024;
const HELLO: &[u8] =
    b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 6\r\n\r\nhello\n";
const TOO_LONG: &[u8] =
    b"HTTP/1.1 431 Request Header Fields Too Large\r\nContent-Length: 0\r\n\r\n";

#[derive(Default)]
struct Hello {
    /// What has come of the head of the next request. Bodies are not for greeters: a request that
    /// has one is taken for two.
    head: Vec<u8>,
}

impl Session for Hello {
    fn on_start(&mut self, _outbox: &mut Outbox<'_>, now: Instant) -> Next {
        Next::read_until(now.saturating_add(PATIENCE))
    }

    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, now: Instant) -> Next {
        self.head.extend_from_slice(data);
        // A client may send requests without waiting for the answers: all answers leave together.
        while let Some(end) = end_of_head(&self.head) {
            self.head.drain(..end + 4);
            outbox.send(HELLO);
        }
        if self.head.len() > LONGEST_HEAD {
            outbox.send(TOO_LONG);
            return Next::close();
        }
        Next::read_until(now.saturating_add(PATIENCE))
    }
}

/// Where the empty line begins that ends a head.
fn end_of_head(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n")
}

fn main() -> io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:8080")?;
    println!("listening on http://{}/", listener.local_addr()?);
    let mut server = Server::new()?;
    server.listen(listener, |_peer| Hello::default())?;
    server.run()
}
