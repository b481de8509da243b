//! What the binding relies on where CPython has no GIL, as models: it cannot be linked without an
//! interpreter, so its rules are written down here once more, each beside the file that keeps it, and
//! every schedule of their threads is tried.

use loom::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use loom::sync::{Arc, Condvar, Mutex};
use loom::thread;

/// The interpreter's threads: attached ones may touch objects, and a collection begins when none is
/// attached and lets none attach before its end.
#[derive(Default)]
struct Interpreter {
    threads: Mutex<Threads>,
    changed: Condvar,
    /// Where a thread may be overtaken while it has a cell.
    work: AtomicU64,
}

#[derive(Default)]
struct Threads {
    attached: usize,
    is_stopped: bool,
}

impl Interpreter {
    fn attach(&self) {
        let mut threads = self.threads.lock().unwrap();
        while threads.is_stopped {
            threads = self.changed.wait(threads).unwrap();
        }
        threads.attached += 1;
    }

    fn detach(&self) {
        self.threads.lock().unwrap().attached -= 1;
        self.changed.notify_all();
    }

    fn collect(&self, traverse: impl FnOnce()) {
        let mut threads = self.threads.lock().unwrap();
        threads.is_stopped = true;
        while threads.attached > 0 {
            threads = self.changed.wait(threads).unwrap();
        }
        drop(threads);
        traverse();
        self.threads.lock().unwrap().is_stopped = false;
        self.changed.notify_all();
    }
}

/// `GilCell::with` (crates/ferrio-py/src/ffi/gil_cell.rs): who has the value is attached. Were the
/// value what one attaches with, and waited for by the collector, this would end in a deadlock.
fn with_cell(interpreter: &Interpreter, cell: &Mutex<u32>, body: impl FnOnce(&mut u32)) {
    loop {
        if let Ok(mut value) = cell.try_lock() {
            interpreter.work.fetch_add(1, Ordering::Relaxed);
            return body(&mut value);
        }
        interpreter.detach();
        drop(cell.lock().unwrap());
        interpreter.attach();
    }
}

fn bounded() -> loom::model::Builder {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder
}

/// `GilCell::try_with`: the collector takes what is lent for reachable.
fn look_if_free(cell: &Mutex<u32>) {
    if let Ok(value) = cell.try_lock() {
        assert!(*value <= 2);
    }
}

#[test]
fn a_cell_and_the_collector_do_not_wait_for_each_other() {
    bounded().check(|| {
        let interpreter = Arc::new(Interpreter::default());
        let cell = Arc::new(Mutex::new(0));
        let threads: Vec<_> = (0..2)
            .map(|_| {
                let (interpreter, cell) = (Arc::clone(&interpreter), Arc::clone(&cell));
                thread::spawn(move || {
                    interpreter.attach();
                    with_cell(&interpreter, &cell, |value| *value += 1);
                    interpreter.detach();
                })
            })
            .collect();
        interpreter.collect(|| look_if_free(&cell));
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(*cell.lock().unwrap(), 2);
    });
}

/// `Handle::run` and `cancel_threadsafe` (crates/ferrio-py/src/ffi/handle): who runs says so before he
/// looks whether it was cancelled, and who cancels marks it before he looks whether it runs.
#[test]
fn a_callback_does_not_run_once_its_cancellation_has_returned() {
    bounded().check(|| {
        let is_cancelled = Arc::new(Mutex::new(false));
        let running = Arc::new(AtomicU64::new(0));
        let has_returned = Arc::new(AtomicBool::new(false));
        let wait_while_running = |running: &AtomicU64| {
            while running.load(Ordering::Acquire) != 0 {
                thread::yield_now();
            }
        };
        let canceller = {
            let (is_cancelled, running) = (Arc::clone(&is_cancelled), Arc::clone(&running));
            let has_returned = Arc::clone(&has_returned);
            thread::spawn(move || {
                wait_while_running(&running);
                *is_cancelled.lock().unwrap() = true;
                wait_while_running(&running);
                has_returned.store(true, Ordering::Release);
            })
        };
        running.swap(1, Ordering::AcqRel);
        if !*is_cancelled.lock().unwrap() {
            // The callback.
            assert!(!has_returned.load(Ordering::Acquire));
        }
        running.store(0, Ordering::Release);
        canceller.join().unwrap();
    });
}

/// `Standing` (crates/ferrio-py/src/ffi/coroutine/object.rs): of those who step a coroutine at the
/// same time one has the body, and what he leaves in it is there for the next.
#[test]
fn a_body_is_stepped_by_one_thread_at_a_time() {
    const RUNNING: u8 = 1;
    const SUSPENDED: u8 = 2;
    loom::model(|| {
        let state = Arc::new(AtomicU8::new(SUSPENDED));
        // Two steps at the same time, or one that does not see the other's, would lose one.
        let body = Arc::new(AtomicU64::new(0));
        let steps = Arc::new(AtomicU64::new(0));
        let step = |state: &AtomicU8, body: &AtomicU64, steps: &AtomicU64| {
            let (new, old) = (RUNNING, SUSPENDED);
            if state.compare_exchange(old, new, Ordering::AcqRel, Ordering::Acquire).is_ok() {
                body.store(body.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
                steps.fetch_add(1, Ordering::Relaxed);
                state.store(SUSPENDED, Ordering::Release);
            }
        };
        let other = {
            let (state, body, steps) = (Arc::clone(&state), Arc::clone(&body), Arc::clone(&steps));
            thread::spawn(move || step(&state, &body, &steps))
        };
        step(&state, &body, &steps);
        other.join().unwrap();
        assert!(body.load(Ordering::Relaxed) >= 1);
        assert_eq!(body.load(Ordering::Relaxed), steps.load(Ordering::Relaxed));
    });
}
