"""What would end the process if native code believed it: each program is a child, and lives."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import pytest

from tests.certificates import Certificates

PREAMBLE = """
import asyncio
import faulthandler
import gc
import struct
import sys
import threading
import warnings

import ferrio
from ferrio import _ferrio

faulthandler.enable()
"""

AIO = """
from ferrio import aio
"""


def lives(program: str, *, before: str = AIO) -> None:
    """Runs the program in a process of its own, which has to come to its end."""
    done = subprocess.run(
        [sys.executable, "-c", PREAMBLE + before + textwrap.dedent(program)],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stdout.strip()) == (0, "lives"), done.stderr[-4000:]


# Each makes a chain of as many links, the last one the only one that anybody has.
CHAINS = {
    "handles": """
        link = None
        for _ in range(count):
            handle = loop.call_later(1000, print)
            handle._callback = link
            link = handle
        loop.close()
        del handle, link
    """,
    "handles of call_soon": """
        link = None
        for _ in range(count):
            handle = loop.call_soon(print)
            handle._args = (link,)
            link = handle
        loop.close()
        del handle, link
    """,
    "results": """
        link = None
        for _ in range(count):
            future = loop.create_future()
            future.set_result(link)
            link = future
        del future, link
    """,
    "iterators": """
        link = None
        for _ in range(count):
            future = loop.create_future()
            future.set_result(link)
            link = future.__await__()
        del future, link
    """,
    "done callbacks": """
        link = None
        for _ in range(count):
            future = loop.create_future()
            future.add_done_callback(link)
            link = future
        del future, link
    """,
    "gather": """
        async def main():
            link = loop.create_future()
            for _ in range(count):
                link = aio.gather(link)

        loop.run_until_complete(main())
    """,
    "shield": """
        async def main():
            link = loop.create_future()
            for _ in range(count):
                link = aio.shield(link)

        loop.run_until_complete(main())
    """,
    "coroutines": """
        warnings.simplefilter("ignore")
        link = aio.sleep(0)
        for _ in range(count):
            link = aio.wait_for(link, 1)
        del link
    """,
    "coroutines' iterators": """
        warnings.simplefilter("ignore")
        link = aio.sleep(0)
        for _ in range(count):
            link = aio.wait_for(link.__await__(), 1)
        del link
    """,
    "bound methods": """
        link = None
        for _ in range(count):
            lock = aio.Lock()
            lock.more = link
            link = lock.__aenter__
        del lock, link
    """,
    "queues": """
        link = None
        for _ in range(count):
            queue = aio.Queue()
            queue.put_nowait(link)
            link = queue
        del queue, link
    """,
    "conditions": """
        link = aio.Lock()
        for _ in range(count):
            link = aio.Condition(link)
        del link
    """,
    "native conditions": """
        link = aio.Lock()
        for _ in range(count):
            link = _ferrio.Condition(link)
        del link
    """,
    "queues' sizes": """
        link = None
        for _ in range(count):
            link = _ferrio.PriorityQueue(link)
        del link
    """,
}


@pytest.mark.parametrize("kind", CHAINS)
def test_a_long_chain_is_freed_without_a_deep_stack(kind: str) -> None:
    lives(
        f"""
        count = 100_000
        gc.disable()
        loop = ferrio.new_event_loop()
        {textwrap.indent(textwrap.dedent(CHAINS[kind]), " " * 8).strip()}
        gc.collect()
        print("lives")
        """
    )


@pytest.mark.parametrize("kib", [64, 128, 256, 1024])
def test_waits_in_each_other_in_a_thread_with_a_small_stack(kib: int) -> None:
    lives(
        f"""
        async def main():
            waiting = aio.sleep(0, "lives")
            for _ in range(900):
                waiting = aio.wait_for(waiting, 100)
            print(await waiting)

        threading.stack_size({kib} * 1024)
        thread = threading.Thread(target=lambda: ferrio.run(main()))
        thread.start()
        thread.join()
        """
    )


@pytest.mark.parametrize("kib", [64, 128, 256, 1024])
@pytest.mark.parametrize("how", ["waiting", "through(waiting)"])
def test_coroutines_from_elsewhere_know_the_stack_that_is_left(kib: int, how: str) -> None:
    lives(
        f"""
        warnings.simplefilter("ignore")

        async def through(awaitable):
            return await awaitable

        # Made where there is room, awaited where there is none.
        waiting = aio.sleep(0, "lives")
        for _ in range(900):
            waiting = aio.wait_for({how}, 100)

        async def main():
            try:
                await waiting
            except RecursionError:
                pass
            print(await aio.sleep(0, "lives"))

        threading.stack_size({kib} * 1024)
        thread = threading.Thread(target=lambda: ferrio.run(main()))
        thread.start()
        thread.join()
        """
    )


@pytest.mark.skipif(
    sys.version_info < (3, 12), reason="wait_for makes a task for each level there: nothing nests"
)
def test_the_limit_of_the_interpreter_holds_for_coroutines_of_ours() -> None:
    lives(
        """
        warnings.simplefilter("ignore")

        async def main(depth):
            waiting = aio.sleep(0, "lives")
            for _ in range(depth):
                waiting = aio.wait_for(waiting, 100)
            return await waiting

        try:
            ferrio.run(main(10 * sys.getrecursionlimit()))
        except RecursionError:
            print(ferrio.run(main(sys.getrecursionlimit() // 2)))
        """
    )


FAKES = {
    "bytes": "bytes",
    "a list": "list",
    "an object": "object",
    "asyncio's handle": "asyncio.Handle",
    "an exception": "Exception",
}


@pytest.mark.parametrize("base", FAKES.values(), ids=list(FAKES))
@pytest.mark.parametrize("claimed", ["asyncio.Handle", "asyncio.TimerHandle"])
def test_what_says_that_it_is_a_handle(base: str, claimed: str) -> None:
    lives(
        f"""
        class Fake({base}):
            __class__ = property(lambda self: {claimed})
            _cancelled = False

            def _run(self):
                print("lives")

        loop = ferrio.new_event_loop()
        fake = Fake.__new__(Fake)
        loop._add_callback_signalsafe(fake)
        del fake
        gc.collect()
        loop.call_soon(loop.stop)
        loop.run_forever()
        """
    )


def test_slots_of_another_class() -> None:
    lives(
        """
        class Large:
            __slots__ = tuple(f"s{i}" for i in range(1000))

        class Children(ferrio.Future):
            pass

        Children._children = Large.s998
        Children._cancel_requested = Large.s999

        # One that looks like a slot's.
        class member_descriptor(bytes):
            pass

        class Named(ferrio.Future):
            _children = member_descriptor(200)
            _cancel_requested = member_descriptor(200)

        class Meta(type):
            __dict__ = property(lambda cls: {"_children": Large.s8, "_cancel_requested": Large.s9})

        class Told(ferrio.Future, metaclass=Meta):
            pass

        for each in (Children, Named, Told):
            try:
                _ferrio._adopt_gathering_future(each)
            except (TypeError, KeyError):
                pass
            else:
                print(each, "was taken")
        print("lives")
        """,
        # Which has the right one taken.
        before="",
    )


def test_a_metaclass_that_takes_the_loop_away() -> None:
    lives(
        """
        other = asyncio.SelectorEventLoop()
        armed = False
        junk = []

        class Meta(type(ferrio.Loop)):
            def __getattribute__(cls, name):
                global armed
                if armed and name == "call_soon":
                    armed = False
                    future.__init__(loop=other)
                    gc.collect()
                    junk.extend(bytes(200) for _ in range(10_000))
                return type.__getattribute__(cls, name)

        class Mine(ferrio.Loop, metaclass=Meta):
            pass

        for _ in range(50):
            loop = Mine()
            future = loop.create_future()
            future.add_done_callback(print)
            loop.close()
            del loop
            gc.collect()

            # The class that was seen last is another one.
            class Another(ferrio.Loop):
                pass

            another = Another()
            done = another.create_future()
            done.add_done_callback(id)
            done.set_result(1)
            another.close()
            armed = True
            try:
                future.set_result(1)
            except RuntimeError:
                pass
            armed = False
        print("lives")
        """
    )


def test_a_call_soon_that_takes_the_futures_loop_away() -> None:
    lives(
        """
        class Mine(ferrio.Loop):
            def call_soon(self, callback, *args, context=None):
                try:
                    future.__init__(loop=1, no=2)
                except (TypeError, RuntimeError):
                    pass
                try:
                    asyncio.Future.__init__(future, loop=other)
                except (TypeError, RuntimeError):
                    pass

        other = asyncio.SelectorEventLoop()
        for _ in range(20):
            loop = Mine()
            future = loop.create_future()
            for _ in range(5):
                future.add_done_callback(print)
            loop.close()
            del loop
            future.set_result(1)
            gc.collect()
        print("lives")
        """
    )


def test_conditions_that_are_each_others_locks() -> None:
    lives(
        """
        one, two = aio.Condition(), aio.Condition()
        one._lock = one
        one._lock, two._lock = two, one
        new = aio.Condition.__new__(aio.Condition)
        for method in ("locked", "acquire", "release"):
            getattr(one, method), getattr(two, method)
            try:
                new._lock = new
                getattr(new, method)
            except (AttributeError, RecursionError):
                pass
        repr(one), repr(two)
        print("lives")
        """
    )


TLS = """
import socket
import ssl

from ferrio._tls import SSLProtocol

client = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
loop = ferrio.new_event_loop()
loop.set_exception_handler(lambda loop, context: None)


def tls(protocol=None):
    return SSLProtocol(loop, protocol or asyncio.Protocol(), client, None, False, "host")


def try_all(transport):
    for call in (
        lambda: transport.is_closing(),
        lambda: transport.get_extra_info("peername"),
        lambda: transport.pause_reading(),
        lambda: transport.resume_reading(),
        lambda: transport.write(b"x" * 100_000),
        lambda: transport.get_write_buffer_size(),
        lambda: repr(transport),
        lambda: transport._force_close(None),
        lambda: transport.close(),
        lambda: transport.abort(),
    ):
        try:
            call()
        except RecursionError:
            pass
"""


def test_tls_that_is_its_own_transport() -> None:
    lives(
        """
        one = tls()
        try:
            one.connection_made(one._app_transport)
        except RecursionError:
            pass
        try_all(one._app_transport)
        one, two = tls(), tls()
        one.connection_made(two._app_transport)
        two.connection_made(one._app_transport)
        try_all(one._app_transport)
        print("lives")
        """,
        before=TLS,
    )


def test_tls_that_is_its_own_protocol() -> None:
    lives(
        """
        one = tls()
        transport = one._app_transport
        transport.set_protocol(one)
        lower = tls()
        for call in (
            lambda: one.connection_made(lower._app_transport),
            lambda: one.pause_writing(),
            lambda: one.resume_writing(),
            lambda: one.eof_received(),
            lambda: one.connection_lost(None),
        ):
            try:
                call()
            except RecursionError:
                pass
        print("lives")
        """,
        before=TLS,
    )


def test_tls_is_told_of_more_than_there_is_room_for() -> None:
    lives(
        """
        for count in (10**6, 2**62, sys.maxsize):
            one = tls()
            one.connection_made(tls()._app_transport)
            one.get_buffer(10)
            one.buffer_updated(count)
        print("lives")
        """,
        before=TLS,
    )


@pytest.mark.parametrize("kib", [64, 256])
def test_tls_in_tls_in_a_thread_with_a_small_stack(kib: int) -> None:
    lives(
        f"""
        made = []

        def main():
            lower = tls()._app_transport
            for _ in range(900):
                one = tls()
                made.append(one)
                try:
                    one.connection_made(lower)
                except RecursionError:
                    pass
                lower = one._app_transport
            try_all(lower)

        threading.stack_size({kib} * 1024)
        thread = threading.Thread(target=main)
        thread.start()
        thread.join()
        print("lives")
        """,
        before=TLS,
    )


def test_tls_in_tls_that_is_connected(certificates: Certificates) -> None:
    lives(
        f"""
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain({str(certificates.file("localhost.pem"))!r},
                               {certificates.key("localhost")!r})
        client.load_verify_locations({str(certificates.file("authority.pem"))!r})

        class Peer(asyncio.Protocol):
            def connection_made(self, transport):
                self.received = loop.create_future()
                self.lost = loop.create_future()

            def data_received(self, data):
                self.received.set_result(data)

            def connection_lost(self, error):
                self.lost.set_result(None)

        async def main():
            pair = socket.socketpair()
            ends = [(await loop.create_connection(Peer, sock=sock)) for sock in pair]
            one, other = [transport for transport, _ in ends]
            protocols = [protocol for _, protocol in ends]
            try:
                for depth in range(120):
                    options = dict(ssl_handshake_timeout=60)
                    one, other = await asyncio.gather(
                        loop.start_tls(one, protocols[0], client, server_hostname="localhost",
                                       **options),
                        loop.start_tls(other, protocols[1], server, server_side=True, **options),
                    )
                one.write(b"x" * 10_000)
                await asyncio.wait(
                    [protocols[1].received, protocols[1].lost], return_when="FIRST_COMPLETED"
                )
            except (RecursionError, OSError):
                pass

        def run():
            asyncio.set_event_loop(loop)
            loop.run_until_complete(main())
            print("lives")

        threading.stack_size(128 * 1024)
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
        """,
        before=TLS,
    )
