//! Whole connections: each request connects, shakes hands, sends a message, has it back, closes,
//! and waits for the server's end.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Instant;

use rustls::StreamOwned;

use crate::connection::Fault;
use crate::histogram::Histogram;
use crate::options::Extent;
use crate::payload::Payload;
use crate::tls::Tls;
use crate::worker::{Budget, Outcome};

/// One thread's share. Blocking: a handshake is milliseconds of somebody's computing.
pub(crate) struct Visitor<'a> {
    pub(crate) number: usize,
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<&'a Tls>,
    pub(crate) size_bytes: usize,
    pub(crate) payload: &'a Payload,
}

impl Visitor<'_> {
    pub(crate) fn run(&mut self, extent: Extent) -> Result<Outcome, Fault> {
        let mut latencies = Histogram::new();
        let mut requests = 0;
        let mut now = Instant::now();
        let mut budget = Budget::new(extent, now);
        while budget.grant(1, now) == 1 {
            let begun_at = now;
            self.visit()?;
            now = Instant::now();
            latencies.record(now - begun_at);
            requests += 1;
        }
        Ok(Outcome { requests, latencies, ended_at: now })
    }

    fn visit(&self) -> Result<(), Fault> {
        let fault = |error| Fault::Io(self.number, error);
        let mut stream = TcpStream::connect(self.address).map_err(fault)?;
        stream.set_nodelay(true).map_err(fault)?;
        let Some(tls) = self.tls else {
            self.talk(&mut stream)?;
            stream.shutdown(std::net::Shutdown::Write).map_err(fault)?;
            return self.wait_for_end(&mut stream);
        };
        let session = tls.session().map_err(fault)?;
        let mut secured = StreamOwned::new(session, stream);
        self.talk(&mut secured)?;
        secured.conn.send_close_notify();
        secured.flush().map_err(fault)?;
        self.wait_for_end(&mut secured)
    }

    fn talk<S: Read + Write>(&self, stream: &mut S) -> Result<(), Fault> {
        let fault = |error| Fault::Io(self.number, error);
        let start = Payload::start_of(self.number);
        stream.write_all(self.payload.at(start, self.size_bytes)).map_err(fault)?;
        let mut received = vec![0; self.size_bytes];
        stream.read_exact(&mut received).map_err(fault)?;
        match self.payload.first_difference(start, &received) {
            None => Ok(()),
            Some(index) => Err(Fault::WrongByte { connection: self.number, offset: index as u64 }),
        }
    }

    fn wait_for_end<S: Read>(&self, stream: &mut S) -> Result<(), Fault> {
        match stream.read(&mut [0]) {
            Ok(0) => Ok(()),
            Ok(_) => Err(Fault::TooMuch(self.number)),
            // asyncio closes the socket without a close_notify of its own in some of its ways.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(()),
            Err(error) => Err(Fault::Io(self.number, error)),
        }
    }
}
