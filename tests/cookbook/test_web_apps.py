"""Three web applications with one contract, a page that counts in a browser, and the load."""

from __future__ import annotations

import http.client
import json
import re
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from xml.etree import ElementTree

import pytest

from .browser import Browser
from .conftest import CLASSES, PATIENCE, Cookbook, LoopName
from .embedded import private_server, programs

APPLICATIONS = ("aiohttp", "starlette", "django")


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A private server for all tests of this file."""
    with private_server() as dsn:
        yield dsn


@pytest.mark.parametrize("application", APPLICATIONS)
def test_the_contract(cookbook: Cookbook, loop: LoopName, dsn: str, application: str) -> None:
    with cookbook.start(
        "web_apps", "serve", application, "--port=0", "--dsn", dsn, loop=loop
    ) as server:
        base = server.until(rf"^{application} on (\S+)$")[1]

        status, tools, _ = request(base, "GET", "/tools")
        assert status == 200
        assert len(tools) == 60
        assert [tool["id"] for tool in tools] == sorted(tool["id"] for tool in tools)
        status, kitchen, _ = request(base, "GET", "/tools?category=kitchen")
        assert status == 200
        assert kitchen == [tool for tool in tools if tool["category"] == "kitchen"]
        assert len(kitchen) == 15

        new = {"name": f"wine press of {loop}", "category": "garden", "cents_a_day": 900}
        status, added, location = request(base, "POST", "/tools", new)
        assert status == 201
        assert added == new | {"id": added["id"]}
        assert location == f"/tools/{added['id']}"
        assert request(base, "GET", location)[:2] == (200, added)
        status, error, _ = request(base, "POST", "/tools", new)
        assert (status, error["error"]) == (409, f"there is a tool named '{new['name']}'")
        assert len(request(base, "GET", "/tools")[1]) == 61

        for wrong in (
            [],
            {"name": "no price", "category": "garden"},
            new | {"id": 5},
            new | {"name": "  "},
            new | {"category": "bathroom"},
            new | {"cents_a_day": 0},
            new | {"cents_a_day": True},
            new | {"cents_a_day": "12"},
        ):
            status, error, _ = request(base, "POST", "/tools", wrong)
            assert (status, [*error]) == (400, ["error"]), wrong

        assert request(base, "DELETE", location)[0] == 204
        assert request(base, "DELETE", location)[0] == 404
        assert request(base, "GET", location)[0] == 404
        assert request(base, "PUT", location)[0] == 405

        server.send_signal(signal.SIGINT)
        assert server.finish().returncode == 0


def test_the_bridges_of_django(cookbook: Cookbook, loop: LoopName, dsn: str) -> None:
    with cookbook.start(
        "web_apps", "serve", "django", "--port=0", "--dsn", dsn, loop=loop
    ) as server:
        base = server.until(r"^django on (\S+)$")[1]
        _, report, _ = request(base, "GET", "/report")
        assert report["tools"] == {"garden": 15, "kitchen": 15, "moving": 15, "workshop": 15}
        assert re.fullmatch("[0-9a-f]{64}", report["seal"])
        _, offers, _ = request(base, "GET", "/offers/7")
        assert [*offers["offers"]] == ["north", "south", "west"]
        assert request(base, "GET", "/offers/999999")[0] == 404
        _, threads, _ = request(base, "GET", "/threads")
        # A coroutine called from a thread runs on the server's loop, and in its thread.
        assert threads["asynchronous view"] == f"MainThread, on {CLASSES[loop]}"
        assert threads["async_to_sync within"] == f"MainThread, on {CLASSES[loop]}"
        assert threads["sync_to_async"] != "MainThread"
        assert threads["sync_to_async, not sensitive"].startswith("asyncio_")


def test_the_page_counts_in_a_browser(cookbook: Cookbook, loop: LoopName) -> None:
    with (
        cookbook.start("web_apps", "serve", "counter", "--port=0", loop=loop) as server,
        Browser() as browser,
    ):
        base = server.until(r"^counter on (\S+)$")[1]
        here = browser.open(base)
        here.wait_for(shows("count", "0"))
        here.wait_for(shows("state", "1 here"))
        there = browser.open(base)
        here.wait_for(shows("state", "2 here"))

        for _ in range(3):
            here.click("#more")
        there.wait_for(shows("count", "3"))
        there.click("#less")
        here.wait_for(shows("count", "2"))
        assert here.screenshot().startswith(b"\x89PNG")

        # The page comes back by itself when the server does.
        server.send_signal(signal.SIGINT)
        assert server.finish().returncode == 0
        here.wait_for(shows("state", "connecting"))
        port = str(urlsplit(base).port)
        with cookbook.start("web_apps", "serve", "counter", f"--port={port}", loop=loop) as again:
            again.until("^counter on")
            here.wait_for(shows("state", "2 here"))
            here.wait_for(shows("count", "0"))
            here.click("#less")
            there.wait_for(shows("count", "-1"))


def test_the_tour(cookbook: Cookbook, loop: LoopName, dsn: str) -> None:
    output = cookbook("web_apps", "tour", "--dsn", dsn, loop=loop).stdout
    assert output.startswith(f"running on {CLASSES[loop]}\n")
    said = "GET 200, POST 201, POST 409, POST 400, GET 200, DELETE 204, DELETE 404"
    for application in APPLICATIONS:
        assert re.search(rf"{application} +15 tools for the garden; {said}\n", output)
    assert "all saw 150" in output


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_load_and_its_plot(
    cookbook: Cookbook, loop: LoopName, dsn: str, suffix: str, tmp_path: Path
) -> None:
    plot = tmp_path / f"load.{suffix}"
    arguments = ("--requests", "120", "--crowd", "6", "--plot", str(plot), "--dsn", dsn)
    output = cookbook("web_apps", "load", *arguments, loop=loop).stdout
    measured = re.findall(r"^  (\w+) +120 requests +\d+/s   median", output, re.MULTILINE)
    assert tuple(measured) == APPLICATIONS
    if suffix == "png":
        assert plot.read_bytes().startswith(b"\x89PNG")
    else:
        texts = "".join(ElementTree.parse(plot).getroot().itertext())
        assert f"6 at a time, on {CLASSES[loop]}" in texts
        assert all(application in texts for application in APPLICATIONS)


def test_without_a_dsn_it_brings_its_own_database(
    cookbook: Cookbook, scratch: Path, loop: LoopName
) -> None:
    with cookbook.start(
        "web_apps", "serve", "starlette", "--port=0", loop=loop, **programs()
    ) as server:
        base = server.until(r"^starlette on (\S+)$")[1]
        assert len(request(base, "GET", "/tools")[1]) == 60
        server.send_signal(signal.SIGINT)
        assert server.finish().returncode == 0
    assert [*scratch.iterdir()] == [], "the server was not ended well"


def shows(element: str, text: str) -> str:
    """JavaScript: whether the element has that text, in a page that may not have loaded yet."""
    return f"document.getElementById({element!r})?.textContent === {text!r}"


def request(base: str, method: str, path: str, body: Any = None) -> tuple[int, Any, str]:
    """Status, JSON if there is any, and where a new thing is."""
    parts = urlsplit(base)
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
    try:
        connection.request(method, path, None if body is None else json.dumps(body))
        response = connection.getresponse()
        content = response.read()
        is_json = response.headers.get_content_type() == "application/json"
        location = response.headers.get("Location", "")
        return response.status, json.loads(content) if is_json else None, location
    finally:
        connection.close()
