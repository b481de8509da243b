"""What PyInstaller freezes has all of ferrio that a program can need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """\
import asyncio
import socket
import ssl

import ferrio

ferrio.install(replace=True)

class Own(socket.socket):
    def send(self, *arguments):
        return super().send(*arguments)

async def echo(reader, writer):
    writer.write(await reader.readline())
    writer.close()

async def main():
    try:
        asyncio.Queue().put()
    except TypeError as error:
        print(error)
    coroutine = asyncio.sleep(1000)
    task = asyncio.create_task(coroutine)
    await asyncio.sleep(0)
    print(coroutine.cr_frame is not None, len(task.get_stack()))
    task.cancel()
    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    own = Own()
    own.connect(server.sockets[0].getsockname())
    reader, writer = await asyncio.open_connection(sock=own)
    writer.write(b"over a socket of its own\\n")
    print((await reader.readline()).decode().strip())
    writer.close()
    try:
        await asyncio.open_connection(*server.sockets[0].getsockname(), ssl=True)
    except (ssl.SSLError, OSError) as error:
        print(isinstance(error, OSError))
    server.close()
    print("on", type(asyncio.get_running_loop()).__module__)

asyncio.run(main())
"""


@pytest.mark.timeout(600)
def test_a_frozen_program_has_what_it_needs(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    expected = run([sys.executable, "program.py"], tmp_path)
    assert expected.endswith("on ferrio\n")
    words = ["--onedir", "--log-level", "ERROR", "program.py"]
    run([sys.executable, "-m", "PyInstaller", *words], tmp_path)
    assert run([str(tmp_path / "dist" / "program" / "program")], tmp_path) == expected


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
