//! No system at all: a driver for tests in virtual time.
//!
//! Sources are numbers that need not be open, and become ready when the test says so. A wait that
//! finds nothing lets its timeout pass by moving the clock, so an hour takes no time and always
//! passes in the same order.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::RawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::io::Errno;

use crate::mailbox::Wake;
use crate::reactor::{Interest, Readiness, Trigger};
use crate::time::Instant;

/// The test's hold on an engine made by [`Engine::simulated`](crate::Engine::simulated): its clock
/// and its kernel.
#[derive(Clone, Debug)]
pub struct Simulation {
    world: Arc<Mutex<World>>,
}

#[derive(Debug)]
struct World {
    now: Instant,
    sources: BTreeMap<RawFd, Simulated>,
    is_woken: bool,
    waits: usize,
}

#[derive(Debug)]
struct Simulated {
    token: u64,
    interest: Interest,
    trigger: Trigger,
    readiness: Readiness,
    /// An edge-triggered source that has news.
    is_new: bool,
}

impl Simulation {
    pub(crate) fn new() -> Self {
        let now = Instant::from_nanos(1_000_000_000);
        let world = World { now, sources: BTreeMap::new(), is_woken: false, waits: 0 };
        Self { world: Arc::new(Mutex::new(world)) }
    }

    /// The virtual clock, which begins at one second.
    #[must_use]
    pub fn now(&self) -> Instant {
        self.world().now
    }

    /// Lets time pass, as the host's own work would.
    pub fn advance(&self, time: Duration) {
        let mut world = self.world();
        world.now = world.now.saturating_add(time);
    }

    /// Sets the conditions of a source, `NONE` to take them away. Level-triggered sources report
    /// them in every wait, edge-triggered ones once for each call. Returns whether `fd` is
    /// registered.
    pub fn set_ready(&self, fd: RawFd, readiness: Readiness) -> bool {
        match self.world().sources.get_mut(&fd) {
            Some(source) => {
                source.readiness = readiness;
                source.is_new = true;
                true
            }
            None => false,
        }
    }

    /// What the kernel was asked to report of `fd`; `None` if it is not registered with it.
    #[must_use]
    pub fn interest(&self, fd: RawFd) -> Option<Interest> {
        self.world().sources.get(&fd).map(|source| source.interest)
    }

    /// How many waits were made, those that could not block among them.
    #[must_use]
    pub fn waits(&self) -> usize {
        self.world().waits
    }

    pub(crate) fn waker(&self) -> Arc<dyn Wake> {
        Arc::new(self.clone())
    }

    pub(crate) fn add(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        if fd < 0 {
            return Err(Errno::BADF.into());
        }
        let mut world = self.world();
        if world.sources.contains_key(&fd) {
            return Err(Errno::EXIST.into());
        }
        let readiness = Readiness::NONE;
        world.sources.insert(fd, Simulated { token, interest, trigger, readiness, is_new: false });
        Ok(())
    }

    pub(crate) fn modify(
        &self,
        fd: RawFd,
        token: u64,
        interest: Interest,
        trigger: Trigger,
    ) -> io::Result<()> {
        match self.world().sources.get_mut(&fd) {
            Some(source) => {
                // As in the kernel, a modified source reports what is so already.
                *source = Simulated {
                    token,
                    interest,
                    trigger,
                    readiness: source.readiness,
                    is_new: true,
                };
                Ok(())
            }
            None => Err(Errno::NOENT.into()),
        }
    }

    pub(crate) fn delete(&self, fd: RawFd) -> io::Result<()> {
        match self.world().sources.remove(&fd) {
            Some(_) => Ok(()),
            None => Err(Errno::NOENT.into()),
        }
    }

    /// # Errors
    ///
    /// EDEADLK for a wait that nothing could ever end.
    pub(crate) fn wait(
        &self,
        events: &mut Vec<(u64, Readiness)>,
        timeout: Option<Duration>,
    ) -> io::Result<usize> {
        let mut world = self.world();
        world.waits += 1;
        events.clear();
        for source in world.sources.values_mut() {
            let is_told = match source.trigger {
                Trigger::Level => true,
                Trigger::Edge => std::mem::replace(&mut source.is_new, false),
            };
            let asks = !source.readiness.directions(source.interest).is_none();
            if is_told && asks {
                events.push((source.token, source.readiness));
            }
        }
        let is_woken = std::mem::replace(&mut world.is_woken, false);
        if events.is_empty() && !is_woken {
            match timeout {
                Some(timeout) => world.now = world.now.saturating_add(timeout),
                None => return Err(Errno::DEADLK.into()),
            }
        }
        Ok(events.len())
    }

    fn world(&self) -> MutexGuard<'_, World> {
        // Nothing panics under the lock.
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake for Simulation {
    fn wake(&self) {
        self.world().is_woken = true;
    }
}
