//! No letter and no wake-up is lost, in any interleaving: the mailbox itself, built on loom's
//! primitives, with every schedule of its threads tried.
//!
//! The file under test names its primitives through `crate::sync`; here that is this module.

#[allow(dead_code)]
#[path = "../src/mailbox.rs"]
mod mailbox;

mod sync {
    pub(crate) use loom::sync::atomic::{AtomicU8, Ordering};
    pub(crate) use loom::sync::{Mutex, MutexGuard};
    pub(crate) use std::sync::PoisonError;
}

use std::sync::Arc as PlainArc;

use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

use mailbox::{Mailbox, Wake};

/// What the kernel does for an eventfd: remembers wake-ups, and blocks until there is one.
#[derive(Default)]
struct Kernel {
    wake_ups: Mutex<usize>,
    woken: Condvar,
}

impl Kernel {
    /// A lost wake-up is a deadlock here, and loom reports it.
    fn block(&self) {
        let mut wake_ups = self.wake_ups.lock().unwrap();
        while *wake_ups == 0 {
            wake_ups = self.woken.wait(wake_ups).unwrap();
        }
        *wake_ups = 0;
    }
}

struct Waker(Arc<Kernel>, PlainArc<std::sync::atomic::AtomicUsize>);

impl Wake for Waker {
    fn wake(&self) {
        self.1.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        *self.0.wake_ups.lock().unwrap() += 1;
        self.0.woken.notify_one();
    }
}

struct Setup {
    kernel: Arc<Kernel>,
    calls: PlainArc<std::sync::atomic::AtomicUsize>,
    mailbox: Arc<Mailbox<u32>>,
}

fn setup() -> Setup {
    let kernel = Arc::new(Kernel::default());
    let calls = PlainArc::default();
    let waker = Waker(Arc::clone(&kernel), PlainArc::clone(&calls));
    let mailbox = Arc::new(Mailbox::new(PlainArc::new(waker)));
    Setup { kernel, calls, mailbox }
}

/// One turn of the engine, as far as the inbox is concerned. Returns whether it slept.
fn turn(setup: &Setup, found: &mut Vec<u32>) -> bool {
    let sleeps = !setup.mailbox.is_notified() && setup.mailbox.begin_sleep();
    if sleeps {
        setup.kernel.block();
        setup.mailbox.end_sleep();
    }
    let mut letters = Vec::new();
    setup.mailbox.drain(&mut letters);
    found.append(&mut letters);
    sleeps
}

/// All schedules with at most three preemptions: nearly every real fault needs no more (CHESS, OSDI
/// 2008), and without a bound three threads take hours.
fn explore(scenario: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(scenario);
}

#[test]
fn every_letter_arrives_and_a_sleep_costs_at_most_one_call() {
    explore(|| {
        let setup = setup();
        let senders: Vec<_> = [10, 20]
            .into_iter()
            .map(|base| {
                let mailbox = Arc::clone(&setup.mailbox);
                thread::spawn(move || {
                    mailbox.push(base).unwrap();
                    mailbox.push(base + 1).unwrap();
                })
            })
            .collect();
        let mut found = Vec::new();
        let mut sleeps = 0;
        while found.len() < 4 {
            sleeps += usize::from(turn(&setup, &mut found));
        }
        for sender in senders {
            sender.join().unwrap();
        }
        // Each sender's letters in its order.
        for base in [10, 20] {
            let position = |letter| found.iter().position(|other| *other == letter).unwrap();
            assert!(position(base) < position(base + 1));
        }
        let calls = setup.calls.load(std::sync::atomic::Ordering::Relaxed);
        assert!(calls <= sleeps, "{calls} calls for {sleeps} sleeps");
    });
}

#[test]
fn a_wake_up_without_a_letter_ends_a_sleep() {
    explore(|| {
        let setup = setup();
        let mailbox = Arc::clone(&setup.mailbox);
        let waker = thread::spawn(move || mailbox.wake());
        // Ends at once if the wake-up came first; else it has to end the sleep.
        turn(&setup, &mut Vec::new());
        waker.join().unwrap();
    });
}

#[test]
fn closing_loses_no_letter_silently() {
    explore(|| {
        let setup = setup();
        let mailbox = Arc::clone(&setup.mailbox);
        let sender = thread::spawn(move || mailbox.push(1));
        let mut found = Vec::new();
        setup.mailbox.drain(&mut found);
        found.extend(setup.mailbox.close());
        let refused = sender.join().unwrap();
        assert_eq!(found.is_empty(), refused == Err(1));
        assert_eq!(setup.mailbox.push(2), Err(2));
        setup.mailbox.wake();
    });
}
