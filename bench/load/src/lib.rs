//! `ferrio-load`: closed-loop echo load for the benchmarks.
//!
//! A generator for measuring *servers*: it opens its connections first, keeps a fixed number of
//! messages under way on each, compares every byte of the echo with what was sent, and can stop
//! between warm-up and measured part (`--gate`) so that whoever started it reads the server's CPU
//! clock exactly around the requests that are counted. Its own part is one `recv`, one `send` and a
//! `memcmp` per reply, so that on a machine of few cores the server gets the time. (TLS costs the
//! client what it costs the server: that is OpenSSL's or ring's work, not the generator's.)

mod connection;
mod histogram;
mod options;
mod payload;
mod tls;
mod visit;
mod wire;
mod worker;

use std::io::{self, Write};
use std::process::ExitCode;
use std::thread;
use std::time::{Duration, Instant};

use connection::Fault;
use histogram::Histogram;
use options::{Extent, Options, Target};
use payload::Payload;
use tls::Tls;
use visit::Visitor;
use worker::{Outcome, Worker};

/// What `main` does.
pub fn run_program() -> ExitCode {
    let options = match options::parse(lexopt::Parser::from_env()) {
        Ok(Some(options)) => options,
        Ok(None) => return print(options::USAGE),
        Err(error) => {
            complain(&format!("{error} (--help shows the usage)"));
            return ExitCode::from(2);
        }
    };
    match load(&options) {
        Ok(status) => status,
        Err(fault) => {
            complain(&fault.to_string());
            ExitCode::FAILURE
        }
    }
}

/// Runs warm-up, gate and measured part, and prints the report as a line of JSON.
fn load(options: &Options) -> Result<ExitCode, Fault> {
    raise_descriptor_limit();
    // In one piece: what a connection sends at once, and what one `recv` can bring.
    let payload = Payload::new((options.size_bytes * options.depth).clamp(256 * 1024, 1 << 24));
    let tls = options.tls.then(Tls::new).transpose().map_err(|error| Fault::Io(0, error))?;
    let mut workers = Vec::with_capacity(options.threads);
    for thread in 0..options.threads {
        workers.push(match options.target {
            Target::Tcp(address) if options.visits => Load::Visits(Visitor {
                number: thread,
                address,
                tls: tls.as_ref(),
                size_bytes: options.size_bytes,
                payload: &payload,
            }),
            Target::Tcp(_) | Target::Unix(_) | Target::Udp(_) => {
                let share = |index: usize| index * options.connections / options.threads;
                let numbers = share(thread)..share(thread + 1);
                Load::Messages(Worker::open(options, numbers, &payload, tls.as_ref())?)
            }
        });
    }
    if let Some(warmup) = options.warmup {
        run(&mut workers, None, warmup)?;
    }
    if options.gate {
        wait_at_gate().map_err(|error| Fault::Io(0, error))?;
    }
    let active = (options.active < options.connections).then_some(options.active);
    let cpu_before = cpu_time();
    let started_at = Instant::now();
    let outcome = run(&mut workers, active, options.extent)?;
    let seconds = (outcome.ended_at - started_at).as_secs_f64();
    let cpu_seconds = (cpu_time().saturating_sub(cpu_before)).as_secs_f64();
    let status = print(&report(options, &outcome, seconds, cpu_seconds));
    if options.gate {
        wait_for_leave();
    }
    Ok(status)
}

/// What one thread does.
enum Load<'a> {
    Messages(Worker<'a>),
    Visits(Visitor<'a>),
}

impl Load<'_> {
    fn run(&mut self, active: Option<usize>, extent: Extent) -> Result<Outcome, Fault> {
        match self {
            Load::Messages(worker) => worker.run(active, extent),
            Load::Visits(visitor) => visitor.run(extent),
        }
    }
}

/// One part of the run, on all threads at once, by way of `active` connections of each or all.
fn run(workers: &mut [Load<'_>], active: Option<usize>, extent: Extent) -> Result<Outcome, Fault> {
    if let [worker] = workers {
        return worker.run(active, extent);
    }
    let count = workers.len() as u64;
    thread::scope(|scope| {
        let threads: Vec<_> = workers
            .iter_mut()
            .zip(0..count)
            .map(|(worker, index)| {
                let extent = match extent {
                    Extent::Duration(_) => extent,
                    Extent::Requests(total) => {
                        Extent::Requests(total * (index + 1) / count - total * index / count)
                    }
                };
                scope.spawn(move || worker.run(active, extent))
            })
            .collect();
        let mut whole =
            Outcome { requests: 0, latencies: Histogram::new(), ended_at: Instant::now() };
        for thread in threads {
            // A worker never panics on what the server does; a panic is a fault of this program, to be seen.
            let part = thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            whole.requests += part.requests;
            whole.latencies.merge(&part.latencies);
            whole.ended_at = whole.ended_at.max(part.ended_at);
        }
        Ok(whole)
    })
}

fn wait_at_gate() -> io::Result<()> {
    writeln!(io::stdout(), "{{\"event\": \"warm\"}}")?;
    let mut line = String::new();
    match io::stdin().read_line(&mut line)? {
        0 => Err(io::Error::new(io::ErrorKind::UnexpectedEof, "nobody opened the gate")),
        _ => Ok(()),
    }
}

/// The end of thousands of connections is work for the server, which its CPU clock should not show
/// before it has been read.
fn wait_for_leave() {
    // An error is an end as well.
    let _ = io::copy(&mut io::stdin(), &mut io::sink());
}

fn report(options: &Options, outcome: &Outcome, seconds: f64, cpu_seconds: f64) -> String {
    let micros = |latency: Duration| latency.as_secs_f64() * 1e6;
    format!(
        concat!(
            "{{\"requests\": {}, \"seconds\": {:.6}, \"requests_per_second\": {:.1}, ",
            "\"p50_us\": {:.1}, \"p99_us\": {:.1}, \"max_us\": {:.1}, \"cpu_seconds\": {:.6}, ",
            "\"size\": {}, \"connections\": {}, \"depth\": {}, \"threads\": {}}}\n"
        ),
        outcome.requests,
        seconds,
        if seconds > 0.0 { outcome.requests as f64 / seconds } else { 0.0 },
        micros(outcome.latencies.quantile(0.5)),
        micros(outcome.latencies.quantile(0.99)),
        micros(outcome.latencies.max()),
        cpu_seconds,
        options.size_bytes,
        options.connections,
        options.depth,
        options.threads,
    )
}

fn cpu_time() -> Duration {
    let clock = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    Duration::try_from(clock).unwrap_or_default()
}

/// Thousands of connections need more descriptors than the usual soft limit of 1,024.
fn raise_descriptor_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // If it cannot be raised, opening the connections fails with a message of its own.
    let _ = setrlimit(Resource::Nofile, limit);
}

fn complain(message: &str) {
    // Where stderr is closed there is nobody left to tell.
    let _ = writeln!(io::stderr(), "ferrio-load: {message}");
}

/// A reader that has gone away is the one way in which writing a line fails.
fn print(text: &str) -> ExitCode {
    if io::stdout().write_all(text.as_bytes()).is_ok() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
