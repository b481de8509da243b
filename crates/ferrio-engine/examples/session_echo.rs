//! The echo server as a [`Session`]: what `echo.rs` does by hand, in as many lines as it has ideas.
//!
//! `cargo run --release --example session_echo -- --port 9000`; without `--port` any free one.
//! `bench/engine_echo.py` compares the two.
#![allow(clippy::print_stdout)] // It is a program.

use std::env;
use std::io::{self, Write};
use std::net::{Ipv4Addr, TcpListener};

use ferrio_engine::Instant;
use ferrio_engine::session::{Next, Outbox, Server, Session};

/// RFC 862.
struct Echo;

impl Session for Echo {
    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        outbox.send(data);
        Next::read()
    }
}

fn main() -> io::Result<()> {
    let args: Vec<String> = env::args().skip(1).collect();
    let port = match args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => 0,
        ["--port", number] => number.parse().map_err(io::Error::other)?,
        _ => return Err(io::Error::other("usage: session_echo [--port NUMBER]")),
    };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))?;
    println!("listening on {}", listener.local_addr()?);
    io::stdout().flush()?;
    let mut server = Server::new()?;
    server.listen(listener, |_peer| Echo)?;
    server.stop_on_signals(&[SIGINT, SIGTERM])?;
    server.run()
}

/// The numbers of Linux, macOS and the BSDs.
const SIGINT: i32 = 2;
const SIGTERM: i32 = 15;
