"""Makes programs up. Everything follows from the seed and the version of Python.

Steps are templates, in which `{name}` stands for a choice: see `Grammar.choice`. A function calls,
spawns and schedules only such as come after it, so that every program ends.
"""

from __future__ import annotations

import asyncio
import inspect
import random
import re
import sys
from collections.abc import Callable

from .steps import ASYNC_BLOCKS, ASYNC_STEPS, CALLBACK_STEPS, IO, SYNC_BLOCKS, SYNC_STEPS, Table
from .tree import Function, Program, Step

_PLACE = re.compile(r"\{(\w+)\}")

PROTOCOL_METHODS = {
    "Protocol": ["data_received({self}, data)", "eof_received({self})"],
    "BufferedProtocol": ["buffer_updated({self}, size)", "eof_received({self})"],
    "DatagramProtocol": ["datagram_received({self}, data, addr)", "error_received({self}, error)"],
}
EVERY_PROTOCOL = ["connection_made({self}, transport)", "connection_lost({self}, error)"]
FLOW = ["pause_writing({self})", "resume_writing({self})"]


# Up to 3.13.1 a group takes notice at once of a task that ended eagerly, by a fault that ferrio has
# not (gh-128588).
GROUPS_TAKE_EAGER_TASKS = "128588" in inspect.getsource(asyncio.TaskGroup.create_task)


def text(functions: list[Function]) -> str:
    return "\n".join(line for function in functions for line in function.lines())


