"""pytest-asyncio and anyio's pytest plugin, each in a pytest of its own, on the loop under test."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests import loops


def run_pytest(folder: Path, plugin: str, **files: str) -> str:
    for name, content in files.items():
        (folder / f"{name}.py").write_text(textwrap.dedent(content))
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", plugin]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture
def loop_import(request: pytest.FixtureRequest) -> str:
    """A line that imports the factory of the loop under test as `new_loop`."""
    module, _, attribute = loops.check_name(request.config.getoption("--loop")).partition(":")
    return f"from {module} import {attribute} as new_loop"


TESTS = """
    import asyncio
    import pytest
    import pytest_asyncio

    @pytest_asyncio.fixture
    async def server():
        async def echo(reader, writer):
            writer.write(await reader.readline())
            writer.close()
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        yield server.sockets[0].getsockname()
        server.close()
        await server.wait_closed()

    @pytest.mark.asyncio
    async def test_echo(server):
        reader, writer = await asyncio.open_connection(*server)
        writer.write(b"line\\n")
        assert await reader.read() == b"line\\n"
        writer.close()

    @pytest.mark.asyncio
    async def test_the_loop(expected_type):
        assert isinstance(asyncio.get_running_loop(), expected_type)

    @pytest.mark.asyncio
    @pytest.mark.parametrize("number", range(20))
    async def test_again(number):
        assert await asyncio.sleep(0, number) == number
    """


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_pytest_asyncio_with_an_event_loop_policy(tmp_path: Path, loop_import: str) -> None:
    """The fixture that pytest-asyncio documents for other loops."""
    conftest = f"""
    import asyncio
    import warnings
    import pytest
    {loop_import}

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        base = asyncio.DefaultEventLoopPolicy

    class Policy(base):
        def new_event_loop(self):
            return new_loop()

    @pytest.fixture(scope="session")
    def event_loop_policy():
        return Policy()

    @pytest.fixture
    def expected_type():
        loop = new_loop()
        loop.close()
        return type(loop)
    """
    output = run_pytest(tmp_path, "pytest_asyncio", conftest=conftest, test_it=TESTS)
    assert "22 passed" in output


def test_anyios_plugin_with_a_loop_factory(tmp_path: Path, loop_import: str) -> None:
    conftest = f"""
    import pytest
    {loop_import}

    @pytest.fixture
    def anyio_backend():
        return "asyncio", {{"loop_factory": new_loop}}

    @pytest.fixture
    def expected_type():
        loop = new_loop()
        loop.close()
        return type(loop)
    """
    tests = """
    import asyncio
    import anyio
    import pytest

    pytestmark = pytest.mark.anyio

    async def test_the_loop(expected_type):
        assert isinstance(asyncio.get_running_loop(), expected_type)

    async def test_streams():
        async def serve(stream):
            async with stream:
                await stream.send(await stream.receive())

        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        async with listener, anyio.create_task_group() as group:
            group.start_soon(listener.serve, serve)
            async with await anyio.connect_tcp("127.0.0.1", port) as stream:
                await stream.send(b"hello")
                assert await stream.receive() == b"hello"
            group.cancel_scope.cancel()
    """
    output = run_pytest(tmp_path, "anyio", conftest=conftest, test_it=tests)
    assert "2 passed" in output
