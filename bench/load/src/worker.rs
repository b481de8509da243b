//! One thread of the load: its connections, and the epoll instance that watches them.

use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::net::sockopt::set_socket_linger;

use crate::connection::{Connection, Fault};
use crate::histogram::Histogram;
use crate::options::{Extent, Options};
use crate::payload::Payload;
use crate::tls::Tls;

/// As much as one `recv` takes. A reply of 64 KiB arrives in one or two pieces.
const BUFFER_BYTES: usize = 256 * 1024;
const EVENTS: usize = 256;

pub(crate) struct Worker<'a> {
    epoll: rustix::fd::OwnedFd,
    connections: Vec<Connection>,
    payload: &'a Payload,
    buffer: Vec<u8>,
    depth: usize,
    stall: Duration,
}

/// What one part of the run did on one thread.
pub(crate) struct Outcome {
    pub(crate) requests: u64,
    pub(crate) latencies: Histogram,
    pub(crate) ended_at: Instant,
}

/// How many more requests may be started.
pub(crate) enum Budget {
    Until(Instant),
    Left(u64),
}

impl<'a> Worker<'a> {
    /// Opens the connections whose numbers are `numbers`.
    pub(crate) fn open(
        options: &Options,
        numbers: std::ops::Range<usize>,
        payload: &'a Payload,
        tls: Option<&Tls>,
    ) -> Result<Self, Fault> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)
            .map_err(|errno| Fault::Io(numbers.start, errno.into()))?;
        let mut connections = Vec::with_capacity(numbers.len());
        for number in numbers {
            let connection = Connection::open(&options.target, tls, number, options.size_bytes)?;
            if options.reset {
                set_socket_linger(&connection, Some(Duration::ZERO))
                    .map_err(|errno| Fault::Io(number, errno.into()))?;
            }
            let slot = epoll::EventData::new_u64(connections.len() as u64);
            epoll::add(&epoll, &connection, slot, epoll::EventFlags::IN)
                .map_err(|errno| Fault::Io(number, errno.into()))?;
            connections.push(connection);
        }
        let buffer = vec![0; BUFFER_BYTES];
        Ok(Self { epoll, connections, payload, buffer, depth: options.depth, stall: options.stall })
    }

    /// Loads the server for `extent`, then waits for the replies under way: every request counted
    /// is wholly inside this call. `active` is on how many of the connections, spread evenly over
    /// all; on every one if there is no such number.
    pub(crate) fn run(&mut self, active: Option<usize>, extent: Extent) -> Result<Outcome, Fault> {
        let mut latencies = Histogram::new();
        let mut requests = 0;
        let started_at = Instant::now();
        let mut budget = Budget::new(extent, started_at);
        let mut under_way = 0;
        let active = active.unwrap_or(self.connections.len());
        for index in 0..active {
            let slot = index * self.connections.len() / active;
            let granted = budget.grant(self.depth, started_at);
            self.ask(slot, granted, Instant::now())?;
            under_way += granted;
        }
        let mut events = Vec::with_capacity(EVENTS);
        let stall = Timespec::try_from(self.stall).ok();
        while under_way > 0 {
            events.clear();
            match epoll::wait(&self.epoll, spare_capacity(&mut events), stall.as_ref()) {
                Ok(0) => return Err(Fault::Stalled),
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(Fault::Io(0, errno.into())),
            }
            for event in &events {
                let slot = event.data.u64() as usize;
                let ready = event.flags;
                if ready.contains(epoll::EventFlags::OUT) {
                    self.flush(slot)?;
                }
                // Errors and hang-ups are learnt from the `recv` they make readable.
                if ready.intersects(!epoll::EventFlags::OUT) {
                    let connection = &mut self.connections[slot];
                    let (whole, now) =
                        connection.receive(&mut self.buffer, self.payload, &mut latencies)?;
                    requests += whole as u64;
                    under_way -= whole;
                    let granted = budget.grant(whole, now);
                    self.ask(slot, granted, now)?;
                    under_way += granted;
                }
            }
        }
        debug_assert!(self.connections.iter().all(|connection| connection.under_way() == 0));
        Ok(Outcome { requests, latencies, ended_at: Instant::now() })
    }

    fn ask(&mut self, slot: usize, messages: usize, now: Instant) -> Result<(), Fault> {
        if messages == 0 {
            return Ok(());
        }
        let connection = &mut self.connections[slot];
        let watched = connection.wants_write();
        connection.ask(messages, now, self.payload)?;
        self.watch(slot, watched)
    }

    fn flush(&mut self, slot: usize) -> Result<(), Fault> {
        let connection = &mut self.connections[slot];
        let watched = connection.wants_write();
        connection.flush(self.payload)?;
        self.watch(slot, watched)
    }

    /// Tells epoll whether the connection waits for room to send, if that changed.
    fn watch(&self, slot: usize, watched: bool) -> Result<(), Fault> {
        let connection = &self.connections[slot];
        if connection.wants_write() == watched {
            return Ok(());
        }
        let mut flags = epoll::EventFlags::IN;
        flags.set(epoll::EventFlags::OUT, !watched);
        let data = epoll::EventData::new_u64(slot as u64);
        epoll::modify(&self.epoll, connection, data, flags)
            .map_err(|errno| Fault::Io(slot, errno.into()))
    }
}

impl Budget {
    pub(crate) fn new(extent: Extent, now: Instant) -> Self {
        match extent {
            Extent::Duration(duration) => Self::Until(now + duration),
            Extent::Requests(count) => Self::Left(count),
        }
    }

    pub(crate) fn grant(&mut self, wanted: usize, now: Instant) -> usize {
        match self {
            Self::Until(end) if now < *end => wanted,
            Self::Until(_) => 0,
            Self::Left(left) => {
                let granted = (wanted as u64).min(*left);
                *left -= granted;
                granted as usize
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_of_requests_is_spent_exactly() {
        let now = Instant::now();
        let mut budget = Budget::Left(5);
        assert_eq!([2, 2, 2, 2].map(|wanted| budget.grant(wanted, now)), [2, 2, 1, 0]);
    }

    #[test]
    fn a_budget_of_time_ends_with_the_time() {
        let now = Instant::now();
        let mut budget = Budget::Until(now + Duration::from_secs(1));
        assert_eq!(budget.grant(3, now), 3);
        assert_eq!(budget.grant(3, now + Duration::from_secs(1)), 0);
    }
}
