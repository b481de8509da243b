//! [`Connection`]: a session is told of everything in order and once, of nothing that it does not
//! want, and of nothing after its end; what it sends arrives whole.

use std::cell::RefCell;
use std::rc::Rc;

use ferrio_engine::session::{Connection, End, Next, Outbox, Progress, Session, Workspace};
use ferrio_engine::{Instant, Limits};

use crate::input::Input;
use crate::kernel::Kernel;

/// What the session will do when it is called next, and what it has seen.
#[derive(Default)]
struct Script {
    /// Pieces that it sends, whether it flushes between them, and what it says then.
    pieces: usize,
    size: usize,
    flushes: bool,
    shuts: bool,
    next: Option<Next>,

    /// All that was sent before it shut the sending side.
    sent: Vec<u8>,
    is_shut: bool,
    /// How many of the peer's bytes it has got.
    received: usize,
    wants: Option<Next>,
    /// More than the high mark has waited since it was last told of room.
    was_full: bool,
    has_eof: bool,
    end: Option<&'static str>,
}

struct Scripted(Rc<RefCell<Script>>);

impl Scripted {
    fn act(&self, outbox: &mut Outbox<'_>) -> Next {
        let mut script = self.0.borrow_mut();
        assert_eq!(script.end, None, "called after its end");
        assert!(!matches!(script.wants, Some(Next::Close { .. } | Next::Abort)), "it has ended it");
        for _ in 0..script.pieces {
            let from = script.sent.len();
            let piece: Vec<u8> = (from..from + script.size).map(|at| at as u8).collect();
            if script.flushes {
                outbox.send_owned(piece.clone());
                outbox.flush();
            } else {
                outbox.send(&piece);
            }
            if !script.is_shut {
                script.sent.extend(piece);
            }
        }
        if script.shuts {
            outbox.shutdown();
            script.is_shut = true;
        }
        let next = script.next.take().unwrap_or(Next::Unchanged);
        if next != Next::Unchanged {
            script.wants = Some(next);
        }
        script.pieces = 0;
        script.shuts = false;
        next
    }

    fn assert_reads(&self) {
        let wants = self.0.borrow().wants;
        assert!(matches!(wants, Some(Next::Read { .. })), "it wants {wants:?}");
    }
}

impl Session for Scripted {
    fn on_start(&mut self, outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.0.borrow_mut().wants = Some(Next::pause());
        self.act(outbox)
    }

    fn on_data(&mut self, data: &[u8], outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.assert_reads();
        assert!(!data.is_empty());
        let from = self.0.borrow().received;
        for (at, &byte) in (from..).zip(data) {
            assert_eq!(byte, at as u8);
        }
        self.0.borrow_mut().received += data.len();
        self.act(outbox)
    }

    fn on_eof(&mut self, outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        self.assert_reads();
        assert!(!std::mem::replace(&mut self.0.borrow_mut().has_eof, true), "told twice");
        self.act(outbox)
    }

    fn on_writable(&mut self, outbox: &mut Outbox<'_>, _now: Instant) -> Next {
        assert!(std::mem::take(&mut self.0.borrow_mut().was_full), "it was never full");
        self.act(outbox)
    }

    fn on_timer(&mut self, outbox: &mut Outbox<'_>, now: Instant) -> Next {
        {
            let mut script = self.0.borrow_mut();
            let (Some(Next::Read { until }) | Some(Next::Pause { until })) = &mut script.wants
            else {
                panic!("it has no deadline");
            };
            assert!(until.take().expect("it has named one") <= now);
        }
        self.act(outbox)
    }

    fn on_end(&mut self, end: End) {
        let how = match end {
            End::Closed => "closed",
            End::Aborted => "aborted",
            End::Failed(_) => "failed",
        };
        assert_eq!(self.0.borrow_mut().end.replace(how), None, "told twice");
    }
}

struct World<'k> {
    kernel: &'k Kernel,
    connection: Connection<Scripted, &'k Kernel>,
    script: Rc<RefCell<Script>>,
    limits: Limits,
    workspace: Workspace,
    now: u64,
    peer: usize,
    /// What the connection said last.
    progress: Progress,
}

