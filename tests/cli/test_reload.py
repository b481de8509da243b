"""`ferrio run --reload`: the program again whenever a file changes."""

from __future__ import annotations

import importlib.util
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from ferrio._command_line import CommandLine, MistakeError
from ferrio._reload import Watched, command, look, snapshot, status

from .command import PATIENCE, Command, ferrio_run

SERVICE = """
import asyncio, sys
from words import WORD, SECONDS, STATUS

async def main():
    print("begins", WORD, type(asyncio.get_running_loop()).__name__, sys.argv[1:], flush=True)
    try:
        await asyncio.sleep(SECONDS)
    finally:
        print("ends", WORD, flush=True)

asyncio.run(main())
sys.exit(STATUS)
"""


class Running:
    """`ferrio run --reload` in a folder, and what it prints."""

    def __init__(self, folder: Path, words: list[str], form: Command) -> None:
        self.folder = folder
        self.process = form.start(words, cwd=folder)
        self._lines: list[str] = []
        self._more = threading.Condition()
        self._readers = [
            threading.Thread(target=self._read, args=(stream,))
            for stream in (self.process.stdout, self.process.stderr)
        ]
        for reader in self._readers:
            reader.start()

    def _read(self, stream: object) -> None:
        for line in iter(stream.readline, b""):  # type: ignore[attr-defined]
            with self._more:
                self._lines.append(line.decode().rstrip())
                self._more.notify_all()

    def until(self, text: str) -> str:
        """The next line that has this text in it."""
        with self._more:
            found = self._more.wait_for(
                lambda: next((line for line in self._lines if text in line), None), PATIENCE
            )
            assert found is not None, (text, self._lines)
            self._lines.remove(found)
            return found

    def write(self, word: str, seconds: float = 1000, status: int = 0) -> None:
        write_words(self.folder, word, seconds, status)

    def end(self, number: signal.Signals = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        status = self.process.wait(PATIENCE)
        for reader in self._readers:
            reader.join(PATIENCE)
        for stream in (self.process.stdout, self.process.stderr):
            assert stream is not None
            stream.close()
        return status


def write_words(folder: Path, word: str, seconds: float = 1000, status: int = 0) -> None:
    text = f"WORD, SECONDS, STATUS = {word!r}, {seconds}, {status}\n"
    # At once, so that nobody sees half of it.
    (folder / "words.new").write_text(text)
    os.replace(folder / "words.new", folder / "words.py")


@pytest.fixture(params=["watchfiles", "looking"])
def form(request: pytest.FixtureRequest, tmp_path: Path) -> Command:
    """With watchfiles, and where that is not installed."""
    if request.param == "watchfiles":
        if importlib.util.find_spec("watchfiles") is None:
            pytest.skip("watchfiles is not installed: it has no wheel for this version of Python")
        return ferrio_run("--reload")
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "watchfiles.py").write_text("raise ImportError")
    return Command(ferrio_run("--reload").words, {"PYTHONPATH": str(hidden)})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "service"
    folder.mkdir()
    (folder / "app.py").write_text(SERVICE)
    write_words(folder, "one")
    return folder


@pytest.fixture
def service(folder: Path, form: Command) -> Iterator[Running]:
    running = Running(folder, ["app.py", "--port", "1"], form)
    yield running
    if running.process.poll() is None:
        running.process.kill()
        running.end()


def test_a_change_ends_the_program_gently_and_starts_it_again(service: Running) -> None:
    assert "watching Python files in ." in service.until("watching")
    assert service.until("begins") == "begins one Loop ['--port', '1']"
    service.write("two")
    assert service.until("starting again") == "ferrio run: words.py changed: starting again"
    service.until("ends one")
    service.until("begins two")
    assert service.end() == -signal.SIGTERM
    service.until("ends two")


def test_a_program_that_has_ended_waits_for_a_change(service: Running) -> None:
    service.until("begins one")
    service.write("two", seconds=0, status=3)
    service.until("ends two")
    line = service.until("the program has ended")
    assert "(exit status 3); a change of a file starts it again" in line
    service.write("three")
    service.until("begins three")
    # To this process alone: there is no terminal that would send it to both.
    assert service.end(signal.SIGINT) == -signal.SIGINT
    service.until("ends three")


