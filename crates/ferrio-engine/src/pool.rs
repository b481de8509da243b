//! Threads for calls that block and cannot be made otherwise: name resolution above all.
//!
//! Not the user's default executor: a program that fills that with work must still be able to
//! connect, and one that replaces it must not be handed our jobs. Threads start when there is work
//! and no idle thread, and leave when they have been idle for a while, so a loop that never asks
//! has none.
//!
//! A job may be stuck for as long as a name server likes, so nobody waits for one: dropping the
//! pool lets running jobs finish on their own, and drops those that have not begun. Nor do others
//! wait behind one that nobody wants any more: whoever drops its [`Ticket`] frees its place.

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

/// How many threads at most may be busy with jobs that were given up, beside all the others.
const MAX_STUCK: usize = 64;

/// How long a thread that takes the place of a stuck one waits before it begins. Who gives up many
/// jobs gives them up one after the other: those further back should not begin just for that.
const GRACE: Duration = Duration::from_millis(5);

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
    jobs: VecDeque<(JobId, Job)>,
    last_id: JobId,
    /// Jobs under way that somebody waits for.
    running: Vec<JobId>,
    /// Threads alive.
    threads: usize,
    /// Of them, those whose job was given up. They count for nothing until it ends, so that others
    /// take their places, up to [`MAX_STUCK`].
    stuck: usize,
    /// Of them, those that wait for work. One that was told of a job but has not taken it counts
    /// here as the job counts in `jobs`, so that comparing the two numbers says whether there are
    /// threads enough.
    idle: usize,
    is_closed: bool,
}

/// Tells the jobs of a pool apart.
type JobId = u64;

/// Somebody's interest in a job. Dropped before the job has begun, the job is dropped with it;
/// dropped while it runs, its thread counts no more; later, nothing happens.
#[must_use = "the job is given up when this is dropped"]
pub struct Ticket {
    shared: Arc<Shared>,
    id: JobId,
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let given_up = if let Some(at) = state.running.iter().position(|&id| id == self.id) {
            state.running.swap_remove(at);
            state.stuck += 1;
            // Those behind it need not wait for its end.
            if !state.jobs.is_empty() {
                drop(self.shared.grow(&mut state, GRACE));
            }
            None
        } else {
            let at = state.jobs.iter().position(|&(id, _)| id == self.id);
            at.and_then(|at| state.jobs.remove(at))
        };
        drop(state);
        // Not under the lock: what a job holds may do anything when dropped.
        drop(given_up);
    }
}

impl fmt::Debug for Ticket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ticket").field("id", &self.id).finish_non_exhaustive()
    }
}

impl Pool {
    /// A pool of at most `max_threads` threads (at least one), none of them started. Each leaves
    /// after `linger` without work.
    #[must_use]
    pub fn new(max_threads: usize, linger: Duration) -> Self {
        let state = State {
            jobs: VecDeque::new(),
            last_id: 0,
            running: Vec::new(),
            threads: 0,
            stuck: 0,
            idle: 0,
            is_closed: false,
        };
        Self {
            shared: Arc::new(Shared {
                state: Mutex::new(state),
                work: Condvar::new(),
                max_threads: max_threads.max(1),
                linger,
            }),
        }
    }

