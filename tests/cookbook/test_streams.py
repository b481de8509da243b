"""examples/streams, end to end: real sockets, real terminals."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import Cookbook, LoopName
from .screens import TerminalProgram

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "streams"


def test_everything_without_arguments(cookbook: Cookbook, loop: LoopName) -> None:
    output = cookbook("streams", loop=loop).stdout
    assert output.count("150 answers, 413475 bytes, all as expected") == 2
    assert "100 clients heard 50000 lines, none lost, all in order" in output


def test_countdowns_end_in_order_of_time_and_say_what_was_wrong(
    cookbook: Cookbook, loop: LoopName
) -> None:
    lines = cookbook("streams", loop=loop).stdout.splitlines()
    said = [line for line in lines if re.match("not understood|soup|tea|egg", line)]
    assert said == [
        "not understood: 'cake' (try: tea 3 / stop tea / quit)",
        "soup: stopped",
        "tea: done after 0.2 s",
        "egg: done after 0.3 s",
    ]


def test_countdowns_on_a_screen_take_input_while_they_run(loop: LoopName) -> None:
    with TerminalProgram(loop, "examples/streams", "countdowns") as terminal:
        terminal.wait_for("0 running")
        assert not terminal.echoes
        terminal.type("soup 600\r")
        terminal.wait_for("1 running")
        terminal.type("tea 0.2\r")
        terminal.wait_for("tea: done after 0.2 s")
        # The bar of one moves while a line for the other is half typed, and the line stays.
        terminal.type("stop soux")
        terminal.wait_for("> stop soux")
        terminal.type("\x7fp\r")
        rows = terminal.wait_for("soup: stopped")
        assert any(re.match(r"tea +\[#{20}\] +0\.2 s  done", row) for row in rows)
        terminal.type("quit\r")
        assert terminal.wait_for_end() == 0
        assert terminal.echoes


def test_http_client_says_what_is_wrong_with_an_answer(cookbook: Cookbook, loop: LoopName) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        with subprocess.Popen(
            [sys.executable, "-m", "ferrio", "run", "--loop", loop, str(EXAMPLE), "http", url],
            stderr=subprocess.PIPE,
            text=True,
        ) as client:
            listener.settimeout(30)
            connection, _ = listener.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
            _, errors = client.communicate(timeout=30)
            assert errors == "streams: the connection ended before the answer did\n"
            assert client.returncode == 1


@pytest.fixture
def chat_port(cookbook: Cookbook, loop: LoopName) -> Iterator[int]:
    """A chat server on the loop under test; it has to end well."""
    with cookbook.start("streams", "serve", loop=loop) as server:
        yield int(server.until(r"chat on 127\.0\.0\.1:(\d+)")[1])
        server.send_signal(signal.SIGTERM)
        done = server.finish()
        assert (done.returncode, done.stderr) == (0, "")
        assert done.stdout.endswith("closed\n")


def test_two_people_chat_on_full_screens(chat_port: int, loop: LoopName) -> None:
    chat = ("examples/streams", "chat", "--port", str(chat_port))
    with TerminalProgram(loop, *chat, "ada") as ada:
        ada.wait_for("* ada is here (1 now)")
        with TerminalProgram(loop, *chat, "bob") as bob:
            ada.wait_for("* bob is here (2 now)")
            # What comes in does not disturb what is being typed.
            ada.type("never mi")
            ada.wait_for("> never mi")
            bob.type("grüß dich, 世界\r")
            rows = ada.wait_for("bob: grüß dich, 世")
            assert "> never mi" in rows[-1]
            ada.wait_until(lambda _: ada.cursor == (len("> never mi"), 23))
            ada.type("nd\r")
            bob.wait_for("ada: never mind")
            bob.type("/who\r")
            bob.wait_for("* here: ada, bob")
            bob.type("\x04")
            assert bob.wait_for_end() == 0
        ada.wait_for("* bob has left (1 now)")
        ada.type("/quit\r")
        assert ada.wait_for_end() == 0


def test_a_resized_screen_is_drawn_anew_with_the_last_lines(chat_port: int, loop: LoopName) -> None:
    with TerminalProgram(loop, "examples/streams", "chat", "--port", str(chat_port), "ada") as ada:
        ada.wait_for("* ada is here (1 now)")
        ada.type("".join(f"line {n}\r" for n in range(30)))
        ada.wait_for("ada: line 29")
        ada.resize(40, 7)
        rows = ada.wait_until(lambda rows: rows[4] == "ada: line 29" and "ada at" in rows[5])
        assert rows[:5] == [f"ada: line {n}" for n in range(25, 30)]
        ada.type("\x03")  # Ctrl-C
        assert ada.wait_for_end() == 130
        assert ada.echoes


def test_server_refuses_a_name_that_is_taken(chat_port: int) -> None:
    with Telnet(chat_port, "ada") as ada:
        assert ada.line() == "* ada is here (1 now)"
        with Telnet(chat_port, "ada") as other:
            assert other.line() == "* 'ada' is taken"
            assert other.line() == ""


def test_server_puts_out_who_sends_a_line_too_long(chat_port: int) -> None:
    with Telnet(chat_port, "ada") as ada:
        assert ada.line() == "* ada is here (1 now)"
        ada.send("x" * 2000)
        assert ada.line() == "* a line may have 1024 bytes, not more"


def test_server_leaves_nobody_waiting_for_one_that_does_not_read(chat_port: int) -> None:
    with Telnet(chat_port, "deaf"), Telnet(chat_port, "ada") as ada:
        line = "x" * 1000
        # More than the queue and the kernel's buffers hold for one client.
        for _ in range(15_000):
            ada.send(line)
            while (heard := ada.line()) != f"ada: {line}":
                if heard == "* deaf has left (1 now)":
                    return
        pytest.fail("who does not read is still there")


class Telnet:
    """A chat client of a dozen lines, for what ours would never do."""

    def __init__(self, port: int, name: str) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), 30)
        self._file = self._socket.makefile("r", encoding="utf-8", newline="\n")
        self.send(name)

    def __enter__(self) -> Telnet:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def send(self, line: str) -> None:
        self._socket.sendall(f"{line}\n".encode())

    def line(self) -> str:
        return self._file.readline().rstrip("\n")
