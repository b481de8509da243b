//! Pings of our own, and when they have gone unanswered for too long.

use std::time::Duration;

use super::limits::Limits;

/// When the next ping is due, and whether the last one has brought a sign of life.
///
/// What counts is any byte, not only the pong: behind a large message on a slow line the pong comes
/// late, and the peer is there all the same.
#[derive(Copy, Clone, Debug)]
pub(super) struct KeepAlive {
    /// When the connection began, or the last ping went out.
    pinged: Duration,
    heard: Duration,
    is_waiting: bool,
    /// Nothing is read, so nothing can be heard.
    is_paused: bool,
    /// The payload of the last ping.
    count: u32,
    latency: Option<Duration>,
}

/// What a deadline asks for.
#[derive(Copy, Clone, PartialEq, Eq, Debug)]
pub(super) enum Due {
    Nothing,
    /// With this payload.
    Ping([u8; 4]),
    Timeout,
}

impl KeepAlive {
    pub(super) const fn new(now: Duration) -> Self {
        Self {
            pinged: now,
            heard: now,
            is_waiting: false,
            is_paused: false,
            count: 0,
            latency: None,
        }
    }

    /// Bytes have come.
    pub(super) const fn heard(&mut self, now: Duration) {
        self.heard = now;
    }

    pub(super) fn pong(&mut self, payload: &[u8], now: Duration) {
        if self.is_waiting && payload == self.count.to_be_bytes() {
            self.is_waiting = false;
            self.latency = Some(now.saturating_sub(self.pinged));
        }
    }

    pub(super) const fn pause(&mut self) {
        self.is_paused = true;
    }

    pub(super) const fn resume(&mut self, now: Duration) {
        if self.is_paused {
            self.is_paused = false;
            self.heard = now;
        }
    }

    pub(super) const fn latency(&self) -> Option<Duration> {
        self.latency
    }

    /// When the peer is given up.
    fn timeout(&self, limits: &Limits) -> Option<Duration> {
        if !self.is_waiting || self.is_paused {
            return None;
        }
        limits.ping_timeout.map(|timeout| self.pinged.max(self.heard).saturating_add(timeout))
    }

    /// When the next ping is due. Without a timeout, an unanswered one does not hold it up.
    fn next_ping(&self, limits: &Limits) -> Option<Duration> {
        if self.is_waiting && limits.ping_timeout.is_some() {
            return None;
        }
        limits.ping_interval.map(|interval| self.pinged.saturating_add(interval))
    }

    pub(super) fn deadline(&self, limits: &Limits) -> Option<Duration> {
        self.timeout(limits).or(self.next_ping(limits))
    }

    pub(super) fn expire(&mut self, limits: &Limits, now: Duration) -> Due {
        if self.timeout(limits).is_some_and(|deadline| deadline <= now) {
            return Due::Timeout;
        }
        if self.next_ping(limits).is_some_and(|deadline| deadline <= now) {
            self.pinged = now;
            self.is_waiting = true;
            self.count = self.count.wrapping_add(1);
            return Due::Ping(self.count.to_be_bytes());
        }
        Due::Nothing
    }
}