    /// Queues `job` and sees to it that a thread will run it, as long as the ticket is kept. A job
    /// that panics ends alone.
    ///
    /// # Errors
    ///
    /// Gives the job back, with the reason, if it would need a thread and the system has none
    /// (EAGAIN).
    pub fn submit(&self, job: Job) -> Result<Ticket, SubmitError> {
        let mut state = self.shared.lock();
        let has_idle_thread = state.idle > state.jobs.len();
        if !has_idle_thread
            && let Err(error) = self.shared.grow(&mut state, Duration::ZERO)
            && state.threads == state.stuck
        {
            return Err(SubmitError { error, job });
        }
        // If no thread was started, one of those that there are will come to it.
        state.last_id += 1;
        let id = state.last_id;
        state.jobs.push_back((id, job));
        drop(state);
        self.shared.work.notify_one();
        Ok(Ticket { shared: Arc::clone(&self.shared), id })
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
    /// Starts a thread that begins after a while, if there may be one more.
    fn grow(self: &Arc<Self>, state: &mut State, after: Duration) -> std::io::Result<()> {
        let useful = state.threads - state.stuck;
        if useful >= self.max_threads || state.threads >= self.max_threads + MAX_STUCK {
            return Ok(());
        }
        let shared = Arc::clone(self);
        thread::Builder::new().name("ferrio-pool".to_owned()).spawn(move || {
            thread::sleep(after);
            shared.work();
        })?;
        state.threads += 1;
        Ok(())
    }

    fn work(&self) {
        // A signal handled by one of our threads would not interrupt the thread that the user's
        // handlers run on.
        sys::block_signals();
        let mut state = self.lock();
        loop {
            let has_company = state.threads - state.stuck > self.max_threads;
            if !has_company && let Some((id, job)) = state.jobs.pop_front() {
                state.running.push(id);
                drop(state);
                // Whoever waits for the result sees the job's end of its channel dropped.
                drop(catch_unwind(AssertUnwindSafe(job)));
                state = self.lock();
                match state.running.iter().position(|&running| running == id) {
                    Some(at) => drop(state.running.swap_remove(at)),
                    None => state.stuck -= 1,
                }
                continue;
            }
            // Another has taken the place of one that was stuck.
            if state.is_closed || has_company {
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
    fn a_job_given_up_before_it_began_is_dropped() {
        let pool = Pool::new(1, SOON);
        let (started, starts) = mpsc::channel();
        let (stuck, let_go) = held(&started);
        let _stuck = pool.submit(stuck).unwrap();
        starts.recv_timeout(SOON).unwrap();
        let (never, dropped) = mpsc::channel::<()>();
        drop(pool.submit(Box::new(move || never.send(()).unwrap())).unwrap());
        assert_eq!(dropped.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected));
        drop(let_go);
    }

    #[test]
    fn others_do_not_wait_behind_jobs_that_were_given_up() {
        let pool = Pool::new(2, SOON);
        let (started, starts) = mpsc::channel();
        let mut let_go = Vec::new();
        // As many as there may be: each takes the place of the one before.
        for _ in 0..MAX_STUCK {
            let (stuck, gate) = held(&started);
            let ticket = pool.submit(stuck).unwrap();
            starts.recv_timeout(SOON).unwrap();
            let_go.push(gate);
            drop(ticket);
        }
        let (waiting, gate) = held(&started);
        let ticket = pool.submit(waiting).unwrap();
        starts.recv_timeout(SOON).unwrap();
        assert_eq!(pool.thread_count(), MAX_STUCK + 1);
        drop(gate);
        drop(let_go);
        // All of them come back, and no more than two stay.
        let deadline = std::time::Instant::now() + SOON;
        while pool.thread_count() > 2 {
            assert!(std::time::Instant::now() < deadline, "threads of jobs given up stay");
            thread::sleep(Duration::from_millis(5));
        }
        drop(ticket);
        let (done, ends) = mpsc::channel();
        let _ticket = pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        ends.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn a_job_given_up_lets_those_behind_it_begin() {
        let pool = Pool::new(1, SOON);
        let (started, starts) = mpsc::channel();
        let (stuck, _gate) = held(&started);
        let ticket = pool.submit(stuck).unwrap();
        starts.recv_timeout(SOON).unwrap();
        let (done, ends) = mpsc::channel();
        let _next = pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        assert!(ends.try_recv().is_err());
        drop(ticket);
        ends.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn jobs_run_at_once_up_to_the_limit_and_then_in_order() {
        let pool = Pool::new(2, SOON);
        assert_eq!(pool.thread_count(), 0);
        let (started, starts) = mpsc::channel();
        let (first, let_first_go) = held(&started);
        let (second, _let_second_go) = held(&started);
        let (third, _let_third_go) = held(&started);
        let _tickets = [first, second, third].map(|job| pool.submit(job).unwrap());
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
        let panics = || std::panic::resume_unwind(Box::new("on purpose"));
        let _panics = pool.submit(Box::new(panics)).unwrap();
        let _next = pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
        ends.recv_timeout(SOON).unwrap();
    }

    #[test]
    fn idle_threads_serve_again_and_then_leave() {
        let pool = Pool::new(4, Duration::from_millis(20));
        let (done, ends) = mpsc::channel();
        for _ in 0..3 {
            let done = done.clone();
            let _ticket = pool.submit(Box::new(move || done.send(()).unwrap())).unwrap();
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
        let _stuck = pool.submit(stuck).unwrap();
        starts.recv_timeout(SOON).unwrap();
        let (never, dropped) = mpsc::channel::<()>();
        let _never = pool.submit(Box::new(move || drop(never))).unwrap();
        drop(pool);
        assert_eq!(dropped.recv_timeout(SOON), Err(mpsc::RecvTimeoutError::Disconnected));
        drop(let_go);
    }
}