/// Does to a connection, its peer and its session what `bytes` say.
pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let kernel = Kernel::new(&mut input);
    let limits: Limits = input.limits();
    let script = Rc::new(RefCell::new(Script::default()));
    let mut world = World {
        kernel: &kernel,
        connection: Connection::new(&kernel, kernel.kind(), limits, Scripted(Rc::clone(&script))),
        script,
        limits,
        workspace: Workspace::new(1 + input.below(64)),
        now: 0,
        peer: 0,
        progress: Progress::Waiting,
    };
    world.plan(&mut input);
    let now = Instant::from_nanos(world.now);
    world.progress = world.connection.start(&mut world.workspace, now);
    world.check();
    while !input.is_empty() && world.progress != Progress::Over {
        world.step(&mut input);
        world.check();
    }
    world.finish();
}

impl World<'_> {
    /// What the session is to do next.
    fn plan(&self, input: &mut Input<'_>) {
        let mut script = self.script.borrow_mut();
        script.pieces = input.below(4);
        script.size = input.size();
        script.flushes = input.flag();
        script.shuts = input.below(16) == 0;
        let until = input.flag().then(|| Instant::from_nanos(self.now + input.below(9) as u64));
        script.next = Some(match input.below(16) {
            0 => Next::Close { until },
            1 if input.flag() => Next::Abort,
            1..=4 => Next::Pause { until },
            5 => Next::Unchanged,
            _ => Next::Read { until },
        });
    }

    fn step(&mut self, input: &mut Input<'_>) {
        let kernel = self.kernel;
        let now = Instant::from_nanos(self.now);
        match input.below(12) {
            0 | 1 => {
                let count = input.size();
                if !kernel.is_finished.get() && count > 0 {
                    let bytes = (self.peer..self.peer + count).map(|at| at as u8);
                    kernel.arrived.borrow_mut().extend(bytes);
                    self.peer += count;
                    kernel.has_event.set(true);
                }
            }
            2 => {
                kernel.room.set(kernel.room.get() + 1 + input.size());
                kernel.has_event.set(true);
            }
            3 if input.below(4) == 0 => {
                kernel.is_finished.set(true);
                kernel.has_event.set(true);
            }
            4 if input.below(16) == 0 => {
                kernel.is_reset.set(true);
                kernel.has_event.set(true);
            }
            5 => {
                self.now += input.below(6) as u64;
                self.plan(input);
                let now = Instant::from_nanos(self.now);
                self.progress = self.connection.on_time(&mut self.workspace, now);
            }
            6 => {
                self.plan(input);
                self.progress = self
                    .connection
                    .call(&mut self.workspace, |session, outbox| session.act(outbox));
            }
            7 if input.below(32) == 0 => {
                self.connection.abort();
                self.progress = Progress::Over;
            }
            _ if self.progress == Progress::More => {
                self.plan(input);
                self.progress = self.connection.resume(&mut self.workspace, now);
            }
            _ if kernel.has_event.replace(false) => {
                self.plan(input);
                let readiness = kernel.readiness();
                self.progress = self.connection.on_event(readiness, &mut self.workspace, now);
            }
            _ => {}
        }
    }

    fn check(&self) {
        let mut script = self.script.borrow_mut();
        let sent = self.kernel.sent.borrow();
        assert_eq!(sent[..], script.sent[..sent.len()]);
        script.was_full |= script.sent.len() - sent.len() > self.limits.high();
        assert_eq!(self.progress == Progress::Over, script.end.is_some());
        match script.end {
            Some("closed") => assert_eq!(*sent, script.sent, "closed before all was sent"),
            Some("failed") => assert!(self.kernel.is_reset.get()),
            _ => {}
        }
        if self.progress == Progress::Waiting && !self.kernel.has_event.get() {
            let has_news = !self.kernel.arrived.borrow().is_empty()
                || (self.kernel.is_finished.get() && !script.has_eof);
            let reads = matches!(script.wants, Some(Next::Read { .. }));
            let is_empty = sent.len() == script.sent.len();
            assert!(!(has_news && reads && is_empty), "it waits for what is there");
        }
    }

    /// With room for everything, one that is closing comes to its end.
    fn finish(&mut self) {
        let closes = matches!(self.script.borrow().wants, Some(Next::Close { .. } | Next::Abort));
        if self.progress == Progress::Over || !closes {
            return;
        }
        self.kernel.room.set(usize::MAX);
        let now = Instant::from_nanos(self.now);
        let readiness = self.kernel.readiness();
        self.progress = self.connection.on_event(readiness, &mut self.workspace, now);
        assert_eq!(self.progress, Progress::Over);
        self.check();
    }
}
