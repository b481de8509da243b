//! Threads for calls that block and cannot be made otherwise: name resolution above all.
//!
//! Not the user's default executor: a program that fills that with work must still be able to
//! connect, and one that replaces it must not be handed our jobs. Threads start when there is work
//! and no idle thread, and leave when they have been idle for a while, so a loop that never asks
//! has none.
//!
//! A job may be stuck for as long as a name server likes, so nobody waits for one: dropping the
//! pool lets running jobs finish on their own, and drops those that have not begun.

use std::collections::VecDeque;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use crate::sys;

/// A piece of blocking work. Its result goes where it says, usually into an
/// [`Inbox`](crate::Inbox).
pub type Job = Box<dyn FnOnce() + Send>;

/// A few threads that run [`Job`]s, oldest first. Jobs begin in order of submission and end in any.
pub struct Pool {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// Told once for each new job that an idle thread is to take, and to all at the end.
    work: Condvar,
    max_threads: usize,
    linger: Duration,
}

struct State {
    jobs: VecDeque<Job>,
    /// Threads alive.
    threads: usize,
    /// Of them, those that wait for work. One that was told of a job but has not taken it counts
    /// here as the job counts in `jobs`, so that comparing the two numbers says whether there are
    /// threads enough.
    idle: usize,
    is_closed: bool,
}

impl Pool {
    /// A pool of at most `max_threads` threads (at least one), none of them started. Each leaves
    /// after `linger` without work.
    #[must_use]
    pub fn new(max_threads: usize, linger: Duration) -> Self {
        let state = State { jobs: VecDeque::new(), threads: 0, idle: 0, is_closed: false };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                work: Condvar::new(),
                max_threads: max_threads.max(1),
                linger,
            }),
        }
    }

    /// Queues `job` and sees to it that a thread will run it. A job that panics ends alone.
    ///
    /// # Errors
    ///
    /// Gives the job back, with the reason, if it would need a thread and the system has none
    /// (EAGAIN).
    pub fn submit(&self, job: Job) -> Result<(), SubmitError> {
        let mut state = self.shared.lock();
        let has_idle_thread = state.idle > state.jobs.len();
        if !has_idle_thread && state.threads < self.shared.max_threads {
            let shared = Arc::clone(&self.shared);
            let started =
                thread::Builder::new().name("ferrio-pool".to_owned()).spawn(move || shared.work());
            match started {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => return Err(SubmitError { error, job }),
                // One of the threads that there are will come to it.
                Err(_) => {}
            }
        }
        state.jobs.push_back(job);
        drop(state);
        self.shared.work.notify_one();
        Ok(())
    }

    /// How many threads are alive.
    #[must_use]
    pub fn thread_count(&self) -> usize {
        self.shared.lock().threads
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        state.is_closed = true;
        let jobs = std::mem::take(&mut state.jobs);
        drop(state);
        self.shared.work.notify_all();
        // Not under the lock: what a job holds may do anything when dropped.
        drop(jobs);
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = self.shared.lock();
        f.debug_struct("Pool")
            .field("threads", &state.threads)
            .field("idle", &state.idle)
            .field("jobs", &state.jobs.len())
            .finish_non_exhaustive()
    }
}

/// A job that no thread could be started for.
pub struct SubmitError {
    /// Why: usually EAGAIN, the limit on the number of threads.
    pub error: std::io::Error,
    /// The job, not run.
    pub job: Job,
}

impl fmt::Debug for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SubmitError").field("error", &self.error).finish_non_exhaustive()
    }
}

impl fmt::Display for SubmitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for SubmitError {}

impl Shared {
    fn work(&self) {
        // A signal handled by one of our threads would not interrupt the thread that the user's
        // handlers run on.
        sys::block_signals();
        let mut state = self.lock();
        loop {
            if let Some(job) = state.jobs.pop_front() {
                drop(state);
                // Whoever waits for the result sees the job's end of its channel dropped.
                drop(catch_unwind(AssertUnwindSafe(job)));
                state = self.lock();
                continue;
            }
            if state.is_closed {
                break;
            }
            state.idle += 1;
            let waited = self.work.wait_timeout(state, self.linger);
            let (woken, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            state = woken;
            state.idle -= 1;
            if waited.timed_out() && state.jobs.is_empty() {
                break;
            }
        }
        state.threads -= 1;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // No job runs and nothing panics under the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    const SOON: Duration = Duration::from_secs(10);

    /// A job that says that it runs and then waits to be let go.
    fn held(started: &mpsc::Sender<()>) -> (Job, mpsc::Sender<()>) {
        let started = started.clone();
        let (let_go, gate) = mpsc::channel();
        let job = Box::new(move || {
            started.send(()).unwrap();
            let _ = gate.recv();
        });
        (job, let_go)
    }

    #[test]
    fn jobs_run_at_once_up_to_the_limit_and_then_in_order() {
        let pool = Pool::new(2, SOON);
        assert_eq!(pool.thread_count(), 0);
        let (started, starts) = mpsc::channel();
        let (first, let_first_go) = held(&started);
        let (second, _let_second_go) = held(&started);
        let (third, _let_third_go) = held(&started);
        for job in [first, second, third] {
            pool.submit(job).unwrap();
        }
        starts.recv_timeout(SOON).unwrap();
        starts.recv_timeout(SOON).unwrap();
        assert_eq!(pool.thread_count(), 2);
        assert!(starts.try_recv().is_err());
        let_first_go.send(()).unwrap();
        starts.recv_timeout(SOON).unwrap();
        assert_eq!(pool.thread_count(), 2);
    }

    #[test]
    fn a_panicking_job_takes_no_other_with_it() {
        let pool = Pool::new(1, SOON);
        let (done, ends) = mpsc::channel();
        pool.submit(Box::new(|| std::panic::resume_unwind(Box::new("on purpose")))).unwrap();
        pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        ends.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn idle_threads_serve_again_and_then_leave() {
        let pool = Pool::new(4, Duration::from_millis(20));
        let (done, ends) = mpsc::channel();
        for _ in 0..3 {
            let done = done.clone();
            pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
            ends.recv_timeout(SOON).unwrap();
        }
        let deadline = std::time::Instant::now() + SOON;
        while pool.thread_count() > 0 {
            assert!(std::time::Instant::now() < deadline, "idle threads stay");
            thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn dropping_waits_for_no_job_and_drops_those_not_begun() {
        let pool = Pool::new(1, SOON);
        let (started, starts) = mpsc::channel();
        let (stuck, let_go) = held(&started);
        pool.submit(stuck).unwrap();
        starts.recv_timeout(SOON).unwrap();
        let (never, dropped) = mpsc::channel::<()>();
        pool.submit(Box::new(move || drop(never))).unwrap();
        drop(pool);
        assert_eq!(dropped.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected));
        drop(let_go);
    }
}
