//! What the command line asks for.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

pub(crate) const USAGE: &str = "\
Closed-loop echo load: every connection keeps DEPTH messages under way and checks each byte of the echo.

usage: ferrio-load (--tcp HOST:PORT | --unix PATH | --udp HOST:PORT) [options]

  --tls                    speak TLS 1.3 over TCP, taking any certificate
  --visits                 a connection for each request: connect, message, echo, close; --connections says how
                           many at a time, each on a thread of its own
  --size BYTES             length of a message (1024)
  --connections N          connections (50), all opened before the first message
  --active N               load only so many of the connections in the measured part, spread evenly over all; the
                           others stay open and silent (all). Goes with one thread
  --reset                  end the connections by a reset: closed ones hold their ports for a minute (TIME_WAIT)
  --depth N                messages under way on each connection (1)
  --threads N              threads that share the connections (1)
  --duration SECONDS       how long to load the server (1.0), or
  --requests N             how many requests to make
  --warmup-duration SECONDS  load before the measured part, not counted (0), or
  --warmup-requests N
  --gate                   after the warm-up print {\"event\": \"warm\"} and wait for a line on stdin, so that
                           another process can read the server's CPU clock exactly around the measured part;
                           after the report keep the connections until the end of stdin
  --stall-seconds SECONDS  give up when no reply arrives for so long (10)

The last line of stdout is JSON. Exit status: 0; 1 after a wrong byte, a lost connection or a stall; 2 for bad arguments.
";

/// How long a part of the run lasts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Extent {
    Duration(Duration),
    /// Requests over all connections; with fewer requests than connections some stay silent.
    Requests(u64),
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
    Udp(SocketAddr),
}

#[derive(Debug)]
pub(crate) struct Options {
    pub(crate) target: Target,
    pub(crate) tls: bool,
    /// Connections end by a reset.
    pub(crate) reset: bool,
    /// A connection for each request.
    pub(crate) visits: bool,
    pub(crate) size_bytes: usize,
    pub(crate) connections: usize,
    /// How many of the connections have messages in the measured part; at most all, in the warm-up all.
    pub(crate) active: usize,
    pub(crate) depth: usize,
    pub(crate) threads: usize,
    pub(crate) warmup: Option<Extent>,
    pub(crate) extent: Extent,
    pub(crate) gate: bool,
    pub(crate) stall: Duration,
}

/// `Ok(None)` when the user asked for help.
pub(crate) fn parse(mut args: lexopt::Parser) -> Result<Option<Options>, lexopt::Error> {
    let mut target = None;
    let mut tls = false;
    let mut reset = false;
    let mut visits = false;
    let mut size_bytes = 1024;
    let mut connections = 50;
    let mut active = None;
    let mut depth = 1;
    let mut threads = 1;
    let mut warmup = None;
    let mut extent = Extent::Duration(Duration::from_secs(1));
    let mut gate = false;
    let mut stall = Duration::from_secs(10);
    while let Some(arg) = args.next()? {
        match arg {
            Long("tcp") => target = Some(Target::Tcp(args.value()?.parse()?)),
            Long("unix") => target = Some(Target::Unix(args.value()?.into())),
            Long("udp") => target = Some(Target::Udp(args.value()?.parse()?)),
            Long("tls") => tls = true,
            Long("reset") => reset = true,
            Long("visits") => visits = true,
            Long("size") => size_bytes = positive(&mut args)?,
            Long("connections") => connections = positive(&mut args)?,
            Long("active") => active = Some(positive(&mut args)?),
            Long("depth") => depth = positive(&mut args)?,
            Long("threads") => threads = positive(&mut args)?,
            Long("duration") => extent = Extent::Duration(seconds(&mut args)?),
            Long("requests") => extent = Extent::Requests(args.value()?.parse()?),
            Long("warmup-duration") => warmup = Some(Extent::Duration(seconds(&mut args)?)),
            Long("warmup-requests") => warmup = Some(Extent::Requests(args.value()?.parse()?)),
            Long("gate") => gate = true,
            Long("stall-seconds") => stall = seconds(&mut args)?,
            Short('h') | Long("help") => return Ok(None),
            _ => return Err(arg.unexpected()),
        }
    }
    let target = target.ok_or("one of --tcp, --unix and --udp is needed")?;
    if (tls || visits) && !matches!(target, Target::Tcp(_)) {
        return Err("--tls and --visits go with --tcp".into());
    }
    let active = active.unwrap_or(connections);
    if active > connections {
        return Err("--active asks for more connections than --connections opens".into());
    }
    if active < connections && (visits || threads > 1) {
        return Err("--active goes with one thread, and not with --visits".into());
    }
    let threads = if visits { connections } else { threads.min(connections) };
    Ok(Some(Options {
        target,
        tls,
        reset,
        visits,
        size_bytes,
        connections,
        active,
        depth,
        threads,
        warmup,
        extent,
        gate,
        stall,
    }))
}

fn positive(args: &mut lexopt::Parser) -> Result<usize, lexopt::Error> {
    match args.value()?.parse()? {
        0 => Err("a number above zero is needed".into()),
        number => Ok(number),
    }
}

fn seconds(args: &mut lexopt::Parser) -> Result<Duration, lexopt::Error> {
    let number: f64 = args.value()?.parse()?;
    Duration::try_from_secs_f64(number).map_err(|error| error.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(args: &[&str]) -> Result<Option<Options>, lexopt::Error> {
        parse(lexopt::Parser::from_args(args))
    }

    #[test]
    fn a_target_is_all_that_must_be_given() {
        let options = parsed(&["--tcp", "127.0.0.1:80"]).unwrap().unwrap();
        assert_eq!(options.active, options.connections);
        assert_eq!(options.extent, Extent::Duration(Duration::from_secs(1)));
        assert_eq!(options.warmup, None);
        assert!(parsed(&[]).is_err());
        assert!(parsed(&["--help"]).unwrap().is_none());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(parsed(&["--unix", "socket", "--tls"]).is_err());
        let crowd = ["--tcp", "127.0.0.1:80", "--connections", "5", "--active"];
        for more in [&["6"][..], &["4", "--visits"], &["4", "--threads", "2"]] {
            assert!(parsed(&[&crowd[..], more].concat()).is_err(), "{more:?}");
        }
        for bad in [["--size", "0"], ["--depth", "x"], ["--duration", "-1"], ["--duration", "nan"]]
        {
            assert!(parsed(&["--tcp", "127.0.0.1:80", bad[0], bad[1]]).is_err(), "{bad:?}");
        }
    }
}
