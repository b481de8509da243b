"""A shop of five services: partial pages, retries, the breaker, and nothing left running."""

from __future__ import annotations

import asyncio
import http.client
import importlib.util
import json
import re
import signal
import time
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from .conftest import CLASSES, PATIENCE, ROOT, Cookbook, LoopName, Running


@pytest.mark.parametrize("way", ["hand", "libraries"])
def test_the_shop_copes(cookbook: Cookbook, loop: LoopName, way: str) -> None:
    output = cookbook("microservices", "--by", way, loop=loop).stdout
    assert output.startswith(f"running on {CLASSES[loop]}\n")
    services = re.findall(r"^  (\w+) +http://\S+ process (\d+) (\S+)$", output, re.MULTILINE)
    assert [name for name, _, _ in services] == [
        *("product", "favourites", "cart", "inventory"),
        "frontend",
    ]
    assert len({process for _, process, _ in services}) == 5
    assert {kind for _, _, kind in services} == {CLASSES[loop]}

    whole = r" +\d+ ms  16 products, stock of 16, missing: nothing"
    assert re.search(rf"all is well{whole}", output)
    assert "into the cart" in output
    assert "{'3': 2, '12': 1, '5': 3}" in output
    assert re.search(r"favourites take 20 s .* stock of 16, missing: favourites", output)
    assert re.search(rf"the cart fails twice{whole}", output)
    assert re.search(r"calls to it that failed +2\n", output)

    assert re.search(r"the inventory is killed .* stock of 0, missing: stock", output)
    assert output.count("stock of 0, missing: stock") == 3
    breaker = re.findall(r"breaker (\S+): (\d+) calls failed, (\d+) spared", output)
    assert {state for state, _, _ in breaker} <= {"open", "half-open"}
    assert all(int(failed) >= 5 for _, failed, _ in breaker)
    spared = [int(count) for _, _, count in breaker]
    assert 0 < spared[0] < spared[1] < spared[2]
    assert re.search(rf"whole again after [\d.]+ s{whole}\n +breaker closed", output)

    assert re.search(r"the product service is killed +\d+ ms  503, no page", output)
    assert output.endswith("all services have ended\n")


def test_what_is_cancelled_does_not_open_the_breaker_of_the_library() -> None:
    """Its context manager goes around awaits, and several calls at once."""
    pybreaker = pytest.importorskip("pybreaker", reason="`make cookbook` installs it")
    breaker = pybreaker.CircuitBreaker(
        fail_max=2, exclude=[asyncio.CancelledError], throw_new_error_on_trip=False
    )

    async def call(seconds: float, error: type[Exception] | None = None) -> None:
        with breaker.calling():
            await asyncio.sleep(seconds)
            if error is not None:
                raise error

    async def main() -> None:
        hanging = [asyncio.create_task(call(3600)) for _ in range(5)]
        await asyncio.sleep(0)
        # The others are still inside: it holds no lock while they are.
        await call(0)
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert breaker.current_state == "closed"
        results = await asyncio.gather(
            call(0, OSError), call(0, OSError), call(0.01), return_exceptions=True
        )
        assert [type(result) for result in results] == [OSError, OSError, type(None)]
        assert breaker.current_state == "open"
        with pytest.raises(pybreaker.CircuitBreakerError):
            await call(0)

    asyncio.run(main())


def test_ctrl_c_ends_all_services(cookbook: Cookbook, loop: LoopName) -> None:
    with cookbook.start("microservices", "up", "--port", "0", loop=loop) as shop:
        bases = addresses(shop)
        status, page = get(bases["frontend"], "/users/2/shop")
        assert (status, page["favourites"], page["cart"]) == (200, [4], {})
        assert [product["stock"] for product in page["products"]][:3] == [7, 14, 21]
        shop.send_signal(signal.SIGINT)
        assert shop.finish().returncode == 0
    for base in bases.values():
        with pytest.raises(ConnectionRefusedError):
            get(base, "/")


def test_services_do_not_outlive_who_started_them(cookbook: Cookbook, loop: LoopName) -> None:
    with cookbook.start("microservices", "up", "--port", "0", loop=loop) as shop:
        bases = addresses(shop)
        shop.process.kill()
        shop.process.wait()
        deadline = time.monotonic() + PATIENCE
        while any(map(is_there, bases.values())):
            assert time.monotonic() < deadline, "a service is still there"
            time.sleep(0.05)