class Grammar:
    def __init__(self, seed: str) -> None:
        self._seed = seed
        self._random = random.Random(seed)
        self._has_io = self._random.random() < 0.4
        # How much of a lot the kernel takes at once over TCP is up to its timers.
        self._sockets = ["unix"] if self._random.random() < 0.5 else ["tcp", "unix"]
        self._has_timers = self._random.random() < 0.5
        # Names of what is made so far: later ones in the program.
        self._coroutines: list[str] = []
        self._generators: list[str] = []
        self._callbacks: list[str] = []
        self._protocols: list[tuple[str, str]] = []
        self._slots = 0
        self._depth = 0

    def program(self) -> Program:
        functions: list[Function] = []
        for number in reversed(range(self._random.randint(1, 4))):
            functions.append(self.callback(f"c{number}"))
        if self._has_io:
            for number in reversed(range(self._random.randint(1, 2))):
                functions.append(self.protocol(f"P{number}"))
        for number in reversed(range(self._random.randint(0, 1))):
            functions.append(self.generator(f"g{number}"))
        for number in reversed(range(self._random.randint(2, 5))):
            functions.append(self.coroutine(f"f{number}"))
        body = self.steps(ASYNC_STEPS, ASYNC_BLOCKS, 6)
        functions.append(Function("async def body():", "body", body))
        functions.append(self.main(text(functions)))
        functions.reverse()
        return Program(self._seed, functions, self._has_io, self._random.random() < 0.25)

    # Functions.

    def coroutine(self, name: str) -> Function:
        body = self.steps(ASYNC_STEPS, ASYNC_BLOCKS, 5)
        if self._random.random() < 0.4:
            ending = self.pick(
                [(3, f"return {name!r}"), (3, "raise S.error({kind})"), (1, "S.throw({kind})")]
            )
            body.append(Step(self.filled(ending), guard=""))
        self._coroutines.append(name)
        return Function(f"async def {name}():", name, body)

    def generator(self, name: str) -> Function:
        body = self.steps(ASYNC_STEPS, ASYNC_BLOCKS, 3)
        for _ in range(self._random.randint(1, 3)):
            body.insert(
                self._random.randint(0, len(body)), Step(self.filled("yield {n}"), guard="")
            )
        self._generators.append(name)
        return Function(f"async def {name}():", name, body)

    def callback(self, name: str) -> Function:
        body = self.steps(self.sync_steps(), SYNC_BLOCKS, 3)
        if self._random.random() < 0.3:
            body.append(Step(self.filled("raise S.error({kind})"), guard=""))
        self._callbacks.append(name)
        return Function(f"def {name}(*arguments):", name, [Step("arguments"), *body])

    def protocol(self, name: str) -> Function:
        base = self.pick([(5, "Protocol"), (3, "BufferedProtocol"), (2, "DatagramProtocol")])
        methods = []
        for text in [*EVERY_PROTOCOL, *PROTOCOL_METHODS[base], *FLOW]:
            method, _, arguments = text.partition("(")
            header = f"def {method}({arguments.replace('{self}', 'self')}:"
            function = Function(header, f"{name}.{method}")
            if method == "connection_made":
                function.first = "self.transport = transport"
            shown = {"data": "data", "error": "error", "size": "bytes(self.space[:size])"}
            seen = [value for word, value in shown.items() if word in arguments]
            function.body = [Step(f"({', '.join([repr(method), *seen])},)")]
            function.body += self.steps(self.sync_steps() + IO.protocol, SYNC_BLOCKS, 2)
            if self._random.random() < 0.08:
                function.body.append(Step(self.filled("raise S.error({kind})"), guard=""))
            elif method == "eof_received" and self._random.random() < 0.4:
                function.body.append(Step("return True", guard=""))
            methods.append(function)
        init = Function(
            "def __init__(self, name):",
            f"{name}.init",
            first="self.name, self.transport, self.space = name, None, bytearray(16)",
        )
        methods.insert(0, init)
        if base == "BufferedProtocol":
            buffer = self.pick(
                [(8, "return self.space"), (1, "return bytearray()"), (1, "raise S.error({kind})")]
            )
            methods.append(
                Function(
                    "def get_buffer(self, hint):",
                    f"{name}.get_buffer",
                    [Step(self.filled(buffer), guard="")],
                )
            )
        self._protocols.append((name, base))
        return Function(f"class {name}(asyncio.{base}):", name, methods=methods)

    def main(self, source: str) -> Function:
        before = [Step("S.fill()", guard="")]
        if self._random.random() < 0.3:
            handler = self.pick([(3, "S.handler"), (1, "S.raising_handler")])
            before.append(Step(f"S.loop.set_exception_handler({handler})", guard=""))
        elif self._random.random() < 0.7:
            before.append(Step("S.loop.set_exception_handler(S.handler)", guard=""))
        is_eager = sys.version_info >= (3, 12) and self._random.random() < 0.2
        if is_eager and (GROUPS_TAKE_EAGER_TASKS or "TaskGroup" not in source):
            factory = "S.loop.set_task_factory(asyncio.eager_task_factory)"
            before.append(Step(factory, guard=""))
        for _ in range(self._random.choice([0, 0, 0, 1, 2])):
            kind = self._random.choice(list(OWN_METHODS))
            method = self._random.choice(OWN_METHODS[kind])
            before.append(Step(f"S.subclass({kind!r}, {method!r})"))
        if self._has_io:
            for name, base in self._protocols:
                before.append(Step(self.connection(name, base), guard="step"))
            streams = self.pick([(3, "open_streams"), (1, "open_tls_streams")])
            before.append(Step(self.filled(f"await S.{streams}({{socket}}, {{limit}})")))
            if self._random.random() < 0.4:
                before.append(Step(self.filled("await S.serve({socket}, {f})")))
        spawning = len(before)
        for name in self._random.sample(self._coroutines, min(3, len(self._coroutines))):
            before.append(Step(f"S.spawn({name})"))
        before.append(Step("S.spawn(body)"))
        before.insert(spawning, Step(f"S.start_clock({self._slots})", guard=""))
        # asyncio has a transport to warn of while a handshake is going on, ferrio after it.
        is_left = "start_tls" not in source and self._random.random() < 0.1
        after = [] if is_left else [Step("await S.finish()")]
        return Function("async def main():", "main", [*before, *after])

    def connection(self, name: str, base: str) -> str:
        if base == "DatagramProtocol":
            return f"await S.connect('udp', {name})"
        choices = [(5, "await S.connect({socket}, %s)"), (2, "await S.accept({socket}, %s)")]
        choices += [(2, "await S.connect_tls({socket}, %s)"), (2, "await S.listen({socket}, %s)")]
        if base == "Protocol":
            choices += [(1, "await S.pipe(%s, 'read')"), (1, "await S.pipe(%s, 'write')")]
        return self.filled(self.pick(choices) % name)

    # Steps.

    def sync_steps(self) -> Table:
        return SYNC_STEPS + CALLBACK_STEPS

    def steps(self, table: Table, blocks: Table, most: int) -> list[Step]:
        return [self.step(table, blocks) for _ in range(self._random.randint(1, most))]

    def step(self, table: Table, blocks: Table) -> Step:
        guard = self.pick([(9, "step"), (1, "stubborn")])
        if self._depth < 3 and self._random.random() < 0.25:
            self._depth += 1
            step = Step(self.chosen(blocks), guard, self.steps(table, blocks, 3))
            self._depth -= 1
            return step
        if self._has_io and self._random.random() < 0.5:
            return Step(self.chosen(IO.of(table is ASYNC_STEPS)), guard)
        return Step(self.chosen(table), guard)

    def chosen(self, table: Table) -> str:
        while True:
            template = self.pick(table)
            if self.possible(template):
                return self.filled(template)

    def possible(self, template: str) -> bool:
        needs: dict[str, object] = {
            "{f}": self._coroutines,
            "{groups}": self._coroutines,
            "{tasks}": self._coroutines,
            "{g}": self._generators,
            "{P}": self._protocols,
            "{slot}": self._has_timers,
        }
        return all(have for place, have in needs.items() if place in template)

    def filled(self, template: str) -> str:
        while _PLACE.search(template):
            template = _PLACE.sub(lambda match: self.choice(match[1]), template)
        return template

    def pick(self, table: Table) -> str:
        (chosen,) = self._random.choices([t for _, t in table], [weight for weight, _ in table])
        return chosen

    def choice(self, name: str) -> str:
        """What stands for `{name}`; may have places of its own."""
        choices: dict[str, Callable[[], str]] = {
            "n": lambda: str(self._random.randint(0, 3)),
            "kind": lambda: str(self._random.choice([0, 0, 1, 2, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11])),
            "f": lambda: self._random.choice(self._coroutines),
            "g": lambda: self._random.choice(self._generators),
            "c": lambda: self._random.choice(self._callbacks) if self._callbacks else "S.ignore",
            "P": lambda: self._random.choice(self._protocols)[0],
            "slot": self.slot,
            "socket": lambda: repr(self._random.choice(self._sockets)),
            "limit": lambda: self._random.choice(["1", "4", "8", "100", "65536"]),
            "data": self.data,
            "waitable": lambda: self.chosen(WAITABLES),
            "future": lambda: self.chosen(FUTURES),
            "lock": lambda: self._random.choice(["lock", "condition", "semaphore", "bounded"]),
            "queue": lambda: self._random.choice(["queue", "priority", "lifo"]),
            "timeout": lambda: self.chosen(TIMEOUTS),
            "groups": lambda: "asyncio.TaskGroup() as group, {tasks}",
            "tasks": lambda: "Group(S, group, {f}, {f})",
            "future_method": lambda: self._random.choice(FUTURE_METHODS),
            "task_method": lambda: self._random.choice(TASK_METHODS),
        }
        return choices[name]()

    def slot(self) -> str:
        self._slots += 1
        return str(self._slots)

    def data(self) -> str:
        size = 5000 if "tcp" in self._sockets else 300000
        texts = [
            "b'a'",
            "b'line\\n'",
            "b'two\\nlines\\n'",
            "b''",
            "b'0123456789'",
            f"b'x' * {size}",
        ]
        return self._random.choices(texts, [4, 4, 2, 1, 4, 1])[0]


