"""A tea room over TCP, which closes like one: nobody new is let in, and who has ordered is served.

A guest sends a line with a number, the seconds that the tea has to brew, and gets a line when it is
ready. On SIGTERM or Ctrl-C

    1. nobody new is let in;
    2. guests who have not ordered anything are sent home;
    3. the others have until a deadline to be served;
    4. whoever is not served by then is cut off. A second signal does that at once.

Supervisors (systemd, Kubernetes, Docker) send SIGTERM and, some seconds later, SIGKILL, for which
there is no handler: the deadline has to be the shorter one.
"""

from __future__ import annotations

import asyncio
import signal
from dataclasses import dataclass, field

Guest = asyncio.Task[None]
Address = tuple[str, int]


@dataclass
class Farewell:
    """How the guests left who were there at the signal."""

    sent_home: int
    served: int
    cut_off: int

    def __str__(self) -> str:
        return f"sent home: {self.sent_home}, served: {self.served}, cut off: {self.cut_off}"


@dataclass
class TeaRoom:
    #: Seconds for those who have ordered, after `closing` is set.
    drain: float
    closing: asyncio.Event = field(default_factory=asyncio.Event)
    #: Set by the second signal.
    hurry: asyncio.Event = field(default_factory=asyncio.Event)
    _idle: set[Guest] = field(default_factory=set)
    _waiting: set[Guest] = field(default_factory=set)

    def on_signal(self, number: signal.Signals) -> None:
        """For `loop.add_signal_handler`: on the loop, so it may do all that a callback may.

        A handler of `signal.signal` may not: it runs between any two instructions of the program.
        """
        print(f"{number.name}: closing{' at once' if self.closing.is_set() else ''}", flush=True)
        if self.closing.is_set():
            self.hurry.set()
        self.closing.set()

    async def receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One guest, from coming to going: what `asyncio.start_server` calls for each."""
        guest = asyncio.current_task()
        assert guest is not None
        self._idle.add(guest)
        try:
            while not self.closing.is_set() and (line := await reader.readline()):
                self._idle.discard(guest)
                self._waiting.add(guest)
                writer.write(await self._answer(line))
                await writer.drain()
                self._waiting.discard(guest)
                self._idle.add(guest)
            if self.closing.is_set():
                writer.write(b"we are closed\n")
        except ConnectionError:
            pass  # It left without a word; there is nobody to tell.
        except asyncio.CancelledError:
            # By us, see `close`. No `raise`: this task ends here, as it was asked to.
            writer.write(b"we are closed\n")
        finally:
            self._idle.discard(guest)
            self._waiting.discard(guest)
            writer.close()

    async def _answer(self, line: bytes) -> bytes:
        try:
            seconds = float(line)
        except ValueError:
            return b"please order a number of seconds\n"
        await asyncio.sleep(seconds)
        return b"your tea of %g seconds\n" % seconds

    async def close(self, server: asyncio.Server) -> Farewell:
        """Steps 1 to 4."""
        server.close()
        idle, waiting = set(self._idle), set(self._waiting)
        for guest in idle:
            # An order that arrives in this very moment is lost; its sender is told so.
            guest.cancel()
        print(f"{len(idle)} without an order, {len(waiting)} have {self.drain:g} s", flush=True)
        served = await self._until_served(waiting)
        late = waiting - served
        for guest in late:
            guest.cancel()
        if everybody := idle | waiting:
            await asyncio.wait(everybody)
        return Farewell(sent_home=len(idle), served=len(served), cut_off=len(late))

    async def _until_served(self, waiting: set[Guest]) -> set[Guest]:
        """Those who are done by the deadline, or by the second signal."""
        if not waiting:
            return set()
        hurry = asyncio.create_task(self.hurry.wait())
        everybody = asyncio.create_task(asyncio.wait(waiting))
        await asyncio.wait(
            [hurry, everybody], timeout=self.drain, return_when=asyncio.FIRST_COMPLETED
        )
        hurry.cancel()
        everybody.cancel()
        return {guest for guest in waiting if guest.done()}


async def main(
    port: int, drain: float, listening: asyncio.Future[Address] | None = None
) -> Farewell:
    """Serve until a signal comes, and then close. `listening` gets the address of the service."""
    room = TeaRoom(drain)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, room.on_signal, number)
    try:
        server = await asyncio.start_server(room.receive, "127.0.0.1", port)
        address: Address = server.sockets[0].getsockname()
        print("listening on {}:{}".format(*address), flush=True)
        if listening is not None:
            listening.set_result(address)
        await room.closing.wait()
        farewell = await room.close(server)
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.remove_signal_handler(number)
    print(farewell, flush=True)
    return farewell