def test_what_may_have_happened_is_not_repeated(cookbook: Cookbook, loop: LoopName) -> None:
    with cookbook.start("microservices", "up", "--port", "0", loop=loop) as shop:
        bases = addresses(shop)
        for _ in range(2):
            put(bases["cart"], "/faults", {"fail_next": 1})
            status, _ = post(bases["frontend"], "/users/1/cart", {"product": 1, "packets": 1})
            assert status == 503
        # Not repeated: what is in the cart is there once.
        status, packets = post(bases["frontend"], "/users/1/cart", {"product": 1, "packets": 1})
        assert (status, packets["1"]) == (200, 1)
        _, peers = get(bases["frontend"], "/peers")
        assert peers["cart"] == {"answered": 1, "failed": 2, "spared": 0, "breaker": "closed"}


def test_the_breaker() -> None:
    module = load("breaker")
    now = 0.0
    breaker = module.Breaker(3, reset_after=10.0, clock=lambda: now)

    def call(error: type[BaseException] | None = None) -> None:
        with breaker.guard():
            if error is not None:
                raise error

    def fails(error: type[BaseException] = OSError) -> None:
        with pytest.raises(error):
            call(error)

    fails()
    fails()
    call()
    fails()
    fails()
    fails(asyncio.CancelledError)
    assert breaker.state is module.State.CLOSED, "three in a row are needed, cancelled ones aside"
    fails()
    assert breaker.state is module.State.OPEN
    with pytest.raises(module.BreakerOpenError):
        call()
    now = 10.0
    assert breaker.state is module.State.HALF_OPEN
    fails()
    assert breaker.state is module.State.OPEN, "one failed trial is enough"
    now = 20.0
    with breaker.guard(), pytest.raises(module.BreakerOpenError):
        call()  # One trial at a time.
    assert breaker.state is module.State.CLOSED


def test_a_cancelled_trial_makes_room_for_another() -> None:
    module = load("breaker")
    now = 0.0
    breaker = module.Breaker(1, reset_after=1.0, clock=lambda: now)
    with pytest.raises(OSError, match="ill"), breaker.guard():
        raise OSError("ill")
    now = 1.0
    with pytest.raises(asyncio.CancelledError), breaker.guard():
        raise asyncio.CancelledError
    assert breaker.state is module.State.HALF_OPEN
    with breaker.guard():
        pass
    assert breaker.state is module.State.CLOSED


def test_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    module = load("retry")
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr(module.asyncio, "sleep", sleep)
    outcomes: list[Exception | str] = [OSError("1"), OSError("2"), "well"]

    async def call() -> str:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def attempt() -> Any:
        return asyncio.run(module.retry(call, OSError, attempts=3, first_pause=1.0))

    assert attempt() == "well"
    assert 0.5 <= pauses[0] <= 1.0 <= pauses[1] <= 2.0
    outcomes[:] = [OSError("1"), OSError("2"), OSError("3"), "too late"]
    with pytest.raises(OSError, match="3"):
        attempt()
    outcomes[:] = [ValueError("another kind"), "not asked for"]
    with pytest.raises(ValueError, match="another kind"):
        attempt()
    assert outcomes == ["not asked for"]


def load(name: str) -> ModuleType:
    """A module of the program."""
    path = ROOT / "examples" / "microservices" / f"{name}.py"
    specification = importlib.util.spec_from_file_location(f"cookbook_{name}", path)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def addresses(shop: Running) -> dict[str, str]:
    """Host and port of each service, by name."""
    found = {}
    while not (line := shop.line()).startswith("the page is"):
        if match := re.fullmatch(r"  (\w+) +http://(\S+)", line):
            found[match[1]] = match[2]
    assert len(found) == 5
    return found


def request(base: str, method: str, path: str, body: object = None) -> tuple[int, Any]:
    parts = urlsplit(f"http://{base}")
    connection = http.client.HTTPConnection(str(parts.hostname), parts.port, timeout=PATIENCE)
    try:
        text = None if body is None else json.dumps(body)
        connection.request(method, path, text, {"Content-Type": "application/json"})
        response = connection.getresponse()
        content = response.read()
        return response.status, json.loads(content) if response.status == 200 else None
    finally:
        connection.close()


def get(base: str, path: str) -> tuple[int, Any]:
    return request(base, "GET", path)


def post(base: str, path: str, body: object) -> tuple[int, Any]:
    return request(base, "POST", path, body)


def put(base: str, path: str, body: object) -> None:
    status, _ = request(base, "PUT", path, body)
    assert status == 204


def is_there(base: str) -> bool:
    try:
        get(base, "/")
    except OSError:
        return False
    return True
