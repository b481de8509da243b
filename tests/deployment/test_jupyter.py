"""`ferrio jupyter`: the kernel that it installs, with a real ipykernel, through jupyter_client."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jupyter_client.manager import KernelManager

#: Seconds; for what should take one.
PATIENCE = 60


def ferrio_jupyter(
    home: Path, *words: str, without: str | None = None
) -> subprocess.CompletedProcess[str]:
    hide = f"import sys; sys.modules[{without!r}] = None\n" if without else ""
    program = hide + "from ferrio.__main__ import main; raise SystemExit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, "jupyter", *words],
        env=os.environ | {"HOME": str(home), "JUPYTER_PLATFORM_DIRS": "0", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


class Kernel:
    """A kernel of the name `ferrio`, and what its cells answer."""

    def __init__(self) -> None:
        self.manager = KernelManager(kernel_name="ferrio")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=PATIENCE)

    def start(self, cell: str) -> str:
        message: str = self.client.execute(cell)
        return message

    def answer(self, message: str) -> list[str]:
        """What a cell prints, its value, or the name of its error."""
        found = []
        while True:
            reply: dict[str, Any] = self.client.get_iopub_msg(timeout=PATIENCE)
            if reply["parent_header"].get("msg_id") != message:
                continue
            content = reply["content"]
            match reply["msg_type"]:
                case "stream" if content["name"] == "stdout":
                    found.append(content["text"].rstrip())
                case "execute_result":
                    found.append(content["data"]["text/plain"])
                case "error":
                    found.append(content["ename"])
                case "status" if content["execution_state"] == "idle":
                    return found

    def run(self, cell: str) -> list[str]:
        return self.answer(self.start(cell))

    def interrupted(self, cell: str, flag: Path) -> list[str]:
        """A cell that is interrupted when it has made the file `flag`."""
        message = self.start(f"open({str(flag)!r}, 'w').close()\n{cell}")
        deadline = time.monotonic() + PATIENCE
        while not flag.exists():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        self.manager.interrupt_kernel()
        return self.answer(message)

    def end(self) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel()


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kernel]:
    folder = tmp_path_factory.mktemp("jupyter")
    done = ferrio_jupyter(folder, "install", "--prefix", str(folder))
    assert done.returncode == 0, done.stderr
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_PATH", str(folder / "share" / "jupyter"))
        patch.setenv("IPYTHONDIR", str(folder))
        started = Kernel()
        try:
            yield started
        finally:
            started.end()


def test_cells_are_on_ferrio(kernel: Kernel) -> None:
    kernel.run("import asyncio")
    assert kernel.run("type(asyncio.get_running_loop())") == ["ferrio.Loop"]
    assert kernel.run("print(type(asyncio.current_task()).__module__)") == ["ferrio"]
    assert kernel.run("asyncio.Queue.__module__") == ["'ferrio.aio._queues'"]


def test_await_at_the_top_level(kernel: Kernel) -> None:
    assert kernel.run("import asyncio\nawait asyncio.sleep(0.01, 5)") == ["5"]
    assert kernel.run("async with asyncio.timeout(5):\n    print(await asyncio.sleep(0, 6))") == [
        "6"
    ]
    assert kernel.run("asyncio.run(asyncio.sleep(0))")[-1] == "RuntimeError"


def test_tasks_go_on_between_cells(kernel: Kernel) -> None:
    kernel.run("import asyncio\nseen = []\nready = asyncio.Event()")
    kernel.run(
        "async def count():\n"
        "    while len(seen) < 3:\n"
        "        seen.append(len(seen))\n"
        "        await asyncio.sleep(0.01)\n"
        "    ready.set()\n"
        "task = asyncio.create_task(count())"
    )
    deadline = time.monotonic() + PATIENCE
    # No cell awaits anything.
    while kernel.run("seen") != ["[0, 1, 2]"]:
        assert time.monotonic() < deadline
    assert kernel.run("await task, seen") == ["(None, [0, 1, 2])"]


def test_interrupts(kernel: Kernel, tmp_path: Path) -> None:
    assert kernel.interrupted("while True: pass", tmp_path / "computes") == ["KeyboardInterrupt"]
    awaits = kernel.interrupted("import asyncio; await asyncio.sleep(1000)", tmp_path / "awaits")
    assert awaits == ["CancelledError"]
    assert kernel.run("type(asyncio.get_running_loop())") == ["ferrio.Loop"]


def test_children(kernel: Kernel) -> None:
    kernel.run("import asyncio")
    cell = (
        "process = await asyncio.create_subprocess_shell('echo hello', stdout=-1)\n"
        "print((await process.communicate())[0].decode())"
    )
    assert kernel.run(cell) == ["hello"]


def kernels(prefix: Path) -> Path:
    return prefix / "share" / "jupyter" / "kernels"


def test_names_and_options(tmp_path: Path) -> None:
    words = ["--name", "Slow", "--display-name", "what is slow", "--debug", "--loop-only"]
    done = ferrio_jupyter(tmp_path, "install", "--prefix", str(tmp_path), *words)
    assert (done.returncode, done.stderr) == (0, "")
    folder = kernels(tmp_path) / "slow"
    assert f"installed the kernel 'slow' in {folder}\n" in done.stdout
    found = json.loads((folder / "kernel.json").read_text())
    at = found["argv"].index("run")
    assert found["argv"][at - 1 : at + 4] == ["ferrio", "run", "--debug", "--loop-only", "-m"]
    assert found["display_name"] == "what is slow"
    assert (folder / "logo-64x64.png").exists()
    # Again, over itself.
    again = ferrio_jupyter(tmp_path, "install", "--prefix", str(tmp_path), "--name", "slow")
    assert again.returncode == 0, again.stderr
    assert "--debug" not in (folder / "kernel.json").read_text()
    assert [path.name for path in folder.parent.iterdir()] == ["slow"]
    words = ["--prefix", str(tmp_path), "--name", "slow"]
    done = ferrio_jupyter(tmp_path, "uninstall", *words)
    assert done.stdout == f"removed the kernel 'slow' from {folder}\n"
    done = ferrio_jupyter(tmp_path, "uninstall", *words)
    assert done.returncode == 1
    assert "there is no kernel 'slow' in" in done.stderr


def test_for_the_user(tmp_path: Path) -> None:
    done = ferrio_jupyter(tmp_path, "install", "--user")
    folder = tmp_path / ".local" / "share" / "jupyter" / "kernels" / "ferrio"
    assert f"in {folder}\n" in done.stdout, done.stderr
    assert ferrio_jupyter(tmp_path, "uninstall", "--user").returncode == 0
    assert not folder.exists()


def test_others_are_left_alone(tmp_path: Path) -> None:
    folder = kernels(tmp_path) / "ferrio"
    folder.mkdir(parents=True)
    (folder / "kernel.json").write_text('{"argv": []}')
    for command in ("install", "uninstall"):
        done = ferrio_jupyter(tmp_path, command, "--prefix", str(tmp_path))
        assert (done.returncode, done.stdout) == (1, ""), done.stderr
        assert str(folder) in done.stderr
    assert (folder / "kernel.json").read_text() == '{"argv": []}'


def test_what_is_wrong_is_said(tmp_path: Path) -> None:
    done = ferrio_jupyter(tmp_path, "install", "--prefix", str(tmp_path), "--name", "../up")
    assert done.returncode == 1
    assert "'../up' is no name for a kernel" in done.stderr
    done = ferrio_jupyter(tmp_path, "install", "--prefix", str(tmp_path), without="ipykernel")
    assert done.returncode == 1
    assert "which is not installed here" in done.stderr
    assert "-m pip install ipykernel" in done.stderr
    done = ferrio_jupyter(tmp_path)
    assert done.returncode == 0
    assert "ferrio jupyter install --user" in done.stdout
