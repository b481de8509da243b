"""A hundred encryptions at once, but so many processes only: a semaphore holds the door.

Each document goes through a process of its own, by openssl or by gpg, and back through another. The
passphrase takes a pipe to the child: a command line and an environment can be read by others.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import shutil
import subprocess
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from processes import how_it_ended, running

PASSPHRASE = b"correct horse battery staple"


class Tool:
    """Command lines that read standard input and take the passphrase from a descriptor."""

    def encrypt(self, descriptor: int) -> list[str]:
        raise NotImplementedError

    def decrypt(self, descriptor: int) -> list[str]:
        raise NotImplementedError


class OpenSSL(Tool):
    def encrypt(self, descriptor: int) -> list[str]:
        return ["openssl", "enc", "-aes-256-cbc", "-pbkdf2", "-pass", f"fd:{descriptor}"]

    def decrypt(self, descriptor: int) -> list[str]:
        return [*self.encrypt(descriptor), "-d"]


@dataclass
class GnuPG(Tool):
    home: str

    def encrypt(self, descriptor: int) -> list[str]:
        return [*self._command(descriptor), "--symmetric"]

    def decrypt(self, descriptor: int) -> list[str]:
        return [*self._command(descriptor), "--decrypt"]

    def _command(self, descriptor: int) -> list[str]:
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--no-symkey-cache"]
        return [*command, "--pinentry-mode", "loopback", "--passphrase-fd", str(descriptor)]


@contextlib.contextmanager
def tool_named(name: str) -> Iterator[Tool]:
    if shutil.which("gpg" if name == "gpg" else "openssl") is None:
        raise FileNotFoundError(f"{name} is not on PATH")
    if name == "openssl":
        yield OpenSSL()
        return
    # A home of its own: the user's keys and agent stay out of it.
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        yield GnuPG(home)
        # gpg has started an agent, which would stay.
        subprocess.run(["gpgconf", "--homedir", home, "--kill", "all"], check=False)


class Door:
    """Lets `limit` in at a time, and remembers how many were inside at most."""

    def __init__(self, limit: int) -> None:
        self.busiest = 0
        self._inside = 0
        self._free = asyncio.Semaphore(limit)

    async def __aenter__(self) -> None:
        await self._free.acquire()
        self._inside += 1
        self.busiest = max(self.busiest, self._inside)

    async def __aexit__(self, *_: object) -> None:
        self._inside -= 1
        self._free.release()


async def filtered(command_line: Callable[[int], list[str]], data: bytes) -> bytes:
    """What a command makes of `data`; its line is made for the descriptor of the passphrase."""
    descriptor = passphrase_pipe()
    try:
        command = command_line(descriptor)
        async with running(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, pass_fds=(descriptor,)
        ) as process:
            output, errors = await process.communicate(data)
    finally:
        os.close(descriptor)
    if process.returncode != 0:
        how = how_it_ended(process.returncode)
        raise RuntimeError(f"{command[0]}: {how}: {errors.decode(errors='replace').strip()}")
    return output


def passphrase_pipe() -> int:
    """The reading end of a pipe with the passphrase in it."""
    reading, writing = os.pipe()
    os.write(writing, PASSPHRASE + b"\n")
    os.close(writing)
    return reading


def document(number: int) -> bytes:
    return hashlib.sha512(b"%d" % number).digest() * 500


async def encrypt_all(tool: Tool, documents: int, limit: int) -> None:
    door = Door(limit)

    async def there_and_back(number: int) -> int:
        plain = document(number)
        async with door:
            secret = await filtered(tool.encrypt, plain)
        async with door:
            again = await filtered(tool.decrypt, secret)
        if again != plain or plain[:64] in secret:
            raise AssertionError(f"document {number} has not come back as it was")
        return len(secret)

    start = time.perf_counter()
    sizes = await asyncio.gather(*map(there_and_back, range(documents)))
    took = time.perf_counter() - start
    print(
        f"encrypt: {documents} documents there and back, {sum(sizes)} bytes in secret,"
        f" {door.busiest} processes at most, {took:.2f} s, {2 * documents / took:.0f} processes/s"
    )


async def run(name: str, documents: int, limits: list[int]) -> None:
    with tool_named(name) as tool:
        for limit in limits:
            await encrypt_all(tool, documents, limit)
