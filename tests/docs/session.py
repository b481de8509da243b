"""A page as its reader would follow it: files saved, programs run, commands typed, in order."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from .blocks import Background, Block, Command, commands_of
from .output import difference

ROOT = Path(__file__).resolve().parents[2]
SURROUNDINGS = Path(__file__).parent / "surroundings"
FRAGMENT = Path(__file__).parent / "fragment.py"

#: Seconds that nothing here should take; what hangs is reported rather than waited for.
PATIENCE = 300

#: What would build and test all of ferrio. That there is such a target or script, and that its text
#: can be read, is what these find out.
CHECKED = {"make": "make --dry-run", ".ci/run": "bash -n .ci/run"}

#: What a page says to install is what it is tested with.
INSTALLED = {"pip install": "pip install --dry-run --no-index --quiet"}

#: Ports that the pages of docs/ name.
PORTS = ("8080", "8888")


class Session:
    """What the blocks of one page are run in: a folder, and the programs that still run beside.

    The folder holds what the page takes for granted, from `surroundings/PAGE`. There,
    `fragments.py` is what Python blocks without a file name begin with.

    ports: in whose place free ones are put, wherever the page names them.
    examples: whether the folder holds those of the repository, too.
    """

    def __init__(
        self, page: Path, folder: Path, ports: Sequence[str] = PORTS, *, examples: bool = True
    ) -> None:
        self._folder = folder
        self._beside: list[Beside] = []
        self._postgres: subprocess.Popen[str] | None = None
        self._environment: dict[str, str] = {}
        self._ports = {port: free_port() for port in ports}
        if examples:
            (folder / "examples").symlink_to(ROOT / "examples")
        surroundings = SURROUNDINGS / str(page.with_suffix("")).replace("/", "-")
        if surroundings.is_dir():
            shutil.copytree(surroundings, folder, dirs_exist_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        try:
            self._end_beside(check=error is None)
        finally:
            if self._postgres is not None:
                # It ends with its input.
                self._postgres.communicate(timeout=PATIENCE)

    def run(self, block: Block) -> None:
        """Raises AssertionError, with all there is to know, if `block` does not do what it says."""
        if block.directives.postgres:
            self._start_postgres()
        match block.language:
            case _ if block.title is not None:
                (self._folder / block.title).write_text(self._with_free_ports(block.text))
            case "python" if block.text.startswith(">>> "):
                self._type_in(block)
            case "python":
                self._run_fragment(block)
            case "console":
                for command in commands_of(block.text):
                    self._run_command(block, command)
            case other:
                raise ValueError(f"{block}: nobody knows how to run {other}")

    def _start_postgres(self) -> None:
        """A private server for this page: that of examples/postgres."""
        assert self._postgres is None, "the page has one already"
        self._postgres = subprocess.Popen(
            [sys.executable, ROOT / "examples" / "postgres" / "embedded.py"],
            text=True,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._postgres.stdout is not None
        dsn = self._postgres.stdout.readline().strip()
        assert dsn, "no Postgres server: it has said why"
        self._environment["DATABASE_URL"] = dsn

    def _run_fragment(self, block: Block) -> None:
        fragment = self._folder / f"line_{block.line}.py"
        fragment.write_text(self._with_free_ports(block.text))
        done = self._finish([sys.executable, str(FRAGMENT), fragment.name])
        assert done.returncode == block.directives.exit_status, report(block, done)

    def _type_in(self, block: Block) -> None:
        """At asyncio's prompt, which knows `await`; what it answers is compared."""
        typed = [line[4:] for line in block.text.splitlines() if line.startswith((">>> ", "... "))]
        answers = [
            line for line in block.text.splitlines() if not line.startswith((">>> ", "... "))
        ]
        done = self._finish(
            [sys.executable, "-m", "ferrio", "run", "-m", "asyncio"],
            stdin="".join(f"{line}\n" for line in typed),
        )
        # What is typed is not echoed, and each answer follows the prompt it was given at.
        _, _, after_banner = done.stdout.partition(">>> import asyncio\n")
        printed = re.sub(r"^(?:(?:>>>|\.\.\.) ?)+", "", after_banner, flags=re.M)
        self._compare(block, "\n".join(answers), printed.partition("exiting asyncio REPL")[0], done)

    def _run_command(self, block: Block, command: Command) -> None:
        words = self._with_free_ports(command.words)
        for beginning, checked in (CHECKED | INSTALLED).items():
            if words.startswith(beginning):
                words = words.replace(beginning, checked, 1)
                done = self._finish(["bash", "-c", words], cwd=ROOT)
                assert done.returncode == 0, report(block, done)
                return
        for word, background in block.directives.background.items():
            if re.search(rf"\b{word}\b", command.words):
                if background.ends_others:
                    self._end_beside()
                self._beside.append(self._start(block, command, background))
                return
        done = self._finish(["bash", "-c", words])
        assert done.returncode == block.directives.exit_status, report(block, done)
        self._compare(block, command.output, done.stdout, done)

    def _compare(
        self, block: Block, shown: str, printed: str, done: subprocess.CompletedProcess[str]
    ) -> None:
        if not shown.strip():
            return
        numbers_vary = block.directives.numbers_vary
        shown = self._with_free_ports(shown)
        differs = difference(shown, printed, numbers_vary=numbers_vary)
        assert differs is None, f"{block}: prints something else\n{differs}\n{report(block, done)}"

    def _start(self, block: Block, command: Command, background: Background) -> Beside:
        words = self._with_free_ports(command.words)
        if background.own_port is not None:
            command_itself = words.partition(" #")[0]
            words = f"{command_itself} --port {self._ports[background.own_port]}"
        process = subprocess.Popen(
            ["bash", "-c", f"exec {words}"],
            cwd=self._folder,
            env=environment() | self._environment,
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        shown = self._with_free_ports(command.output)
        beside = Beside(block, process, shown, background.ended_by)
        try:
            beside.wait_for(self._with_free_ports(background.ready))
        except BaseException:
            process.kill()
            raise
        return beside

    def _end_beside(self, *, check: bool = True) -> None:
        errors = []
        while self._beside:
            try:
                self._beside.pop().end(check=check)
            except Exception as error:
                errors.append(error)
        if errors:
            raise errors[0]

    def _finish(
        self, command: list[str], *, stdin: str = "", cwd: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        # One pipe for both, as on a screen.
        return subprocess.run(
            command,
            cwd=cwd or self._folder,
            env=environment() | self._environment,
            input=stdin,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=PATIENCE,
            check=False,
        )

    def _with_free_ports(self, text: str) -> str:
        for port, free in self._ports.items():
            text = re.sub(rf"\b{port}\b", free, text)
        return text


class Beside:
    """A program that runs while the rest of its page is followed."""

    def __init__(
        self,
        block: Block,
        process: subprocess.Popen[str],
        shown: str,
        ended_by: signal.Signals,
    ) -> None:
        self._block = block
        self._process = process
        self._shown = shown
        self._ended_by = ended_by
        self._lines: list[str] = []
        self._changed = threading.Condition()
        self._is_over = False
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            with self._changed:
                self._lines.append(line)
                self._changed.notify_all()
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def wait_for(self, text: str) -> None:
        with self._changed:
            self._changed.wait_for(
                lambda: self._is_over or any(text in line for line in self._lines), PATIENCE
            )
            assert any(text in line for line in self._lines), (
                f"{self._block}: never printed {text!r}, but\n{''.join(self._lines)}"
            )

    def end(self, *, check: bool) -> None:
        """With `check` it has to end when told to, and to have printed what the page shows."""
        self._process.send_signal(self._ended_by)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            if check:
                raise
        self._reader.join(PATIENCE)
        if check and self._shown.strip():
            differs = difference(
                self._shown,
                "".join(self._lines),
                numbers_vary=self._block.directives.numbers_vary,
            )
            assert differs is None, f"{self._block}: prints something else\n{differs}"


def environment() -> dict[str, str]:
    """The environment of a reader who has activated the one that the tests run in."""
    programs = Path(sys.executable).parent
    keep = {key: value for key, value in os.environ.items() if not key.startswith("PYTHON")}
    return keep | {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        # What is printed is compared: no colours, no line breaks of the terminal's.
        "NO_COLOR": "1",
        "COLUMNS": "100",
        # What uvicorn listens on, if nothing else is said.
        "UVICORN_PORT": "0",
        # make would take what it was given itself for what it is asked to do here.
        "MAKEFLAGS": "",
    }


def free_port() -> str:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return str(sock.getsockname()[1])


def report(block: Block, done: subprocess.CompletedProcess[str]) -> str:
    words = done.args if isinstance(done.args, str) else shlex.join(done.args)
    return f"{block}: {words} ended with {done.returncode}\n{done.stdout}"