WAITABLES: Table = [
    (4, "{f}()"),
    (4, "S.future({n})"),
    (3, "S.task({n})"),
    (2, "S.spawn({f})"),
    (2, "S.event.wait()"),
    (2, "S.{lock}.acquire()"),
    (2, "S.{queue}.get()"),
    (2, "S.turns({n})"),
    (2, "asyncio.sleep(0, {n})"),
    (1, "asyncio.sleep(S.until({slot}), 'late')"),
    (1, "asyncio.shield({waitable})"),
    (1, "asyncio.gather({waitable}, {waitable}, return_exceptions=True)"),
    (1, "asyncio.gather({waitable}, {waitable})"),
    (1, "asyncio.wait_for({waitable}, {timeout})"),
    (1, "{n}"),
    (1, "Awaitable(lambda: iter([None] * {n}))"),
    (1, "Awaitable(lambda: {n})"),
    (1, "Awaitable(lambda: S.turns({n}))"),
    (1, "Awaitable(lambda: S.throw({kind}))"),
    (1, "Awaitable(lambda: iter([{n}]))"),
    (1, "Awaitable(lambda: iter([{future}]))"),
    (1, "Awaitable({f}().__await__)"),
    (1, "asyncio.wrap_future(S.concurrent({n}), loop=S.loop)"),
    (1, "S.begun({g})"),
]
FUTURE_METHODS = ["set_result", "set_exception", "cancel", "add_done_callback", "result", "done"]
FUTURE_METHODS += ["exception", "cancelled", "get_loop", "remove_done_callback", "__await__"]
TASK_METHODS = [*FUTURE_METHODS[2:], "uncancel", "cancelling", "set_name", "get_name", "get_coro"]
# Of the objects that the stage has one of each of.
OWN_METHODS = {
    "lock": ["acquire", "release", "locked", "__aenter__", "__aexit__"],
    "event": ["set", "clear", "wait", "is_set"],
    "condition": ["wait", "wait_for", "notify", "notify_all", "__aenter__", "__aexit__"],
    "semaphore": ["acquire", "release", "locked", "__aexit__"],
    "bounded": ["acquire", "release", "locked", "__aenter__"],
    "barrier": ["wait", "reset", "abort", "__aenter__"],
    "queue": ["put", "get", "put_nowait", "get_nowait", "task_done", "join", "full", "empty"],
    "priority": ["put", "get", "qsize", "_put", "_get", "_init"],
    "lifo": ["put", "get", "put_nowait", "get_nowait", "qsize", "_put", "_get"],
    "reader": ["read", "readline", "readuntil", "readexactly", "feed_data", "feed_eof", "at_eof"],
}
FUTURES: Table = [
    (3, "S.future({n})"),
    (3, "S.task({n})"),
    (2, "S.spawn({f})"),
    (1, "S.loop.create_future()"),
    (1, "asyncio.ensure_future({f}())"),
]
TIMEOUTS: Table = [(2, "None"), (2, "0"), (1, "-1"), (6, "S.until({slot})")]