def test_errors_of_the_program_wait_for_a_change(service: Running) -> None:
    service.until("begins one")
    (service.folder / "words.py").write_text("syntax error\n")
    service.until("SyntaxError")
    service.until("(exit status 1)")
    service.write("mended")
    service.until("begins mended")
    service.end()


def test_only_what_is_watched_counts(folder: Path) -> None:
    (folder / "templates").mkdir()
    (folder / "templates" / "page.html").write_text("one")
    service = Running(folder, ["--watch", "templates", "app.py"], ferrio_run("--reload"))
    assert "watching everything in templates" in service.until("watching")
    service.until("begins one")
    service.write("two")
    (folder / "templates" / "page.html").write_text("another")
    assert "templates/page.html changed" in service.until("starting again")
    service.until("begins two")
    service.end()


def test_what_is_looked_at(tmp_path: Path) -> None:
    for name in (
        "app.py", "package/module.py", ".hidden.py", ".git/hook.py", "__pycache__/app.py",
        "env/lib/there.py", "node_modules/x.py", "page.html", "package/data.json",
    ):  # fmt: skip
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "env" / "pyvenv.cfg").touch()

    def names(watched: Watched) -> set[str]:
        return {path.relative_to(tmp_path).as_posix() for path in snapshot(watched)}

    assert names(Watched.of([], [str(tmp_path / "app.py")])) == {"app.py", "package/module.py"}
    assert names(Watched.of([], [str(tmp_path / "package")])) == {"package/module.py"}
    named = [str(tmp_path / "package"), str(tmp_path / "page.html")]
    assert names(Watched.of(named, ["app.py"])) == {
        "package/module.py", "package/data.json", "page.html",
    }  # fmt: skip
    with pytest.raises(MistakeError, match="--watch none: there is no such"):
        Watched.of(["none"], ["app.py"])


def test_looking_sees_what_is_made_and_what_goes(tmp_path: Path) -> None:
    (tmp_path / "old.py").touch()
    stop = threading.Event()
    seen: list[set[Path]] = []

    def report(changed: set[Path]) -> None:
        seen.append(changed)
        if (tmp_path / "old.py").exists():
            (tmp_path / "old.py").unlink()
        else:
            stop.set()

    watched = Watched([tmp_path], is_named=False)
    thread = threading.Thread(target=look, args=(watched, report, stop))
    before = snapshot(watched)
    thread.start()
    while not seen and thread.is_alive():
        # Again and again: it may not have begun to look.
        (tmp_path / "new.py").write_text(str(len(before)))
        stop.wait(0.05)
        if not seen:
            (tmp_path / "new.py").unlink()
            stop.wait(0.05)
    thread.join(PATIENCE)
    assert not thread.is_alive()
    assert set().union(*seen) == {tmp_path / "new.py", tmp_path / "old.py"}


def test_the_command_of_the_program() -> None:
    line = CommandLine.parse(
        ["--reload", "--watch", "a", "--watch=b", "--debug", "app.py", "--reload"]
    )
    words = command(line)
    assert words[words.index("run") :] == ["run", "--debug", "app.py", "--reload"]


def test_how_a_program_has_ended() -> None:
    assert status(0) == "exit status 0"
    assert status(-signal.SIGSEGV) == "killed by SIGSEGV"


def test_options_of_the_interpreter_are_the_programs(folder: Path) -> None:
    (folder / "app.py").write_text("import sys; print('dev', sys.flags.dev_mode, flush=True)")
    service = Running(folder, ["-X", "dev", "app.py"], ferrio_run("--reload"))
    service.until("dev True")
    service.until("(exit status 0)")
    service.end()


def test_a_program_that_does_not_end_is_killed_by_the_second_signal(folder: Path) -> None:
    (folder / "app.py").write_text(
        "import signal, time; signal.signal(signal.SIGTERM, lambda *_: print('no', flush=True))\n"
        "print('begins', flush=True)\n"
        "while True: time.sleep(1)"
    )
    service = Running(folder, ["app.py"], ferrio_run("--reload"))
    service.until("begins")
    service.process.send_signal(signal.SIGTERM)
    service.until("no")
    assert service.end() == -signal.SIGTERM
    assert isinstance(service.process, subprocess.Popen)
