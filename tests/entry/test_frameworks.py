"""Frameworks that make loops themselves, told to make ferrio's in the way that each documents."""

from __future__ import annotations

import asyncio
import io
import subprocess
import sys
import unittest
from pathlib import Path

import ferrio
import pytest


def pytest_run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *options, str(folder)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


class TestPytestAsyncio:
    def test_loop_factories(self, tmp_path: Path) -> None:
        pytest.importorskip("pytest_asyncio")
        (tmp_path / "conftest.py").write_text(
            "import ferrio\n"
            "def pytest_asyncio_loop_factories(config, item):\n"
            "    return {'ferrio': ferrio.new_event_loop}\n"
        )
        (tmp_path / "test_it.py").write_text(
            "import asyncio, ferrio, pytest, pytest_asyncio\n"
            "@pytest_asyncio.fixture\n"
            "async def fixture():\n"
            "    await asyncio.sleep(0)\n"
            "    yield type(asyncio.get_running_loop())\n"
            "    await asyncio.sleep(0)\n"
            "@pytest.mark.asyncio\n"
            "async def test(fixture):\n"
            "    await asyncio.sleep(0.001)\n"
            "    assert fixture is type(asyncio.get_running_loop()) is ferrio.Loop\n"
        )
        scope = "asyncio_default_fixture_loop_scope=function"
        done = pytest_run(tmp_path, "-W", "error", "-o", scope)
        assert "1 passed" in done.stdout, done.stdout + done.stderr


class TestAnyio:
    def test_loop_factory(self) -> None:
        anyio = pytest.importorskip("anyio")

        async def main() -> type:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0.001)
            await anyio.to_thread.run_sync(lambda: None)
            return type(asyncio.get_running_loop())

        options = {"loop_factory": ferrio.new_event_loop}
        assert anyio.run(main, backend="asyncio", backend_options=options) is ferrio.Loop

    def test_pytest_plugin(self, tmp_path: Path) -> None:
        pytest.importorskip("anyio")
        (tmp_path / "conftest.py").write_text(
            "import ferrio, pytest\n"
            "@pytest.fixture\n"
            "def anyio_backend():\n"
            "    return 'asyncio', {'loop_factory': ferrio.new_event_loop}\n"
        )
        (tmp_path / "test_it.py").write_text(
            "import anyio, asyncio, ferrio, pytest\n"
            "@pytest.mark.anyio\n"
            "async def test():\n"
            "    await anyio.sleep(0.001)\n"
            "    assert type(asyncio.get_running_loop()) is ferrio.Loop\n"
        )
        done = pytest_run(tmp_path, "-p", "no:asyncio")
        assert "1 passed" in done.stdout, done.stdout + done.stderr


class TestUnittest:
    @pytest.mark.skipif(sys.version_info < (3, 13), reason="loop_factory came with 3.13")
    def test_isolated_asyncio_test_case(self) -> None:
        found: list[type] = []

        class Test(unittest.IsolatedAsyncioTestCase):
            loop_factory = ferrio.Loop

            async def test(self) -> None:
                found.append(type(asyncio.get_running_loop()))

        result = unittest.TextTestRunner(stream=io.StringIO()).run(Test("test"))
        assert result.wasSuccessful(), result.errors
        assert found == [ferrio.Loop]


class TestUvicorn:
    @pytest.mark.parametrize("name", ["ferrio:new_event_loop", "ferrio:Loop"])
    def test_loop_option(self, name: str) -> None:
        uvicorn = pytest.importorskip("uvicorn")

        async def app(scope: object, receive: object, send: object) -> None: ...

        factory = uvicorn.Config(app, loop=name).get_loop_factory()
        loop = factory()
        loop.close()
        assert type(loop) is ferrio.Loop


class TestAiohttp:
    def test_run_app(self) -> None:
        web = pytest.importorskip("aiohttp.web")
        found: list[type] = []

        async def look(app: object) -> None:
            loop = asyncio.get_running_loop()
            found.append(type(loop))
            loop.call_later(0.01, stop)

        def stop() -> None:
            raise web.GracefulExit

        app = web.Application()
        app.on_startup.append(look)
        loop = ferrio.new_event_loop()
        web.run_app(app, host="127.0.0.1", port=0, print=None, loop=loop)
        assert found == [ferrio.Loop]
        assert loop.is_closed()
