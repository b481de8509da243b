//! Descriptors that were told "not yet" without need, and the events that they are owed.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};

use crate::reactor::{Interest, Trigger};
use crate::sys::Driver;

#[derive(Default)]
struct Ledger {
    /// What each driver, known by its address, was told last of each descriptor. Entries of drivers
    /// and files that are gone stay: registering them anew fails, which is all that happens to them.
    registered: HashMap<(usize, RawFd), (u64, Interest, Trigger)>,
    owed: BTreeSet<RawFd>,
}

/// The kernel will be asked again.
pub(super) fn owe(fd: RawFd) {
    ledger().owed.insert(fd);
}

/// To be called when a driver was told of a descriptor.
pub(crate) fn registered(
    driver: &Driver,
    fd: RawFd,
    token: u64,
    interest: Interest,
    trigger: Trigger,
) {
    ledger().registered.insert((address(driver), fd), (token, interest, trigger));
}

/// To be called when a driver was told to forget a descriptor.
pub(crate) fn forget(driver: &Driver, fd: RawFd) {
    ledger().registered.remove(&(address(driver), fd));
}

/// To be called before a driver waits: its descriptors that are owed an event are registered anew.
pub(crate) fn settle(
    driver: &Driver,
    modify: impl Fn(RawFd, u64, Interest, Trigger) -> io::Result<()>,
) {
    let mut ledger = ledger();
    let Ledger { registered, owed } = &mut *ledger;
    owed.retain(|&fd| match registered.get(&(address(driver), fd)) {
        Some(&(token, interest, trigger)) => {
            // It fails for what was closed meanwhile, which is owed nothing any more.
            let _ = modify(fd, token, interest, trigger);
            false
        }
        // Another driver's, or nobody's yet: to be registered tells it, too.
        None => true,
    });
}

fn address(driver: &Driver) -> usize {
    ptr::from_ref(driver).addr()
}

fn ledger() -> MutexGuard<'static, Ledger> {
    static LEDGER: LazyLock<Mutex<Ledger>> = LazyLock::new(Mutex::default);
    LEDGER.lock().unwrap_or_else(PoisonError::into_inner)
}
